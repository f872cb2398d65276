// Asserts that a protocol ended with a named abort, and whom it names.
import assert from 'node:assert/strict';
import type { AbortCode } from '../../node/mpc/abort.ts';
import { Abort } from '../../node/mpc/abort.ts';
import type { PartyIndex } from '../../node/mpc/machine.ts';

/** For assert.throws: an Abort of this code that names `culprit`, or nobody. */
export const throwsAbort = (code: AbortCode, culprit?: PartyIndex) => (error: unknown) => {
  assert.ok(error instanceof Abort, String(error));
  assert.equal(error.code, code, error.message);
  assert.equal(error.culprit, culprit);
  return true;
};
