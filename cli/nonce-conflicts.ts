// EVM transactions of one key with one nonce: at most one of them can happen. Found in the signed bytes of the requests that
// a coordinator lists as open; one that hides some hides the warning with them, and nothing else.
import type { Hex } from '../protocol/hex.ts';
import { decodePayload, type Payload, type PayloadKey } from '../protocol/payloads/payload.ts';
import type { Workspace } from '../protocol/records/workspace.ts';
import type { RequestView } from '../protocol/rpc.ts';
import type { CommandContext } from './context.ts';
import { allPages } from './ids.ts';
import { proveRequest } from './requests.ts';
import type { WorkspaceSession } from './session.ts';

/** An item of the request that is looked at. */
export interface NonceItem {
  readonly keyId: Hex;
  readonly key: PayloadKey;
  readonly payload: Payload;
}

/** A key, a chain and a nonce; undefined for what has none, or cannot be decoded. */
function nonceOf(keyId: Hex, key: PayloadKey, payload: Payload): string | undefined {
  if (payload.kind !== 'evm.transaction') return undefined;
  try {
    const { facts } = decodePayload(payload, key);
    return facts.kind === 'evm.transaction' ? `${keyId} ${facts.nonce} ${facts.chain}` : undefined;
  } catch {
    return undefined; // Nobody will sign it.
  }
}

async function openRequests(
  context: CommandContext,
  { client, workspaceId }: WorkspaceSession,
): Promise<RequestView[]> {
  const views = [];
  for (const state of ['partial', 'pending'] as const) {
    const some = await allPages((after) =>
      client.call(
        'sign_list',
        { workspaceId, state, limit: 200, ...(after !== undefined && { after }) },
        { signal: context.signal },
      ),
    );
    views.push(...some);
  }
  return views;
}

/** Nonces that a listed request uses; none when it does not verify, for then nobody signs it. */
function noncesOf(
  view: RequestView,
  keys: ReadonlyMap<Hex, PayloadKey>,
  workspace: Workspace,
  networkId: string,
): string[] {
  try {
    const { content } = proveRequest(view, view.requestId, workspace, networkId);
    if (content.kind !== 'sign') return [];
    return content.items.flatMap(({ keyId, payload }) => {
      const key = keys.get(keyId);
      return key === undefined ? [] : (nonceOf(keyId, key, payload) ?? []);
    });
  } catch {
    return [];
  }
}

function warning(use: string, whose: string): string {
  const [, nonce, chain] = use.split(' ');
  return `${whose} uses nonce ${nonce} of the same key on ${chain} as well: only one of these transactions can happen`;
}

/**
 * Warnings, one for each nonce that another open request uses too, or that these items use twice. `requestId`: the request
 * that they are items of, once there is one. Throws RpcClientError.
 */
export async function nonceWarnings(
  context: CommandContext,
  session: WorkspaceSession,
  workspace: Workspace,
  items: readonly NonceItem[],
  requestId?: Hex,
): Promise<string[]> {
  const uses = items.flatMap(({ keyId, key, payload }) => nonceOf(keyId, key, payload) ?? []);
  if (uses.length === 0) return [];
  const own = new Set(uses);
  const twice = [...own].filter((use) => uses.indexOf(use) !== uses.lastIndexOf(use));
  const keys = new Map(items.map(({ keyId, key }) => [keyId, key]));
  const others = (await openRequests(context, session))
    .filter((view) => view.requestId !== requestId)
    .flatMap((view) =>
      [...new Set(noncesOf(view, keys, workspace, session.networkId))]
        .filter((use) => own.has(use))
        .map((use) => warning(use, `request ${view.requestId}, which is open,`)),
    );
  return [...twice.map((use) => warning(use, 'another item of this request')), ...others];
}
