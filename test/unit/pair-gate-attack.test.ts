// The attack that the ban gate is there for, on an ideal check that leaks one bit of Delta for each altered row; and any
// interleaving of sessions, verdicts, writes that fail and kills, against what must hold of all of them.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Abort } from '../../node/mpc/abort.ts';
import type { GateError } from '../../node/sessions/pairs/gate-error.ts';
import { WorkError } from '../../node/work/error.ts';
import { toHex } from '../../protocol/hex.ts';
import { alice, bob, failedCheck, GateRig, hexId, settled, setup } from '../support/pair-gate-rig.ts';

const rows = 256;
type Guard = (step: () => Promise<{ erased: boolean }>) => Promise<unknown>;

/** What the attacker sees of a session: its answer leaves, or it is told why not. */
type Seen = 'answer' | 'failed_check' | 'closed';

/**
 * One session a row, all at once: in session i row i is altered, so that its check fails exactly if bit i of Delta is set.
 * `order` is how the checks end.
 */
async function attack(delta: readonly boolean[], order: readonly number[], guard: Guard): Promise<Seen[]> {
  const ends: ((pass: boolean) => void)[] = [];
  const sessions = delta.map((_, row) =>
    guard(
      () =>
        new Promise((resolve, reject) => {
          ends[row] = (pass) => (pass ? resolve({ erased: false }) : reject(failedCheck()));
        }),
    ).then(
      (): Seen => 'answer',
      (error: Abort | GateError): Seen => (error instanceof Abort ? 'failed_check' : 'closed'),
    ),
  );
  await settled();
  for (const row of order) {
    ends[row]?.(delta[row] !== true);
    await Promise.resolve();
  }
  return Promise.all(sessions);
}

const bits = fc.array(fc.boolean(), { minLength: rows, maxLength: rows });
const orders = fc.shuffledSubarray(
  Array.from({ length: rows }, (_, row) => row),
  { minLength: rows, maxLength: rows },
);

describe('256 sessions over one pair at once, one altered row each', function () {
  this.timeout(60_000);

  it('tell all of Delta without a gate', async () => {
    await fc.assert(
      fc.asyncProperty(bits, orders, async (delta, order) => {
        const seen = await attack(delta, order, (step) => step());
        assert.deepEqual(
          seen.map((what) => what === 'failed_check'),
          delta,
        );
      }),
      { numRuns: 5 },
    );
  });

  it('tell nothing through the gate but that one of them failed: no answer leaves', async () => {
    await fc.assert(
      fc.asyncProperty(bits, orders, async (delta, order) => {
        const rig = await GateRig.ready();
        const seen = await attack(delta, order, (step) => rig.guard(step));
        const failed = order.find((row) => delta[row]);
        if (failed === undefined) return assert.ok(seen.every((what) => what === 'answer'));
        const expected = delta.map((_, row): Seen => (row === failed ? 'failed_check' : 'closed'));
        assert.deepEqual(seen, expected);
        assert.equal(rig.gate.state(alice), 'banned');
      }),
      { numRuns: 20 },
    );
  });

  it('one after the other end with the first that fails', async () => {
    await fc.assert(
      fc.asyncProperty(bits, async (delta) => {
        const rig = await GateRig.ready();
        const seen: Seen[] = [];
        for (const bit of delta) {
          const step = async (): Promise<{ erased: boolean }> => {
            if (bit) throw failedCheck();
            return { erased: false };
          };
          seen.push(
            await rig.guard(step).then(
              (): Seen => 'answer',
              (error: unknown): Seen => (error instanceof Abort ? 'failed_check' : 'closed'),
            ),
          );
        }
        const first = delta.includes(true) ? delta.indexOf(true) : rows;
        const expected = delta.map((_, row): Seen =>
          row < first ? 'answer' : row === first ? 'failed_check' : 'closed',
        );
        assert.deepEqual(seen, expected);
      }),
      { numRuns: 5 },
    );
  });
});

type Ending = 'good' | 'abort' | 'failed' | 'lost' | 'never begun';
interface Planned {
  readonly kind: 'session';
  readonly parties: readonly string[];
  readonly ending: Ending;
}
type Act = Planned | { readonly kind: 'adopt' | 'destroy' | 'lift'; readonly party: string };

/** A session that ran: its moments, on one count of all events. */
interface Ran {
  readonly plan: Planned;
  readonly setups: ReadonlyMap<string, string>;
  readonly began: number;
  verdict?: number;
  released?: number;
}

const parties = fc.constantFrom([alice], [bob], [alice, bob]);
const sessions = fc.record({
  kind: fc.constant('session' as const),
  parties,
  ending: fc.oneof(
    { weight: 5, arbitrary: fc.constant('good' as Ending) },
    { weight: 3, arbitrary: fc.constantFrom<Ending>('abort', 'failed', 'lost', 'never begun') },
  ),
});
const acts: fc.Arbitrary<Act> = fc.oneof(
  { weight: 6, arbitrary: sessions },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom('adopt' as const, 'destroy' as const, 'lift' as const),
      party: fc.constantFrom(alice, bob),
    }),
  },
);
const plans = fc.array(acts, { minLength: 2, maxLength: 14 });
/** Whether each write fails. */
const faults = fc.infiniteStream(fc.integer({ min: 0, max: 9 }));

