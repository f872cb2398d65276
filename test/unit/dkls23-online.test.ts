// The parts of the online round that no run of honest or cheating members reaches, and loading keys.
import assert from 'node:assert/strict';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import type { AbortCode } from '../../node/mpc/abort.ts';
import { isEcdsa, loadEcdsaKey, openPortableEcdsaKey, portableEcdsaKey } from '../../node/mpc/dkls23/key.ts';
import { combine, coordinatesOf, rerandomise, targetOf } from '../../node/mpc/dkls23/online.ts';
import type { Presignature } from '../../node/mpc/dkls23/presignature.ts';
import { encodeSignature, lowS } from '../../node/mpc/dkls23/signature.ts';
import type { StoredKey } from '../../node/mpc/frost/key-package.ts';
import { derOfRecoverable, verifyDer, verifyRecoverable } from '../../protocol/keys/ecdsa.ts';
import { throwsAbort } from '../support/assert-abort.ts';
import { digestOf, ecdsaShares, keyOf } from '../support/dkls23-parties.ts';
import { seedOf } from '../support/fixture.ts';
import { shares23 } from '../support/signing-attempts.ts';

const { Fn, Fp, BASE } = secp256k1.Point;
const shares = ecdsaShares(3, 2);
const key = keyOf(shares, 1);
const bytes = (value: bigint): Uint8Array => Fn.toBytes(Fn.create(value));

/** A presignature of which only what is public is looked at. */
const presignature = (change: Partial<Presignature> = {}): Presignature => ({
  id: seedOf('id'),
  set: [1, 2],
  publicKey: key.publicKey,
  nonce: BASE.multiply(123n).toBytes(true),
  secrets: new Uint8Array(96),
  ...change,
});

describe('online ECDSA', () => {
  it('delta follows from everything that it must', () => {
    const sid = seedOf('sid');
    const target = targetOf(0, { key, digest: digestOf('x') });
    const other = keyOf(ecdsaShares(3, 2, 'ecdsa_secp256k1', 'another'), 1);
    const deltas = [
      rerandomise(sid, target, presignature()),
      rerandomise(seedOf('another sid'), target, presignature()),
      rerandomise(sid, targetOf(1, { key, digest: digestOf('x') }), presignature()),
      rerandomise(sid, target, presignature({ id: seedOf('another id') })),
      rerandomise(sid, target, presignature({ nonce: BASE.multiply(124n).toBytes(true) })),
      rerandomise(sid, targetOf(0, { key: other, digest: digestOf('x') }), presignature()),
      rerandomise(sid, targetOf(0, { key, offset: bytes(1n), digest: digestOf('x') }), presignature()),
      rerandomise(sid, { ...target, offset: 1n }, presignature()),
      rerandomise(sid, targetOf(0, { key, digest: digestOf('y') }), presignature()),
    ].map(({ delta }) => delta);
    assert.equal(new Set(deltas).size, deltas.length);
    assert.equal(rerandomise(sid, target, presignature()).delta, deltas[0]);
    for (const delta of deltas) assert.ok(delta > 0n && delta < Fn.ORDER);
  });

  it('the nonce is delta R', () => {
    const target = targetOf(0, { key, digest: digestOf('x') });
    const { delta, r, recovery } = rerandomise(seedOf('sid'), target, presignature());
    const { x, y } = BASE.multiply(Fn.mul(delta, 123n)).toAffine();
    assert.deepEqual({ r, recovery }, { r: x, recovery: Number(y & 1n) });
  });

  it('a nonce whose x is not below the order would need a recovery id of 2: degenerate_signature', () => {
    // Such points exist, but nobody knows how to make a nonce of one.
    let x = Fn.ORDER;
    let y: bigint | undefined;
    for (; y === undefined; x++) {
      try {
        y = Fp.sqrt(Fp.add(Fp.pow(x, 3n), 7n));
      } catch {
        // No point has this x.
      }
    }
    const point = secp256k1.Point.fromAffine({ x: x - 1n, y });
    point.assertValidity();
    assert.throws(() => coordinatesOf(0, point), throwsAbort('degenerate_signature'));
  });

  it('s in the upper half is negated, and the parity of R changes with it', () => {
    const half = Fn.ORDER >> 1n;
    assert.deepEqual(lowS({ r: 1n, s: half, recovery: 0 }), { r: 1n, s: half, recovery: 0 });
    assert.deepEqual(lowS({ r: 1n, s: half + 1n, recovery: 0 }), { r: 1n, s: half, recovery: 1 });
    assert.deepEqual(lowS({ r: 1n, s: Fn.ORDER - 1n, recovery: 1 }), { r: 1n, s: 1n, recovery: 0 });
  });

  it('both encodings of a signature made by one who has the key', () => {
    const secret = 7n;
    const publicKey = BASE.multiply(secret).toBytes(true);
    const digest = digestOf('x');
    for (let k = 2n; k < 30n; k++) {
      const { r, recovery } = coordinatesOf(0, BASE.multiply(k));
      const h = Fn.create(BigInt(`0x${Buffer.from(digest).toString('hex')}`));
      const s = Fn.div(Fn.add(h, Fn.mul(r, secret)), k);
      const recoverable = encodeSignature('ecdsa_secp256k1', { r, s, recovery });
      assert.ok(verifyRecoverable(publicKey, digest, recoverable));
      const der = encodeSignature('bitcoin_secp256k1', { r, s, recovery });
      assert.ok(verifyDer(publicKey, digest, der));
      assert.deepEqual(der, derOfRecoverable(recoverable));
      const target = { item: 0, keyType: 'ecdsa_secp256k1', publicKey, offset: 0n, digest, h } as const;
      const combined = combine(target, { delta: 1n, r, recovery }, [
        { w: 1n, u: 1n },
        { w: Fn.sub(Fn.mul(s, 5n), 1n), u: 4n },
      ]);
      assert.deepEqual(combined, recoverable);
      const other = (1 - recovery) as 0 | 1;
      assert.throws(
        () => combine(target, { delta: 1n, r, recovery: other }, [{ w: s, u: 1n }]),
        throwsAbort('invalid_signature'),
      );
    }
  });
});

