// A time limit joined with a caller's signal. AbortSignal.any would do it in one line, but Node 20 keeps what it makes
// for as long as the longest-lived of its signals, which in a daemon is forever.

export interface Deadline {
  /** Aborts with the caller's reason, or with the error of `expired`. */
  readonly signal: AbortSignal;
  /** Starts the time again. */
  restart(): void;
  /** Stops the time. */
  pause(): void;
  /** Stops the time and forgets the caller's signal. */
  end(): void;
}

/**
 * Milliseconds by which the time is over later. Where a process stood still, its timers come first: what arrived meanwhile is
 * read before this one.
 */
const graceMs = 50;

/** A signal that aborts after `milliseconds`, or when `outer` does. Call `end` when the work is over. */
export function startDeadline(
  outer: AbortSignal | undefined,
  milliseconds: number,
  expired: () => Error,
): Deadline {
  const controller = new AbortController();
  const follow = () => controller.abort(outer?.reason);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const pause = () => clearTimeout(timer);
  const restart = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      timer = setTimeout(() => controller.abort(expired()), graceMs);
    }, milliseconds);
  };
  if (outer?.aborted === true) follow();
  else {
    outer?.addEventListener('abort', follow, { once: true });
    restart();
  }
  const end = () => {
    pause();
    outer?.removeEventListener('abort', follow);
  };
  return { signal: controller.signal, restart, pause, end };
}
