// FROST under Taproot keys: even and odd keys, the key itself and tweaked, verified by two libraries.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { schnorr, secp256k1 } from '@noble/curves/secp256k1.js';
import { verifySchnorr } from 'tiny-secp256k1';
import type { KeyShare } from '../../node/mpc/dkg/key-share.ts';
import { loadKeyPackage, loadPublicKeyPackage } from '../../node/mpc/frost/key-package.ts';
import { isShareValid } from '../../node/mpc/frost/shares.ts';
import { secp256k1Group as group } from '../../node/mpc/group.ts';
import type { PartyIndex } from '../../node/mpc/machine.ts';
import { outputKeyOf, tapTweak } from '../../protocol/keys/taproot.ts';
import { throwsAbort } from '../support/assert-abort.ts';
import { generate, prepare, run, shares23 } from '../support/signing-attempts.ts';

const { Point } = secp256k1;
const digest = (text: string): Uint8Array => new Uint8Array(createHash('sha256').update(text).digest());
type Shares = ReadonlyMap<PartyIndex, KeyShare>;
const publicKeyOf = (shares: Shares): Uint8Array => shares.get(1)!.publicKey;
const isEven = (point: Uint8Array): boolean => point[0] === 2;

/** Keys of every parity: of the generated key, and of what its tweak makes of it. */
const keys = new Map<string, Shares>();
for (let count = 0; keys.size < 4; count += 1) {
  const shares = generate(3, 2, `taproot ${count}`, 'taproot_secp256k1');
  const internal = publicKeyOf(shares).slice(1);
  const tweak = Point.Fn.fromBytes(tapTweak(internal));
  const output = Point.fromBytes(Uint8Array.of(2, ...internal)).add(Point.BASE.multiply(tweak));
  const parity = (even: boolean): string => (even ? 'even' : 'odd');
  keys.set(`${parity(isEven(publicKeyOf(shares)))} key, ${parity(isEven(output.toBytes()))} output`, shares);
}

