// The state machine of requests: (request, command, now) -> new request and events, or StateError. Pure; what it may
// conclude it derives from signed records through `authorize`, as every node does again for itself.
import { authorize, maxClockAhead, reconsider, verifyDecision } from '../../protocol/authorize.ts';
import type { Authorisation, RefusalReason, Trust, Verdict } from '../../protocol/authorize.ts';
import { type LogHead, sameLogHead, timeOf, timestamp } from '../../protocol/records/fields.ts';
import type { Hex } from '../../protocol/hex.ts';
import { approversOf, type Plan, windowOf } from '../../protocol/policy/plan.ts';
import { type Envelope, envelopeId } from '../../protocol/records/envelope.ts';
import { originOf, type Request } from '../../protocol/records/request.ts';
import type { RejectionCode, RequestStateName } from '../../protocol/rpc.ts';
import { checkDecision, type Decidable, isHeld, readDecision } from './decisions.ts';
import { StateError, type StateErrorCode } from './error.ts';
import {
  contentOf,
  evidenceOf,
  isFinal,
  type Outcome,
  type RequestContext,
  type StoredRequest,
} from './request.ts';

const refusals: Record<RefusalReason, [StateErrorCode, string]> = {
  bad_evidence: ['bad_signature', 'sign the record again with a credential of the workspace'],
  stale_log_head: ['stale_log_head', 'read the workspace again and make the request anew'],
  not_served: [
    'wrong_state',
    'the keyring must serve the workspace, and the workspace must list the keyring; a parent must list its child',
  ],
  wrong_key: ['forbidden', 'use keys of the same workspace and keyring'],
  wrong_parent: ['forbidden', 'derive from a key of the same workspace, keyring and type'],
  parent_is_derived: ['invalid_params', 'make the request anew, with that root and that path'],
  bad_payload: ['invalid_params', 'correct the payload'],
  key_disabled: ['wrong_state', 'use another key, or let the owners decide on a change `key.enable`'],
  frozen: ['wrong_state', 'let the owners decide on a change `unfreeze`'],
  policy_denied: ['policy_denied', 'ask for something that a rule of the sign policy allows'],
  approvers: ['wrong_state', 'make a new request'],
  cancelled: ['wrong_state', 'make a new request'],
  expired: ['expired', 'make a new request with a later end'],
  too_early: ['expired', 'set the clock of the machine that made the request'],
};

function stateEvent(request: StoredRequest): Outcome['events'][number] {
  const { requestId, kind, state, reason, updated } = request;
  return { type: 'request.state', requestId, kind, state, at: timestamp(updated), ...(reason && { reason }) };
}

/** Moves a request to another state. */
export function moveTo(
  request: StoredRequest,
  state: RequestStateName,
  now: number,
  reason?: { code: RejectionCode; detail: string },
): Outcome {
  const { due: _, ...rest } = request;
  const moved: StoredRequest = { ...rest, state, updated: now, ...(reason && { reason }) };
  return { request: moved, events: [stateEvent(moved)] };
}

function pin(request: StoredRequest, authorisation: Authorisation): StoredRequest {
  const { epoch, roster } = authorisation.keyring;
  const parties = roster.parties.map((party) => party.key);
  return { ...request, pinned: { epoch, threshold: roster.threshold, parties } };
}

/** The request as it waits: until `until`, if time alone may change its state before it ends. */
function waiting(request: StoredRequest, until: number | undefined, now: number): StoredRequest {
  const { due, ...rest } = request;
  // Whatever is said of it, the time at which it is looked at again lies ahead.
  const next = until === undefined ? Infinity : Math.max(until, now + 1);
  if (next >= request.expires) return due === undefined ? request : rest;
  return next === due ? request : { ...rest, due: next };
}

/** The state that the evidence now gives a request that waits for approvers. */
function judge(request: StoredRequest, verdict: Verdict, now: number): Outcome {
  if (verdict.verdict === 'authorised') {
    const { authorisation } = verdict;
    const { debits } = authorisation.plan;
    const moved = moveTo(pin(request, authorisation), 'pending', now);
    return debits.length === 0 ? moved : { ...moved, debits };
  }
  if (verdict.verdict === 'waiting') return { request: waiting(request, verdict.until, now), events: [] };
  const { reason, detail } = verdict;
  if (reason === 'approvers' || reason === 'cancelled')
    return moveTo(request, 'rejected', now, { code: reason, detail });
  throw new StateError(...withMessage(reason, detail));
}

function withMessage(reason: RefusalReason, detail: string): [StateErrorCode, string, string] {
  const [code, remedy] = refusals[reason];
  return [code, detail, remedy];
}

/** The keys that a request names: those that are to sign, or the parent of the one to be derived. */
export function keyIdsOf(content: Request): Hex[] {
  if (content.kind === 'sign') return [...new Set(content.items.map((item) => item.keyId))];
  const origin = originOf(content);
  return origin === undefined ? [] : [origin.parent];
}

/** What time and limits of the rules mean for how a request is kept. */
function timingOf(plan: Plan): Pick<StoredRequest, 'notice' | 'windowMs'> {
  const rules = plan.items.flatMap((item) => item.rules);
  const windowMs = windowOf(plan);
  return {
    ...(rules.some(({ delayMs }) => delayMs > 0) && { notice: true as const }),
    ...(windowMs !== undefined && { windowMs }),
  };
}

/**
 * A new request from its initiator's signed record: `partial`, or `pending` when the policy is satisfied already. One that has
 * a `windowMs` is judged again with the ledger: without it its limits allow nothing.
 */
