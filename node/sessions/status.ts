// How open requests stand and what each waits for, for `node status`: approvals, parties that are away, a leader's turn,
// or what others owe to the attempts under way. Reads only; parties are named by their credentials.
import type { Hex } from '../../protocol/hex.ts';
import { timestamp } from '../../protocol/records/fields.ts';
import { leaderOrder, setSize } from './attempt.ts';
import { type Job, type LastAbort, waitsForTime } from './job.ts';
import type { LiveAttempt } from './live-attempt.ts';
import type { SessionState } from './state.ts';

/** What of a party is awaited. */
export type Owed = 'connection' | 'pair_setup' | 'accept' | 'start' | 'round' | 'result';

export interface Awaited {
  readonly party: string;
  readonly owes: Owed;
}

export interface AttemptStatus {
  readonly attemptId: string;
  readonly leader: string;
  /** When this party accepted it. RFC 3339, UTC. */
  readonly since: string;
  /** `gathering`: this party leads and collects ACCEPTs; `accepted`: the START is to come; `watching`: others sign. */
  readonly phase: 'gathering' | 'accepted' | 'rounds' | 'watching' | 'storing';
  readonly awaited: readonly Awaited[];
}

export type Waiting =
  | { readonly for: 'approvals' }
  /** Nobody has to decide anything: a delay, hours, or a limit; `until` as far as it is known. RFC 3339, UTC. */
  | { readonly for: 'time'; readonly until?: string }
  /** Whatever was decided: its workspace is frozen on this node, or forked, or no longer as it was. */
  | { readonly for: 'workspace'; readonly code: string }
  /** The operator has paused this node. */
  | { readonly for: 'resume' }
  /** Of a derived key: the key it comes from is not active here. */
  | { readonly for: 'parent'; readonly keyId: Hex }
  /** Too few are connected: `have` of `need`, this party included. */
  | {
      readonly for: 'peers';
      readonly have: number;
      readonly need: number;
      readonly awaited: readonly Awaited[];
    }
  /** A leader's proposal; `until`, RFC 3339: then it is the next one's turn. */
  | { readonly for: 'leader'; readonly leader: string; readonly until?: string }
  | { readonly for: 'attempts'; readonly attempts: readonly AttemptStatus[] };

/** Times are RFC 3339, UTC. */
export interface RequestStatus {
  readonly requestId: Hex;
  readonly kind: 'key' | 'sign';
  /** Since when this process has it. */
  readonly since: string;
  readonly expires: string;
  readonly authorised: boolean;
  /** Attempts in a row that came to nothing. */
  readonly tries: number;
  /** What approvals it still needs, in words. */
  readonly detail: string;
  readonly waiting: Waiting;
  readonly lastAbort?: LastAbort;
}

function attemptStatus(job: Job, attempt: LiveAttempt, state: SessionState): AttemptStatus {
  const { id: attemptId, leader, began, stage } = attempt;
  const up = state.context.transport.up();
  const owes = (owed: Owed, parties: readonly string[]): Awaited[] =>
    parties
      .filter((party) => party !== state.self)
      .map((party) => ({ party, owes: up.has(party) ? owed : 'connection' }));
  const named = { attemptId, leader, since: timestamp(began) };
  if (job.proposal?.attemptId === attemptId) {
    return { ...named, phase: 'gathering', awaited: owes('accept', job.proposal.awaited) };
  }
  switch (stage) {
    case 'accepted':
      return { ...named, phase: stage, awaited: owes('start', [leader]) };
    case 'rounds':
      return { ...named, phase: stage, awaited: owes('round', attempt.awaited) };
    case 'watching':
      return { ...named, phase: stage, awaited: owes('result', attempt.members) };
    case 'ended':
      return { ...named, phase: 'storing', awaited: [] };
  }
}

function owed(party: string, up: ReadonlySet<string>): Owed {
  return up.has(party) ? 'pair_setup' : 'connection';
}

function waiting(job: Job, state: SessionState): Waiting {
  if (job.obstacle !== undefined) return { for: 'workspace', code: job.obstacle.code };
  if (!job.authorised) {
    if (!waitsForTime(state.verdictOn(job))) return { for: 'approvals' };
    return { for: 'time', ...(job.until !== undefined && { until: timestamp(job.until) }) };
  }
  if (state.paused) return { for: 'resume' };
  const { derived } = job.authorisation;
  if (derived !== undefined) return { for: 'parent', keyId: derived.parent.key.id };
  if (job.live.size > 0) {
    const attempts = [...job.live.values()].map((attempt) => attemptStatus(job, attempt, state));
    return { for: 'attempts', attempts };
  }
  const { keyring } = state.context;
  const missing = state.missing(job);
  const up = state.context.transport.up();
  const have = keyring.roster.parties.length - missing.length;
  const need = setSize(job.authorisation.request.kind === 'key' ? 'generate' : 'sign', keyring);
  if (have < need) {
    const awaited = missing.map((party) => ({ party, owes: owed(party, up) }));
    return { for: 'peers', have, need, awaited };
  }
  const order = leaderOrder([state.self, ...state.others], job.requestId);
  const leader = order[job.turn % order.length] ?? state.self;
  return { for: 'leader', leader, ...(job.turnEnds !== undefined && { until: timestamp(job.turnEnds) }) };
}

export function requestStatus(job: Job, state: SessionState): RequestStatus {
  const { requestId, authorised, tries, detail, authorisation, lastAbort, taken } = job;
  return {
    requestId,
    kind: authorisation.request.kind,
    since: timestamp(taken),
    expires: timestamp(authorisation.expires),
    authorised,
    tries,
    detail,
    waiting: waiting(job, state),
    ...(lastAbort && { lastAbort }),
  };
}
