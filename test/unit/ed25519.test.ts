// Ed25519 against RFC 8032's vectors and @noble/curves, and the degenerate keys that native verification accepts.
import assert from 'node:assert/strict';
import { ED25519_TORSION_SUBGROUP, ed25519 } from '@noble/curves/ed25519.js';
import { base58 } from '@scure/base';
import {
  Ed25519KeyError,
  type Ed25519KeyErrorCode,
  checkPublicKey,
  publicKeyOf,
  sign,
  verify,
} from '../../protocol/keys/ed25519.ts';
import { KeyTypeError, addressesOf, keyTypes, verifySignature } from '../../protocol/keys/key-type.ts';

const bytesOf = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'));
const seedOf = (fill: number) => new Uint8Array(32).fill(fill);
const message = new TextEncoder().encode('pay the rent');
const { Point } = ed25519;

function refuses(key: Uint8Array, code: Ed25519KeyErrorCode): void {
  assert.throws(
    () => checkPublicKey(key),
    (error) => error instanceof Ed25519KeyError && error.code === code,
    `${Buffer.from(key).toString('hex')}: ${code}`,
  );
}

/** Little-endian bytes of an integer below 2^256. */
function littleEndian(value: bigint): Uint8Array {
  return bytesOf(value.toString(16).padStart(64, '0')).reverse();
}

function fromLittleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
}

