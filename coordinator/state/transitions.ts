// The state machine of requests: (request, command, now) -> new request and events, or StateError. Pure; what it may
// conclude it derives from signed records through `authorize`, as every node does again for itself.
import { authorize, maxClockAhead, reconsider, verifyDecision } from '../../protocol/authorize.ts';
import type { Authorisation, RefusalReason, Verdict } from '../../protocol/authorize.ts';
import { sameLogHead, timeOf, timestamp } from '../../protocol/records/fields.ts';
import type { Hex } from '../../protocol/hex.ts';
import { approversOf } from '../../protocol/policy/plan.ts';
import { type Envelope, envelopeId, readContent, RecordError } from '../../protocol/records/envelope.ts';
import { type Decision, decision as decisionRecord } from '../../protocol/records/decision.ts';
import { originOf, type Request, request as requestRecord } from '../../protocol/records/request.ts';
import type { RejectionCode, RequestStateName } from '../../protocol/rpc.ts';
import { StateError, type StateErrorCode } from './error.ts';
import { evidenceOf, isFinal, type Outcome, type RequestContext, type StoredRequest } from './request.ts';

/** Decisions kept of one principal on one request. */
const maxDecisionsPerPrincipal = 20;

const refusals: Record<RefusalReason, [StateErrorCode, string]> = {
  bad_evidence: ['bad_signature', 'sign the record again with a credential of the workspace'],
  stale_log_head: ['stale_log_head', 'read the workspace again and make the request anew'],
  not_served: [
    'wrong_state',
    'the keyring must serve the workspace, and the workspace must list the keyring',
  ],
  wrong_key: ['forbidden', 'use keys of the same workspace and keyring'],
  wrong_parent: ['forbidden', 'derive from a key of the same workspace, keyring and type'],
  parent_is_derived: ['invalid_params', 'make the request anew, with that root and that path'],
  bad_payload: ['invalid_params', 'correct the payload'],
  key_disabled: ['wrong_state', 'use another key, or let the owners enable it'],
  frozen: ['wrong_state', 'let the owners unfreeze the workspace'],
  policy_denied: ['policy_denied', 'ask for something that a rule of the sign policy allows'],
  approvers: ['wrong_state', 'make a new request'],
  cancelled: ['wrong_state', 'make a new request'],
  expired: ['expired', 'make a new request with a later end'],
  too_early: ['expired', 'set the clock of the machine that made the request'],
};

/** The record's error as the coordinator tells it. */
export function recordError(error: unknown): StateError {
  const form = error instanceof RecordError && (error.code === 'malformed' || error.code === 'wrong_network');
  const code = form ? 'invalid_params' : 'bad_signature';
  return new StateError(code, (error as Error).message, 'send a record made and signed for this network');
}

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
  const moved: StoredRequest = { ...request, state, updated: now, ...(reason && { reason }) };
  return { request: moved, events: [stateEvent(moved)] };
}

function pin(request: StoredRequest, authorisation: Authorisation): StoredRequest {
  const { epoch, roster } = authorisation.keyring;
  const parties = roster.parties.map((party) => party.key);
  return { ...request, pinned: { epoch, threshold: roster.threshold, parties } };
}

/** The state that the evidence now gives a request that waits for approvers. */
function judge(request: StoredRequest, verdict: Verdict, now: number): Outcome {
  if (verdict.verdict === 'authorised') return moveTo(pin(request, verdict.authorisation), 'pending', now);
  if (verdict.verdict === 'waiting') return { request, events: [] };
  const { reason, detail } = verdict;
  if (reason === 'approvers' || reason === 'cancelled')
    return moveTo(request, 'rejected', now, { code: reason, detail });
  if (reason === 'stale_log_head')
    return moveTo(request, 'rejected', now, { code: 'policy_changed', detail });
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

/** A new request from its initiator's signed record: `partial`, or `pending` when the policy is satisfied already. */
export function submitRequest(context: RequestContext, envelope: Envelope, now: number): Outcome {
  const evidence = {
    log: [...context.log],
    roster: context.roster,
    request: envelope,
    decisions: [],
    keys: context.keys,
  };
  const verdict = authorize(evidence, { networkId: context.networkId, now });
  if (verdict.verdict === 'refused') throw new StateError(...withMessage(verdict.reason, verdict.detail));
  const { requestId, request: content, workspace, keyring, expires } = verdict.authorisation;
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
    created: now,
    expires,
    updated: now,
  };
  const judged = judge(request, verdict, now);
  return judged.events.length > 0 ? judged : { request, events: [stateEvent(request)] };
}

