// BIP 340's vectors: verification by keys of type taproot_secp256k1, and by the suite that such keys sign with.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { concatBytes, hexToBytes } from '@noble/hashes/utils.js';
import { ciphersuiteOf } from '../../node/mpc/frost/ciphersuite.ts';
import { verifySignature } from '../../protocol/keys/key-type.ts';
import { checkPublicKey } from '../../protocol/keys/taproot.ts';

const { vectors } = JSON.parse(readFileSync(new URL('./bip340.json', import.meta.url), 'utf8')) as {
  vectors: {
    index: number;
    publicKey: string;
    message: string;
    signature: string;
    valid: boolean;
    comment?: string;
  }[];
};
/** Vectors whose public key is none: nothing is ever verified under it. */
const badKeys: readonly number[] = [5, 14];

describe('BIP 340', () => {
  for (const vector of vectors) {
    it(`vector ${vector.index}${vector.comment === undefined ? '' : `: ${vector.comment}`}`, () => {
      const [publicKey, message, signature] = [vector.publicKey, vector.message, vector.signature].map(
        hexToBytes,
      ) as [Uint8Array, Uint8Array, Uint8Array];
      assert.equal(verifySignature('taproot_secp256k1', publicKey, message, signature), vector.valid);
      if (badKeys.includes(vector.index)) {
        assert.throws(() => checkPublicKey(publicKey), { name: 'TaprootKeyError', code: 'not_on_curve' });
        return;
      }
      checkPublicKey(publicKey);
      const { verify } = ciphersuiteOf('taproot_secp256k1');
      for (const sign of [2, 3])
        assert.equal(verify(concatBytes(Uint8Array.of(sign), publicKey), message, signature), vector.valid);
    });
  }
});
