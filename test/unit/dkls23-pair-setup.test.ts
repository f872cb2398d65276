// Pair setup: what both sides hold afterwards, and a peer that lies in any of the four rounds.
import assert from 'node:assert/strict';
import { concatBytes } from '@noble/hashes/utils.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { bitAt } from '../../node/mpc/dkls23/bits.ts';
import { openPairSetup, type PairSetup, zeroShare } from '../../node/mpc/dkls23/pair-secrets.ts';
import { PairSetupRun } from '../../node/mpc/dkls23/pair-setup.ts';
import { answerProduct, ProductReceiver } from '../../node/mpc/dkls23/product.ts';
import { secp256k1Group as group } from '../../node/mpc/group.ts';
import type { PartyIndex, Slices, Step } from '../../node/mpc/machine.ts';
import { throwsAbort } from '../support/assert-abort.ts';
import { seedOf } from '../support/fixture.ts';
import { seededRandom } from '../support/mpc-network.ts';
import { pairOptions, pairRun } from '../support/pair-setup-runs.ts';

const header = 33;
const copies = (self: PartyIndex): PairSetup => {
  const setup = pairRun().setups.get(self)!;
  return { ...setup, secrets: setup.secrets.slice() };
};
const theirs = (round: number): Uint8Array => pairRun().messages.get(2)![round - 1]!.slice();

/** Party 1 after the honest messages of the rounds before `round`. */
function partyBefore(round: number): PairSetupRun {
  const machine = new PairSetupRun(pairOptions(1, 2));
  machine.start();
  for (let before = 1; before < round; before++) machine.receive(2, theirs(before));
  return machine;
}

function altered(round: number, at: number, change = 1): Uint8Array {
  const message = theirs(round);
  message[header + at]! ^= change;
  return message;
}

function slicesOf<Output>(slices: Slices<Output>): { step: Step<Output>; pauses: number } {
  for (let pauses = 0; ; pauses++) {
    const { done, value } = slices.next();
    if (done) return { step: value, pauses };
  }
}

