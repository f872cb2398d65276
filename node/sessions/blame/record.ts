// The signed frames of one attempt that could prove somebody guilty, kept while it runs. Memory: the PROPOSE and at most two
// STARTs, which the attempt holds anyway, and of each member at most three round messages and `maxRoundBytes`. Honest
// members send two at most, of a few kilobytes.
import { MessageKind } from '../../mpc/rounds.ts';
import { same, type Started } from '../attempt.ts';
import type { Frame, FrameOf } from '../wire.ts';
import type { FaultCode } from './bundle.ts';

/** Faults that lie in a START. */
const startFaults: ReadonlySet<FaultCode> = new Set([
  'excluded_pair',
  'duplicate_member',
  'set_size',
  'commitment_mismatch',
  'item_count',
]);
const maxRounds = 3;
/** One message of the largest size there is, and room for its frame. */
const maxRoundBytes = 264 * 1024;

/** Whether a fault is one of the leader's, in its PROPOSE or START. */
export function isLeaderFault(code: FaultCode): boolean {
  return code === 'leader_equivocated' || startFaults.has(code);
}

/** Whether a round message is the digest with which a key generation begins. */
export function isCommitment({ content: { message } }: FrameOf<'round'>): boolean {
  return message[0] === MessageKind.dkgCommit;
}

export class AttemptRecord {
  readonly proposed: FrameOf<'propose'>;
  /** Another PROPOSE that the leader signed for this attempt. */
  reproposed: FrameOf<'propose'> | undefined;
  /** The attempt as this party runs it. */
  started: Started | undefined;
  /** Parties that were accused by means of this record. */
  readonly accused = new Set<string>();
  readonly #starts: FrameOf<'start'>[] = [];
  readonly #rounds = new Map<string, FrameOf<'round'>[]>();

  constructor(proposed: FrameOf<'propose'>) {
    this.proposed = proposed;
  }

  get starts(): readonly FrameOf<'start'>[] {
    return this.#starts;
  }

  /** A START of this attempt that its leader signed, whether it stands or not. The second ends the attempt. */
  addStart(frame: FrameOf<'start'>): void {
    if (this.#starts.length < 2) this.#starts.push(frame);
  }

  /** A round message of this session, whose signature by `from` was verified. Those of threshold ECDSA prove nothing. */
  addRound(from: string, frame: FrameOf<'round'>): void {
    const { purpose, sets } = this.proposed.content;
    if (purpose !== 'generate' && (purpose !== 'sign' || sets !== undefined)) return;
    const held = this.#rounds.get(from) ?? [];
    const bytes = held.reduce((sum, each) => sum + each.bytes.length, frame.bytes.length);
    const isKnown = held.some((each) => same(each.content.message, frame.content.message));
    if (isKnown || held.length >= maxRounds || bytes > maxRoundBytes) return;
    this.#rounds.set(from, [...held, frame]);
  }

  roundsOf(party: string): readonly FrameOf<'round'>[] {
    return this.#rounds.get(party) ?? [];
  }

  /** Of a key generation, what may be kept after its end: the START and the members' first commitments; no dealt share. */
  commitmentsOnly(): AttemptRecord {
    const kept = new AttemptRecord(this.proposed);
    kept.started = this.started;
    for (const start of this.#starts) kept.addStart(start);
    for (const party of this.accused) kept.accused.add(party);
    for (const [party, rounds] of this.#rounds)
      for (const round of rounds.filter(isCommitment).slice(0, 1)) kept.addRound(party, round);
    return kept;
  }

  /** The frames that may prove a fault of this code, the most likely first. */
  *proofs(culprit: string, code: FaultCode): Generator<readonly Frame[]> {
    const { proposed, reproposed } = this;
    const starts = this.#starts;
    const [first, second] = starts;
    if (code === 'leader_equivocated') {
      if (reproposed) yield [proposed, reproposed];
      if (first && second) yield [first, second];
      for (const start of starts) yield [proposed, start];
      return;
    }
    if (code === 'malformed_point' || startFaults.has(code)) for (const start of starts) yield [start];
    if (first === undefined || startFaults.has(code)) return;
    const rounds = this.roundsOf(culprit);
    for (const round of rounds) yield [first, round];
    for (const [at, one] of rounds.entries())
      for (const other of rounds.slice(at + 1)) yield [first, one, other];
  }
}
