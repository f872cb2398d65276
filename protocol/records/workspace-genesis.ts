// `workspace.genesis`: the first entry of a workspace's log; its record id is the workspace's id.
import * as z from 'zod';
import { adminPolicySchema, policySchema, unmeetable } from '../policy/schema.ts';
import { keyOf } from './credential.ts';
import type { RecordType } from './envelope.ts';
import { readablePolicy } from './readable.ts';
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
    adminPolicy: adminPolicySchema,
    /** A child workspace may leave it out: then its parent's is in force, whatever that becomes. */
    signPolicy: policySchema.exactOptional(),
    /** Of a child workspace: the workspace whose log names it. What its parent's sign policy denies is denied here too. */
    parent: recordIdSchema.exactOptional(),
    created: timestampSchema,
    nonce: nonceSchema,
  })
  .refine((genesis) => distinct(genesis.owners.map((owner) => owner.name)), 'owner names must be distinct')
  .refine(
    (genesis) => distinct(genesis.owners.flatMap((owner) => owner.credentials.map(keyOf))),
    'a credential may occur once in a workspace',
  )
  .refine((genesis) => distinct(genesis.keyrings), 'keyrings must be distinct')
  .refine(
    (genesis) => genesis.signPolicy !== undefined || genesis.parent !== undefined,
    'only a child workspace can be without a sign policy',
  )
  .superRefine((genesis, context) => {
    const names = genesis.owners.map((owner) => owner.name);
    for (const field of ['adminPolicy', 'signPolicy'] as const) {
      const policy = genesis[field];
      for (const message of policy === undefined ? [] : unmeetable(policy, names)) {
        context.addIssue({ code: 'custom', path: [field], message });
      }
    }
  });
export type WorkspaceGenesis = z.infer<typeof schema>;

export const workspaceGenesis: RecordType<WorkspaceGenesis> = {
  type: 'workspace.genesis',
  schema,
  introduces: (genesis) => genesis.owners.flatMap((owner) => owner.credentials),
  // Its creator signs: that it is one of the owners is checked by `openWorkspace`.
  signers: () => [],
  readable: ({ name, owners, keyrings, adminPolicy, signPolicy, parent }) => ({
    action: 'Make a workspace',
    name,
    owners: owners.map((owner) => `${owner.name}: ${owner.credentials.join(', ')}`),
    keyrings,
    adminPolicy: readablePolicy(adminPolicy),
    signPolicy: signPolicy === undefined ? ['that of the parent workspace'] : readablePolicy(signPolicy),
    ...(parent !== undefined && { parent }),
  }),
};
