// ECDSA keys: what is taken as a public key, the one form of each signature, and that a second library agrees.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { concatBytes } from '@noble/hashes/utils.js';
import { script } from 'bitcoinjs-lib';
import * as ecc from 'tiny-secp256k1';
import { checkPublicKey, derOfRecoverable, verifyDer, verifyRecoverable } from '../../protocol/keys/ecdsa.ts';
import { keyTypes } from '../../protocol/keys/key-type.ts';
import { WholeEcdsaKey } from '../support/whole-ecdsa-key.ts';

const { Point } = secp256k1;
const order = Point.Fn.ORDER;
const ours = new WholeEcdsaKey(7);
const theirs = new WholeEcdsaKey(11);
const digest = new Uint8Array(32).fill(0x5a);
const signature = ours.sign(digest);
const [r, s, id] = [signature.subarray(0, 32), signature.subarray(32, 64), signature[64]!] as const;
const scalar = (value: bigint): Uint8Array => {
  const hex = value.toString(16).padStart(64, '0');
  return Uint8Array.from(Buffer.from(hex, 'hex'));
};
const numberOf = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).toString('hex')}`);

/** DER of two integers as they are given. */
function der(...integers: readonly Uint8Array[]): Uint8Array {
  const body = concatBytes(...integers.map((bytes) => concatBytes(Uint8Array.of(2, bytes.length), bytes)));
  return concatBytes(Uint8Array.of(0x30, body.length), body);
}
/** The shortest form of a positive integer. */
const shortest = (bytes: Uint8Array): Uint8Array => {
  let from = 0;
  while (from < bytes.length - 1 && bytes[from] === 0) from += 1;
  const rest = bytes.subarray(from);
  return rest[0]! >= 0x80 ? concatBytes(Uint8Array.of(0), rest) : rest;
};

describe('ECDSA public keys', () => {
  it('have 33 bytes, which are a point of the curve', () => {
    const { ecdsa_secp256k1: evm, bitcoin_secp256k1: bitcoin } = keyTypes;
    for (const run of [
      checkPublicKey,
      (bytes: Uint8Array) => evm.checkPublicKey(bytes),
      (bytes: Uint8Array) => evm.checkPoint(bytes),
      (bytes: Uint8Array) => bitcoin.checkPublicKey(bytes),
      (bytes: Uint8Array) => bitcoin.checkPoint(bytes),
    ]) {
      run(ours.publicKey);
      for (let length = 0; length < 70; length += 1)
        if (length !== 33)
          assert.throws(() => run(new Uint8Array(length).fill(2)), {
            name: 'EcdsaKeyError',
            code: 'wrong_length',
          });
      const x = ours.publicKey.subarray(1);
      // x = 5 is of no point (SEC 2: y^2 = x^3 + 7), nor is one at or above the field's prime.
      for (const bytes of [
        new Uint8Array(33),
        concatBytes(Uint8Array.of(2), scalar(5n)),
        concatBytes(Uint8Array.of(3), new Uint8Array(32).fill(0xff)),
        ...[0, 1, 4, 5, 6, 7, 0xff].map((first) => concatBytes(Uint8Array.of(first), x)),
      ]) {
        assert.throws(() => run(bytes), { name: 'EcdsaKeyError', code: 'not_on_curve' });
        assert.equal(ecc.isPoint(bytes), false);
      }
    }
  });
});

describe('ECDSA signatures', () => {
  it('with a recovery id are 65 bytes, of low s and the id that recovers the key', () => {
    const verify = (bytes: Uint8Array, key = ours.publicKey, of = digest): boolean =>
      verifyRecoverable(key, of, bytes);
    assert.ok(verify(signature));
    for (let length = 0; length < 100; length += 1) {
      if (length === 65) continue;
      const resized = new Uint8Array(length);
      resized.set(signature.subarray(0, length));
      assert.equal(verify(resized), false, `${length} bytes`);
    }
    for (let wrong = 0; wrong < 256; wrong += 1)
      assert.equal(verify(Uint8Array.of(...r, ...s, wrong)), wrong === id, `recovery id ${wrong}`);
    // The other signature of the same nonce, which anybody can make: valid, but of high s.
    const high = scalar(order - numberOf(s));
    for (const parity of [0, 1]) assert.equal(verify(Uint8Array.of(...r, ...high, parity)), false);
    assert.ok(ecc.verify(digest, ours.publicKey, Uint8Array.of(...r, ...high)));
    assert.equal(ecc.verify(digest, ours.publicKey, Uint8Array.of(...r, ...high), true), false);
    for (const edge of [0n, order, order + 1n, 2n ** 256n - 1n]) {
      assert.equal(verify(Uint8Array.of(...scalar(edge), ...s, id)), false);
      assert.equal(verify(Uint8Array.of(...r, ...scalar(edge), id)), false);
    }
    assert.equal(verify(signature, theirs.publicKey), false);
    assert.equal(verify(signature, Point.fromBytes(ours.publicKey).toBytes(false)), false);
    for (const other of [
      digest.slice(1),
      concatBytes(digest, digest),
      new Uint8Array(),
      digest.map((b) => b ^ 1),
    ])
      assert.equal(verify(signature, ours.publicKey, other), false);
    for (const key of [new Uint8Array(33), new Uint8Array(0), new Uint8Array(33).fill(0xff)])
      assert.equal(verify(signature, key), false);
  });

  it('of the parity of the other point do not recover the key, though r and s are right', () => {
    assert.equal(verifyRecoverable(ours.publicKey, digest, Uint8Array.of(...r, ...s, id ^ 1)), false);
    assert.ok(ecc.verify(digest, ours.publicKey, Uint8Array.of(...r, ...s), true));
  });

  it('in DER have one form', () => {
    const good = ours.signDer(digest);
    const verify = (bytes: Uint8Array, key = ours.publicKey, of = digest): boolean =>
      verifyDer(key, of, bytes);
    assert.ok(verify(good));
    assert.deepEqual(good, der(shortest(r), shortest(s)));
    for (let length = 0; length < good.length; length += 1)
      assert.equal(verify(good.slice(0, length)), false);
    const high = shortest(scalar(order - numberOf(s)));
    const zero = Uint8Array.of(0);
    const body = good.subarray(2);
    for (const [what, bytes] of [
      ['a byte behind it', concatBytes(good, zero)],
      ['high s', der(shortest(r), high)],
      ['a zero before r', der(concatBytes(zero, shortest(r)), shortest(s))],
      ['a zero before s', der(shortest(r), concatBytes(zero, shortest(s)))],
      ['a length in a longer form', concatBytes(Uint8Array.of(0x30, 0x81, body.length), body)],
      ['no definite length', concatBytes(Uint8Array.of(0x30, 0x80), body, zero, zero)],
      ['three integers', der(shortest(r), shortest(s), zero)],
      ['r of no bytes', der(new Uint8Array(), shortest(s))],
      ['r of zero', der(zero, shortest(s))],
      ['s of zero', der(shortest(r), zero)],
      ['another tag', concatBytes(Uint8Array.of(0x31), good.subarray(1))],
      ['r and s as they are elsewhere', signature],
      ['the type of a hash behind it', concatBytes(good, Uint8Array.of(1))],
      ['72 bytes', new Uint8Array(72).fill(0x30)],
    ] as const)
      assert.equal(verify(bytes), false, what);
    assert.equal(verify(good, theirs.publicKey), false);
    assert.equal(
      verify(
        good,
        ours.publicKey,
        digest.map((b) => b ^ 1),
      ),
      false,
    );
    assert.equal(verify(good, ours.publicKey, digest.slice(1)), false);
  });

  it('are what a second library verifies and recovers, and takes apart from DER', () => {
    const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(fc.bigInt(1n, order - 1n), bytes32, (secret, of) => {
        const key = new WholeEcdsaKey(scalar(secret));
        const made = key.sign(of);
        assert.ok(verifyRecoverable(key.publicKey, of, made));
        const compact = made.subarray(0, 64);
        assert.ok(ecc.verify(of, key.publicKey, compact, true));
        assert.deepEqual(
          Buffer.from(ecc.recover(of, compact, made[64] as 0 | 1, true)!),
          Buffer.from(key.publicKey),
        );
        const encoded = derOfRecoverable(made);
        assert.ok(verifyDer(key.publicKey, of, encoded));
        const read = script.signature.decode(concatBytes(encoded, Uint8Array.of(1)));
        assert.deepEqual(Buffer.from(read.signature), Buffer.from(compact));
        // And the other way: what the second library signs.
        const theirs = ecc.signRecoverable(of, key.secret);
        assert.ok(
          verifyRecoverable(key.publicKey, of, Uint8Array.of(...theirs.signature, theirs.recoveryId)),
        );
        assert.ok(verifyDer(key.publicKey, of, script.signature.encode(theirs.signature, 1).subarray(0, -1)));
      }),
      { numRuns: 40 },
    );
  });
});