describe('FROST: Taproot keys', () => {
  for (const [name, shares] of keys) {
    const internal = publicKeyOf(shares).slice(1);
    const tweak = tapTweak(internal);
    for (const [way, publicKey, item] of [
      ['under the key itself', internal, {}],
      ['under its output key', outputKeyOf(internal), { tweak }],
    ] as const) {
      it(`${name}: every pair of 2 of 3 signs ${way}`, () => {
        for (const set of [
          [1, 2],
          [1, 3],
          [3, 2],
        ]) {
          const message = digest(`${way} ${set.join()}`);
          const { outputs, aborts } = run(prepare(set, [{ shares, message, ...item }]));
          assert.equal(aborts.size, 0);
          const [[first], [second]] = [...outputs.values()] as [Uint8Array[], Uint8Array[]];
          assert.deepEqual(first, second);
          assert.equal(first!.length, 64);
          assert.ok(schnorr.verify(first!, message, publicKey));
          assert.ok(verifySchnorr(message, publicKey, first!));
          assert.ok(!verifySchnorr(digest('another'), publicKey, first!));
        }
      });
    }

    it(`${name}: a package is that of the point signed under`, () => {
      const key = shares.get(2)!;
      for (const each of [undefined, tweak]) assert.doesNotThrow(() => loadKeyPackage(key, each));
      const whole = loadKeyPackage(key);
      assert.deepEqual(whole.publicKey, Uint8Array.of(2, ...internal));
      const spending = loadKeyPackage(key, tweak);
      assert.deepEqual(spending.publicKey, Uint8Array.of(2, ...outputKeyOf(internal)));
      const { index: _index, signingShare: _share, ...known } = key;
      assert.deepEqual(loadPublicKeyPackage(known, tweak).public, spending.public);
      assert.notDeepEqual(whole.secret.signingShare, spending.secret.signingShare);
    });
  }

  it('3 of 5 sign ten items, some under the key, some under its output key', () => {
    const shares = generate(5, 3, 'five', 'taproot_secp256k1');
    const internal = publicKeyOf(shares).slice(1);
    const items = Array.from({ length: 10 }, (_, at) => ({
      shares,
      message: digest(`item ${at}`),
      ...(at % 2 === 0 && { tweak: tapTweak(internal) }),
    }));
    const { outputs } = run(prepare([5, 1, 4], items));
    assert.equal(outputs.size, 3);
    for (const [at, signature] of outputs.get(4)!.entries()) {
      const publicKey = at % 2 === 0 ? outputKeyOf(internal) : internal;
      assert.ok(verifySchnorr(items[at]!.message, publicKey, signature));
    }
  });

  it('a wrong share names its signer, in every parity', () => {
    for (const shares of keys.values()) {
      const tweak = tapTweak(publicKeyOf(shares).slice(1));
      const options = prepare([1, 2], [{ shares, message: digest('one'), tweak }]);
      const other = prepare([1, 2], [{ shares, message: digest('one') }]);
      // Party 2 signs with the share of the key that is not tweaked.
      const { items } = other.get(2)!;
      options.set(2, { ...options.get(2)!, items });
      const { outputs, aborts } = run(options);
      assert.equal(outputs.get(1), undefined);
      assert.equal(aborts.get(1)?.code, 'invalid_share');
      assert.equal(aborts.get(1)?.culprit, 2);
    }
  });

  it('verifies shares for those who have none', () => {
    const [shares] = [...keys.values()] as [Shares];
    const message = digest('public');
    const options = prepare([1, 3], [{ shares, message }]);
    const commitments = new Map(
      [...options.get(1)!.commitments].map(([index, [commitment]]) => [index, commitment!]),
    );
    const { delivered } = run(options);
    const { index: _index, signingShare: _share, ...known } = shares.get(1)!;
    const key = loadPublicKeyPackage(known);
    for (const { from, bytes } of delivered) {
      const share = bytes.slice(-32);
      assert.ok(isShareValid(key, commitments, message, from, share));
      assert.ok(!isShareValid(key, commitments, message, from === 1 ? 3 : 1, share));
    }
  });

  it('refuses a tweak that leaves no key, or a party without a share', () => {
    // Of either sign: the form that signs has the even one of the two points.
    for (const sign of [1n, -1n]) {
      const [constant, slope] = [2n * sign, 3n * sign].map((each) => group.mod(each)) as [bigint, bigint];
      const commitments = [constant, slope].map((each) => group.encodePoint(group.multiplyBase(each)));
      const form = isEven(commitments[0]!) ? 1n : -1n;
      const known = {
        keyType: 'taproot_secp256k1' as const,
        publicKey: commitments[0]!,
        commitments,
        threshold: 2,
        parties: [1, 2, 3],
      };
      const key = { ...known, index: 1, signingShare: group.encodeScalar(group.mod(constant + slope)) };
      const vanishingAt = (x: bigint): Uint8Array =>
        group.encodeScalar(group.mod(-form * (constant + slope * x)));
      assert.doesNotThrow(() => loadKeyPackage(key, vanishingAt(4n)));
      for (const x of [0n, 1n, 3n]) {
        assert.throws(() => loadKeyPackage(key, vanishingAt(x)), throwsAbort('degenerate_key'));
        assert.throws(() => loadPublicKeyPackage(known, vanishingAt(x)), throwsAbort('degenerate_key'));
      }
    }
  });

  it('refuses a tweak that is no scalar, and one for ed25519', () => {
    const [shares] = [...keys.values()] as [Shares];
    const key = shares.get(1)!;
    assert.throws(() => loadKeyPackage(key, new Uint8Array(32).fill(0xff)), throwsAbort('malformed_scalar'));
    assert.throws(() => loadKeyPackage(key, new Uint8Array(31)), throwsAbort('malformed_scalar'));
    assert.throws(() => loadKeyPackage(shares23.get(1)!, new Uint8Array(32)), throwsAbort('internal'));
  });
});
