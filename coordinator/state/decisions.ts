// Decisions as they come in, on requests and on changes alike: made at the right state of the log, in time, with a seq that
// rises. Whether they suffice is judged elsewhere.
import type { Hex } from '../../protocol/hex.ts';
import { type Decision, decision as decisionRecord } from '../../protocol/records/decision.ts';
import { type Envelope, envelopeId, readContent } from '../../protocol/records/envelope.ts';
import { type LogHead, sameLogHead, timeOf } from '../../protocol/records/fields.ts';
import { recordError, StateError } from './error.ts';

/** Decisions kept of one principal on one action. */
const maxDecisionsPerPrincipal = 20;

/** What was decided on, as far as decisions are concerned. */
export interface Decidable {
  readonly initiator: string;
  /** Those whose decision can matter. */
  readonly approvers: ReadonlySet<string>;
  readonly head: LogHead;
  /** Reads a decision and verifies that it is about this, by an owner. Throws RecordError. */
  readonly verify: (envelope: Envelope) => Decision;
}

/** The decisions that count: the last of each principal. Each was stored with a higher seq than the one before. */
export function latestDecisions(decisions: readonly Envelope[], networkId: string): Envelope[] {
  const latest = new Map<string, Envelope>();
  for (const envelope of decisions) {
    const { principal } = readContent(decisionRecord, envelope, networkId).content;
    latest.delete(principal);
    latest.set(principal, envelope);
  }
  return [...latest.values()];
}

/** A decision that is about this, in the workspace's state at which it was made, by an owner. Throws StateError. */
export function readDecision(envelope: Envelope, { head, verify }: Decidable, networkId: string): Decision {
  try {
    const { logHead } = readContent(decisionRecord, envelope, networkId).content;
    if (!sameLogHead(logHead, head)) {
      const message = `the decision was made at log entry ${logHead.seq} ${logHead.id}, the head is ${head.seq} ${head.id}`;
      throw new StateError('stale_log_head', message, 'read the workspace again and decide anew');
    }
    return verify(envelope);
  } catch (error) {
    throw error instanceof StateError ? error : recordError(error);
  }
}

/** Whether this very decision is held already. */
export function isHeld(held: readonly Envelope[], id: Hex, networkId: string): boolean {
  return held.some((envelope) => envelopeId(envelope, networkId) === id);
}

/** Whether the initiator takes back what it asked for. */
export function cancels({ decision, principal }: Decision, { initiator }: Decidable): boolean {
  return decision === 'reject' && principal === initiator;
}

/** Throws StateError unless the decision may be put beside those that are held. */
export function checkDecision(
  decision: Decision,
  decidable: Decidable,
  held: readonly Envelope[],
  now: number,
  networkId: string,
): void {
  const { principal } = decision;
  const { approvers } = decidable;
  const takesBack = cancels(decision, decidable);
  if (!approvers.has(principal) && !takesBack) {
    throw new StateError(
      'forbidden',
      `${principal} is no approver of this action`,
      `ask one of its approvers: ${[...approvers].join(', ')}`,
    );
  }
  if (decision.decision === 'approve' && timeOf(decision.expires) <= now) {
    throw new StateError('expired', `the approval ran out at ${decision.expires}`, 'approve again');
  }
  checkSeq(decision, held, takesBack, networkId);
}

function checkSeq(
  { principal, seq }: Decision,
  held: readonly Envelope[],
  takesBack: boolean,
  networkId: string,
): void {
  const earlier = held
    .map((envelope) => readContent(decisionRecord, envelope, networkId).content)
    .filter((decision) => decision.principal === principal);
  const last = Math.max(0, ...earlier.map((decision) => decision.seq));
  if (seq <= last) {
    const remedy = `decide again with a seq above ${last}`;
    throw new StateError('wrong_state', `${principal} has made decision ${last} on this already`, remedy);
  }
  // However often its initiator has decided, an action can be taken back.
  if (earlier.length >= maxDecisionsPerPrincipal && !takesBack) {
    const remedy = 'let the initiator cancel it and ask anew';
    throw new StateError('wrong_state', `${principal} has decided ${earlier.length} times on this`, remedy);
  }
}
