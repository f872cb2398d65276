// Public keys of Taproot: what is taken as one, what is made of it, and that a check of one kind of key is none of another.
import assert from 'node:assert/strict';
import { NETWORK, p2tr, TEST_NETWORK } from '@scure/btc-signer';
import { ed25519 } from '@noble/curves/ed25519.js';
import { schnorr, secp256k1 } from '@noble/curves/secp256k1.js';
import { concatBytes } from '@noble/hashes/utils.js';
import { checkOnce } from '../../protocol/keys/checked-keys.ts';
import { addressesOf, keyTypes, verifySignature } from '../../protocol/keys/key-type.ts';
import {
  addressesOf as addressesOfKey,
  checkPoint,
  checkPublicKey,
  outputKeyOf,
  tapTweak,
  verify,
} from '../../protocol/keys/taproot.ts';
import { seedOf } from '../support/fixture.ts';
import { WholeTaprootKey } from '../support/whole-taproot-key.ts';

const { Point } = secp256k1;
const point = Point.BASE.multiply(7n).toBytes();
const key = point.slice(1);
/** The first x from 1 on of which no point has it. */
const offCurve = (() => {
  for (let x = 1; ; x += 1) {
    const bytes = Uint8Array.from({ length: 32 }, (_, at) => (at === 31 ? x : 0));
    try {
      Point.fromBytes(concatBytes(Uint8Array.of(2), bytes));
    } catch {
      return bytes;
    }
  }
})();
const aboveField = new Uint8Array(32).fill(0xff);
const { taproot_secp256k1: taproot } = keyTypes;
const asKeyType = (bytes: Uint8Array): void => taproot.checkPublicKey(bytes);

