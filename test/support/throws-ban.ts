// Asserts that a check of the kind that costs the cheater a ban has failed.
import assert from 'node:assert/strict';
import type { AbortCode } from '../../node/mpc/abort.ts';
import type { Abort } from '../../node/mpc/abort.ts';
import type { PartyIndex } from '../../node/mpc/machine.ts';
import { throwsAbort } from './assert-abort.ts';

/** For assert.throws: an Abort of this code that names `culprit` and says never again. */
export const throwsBan = (code: AbortCode, culprit: PartyIndex) => (error: unknown) => {
  throwsAbort(code, culprit)(error);
  assert.equal((error as Abort).ban, true, `${code} is a ban`);
  return true;
};
