// BIP 341's wallet vectors: output keys and addresses of keys without a script tree, and what key-path spends sign.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Transaction } from '@scure/btc-signer';
import { schnorr, secp256k1 } from '@noble/curves/secp256k1.js';
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import { toHex } from '../../protocol/hex.ts';
import { addressesOf, outputKeyOf, tapTweak } from '../../protocol/keys/taproot.ts';
import { addressOfScript, taprootScript } from '../../protocol/payloads/bitcoin-transaction.ts';
import { decodePayload } from '../../protocol/payloads/payload.ts';

const { outputs, spending } = JSON.parse(readFileSync(new URL('./bip341.json', import.meta.url), 'utf8')) as {
  outputs: { internalKey: string; tweak: string; outputKey: string; script: string; address: string }[];
  spending: {
    unsignedTransaction: string;
    spent: { script: string; amount: number }[];
    inputs: {
      input: number;
      secretKey: string;
      merkleRoot: string | null;
      hashType: number;
      internalKey: string;
      tweak: string;
      tweakedSecretKey: string;
      sighash: string;
      witness: string;
    }[];
  };
};

describe('BIP 341', () => {
  it('has vectors for this', () => {
    assert.ok(outputs.length > 0 && spending.inputs.length > 0);
  });

  for (const { internalKey, tweak, outputKey, script, address } of outputs) {
    it(`output of ${internalKey.slice(0, 8)}`, () => {
      const key = hexToBytes(internalKey);
      assert.equal(bytesToHex(tapTweak(key)), tweak);
      assert.equal(bytesToHex(outputKeyOf(key)), outputKey);
      assert.equal(bytesToHex(taprootScript(outputKeyOf(key))), script);
      assert.equal(addressOfScript(hexToBytes(script)), address);
      assert.deepEqual(addressesOf(key)[0], { chain: 'bitcoin', address });
    });
  }

  const unsigned = Transaction.fromRaw(hexToBytes(spending.unsignedTransaction), {
    disableScriptCheck: true,
    allowUnknownInputs: true,
    allowUnknownOutputs: true,
  });
  const scripts = spending.spent.map(({ script }) => hexToBytes(script));
  const amounts = spending.spent.map(({ amount }) => BigInt(amount));

  for (const {
    input,
    hashType,
    sighash,
    witness,
    secretKey,
    tweakedSecretKey,
    merkleRoot,
    internalKey,
  } of spending.inputs) {
    it(`input ${input}, hash type ${hashType}`, () => {
      assert.equal(bytesToHex(unsigned.preimageWitnessV1(input, scripts, hashType, amounts)), sighash);
      const signature = hexToBytes(witness).subarray(0, 64);
      const outputKey = scripts[input]!.subarray(2);
      assert.ok(schnorr.verify(signature, hexToBytes(sighash), outputKey));
      assert.deepEqual(schnorr.getPublicKey(hexToBytes(tweakedSecretKey)), outputKey);
      assert.equal(bytesToHex(schnorr.getPublicKey(hexToBytes(secretKey))), internalKey);
      if (merkleRoot === null) assert.deepEqual(outputKeyOf(hexToBytes(internalKey)), outputKey);
    });
  }

  it('a payload of an input without script tree is what the vector signs, with another hash type', () => {
    const { input, internalKey } = spending.inputs.find(({ merkleRoot }) => merkleRoot === null)!;
    const psbt = unsigned.clone();
    for (const [index, script] of scripts.entries())
      psbt.updateInput(index, { witnessUtxo: { script, amount: amounts[index]! } }, true);
    const key = hexToBytes(internalKey);
    const payload = { kind: 'bitcoin.psbt', psbt: toHex(psbt.toPSBT(0)), input } as const;
    const decoded = decodePayload(payload, { keyType: 'taproot_secp256k1', publicKey: key });
    assert.equal(
      bytesToHex(decoded.message),
      bytesToHex(unsigned.preimageWitnessV1(input, scripts, 0, amounts)),
    );
    const secret = spending.inputs.find((each) => each.input === input)!.tweakedSecretKey;
    const signature = schnorr.sign(decoded.message, hexToBytes(secret));
    assert.ok(schnorr.verify(signature, decoded.message, decoded.publicKey));
    // What a share of the key is tweaked by takes the whole key to the one that the vector tweaked.
    const { Fn, BASE } = secp256k1.Point;
    const whole = Fn.fromBytes(hexToBytes(spending.inputs.find((each) => each.input === input)!.secretKey));
    const isEven = BASE.multiply(whole).toBytes()[0] === 2;
    const sum = Fn.add(isEven ? whole : Fn.neg(whole), Fn.fromBytes(decoded.tweak!));
    assert.equal(bytesToHex(Fn.toBytes(sum)), secret);
  });
});
