// `workspace.change`: a later entry of a workspace's log. It is in force once decisions satisfy the admin policy that was in
// force before it; workspace.ts replays it. Its record id is the entry's, and the next one's `prev`.
import * as z from 'zod';
import { adminPolicySchema, policySchema } from '../policy/schema.ts';
import type { ShownType } from './envelope.ts';
import { type Readable, readablePolicy } from './readable.ts';
import {
  credentialSchema,
  nameSchema,
  networkIdSchema,
  nonceSchema,
  recordIdSchema,
  timestampSchema,
} from './fields.ts';
import { principalSchema } from './workspace-genesis.ts';

const owner = nameSchema;

export const changeSchema = z.discriminatedUnion('kind', [
  /** Every credential of the new owner countersigns the change. */
  z.strictObject({ kind: z.literal('owner.add'), owner: principalSchema }),
  z.strictObject({ kind: z.literal('owner.remove'), owner }),
  /** The credential countersigns the change. */
  z.strictObject({ kind: z.literal('credential.add'), owner, credential: credentialSchema }),
  z.strictObject({ kind: z.literal('credential.remove'), owner, credential: credentialSchema }),
  z.strictObject({ kind: z.literal('keyring.add'), keyringId: recordIdSchema }),
  z.strictObject({ kind: z.literal('keyring.remove'), keyringId: recordIdSchema }),
  z.strictObject({ kind: z.literal('policy.admin'), policy: adminPolicySchema }),
  /** Without a policy a child workspace is under its parent's again. */
  z.strictObject({ kind: z.literal('policy.sign'), policy: policySchema.exactOptional() }),
  /** The sign policy of one key, instead of the workspace's; without one, that of its own request or the workspace's. */
  z.strictObject({
    kind: z.literal('policy.key'),
    keyId: recordIdSchema,
    policy: policySchema.exactOptional(),
  }),
  z.strictObject({ kind: z.literal('key.disable'), keyId: recordIdSchema }),
  z.strictObject({ kind: z.literal('key.enable'), keyId: recordIdSchema }),
  z.strictObject({ kind: z.literal('child.add'), workspaceId: recordIdSchema }),
  z.strictObject({ kind: z.literal('child.remove'), workspaceId: recordIdSchema }),
  /** Nothing is signed for the workspace and its children, and no key is made, until `unfreeze`. */
  z.strictObject({ kind: z.literal('freeze') }),
  z.strictObject({ kind: z.literal('unfreeze') }),
  /** Of two entries with this one's `seq` and `prev`, names the one that stands. Takes no place in the chain itself. */
  z.strictObject({ kind: z.literal('resolve'), stands: recordIdSchema }),
]);
export type Change = z.infer<typeof changeSchema>;

const schema = z
  .strictObject({
    networkId: networkIdSchema,
    workspaceId: recordIdSchema,
    /** Of this entry; the genesis has 0. */
    seq: z.int().min(1),
    /** Id of the entry before. */
    prev: recordIdSchema,
    /** Name of the owner who proposes it. */
    initiator: nameSchema,
    change: changeSchema,
    created: timestampSchema,
    /** Until when it may be decided on. Once it is in the log, time does not matter. */
    expires: timestampSchema,
    nonce: nonceSchema,
  })
  .refine((change) => change.created < change.expires, 'expires is not after created');
export type WorkspaceChange = z.infer<typeof schema>;

/** Credentials that a change brings in: each proves that its holder agrees, and has it, by signing the change. */
export function introducedBy({ change }: Pick<WorkspaceChange, 'change'>): readonly string[] {
  if (change.kind === 'owner.add') return change.owner.credentials;
  return change.kind === 'credential.add' ? [change.credential] : [];
}

/** What is changed, as a wallet shows it. */
function changed(change: Change): Readable {
  switch (change.kind) {
    case 'owner.add':
      return { owner: change.owner.name, credentials: change.owner.credentials };
    case 'owner.remove':
      return { owner: change.owner };
    case 'credential.add':
    case 'credential.remove':
      return { owner: change.owner, credential: change.credential };
    case 'keyring.add':
    case 'keyring.remove':
      return { keyring: change.keyringId };
    case 'policy.admin':
    case 'policy.sign':
    case 'policy.key': {
      const { policy } = change;
      const shown = policy === undefined ? ['none of its own'] : readablePolicy(policy);
      return { ...(change.kind === 'policy.key' && { key: change.keyId }), policy: shown };
    }
    case 'key.disable':
    case 'key.enable':
      return { key: change.keyId };
    case 'child.add':
    case 'child.remove':
      return { child: change.workspaceId };
    case 'resolve':
      return { stands: change.stands };
    case 'freeze':
    case 'unfreeze':
      return {};
  }
}

export const workspaceChange: ShownType<WorkspaceChange> = {
  type: 'workspace.change',
  schema,
  introduces: introducedBy,
  // And its initiator: which credentials are the initiator's, the log before it tells.
  signers: introducedBy,
  readable: ({ workspaceId, seq, prev, initiator, change, expires }) => ({
    action: `Change the workspace: ${change.kind}`,
    workspace: workspaceId,
    ...changed(change),
    entry: `${seq} after ${prev}`,
    initiator,
    until: expires,
  }),
};
