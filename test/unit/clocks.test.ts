// Clocks that differ: who is said to be wrong, how often, and that no single peer can put this node's own in doubt.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { CoordinatorClock } from '../../connector/clock.ts';
import { ClockWatch, clockThresholdMs, judgeClocks, type MeasuredClock } from '../../node/clocks.ts';
import { clockWarnings } from '../../node/peers.ts';

const clock = (party: string, aheadSeconds: number, roundTripMs = 0): MeasuredClock => ({
  party,
  aheadMs: aheadSeconds * 1000,
  roundTripMs,
});
const clocks = (...aheadSeconds: readonly number[]): MeasuredClock[] =>
  aheadSeconds.map((seconds, index) => clock(String.fromCharCode(97 + index), seconds));

function judged(...aheadSeconds: readonly number[]): { own: number | undefined; peers: string[] } {
  const { own, peers } = judgeClocks(clocks(...aheadSeconds));
  return {
    own: own === undefined ? undefined : own / 1000,
    peers: peers.map(({ party, aheadMs }) => `${party} ${aheadMs / 1000}`),
  };
}

describe('clocks of a keyring', () => {
  it('that agree are nothing to speak of', () => {
    for (const seconds of [[], [0], [29, -29], [30, 30, 30], [-12, 3, 25, 1]]) {
      assert.deepEqual(judged(...seconds), { own: undefined, peers: [] });
    }
  });

  it('one peer differs: its own is said to, never this node', () => {
    assert.deepEqual(judged(90), { own: undefined, peers: ['a 90'] });
    assert.deepEqual(judged(1, 90), { own: undefined, peers: ['b 90'] });
    assert.deepEqual(judged(1, -90, 2), { own: undefined, peers: ['b -90'] });
    assert.deepEqual(judged(Number.MAX_SAFE_INTEGER / 1000, 0, 0, 0).own, undefined);
  });

  it('most differ alike: this node is wrong, and a peer that agrees with it too', () => {
    assert.deepEqual(judged(90, 91), { own: 90, peers: [] });
    assert.deepEqual(judged(-90, -91, 0), { own: undefined, peers: ['a -90', 'b -91'] });
    assert.deepEqual(judged(-90, -91, -92, 0), { own: -90, peers: ['d 90'] });
    assert.deepEqual(judged(90, 90, -4000), { own: undefined, peers: ['a 90', 'b 90', 'c -4000'] });
  });

  it('fewer liars than half of all parties never raise an alarm about an honest clock', () => {
    const honest = fc.integer({ min: -1000, max: 1000 });
    const lie = fc.integer({ min: -1e12, max: 1e12 });
    const keyring = fc
      .integer({ min: 1, max: 8 })
      .chain((peers) => fc.nat(Math.ceil((peers + 1) / 2) - 1).map((liars) => ({ peers, liars })))
      .chain(({ peers, liars }) =>
        fc.tuple(
          fc.array(honest, { minLength: peers - liars, maxLength: peers - liars }),
          fc.array(lie, { minLength: liars, maxLength: liars }),
        ),
      );
    fc.assert(
      fc.property(keyring, ([true_, false_]) => {
        const measured = [...true_, ...false_].map((aheadMs, index) => ({
          party: String(index),
          aheadMs,
          roundTripMs: 0,
        }));
        const { own, peers } = judgeClocks(measured);
        assert.equal(own, undefined);
        assert.ok(peers.every(({ party }) => Number(party) >= true_.length));
      }),
      { numRuns: 1000 },
    );
  });

  it('a slow way there and back is no difference', () => {
    assert.deepEqual(judgeClocks([clock('a', 40, 30_000)]), { peers: [] });
    assert.deepEqual(judgeClocks([clock('a', -40, 30_000)]), { peers: [] });
    assert.equal(judgeClocks([clock('a', 40, 10_000)]).peers.length, 1);
  });

  it('are told in words', () => {
    const names = (party: string): string => `party-${party}`;
    assert.deepEqual(clockWarnings(judgeClocks(clocks(90, 91)), names), [
      "your clock differs from most peers': it is about 90 s behind",
    ]);
    assert.deepEqual(clockWarnings(judgeClocks(clocks(-90, 1)), names), [
      "peer party-a's clock differs: it is about 90 s behind",
    ]);
  });

  it('are logged once for each change, and seldom for one that is moved to and fro', () => {
    const events: string[] = [];
    let now = 0;
    const watch = new ClockWatch(
      (event, { peer }) => events.push(typeof peer === 'string' ? `${event} ${peer}` : event),
      () => now,
    );
    watch.update(clocks(0, 0));
    watch.update(clocks(90, 0));
    watch.update(clocks(91, 0));
    assert.deepEqual(events, ['clock.peer_differs a']);
    for (let times = 0; times < 50; times++) watch.update(clocks(times % 2 === 0 ? 0 : 90, 0));
    assert.equal(events.length, 1);
    now += 600_000;
    watch.update(clocks(0, 0));
    assert.deepEqual(events.slice(1), ['clock.agrees a']);
    watch.update(clocks(90, 90));
    assert.deepEqual(events.slice(2), ['clock.differs']);
    now += 600_000;
    watch.update(clocks(0, 0));
    assert.deepEqual(events.slice(3), ['clock.agrees']);
  });
});

describe("a coordinator's clock", () => {
  const now = Date.parse('2030-01-01T00:00:00.000Z');
  const at = (aheadMs: number): string => new Date(now + aheadMs).toISOString();

  it('is compared with the own one, once for each change, and taken for nothing else', () => {
    const logged: [string, unknown][] = [];
    const compared = new CoordinatorClock(
      (event, fields) => logged.push([event, fields['coordinatorAheadMs']]),
      () => now,
    );
    compared.heard(at(clockThresholdMs), 0);
    compared.heard(at(-40_000), 30_000);
    compared.heard('garbage', 0);
    assert.deepEqual(logged, []);
    compared.heard(at(40_000), 100);
    compared.heard(at(41_000), 100);
    assert.deepEqual(logged, [['clock.coordinator_differs', 40_050]]);
    compared.heard(at(0), 0);
    assert.equal(logged[1]?.[0], 'clock.coordinator_agrees');
    compared.heard(at(-40_000), 0);
    assert.deepEqual(logged[2], ['clock.coordinator_differs', -40_000]);
  });
});