function checkSeq(request: StoredRequest, decision: Decision, cancels: boolean, networkId: string): void {
  const { principal, seq } = decision;
  const earlier = request.decisions
    .map((held) => readContent(decisionRecord, held, networkId).content)
    .filter((held) => held.principal === principal);
  const last = Math.max(0, ...earlier.map((held) => held.seq));
  if (seq <= last) {
    const remedy = `decide again with a seq above ${last}`;
    throw new StateError(
      'wrong_state',
      `${principal} has made decision ${last} on this request already`,
      remedy,
    );
  }
  // However often its initiator has decided, a request can be taken back.
  if (earlier.length >= maxDecisionsPerPrincipal && !cancels) {
    const remedy = 'let the initiator cancel the request and make a new one';
    throw new StateError(
      'wrong_state',
      `${principal} has decided ${earlier.length} times on this request`,
      remedy,
    );
  }
}

/** A decision that is about this request in the workspace's present state, by one of its owners. Throws StateError. */
function readDecision(envelope: Envelope, authorisation: Authorisation, networkId: string): Decision {
  try {
    const { logHead } = readContent(decisionRecord, envelope, networkId).content;
    const { head } = authorisation.workspace;
    if (!sameLogHead(logHead, head)) {
      const message = `the decision was made at log entry ${logHead.seq} ${logHead.id}, the head is ${head.seq} ${head.id}`;
      throw new StateError('stale_log_head', message, 'read the workspace again and decide anew');
    }
    return verifyDecision(envelope, authorisation, networkId);
  } catch (error) {
    throw error instanceof StateError ? error : recordError(error);
  }
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
  const content = readDecision(envelope, before, networkId);
  const id = envelopeId(envelope, networkId);
  if (request.decisions.some((held) => envelopeId(held, networkId) === id)) return { request, events: [] };
  if (isFinal(request) || (request.state === 'pending' && content.decision === 'reject')) {
    throw new StateError(
      'wrong_state',
      `the request is ${request.state}`,
      'decide while it is partial; only approvals can be renewed while it is pending',
    );
  }
  const approvers = approversOf(before.plan);
  const cancels = content.decision === 'reject' && content.principal === before.request.initiator;
  if (!approvers.has(content.principal) && !cancels) {
    throw new StateError(
      'forbidden',
      `${content.principal} is no approver of this request`,
      `ask one of its approvers: ${[...approvers].join(', ')}`,
    );
  }
  if (content.decision === 'approve' && timeOf(content.expires) <= now) {
    throw new StateError('expired', `the approval ran out at ${content.expires}`, 'approve again');
  }
  checkSeq(request, content, cancels, networkId);
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
  const verdict = reconsider(before, evidenceOf(decided, context), { networkId, now });
  const judged = judge(decided, verdict, now);
  return { request: judged.request, events: [event, ...judged.events] };
}

/** What a stored request asks for, whatever its approvals and the time are. Throws StateError when the store is wrong. */
export function authorisationOf(request: StoredRequest, context: RequestContext): Authorisation {
  // Without decisions a stored request is authorised or waiting as long as it lasts. Judged at its last moment it is
  // neither over nor, after a clock was set back, too early.
  const evidence = { ...evidenceOf(request, context), decisions: [] };
  const verdict = authorize(evidence, { networkId: context.networkId, now: request.expires - 1 });
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

/** The initiator's name, for the log. */
export function initiatorOf(request: StoredRequest, networkId: string): string {
  return readContent(requestRecord, request.envelope, networkId).content.initiator;
}
