// What ECDSA's machines leave behind when they end early: nothing that is secret, wherever it was under way.
import assert from 'node:assert/strict';
import { PairSetupRun } from '../../node/mpc/dkls23/pair-setup.ts';
import { EcdsaSigning } from '../../node/mpc/dkls23/signing.ts';
import { Presigning } from '../../node/mpc/dkls23/presigning.ts';
import type { PartyIndex, SlicedMachine, Slices } from '../../node/mpc/machine.ts';
import { throwsAbort } from '../support/assert-abort.ts';
import { digestOf, ecdsaShares, presigningOptions, signingOptions } from '../support/dkls23-parties.ts';
import { runNetwork } from '../support/mpc-network.ts';
import { pairOptions, pairRun } from '../support/pair-setup-runs.ts';

/** Bytes of the rows of one product, and of all key pairs of one direction. */
const rowsLength = 640 * 16;
const keyPairsLength = 128 * 64;
const presignatureLength = 3 * 32;
const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);

/** Arrays of this length that `work` overwrites although something was in them. */
function overwritten(length: number, work: () => void): number {
  let count = 0;
  // oxlint-disable-next-line typescript/unbound-method
  const { fill } = Uint8Array.prototype;
  Uint8Array.prototype.fill = function spy(value, from, to) {
    if (this.length === length && value === 0 && from === undefined && !isZero(this)) count++;
    return fill.call(this, value, from, to);
  };
  try {
    work();
  } finally {
    Uint8Array.prototype.fill = fill;
  }
  return count;
}

/** Begins a step and interrupts it after so many slices. */
function paused<Output>(slices: Slices<Output>, after: number): Slices<Output> {
  for (let slice = 0; slice < after; slice++) assert.equal(slices.next().done, false);
  return slices;
}

function endsIn(machine: SlicedMachine<unknown>, slices: Slices<unknown>): void {
  machine.destroy();
  assert.throws(() => slices.next(), throwsAbort('finished'));
  machine.destroy();
}

describe('ECDSA: what is left of a run that ends early', function () {
  this.timeout(60_000);
  const shares = ecdsaShares(3, 2);

  it('no row of a request, when presigning is destroyed between two of them', () => {
    const options = presigningOptions([1, 2], shares, { count: 3 });
    const machines = [1, 2].map((self) => new Presigning(options.get(self)!));
    const [machine, other] = machines as [Presigning, Presigning];
    machine.start();
    const [message] = other.start().messages;
    const slices = paused(machine.receiveInSlices(2, message!.bytes), 2);
    assert.equal(
      overwritten(rowsLength, () => endsIn(machine, slices)),
      2 + 3,
      'the rows of two opened requests, and those of three of its own',
    );
  });

  it('no row of a request, when a later one of the message is refused', () => {
    const options = presigningOptions([1, 2], shares, { count: 3 });
    const machine = new Presigning(options.get(1)!);
    machine.start();
    const [message] = new Presigning(options.get(2)!).start().messages;
    const bytes = message!.bytes.with(-1, message!.bytes.at(-1)! ^ 1);
    const refused = (): void =>
      assert.throws(() => machine.receive(2, bytes), throwsAbort('transfer_check', 2));
    assert.equal(overwritten(rowsLength, refused), 3 + 3);
  });

  it('no key of a base transfer, when pair setup is destroyed between two, or one is refused', () => {
    const theirs = (round: number): Uint8Array => pairRun().messages.get(2)![round - 1]!.slice();
    const started = (): PairSetupRun => {
      const machine = new PairSetupRun(pairOptions(1, 2));
      machine.start();
      machine.receive(2, theirs(1));
      return machine;
    };
    const interrupted = started();
    const slices = paused(interrupted.receiveInSlices(2, theirs(2)), 5);
    assert.equal(
      overwritten(keyPairsLength, () => endsIn(interrupted, slices)),
      1,
    );
    const refusing = started();
    const spoilt = theirs(2);
    spoilt[33 + 127 * 130 + 100]! ^= 1;
    const refused = (): void =>
      assert.throws(() => refusing.receive(2, spoilt), throwsAbort('malformed_point', 2));
    assert.equal(overwritten(keyPairsLength, refused), 1);
  });

  it('no presignature, when another item of its chunk comes to nothing', () => {
    const wanted = (self: PartyIndex) => [
      { shares, digest: digestOf('one') },
      {
        shares: self === 1 ? shares : ecdsaShares(3, 2, 'ecdsa_secp256k1', 'another key'),
        digest: digestOf('two'),
      },
    ];
    const machines = [1, 2].map((self) => {
      const options = signingOptions([1, 2], wanted(self)).get(self)!;
      return [self, new EcdsaSigning(options)] as const;
    });
    const made: Uint8Array[] = [];
    // oxlint-disable-next-line typescript/unbound-method
    const { from } = Uint8Array;
    Uint8Array.from = function spy(...given: Parameters<typeof from>) {
      const bytes = from.apply(Uint8Array, given);
      if (bytes.length === presignatureLength) made.push(bytes);
      return bytes;
    } as typeof from;
    try {
      const { aborts, outputs } = runNetwork(new Map(machines));
      assert.equal(outputs.size, 0);
      const codes = [...aborts.values()].map(({ code }) => code);
      assert.deepEqual([...new Set(codes)], ['public_key_mismatch']);
    } finally {
      Uint8Array.from = from;
    }
    assert.ok(made.every(isZero), 'the first item is as lost as the second');
  });
});