export function submitRequest(context: RequestContext, envelope: Envelope, now: number): Outcome {
  const { networkId, ledger } = context;
  const evidence = evidenceOf({ envelope, decisions: [] }, context);
  const verdict = authorize(evidence, { networkId, now, ...(ledger && { ledger }) });
  if (verdict.verdict === 'refused') throw new StateError(...withMessage(verdict.reason, verdict.detail));
  const { requestId, request: content, workspace, keyring, expires, plan } = verdict.authorisation;
  if (timeOf(content.created) < now - maxClockAhead) {
    throw new StateError(
      'expired',
      `made at ${content.created}, more than 5 minutes ago`,
      'check the clock and make it anew',
    );
  }
  const request: StoredRequest = {
    requestId,
    kind: content.kind,
    workspaceId: workspace.id,
    keyringId: keyring.id,
    keyIds: keyIdsOf(content),
    state: 'partial',
    envelope,
    decisions: [],
    results: [],
    conflicts: [],
    ...timingOf(plan),
    created: now,
    expires,
    updated: now,
  };
  const judged = judge(request, verdict, now);
  return judged.events.length > 0 ? judged : { ...judged, events: [stateEvent(request)] };
}

/** With which trust a request is judged that is stored: its delays count from when it was. */
export function trustIn({ networkId, ledger }: RequestContext, request: StoredRequest, now: number): Trust {
  return { networkId, now, firstSeen: request.created, ...(ledger && { ledger }) };
}

/** The state that time and limits now give a request that waits; anything else is left as it is. */
export function rejudge(request: StoredRequest, context: RequestContext, now: number): Outcome {
  if (request.state !== 'partial') return { request, events: [] };
  const authorisation = authorisationOf(request, context);
  const verdict = reconsider(authorisation, evidenceOf(request, context), trustIn(context, request, now));
  return judge(request, verdict, now);
}

/** An approver's decision. The same record again is a no-op. */
export function decide(
  request: StoredRequest,
  context: RequestContext,
  envelope: Envelope,
  now: number,
): Outcome {
  const { networkId } = context;
  const before = authorisationOf(request, context);
  const decidable: Decidable = {
    initiator: before.request.initiator,
    approvers: approversOf(before.plan),
    head: before.workspace.head,
    verify: (each) => verifyDecision(each, before, networkId),
  };
  const content = readDecision(envelope, decidable, networkId);
  const id = envelopeId(envelope, networkId);
  if (isHeld(request.decisions, id, networkId)) return { request, events: [] };
  if (isFinal(request) || (request.state === 'pending' && content.decision !== 'approve')) {
    throw new StateError(
      'wrong_state',
      `the request is ${request.state}`,
      'decide while it is partial; only approvals can be renewed while it is pending',
    );
  }
  checkDecision(content, decidable, request.decisions, now, networkId);
  const decided: StoredRequest = { ...request, decisions: [...request.decisions, envelope], updated: now };
  const event: Outcome['events'][number] = {
    type: 'request.decision',
    requestId: request.requestId,
    decisionId: id,
    principal: content.principal,
    decision: content.decision,
    at: timestamp(now),
  };
  if (request.state === 'pending') return { request: decided, events: [event] };
  const verdict = reconsider(before, evidenceOf(decided, context), trustIn(context, request, now));
  const judged = judge(decided, verdict, now);
  return { ...judged, events: [event, ...judged.events] };
}

/** What a stored request asks for, whatever its approvals and the time are. Throws StateError when the store is wrong. */
export function authorisationOf(request: StoredRequest, context: RequestContext): Authorisation {
  const { networkId } = context;
  // Without decisions a stored request is authorised or waiting as long as it lasts. Judged at the moment at which it was made
  // it is neither over nor, after a clock was set back, too early; nor is a rule over that allows nothing later.
  const evidence = { ...evidenceOf(request, context), decisions: [] };
  const verdict = authorize(evidence, { networkId, now: timeOf(contentOf(request, networkId).created) });
  if (verdict.verdict === 'refused') throw new StateError(...withMessage(verdict.reason, verdict.detail));
  return verdict.authorisation;
}

/** Ends a request whose time is over; anything else is left as it is. */
export function expire(request: StoredRequest, now: number): Outcome {
  if (isFinal(request) || now < request.expires) return { request, events: [] };
  const at = timestamp(request.expires);
  return request.state === 'partial'
    ? moveTo(request, 'rejected', now, { code: 'approval_timeout', detail: `not approved until ${at}` })
    : moveTo(request, 'rejected', now, {
        code: 'mpc_timeout',
        detail: `not signed by enough parties until ${at}`,
      });
}

/** Heads of the logs of a workspace and, if it has one, of its parent. */
export interface Heads {
  readonly log: LogHead;
  readonly parent?: LogHead;
}

/** Ends a request whose time is over, or whose workspace or its parent is no longer as it was when it was made. */
export function lapse(request: StoredRequest, heads: Heads, networkId: string, now: number): Outcome {
  const ended = expire(request, now);
  if (isFinal(ended.request)) return ended;
  const { logHead, parentHead } = contentOf(request, networkId);
  const told = (what: string, made: LogHead, head: LogHead): Outcome => {
    const detail = `the ${what} is at log entry ${head.seq} ${head.id}, the request was made at ${made.seq}`;
    return moveTo(request, 'rejected', now, { code: 'policy_changed', detail });
  };
  if (!sameLogHead(logHead, heads.log)) return told('workspace', logHead, heads.log);
  if (parentHead !== undefined && heads.parent !== undefined && !sameLogHead(parentHead, heads.parent))
    return told('parent workspace', parentHead, heads.parent);
  return { request, events: [] };
}

/** The initiator's name, for the log. */
export function initiatorOf(request: StoredRequest, networkId: string): string {
  return contentOf(request, networkId).initiator;
}
