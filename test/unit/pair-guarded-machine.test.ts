// A machine behind the ban gate: its steps run one after the other, each to its verdict whatever becomes of its attempt, and
// nothing it gives leaves once the gate has closed.
import assert from 'node:assert/strict';
import { Abort } from '../../node/mpc/abort.ts';
import { GuardedMachine } from '../../node/sessions/pairs/guarded-machine.ts';
import type { HostedStep } from '../../node/work/machines.ts';
import { alice, bob, failedCheck, GateRig, hexId, setup, settled } from '../support/pair-gate-rig.ts';

/** A machine whose steps end when the test says so. */
function manual() {
  const calls: { readonly name: string; readonly end: (result: HostedStep | Error) => void }[] = [];
  const told = { destroyed: 0 };
  const call = (name: string): Promise<HostedStep> =>
    new Promise((resolve, reject) => {
      calls.push({
        name,
        end: (result) => (result instanceof Error ? reject(result) : resolve(result)),
      });
    });
  const machine = {
    start: () => call('start'),
    receive: (from: number) => call(`receive ${from}`),
    destroy: () => void told.destroyed++,
  };
  return { machine, calls, told };
}

function answer(): HostedStep {
  return { messages: [{ to: 'all', bytes: new Uint8Array(8).fill(5) }], awaited: [] };
}
const isErased = ({ messages }: HostedStep): boolean =>
  messages.every(({ bytes }) => bytes.every((byte) => byte === 0));

const hasCode = (code: string) => (error: unknown) => (error as { code?: string }).code === code;

async function guarded() {
  const rig = await GateRig.ready([alice, bob]);
  const { machine, calls, told } = manual();
  const guard = new GuardedMachine({
    gate: rig.gate,
    machine,
    setups: new Map([
      [alice, hexId(1)],
      [bob, hexId(1)],
    ]),
    partyOf: (index) => [alice, bob][index - 1] ?? '',
  });
  return { rig, guard, calls, told };
}

describe('pairs: a machine behind the gate', () => {
  it('takes one step after the other, in order', async () => {
    const { guard, calls } = await guarded();
    const results = [guard.start(), guard.receive(1, new Uint8Array()), guard.receive(2, new Uint8Array())];
    const order: string[] = [];
    for (const [at, result] of results.entries()) {
      await settled();
      assert.equal(calls.length, at + 1, 'the next waits for the one before');
      order.push(calls[at]!.name);
      calls[at]!.end(answer());
      await result;
    }
    assert.deepEqual(order, ['start', 'receive 1', 'receive 2']);
  });

  it('a failed check bans whom it names, and its sessions erase what they had', async () => {
    const { rig, guard, calls } = await guarded();
    const result = guard.receive(1, new Uint8Array());
    await settled();
    calls[0]!.end(failedCheck(1));
    await assert.rejects(result, hasCode('invalid_share'));
    assert.equal(rig.gate.state(alice), 'banned');
    assert.equal(rig.gate.state(bob), 'ready');
    await assert.rejects(guard.receive(2, new Uint8Array()), hasCode('banned'));
    assert.equal(calls.length, 1, 'nothing is checked any more');
  });

  it('destroyed while a step runs: the step ends first, and its verdict counts', async () => {
    const { rig, guard, calls, told } = await guarded();
    const result = guard.receive(1, new Uint8Array());
    const next = guard.receive(2, new Uint8Array());
    await settled();
    guard.destroy();
    guard.destroy();
    await settled();
    assert.equal(told.destroyed, 0);
    calls[0]!.end(failedCheck(1));
    await assert.rejects(result, hasCode('invalid_share'));
    await assert.rejects(next, hasCode('cancelled'));
    await settled();
    assert.equal(rig.gate.state(alice), 'banned');
    assert.deepEqual([told.destroyed, calls.length], [1, 1]);
  });

  it('destroyed while a step waits for a worker: it is not begun', async () => {
    const rig = await GateRig.ready();
    let turn = (): void => undefined;
    const waits = new Promise<void>((resolve) => (turn = resolve));
    const told = { ran: 0 };
    const receive = async (_: number, __: Uint8Array, onBegin?: () => void): Promise<HostedStep> => {
      await waits;
      onBegin?.();
      told.ran += 1;
      return answer();
    };
    const guard = new GuardedMachine({
      gate: rig.gate,
      machine: { start: () => assert.fail(), receive, destroy: () => undefined },
      setups: new Map([[alice, hexId(1)]]),
      partyOf: () => alice,
    });
    const result = guard.receive(1, new Uint8Array());
    await settled();
    guard.destroy();
    turn();
    await assert.rejects(result, hasCode('cancelled'));
    assert.equal(told.ran, 0);
    assert.deepEqual([rig.gate.state(alice), rig.gate.states().get(alice)?.incidents], ['ready', 0]);
  });

  it('destroyed while a good step runs: what it gives is erased', async () => {
    const { rig, guard, calls } = await guarded();
    const result = guard.receive(1, new Uint8Array());
    await settled();
    guard.destroy();
    const given = answer();
    calls[0]!.end(given);
    await assert.rejects(result, hasCode('cancelled'));
    assert.ok(isErased(given));
    assert.equal(rig.gate.state(alice), 'ready');
  });

  it('erases what a step gives after its setup has gone', async () => {
    const { rig, guard, calls } = await guarded();
    const result = guard.receive(1, new Uint8Array());
    await settled();
    await rig.gate.destroy(bob, 'for a test');
    const given = answer();
    calls[0]!.end(given);
    await assert.rejects(result, hasCode('closed'));
    assert.ok(isErased(given));
  });

  it('a peer that names another setup: the setup goes, nobody is banned', async () => {
    const { rig, guard, calls } = await guarded();
    rig.now += 60_000;
    const result = guard.receive(1, new Uint8Array());
    await settled();
    calls[0]!.end(new Abort('setup_mismatch', 'party 1 has another pair setup'));
    await assert.rejects(result, hasCode('setup_mismatch'));
    assert.deepEqual([rig.gate.state(alice), rig.gate.state(bob)], ['missing', 'ready']);
    assert.equal(rig.gate.states().get(alice)?.incidents, 1);
  });

  it('tells whether the setups that something was made with are in use', async () => {
    const { rig } = await guarded();
    const setups = new Map([[alice, hexId(1)]]);
    assert.ok(rig.gate.holds(setups));
    await rig.gate.adopt(alice, setup(2));
    assert.ok(!rig.gate.holds(setups));
    assert.ok(rig.gate.holds(new Map([[alice, hexId(2)]])));
    await assert.rejects(rig.guard(() => Promise.reject(failedCheck(1)), [alice], 2));
    assert.ok(!rig.gate.holds(new Map([[alice, hexId(2)]])));
  });
});
