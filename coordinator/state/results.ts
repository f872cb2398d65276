// Party results: who may hand one in, whether it counts, and what the count means for the request.
import type { Authorisation } from '../../protocol/authorize.ts';
import { sameKeyResult } from '../../protocol/keys/certificate.ts';
import {
  checkPartyResult,
  PartyResultError,
  type PartyResultErrorCode,
  verifyPartyResult,
} from '../../protocol/party-results.ts';
import type { Envelope, VerifiedRecord } from '../../protocol/records/envelope.ts';
import { timestamp } from '../../protocol/records/fields.ts';
import type { PartyResult } from '../../protocol/records/party-result.ts';
import { recordError, StateError } from './error.ts';
import { type Outcome, type RequestContext, resultContent, type StoredRequest, votesOf } from './request.ts';
import { authorisationOf, moveTo } from './transitions.ts';

/** What a result changed. `conflict`: it contradicts this party's first one, which stands; it was recorded apart. */
export interface ResultOutcome extends Outcome {
  readonly counted: boolean;
  readonly conflict: boolean;
}

/** What a caller is told of a result that is worth nothing. */
const refusals: Readonly<Record<PartyResultErrorCode, readonly [code: StateError['code'], remedy: string]>> =
  {
    outsider: ['forbidden', 'only parties of the keyring have results'],
    wrong_subject: ['invalid_params', 'send it where it belongs'],
    wrong_kind: ['invalid_params', 'send what the request asks for, or a refusal'],
    bad_key: ['bad_signature', 'the node must report the key it confirmed'],
    not_derived: ['bad_signature', 'the node must report the key that the parent and the path give'],
    item_count: ['invalid_params', 'send one signature an item'],
    bad_signature: ['bad_signature', 'it was not counted: sign the bytes that the payload decodes to'],
  };

/** Everything about a result by itself: judged before any state is touched. Throws StateError. */
function verifyResult(
  envelope: Envelope,
  authorisation: Authorisation,
  networkId: string,
): VerifiedRecord<PartyResult> {
  try {
    const record = verifyPartyResult(envelope, authorisation, networkId);
    checkPartyResult(record.content, authorisation);
    return record;
  } catch (error) {
    if (!(error instanceof PartyResultError)) throw recordError(error);
    const [code, remedy] = refusals[error.code];
    throw new StateError(code, error.message, remedy);
  }
}

/** What the count now means. */
function conclude(
  request: StoredRequest,
  authorisation: Authorisation,
  networkId: string,
  now: number,
): Outcome {
  const { threshold, parties } = authorisation.keyring.roster;
  const votes = votesOf(request, threshold, parties.length, networkId);
  if (request.kind === 'sign') {
    if (votes.have >= threshold) return moveTo(request, 'fulfilled', now);
    if (votes.refused > parties.length - threshold) {
      const detail = `${votes.refused} of ${parties.length} parties refused, ${threshold} are needed`;
      return moveTo(request, 'rejected', now, { code: 'parties', detail });
    }
    return { request, events: [] };
  }
  const contents = request.results.map((envelope) => resultContent(envelope, networkId));
  const refusal = contents.find((content) => content.result.kind === 'refusal');
  if (refusal?.result.kind === 'refusal') {
    const detail = `${refusal.party} refused: ${refusal.result.code}: ${refusal.result.reason}`;
    return moveTo(request, 'rejected', now, { code: 'parties', detail: detail.slice(0, 500) });
  }
  const keys = contents.flatMap(({ party, result }) => (result.kind === 'key' ? [{ party, result }] : []));
  const odd = keys.find(({ result }) => !sameKeyResult(result, (keys[0] as (typeof keys)[number]).result));
  if (odd) {
    const detail = `${odd.party} reports another key than ${keys[0]?.party}`;
    return moveTo(request, 'rejected', now, { code: 'parties', detail });
  }
  return votes.have === parties.length ? moveTo(request, 'fulfilled', now) : { request, events: [] };
}

/** Where a party's result goes beside what it said before. */
function place(request: StoredRequest, envelope: Envelope, content: PartyResult, networkId: string) {
  const index = request.results.findIndex((held) => resultContent(held, networkId).party === content.party);
  const held = request.results[index];
  if (held === undefined) return { results: [...request.results, envelope], conflict: false };
  if (held.bytes === envelope.bytes) return { results: request.results, conflict: false };
  const replaces =
    resultContent(held, networkId).result.kind === 'refusal' && content.result.kind !== 'refusal';
  // A key has one result a party, ever; a signature makes up for a refusal to sign while the request is pending.
  if (replaces && request.kind === 'sign' && request.state === 'pending') {
    return { results: request.results.with(index, envelope), conflict: false };
  }
  return { results: request.results, conflict: true };
}

/**
 * One party's result. A resent one is a no-op, another one by the same party keeps the first. Nothing that a party sends
 * ends a request unless the count says so. Throws StateError when the result is worth nothing.
 */
export function submitResult(
  request: StoredRequest,
  context: RequestContext,
  envelope: Envelope,
  now: number,
): ResultOutcome {
  const { networkId } = context;
  const authorisation = authorisationOf(request, context);
  const { id, content } = verifyResult(envelope, authorisation, networkId);
  if (request.state === 'partial') {
    throw new StateError('wrong_state', 'the request still awaits its approvers', 'wait until it is pending');
  }
  const { results, conflict } = place(request, envelope, content, networkId);
  if (conflict) {
    const known = request.conflicts.some((held) => resultContent(held, networkId).party === content.party);
    const conflicts = known ? request.conflicts : [...request.conflicts, envelope];
    return {
      request: known ? request : { ...request, conflicts, updated: now },
      events: [],
      counted: false,
      conflict: true,
    };
  }
  if (results === request.results)
    return { request, events: [], counted: request.state !== 'rejected', conflict: false };
  if (request.state === 'rejected') {
    throw new StateError(
      'wrong_state',
      `the request was rejected: ${request.reason?.code ?? ''}`,
      'drop the result: it came too late',
    );
  }
  const first =
    content.result.kind === 'signatures' && request.signatures === undefined
      ? content.result.signatures
      : undefined;
  const voted: StoredRequest = { ...request, results, updated: now, ...(first && { signatures: first }) };
  const { threshold, parties } = authorisation.keyring.roster;
  const event: Outcome['events'][number] = {
    type: 'request.result',
    requestId: request.requestId,
    resultId: id,
    party: content.party,
    result: content.result.kind,
    votes: votesOf(voted, threshold, parties.length, networkId),
    at: timestamp(now),
  };
  // A fulfilled request stays so; parties that come later are still counted.
  const concluded =
    request.state === 'pending'
      ? conclude(voted, authorisation, networkId, now)
      : { request: voted, events: [] };
  return { request: concluded.request, events: [event, ...concluded.events], counted: true, conflict: false };
}
