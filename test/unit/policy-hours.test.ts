// Hours of the week in time zones, against a naive reading and minute by minute.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { hoursSchema, nextChange, within } from '../../protocol/policy/hours.ts';
import { referenceWithin } from '../reference/policy.ts';
import { Draw, drawHours, drawTime } from '../support/policy-cases.ts';

const minute = 60_000;
const hour = 60 * minute;
const at = (time: string): number => Date.parse(time);
const seeds = fc.noBias(fc.integer({ min: 0, max: 0xffff_ffff }));
const hours = (tz: string, days: string, from: string, to: string) =>
  hoursSchema.parse({ tz, days, from, to });

/** Minute by minute. */
function slowChange(of: ReturnType<typeof hours>, time: number, most: number): number | undefined {
  const now = within(of, time);
  for (let next = Math.floor(time / minute) * minute + minute; next <= time + most; next += minute)
    if (within(of, next) !== now) return next;
  return undefined;
}

describe('policy: hours', () => {
  it('reads `from` as within and `to` as not, on the days named', () => {
    const office = hours('UTC', 'mon-fri', '08:00', '18:00');
    assert.ok(!within(office, at('2030-01-07T07:59:59.999Z')));
    assert.ok(within(office, at('2030-01-07T08:00:00.000Z')));
    assert.ok(within(office, at('2030-01-07T17:59:59.999Z')));
    assert.ok(!within(office, at('2030-01-07T18:00:00.000Z')));
    assert.ok(!within(office, at('2030-01-06T12:00:00.000Z')));
    assert.ok(within(hours('UTC', 'sat-mon', '08:00', '18:00'), at('2030-01-06T12:00:00.000Z')));
    assert.ok(within(hours('Asia/Kathmandu', 'mon', '05:45', '05:46'), at('2030-01-07T00:00:30.000Z')));
  });

  it('counts what goes over midnight to the day on which it begins', () => {
    const night = hours('UTC', 'fri', '22:00', '06:00');
    assert.ok(!within(night, at('2030-01-04T05:00:00.000Z')));
    assert.ok(within(night, at('2030-01-04T22:00:00.000Z')));
    assert.ok(within(night, at('2030-01-05T05:59:00.000Z')));
    assert.ok(!within(night, at('2030-01-05T06:00:00.000Z')));
    assert.ok(!within(night, at('2030-01-05T22:00:00.000Z')));
  });

  it('follows clocks that are put on and back', () => {
    const office = hours('Europe/Zurich', 'mon-sun', '08:00', '18:00');
    assert.equal(nextChange(office, at('2030-03-31T00:00:00.000Z')), at('2030-03-31T06:00:00.000Z'));
    assert.equal(nextChange(office, at('2030-10-27T00:00:00.000Z')), at('2030-10-27T07:00:00.000Z'));
    // 02:30 does not exist on the day on which clocks go from 02:00 to 03:00.
    const skipped = hours('Europe/Zurich', 'sun', '02:15', '02:45');
    assert.equal(nextChange(skipped, at('2030-03-31T00:30:00.000Z')), at('2030-04-07T00:15:00.000Z'));
    const over = hours('Europe/Zurich', 'sun', '02:30', '04:00');
    assert.equal(nextChange(over, at('2030-03-31T00:30:00.000Z')), at('2030-03-31T01:00:00.000Z'));
    // 02:30 is there twice on the day on which they go from 03:00 to 02:00.
    const twice = hours('Europe/Zurich', 'sun', '02:30', '04:00');
    assert.equal(nextChange(twice, at('2030-10-27T00:10:00.000Z')), at('2030-10-27T00:30:00.000Z'));
    assert.equal(nextChange(twice, at('2030-10-27T00:40:00.000Z')), at('2030-10-27T01:00:00.000Z'));
    assert.equal(nextChange(twice, at('2030-10-27T01:10:00.000Z')), at('2030-10-27T01:30:00.000Z'));
    assert.equal(nextChange(twice, at('2030-10-27T01:40:00.000Z')), at('2030-10-27T03:00:00.000Z'));
  });

  it('finds the next change a week later', () => {
    const monday = hours('UTC', 'mon', '00:00', '00:01');
    assert.equal(nextChange(monday, at('2030-01-07T00:00:00.000Z')), at('2030-01-07T00:01:00.000Z'));
    assert.equal(nextChange(monday, at('2030-01-07T00:01:00.000Z')), at('2030-01-14T00:00:00.000Z'));
  });

  it('is within when a naive reading is, in any zone at any time', () => {
    const found = new Map<boolean, number>();
    fc.assert(
      fc.property(seeds, (seed) => {
        const draw = new Draw(seed);
        const [of, time] = [hoursSchema.parse(drawHours(draw)), drawTime(draw)];
        const expected = referenceWithin(of, time);
        assert.equal(within(of, time), expected, `${JSON.stringify(of)} ${new Date(time).toISOString()}`);
        found.set(expected, (found.get(expected) ?? 0) + 1);
      }),
      { numRuns: 1000, endOnFailure: true },
    );
    for (const expected of [true, false]) assert.ok((found.get(expected) ?? 0) > 100);
  }).timeout(120_000);

  it('changes next when going minute by minute finds it, also about the days on which clocks are put on or back', () => {
    let soon = 0;
    fc.assert(
      fc.property(seeds, (seed) => {
        const draw = new Draw(seed);
        const [of, time] = [hoursSchema.parse(drawHours(draw)), drawTime(draw)];
        const most = 8 * hour;
        const [fast, slow] = [nextChange(of, time), slowChange(of, time, most)];
        const within8 = fast !== undefined && fast <= time + most ? fast : undefined;
        assert.equal(within8, slow, `${JSON.stringify(of)} ${new Date(time).toISOString()}`);
        if (slow !== undefined) soon += 1;
      }),
      { numRuns: 200, endOnFailure: true },
    );
    // Three in ten of what is drawn.
    assert.ok(soon > 15, String(soon));
  }).timeout(300_000);
});