describe('Taproot public keys', () => {
  it('have 32 bytes, which are the x of a point', () => {
    for (const check of [checkPublicKey, asKeyType, tapTweak, outputKeyOf, addressesOfKey]) {
      for (const wrong of [point, key.slice(1), new Uint8Array(), Point.BASE.toBytes(false)])
        assert.throws(() => check(wrong), { name: 'TaprootKeyError', code: 'wrong_length' });
      for (const wrong of [offCurve, aboveField, new Uint8Array(32)])
        assert.throws(() => check(wrong), { name: 'TaprootKeyError', code: 'not_on_curve' });
      assert.doesNotThrow(() => check(key));
    }
    assert.throws(() => addressesOf('taproot_secp256k1', point), {
      name: 'KeyTypeError',
      code: 'wrong_length',
    });
  });

  it('are of points with 33 bytes, which are compressed and not the identity', () => {
    for (const check of [checkPoint, (bytes: Uint8Array) => taproot.checkPoint(bytes)]) {
      for (const wrong of [
        key,
        concatBytes(point, Uint8Array.of(0)),
        Point.BASE.toBytes(false),
        new Uint8Array(),
        Uint8Array.of(2),
      ])
        assert.throws(() => check(wrong), { name: 'TaprootKeyError', code: 'wrong_length' });
      for (const wrong of [
        new Uint8Array(33),
        concatBytes(Uint8Array.of(2), offCurve),
        concatBytes(Uint8Array.of(3), aboveField),
        concatBytes(Uint8Array.of(3), offCurve),
        concatBytes(Uint8Array.of(2), aboveField),
        concatBytes(Uint8Array.of(4), key),
        // A hybrid's first bytes.
        concatBytes(Uint8Array.of(6), key),
        concatBytes(Uint8Array.of(7), key),
        concatBytes(Uint8Array.of(0), key),
      ])
        assert.throws(() => check(wrong), { name: 'TaprootKeyError', code: 'not_on_curve' });
      for (const sign of [2, 3]) assert.doesNotThrow(() => check(concatBytes(Uint8Array.of(sign), key)));
    }
    for (const sign of [2, 3])
      assert.deepEqual(taproot.publicKeyOfPoint(concatBytes(Uint8Array.of(sign), key)), key);
  });

  it('verify what they signed, and nothing that has another length', () => {
    const secret = seedOf('taproot');
    const publicKey = schnorr.getPublicKey(secret);
    const message = seedOf('message');
    const signature = schnorr.sign(message, secret);
    const isSigned = (one: Uint8Array, other: Uint8Array): boolean =>
      verifySignature('taproot_secp256k1', one, message, other);
    assert.equal(isSigned(publicKey, signature), true);
    const long = concatBytes(signature, Uint8Array.of(0));
    for (const wrong of [signature.slice(1), long, new Uint8Array(), new Uint8Array(64)])
      assert.doesNotThrow(() => assert.equal(isSigned(publicKey, wrong), false));
    const whole = concatBytes(Uint8Array.of(2), publicKey);
    for (const wrong of [whole, publicKey.slice(1), new Uint8Array(), offCurve])
      assert.doesNotThrow(() => assert.equal(isSigned(wrong, signature), false));
  });

  it('verify nothing but their own signatures, and throw for none', () => {
    const whole = new WholeTaprootKey(7);
    const message = new Uint8Array(32).fill(1);
    const signature = whole.signUntweaked(message);
    assert.ok(verify(whole.publicKey, message, signature));
    assert.ok(!verify(outputKeyOf(whole.publicKey), message, signature));
    assert.ok(!verify(whole.publicKey, message.subarray(1), signature));
    assert.ok(verify(outputKeyOf(whole.publicKey), message, whole.sign(message)));
    for (const key of [offCurve, aboveField, whole.point, new Uint8Array()])
      assert.ok(!verify(key, message, signature));
    for (const bytes of [
      signature.subarray(1),
      Uint8Array.of(...signature, 1),
      new Uint8Array(64),
      new Uint8Array(64).fill(0xff),
    ])
      assert.ok(!verify(whole.publicKey, message, bytes));
    // -s: the other solution of ECDSA is none here (BIP340 fixes the sign of R).
    const negated = signature.slice();
    const { Fn } = schnorr.Point;
    negated.set(Fn.toBytes(Fn.neg(Fn.fromBytes(signature.subarray(32)))), 32);
    assert.ok(!verify(whole.publicKey, message, negated));
  });

  it('have the addresses that a second library derives, on each of the networks', () => {
    const regtest = { ...TEST_NETWORK, bech32: 'bcrt' };
    assert.deepEqual(addressesOf('taproot_secp256k1', key), [
      { chain: 'bitcoin', address: p2tr(key, undefined, NETWORK).address },
      { chain: 'bitcoin-testnet', address: p2tr(key, undefined, TEST_NETWORK).address },
      { chain: 'bitcoin-regtest', address: p2tr(key, undefined, regtest).address },
    ]);
  });
});

describe('keys that passed their check', () => {
  it('passed as what they were checked as, and as nothing else', () => {
    // The same 32 bytes: a key of ed25519, and no x of secp256k1.
    const both = Array.from({ length: 64 }, (_, at) =>
      ed25519.Point.BASE.multiply(BigInt(at) + 2n).toBytes(),
    ).find((bytes) => {
      try {
        checkPublicKey(bytes);
        return false;
      } catch {
        return true;
      }
    })!;
    assert.doesNotThrow(() => checkOnce('ed25519', both, (bytes) => keyTypes.ed25519.checkPublicKey(bytes)));
    assert.throws(() => checkOnce('taproot_secp256k1', both, asKeyType), {
      code: 'not_on_curve',
    });
  });

  it('are not checked again while they are remembered, which is not for ever', () => {
    const checked: number[] = [];
    const check = (number: number): void => {
      const bytes = Uint8Array.of(number >> 16, (number >> 8) & 0xff, number & 0xff);
      checkOnce('counted', bytes, () => void checked.push(number));
    };
    for (const number of [0, 1, 0, 1]) check(number);
    assert.deepEqual(checked, [0, 1]);
    // Ten thousand others: the oldest are forgotten, the latest are not.
    for (let number = 2; number < 10_002; number += 1) check(number);
    checked.length = 0;
    for (const number of [10_001, 0]) check(number);
    assert.deepEqual(checked, [0]);
  });
});
