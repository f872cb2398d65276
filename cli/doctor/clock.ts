// This machine's clock against others' words about the time. Nothing is ever set by it.
import type { Findings } from './findings.ts';

/** Worth an operator's time: half of what signed calls allow. Milliseconds. */
const differsMs = 30_000;
/** Signed calls are refused beyond this, in milliseconds. */
const wrongMs = 60_000;

/** `aheadMs`: of the other clock before this one, measured over a round trip of `roundTripMs`. */
export function checkClock(findings: Findings, whose: string, aheadMs: number, roundTripMs: number): void {
  // What is certain, however the time was shared by the way there and the way back.
  const certain = Math.max(0, Math.abs(aheadMs) - roundTripMs / 2);
  const seconds = Math.round(Math.abs(aheadMs) / 1000);
  const found = `${whose} is ${seconds} s ${aheadMs > 0 ? 'ahead of' : 'behind'} this machine's clock`;
  if (!Number.isFinite(aheadMs)) findings.wrong('clock_unchecked', `${whose} gives no time`);
  else if (certain > wrongMs) findings.wrong('clock_wrong', found);
  else if (certain > differsMs) findings.wrong('clock_differs', found);
  else findings.ok('clock', `${whose} agrees within ${Math.max(1, seconds)} s`);
}
