// Ed25519 in Node and in browsers: two implementations that must accept exactly the same, or a page would show as signed
// what nodes refuse.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { ED25519_TORSION_SUBGROUP, ed25519 } from '@noble/curves/ed25519.js';
import { bytesToNumberLE, numberToBytesLE } from '@noble/curves/utils.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { concatBytes } from '@noble/hashes/utils.js';
import * as native from '../../protocol/keys/ed25519.ts';
import { isVerifiable } from '../../protocol/keys/ed25519-rules.ts';
import * as portable from '../../protocol/keys/ed25519.browser.ts';

const { Point } = ed25519;
const bytesOf = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'));
const littleEndian = (value: bigint) => numberToBytesLE(value, 32);
const seedOf = (fill: number) => new Uint8Array(32).fill(fill);
const message = new TextEncoder().encode('pay the rent');

/** What both say; fails when they do not say the same. */
function agreed(publicKey: Uint8Array, text: Uint8Array, signature: Uint8Array, what: string): boolean {
  const [one, other] = [native, portable].map(({ verify }) => verify(publicKey, text, signature));
  assert.equal(other, one, `${what}: native says ${one}, the browser's variant ${other}`);
  return one!;
}

/** A signature by an honest scalar whose R has `torsion` added: the equation with the cofactor holds, without it not. */
function withTorsion(
  seed: Uint8Array,
  publicKey: Uint8Array,
  torsion: InstanceType<typeof Point>,
): Uint8Array {
  const { scalar } = ed25519.utils.getExtendedPublicKey(seed);
  const commitment = Point.BASE.multiply(77n).add(torsion).toBytes();
  const challenge = Point.Fn.create(bytesToNumberLE(sha512(concatBytes(commitment, publicKey, message))));
  const response = Point.Fn.add(77n, Point.Fn.mul(challenge, scalar));
  return concatBytes(commitment, littleEndian(response));
}

