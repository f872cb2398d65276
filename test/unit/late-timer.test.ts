// A deadline is over for who is silent, not for whose answer a process that stood still has not read yet.
import assert from 'node:assert/strict';
import { afterReading } from '../../node/late-timer.ts';

/** Timers that are called late, by a clock that a test sets. */
class LateClock {
  at = 0;
  readonly timers: { readonly due: number; readonly call: () => void }[] = [];
  now = (): number => this.at;
  after = (ms: number, call: () => void): (() => void) => {
    const timer = { due: this.at + ms, call };
    this.timers.push(timer);
    return () => void this.timers.splice(this.timers.indexOf(timer), 1);
  };
  /** Goes on at this time, timers first. */
  goOnAt(at: number): void {
    this.at = at;
    for (const timer of this.timers.filter(({ due }) => due <= at)) {
      this.timers.splice(this.timers.indexOf(timer), 1);
      timer.call();
    }
  }
}

describe('a deadline', () => {
  it('comes in its time, or a little late', () => {
    for (const late of [0, 1999]) {
      const clock = new LateClock();
      let calls = 0;
      afterReading(clock, 15_000, () => (calls += 1));
      clock.goOnAt(14_999);
      assert.equal(calls, 0);
      clock.goOnAt(15_000 + late);
      assert.equal(calls, 1);
      assert.deepEqual(clock.timers, []);
    }
  });

  it('leaves a process that stood still a moment to read', () => {
    const clock = new LateClock();
    let calls = 0;
    afterReading(clock, 15_000, () => (calls += 1));
    clock.goOnAt(20_000);
    assert.equal(calls, 0);
    clock.goOnAt(20_999);
    assert.equal(calls, 0);
    clock.goOnAt(21_000);
    assert.equal(calls, 1);
    assert.deepEqual(clock.timers, []);
  });

  it('does not come once it is cancelled, in that moment either', () => {
    const clock = new LateClock();
    const fail = (): void => assert.fail('it came');
    afterReading(clock, 15_000, fail)();
    const cancel = afterReading(clock, 15_000, fail);
    clock.goOnAt(20_000);
    cancel();
    clock.goOnAt(60_000);
    assert.deepEqual(clock.timers, []);
  });

  it('comes when the clock was set back meanwhile', () => {
    const clock = new LateClock();
    let calls = 0;
    afterReading(clock, 15_000, () => (calls += 1));
    const [timer] = clock.timers.splice(0);
    clock.at = -3_600_000;
    timer!.call();
    assert.equal(calls, 1);
  });
});
