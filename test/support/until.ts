// Waits for a condition, with a deadline: for tests of what happens concurrently.
import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';

/** Generous: a test that passes does not wait for it, and the machine may be busy with others. */
const deadlineMs = 20_000;

/** Returns once `condition` holds. Fails with `what` when it never does. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string | (() => string),
  withinMs = deadlineMs,
): Promise<void> {
  const end = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > end) assert.fail(`never happened: ${typeof what === 'string' ? what : what()}`);
    await wait(2);
  }
}
