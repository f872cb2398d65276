// What the peers' clocks say of this node's own. Peers are hostile: their clocks are measured to warn an operator, never to
// set or correct a time, and no single one can raise an alarm about this node's own clock.

/** Beyond this a difference is worth an operator's time: signed calls allow 60 s, evidence 5 minutes. Milliseconds. */
export const clockThresholdMs = 30_000;
/** Least time between two log lines about one clock, in milliseconds: a peer may move its clock to and fro. */
const quietMs = 10 * 60_000;

export interface MeasuredClock {
  readonly party: string;
  /** By how much its clock is ahead of this node's, give or take half of the round trip; milliseconds. */
  readonly aheadMs: number;
  readonly roundTripMs: number;
}

export interface ClockJudgement {
  /**
   * By how much most clocks are ahead of this node's, when that is beyond the threshold: this node's own clock is wrong.
   * Milliseconds.
   */
  readonly own?: number;
  /** Peers whose clocks are beyond the threshold from what most have, in milliseconds ahead of that. */
  readonly peers: readonly { readonly party: string; readonly aheadMs: number }[];
}

/** The difference that is certain whatever the way there and the way back took; milliseconds. */
function certain({ aheadMs, roundTripMs }: MeasuredClock): number {
  return Math.sign(aheadMs) * Math.max(0, Math.abs(aheadMs) - roundTripMs / 2);
}

/**
 * The median of all clocks, this node's own (0) among them; of two in the middle the one nearer to this node's. With one
 * peer, or with less than a majority against this node, it is 0.
 */
function median(differences: readonly number[]): number {
  const sorted = [0, ...differences].toSorted((a, b) => a - b);
  const low = sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
  const high = sorted[Math.floor(sorted.length / 2)] ?? 0;
  return Math.abs(low) <= Math.abs(high) ? low : high;
}

export function judgeClocks(
  measured: readonly MeasuredClock[],
  thresholdMs = clockThresholdMs,
): ClockJudgement {
  const differences = measured.map((clock) => ({ party: clock.party, aheadMs: certain(clock) }));
  const middle = median(differences.map(({ aheadMs }) => aheadMs));
  const own = Math.abs(middle) > thresholdMs ? middle : 0;
  const peers = differences
    .map(({ party, aheadMs }) => ({ party, aheadMs: Math.round(aheadMs - own) }))
    .filter(({ aheadMs }) => Math.abs(aheadMs) > thresholdMs);
  return { ...(own !== 0 && { own: Math.round(own) }), peers };
}

const self = 'self';

/** Logs when a clock begins to differ, and when it agrees again: once for each change, and rarely for one that flaps. */
export class ClockWatch {
  readonly #log: (event: string, fields: Record<string, unknown>) => void;
  readonly #now: () => number;
  /** Clocks last logged as different. */
  readonly #differing = new Set<string>();
  readonly #loggedAt = new Map<string, number>();

  /** `now`: milliseconds of any steady clock. */
  constructor(log: (event: string, fields: Record<string, unknown>) => void, now: () => number) {
    this.#log = log;
    this.#now = now;
  }

  /** After a measurement; `measured` holds all peers that are up. */
  update(measured: readonly MeasuredClock[]): void {
    const { own, peers } = judgeClocks(measured);
    const differing = new Map(peers.map(({ party, aheadMs }) => [party, aheadMs]));
    for (const { party } of measured) {
      const aheadMs = differing.get(party);
      this.#turn(party, aheadMs !== undefined, 'clock.peer_differs', { peer: party, aheadMs });
    }
    this.#turn(self, own !== undefined, 'clock.differs', {
      behindMs: own,
      peers: measured.length,
      advice: "set this machine's clock: approvals and signed calls are judged by it",
    });
  }

  #turn(clock: string, differs: boolean, event: string, fields: Record<string, unknown>): void {
    if (differs === this.#differing.has(clock)) return;
    const now = this.#now();
    if (now < (this.#loggedAt.get(clock) ?? Number.NEGATIVE_INFINITY) + quietMs) return;
    this.#loggedAt.set(clock, now);
    if (differs) {
      this.#differing.add(clock);
      this.#log(event, { level: 'warn', ...fields });
    } else {
      this.#differing.delete(clock);
      this.#log('clock.agrees', clock === self ? {} : { peer: clock });
    }
  }
}