describe('ECDSA keys', () => {
  const stored = (change: Partial<StoredKey> = {}): StoredKey => ({ ...shares.get(1)!, ...change });

  it('are loaded with every verifying share', () => {
    for (const index of [1, 2, 3]) {
      const loaded = loadEcdsaKey(shares.get(index)!);
      assert.deepEqual(loaded.verifyingShares, shares.get(index)!.verifyingShares);
      assert.deepEqual(loaded.publicKey, shares.get(index)!.publicKey);
      assert.equal(loaded.index, index);
    }
    assert.ok(isEcdsa('ecdsa_secp256k1') && isEcdsa('bitcoin_secp256k1'));
    assert.ok(!isEcdsa('ed25519') && !isEcdsa('taproot_secp256k1'));
  });

  it('keep a signing share of their own, and overwrite it', () => {
    const share = shares.get(1)!;
    const before = share.signingShare.slice();
    const loaded = loadEcdsaKey(share);
    const portable = portableEcdsaKey(loaded);
    loaded.destroy();
    assert.ok(loaded.signingShare.every((byte) => byte === 0));
    assert.deepEqual(share.signingShare, before);
    assert.deepEqual(portable.signingShare, before);
    assert.equal(portable.signingShare.buffer.byteLength, 32);
    const opened = openPortableEcdsaKey(portable);
    assert.deepEqual(opened.verifyingShares, share.verifyingShares);
    opened.destroy();
    assert.ok(portable.signingShare.every((byte) => byte === 0));
  });

  const [first, second] = shares.get(1)!.commitments as [Uint8Array, Uint8Array];
  const cancelling = secp256k1.Point.fromBytes(first).negate().toBytes(true);
  const cases: [string, AbortCode, Partial<StoredKey>][] = [
    ['a key of another scheme', 'key_mismatch', { keyType: 'taproot_secp256k1' }],
    ['index 0', 'invalid_index', { index: 0, parties: [0, 1, 2] }],
    ['an index that is no party', 'not_a_member', { index: 4 }],
    ['a repeated index', 'duplicate_index', { parties: [1, 1, 2] }],
    ['unsorted indices', 'unsorted_indices', { parties: [2, 1, 3] }],
    ['threshold 1', 'invalid_threshold', { threshold: 1, commitments: [first] }],
    ['a commitment too many', 'commitment_count', { commitments: [first, second, second] }],
    ['a commitment that is no point', 'malformed_point', { commitments: [first, new Uint8Array(33)] }],
    ["another key's public key", 'public_key_mismatch', { publicKey: second }],
    ['verifying shares that vanish', 'degenerate_key', { commitments: [first, cancelling] }],
    ['a share above the order', 'malformed_scalar', { signingShare: new Uint8Array(32).fill(0xff) }],
    ["another party's share", 'signing_share_mismatch', { signingShare: shares.get(2)!.signingShare }],
  ];
  for (const [what, code, change] of cases)
    it(`refuses ${what}`, () => assert.throws(() => loadEcdsaKey(stored(change)), throwsAbort(code)));

  it('refuses a key of ed25519', () =>
    assert.throws(() => loadEcdsaKey(shares23.get(1)!), throwsAbort('key_mismatch')));
});
