// Base transfers: both sides' keys, hostile points, and a receiver who wants both keys.
import assert from 'node:assert/strict';
import { secp256k1, secp256k1_hasher } from '@noble/curves/secp256k1.js';
import { bytesToHex, concatBytes } from '@noble/hashes/utils.js';
import type { BaseSent } from '../../node/mpc/dkls23/base-transfer.ts';
import {
  answerBaseTransfers,
  BASE_MESSAGE_LENGTH,
  BaseReceiver,
  hashToPoint,
} from '../../node/mpc/dkls23/base-transfer.ts';
import { preimage } from '../../node/mpc/dkls23/xof.ts';
import { secp256k1Group as group } from '../../node/mpc/group.ts';
import { hashToScalar, taggedHash, uint16 } from '../../node/mpc/hash.ts';
import { randomScalar } from '../../node/mpc/random.ts';
import { throwsAbort } from '../support/assert-abort.ts';
import { seedOf } from '../support/fixture.ts';
import { seededRandom } from '../support/mpc-network.ts';

const { Point } = secp256k1;
const osid = seedOf('osid');
/** Choices 1, 0, 0, 1, 1, 0, 0, 0, then zeros. */
const bits = Uint8Array.of(0b11001, ...new Uint8Array(15));
const pairLength = 130;

function last<Result>(slices: Generator<undefined, Result, undefined>): Result {
  for (;;) {
    const { done, value } = slices.next();
    if (done) return value;
  }
}

/** A receiver after its first `count` transfers; the others' points are those of the first again. */
function receiverOf(count: number, seed = 'receiver'): { receiver: BaseReceiver; choices: Uint8Array } {
  const receiver = new BaseReceiver(osid, bits);
  const slices = receiver.begin(seededRandom(seed));
  for (let at = 0; at < count; at++) slices.next();
  return { receiver, choices: repeat(receiver.message.slice(0, count * pairLength)) };
}

/** A message of 128 pairs that goes on with the first one. */
function repeat(pairs: Uint8Array): Uint8Array {
  const message = new Uint8Array(BASE_MESSAGE_LENGTH);
  for (let at = 0; at < BASE_MESSAGE_LENGTH; at += pairLength) message.set(pairs.subarray(0, pairLength), at);
  message.set(pairs);
  return message;
}

const send = (choices: Uint8Array, under = osid): BaseSent =>
  last(answerBaseTransfers(under, choices, 2, seededRandom('sender')));
const keyOf = (keys: Uint8Array, at: number): string => bytesToHex(keys.subarray(at * 32, (at + 1) * 32));

