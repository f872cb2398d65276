// Steps in slices: the same result as in one piece, and nothing but an end in between.
import assert from 'node:assert/strict';
import { KeyGeneration } from '../../node/mpc/dkg/generate.ts';
import { FrostSigning } from '../../node/mpc/frost/sign.ts';
import type { Slices, Step } from '../../node/mpc/machine.ts';
import { throwsAbort } from '../support/assert-abort.ts';
import { options } from '../support/key-generation-runs.ts';
import { type Item, prepare, shares23, text } from '../support/signing-attempts.ts';

const items = (count: number): Item[] =>
  Array.from({ length: count }, (_, item) => ({ shares: shares23, message: text(`item ${item}`) }));

/** The step, and how often it could have been interrupted. */
function finish<Output>(slices: Slices<Output>): { step: Step<Output>; pauses: number } {
  for (let pauses = 0; ; pauses++) {
    const { done, value } = slices.next();
    if (done) return { step: value, pauses };
  }
}

describe('steps in slices', () => {
  it('signing pauses between items, and gives what it gives in one piece', () => {
    const whole = new FrostSigning(prepare([1, 2], items(4)).get(1)!);
    const sliced = new FrostSigning(prepare([1, 2], items(4)).get(1)!);
    const other = new FrostSigning(prepare([1, 2], items(4)).get(2)!).start().messages[0]!.bytes;
    const started = finish(sliced.startInSlices());
    assert.deepEqual(started, { step: whole.start(), pauses: 3 });
    const ended = finish(sliced.receiveInSlices(2, other));
    assert.deepEqual(ended, { step: whole.receive(2, other), pauses: 3 });
    assert.equal(ended.step.output?.length, 4);
  });

  it('key generation pauses between dealers whose messages were waiting', () => {
    const machines = [1, 2, 3, 4].map((self) => new KeyGeneration(options(self, 4, 2)));
    const commits = machines.map((machine) => machine.start().messages[0]!.bytes);
    const [late, ...others] = machines as [KeyGeneration, ...KeyGeneration[]];
    const reveals = others.map((machine, at) => {
      const self = at + 2;
      const steps = [1, 2, 3, 4].flatMap((from) =>
        from === self ? [] : machine.receive(from, commits[from - 1]!).messages,
      );
      return { self, bytes: steps.find(({ to }) => to === 1)!.bytes };
    });
    late.receive(2, commits[1]!);
    late.receive(3, commits[2]!);
    for (const { self, bytes } of reveals) assert.deepEqual(late.receive(self, bytes).messages, []);
    const { step, pauses } = finish(late.receiveInSlices(4, commits[3]!));
    assert.ok(step.output);
    assert.ok(pauses >= 2, `${pauses} pauses for three dealers`);
  });

  it('a machine that is destroyed in a pause goes on with nothing, and its nonces are burnt', () => {
    const [first] = [...prepare([1, 2], items(3)).values()];
    const machine = new FrostSigning(first!);
    const slices = machine.startInSlices();
    assert.equal(slices.next().done, false);
    machine.destroy();
    assert.throws(() => slices.next(), throwsAbort('finished'));
    assert.throws(() => first!.nonces.release(), throwsAbort('nonces_unavailable'));
  });

  it('a second step before the first has ended ends the run', () => {
    const [first] = [...prepare([1, 2], items(3)).values()];
    const machine = new FrostSigning(first!);
    const slices = machine.startInSlices();
    slices.next();
    assert.throws(() => machine.receive(2, new Uint8Array(40)), throwsAbort('internal'));
    assert.throws(() => slices.next(), throwsAbort('finished'));
  });
});
