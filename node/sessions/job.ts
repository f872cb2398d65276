// A request this node knows: its evidence, what that allows, and how far the attempts at it are.
import type { Authorisation, Evidence, RefusalReason, Verdict } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { RefusalCode } from '../../protocol/records/party-result.ts';
import type { Envelope } from '../../protocol/records/envelope.ts';
import { setName } from './attempt.ts';
import { BoundedMap } from './bounded-map.ts';
import type { Failure } from './failure.ts';
import type { LiveAttempt } from './live-attempt.ts';
import type { Proposal } from './proposal.ts';
import type { FrameOf, Propose } from './wire.ts';
import type { Obstacle } from './workspaces.ts';

/** A PROPOSE that waits for the request to be authorised here. */
export interface HeldProposal {
  readonly frame: FrameOf<'propose'>;
  /** When it came, in milliseconds since 1970. */
  readonly at: number;
}

/** Processes of a leader, of which a job remembers how far they have counted. */
const maxBoots = 8;
const maxFailedSets = 1000;

/** The last attempt that came to nothing here, for the operator. */
export interface LastAbort extends Omit<Failure, 'unattributed' | 'accused'> {
  /** RFC 3339, UTC. */
  readonly at: string;
  readonly attemptId: string;
}

/** In memory, for a request without a result. */
export interface Job {
  readonly requestId: Hex;
  /** When this process took it up, in milliseconds since 1970. */
  readonly taken: number;
  /** When this node first stored it, in milliseconds since 1970: delays count from then, over restarts too. */
  readonly firstSeen: number;
  evidence: Evidence;
  /** A rejection in it could not be stored: it is tried again when the same evidence comes again. */
  unsaved: boolean;
  /** What the request asks for, as established from this log, roster, request and these keys. */
  authorisation: Authorisation;
  /** Whether the evidence authorises it, as of the last time it was judged. */
  authorised: boolean;
  /** Why not, in words. */
  detail: string;
  /** What of the workspace is in the way, whatever the evidence says. */
  obstacle: Obstacle | undefined;
  /** When time alone may make it authorised, as of the last time it was judged; milliseconds since 1970. */
  until: number | undefined;
  /** Attempts this party has accepted, by attempt id. */
  readonly live: Map<string, LiveAttempt>;
  proposal: Proposal | undefined;
  /** Whose turn to lead it is, as an index into the leaders' order. */
  turn: number;
  /** When that leader's time is over. Undefined: its turn has not begun. */
  turnEnds: number | undefined;
  /** Until when attempts of others keep this party from leading one. Undefined: since it last led there were none. */
  patience: number | undefined;
  /** Attempts that came to nothing in a row: deadlines grow with it. */
  tries: number;
  lastProposed: number;
  /** When each leader's last proposal was accepted. */
  readonly lastAccepted: Map<string, number>;
  /** The highest counter of each process of each leader that was answered here: no attempt is accepted twice. */
  readonly counters: Map<string, BoundedMap<string, number>>;
  /** How often a party was awaited in vain or proven guilty, or belonged to a set that failed with nobody to name. */
  readonly failures: Map<string, number>;
  /** Sets that failed with nobody to name. */
  readonly failedSets: Set<string>;
  /** Confirmations of a key generation by other parties, by party; of runs that this party may have lost. */
  readonly confirmations: Map<string, Envelope>;
  /** Parties to which the evidence was sent in the attempt this party last proposed: `attempt id/party`. */
  readonly evidenceSent: Set<string>;
  /** The attempt that came to nothing last. */
  lastAbort: LastAbort | undefined;
  cancelTimer: () => void;
}

export function newJob(
  requestId: Hex,
  evidence: Evidence,
  verdict: Exclude<Verdict, { verdict: 'refused' }>,
  taken: number,
  firstSeen: number,
): Job {
  return {
    requestId,
    taken,
    firstSeen,
    evidence,
    unsaved: false,
    authorisation: verdict.authorisation,
    authorised: verdict.verdict === 'authorised',
    detail: describe(verdict),
    obstacle: undefined,
    until: verdict.until,
    live: new Map(),
    proposal: undefined,
    turn: 0,
    turnEnds: undefined,
    patience: undefined,
    tries: 0,
    lastProposed: 0,
    lastAccepted: new Map(),
    counters: new Map(),
    failures: new Map(),
    failedSets: new Set(),
    confirmations: new Map(),
    evidenceSent: new Set(),
    lastAbort: undefined,
    cancelTimer: () => undefined,
  };
}

/** What a waiting request waits for, in words. */
export function describe(verdict: Verdict): string {
  switch (verdict.verdict) {
    case 'authorised':
      return '';
    case 'refused':
      return `${verdict.reason}: ${verdict.detail}`;
    case 'waiting': {
      const wants = verdict.missing.map(({ rule, need, have, from }) => {
        return `rule ${rule} has ${have.length} of ${need} approvals and awaits ${from.join(', ') || 'nobody'}`;
      });
      const holds = verdict.holds.map(({ rule, detail }) => `rule ${rule}: ${detail}`);
      return [...wants, ...holds, ...verdict.ignored].join('; ');
    }
  }
}

/** Whether nobody has to decide anything any more: a delay, hours or a limit is in the way. */
export function waitsForTime(verdict: Verdict): boolean {
  return verdict.verdict === 'waiting' && verdict.missing.length === 0;
}

/** Why a request is not authorised; empty when it is. */
export function describeJob(verdict: Verdict, obstacle: Obstacle | undefined): string {
  const blocked = obstacle === undefined ? '' : `${obstacle.code}: ${obstacle.message}`;
  return [blocked, describe(verdict)].filter((words) => words !== '').join('; ');
}

/** Whether an attempt was answered already: counters of one process of a leader only rise. */
export function isRepeated(job: Job, { leader, boot, counter }: Propose): boolean {
  return counter <= (job.counters.get(leader)?.get(boot) ?? 0);
}

export function rememberAnswered(job: Job, { leader, boot, counter }: Propose): void {
  const boots = job.counters.get(leader) ?? new BoundedMap<string, number>(maxBoots);
  boots.set(boot, counter);
  job.counters.set(leader, boots);
}

/** Notes that an attempt failed: whom to leave out while others suffice, or which set, when nobody can be named. */
export function noteFailure(job: Job, failure: Failure, members: readonly string[], self: string): void {
  const { awaited, unattributed } = failure;
  const culprit = failure.culprit ?? failure.accused;
  if (unattributed) {
    if (job.failedSets.size >= maxFailedSets) job.failedSets.clear();
    job.failedSets.add(setName(members));
  }
  for (const party of culprit ? [culprit] : unattributed ? members : awaited) {
    if (party !== self) job.failures.set(party, (job.failures.get(party) ?? 0) + (culprit ? 100 : 1));
  }
}

/** How a final refusal is put to the coordinator. */
export function refusalCode(reason: RefusalReason): RefusalCode {
  return reason === 'expired' ? 'expired' : 'not_authorised';
}
