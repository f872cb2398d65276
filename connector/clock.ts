// Compares this machine's clock with the coordinator's, to warn: signed calls allow 60 s between them. What a coordinator
// says of the time is never used for anything else.
import type { Log } from './outage.ts';

/** Beyond this a difference is worth an operator's time, in milliseconds. */
const thresholdMs = 30_000;

export class CoordinatorClock {
  readonly #log: Log;
  readonly #now: () => number;
  #differs = false;
  #aheadMs: number | undefined;

  /** `now`: milliseconds since 1970. */
  constructor(log: Log, now: () => number) {
    this.#log = log;
    this.#now = now;
  }

  /** By how much the coordinator's clock was ahead when it was last heard of, in milliseconds. */
  get aheadMs(): number | undefined {
    return this.#aheadMs;
  }

  /**
   * The coordinator said `serverTime` (RFC 3339) in its answer to a call that took `roundTripMs`, ending now. Logs when
   * the clocks begin to differ, whatever the way there and back took, and when they agree again.
   */
  heard(serverTime: string, roundTripMs: number): void {
    const aheadMs = Math.round(Date.parse(serverTime) + roundTripMs / 2 - this.#now());
    if (!Number.isFinite(aheadMs)) return;
    this.#aheadMs = aheadMs;
    const differs = Math.abs(aheadMs) - roundTripMs / 2 > thresholdMs;
    if (differs === this.#differs) return;
    this.#differs = differs;
    if (!differs) return this.#log('clock.coordinator_agrees', {});
    this.#log('clock.coordinator_differs', {
      level: 'warn',
      coordinatorAheadMs: aheadMs,
      serverTime,
      advice: 'set the clock that is wrong: signed calls need both within a minute of each other',
    });
  }
}