describe('ed25519 signatures', () => {
  // RFC 8032, 7.1: TEST 1, TEST 2, TEST 3.
  const vectors = [
    {
      seed: '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
      publicKey: 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
      message: '',
      signature:
        'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
    },
    {
      seed: '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
      publicKey: '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
      message: '72',
      signature:
        '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    },
    {
      seed: 'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
      publicKey: 'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
      message: 'af82',
      signature:
        '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
    },
  ];
  for (const [index, vector] of vectors.entries()) {
    it(`agrees with RFC 8032, TEST ${index + 1}`, () => {
      const publicKey = publicKeyOf(bytesOf(vector.seed));
      assert.deepEqual(publicKey, bytesOf(vector.publicKey));
      assert.deepEqual(sign(bytesOf(vector.seed), bytesOf(vector.message)), bytesOf(vector.signature));
      assert.equal(verify(publicKey, bytesOf(vector.message), bytesOf(vector.signature)), true);
    });
  }

  it('agrees with a second implementation', () => {
    for (let fill = 0; fill < 8; fill += 1) {
      const seed = seedOf(fill);
      const publicKey = publicKeyOf(seed);
      assert.deepEqual(publicKey, ed25519.getPublicKey(seed));
      assert.deepEqual(sign(seed, message), ed25519.sign(message, seed));
      assert.equal(ed25519.verify(sign(seed, message), message, publicKey, { zip215: false }), true);
    }
  });

  it('refuses a signature with any byte changed, of another message, or under another key', () => {
    const publicKey = publicKeyOf(seedOf(1));
    const signature = sign(seedOf(1), message);
    for (let index = 0; index < signature.length; index += 1) {
      const changed = signature.slice();
      changed[index]! ^= 1 << (index % 8);
      assert.equal(verify(publicKey, message, changed), false, `byte ${index}`);
    }
    assert.equal(verify(publicKey, message.subarray(1), signature), false);
    assert.equal(verify(publicKeyOf(seedOf(2)), message, signature), false);
  });

  it('refuses S + L, the second signature everybody could make of one', () => {
    const publicKey = publicKeyOf(seedOf(1));
    const signature = sign(seedOf(1), message);
    for (
      let s = fromLittleEndian(signature.subarray(32)) + Point.Fn.ORDER;
      s < 2n ** 256n;
      s += Point.Fn.ORDER
    ) {
      const second = signature.slice();
      second.set(littleEndian(s), 32);
      assert.equal(verify(publicKey, message, second), false);
    }
  });

  it('answers false to whatever is no key or no signature', () => {
    const publicKey = publicKeyOf(seedOf(1));
    const signature = sign(seedOf(1), message);
    const hostile = [undefined, null, 'text', {}] as unknown as Uint8Array[];
    const isFalse = (...parameters: Parameters<typeof verify>): void =>
      assert.doesNotThrow(() => assert.equal(verify(...parameters), false));
    for (const wrong of [new Uint8Array(), new Uint8Array(31), new Uint8Array(65), ...hostile]) {
      isFalse(wrong, message, signature);
      isFalse(publicKey, message, wrong);
    }
    for (const wrong of hostile.filter((value) => typeof value !== 'string')) {
      isFalse(publicKey, wrong, signature);
    }
    isFalse(new Uint8Array(32).fill(0xff), message, signature);
  });

  it('still verifies under a key whose parsed form was dropped from its bounded cache', () => {
    const publicKey = publicKeyOf(seedOf(1));
    const signature = sign(seedOf(1), message);
    assert.equal(verify(publicKey, message, signature), true);
    for (let other = 0; other < 1100; other += 1) {
      assert.equal(verify(littleEndian(BigInt(other) + 2n ** 200n), message, signature), false);
    }
    assert.equal(verify(publicKey, message, signature), true);
  });

  it('does not depend on later changes of the bytes it was given', () => {
    const publicKey = publicKeyOf(seedOf(3));
    const signature = sign(seedOf(3), message);
    const borrowed = publicKey.slice();
    assert.equal(verify(borrowed, message, signature), true);
    borrowed.set(publicKeyOf(seedOf(4)));
    assert.equal(verify(borrowed, message, signature), false);
    assert.equal(verify(publicKey, message, signature), true);
  });

  it('names a seed of the wrong length, without repeating it', () => {
    for (const operation of [
      () => publicKeyOf(new Uint8Array(31)),
      () => sign(new Uint8Array(64), message),
    ]) {
      assert.throws(operation, { name: 'Ed25519KeyError', code: 'wrong_length' });
    }
  });
});

describe('ed25519 public key check', () => {
  const identity = Point.ZERO.toBytes();

  it('accepts what seeds produce', () => {
    for (let fill = 0; fill < 8; fill += 1) checkPublicKey(publicKeyOf(seedOf(fill)));
  });

  it('does not rely on native code, which in some versions verifies one signature for every message', () => {
    // R = S * B, so S * B = R + k * identity whatever the message is: OpenSSL 3.0 accepts it, later ones may not.
    const signature = new Uint8Array([...Point.BASE.multiply(5n).toBytes(), ...littleEndian(5n)]);
    const accepted = ['one', 'another'].map((text) =>
      verify(identity, new TextEncoder().encode(text), signature),
    );
    assert.equal(accepted[0], accepted[1]);
    refuses(identity, 'small_order');
  });

  it('refuses all eight points of small order', () => {
    assert.equal(ED25519_TORSION_SUBGROUP.length, 8);
    for (const point of ED25519_TORSION_SUBGROUP) refuses(bytesOf(point), 'small_order');
  });

  it('refuses a prime-order point plus any point of small order', () => {
    for (const torsion of ED25519_TORSION_SUBGROUP) {
      const point = Point.fromHex(torsion);
      if (!point.is0()) refuses(Point.BASE.add(point).toBytes(), 'mixed_order');
    }
  });

  it('refuses second spellings of points', () => {
    const p = Point.Fp.ORDER;
    // y >= p: the identity's y = 1 as p + 1, and y = 0 as p; each with and without the sign bit.
    for (const y of [p + 1n, p]) {
      refuses(littleEndian(y), 'not_canonical');
      refuses(littleEndian(y + 2n ** 255n), 'not_canonical');
    }
    // x = 0 has no sign: y = 1 and y = -1 with the sign bit.
    refuses(littleEndian(1n + 2n ** 255n), 'not_canonical');
    refuses(littleEndian(p - 1n + 2n ** 255n), 'not_canonical');
  });

  it('refuses what is no point', () => {
    refuses(littleEndian(2n), 'not_on_curve');
  });

  it('refuses wrong lengths', () => {
    for (const length of [0, 31, 33, 64]) refuses(new Uint8Array(length), 'wrong_length');
  });
});

describe('key types', () => {
  const publicKey = publicKeyOf(seedOf(1));

  it('describes ed25519', () => {
    assert.equal(keyTypes.ed25519.publicKeyLength, publicKey.length);
    assert.equal(keyTypes.ed25519.signatureLength, sign(seedOf(1), message).length);
    assert.throws(() => keyTypes.ed25519.checkPublicKey(new Uint8Array(32)), Ed25519KeyError);
    assert.equal(verifySignature('ed25519', publicKey, message, sign(seedOf(1), message)), true);
    assert.equal(verifySignature('ed25519', publicKey, message, sign(seedOf(2), message)), false);
  });

  it('gives the Solana address, base58 of the public key', () => {
    assert.deepEqual(addressesOf('ed25519', new Uint8Array(32)), [
      { chain: 'solana', address: '11111111111111111111111111111111' },
    ]);
    const [{ address } = { address: '' }] = addressesOf('ed25519', publicKey);
    assert.deepEqual(base58.decode(address), publicKey);
    assert.throws(() => addressesOf('ed25519', publicKey.subarray(1)), KeyTypeError);
  });
});
