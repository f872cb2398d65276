// The state machine of proposed changes of a workspace: (change, command, now) -> new change and events, or StateError. Pure.
// A change follows one entry of the log; the first at it that is decided enters the log, and no other ever does.
import { maxClockAhead, maxLogEnvelopes, maxRequestLifetime } from '../../protocol/authorize.ts';
import { readDecisionOn, subjectOf } from '../../protocol/decisions.ts';
import type { Hex } from '../../protocol/hex.ts';
import { approversOf } from '../../protocol/policy/plan.ts';
import { decision as decisionRecord } from '../../protocol/records/decision.ts';
import { type Envelope, envelopeId, readContent, RecordError } from '../../protocol/records/envelope.ts';
import { type LogHead, timeOf, timestamp } from '../../protocol/records/fields.ts';
import { type WorkspaceChange, workspaceChange } from '../../protocol/records/workspace-change.ts';
import {
  judgeChange,
  openChange,
  type OpenedChange,
  openWorkspace,
  planChange,
  type Workspace,
} from '../../protocol/records/workspace.ts';
import type { ChangeStateName, ChangeView, CoordinatorEvent, RejectionCode } from '../../protocol/rpc.ts';
import { checkDecision, type Decidable, isHeld, latestDecisions, readDecision } from './decisions.ts';
import { recordError, StateError } from './error.ts';
import { waitsFor } from './views.ts';

/** Stored as JSON under `change/<id>`. Times are milliseconds since 1970. */
export interface StoredChange {
  readonly changeId: Hex;
  readonly workspaceId: Hex;
  readonly state: ChangeStateName;
  readonly reason?: { readonly code: RejectionCode; readonly detail: string };
  readonly envelope: Envelope;
  readonly decisions: readonly Envelope[];
  readonly created: number;
  readonly expires: number;
  readonly updated: number;
}

export interface ChangeContext {
  readonly networkId: string;
  /** The workspace's, up to the entry that the change follows. */
  readonly log: readonly Envelope[];
}

/** A new state of a change with what happened, or the same object when nothing did. */
export interface ChangeOutcome {
  readonly change: StoredChange;
  readonly events: readonly CoordinatorEvent[];
  /** Given when it is to enter the log: the decisions that follow it there. */
  readonly entered?: readonly Envelope[];
}

/** What was proposed, as it was verified when it was stored. */
export function changeContent(
  { envelope }: Pick<StoredChange, 'envelope'>,
  networkId: string,
): WorkspaceChange {
  return readContent(workspaceChange, envelope, networkId).content;
}

/** The entry of the log that a change follows. */
export function headBefore({ seq, prev }: WorkspaceChange): LogHead {
  return { seq: seq - 1, id: prev };
}

function moveTo(
  change: StoredChange,
  state: ChangeStateName,
  now: number,
  reason?: { code: RejectionCode; detail: string },
): ChangeOutcome {
  const moved: StoredChange = { ...change, state, updated: now, ...(reason && { reason }) };
  return { change: moved, events: [stateEvent(moved)] };
}

function stateEvent({ changeId, state, reason, updated }: StoredChange): CoordinatorEvent {
  return { type: 'change.state', changeId, state, at: timestamp(updated), ...(reason && { reason }) };
}

interface Opened {
  readonly workspace: Workspace;
  readonly opened: OpenedChange;
}

/** A change with the workspace that it is to change. Throws RecordError. */
function open(envelope: Envelope, { log, networkId }: ChangeContext): Opened {
  const workspace = openWorkspace(log, networkId);
  return { workspace, opened: openChange(workspace, envelope, networkId) };
}

/** As `open`, of a record that just came in. Throws StateError. */
function openNew(envelope: Envelope, context: ChangeContext): Opened {
  try {
    return open(envelope, context);
  } catch (error) {
    if (!(error instanceof RecordError) || error.code !== 'malformed') throw recordError(error);
    // By whom it is was verified: it is the change itself that cannot be.
    const { change } = readContent(workspaceChange, envelope, context.networkId).content;
    const workspace = openWorkspace(context.log, context.networkId);
    try {
      planChange(workspace, change.kind);
    } catch (denied) {
      const remedy = 'propose something that a rule of the admin policy allows';
      throw new StateError('policy_denied', (denied as Error).message, remedy);
    }
    throw new StateError('wrong_state', error.message, 'read the workspace again and propose another change');
  }
}

/** The state that its decisions now give a change. */
function judge(
  change: StoredChange,
  { workspace, opened }: Opened,
  networkId: string,
  now: number,
): ChangeOutcome {
  const decisions = latestDecisions(change.decisions, networkId);
  const { judged } = judgeChange(workspace, opened, decisions, networkId, now);
  if (judged.verdict === 'satisfied')
    return { ...moveTo(change, 'fulfilled', now), entered: standing(decisions, networkId, now) };
  if (judged.verdict === 'waiting') return { change, events: [] };
  const code = judged.verdict === 'over' ? 'approval_timeout' : 'approvers';
  return moveTo(change, 'rejected', now, { code, detail: judged.reason });
}

/** Without approvals that ran out: whoever replays the log later would count them. */
function standing(decisions: readonly Envelope[], networkId: string, now: number): Envelope[] {
  return decisions.filter((envelope) => {
    const { content } = readContent(decisionRecord, envelope, networkId);
    return content.decision !== 'approve' || timeOf(content.expires) > now;
  });
}

/**
 * A proposed change from its initiator's signed record: `partial`, or `fulfilled` when that alone suffices. The context's log
 * ends at the workspace's head. Throws StateError.
 */
