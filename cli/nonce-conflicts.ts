// What nonces say of transactions: of those that use one nonce, of a key on an EVM chain or of a nonce account on Solana, at
// most one can happen; and a Solana transaction without one is dead in a minute. Found in the signed bytes of the requests
// that a coordinator lists as open; one that hides some hides the warning with them, and nothing else.
import { fromHex, type Hex } from '../protocol/hex.ts';
import {
  type DecodedPayload,
  decodePayload,
  type Payload,
  type PayloadKey,
} from '../protocol/payloads/payload.ts';
import { lifetimeOf } from '../protocol/payloads/solana-lifetime.ts';
import { parseSolanaMessage } from '../protocol/payloads/solana-message.ts';
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

/** A use of a nonce, told in words by `nonce`: the same words are the same nonce. */
interface NonceUse {
  readonly nonce: string;
  readonly keyId: Hex;
  /** Solana only, where one transaction can have the signatures of several keys. */
  readonly message?: Hex;
}

/** Undefined for what uses no nonce, or cannot be decoded; on an EVM chain also where the key is not known. */
function useOf(keyId: Hex, key: PayloadKey | undefined, payload: Payload): NonceUse | undefined {
  try {
    if (payload.kind === 'solana.transaction') {
      const lifetime = lifetimeOf(parseSolanaMessage(fromHex(payload.message)));
      if (lifetime.kind !== 'durableNonce') return undefined;
      const nonce = `nonce ${lifetime.nonce} of account ${lifetime.nonceAccount}`;
      return { nonce, keyId, message: payload.message };
    }
    if (payload.kind !== 'evm.transaction' || key === undefined) return undefined;
    const { facts } = decodePayload(payload, key);
    if (facts.kind !== 'evm.transaction') return undefined;
    return { nonce: `nonce ${facts.nonce} of the same key on ${facts.chain}`, keyId };
  } catch {
    return undefined; // Nobody will sign it.
  }
}

/** Whether at most one of the two can happen. The same transaction, to be signed by another key, is not another one. */
function conflict(one: NonceUse, other: NonceUse): boolean {
  if (one.nonce !== other.nonce) return false;
  if (one.message === undefined) return one.keyId === other.keyId;
  return one.keyId === other.keyId || one.message !== other.message;
}

async function openRequests(
  context: CommandContext,
  { client, workspaceId }: WorkspaceSession,
): Promise<RequestView[]> {
  const views = [];
  for (const state of ['partial', 'pending'] as const) {
    const some = await allPages((page) =>
      client.call('sign_list', { workspaceId, state, ...page }, { signal: context.signal }),
    );
    views.push(...some);
  }
  return views;
}

/** Nonces that a listed request uses; none when it does not verify, for then nobody signs it. */
function usesOf(
  view: RequestView,
  keys: ReadonlyMap<Hex, PayloadKey>,
  workspace: Workspace,
  networkId: string,
): NonceUse[] {
  try {
    const { content } = proveRequest(view, view.requestId, workspace, networkId);
    if (content.kind !== 'sign') return [];
    return content.items.flatMap(({ keyId, payload }) => useOf(keyId, keys.get(keyId), payload) ?? []);
  } catch {
    return [];
  }
}

function warning(nonce: string, whose: string): string {
  return `${whose} uses ${nonce} as well: only one of these transactions can happen`;
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
  const uses = items.flatMap(({ keyId, key, payload }) => useOf(keyId, key, payload) ?? []);
  if (uses.length === 0) return [];
  const twice = uses.filter((use, index) => uses.slice(0, index).some((before) => conflict(before, use)));
  const keys = new Map(items.map(({ keyId, key }) => [keyId, key]));
  const others = (await openRequests(context, session))
    .filter((view) => view.requestId !== requestId)
    .flatMap((view) => {
      const conflicting = usesOf(view, keys, workspace, session.networkId).filter((use) =>
        uses.some((own) => conflict(own, use)),
      );
      return [...new Set(conflicting.map(({ nonce }) => nonce))].map((nonce) =>
        warning(nonce, `request ${view.requestId}, which is open,`),
      );
    });
  const own = [...new Set(twice.map(({ nonce }) => nonce))];
  return [...own.map((nonce) => warning(nonce, 'another item of this request')), ...others];
}

/** A warning when one of the payloads is a Solana transaction that will be dead before approvals usually are there. */
export function expiryWarnings(payloads: readonly DecodedPayload[]): string[] {
  const expires = payloads.some(({ facts }) => 'lifetime' in facts && facts.lifetime.kind === 'blockhash');
  return expires
    ? [
        'the Solana transaction has a recent blockhash, and expires after about 150 slots, about a minute: it is only of use ' +
          'when its approvals are there at once; use a durable nonce',
      ]
    : [];
}
