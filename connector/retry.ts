// Waiting between attempts: exponential with jitter, bounded, without an end. Whoever depends on a network waits for it.
import { setTimeout as wait } from 'node:timers/promises';

export interface Backoff {
  /** Milliseconds before the second attempt. */
  readonly firstMs: number;
  /** Longest wait in milliseconds. */
  readonly maxMs: number;
  /** A number from 0 to 1. */
  random(): number;
  /** Rejects when the signal aborts. */
  sleep(milliseconds: number, signal: AbortSignal): Promise<void>;
}

export const defaultBackoff: Backoff = {
  firstMs: 250,
  maxMs: 10_000,
  random: Math.random,
  sleep: async (milliseconds, signal) => {
    await wait(milliseconds, undefined, { signal });
  },
};

/** However long a peer asks us to wait, no longer than this. */
const maxAskedMs = 60_000;

/** Milliseconds to wait after attempt number `attempt` (from 0) failed; a peer may have asked for longer. */
export function delayAfter(backoff: Backoff, attempt: number, askedMs = 0): number {
  const full = Math.min(backoff.maxMs, backoff.firstMs * 2 ** Math.min(attempt, 30));
  return Math.max(full * (0.5 + 0.5 * backoff.random()), Math.min(askedMs, maxAskedMs));
}

export interface RetryOptions {
  readonly backoff: Backoff;
  readonly signal: AbortSignal;
  /** Judges a failure: returns how long the peer asks us to wait, 0 for no wish; throws what must not be retried. */
  readonly onFailure: (error: unknown) => number;
}

/** The result of the first attempt that succeeds. Throws the signal's reason, or what `onFailure` throws. */
export async function retry<Value>(work: () => Promise<Value>, options: RetryOptions): Promise<Value> {
  const { backoff, signal, onFailure } = options;
  for (let attempt = 0; ; attempt += 1) {
    signal.throwIfAborted();
    let askedMs: number;
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      askedMs = onFailure(error);
    }
    await backoff.sleep(delayAfter(backoff, attempt, askedMs), signal);
  }
}
