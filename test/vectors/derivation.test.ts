// Known answers of derivation. secp256k1: the public steps of BIP 32's test vectors 1 and 2. ed25519 and the transcript: our
// own, frozen, computed by a separate program in another language from the description in protocol/keys/derivation.ts.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { HDKey } from '@scure/bip32';
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import { derive, derivedResult } from '../../protocol/keys/derivation.ts';
import { keyResultOf } from '../support/world-key.ts';

const { bip32, ed25519, transcript } = JSON.parse(
  readFileSync(new URL('./derivation.json', import.meta.url), 'utf8'),
) as {
  bip32: { parent: string; path: string; child: string }[];
  ed25519: {
    publicKey: string;
    chainCode: string;
    path: string;
    offset: string;
    childPublicKey: string;
    childChainCode: string;
  }[];
  transcript: { parent: string; transcript: string; path: string; digest: string };
};

describe('derivation, known answers', () => {
  it('there are some', () => {
    assert.ok(bip32.length > 0 && ed25519.length > 0);
  });

  for (const { parent, path, child } of bip32) {
    it(`BIP 32: ${path} of ${parent.slice(0, 20)}`, () => {
      // Only the text form is the library's here: what is in it is compared.
      const [from, to] = [HDKey.fromExtendedKey(parent), HDKey.fromExtendedKey(child)];
      const derived = derive('bitcoin_secp256k1', from.publicKey!, from.chainCode!, path);
      assert.equal(bytesToHex(derived.point), bytesToHex(to.publicKey!));
      assert.equal(bytesToHex(derived.chainCode), bytesToHex(to.chainCode!));
    });
  }

  for (const { publicKey, chainCode, path, offset, childPublicKey, childChainCode } of ed25519) {
    it(`ed25519: ${path} of ${publicKey.slice(0, 8)}`, () => {
      const derived = derive('ed25519', hexToBytes(publicKey), hexToBytes(chainCode), path);
      assert.equal(bytesToHex(derived.offset), offset);
      assert.equal(bytesToHex(derived.point), childPublicKey);
      assert.equal(bytesToHex(derived.chainCode), childChainCode);
    });
  }

  it('the transcript of a derived key', () => {
    const { parent, path, digest } = transcript;
    const result = { ...keyResultOf(2, 'x'), transcript: `0x${transcript.transcript}` as const };
    assert.equal(derivedResult({ id: `0x${parent}`, result }, path).result.transcript, `0x${digest}`);
  });
});
