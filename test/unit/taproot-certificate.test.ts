// What a key result of a Taproot key may say: 33-byte points whose first has the x-only key's x. Its sign is free, but it is
// one and the same for all parties.
import assert from 'node:assert/strict';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { toHex } from '../../protocol/hex.ts';
import { checkKeyResult, verifyCertificate } from '../../protocol/keys/certificate.ts';
import type { KeyResult } from '../../protocol/records/party-result.ts';
import { createWorld, idOf, keyRequest, networkId, resultBy } from '../support/fixture.ts';
import { keyResultOf } from '../support/world-key.ts';

const { Point } = secp256k1;
const world = createWorld();
const request = keyRequest(world, { keyType: 'taproot_secp256k1' });
const [constant, slope] = [Point.BASE.multiply(5n), Point.BASE.multiply(77n)];

function resultOf(points: readonly Uint8Array[], publicKey = points[0]!.slice(1)): KeyResult {
  return {
    ...keyResultOf(2, 'a Taproot key'),
    keyType: 'taproot_secp256k1',
    publicKey: toHex(publicKey),
    commitments: points.map(toHex),
  };
}

const sound = resultOf([constant.toBytes(), slope.toBytes()]);
const negated = resultOf([constant.negate().toBytes(), slope.negate().toBytes()]);
const certificateOf = (...results: readonly KeyResult[]) =>
  world.parties.map((party, index) =>
    resultBy(world, party, idOf(request), results[index % results.length]!),
  );

describe('certificate of a Taproot key', () => {
  it('is that of a point of either sign', () => {
    assert.equal(sound.publicKey, negated.publicKey);
    for (const result of [sound, negated]) {
      checkKeyResult(result, world.keyring);
      const proven = verifyCertificate(certificateOf(result), world.keyring, idOf(request), networkId);
      assert.equal(proven.publicKey, sound.publicKey);
    }
  });

  it('is none where parties report vectors of different signs, or another slope, for one x-only key', () => {
    const others = [
      negated,
      resultOf([constant.negate().toBytes(), slope.toBytes()]),
      resultOf([constant.toBytes(), slope.negate().toBytes()]),
    ];
    for (const other of others)
      assert.throws(
        () => verifyCertificate(certificateOf(sound, sound, other), world.keyring, idOf(request), networkId),
        { name: 'CertificateError', code: 'unequal' },
      );
  });

  it('holds points of its own curve only, in the one form that they have', () => {
    const off = Uint8Array.of(2, ...new Uint8Array(31), 5);
    assert.throws(() => Point.fromBytes(off));
    const cases: readonly [string, KeyResult][] = [
      ['an x-only vector', resultOf([constant.toBytes().slice(1), slope.toBytes().slice(1)])],
      ['the whole point as public key', resultOf([constant.toBytes(), slope.toBytes()], constant.toBytes())],
      ['another public key', resultOf([constant.toBytes(), slope.toBytes()], slope.toBytes().slice(1))],
      ['a point off the curve', resultOf([off, slope.toBytes()])],
      ['a point off the curve behind the first', resultOf([constant.toBytes(), off])],
      ['no sign', resultOf([Uint8Array.of(4, ...constant.toBytes().slice(1)), slope.toBytes()])],
      ['a point of ed25519', { ...keyResultOf(2, 'ed'), keyType: 'taproot_secp256k1' }],
      ['its points called ed25519', { ...sound, keyType: 'ed25519' }],
      ['a vector too long', resultOf([constant.toBytes(), slope.toBytes(), slope.toBytes()])],
      [
        'the x of a field element not below the prime',
        resultOf([constant.toBytes(), Uint8Array.of(2, ...new Uint8Array(32).fill(0xff))]),
      ],
    ];
    // A point that passed as one of another type counts for nothing here.
    checkKeyResult(keyResultOf(2, 'ed'), world.keyring);
    checkKeyResult(sound, world.keyring);
    for (const [what, result] of cases)
      assert.throws(
        () => checkKeyResult(result, world.keyring),
        { name: 'CertificateError', code: 'bad_key' },
        what,
      );
  });
});
