// Deadlines of a process that may stand still: after a pause, timers run before what arrived meanwhile is read, and whoever
// has answered in time would seem silent.

/** Tells time in milliseconds, and calls once after some; returns what cancels it. */
export interface TimerClock {
  now(): number;
  after(ms: number, call: () => void): () => void;
}

/** A timer that is late by this much means that the process stood still; and how long it reads then. Milliseconds. */
const stoodStillMs = 2000;
const readingMs = 1000;

/** Calls once after `ms`; when the process stood still until then, a moment later. Returns what cancels it. */
export function afterReading(clock: TimerClock, ms: number, call: () => void): () => void {
  const due = clock.now() + ms;
  let cancel = clock.after(ms, () => {
    if (clock.now() - due < stoodStillMs) call();
    else cancel = clock.after(readingMs, call);
  });
  return () => cancel();
}

/** Calls once after `ms`, by a timer of this process; returns what cancels it. */
export function callAfter(ms: number, call: () => void): () => void {
  const timer = setTimeout(call, Math.max(0, ms));
  return () => clearTimeout(timer);
}

/** Of this process: milliseconds that no setting of the clock changes. */
export const steadyClock: TimerClock = { now: () => performance.now(), after: callAfter };
