// What applies Bitcoin's rules in the testnet and in tests, by itself: it takes what BIP340 takes, whatever the key.
import assert from 'node:assert/strict';
import { schnorr } from '@noble/curves/secp256k1.js';
import { p2tr, Transaction } from '@scure/btc-signer';
import { bitcoinRules } from '../../cli/testnet/bitcoin-rules.ts';
import { numberToBytesBE } from '@noble/curves/utils.js';

/** A secret whose Taproot output key begins so. */
function secretOf(begins: (key: Uint8Array) => boolean): { secret: Uint8Array; script: Uint8Array } {
  for (let number = 1n; ; number += 1n) {
    const secret = numberToBytesBE(number, 32);
    const { script, tweakedPubkey } = p2tr(schnorr.getPublicKey(secret));
    if (begins(tweakedPubkey)) return { secret, script };
  }
}

describe('rules of Bitcoin', () => {
  const keys = {
    'of thirty-two bytes': secretOf((key) => key[0] !== 0),
    'that begins with a zero byte': secretOf((key) => key[0] === 0),
  };
  for (const [what, { secret, script }] of Object.entries(keys)) {
    it(`take the signature of a key ${what}, and no other`, () => {
      const amount = 5000n;
      const transaction = new Transaction();
      const tapInternalKey = schnorr.getPublicKey(secret);
      const coin = { txid: new Uint8Array(32).fill(7), index: 0, witnessUtxo: { script, amount } };
      transaction.addInput({ ...coin, tapInternalKey });
      transaction.addOutput({ script, amount: 4000n });
      transaction.sign(secret);
      transaction.finalize();
      const raw = transaction.extract();
      assert.equal(bitcoinRules().refusalOf(raw, [{ script, amount }]), undefined);
      // The 64 bytes of the signature come before the lock time.
      const altered = raw.with(raw.length - 5, raw[raw.length - 5]! ^ 1);
      assert.match(bitcoinRules().refusalOf(altered, [{ script, amount }]) ?? '', /^input 0/);
    });
  }
});
