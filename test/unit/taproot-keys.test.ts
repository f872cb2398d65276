// Taproot keys in bytes that are none: lengths, and x-coordinates that no point has.
import assert from 'node:assert/strict';
import { schnorr } from '@noble/curves/secp256k1.js';
import { addressesOf as addressesOfType } from '../../protocol/keys/key-type.ts';
import {
  addressesOf,
  checkPoint,
  checkPublicKey,
  outputKeyOf,
  tapTweak,
  verify,
} from '../../protocol/keys/taproot.ts';
import { WholeTaprootKey } from '../support/whole-taproot-key.ts';

const whole = new WholeTaprootKey(7);
/** x = 5 is on no point; the other is not below the prime. */
const offCurve = [Uint8Array.of(...new Uint8Array(31), 5), new Uint8Array(32).fill(0xff)];

describe('Taproot keys', () => {
  it('have 32 bytes, their points 33', () => {
    for (const length of [0, 31, 33, 65])
      for (const use of [checkPublicKey, tapTweak, outputKeyOf, addressesOf])
        assert.throws(() => use(new Uint8Array(length).fill(2)), {
          name: 'TaprootKeyError',
          code: 'wrong_length',
        });
    for (const length of [0, 1, 32, 65])
      assert.throws(() => checkPoint(new Uint8Array(length).fill(2)), { code: 'wrong_length' });
    assert.throws(() => addressesOfType('taproot_secp256k1', whole.point), { code: 'wrong_length' });
  });

  it('are on the curve, in one form', () => {
    for (const bytes of offCurve) {
      for (const use of [checkPublicKey, tapTweak, outputKeyOf, addressesOf])
        assert.throws(() => use(bytes), { name: 'TaprootKeyError', code: 'not_on_curve' });
      for (const sign of [2, 3])
        assert.throws(() => checkPoint(Uint8Array.of(sign, ...bytes)), { code: 'not_on_curve' });
    }
    // The identity, an uncompressed point's and a hybrid's first byte.
    for (const sign of [0, 4, 6, 7])
      assert.throws(() => checkPoint(Uint8Array.of(sign, ...whole.publicKey)), { code: 'not_on_curve' });
    for (const sign of [2, 3]) checkPoint(Uint8Array.of(sign, ...whole.publicKey));
  });

  it('verify nothing but their own signatures, and throw for none', () => {
    const message = new Uint8Array(32).fill(1);
    const signature = whole.signUntweaked(message);
    assert.ok(verify(whole.publicKey, message, signature));
    assert.ok(!verify(outputKeyOf(whole.publicKey), message, signature));
    assert.ok(!verify(whole.publicKey, message.subarray(1), signature));
    assert.ok(verify(outputKeyOf(whole.publicKey), message, whole.sign(message)));
    for (const key of [...offCurve, whole.point, new Uint8Array()])
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
});
