// What a suite takes as a signature before it leaves: nothing that any correct verifier would refuse.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { ed25519, ED25519_TORSION_SUBGROUP } from '@noble/curves/ed25519.js';
import { concatBytes } from '@noble/hashes/utils.js';
import { ciphersuiteOf } from '../../node/mpc/frost/ciphersuite.ts';
import { ed25519Group as group } from '../../node/mpc/group.ts';
import { loadKeyPackage } from '../../node/mpc/frost/key-package.ts';
import { prepare, run, text } from '../support/signing-attempts.ts';
import { aboveOrder, encodeAny, itemOf, schemes } from '../support/signing-schemes.ts';

for (const scheme of schemes)
  describe(`FROST: strict verification, ${scheme.name}`, () => {
    const item = itemOf(scheme, scheme.shares23, 'pay 1');
    const { verify: strict } = ciphersuiteOf(scheme.keyType);
    const { publicKey } = loadKeyPackage(scheme.shares23.get(1)!, item.tweak);
    const signature = run(prepare([1, 2], [item])).outputs.get(1)![0]!;

    it('accepts the signature and nothing near it', () => {
      assert.ok(strict(publicKey, item.message, signature));
      for (let at = 0; at < 64; at += 3) {
        const changed = signature.map((byte, position) => (position === at ? byte ^ 4 : byte));
        assert.ok(!strict(publicKey, item.message, changed), `byte ${at}`);
      }
      assert.ok(!strict(publicKey, scheme.message('pay 10'), signature));
      for (const wrong of [signature.subarray(0, 63), concatBytes(signature, new Uint8Array(1))])
        assert.doesNotThrow(() => assert.ok(!strict(publicKey, item.message, wrong)));
    });

    it('refuses S above the order, and S = 0', () => {
      const value = aboveOrder(scheme.group, scheme.group.decodeScalar(signature.subarray(32)));
      for (const response of [encodeAny(scheme.group, value), new Uint8Array(32)])
        assert.ok(!strict(publicKey, item.message, concatBytes(signature.subarray(0, 32), response)));
    });
  });

describe('FROST: strict verification', () => {
  it('refuses R of mixed order and R = identity on ed25519', () => {
    const { verify: strict } = ciphersuiteOf('ed25519');
    const message = text('pay 1');
    // R of mixed order, with S made to fit: the equation with cofactor holds, the one without does not.
    const torsion = ed25519.Point.fromHex(ED25519_TORSION_SUBGROUP[1]!);
    const secret = 7n;
    const key = ed25519.Point.BASE.multiply(secret).toBytes();
    for (const [R, nonce] of [
      [ed25519.Point.BASE.multiply(9n).add(torsion).toBytes(), 9n],
      [ed25519.Point.ZERO.toBytes(), 0n],
    ] as const) {
      const challenge = group.reduceScalar(ed25519Hash(R, key, message));
      const forged = concatBytes(R, group.encodeScalar(group.mod(nonce + challenge * secret)));
      assert.ok(ed25519.verify(forged, message, key), 'a permissive verifier takes it');
      assert.ok(!strict(key, message, forged));
    }
  });
});

function ed25519Hash(...parts: Uint8Array[]): Uint8Array {
  return createHash('sha512')
    .update(concatBytes(...parts))
    .digest();
}
