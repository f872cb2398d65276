// What readers are shown of stored state; every authority in it is a record they can verify themselves.
import { type Authorisation, reconsider } from '../../protocol/authorize.ts';
import { fromHex, type Hex } from '../../protocol/hex.ts';
import { addressesOf } from '../../protocol/keys/key-type.ts';
import { assembleAll } from '../../protocol/payloads/payload.ts';
import type { Hold, Missing } from '../../protocol/policy/judge.ts';
import type { Receipt } from '../../protocol/receipt.ts';
import { type Envelope, readContent } from '../../protocol/records/envelope.ts';
import { timestamp } from '../../protocol/records/fields.ts';
import { originOf, request as requestRecord } from '../../protocol/records/request.ts';
import type { KeyView, RequestView } from '../../protocol/rpc.ts';
import { StateError } from './error.ts';
import {
  evidenceOf,
  keyEntry,
  type RequestContext,
  resultContent,
  type StoredRequest,
  votesOf,
} from './request.ts';
import { authorisationOf, trustIn } from './transitions.ts';

function transactionsOf(request: StoredRequest, authorisation: Authorisation): RequestView['transactions'] {
  if (request.state !== 'fulfilled' || request.signatures === undefined) return undefined;
  if (authorisation.request.kind !== 'sign') return undefined;
  const signed = authorisation.request.items.flatMap(({ payload }, item) => {
    const opened = authorisation.items[item];
    const signature = request.signatures?.[item];
    if (opened === undefined || signature === undefined) return [];
    const { keyType, publicKey } = opened.key;
    const key = { keyType, publicKey: fromHex(publicKey) };
    return [{ item, payload, key, signature: fromHex(signature), decoded: opened.payload }];
  });
  const built = assembleAll(signed).flatMap(({ transaction, psbt, missing = [] }, index) => {
    const { item } = signed[index]!;
    if (transaction === undefined && psbt === undefined) return [];
    return [{ item, ...(transaction && { transaction }), ...(psbt && { psbt }), missing: [...missing] }];
  });
  return built.length > 0 ? built : undefined;
}

/** What an action still waits for, as views show it. */
export function waitsFor(
  missing: readonly Missing[],
  holds: readonly Hold[],
): Pick<RequestView, 'missing' | 'holds'> {
  return {
    missing: missing.map(({ rule, need, have, from, credential }) => ({
      rule,
      need,
      have: [...have],
      from: [...from],
      ...(credential && { credential: [...credential] }),
    })),
    ...(holds.length > 0 && {
      holds: holds.map(({ rule, hold, until, detail }) => ({
        rule,
        hold,
        ...(until !== undefined && { until: timestamp(until) }),
        detail,
      })),
    }),
  };
}

function waitingOf(
  request: StoredRequest,
  context: RequestContext,
  authorisation: Authorisation,
  now: number,
): Pick<RequestView, 'missing' | 'holds'> {
  if (request.state !== 'partial' && request.state !== 'pending') return {};
  const verdict = reconsider(authorisation, evidenceOf(request, context), trustIn(context, request, now));
  return verdict.verdict === 'waiting' ? waitsFor(verdict.missing, verdict.holds) : {};
}

/** How a request stands at `now`. */
export function requestView(request: StoredRequest, context: RequestContext, now: number): RequestView {
  const authorisation = authorisationOf(request, context);
  const { threshold, parties } = authorisation.keyring.roster;
  const transactions = transactionsOf(request, authorisation);
  return {
    requestId: request.requestId,
    kind: request.kind,
    workspaceId: request.workspaceId,
    keyringId: request.keyringId,
    state: request.state,
    ...(request.reason && { reason: { ...request.reason } }),
    request: request.envelope,
    decisions: [...request.decisions],
    ...waitingOf(request, context, authorisation, now),
    votes: votesOf(request, threshold, parties.length, context.networkId),
    results: [...request.results],
    ...(request.state === 'fulfilled' && request.signatures && { signatures: [...request.signatures] }),
    ...(transactions && { transactions }),
    mayHaveBeenSigned:
      request.kind === 'sign' && request.state === 'rejected' && request.pinned !== undefined,
    created: timestamp(request.created),
    expires: timestamp(request.expires),
    updated: timestamp(request.updated),
  };
}

/** The public key that a fulfilled key request made. */
export function publicKeyOfRequest(request: StoredRequest, networkId: string): Hex | undefined {
  const [first] = request.results;
  if (request.kind !== 'key' || request.state !== 'fulfilled' || first === undefined) return undefined;
  const { result } = resultContent(first, networkId);
  return result.kind === 'key' ? result.publicKey : undefined;
}

/** A key, from the key request that made it; `parent`: of a derived key, the key it comes from. */
export function keyView(
  request: StoredRequest,
  roster: Envelope,
  networkId: string,
  parent?: StoredRequest,
): KeyView {
  const { content } = readContent(requestRecord, request.envelope, networkId);
  if (content.kind !== 'key') throw new TypeError(`${request.requestId} is not a key request`);
  const publicKey = publicKeyOfRequest(request, networkId);
  return {
    keyId: request.requestId,
    workspaceId: request.workspaceId,
    keyringId: request.keyringId,
    label: content.label,
    keyType: content.keyType,
    state: request.state,
    ...(publicKey && { publicKey }),
    addresses: publicKey ? [...addressesOf(content.keyType, fromHex(publicKey))] : [],
    request: request.envelope,
    certificate: [...request.results],
    ...originOf(content),
    ...(parent && { parentKey: keyEntry(parent) }),
    roster,
  };
}

/** The receipt of a fulfilled request. Throws StateError `wrong_state` for another. */
export function receiptOf(request: StoredRequest, context: RequestContext): Receipt {
  const { networkId } = context;
  if (request.state !== 'fulfilled')
    throw new StateError(
      'wrong_state',
      `the request is ${request.state}`,
      'only fulfilled requests have receipts',
    );
  return {
    type: 'countersign.receipt',
    version: 1,
    networkId,
    evidence: evidenceOf(request, context),
    results: request.results.filter(
      (envelope) => resultContent(envelope, networkId).result.kind !== 'refusal',
    ),
    ...(request.signatures && { signatures: [...request.signatures] }),
  };
}
