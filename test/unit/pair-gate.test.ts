// The ban gate: one failed check closes a pair, whatever else is under way, whatever crashes, whatever the disk does.
import assert from 'node:assert/strict';
import { Abort } from '../../node/mpc/abort.ts';
import { incidentWindow, maxIncidents } from '../../node/sessions/pairs/gate.ts';
import { GateError, type GateErrorCode } from '../../node/sessions/pairs/gate-error.ts';
import { WorkError } from '../../node/work/error.ts';
import {
  alice,
  bob,
  failedCheck,
  GateRig,
  hexId,
  secretsOf,
  settled,
  setup,
} from '../support/pair-gate-rig.ts';

const refuses = (code: GateErrorCode) => (error: unknown) => {
  assert.ok(error instanceof GateError, String(error));
  assert.equal(error.code, code, error.message);
  assert.doesNotMatch(error.message, /secret/);
  return true;
};
const harmless = (): Abort => new Abort('opening_mismatch', 'an opening does not fit', { culprit: 1 });

describe('pair gate', () => {
  describe('setups', () => {
    it('are missing, ready, and durable before they are', async () => {
      const rig = await GateRig.open();
      assert.equal(rig.gate.state(alice), 'missing');
      assert.throws(() => rig.gate.setupOf(alice), refuses('no_setup'));
      let stood = '';
      rig.store.before = () => void (stood = rig.gate.state(alice));
      await rig.gate.adopt(alice, setup(1));
      assert.equal(stood, 'missing', 'while it was written');
      assert.equal(rig.gate.state(alice), 'ready');
      assert.deepEqual(rig.told, []);
      assert.deepEqual((await rig.restart()).gate.setupOf(alice), setup(1));
    });

    it('are handed out as copies, which their holder can erase', async () => {
      const rig = await GateRig.ready();
      const copy = rig.gate.setupOf(alice);
      assert.equal(copy.secrets.byteLength, copy.secrets.buffer.byteLength, 'a buffer of its own');
      copy.secrets.fill(0);
      copy.id.fill(0);
      assert.deepEqual(rig.gate.setupOf(alice), setup(1));
    });

    it('are replaced, with everything that was made with them', async () => {
      const rig = await GateRig.ready();
      const running = rig.step();
      await running.begun;
      await rig.gate.adopt(alice, setup(2));
      assert.deepEqual(rig.told, [`destroyed:${alice}:replaced`]);
      running.pass();
      await assert.rejects(running.result, refuses('closed'));
      assert.ok(running.answer.erased);
      assert.deepEqual(rig.gate.setupOf(alice), setup(2));
      await assert.rejects(
        rig.guard(async () => ({ erased: false })),
        refuses('closed'),
        'the old one',
      );
    });

    it('that come again are the same', async () => {
      const rig = await GateRig.ready();
      await rig.gate.adopt(alice, setup(1));
      assert.deepEqual([rig.told, rig.store.writes], [[], []]);
      assert.deepEqual(rig.gate.setupOf(alice), setup(1));
    });

    it('that cannot be stored are not there, and erased', async () => {
      const rig = await GateRig.open();
      rig.store.before = () => Promise.reject(new Error('no space'));
      const given = setup(1);
      await assert.rejects(rig.gate.adopt(alice, given), /no space/);
      assert.equal(rig.gate.state(alice), 'missing');
      assert.deepEqual(given.secrets, new Uint8Array(64));
    });

    it('are not adopted while the pair is banned, nor when the ban comes as they are written', async () => {
      const rig = await GateRig.ready();
      const running = rig.step();
      await running.begun;
      let write = (): void => undefined;
      rig.store.before = (what) =>
        what === 'adopt' ? new Promise<void>((resolve) => (write = resolve)) : undefined;
      const given = setup(2);
      const adopting = rig.gate.adopt(alice, given);
      await settled();
      running.fail(failedCheck());
      await running.settled;
      write();
      await assert.rejects(adopting, refuses('banned'));
      assert.deepEqual(given.secrets, new Uint8Array(64));
      await settled();
      assert.equal(rig.store.kept(alice).setup, undefined, 'the ban took it along');
      rig.store.before = () => undefined;
      const written = rig.store.writes.length;
      await assert.rejects(rig.gate.adopt(alice, setup(3)), refuses('banned'));
      assert.equal(rig.store.writes.length, written, 'nothing is written for it');
      assert.equal(rig.gate.state(alice), 'banned');
    });
  });

  describe('a failed check', () => {
    it('bans at once: in memory, with everything of the pair, before anything is written', async () => {
      const rig = await GateRig.ready();
      const running = rig.step();
      await running.begun;
      rig.store.before = () => new Promise(() => undefined);
      running.fail(failedCheck());
      await running.settled;
      assert.equal((running.outcome.error as Abort).code, 'invalid_share');
      assert.equal(rig.gate.state(alice), 'banned');
      assert.deepEqual(rig.gate.bans(), [alice]);
      assert.deepEqual(rig.told, [`destroyed:${alice}:ban`]);
      assert.throws(() => rig.gate.setupOf(alice), refuses('banned'));
      await assert.rejects(
        rig.guard(async () => assert.fail('it runs')),
        refuses('banned'),
      );
      const { ban } = rig.gate.states().get(alice)!;
      assert.deepEqual(ban, { at: rig.now, code: 'invalid_share', detail: 'a check of its rows failed' });
    });

    it('is durable, setup and all, over restarts', async () => {
      const rig = await GateRig.ready();
      await assert.rejects(rig.guard(() => Promise.reject(failedCheck())));
      await rig.gate.stop();
      assert.equal(rig.store.kept(alice).setup, undefined);
      const later = await rig.restart();
      assert.equal(later.gate.state(alice), 'banned');
      assert.equal(later.gate.states().get(alice)?.ban?.code, 'invalid_share');
    });

    it('bans the pair that is named and no other', async () => {
      const rig = await GateRig.ready([alice, bob]);
      await assert.rejects(rig.guard(() => Promise.reject(failedCheck(2)), [alice, bob]));
      assert.deepEqual(rig.gate.bans(), [bob]);
      assert.equal(rig.gate.state(alice), 'ready');
      await rig.gate.stop();
      assert.equal(rig.store.kept(alice).checking, false);
      assert.equal(rig.gate.states().get(alice)?.incidents, 0);
    });

    it('that names nobody who is here destroys every setup that it may be about', async () => {
      const rig = await GateRig.ready([alice, bob]);
      await assert.rejects(rig.guard(() => Promise.reject(failedCheck(3)), [alice, bob]));
      assert.deepEqual([rig.gate.state(alice), rig.gate.state(bob)], ['missing', 'missing']);
    });

    it('holds back what another session has found good beside it', async () => {
      const rig = await GateRig.ready();
      const good = rig.step();
      const bad = rig.step();
      await Promise.all([good.begun, bad.begun]);
      good.pass();
      await settled();
      assert.deepEqual(good.outcome, {}, 'it waits for the verdict of the other');
      bad.fail(failedCheck());
      await assert.rejects(good.result, refuses('closed'));
      assert.ok(good.answer.erased);
    });

    it('holds back what several parties take part in', async () => {
      const rig = await GateRig.ready([alice, bob]);
      const both = rig.step([alice, bob]);
      const bad = rig.step([bob]);
      await Promise.all([both.begun, bad.begun]);
      both.pass();
      bad.fail(failedCheck());
      await assert.rejects(both.result, refuses('closed'));
      assert.ok(both.answer.erased);
      assert.equal(rig.gate.state(alice), 'ready');
    });

    it('does not show in how later ones end: neither their failures nor their aborts leave', async () => {
      const rig = await GateRig.ready();
      const steps = Array.from({ length: 4 }, () => rig.step());
      await Promise.all(steps.map(({ begun }) => begun));
      const [first, second, third, fourth] = steps;
      third!.fail(harmless());
      await settled();
      assert.deepEqual(third!.outcome, {}, 'an abort waits too');
      first!.fail(failedCheck());
      second!.fail(failedCheck());
      fourth!.fail(new Error('anything'));
      await Promise.all(steps.map((step) => step.settled));
      const codes = steps.map(({ outcome }) => outcome.error?.code);
      assert.deepEqual(codes, ['invalid_share', 'closed', 'closed', 'closed']);
      assert.deepEqual(rig.told, [`destroyed:${alice}:ban`]);
    });

    it('counts though its session is long gone', async () => {
      const rig = await GateRig.ready();
      const running = rig.step();
      await running.begun;
      // The caller has given up: nobody looks at the result.
      running.result.catch(() => undefined);
      running.fail(failedCheck());
      await running.settled;
      assert.equal(rig.gate.state(alice), 'banned');
    });

    it('counts though its setup was replaced meanwhile', async () => {
      const rig = await GateRig.ready();
      const running = rig.step();
      await running.begun;
      await rig.gate.adopt(alice, setup(2));
      running.fail(failedCheck());
      await assert.rejects(running.result, refuses('closed'));
      assert.equal(rig.gate.state(alice), 'banned');
    });

    it('bans although its listener throws', async () => {
      const rig = await GateRig.ready();
      const push = rig.told.push.bind(rig.told);
      rig.told.push = () => {
        throw new TypeError('a defect');
      };
      await assert.rejects(
        rig.guard(() => Promise.reject(failedCheck())),
        { code: 'invalid_share' },
      );
      rig.told.push = push;
      await rig.gate.stop();
      assert.equal(rig.store.kept(alice).ban?.code, 'invalid_share');
      assert.ok(rig.logged.some(({ event }) => event === 'pair.listener_failed'));
    });
  });

  describe('a good step', () => {
    it('is released when it was alone, before its mark is cleared', async () => {
      const rig = await GateRig.ready();
      let cleared = (): void => undefined;
      rig.store.before = (what) =>
        what === 'clear' ? new Promise<void>((resolve) => (cleared = resolve)) : undefined;
      const value = { erased: false };
      assert.equal(await rig.guard(async () => value), value);
      assert.equal(value.erased, false);
      assert.equal(rig.store.kept(alice).checking, true);
      await settled();
      cleared();
      await rig.gate.stop();
      assert.deepEqual(rig.store.writes, [`mark:${alice}`, `clear:${alice}`]);
    });

    it('does not wait for what began after it was found good', async () => {
      const rig = await GateRig.ready();
      const [first, beside] = [rig.step(), rig.step()];
      await Promise.all([first.begun, beside.begun]);
      first.pass();
      await settled();
      const later = rig.step();
      await later.begun;
      beside.pass();
      assert.equal(await first.result, first.answer);
      assert.deepEqual(later.outcome, {});
      later.pass();
      await later.result;
    });

    it('does not wait for what waits for its own turn, and has not begun', async () => {
      const rig = await GateRig.ready();
      const waiting = rig.waiting();
      const other = rig.step();
      await other.begun;
      other.pass();
      await settled();
      assert.equal(other.outcome.value, other.answer);
      waiting.start();
      waiting.pass();
      await waiting.settled;
      assert.equal(waiting.outcome.value, waiting.answer);
    });

    it('waits for what had its turn before', async () => {
      const rig = await GateRig.ready();
      const waiting = rig.waiting();
      waiting.start();
      const other = rig.step();
      await other.begun;
      other.pass();
      await settled();
      assert.deepEqual(other.outcome, {});
      waiting.pass();
      await Promise.all([waiting.settled, other.settled]);
      assert.equal(other.outcome.value, other.answer);
    });

    it('is none of what has its turn after a ban: that is not begun, and is no incident', async () => {
      const rig = await GateRig.ready([alice, bob]);
      const waiting = rig.waiting([alice, bob]);
      const cheated = rig.step();
      await cheated.begun;
      cheated.fail(failedCheck());
      await cheated.settled;
      waiting.start();
      waiting.pass();
      await waiting.settled;
      assert.equal(waiting.outcome.error?.code, 'closed');
      assert.equal(waiting.outcome.ran, false);
      assert.deepEqual(rig.told, [`destroyed:${alice}:ban`]);
      assert.equal(rig.gate.state(bob), 'ready');
    });

    it('keeps its mark while something waits for its turn', async () => {
      const rig = await GateRig.ready();
      const waiting = rig.waiting();
      const other = rig.step();
      await other.begun;
      other.pass();
      await other.settled;
      await settled();
      assert.equal(rig.store.kept(alice).checking, true);
      waiting.start();
      waiting.pass();
      await waiting.settled;
      await settled();
      assert.equal(rig.store.kept(alice).checking, false);
    });

    it('of another pair waits for nothing', async () => {
      const rig = await GateRig.ready([alice, bob]);
      const running = rig.step([alice]);
      await running.begun;
      const other = rig.step([bob]);
      await other.begun;
      other.pass();
      await other.result;
      running.pass();
    });

    it('is not begun without the setup that it holds', async () => {
      const rig = await GateRig.ready();
      const step = async () => assert.fail('it runs');
      await assert.rejects(rig.guard(step, [bob]), refuses('no_setup'));
      await assert.rejects(rig.guard(step, [alice], 2), refuses('closed'));
      await assert.rejects(rig.gate.guard({ ...rig.options(), setups: new Map() }, step), refuses('closed'));
      assert.deepEqual(rig.store.writes, []);
      await rig.gate.destroy(alice, 'so the test says');
      await assert.rejects(rig.guard(step), refuses('no_setup'));
    });
  });

  describe('the mark of a check under way', () => {
    it('is durable before the first begins, once for all, and goes with the last', async () => {
      const rig = await GateRig.ready();
      let write = (): void => undefined;
      rig.store.before = (what) =>
        what === 'mark' ? new Promise<void>((resolve) => (write = resolve)) : undefined;
      const steps = [rig.step(), rig.step(), rig.step()];
      let begun = 0;
      for (const step of steps) void step.begun.then(() => (begun += 1));
      await settled();
      assert.equal(begun, 0, 'all wait for it');
      write();
      await Promise.all(steps.map((step) => step.begun));
      assert.deepEqual(rig.store.writes, [`mark:${alice}`]);
      steps[0]!.pass();
      steps[1]!.pass();
      await settled();
      assert.equal(rig.store.kept(alice).checking, true);
      steps[2]!.pass();
      await Promise.all(steps.map((step) => step.result));
      await rig.gate.stop();
      assert.deepEqual(rig.store.writes, [`mark:${alice}`, `clear:${alice}`]);
    });

    it('is set again when its removal was under way', async () => {
      const rig = await GateRig.ready();
      let clear = (): void => undefined;
      rig.store.before = (what) =>
        what === 'clear' ? new Promise<void>((resolve) => (clear = resolve)) : undefined;
      await rig.guard(async () => ({ erased: false }));
      await settled();
      const next = rig.step();
      await settled();
      clear();
      await next.begun;
      assert.equal(rig.store.kept(alice).checking, true);
      next.pass();
      await next.result;
    });

    it('that cannot be written lets no check begin, and destroys nothing', async () => {
      const rig = await GateRig.ready([alice, bob]);
      rig.store.before = (what, party) => {
        if (what === 'mark' && party === bob) throw new Error('no space');
      };
      const step = async () => assert.fail('it runs');
      await assert.rejects(rig.guard(step, [alice, bob]), refuses('unmarked'));
      assert.equal(rig.gate.state(bob), 'ready');
      rig.store.before = () => undefined;
      await rig.guard(async () => ({ erased: false }), [alice, bob]);
      await rig.gate.stop();
      assert.equal(rig.store.kept(alice).checking, false);
    });

    it('whose removal failed is written again before the next check', async () => {
      const rig = await GateRig.ready();
      rig.store.before = (what) => {
        if (what === 'clear') throw new Error('no space');
      };
      await rig.guard(async () => ({ erased: false }));
      await settled();
      assert.ok(
        rig.logged.some(({ event, fields }) => event === 'pair.store_failed' && fields['what'] === 'clear'),
      );
      // The removal may have reached the disk all the same.
      rig.store.kept(alice).checking = false;
      await rig.guard(async () => {
        assert.equal(rig.store.kept(alice).checking, true);
        return { erased: false };
      });
    });

    it('that a start finds destroys the setup, as an incident', async () => {
      const rig = await GateRig.ready([alice, bob]);
      const running = rig.step([alice]);
      await running.begun;
      // Here the node is killed.
      const next = await rig.restart();
      assert.deepEqual([next.gate.state(alice), next.gate.state(bob)], ['missing', 'ready']);
      assert.equal(next.gate.states().get(alice)?.incidents, 1);
      const { setup: kept, checking, incidents } = rig.store.kept(alice);
      assert.deepEqual([kept, checking, incidents], [undefined, false, [rig.now]], 'durably');
      await next.gate.adopt(alice, setup(2));
      assert.equal((await next.restart()).gate.state(alice), 'ready');
    });

    it('that a start finds keeps the node from starting if the disk is full', async () => {
      const rig = await GateRig.ready();
      await rig.step().begun;
      rig.store.before = (what) => {
        if (what === 'drop') throw new Error('no space');
      };
      await assert.rejects(rig.restart(), /no space/);
      assert.equal(rig.store.kept(alice).checking, true);
    });
  });

  describe('a verdict that is lost', () => {
    const lost: readonly [string, unknown][] = [
      ['a throw', new TypeError('anything')],
      ['a throw of nothing', undefined],
      ['a lost worker', new WorkError('worker_lost', 'gone')],
      ['workers that were stopped', new WorkError('stopped', 'stopped')],
      ['a task that failed', new WorkError('failed', 'a task threw')],
      ['work that was cancelled after it was begun', new WorkError('cancelled', 'not wanted')],
      ['something unexpected in a machine', new Abort('internal', 'the run failed unexpectedly')],
    ];
    for (const [what, error] of lost) {
      it(`destroys the setups of all pairs: ${what}`, async () => {
        const rig = await GateRig.ready([alice, bob]);
        await assert.rejects(
          rig.guard(() => Promise.reject(error as Error), [alice, bob]),
          (thrown) => thrown === error,
        );
        for (const party of [alice, bob]) {
          assert.equal(rig.gate.state(party), 'missing');
          assert.equal(rig.gate.states().get(party)?.incidents, 1);
        }
        assert.deepEqual(rig.told, [`destroyed:${alice}:incident`, `destroyed:${bob}:incident`]);
        await rig.gate.stop();
        assert.equal(rig.store.kept(alice).setup, undefined);
        assert.equal(rig.store.kept(alice).checking, false);
      });
    }

    it('also when the step throws before it gives a promise', async () => {
      const rig = await GateRig.ready();
      const step = (): never => {
        throw new TypeError('at once');
      };
      await assert.rejects(rig.guard(step), TypeError);
      assert.equal(rig.gate.state(alice), 'missing');
    });

    const none: readonly [string, Error][] = [
      ['an abort without ban', harmless()],
      ['work that was never begun', new WorkError('busy', 'full')],
      ['work that was cancelled before', new WorkError('cancelled', 'no', { verdictLost: false })],
    ];
    for (const [what, error] of none) {
      it(`is not: ${what}`, async () => {
        const rig = await GateRig.ready();
        await assert.rejects(
          rig.guard(() => Promise.reject(error)),
          (thrown) => thrown === error,
        );
        assert.equal(rig.gate.state(alice), 'ready');
        await rig.gate.stop();
        assert.equal(rig.store.kept(alice).checking, false);
        assert.equal((await rig.restart()).gate.state(alice), 'ready');
      });
    }

    it('counts once for a setup, however many sessions it ends', async () => {
      const rig = await GateRig.ready();
      const steps = Array.from({ length: 30 }, () => rig.step());
      await Promise.all(steps.map(({ begun }) => begun));
      for (const step of steps) step.fail(new WorkError('worker_lost', 'gone'));
      await Promise.all(steps.map(({ settled: done }) => done));
      assert.equal(rig.gate.state(alice), 'missing');
      assert.equal(rig.gate.states().get(alice)?.incidents, 1);
    });

    it('of an old setup leaves the new one alone', async () => {
      const rig = await GateRig.ready();
      const running = rig.step();
      await running.begun;
      await rig.gate.adopt(alice, setup(2));
      running.fail(new WorkError('worker_lost', 'gone'));
      await assert.rejects(running.result, refuses('closed'));
      assert.equal(rig.gate.state(alice), 'ready');
      assert.equal(rig.gate.states().get(alice)?.incidents, 0);
    });

    it('keeps its mark until the destruction is written: a full disk does not bring the setup back', async () => {
      const rig = await GateRig.ready();
      rig.store.before = (what) => {
        if (what === 'drop') throw new Error('no space');
      };
      await assert.rejects(
        rig.guard(() => Promise.reject(new TypeError('anything'))),
        TypeError,
      );
      await rig.gate.stop();
      assert.equal(rig.gate.state(alice), 'missing');
      assert.equal(rig.store.kept(alice).checking, true);
      assert.ok(
        rig.logged.some(({ event, fields }) => event === 'pair.store_failed' && fields['what'] === 'drop'),
      );
      rig.store.before = () => undefined;
      assert.equal((await rig.restart()).gate.state(alice), 'missing');
    });

    it('is written before a new setup when it could not be before', async () => {
      const rig = await GateRig.ready();
      rig.store.before = (what) => {
        if (what === 'drop') throw new Error('no space');
      };
      await assert.rejects(rig.gate.destroy(alice, 'setup_mismatch'), /no space/);
      await assert.rejects(rig.gate.adopt(alice, setup(2)), /no space/);
      rig.store.before = () => undefined;
      await rig.gate.adopt(alice, setup(3));
      assert.deepEqual(rig.store.writes, [`drop:${alice}`, `adopt:${alice}`]);
      assert.equal(rig.store.kept(alice).incidents.length, 1);
    });
  });

  describe('a ban that cannot be written', () => {
    it('holds in memory, keeps its mark, and costs the setup at the next start', async () => {
      const rig = await GateRig.ready();
      rig.store.before = (what) => {
        if (what === 'ban') throw new Error('no space');
      };
      await assert.rejects(
        rig.guard(() => Promise.reject(failedCheck())),
        { code: 'invalid_share' },
      );
      await rig.gate.stop();
      assert.equal(rig.gate.state(alice), 'banned');
      assert.equal(rig.store.kept(alice).checking, true);
      assert.ok(
        rig.logged.some(({ event, fields }) => event === 'pair.store_failed' && fields['what'] === 'ban'),
      );
      rig.store.before = () => undefined;
      const next = await rig.restart();
      assert.equal(next.gate.state(alice), 'missing', 'not the same setup again');
    });

    it('is tried again', async () => {
      const rig = await GateRig.ready();
      rig.store.before = (what) => {
        if (what === 'ban') throw new Error('no space');
      };
      await assert.rejects(rig.guard(() => Promise.reject(failedCheck())));
      rig.store.before = () => undefined;
      await rig.gate.destroy(alice, 'again');
      assert.equal(rig.store.kept(alice).ban?.code, 'invalid_share');
    });
  });

  describe('incidents', () => {
    /** One incident after the other, each with a setup of its own. */
    async function incidents(rig: GateRig, count: number, every = 0): Promise<void> {
      for (let done = 0; done < count && rig.gate.state(alice) !== 'banned'; done++) {
        await rig.gate.adopt(alice, setup(done + 2));
        await rig.gate.destroy(alice, 'setup_mismatch');
        rig.now += every;
      }
    }

    it(`are a ban when there are more than ${maxIncidents} within 24 hours`, async () => {
      const rig = await GateRig.open();
      await incidents(rig, maxIncidents);
      assert.equal(rig.gate.state(alice), 'missing');
      assert.equal(rig.gate.states().get(alice)?.incidents, maxIncidents);
      await incidents(rig, 1);
      assert.equal(rig.gate.state(alice), 'banned');
      assert.equal(rig.gate.states().get(alice)?.ban?.code, 'incidents');
      assert.deepEqual(rig.told.at(-1), `destroyed:${alice}:ban`);
      assert.equal((await rig.restart()).gate.state(alice), 'banned');
    });

    it('are counted over restarts', async () => {
      const rig = await GateRig.open();
      await incidents(rig, maxIncidents);
      const next = await rig.restart();
      await incidents(next, 1);
      assert.equal(next.gate.state(alice), 'banned');
    });

    it('at a start are counted like others', async () => {
      const rig = await GateRig.open();
      await incidents(rig, maxIncidents);
      await rig.gate.adopt(alice, setup(1));
      await rig.step().begun;
      assert.equal((await rig.restart()).gate.state(alice), 'banned');
    });

    it('of more than 24 hours ago do not count', async () => {
      const rig = await GateRig.open();
      await incidents(rig, 3 * maxIncidents, incidentWindow / maxIncidents);
      assert.equal(rig.gate.state(alice), 'missing');
    });

    it('count whichever way the clock jumps', async () => {
      const back = await GateRig.open();
      await incidents(back, maxIncidents);
      back.now -= 365 * incidentWindow;
      await incidents(back, 1);
      assert.equal(back.gate.state(alice), 'banned', 'back');
      const there = await GateRig.open();
      await incidents(there, maxIncidents);
      there.now += 365 * incidentWindow;
      await incidents(there, 1);
      assert.equal(there.gate.state(alice), 'missing', 'those of a year ago do not count');
      there.now -= 365 * incidentWindow;
      await incidents(there, 1);
      assert.equal(there.gate.state(alice), 'banned', 'and back again: none was forgotten');
    });

    it('are none where there is no setup', async () => {
      const rig = await GateRig.open();
      for (let time = 0; time < 50; time++) await rig.gate.destroy(alice, 'setup_mismatch');
      assert.equal(rig.gate.states().get(alice)?.incidents, 0);
    });
  });

  describe('the operator', () => {
    async function banned(): Promise<GateRig> {
      const rig = await GateRig.ready();
      await assert.rejects(rig.guard(() => Promise.reject(failedCheck())));
      return rig;
    }

    it('lifts a ban: the pair has no setup then, and may have a new one', async () => {
      const rig = await banned();
      await rig.gate.lift(alice);
      assert.equal(rig.gate.state(alice), 'missing');
      assert.deepEqual(rig.told.at(-1), `destroyed:${alice}:operator`);
      assert.equal((await rig.restart()).gate.state(alice), 'missing');
      await rig.gate.adopt(alice, setup(2));
      await rig.guard(async () => ({ erased: false }), [alice], 2);
    });

    it('has a good setup made anew, and incidents forgotten', async () => {
      const rig = await GateRig.ready();
      await rig.gate.destroy(alice, 'setup_mismatch');
      await rig.gate.adopt(alice, setup(2));
      await rig.gate.lift(alice);
      assert.deepEqual(rig.gate.states().get(alice), { state: 'missing', ban: undefined, incidents: 0 });
      assert.deepEqual(rig.store.kept(alice).setup, undefined);
    });

    it('does not lift what could not be written', async () => {
      const rig = await banned();
      rig.store.before = () => Promise.reject(new Error('no space'));
      await assert.rejects(rig.gate.lift(alice), /no space/);
      assert.equal(rig.gate.state(alice), 'banned');
    });

    it('waits for the checks that are under way: their failures count', async () => {
      const rig = await GateRig.ready();
      const [one, two] = [rig.step(), rig.step()];
      await Promise.all([one.begun, two.begun]);
      one.fail(failedCheck());
      await one.settled;
      const lifting = rig.gate.lift(alice);
      await settled();
      assert.equal(rig.gate.state(alice), 'banned');
      two.fail(failedCheck());
      await two.settled;
      await lifting;
      assert.equal(rig.gate.state(alice), 'missing');
      await assert.rejects(two.result, refuses('closed'));
    });

    it('spends the setup even if the node is killed before the lift is written', async () => {
      const rig = await GateRig.ready();
      const running = rig.step();
      await running.begun;
      rig.store.before = (what) => (what === 'lift' ? new Promise<void>(() => undefined) : undefined);
      void rig.gate.lift(alice);
      running.fail(new WorkError('worker_lost', 'gone'));
      await running.settled;
      await settled();
      assert.equal(rig.store.kept(alice).setup, undefined);
      rig.store.before = () => undefined;
      assert.equal((await rig.restart()).gate.state(alice), 'missing');
    });
  });

  it('is one for all: the secrets of what is destroyed are overwritten here', async () => {
    const rig = await GateRig.open();
    const given = setup(1);
    await rig.gate.adopt(alice, given);
    assert.deepEqual(given.secrets, secretsOf(1));
    await rig.gate.destroy(alice, 'setup_mismatch');
    assert.deepEqual(given.secrets, new Uint8Array(64));
  });

  it('has no secrets in memory any more when the node has stopped, and keeps them on disk', async () => {
    const rig = await GateRig.open();
    const given = setup(1);
    await rig.gate.adopt(alice, given);
    await rig.gate.stop();
    assert.deepEqual(given.secrets, new Uint8Array(64));
    assert.deepEqual((await rig.restart()).gate.setupOf(alice), setup(1));
  });

  it('lets nothing begin once the node stops, and waits for what has', async () => {
    const rig = await GateRig.ready();
    const running = rig.step();
    await running.begun;
    const stopping = rig.gate.stop();
    await assert.rejects(
      rig.guard(async () => assert.fail('it runs')),
      refuses('stopped'),
    );
    running.fail(failedCheck());
    await stopping;
    assert.equal(rig.store.kept(alice).ban?.code, 'invalid_share', 'written before it resolves');
    await running.settled;
  });

  it('lets nothing begin that waited for its turn when the node stopped', async () => {
    const rig = await GateRig.ready();
    const waiting = rig.waiting();
    await settled();
    const stopping = rig.gate.stop();
    waiting.start();
    waiting.pass();
    await waiting.settled;
    await stopping;
    assert.deepEqual([waiting.outcome.ran, waiting.outcome.error?.code], [false, 'stopped']);
    assert.equal(rig.gate.states().get(alice)?.incidents, 0);
  });

  it('keeps a setup that was adopted just now, when the other names another one: it may not have adopted it yet', async () => {
    for (const [later, state] of [
      [4999, 'ready'],
      [5000, 'missing'],
      [-1, 'missing'],
    ] as const) {
      const rig = await GateRig.ready();
      rig.now += later;
      await rig.gate.mismatch(alice, 'party 1 has another pair setup');
      assert.equal(rig.gate.state(alice), state, `after ${later} ms`);
      assert.equal(rig.gate.states().get(alice)?.incidents, state === 'ready' ? 0 : 1);
    }
  });

  it('makes no new setup in a restored folder until the operator comes', async () => {
    const rig = await GateRig.ready();
    const kept = await rig.store.load();
    rig.store.load = async () => kept.map((pair) => ({ ...pair, setup: undefined, setupLost: true }));
    const next = await rig.restart();
    assert.equal(next.gate.states().get(alice)?.ban?.code, 'restored');
    assert.equal(rig.store.kept(alice).ban?.code, 'restored');
    await assert.rejects(next.gate.adopt(alice, setup(2)), refuses('banned'));
    await next.gate.lift(alice);
    await next.gate.adopt(alice, setup(2));
    assert.equal(next.gate.state(alice), 'ready');
    assert.equal(hexId(2), `0x${'02'.repeat(32)}`);
  });
});