describe('DKLs23: pair setup', () => {
  it('gives both the same id and seed, and to each the keys that the other chose among', () => {
    const [one, two] = [openPairSetup(copies(1), 1), openPairSetup(copies(2), 2)];
    assert.deepEqual(one.id, two.id);
    assert.deepEqual(one.zeroSeed, two.zeroSeed);
    assert.equal(group.mod(zeroShare(one, seedOf('sid'), 1) + zeroShare(two, seedOf('sid'), 1)), 0n);
    assert.notDeepEqual(one.delta, two.delta);
    for (const [sender, receiver] of [
      [one, two],
      [two, one],
    ] as const)
      for (let at = 0; at < 128; at++) {
        const pair = [0, 1].map((bit) =>
          receiver.keyPairs.slice((2 * at + bit) * 32, (2 * at + bit + 1) * 32),
        );
        const key = sender.chosenKeys.slice(at * 32, (at + 1) * 32);
        const bit = bitAt(sender.delta, at);
        assert.deepEqual(key, pair[bit]);
        assert.notDeepEqual(key, pair[1 - bit]);
      }
  });

  it('carries products in both directions', () => {
    const [one, two] = [openPairSetup(copies(1), 1), openPairSetup(copies(2), 2)];
    for (const [alice, bob] of [
      [one, two],
      [two, one],
    ] as const) {
      const pid = seedOf(`product of ${alice.self}`);
      const receiver = ProductReceiver.begin({ setup: bob, pid, random: seededRandom('bob') });
      const { response, shares } = answerProduct({
        setup: alice,
        pid,
        request: receiver.request,
        inputs: [11n, 13n],
        random: seededRandom('alice'),
      });
      const [first, second] = receiver.finish(response);
      assert.equal(group.mod(shares[0] + first), group.mod(11n * receiver.b));
      assert.equal(group.mod(shares[1] + second), group.mod(13n * receiver.b));
    }
  });

  it('keeps nothing but the output, in a buffer of its own', () => {
    const { secrets } = pairRun().setups.get(1)!;
    assert.equal(secrets.buffer.byteLength, secrets.length);
    assert.ok(secrets.some((byte) => byte !== 0));
  });

  it('pauses after every base transfer', () => {
    const machine = new PairSetupRun(pairOptions(1, 2));
    machine.start();
    assert.ok(slicesOf(machine.receiveInSlices(2, theirs(1))).pauses >= 127);
    assert.ok(slicesOf(machine.receiveInSlices(2, theirs(2))).pauses >= 127);
    assert.ok(slicesOf(machine.receiveInSlices(2, theirs(3))).pauses >= 127);
    const { step } = slicesOf(machine.receiveInSlices(2, theirs(4)));
    assert.deepEqual(step.output, pairRun().setups.get(1));
  });

  it('refuses what it is started with', () => {
    const start =
      (change: object): (() => unknown) =>
      () =>
        new PairSetupRun({ ...pairOptions(1, 2), ...change });
    assert.throws(start({ sid: new Uint8Array(31) }), throwsAbort('invalid_session'));
    assert.throws(start({ peer: 1 }), throwsAbort('duplicate_index'));
    assert.throws(start({ peer: 0 }), throwsAbort('invalid_index'));
    assert.throws(start({ self: 65_536 }), throwsAbort('invalid_index'));
    assert.throws(start({ epoch: { roster: 1, run: -1 } }), throwsAbort('invalid_epoch'));
    assert.throws(start({ epoch: { roster: 2 ** 32, run: 0 } }), throwsAbort('invalid_epoch'));
  });

  for (const round of [1, 2, 3, 4])
    it(`refuses a message of round ${round} of another length, early or not`, () => {
      const message = theirs(round);
      for (const spoilt of [
        message.subarray(0, -1),
        concatBytes(message, Uint8Array.of(0)),
        message.subarray(0, header),
      ])
        assert.throws(() => partyBefore(1).receive(2, spoilt), throwsAbort('malformed_message', 2));
    });

  it('refuses strangers, and drops messages of another session', () => {
    assert.throws(() => partyBefore(1).receive(3, theirs(1)), throwsAbort('not_a_member'));
    const foreign = theirs(1);
    foreign[1]! ^= 1;
    const machine = partyBefore(1);
    assert.deepEqual(machine.receive(2, foreign), { messages: [] });
    assert.deepEqual(machine.awaited(), [2]);
  });

  it('refuses an opening that is not the one committed to', () => {
    for (const at of [128 * 130, 128 * 130 + 32])
      assert.throws(() => partyBefore(2).receive(2, altered(2, at)), throwsAbort('opening_mismatch', 2));
    const other = partyBefore(1);
    other.receive(2, altered(1, 32));
    assert.throws(() => other.receive(2, theirs(2)), throwsAbort('opening_mismatch', 2));
  });

  it("refuses this party's own commitment and opening reflected", () => {
    const machine = new PairSetupRun(pairOptions(1, 2));
    const [first] = machine.start().messages;
    const [second] = machine.receive(2, first!.bytes).messages;
    assert.throws(() => machine.receive(2, second!.bytes), throwsAbort('opening_mismatch', 2));
  });

  it('refuses points that are none, in choices and in keys', () => {
    const last = 127 * 130 + 65;
    assert.throws(() => partyBefore(2).receive(2, altered(2, last + 40)), throwsAbort('malformed_point', 2));
    assert.throws(() => partyBefore(3).receive(2, altered(3, last + 40)), throwsAbort('malformed_point', 2));
  });

  it('ends without naming anybody when the two have seen different messages', () => {
    const other = secp256k1.Point.BASE.toBytes(false);
    for (const round of [2, 3]) {
      const machine = partyBefore(round);
      const message = theirs(round);
      message.set(other, header);
      machine.receive(2, message);
      if (round === 2) machine.receive(2, theirs(3));
      assert.throws(() => machine.receive(2, theirs(4)), throwsAbort('setup_mismatch'));
    }
    const nonce = partyBefore(1);
    nonce.receive(2, altered(1, 0));
    for (const round of [2, 3]) nonce.receive(2, theirs(round));
    assert.throws(() => nonce.receive(2, theirs(4)), throwsAbort('setup_mismatch'));
  });

  it('ends without naming anybody when the other reports another id', () => {
    const machine = partyBefore(4);
    assert.throws(() => machine.receive(2, altered(4, 31)), throwsAbort('setup_mismatch'));
    assert.throws(() => machine.receive(2, theirs(4)), throwsAbort('finished'));
  });

  it('ends at a second message of a round', () => {
    assert.throws(() => partyBefore(2).receive(2, theirs(1)), throwsAbort('duplicate_message'));
    assert.throws(() => partyBefore(2).receive(2, altered(1, 0)), throwsAbort('equivocation', 2));
  });
});