describe('ed25519 in Node and in browsers', () => {
  it('exports the same', () => {
    assert.deepEqual(Object.keys(portable).toSorted(), Object.keys(native).toSorted());
    assert.equal(portable.checkPublicKey, native.checkPublicKey);
  });

  it('agrees on the vectors of RFC 8032', async () => {
    const text = await readFile(new URL('./ed25519.test.ts', import.meta.url), 'utf8');
    const vectors = [
      ...text.matchAll(/seed: '(\w+)',\s+publicKey: '(\w+)',\s+message: '(\w*)',\s+signature:\s+'(\w+)'/g),
    ];
    assert.equal(vectors.length, 3);
    for (const [, seed, publicKey, text8032, signature] of vectors) {
      for (const { publicKeyOf, sign } of [native, portable]) {
        assert.deepEqual(publicKeyOf(bytesOf(seed!)), bytesOf(publicKey!));
        assert.deepEqual(sign(bytesOf(seed!), bytesOf(text8032!)), bytesOf(signature!));
      }
      assert.equal(agreed(bytesOf(publicKey!), bytesOf(text8032!), bytesOf(signature!), 'vector'), true);
    }
  });

  it('signs many messages by a seed that was read once, whatever becomes of the buffer', () => {
    for (const { sign, signing } of [native, portable]) {
      const seed = seedOf(3);
      const signs = signing(seed);
      seed.fill(0);
      for (const text of [message, new Uint8Array(0), message])
        assert.deepEqual(signs(text), sign(seedOf(3), text));
      assert.throws(() => signing(new Uint8Array(31)), { name: 'Ed25519KeyError', code: 'wrong_length' });
    }
  });

  it('agrees on signatures with any bit changed', () => {
    const publicKey = native.publicKeyOf(seedOf(1));
    const signature = native.sign(seedOf(1), message);
    assert.equal(agreed(publicKey, message, signature, 'as signed'), true);
    assert.equal(isVerifiable(publicKey, signature), true);
    for (let index = 0; index < signature.length; index += 1) {
      const changed = signature.slice();
      changed[index]! ^= 1 << (index % 8);
      assert.equal(agreed(publicKey, message, changed, `byte ${index}`), false);
    }
    for (let index = 0; index < publicKey.length; index += 1) {
      const changed = publicKey.slice();
      changed[index]! ^= 1 << (index % 8);
      assert.equal(agreed(changed, message, signature, `key byte ${index}`), false);
    }
  });

  it('agrees on S + L and beyond, the second signatures everybody could make of one', () => {
    const publicKey = native.publicKeyOf(seedOf(1));
    const signature = native.sign(seedOf(1), message);
    const s = bytesToNumberLE(signature.subarray(32));
    for (let more = s + Point.Fn.ORDER; more < 2n ** 256n; more += Point.Fn.ORDER) {
      const second = concatBytes(signature.subarray(0, 32), littleEndian(more));
      assert.equal(agreed(publicKey, message, second, `S = ${more}`), false);
      // By code of our own, whatever the arithmetic below it would say.
      assert.equal(isVerifiable(publicKey, second), false);
    }
  });

  it('agrees on an R with a component of small order: it is refused', () => {
    const publicKey = native.publicKeyOf(seedOf(5));
    for (const torsion of ED25519_TORSION_SUBGROUP.map((hex) => Point.fromHex(hex))) {
      const signature = withTorsion(seedOf(5), publicKey, torsion);
      assert.equal(agreed(publicKey, message, signature, torsion.toHex()), torsion.is0());
      // With the cofactor it would have been accepted.
      assert.equal(ed25519.verify(signature, message, publicKey, { zip215: true }), true);
    }
  });

  it('agrees on degenerate keys, whatever the version of native code says of them', () => {
    const p = Point.Fp.ORDER;
    const small = ED25519_TORSION_SUBGROUP.map(bytesOf);
    const spellings = [p, p + 1n, p + 3n, p - 1n, 1n].flatMap((y) => [y, y + 2n ** 255n]).map(littleEndian);
    const mixed = ED25519_TORSION_SUBGROUP.map((hex) => Point.BASE.add(Point.fromHex(hex)).toBytes());
    // S * B = R + k * A for every message when A is the identity.
    const universal = concatBytes(Point.BASE.multiply(5n).toBytes(), littleEndian(5n));
    const zero = concatBytes(Point.ZERO.toBytes(), littleEndian(0n));
    for (const key of [...small, ...spellings]) {
      const name = Buffer.from(key).toString('hex');
      for (let count = 0; count < 20; count += 1) {
        const text = Uint8Array.of(count);
        assert.equal(agreed(key, text, universal, name), false, name);
        assert.equal(agreed(key, text, zero, name), false, name);
      }
      assert.equal(isVerifiable(key, universal), false, name);
      assert.throws(() => portable.checkPublicKey(key), native.Ed25519KeyError);
    }
    for (const key of [...mixed, littleEndian(2n), new Uint8Array(32).fill(0xff)])
      agreed(key, message, native.sign(seedOf(1), message), Buffer.from(key).toString('hex'));
  });

  it('refuses keys of small order also when the equation holds', () => {
    // For a key of order 8, every eighth challenge or so makes its part vanish: then S * B = R.
    const universal = concatBytes(Point.BASE.multiply(5n).toBytes(), littleEndian(5n));
    const commitment = universal.subarray(0, 32);
    let held = 0;
    for (const key of ED25519_TORSION_SUBGROUP.map(bytesOf)) {
      for (let count = 0; count < 40; count += 1) {
        const text = Uint8Array.of(count);
        const challenge = bytesToNumberLE(sha512(concatBytes(commitment, key, text)));
        if (
          !Point.fromBytes(key, true)
            .multiplyUnsafe(challenge % 8n)
            .is0()
        )
          continue;
        held += 1;
        assert.equal(agreed(key, text, universal, 'small order'), false);
      }
    }
    assert.ok(held > 40, `${held}`);
  });

  it('agrees on random keys, messages and signatures', () => {
    const seed = randomBytes(32);
    for (let count = 0; count < 50; count += 1) {
      const key = sha512(Uint8Array.of(...seed, count)).subarray(0, 32);
      const text = sha512(key).subarray(0, count);
      const note = `seed ${seed.toString('hex')}, ${count}`;
      assert.deepEqual(portable.publicKeyOf(key), native.publicKeyOf(key), note);
      const signature = portable.sign(key, text);
      assert.deepEqual(signature, native.sign(key, text), note);
      assert.equal(agreed(native.publicKeyOf(key), text, signature, note), true);
      agreed(key, text, signature, note);
    }
  });

  it('agrees on what is no key, no signature and no seed', () => {
    const publicKey = native.publicKeyOf(seedOf(1));
    const signature = native.sign(seedOf(1), message);
    const hostile = [
      undefined,
      null,
      {},
      new Uint8Array(),
      new Uint8Array(31),
      new Uint8Array(65),
    ] as Uint8Array[];
    for (const wrong of hostile) {
      assert.equal(agreed(wrong, message, signature, 'key'), false);
      assert.equal(agreed(publicKey, message, wrong, 'signature'), false);
      assert.equal(agreed(publicKey, wrong, signature, 'message'), false);
    }
    for (const { publicKeyOf, sign } of [native, portable]) {
      for (const operation of [
        () => publicKeyOf(new Uint8Array(31)),
        () => sign(new Uint8Array(64), message),
      ])
        assert.throws(operation, { name: 'Ed25519KeyError', code: 'wrong_length' });
    }
  });
});
