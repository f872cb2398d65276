// The ban gate over worker threads: whatever becomes of the session, the machine, the worker or the pool, a check that was
// begun comes to its verdict or costs the setup, and work that was never begun costs nothing.
import assert from 'node:assert/strict';
import { Abort } from '../../node/mpc/abort.ts';
import { WorkError, type WorkErrorCode } from '../../node/work/error.ts';
import { ThreadedWork } from '../../node/work/threads.ts';
import type { HostedMachine } from '../../node/work/work.ts';
import { alice, GateRig } from '../support/pair-gate-rig.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const work = (code: WorkErrorCode, verdictLost: boolean) => (error: unknown) => {
  assert.ok(error instanceof WorkError, String(error));
  assert.deepEqual([error.code, error.verdictLost], [code, verdictLost], error.message);
  return true;
};
const bans = (error: unknown) => error instanceof Abort && error.ban === true && error.culprit === 2;

describe('the ban gate over worker threads', function () {
  this.timeout(60_000);
  let threads: ThreadedWork;
  let rig: GateRig;

  beforeEach(async () => {
    // Its worker does what the bytes of a message say.
    threads = await ThreadedWork.start({
      workers: 1,
      maxWaiting: 1,
      entry: new URL('../support/crashing-worker.ts', import.meta.url),
      log: () => undefined,
    });
    rig = await GateRig.ready();
  });
  afterEach(() => threads.stop());

  const order = () => ({
    kind: 'generate' as const,
    keyType: 'ed25519' as const,
    sid: new Uint8Array(32),
    epoch: { roster: 1, run: 0 },
    self: 1,
    parties: [1, 2],
    threshold: 2,
  });

  async function started(source = 'request'): Promise<HostedMachine> {
    const machine = threads.machine(order(), source);
    await machine.start();
    return machine;
  }

  const guarded = (step: () => Promise<unknown>) =>
    rig.gate.guard({ ...rig.options(), culprit: () => alice, erase: () => undefined }, step);
  /** Waits without letting the worker answer: that takes a turn of the event loop. */
  async function atOnce(condition: () => boolean): Promise<void> {
    for (let turn = 0; turn < 1000 && !condition(); turn++) await Promise.resolve();
    assert.ok(condition());
  }
  const begun = () => atOnce(() => threads.status().busy === 1);
  const waits = () => threads.status().queued['key-generation'] === 1;

  it('counts a failed check after the machine was destroyed', async () => {
    const machine = await started();
    const step = guarded(() => machine.receive(2, bytes('later ban')));
    const ended = assert.rejects(step, bans);
    await begun();
    machine.destroy();
    await ended;
    assert.equal(rig.gate.state(alice), 'banned');
  });

  it('counts a failed check that the machine was interrupted in', async () => {
    const machine = await started('one');
    const step = guarded(() => machine.receive(2, bytes('later ban')));
    const ended = assert.rejects(step, bans);
    await begun();
    // It takes its turn when the step is interrupted, which then waits in the queue: that is the moment.
    const theirs = order();
    const other = threads.machine(theirs, 'two');
    let moment = false;
    Object.defineProperty(theirs, 'kind', {
      enumerable: true,
      get: () => {
        moment = waits();
        machine.destroy();
        return 'generate';
      },
    });
    const others = other.start();
    await atOnce(waits);
    await Promise.all([ended, others]);
    assert.ok(moment);
    assert.equal(rig.gate.state(alice), 'banned');
  });

  it('costs nothing when the machine is destroyed and the check was good', async () => {
    for (const what of ['later good', 'later abort']) {
      const another = await started(what);
      const step = guarded(() => another.receive(2, bytes(what)));
      const ended = assert.rejects(step, work('cancelled', false));
      await begun();
      another.destroy();
      await ended;
    }
    assert.equal(rig.gate.state(alice), 'ready');
    assert.equal(rig.gate.states().get(alice)?.incidents, 0);
  });

  it('costs nothing when the machine is destroyed before it was begun', async () => {
    const [first, second] = [await started('one'), await started('two')];
    const running = first.receive(2, bytes('good'));
    const step = guarded(() => second.receive(2, bytes('exit')));
    const ended = assert.rejects(step, work('cancelled', false));
    await atOnce(waits);
    second.destroy();
    await ended;
    await running;
    assert.equal(rig.gate.state(alice), 'ready');
  });

  it('costs nothing when the queue is full', async () => {
    const [one, two, three] = [await started(), await started(), await started()];
    const running = one.receive(2, bytes('good'));
    await begun();
    const waiting = two.receive(2, bytes('good'));
    await atOnce(waits);
    await assert.rejects(
      guarded(() => three.receive(2, bytes('good'))),
      work('busy', false),
    );
    await Promise.all([running, waiting]);
    assert.equal(rig.gate.state(alice), 'ready');
  });

  it('costs nothing when the machine has ended before', async () => {
    const machine = await started();
    await assert.rejects(machine.receive(2, bytes('abort')), Abort);
    await assert.rejects(
      guarded(() => machine.receive(2, bytes('good'))),
      work('failed', false),
    );
    assert.equal(rig.gate.state(alice), 'ready');
  });

  for (const what of ['exit', 'throw', 'later exit', 'fail']) {
    it(`costs the setup when the worker is lost, or throws: ${what}`, async () => {
      const machine = await started();
      const code = what === 'fail' ? 'failed' : 'worker_lost';
      await assert.rejects(
        guarded(() => machine.receive(2, bytes(what))),
        work(code, true),
      );
      assert.equal(rig.gate.state(alice), 'missing');
      assert.equal(rig.gate.states().get(alice)?.incidents, 1);
    });
  }

  it('costs the setup when the pool stops during a check, and nothing when it was not begun', async () => {
    const [machine, other] = [await started('one'), await started('two')];
    const step = guarded(() => machine.receive(2, bytes('later good')));
    const lost = assert.rejects(step, work('stopped', true));
    await begun();
    const waiting = assert.rejects(other.receive(2, bytes('good')), work('stopped', false));
    await atOnce(waits);
    await threads.stop();
    await Promise.all([lost, waiting]);
    assert.equal(rig.gate.state(alice), 'missing');
    await assert.rejects(other.receive(2, bytes('good')), work('stopped', false));
  });
});