describe('the ban gate, however sessions interleave', function () {
  this.timeout(120_000);

  async function run(scheduler: fc.Scheduler, plan: readonly Act[], fails: () => boolean): Promise<void> {
    const rig = await GateRig.ready([alice, bob]);
    let clock = 0;
    let setupNumber = 2;
    const ran: Ran[] = [];
    rig.store.before = async (what, party) => {
      await scheduler.schedule(Promise.resolve(), `${what} ${party.slice(-2)}`);
      if (fails()) throw new Error('no space');
    };
    /** A kill at this very moment must leave no setup whose check has no durable verdict. */
    const killable = (): void => {
      for (const {
        plan: { parties: of, ending },
        setups,
        verdict,
      } of ran) {
        const ended = verdict !== undefined && (ending === 'good' || ending === 'abort');
        if (ended || ending === 'never begun') continue;
        for (const party of of) {
          const { setup: kept, checking, ban } = rig.store.kept(party);
          const blamed = ending !== 'failed' || party === of[0] || verdict === undefined;
          const stands = kept !== undefined && toHex(kept.id) === setups.get(party) && !ban;
          assert.ok(!stands || checking || !blamed, `a restart would take up the setup with ${party}`);
        }
      }
    };
    const session = async (planned: Planned): Promise<void> => {
      const setups = new Map(
        planned.parties.map((party) => [
          party,
          rig.gate.state(party) === 'ready' ? toHex(rig.gate.setupOf(party).id) : hexId(0),
        ]),
      );
      let own: Ran | undefined;
      const answer = { erased: false };
      const step = async () => {
        for (const party of planned.parties) assert.ok(rig.store.kept(party).checking, 'begun without mark');
        own = { plan: planned, setups, began: ++clock };
        ran.push(own);
        killable();
        await scheduler.schedule(Promise.resolve(), `verdict ${planned.ending}`);
        own.verdict = ++clock;
        if (planned.ending === 'abort') throw new Abort('opening_mismatch', 'does not fit', { culprit: 1 });
        if (planned.ending === 'failed') throw failedCheck();
        if (planned.ending === 'lost') throw new WorkError('worker_lost', 'gone');
        if (planned.ending === 'never begun') throw new WorkError('busy', 'full');
        return answer;
      };
      try {
        await rig.gate.guard({ ...rig.options(planned.parties), setups }, step);
        assert.equal(answer.erased, false);
        own!.released = ++clock;
        for (const party of planned.parties) assert.equal(rig.gate.state(party), 'ready');
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error;
        if (planned.ending === 'good') {
          assert.equal((error as Error).name, 'GateError');
          assert.equal(answer.erased, own !== undefined);
        }
        // An abort without ban leaves like an answer.
        if (planned.ending === 'abort' && error instanceof Abort) own!.released = ++clock;
      }
      killable();
    };
    const running = plan.map(async (act, index) => {
      await scheduler.schedule(Promise.resolve(), `${index} ${act.kind}`);
      if (act.kind === 'session') return session(act);
      const acting =
        act.kind === 'adopt'
          ? rig.gate.adopt(act.party, setup(++setupNumber))
          : act.kind === 'lift'
            ? rig.gate.lift(act.party)
            : rig.gate.destroy(act.party, 'setup_mismatch');
      await acting.catch((error: Error) => assert.ok(!(error instanceof assert.AssertionError)));
      killable();
    });
    await scheduler.waitFor(Promise.all(running));
    await scheduler.waitFor(rig.gate.stop().catch(() => undefined));
    killable();
    for (const one of ran) {
      for (const bad of ran) {
        if (one.released === undefined || bad.plan.ending !== 'failed') continue;
        const [culprit] = bad.plan.parties;
        if (!one.plan.parties.includes(culprit!)) continue;
        // Another setup, after the operator lifted the ban.
        if (one.setups.get(culprit!) !== bad.setups.get(culprit!)) continue;
        assert.ok(one.released < bad.verdict!, 'released after a failed check');
        assert.ok(bad.began > one.verdict!, 'released though a check that failed was under way');
      }
    }
    rig.store.before = () => undefined;
    const next = await rig.restart();
    for (const {
      plan: { parties: of, ending },
      setups,
    } of ran) {
      const party = of[0]!;
      if ((ending !== 'failed' && ending !== 'lost') || next.gate.state(party) !== 'ready') continue;
      assert.notEqual(toHex(next.gate.setupOf(party).id), setups.get(party), 'a spent setup is back');
    }
  }

  it('releases nothing after a failed check, nor beside one, and spends its setup for good', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), plans, (scheduler, plan) => run(scheduler, plan, () => false)),
      { numRuns: 1500 },
    );
  });

  it('keeps to that when writes fail', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), plans, faults, (scheduler, plan, stream) =>
        run(scheduler, plan, () => stream.next().value! < 3),
      ),
      { numRuns: 1500 },
    );
  });
});