export function proposeChange(context: ChangeContext, envelope: Envelope, now: number): ChangeOutcome {
  const { networkId, log } = context;
  const content = readContent(workspaceChange, envelope, networkId).content;
  const { head } = openWorkspace(log, networkId);
  if (content.prev !== head.id || content.seq !== head.seq + 1) {
    const message = `entry ${content.seq} after ${content.prev} does not follow the head, entry ${head.seq} ${head.id}`;
    throw new StateError('stale_log_head', message, 'read the workspace again and propose the change anew');
  }
  const opened = openNew(envelope, context);
  if (content.change.kind === 'resolve') {
    const remedy = 'give the other log to those who hold one that forks';
    throw new StateError('wrong_state', 'the log that this coordinator holds does not fork', remedy);
  }
  if (timeOf(content.created) > now + maxClockAhead)
    throw new StateError(
      'expired',
      `made at ${content.created}, which is to come`,
      'set the clock of the machine',
    );
  // No earlier limit: those whom it brings in have to sign it before it can come here.
  const expires = Math.min(timeOf(content.expires), now + maxRequestLifetime);
  if (expires <= now) throw new StateError('expired', `it ended at ${content.expires}`, 'propose it anew');
  if (log.length + 1 + opened.workspace.owners.length > maxLogEnvelopes) {
    const message = `the log has ${log.length} of at most ${maxLogEnvelopes} records`;
    throw new StateError('wrong_state', message, 'create a new workspace: this one can no longer be changed');
  }
  const change: StoredChange = {
    changeId: opened.opened.record.id,
    workspaceId: content.workspaceId,
    state: 'partial',
    envelope,
    decisions: [],
    created: now,
    expires,
    updated: now,
  };
  const judged = judge(change, opened, networkId, now);
  return judged.events.length > 0 ? judged : { change, events: [stateEvent(change)] };
}

/** Throws StateError unless this envelope of a stored change is one that its initiator, and whoever it brings in, signed. */
export function checkSameChange(envelope: Envelope, context: ChangeContext): void {
  try {
    open(envelope, context);
  } catch (error) {
    throw recordError(error);
  }
}

/** An owner's decision. The same record again is a no-op. Throws StateError. */
export function decideChange(
  change: StoredChange,
  context: ChangeContext,
  envelope: Envelope,
  now: number,
): ChangeOutcome {
  const { networkId } = context;
  const opened = open(change.envelope, context);
  const { workspace } = opened;
  const subject = subjectOf(workspaceChange, opened.opened.record);
  const decidable: Decidable = {
    initiator: opened.opened.record.content.initiator,
    approvers: approversOf(opened.opened.plan),
    head: workspace.head,
    verify: (each) => readDecisionOn(subject, each, workspace, networkId).decision,
  };
  const content = readDecision(envelope, decidable, networkId);
  const id = envelopeId(envelope, networkId);
  if (isHeld(change.decisions, id, networkId)) return { change, events: [] };
  if (change.state !== 'partial') {
    const why = change.reason === undefined ? '' : `: ${change.reason.code}`;
    const remedy = 'read the workspace again: what is decided stays so';
    throw new StateError('wrong_state', `the change is ${change.state}${why}`, remedy);
  }
  checkDecision(content, decidable, change.decisions, now, networkId);
  const decided: StoredChange = { ...change, decisions: [...change.decisions, envelope], updated: now };
  const event: CoordinatorEvent = {
    type: 'change.decision',
    changeId: change.changeId,
    decisionId: id,
    principal: content.principal,
    decision: content.decision,
    at: timestamp(now),
  };
  const { initiator } = decidable;
  const judged =
    content.decision === 'reject' && content.principal === initiator
      ? moveTo(decided, 'rejected', now, { code: 'cancelled', detail: `cancelled by ${initiator}` })
      : judge(decided, opened, networkId, now);
  return { ...judged, events: [event, ...judged.events] };
}

/** Ends a change whose time is over, or whose place in the log is taken; anything else is left as it is. */
export function lapseChange(
  change: StoredChange,
  head: LogHead,
  networkId: string,
  now: number,
): ChangeOutcome {
  if (change.state !== 'partial') return { change, events: [] };
  if (now >= change.expires) {
    const detail = `not decided until ${timestamp(change.expires)}`;
    return moveTo(change, 'rejected', now, { code: 'approval_timeout', detail });
  }
  const { seq, prev } = changeContent(change, networkId);
  if (prev === head.id) return { change, events: [] };
  const detail = `another change became entry ${seq}; the log is at entry ${head.seq} ${head.id}`;
  return moveTo(change, 'rejected', now, { code: 'superseded', detail });
}

/** How a change stands at `now`. */
export function changeView(change: StoredChange, context: ChangeContext, now: number): ChangeView {
  const { changeId, workspaceId, state, reason, envelope, decisions, created, expires, updated } = change;
  return {
    changeId,
    kind: 'change',
    workspaceId,
    state,
    ...(reason && { reason: { ...reason } }),
    change: envelope,
    decisions: [...decisions],
    ...waitingOf(change, context, now),
    created: timestamp(created),
    expires: timestamp(expires),
    updated: timestamp(updated),
  };
}

function waitingOf(
  change: StoredChange,
  context: ChangeContext,
  now: number,
): Pick<ChangeView, 'missing' | 'holds'> {
  if (change.state !== 'partial') return {};
  const { workspace, opened } = open(change.envelope, context);
  const decisions = latestDecisions(change.decisions, context.networkId);
  const { judged } = judgeChange(workspace, opened, decisions, context.networkId, now);
  return judged.verdict === 'waiting' ? waitsFor(judged.missing, judged.holds) : {};
}
