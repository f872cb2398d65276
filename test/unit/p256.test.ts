// ES256 in Node and in browsers: two implementations that must accept exactly the same.
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, sign as nativeSign } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import * as portable from '../../protocol/keys/p256.browser.ts';
import * as native from '../../protocol/keys/p256.ts';

const message = new TextEncoder().encode('pay the rent');
const secretKey = new Uint8Array(32).fill(7);
const publicKey = p256.getPublicKey(secretKey, true);
const order = p256.Point.Fn.ORDER;
const der = (r: bigint, s: bigint): Uint8Array => new p256.Signature(r, s).toBytes('der');

/** What both say; fails when they do not say the same. */
function agreed(key: Uint8Array, text: Uint8Array, signature: Uint8Array, what: string): boolean {
  const [one, other] = [native, portable].map(({ verify }) => verify(key, text, signature));
  assert.equal(other, one, `${what}: native says ${one}, the browser's variant ${other}`);
  return one!;
}

describe('p256 in Node and in browsers', () => {
  it('exports the same', () => {
    assert.deepEqual(Object.keys(portable).toSorted(), Object.keys(native).toSorted());
    assert.equal(portable.checkPublicKey, native.checkPublicKey);
  });

  it('verifies what native code signs, whichever s it has', () => {
    const halves = new Set<boolean>();
    for (let round = 0; round < 20 || halves.size < 2; round += 1) {
      const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const info = new Uint8Array(pair.publicKey.export({ format: 'der', type: 'spki' }));
      const key = native.publicKeyOfInfo(info);
      native.checkPublicKey(key);
      const signature = nativeSign('sha256', message, pair.privateKey);
      const { r, s } = p256.Signature.fromBytes(signature, 'der');
      halves.add(s > order / 2n);
      assert.ok(agreed(key, message, signature, `round ${round}`));
      assert.ok(agreed(key, message, der(r, order - s), 'the other s'));
      assert.ok(!agreed(key, message.slice(1), signature, 'another message'));
      assert.ok(!agreed(publicKey, message, signature, 'another key'));
      const opposite = key.with(0, 5 - key[0]!);
      assert.ok(!agreed(opposite, message, signature, 'the opposite point'));
    }
  });

  it('refuses every other encoding of a signature, and numbers out of range', () => {
    const { r, s } = p256.Signature.fromBytes(p256.sign(message, secretKey, { lowS: true }));
    const good = der(r, s);
    assert.ok(agreed(publicKey, message, good, 'good'));
    const integer = (value: bigint): Uint8Array => {
      const digits = value.toString(16);
      const bytes = Buffer.from(digits.padStart(digits.length + (digits.length % 2), '0'), 'hex');
      const whole = bytes[0]! >= 0x80 ? Buffer.concat([Uint8Array.of(0), bytes]) : bytes;
      return Buffer.concat([Uint8Array.of(2, whole.length), whole]);
    };
    const pair = (one: bigint, two: bigint): Uint8Array => {
      const body = Buffer.concat([integer(one), integer(two)]);
      return Buffer.concat([Uint8Array.of(0x30, body.length), body]);
    };
    assert.deepEqual(Uint8Array.from(pair(r, s)), good);
    const others: [string, Uint8Array][] = [
      ['r + n', pair(r + order, s)],
      ['s + n', pair(r, s + order)],
      ['r of 0', pair(0n, s)],
      ['s of 0', pair(r, 0n)],
      ['s of n', pair(r, order)],
      ['a byte more', Uint8Array.of(...good, 0)],
      ['a byte less', good.slice(0, -1)],
      ['a long form of length', Uint8Array.of(0x30, 0x81, ...good.slice(1))],
      ['an indefinite length', Uint8Array.of(0x30, 0x80, ...good.slice(2), 0, 0)],
      ['another tag', good.with(0, 0x31)],
      ['nothing', new Uint8Array()],
      ['r || s', p256.Signature.fromBytes(good, 'der').toBytes('compact')],
      ['73 bytes', new Uint8Array(73)],
    ];
    for (const [what, signature] of others) assert.ok(!agreed(publicKey, message, signature, what), what);
    for (let at = 0; at < good.length; at += 1)
      assert.ok(!agreed(publicKey, message, good.with(at, good[at]! ^ 1), `byte ${at}`));
  });

  it('refuses keys that are no compressed point', () => {
    const signature = p256.sign(message, secretKey, { format: 'der' });
    const whole = p256.getPublicKey(secretKey, false);
    const bad: [string, Uint8Array, string][] = [
      ['uncompressed', whole, 'wrong_length'],
      ['x alone', publicKey.slice(1), 'wrong_length'],
      ['nothing', new Uint8Array(), 'wrong_length'],
      ['zeroes', new Uint8Array(33), 'not_on_curve'],
      ['another tag', publicKey.with(0, 4), 'not_on_curve'],
      ['a hybrid tag', publicKey.with(0, 6), 'not_on_curve'],
      [
        'x at the prime',
        Uint8Array.of(2, ...Buffer.from(p256.Point.Fp.ORDER.toString(16), 'hex')),
        'not_on_curve',
      ],
      ['no point', Uint8Array.of(2, ...new Uint8Array(31), 7), 'not_on_curve'],
    ];
    for (const [what, key, code] of bad) {
      assert.throws(() => native.checkPublicKey(key), { code }, what);
      assert.ok(!agreed(key, message, signature, what), what);
    }
  });

  it('says the same of random bytes', () => {
    for (let round = 0; round < 100; round += 1) {
      const random = createHash('sha512').update(`p256 ${round}`).digest();
      agreed(Uint8Array.of(2 + (round % 2), ...random.subarray(0, 32)), message, random, `round ${round}`);
      const digits = BigInt(`0x${random.toString('hex')}`);
      const signature = der((digits % (order - 1n)) + 1n, ((digits >> 250n) % (order - 1n)) + 1n);
      agreed(publicKey, message, signature, `round ${round}`);
    }
  });
});
