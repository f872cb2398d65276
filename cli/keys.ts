// Keys of the trusted workspace, proven from the records of their makers. What a coordinator says of a key is only used
// to find it.
import { type ProvenKey, VerificationError, verifyKeyView } from '../client/verify.ts';
import { policyOfKey } from '../protocol/authorize.ts';
import type { Hex } from '../protocol/hex.ts';
import type { Policy } from '../protocol/policy/schema.ts';
import type { Workspace } from '../protocol/records/workspace.ts';
import type { KeyView } from '../protocol/rpc.ts';
import type { CommandContext } from './context.ts';
import { CliError } from './errors.ts';
import { allPages, uniqueId, wholeId, withPrefix } from './ids.ts';
import type { WorkspaceSession } from './session.ts';

/** The views of all keys of the workspace, those still being made included. */
export async function listKeys(
  context: CommandContext,
  { client, workspaceId }: WorkspaceSession,
): Promise<KeyView[]> {
  return await allPages((page) =>
    client.call('key_list', { workspaceId, ...page }, { signal: context.signal }),
  );
}

/** The view of the key with that id, unique prefix of an id, or label. Throws CliError `usage` when it is not one. */
export async function findKey(
  context: CommandContext,
  session: WorkspaceSession,
  text: string,
): Promise<KeyView> {
  const whole = wholeId(text);
  if (whole !== undefined) {
    const view = await session.client.call('key_get', { keyId: whole }, { signal: context.signal });
    if (view.keyId === whole) return view;
    throw new CliError('failed', `the coordinator answered with key ${view.keyId}`, 'ask its operator');
  }
  const views = await listKeys(context, session);
  const ids = views.map((view) => view.keyId);
  const labelled = views.filter((view) => view.label === text);
  // A key that was never made does not stand in the way of one with its label.
  const made = labelled.filter((view) => view.state === 'fulfilled');
  const candidates = made.length > 0 ? made : labelled;
  const matching = new Set<Hex>([...candidates.map((view) => view.keyId), ...withPrefix(text, ids)]);
  if (matching.size > 1) {
    const found = [...matching].join(', ');
    throw new CliError(
      'usage',
      `${matching.size} keys are called ${JSON.stringify(text)} (${found})`,
      'give an id',
    );
  }
  const [only] = matching;
  const keyId = only ?? uniqueId(text, [], 'key');
  return views.find((view) => view.keyId === keyId)!;
}

/** Proves a key of the trusted workspace, by a keyring that the workspace's own log names. Throws VerificationError. */
export function proveKey(view: KeyView, workspace: Workspace, networkId: string): ProvenKey {
  const proven = verifyKeyView(view, { networkId, workspaceId: workspace.id });
  if (!workspace.keyrings.includes(proven.keyring.id)) {
    throw new VerificationError('wrong_keyring', `keyring ${proven.keyring.id} is none of the workspace's`);
  }
  return proven;
}

/** The policy that a proven key has of its own, or from the key that it is derived from. Throws VerificationError. */
export async function ownPolicy(
  context: CommandContext,
  session: WorkspaceSession,
  workspace: Workspace,
  proven: ProvenKey,
): Promise<Policy | undefined> {
  const { key } = proven;
  const known = policyOfKey(key, workspace, new Map());
  if (known !== undefined || key.origin === undefined) return known;
  return (await fetchKey(context, session, workspace, key.origin.parent)).key.policy;
}

/** A proven key by its whole id. Throws VerificationError, RpcClientError. */
export async function fetchKey(
  context: CommandContext,
  { client, networkId }: WorkspaceSession,
  workspace: Workspace,
  keyId: Hex,
): Promise<ProvenKey> {
  const view = await client.call('key_get', { keyId }, { signal: context.signal });
  const proven = proveKey(view, workspace, networkId);
  if (proven.key.id === keyId) return proven;
  throw new VerificationError(
    'claims_differ',
    `the coordinator answered with key ${proven.key.id}, asked for ${keyId}`,
  );
}
