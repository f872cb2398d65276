// When a receiver that failed is tried again, and for how long: exponential with jitter, until the event is too old to be of
// use. Time and chance are given, so that tests need neither.
import { setTimeout as wait } from 'node:timers/promises';

export interface Schedule {
  /** Milliseconds before the second attempt. */
  readonly firstMs: number;
  /** Longest wait between attempts, in milliseconds. */
  readonly maxMs: number;
  /** Time of one attempt, in milliseconds. */
  readonly attemptMs: number;
  /** Age of an event, in milliseconds, from which it is not tried again. */
  readonly giveUpMs: number;
  /** A number from 0 to 1. */
  random(): number;
  /** Rejects when the signal aborts. */
  sleep(milliseconds: number, signal: AbortSignal): Promise<void>;
}

export const defaultSchedule: Schedule = {
  firstMs: 2000,
  maxMs: 10 * 60_000,
  attemptMs: 10_000,
  giveUpMs: 72 * 3600_000,
  random: Math.random,
  sleep: async (milliseconds, signal) => {
    await wait(milliseconds, undefined, { signal });
  },
};

/** However long a receiver asks to be left alone, no longer than this. */
const maxAskedMs = 3600_000;

/** Milliseconds to wait after `failures` (from 1) failures in a row; the receiver may have asked for longer. */
export function delayAfter(schedule: Schedule, failures: number, askedMs: number): number {
  const full = Math.min(schedule.maxMs, schedule.firstMs * 2 ** Math.min(failures - 1, 30));
  return Math.max(full * (0.5 + 0.5 * schedule.random()), Math.min(askedMs, maxAskedMs));
}
