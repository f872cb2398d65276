// `workspace.genesis`: the first entry of a workspace's log; its record id is the workspace's id.
import * as z from 'zod';
import { policySchema, type Rule } from '../policy/schema.ts';
import { keyOf } from './credential.ts';
import type { RecordType } from './envelope.ts';
import {
  credentialSchema,
  distinct,
  labelSchema,
  nameSchema,
  networkIdSchema,
  nonceSchema,
  recordIdSchema,
  timestampSchema,
} from './fields.ts';

/** A person or service with its public keys. */
export const principalSchema = z.strictObject({
  name: nameSchema,
  credentials: z.array(credentialSchema).min(1).max(10),
});
export type Principal = z.infer<typeof principalSchema>;

const schema = z
  .strictObject({
    networkId: networkIdSchema,
    name: labelSchema,
    owners: z.array(principalSchema).min(1).max(100),
    /** Keyrings whose keys this workspace may make and use. */
    keyrings: z.array(recordIdSchema).min(1).max(20),
    adminPolicy: policySchema,
    signPolicy: policySchema,
    created: timestampSchema,
    nonce: nonceSchema,
  })
  .refine((genesis) => distinct(genesis.owners.map((owner) => owner.name)), 'owner names must be distinct')
  .refine(
    (genesis) => distinct(genesis.owners.flatMap((owner) => owner.credentials.map(keyOf))),
    'a credential may occur once in a workspace',
  )
  .refine((genesis) => distinct(genesis.keyrings), 'keyrings must be distinct')
  .superRefine((genesis, context) => {
    const names = genesis.owners.map((owner) => owner.name);
    for (const field of ['adminPolicy', 'signPolicy'] as const) {
      for (const message of genesis[field].rules.flatMap((rule) => unmeetable(rule, names))) {
        context.addIssue({ code: 'custom', path: [field], message });
      }
    }
  });
export type WorkspaceGenesis = z.infer<typeof schema>;

/** Why a rule could never be met by these owners. */
function unmeetable(rule: Rule, owners: readonly string[]): string[] {
  return [rule.require, rule.reject].flatMap((quorum) => {
    if (quorum === undefined) return [];
    if (quorum.of === 'owners') {
      return quorum.k > owners.length ? [`rule ${rule.id} wants ${quorum.k} of ${owners.length} owners`] : [];
    }
    return quorum.of
      .filter((name) => !owners.includes(name))
      .map((name) => `rule ${rule.id} names ${name}, who is not an owner`);
  });
}

export const workspaceGenesis: RecordType<WorkspaceGenesis> = {
  type: 'workspace.genesis',
  schema,
  introduces: (genesis) => genesis.owners.flatMap((owner) => owner.credentials),
  // Its creator signs: that it is one of the owners is checked by `openWorkspace`.
  signers: () => [],
  readable: ({ name, owners, keyrings, adminPolicy, signPolicy }) => ({
    action: 'Make a workspace',
    name,
    owners: owners.map((owner) => `${owner.name}: ${owner.credentials.join(', ')}`),
    keyrings,
    adminPolicy: adminPolicy.rules.map((rule) => rule.id),
    signPolicy: signPolicy.rules.map((rule) => rule.id),
  }),
};
