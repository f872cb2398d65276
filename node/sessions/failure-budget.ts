// How many attempts of a leader may come to nothing here: each cost this node computing and lines in its log, and its leader
// next to nothing. An honest one waits longer from failure to failure than what is spent takes to come back.
import type { Clock } from './context.ts';

/** Failures in a row, and the milliseconds in which one comes back. */
const burst = 16;
const refill = 10_000;

interface Spent {
  readonly failures: number;
  readonly at: number;
}

export class FailureBudget {
  readonly #clock: Pick<Clock, 'now'>;
  /** By leader: parties of the roster, so bounded. */
  readonly #spent = new Map<string, Spent>();

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /** An attempt that `leader` led has come to nothing. */
  note(leader: string): void {
    this.#spent.set(leader, { failures: this.#failures(leader) + 1, at: this.#clock.now() });
  }

  /** Whether nothing of this leader is to be joined for a while. */
  isSpent(leader: string): boolean {
    return this.#failures(leader) > burst - 1;
  }

  /** A clock that was set back gives nothing, and takes nothing. */
  #failures(leader: string): number {
    const { failures, at } = this.#spent.get(leader) ?? { failures: 0, at: 0 };
    const now = this.#clock.now();
    if (now < at) this.#spent.set(leader, { failures, at: now });
    return Math.max(0, failures - Math.max(0, now - at) / refill);
  }
}
