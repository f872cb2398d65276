// Workspaces beside a world's own, served by the same keyring.
import { toHex } from '../../protocol/hex.ts';
import { defaultAdminPolicy, type Policy } from '../../protocol/policy/schema.ts';
import { createRecord, type Signer } from '../../protocol/records/envelope.ts';
import { timestamp } from '../../protocol/records/fields.ts';
import { openWorkspace } from '../../protocol/records/workspace.ts';
import { workspaceGenesis } from '../../protocol/records/workspace-genesis.ts';
import { networkId, seedOf, start, type World } from './fixture.ts';

/** Whoever owns the workspace alone may do everything. */
export const anyOwner: Policy = {
  version: 1,
  rules: [
    {
      id: 'any',
      effect: 'allow',
      when: { kind: ['solana.transaction', 'message', 'key.request'] },
      require: { k: 1, of: 'owners' },
    },
  ],
};

/** A workspace of these owners, signed by the first, that uses the keyring of `world`. */
export function workspaceBeside(
  world: World,
  owners: Readonly<Record<string, Signer>>,
  signPolicy: Policy = anyOwner,
  name = world.workspace.name,
  adminPolicy = defaultAdminPolicy(Object.keys(owners).length),
): World {
  const genesis = createRecord(
    workspaceGenesis,
    {
      networkId,
      name,
      owners: Object.entries(owners).map(([owner, { credential }]) => ({
        name: owner,
        credentials: [credential],
      })),
      keyrings: [world.keyring.id],
      adminPolicy,
      signPolicy,
      created: timestamp(start),
      nonce: toHex(seedOf('beside', name, ...Object.keys(owners)).subarray(0, 16)),
    },
    Object.values(owners)[0]!,
  );
  return { ...world, owners, genesis, workspace: openWorkspace([genesis], networkId) };
}