describe('DKLs23: base transfers', () => {
  it('hash to the curve as RFC 9380 J.8.1 does', () => {
    const DST = 'QUUX-V01-CS02-with-secp256k1_XMD:SHA-256_SSWU_RO_';
    const point = secp256k1_hasher.hashToCurve(new Uint8Array(), { DST }).toAffine();
    assert.equal(point.x.toString(16), 'c1cae290e291aee617ebaef1be6d73861479c48b841eaba9b7b5852ddfeb1346');
    assert.equal(point.y.toString(16), '64fa678e07ae116126f08b022a94af6de15985c996c3a91b64c406a960e51067');
  });

  it('hash to the curve with id, choice, place and the other point', () => {
    const other = Point.BASE.toBytes(false);
    const points = [
      hashToPoint(osid, 0, 1, other),
      hashToPoint(seedOf('another'), 0, 1, other),
      hashToPoint(osid, 1, 1, other),
      hashToPoint(osid, 0, 2, other),
      hashToPoint(osid, 0, 1, Point.BASE.double().toBytes(false)),
    ];
    assert.equal(new Set(points.map((point) => point.toHex())).size, points.length);
  });

  it('give the receiver the key of its choice and not the other', () => {
    const count = 8;
    const { receiver, choices } = receiverOf(count);
    const { message, keyPairs } = send(choices);
    const finish = receiver.finish(message, 1);
    for (let at = 0; at < count; at++) finish.next();
    for (let at = 0; at < count; at++) {
      const bit = (bits[0]! >>> at) & 1;
      assert.equal(keyOf(receiver.keys, at), keyOf(keyPairs, 2 * at + bit));
      assert.notEqual(keyOf(receiver.keys, at), keyOf(keyPairs, 2 * at + 1 - bit));
    }
  });

  it('give other keys for equal points in another place, and under another id', () => {
    const { choices } = receiverOf(1);
    const { keyPairs } = send(choices);
    const all = Array.from({ length: 256 }, (_, at) => keyOf(keyPairs, at));
    assert.equal(new Set(all).size, 256);
    const other = send(choices, seedOf('another'));
    assert.notEqual(keyOf(other.keyPairs, 0), all[0]);
    assert.notEqual(keyOf(other.keyPairs, 1), all[1]);
  });

  it('do not give both keys to a receiver that knows the discrete logarithms of all it can choose', () => {
    const random = seededRandom('cheat');
    const [s, t] = [randomScalar(group, random), randomScalar(group, random)];
    // Choice 0, with r_1 = s G instead of a point of which nobody knows a logarithm.
    const r1 = Point.BASE.multiply(s).toBytes(false);
    const r0 = Point.BASE.multiply(t)
      .subtract(hashToPoint(osid, 0, 0, r1))
      .toBytes(false);
    const { message, keyPairs } = send(repeat(concatBytes(r0, r1)));
    const derived = (bit: number, logarithm: bigint): string => {
      const offered = message.subarray(bit * 65, (bit + 1) * 65);
      const shared = Point.fromBytes(offered).multiply(group.mod(logarithm)).toBytes(true).subarray(1);
      const statement = [osid, Uint8Array.of(bit), uint16(0), offered, r0, r1] as const;
      return bytesToHex(taggedHash('countersign/v1/dkls23/base-key', ...statement, shared));
    };
    assert.equal(derived(0, t), keyOf(keyPairs, 0));
    // All that a hash "times G" would make of its input: then s + h would open the other message.
    const input = [osid, Uint8Array.of(1), uint16(0), r0] as const;
    const tag = 'countersign/v1/dkls23/base-point';
    const DST = 'countersign/v1/dkls23/base-point/secp256k1_XMD:SHA-256_SSWU_RO_';
    const hashes = [
      0n,
      hashToScalar(group, tag, ...input),
      group.reduceScalar(taggedHash(tag, ...input)),
      secp256k1_hasher.hashToScalar!(preimage(tag, ...input), { DST }),
      secp256k1_hasher.hashToScalar!(preimage(tag, ...input)),
    ];
    const mask = hashToPoint(osid, 1, 0, r0);
    for (const h of hashes) {
      if (h !== 0n) assert.ok(!mask.equals(Point.BASE.multiply(h)));
      for (const logarithm of [s + h, s - h, t + h, s + t + h, s - t + h])
        assert.notEqual(derived(1, logarithm), keyOf(keyPairs, 1));
    }
    // What it is: the masked point's multiple, whose logarithm is s plus that of the hash.
    assert.ok(!mask.is0());
  });

  it('refuse a point that cancels its mask', () => {
    const r1 = Point.BASE.multiply(7n).toBytes(false);
    const r0 = hashToPoint(osid, 0, 0, r1).negate().toBytes(false);
    assert.throws(() => send(repeat(concatBytes(r0, r1))), throwsAbort('malformed_point', 2));
    const other = Point.BASE.multiply(9n).toBytes(false);
    const negated = hashToPoint(osid, 1, 0, other).negate().toBytes(false);
    assert.throws(() => send(repeat(concatBytes(other, negated))), throwsAbort('malformed_point', 2));
  });

  const p = Point.Fp.ORDER;
  const uncompressed = (first: number, ...coordinates: readonly [bigint, bigint]): Uint8Array =>
    concatBytes(
      Uint8Array.of(first),
      ...coordinates.map((each) => Uint8Array.from(Buffer.from(each.toString(16).padStart(64, '0'), 'hex'))),
    );
  const { x, y } = Point.BASE.toAffine();
  /** A point with a small x coordinate, so that x + p still fits. */
  const small = Point.fromBytes(
    concatBytes(Uint8Array.of(2), new Uint8Array(31), Uint8Array.of(1)),
  ).toAffine();
  const hostile: readonly (readonly [string, Uint8Array])[] = [
    ['the identity as zeros', uncompressed(4, 0n, 0n)],
    ['nothing but zeros', new Uint8Array(65)],
    ['a point off the curve', uncompressed(4, x, y + 1n)],
    ['an x coordinate above p', uncompressed(4, small.x + p, small.y)],
    ['a hybrid encoding', uncompressed(6 + Number(y & 1n), x, y)],
    ['a compressed point with a tail', concatBytes(Point.BASE.toBytes(true), new Uint8Array(32))],
  ];
  for (const [name, bytes] of hostile)
    it(`refuse ${name}, in either place, whichever was chosen`, () => {
      const good = uncompressed(4, x, y);
      for (const pair of [concatBytes(bytes, good), concatBytes(good, bytes)]) {
        const answer = answerBaseTransfers(osid, repeat(pair), 2, seededRandom('sender'));
        assert.throws(() => answer.next(), throwsAbort('malformed_point', 2));
        for (const seed of ['receiver', 'other receiver']) {
          const { receiver } = receiverOf(2, seed);
          const both = repeat(concatBytes(uncompressed(4, x, y), uncompressed(4, x, y), pair));
          // The first transfer chose 1, the second 0.
          const first = receiver.finish(repeat(pair), 1);
          assert.throws(() => first.next(), throwsAbort('malformed_point', 1));
          const second = receiver.finish(both, 1);
          second.next();
          assert.throws(() => second.next(), throwsAbort('malformed_point', 1));
        }
      }
    });

  it('erase what the receiver holds', () => {
    const { receiver, choices } = receiverOf(1);
    const finish = receiver.finish(send(choices).message, 1);
    finish.next();
    assert.ok(receiver.keys.some((byte) => byte !== 0));
    receiver.erase();
    assert.ok(receiver.keys.every((byte) => byte === 0));
  });
});
