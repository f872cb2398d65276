// Payload kind bitcoin.psbt of ECDSA keys (P2WPKH): the digest of BIP143 by its own example and a second library, the fee
// that cannot be lied about, and the transaction that comes out, before an independent implementation of Bitcoin's rules.
// https://github.com/bitcoin/bips/blob/master/bip-0143.mediawiki (Native P2WPKH)
import assert from 'node:assert/strict';
import { p2pkh, p2wpkh, RawTx, Transaction } from '@scure/btc-signer';
import { concatBytes, equalBytes } from '@noble/curves/utils.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { Transaction as SecondTransaction } from 'bitcoinjs-lib';
import { bitcoinRules } from '../../cli/testnet/bitcoin-rules.ts';
import { fromHex, type Hex, toHex } from '../../protocol/hex.ts';
import { spenderOf } from '../../protocol/payloads/bitcoin-key.ts';
import { inputsOfKey } from '../../protocol/payloads/bitcoin-psbt.ts';
import { parsePsbt } from '../../protocol/payloads/bitcoin-transaction.ts';
import type { BitcoinPsbtFacts } from '../../protocol/payloads/facts.ts';
import {
  assembleAll,
  decodePayload,
  type Payload,
  PayloadError,
  type PayloadErrorCode,
  type PayloadKey,
} from '../../protocol/payloads/payload.ts';
import { parsePayloadsFile } from '../../protocol/payloads/read.ts';
import { WholeEcdsaKey } from '../support/whole-ecdsa-key.ts';
import { WholeTaprootKey } from '../support/whole-taproot-key.ts';

const ours = new WholeEcdsaKey(7);
const theirs = new WholeEcdsaKey(11);
const taproot = new WholeTaprootKey(5);
const rules = bitcoinRules();

interface Coin {
  readonly script: Uint8Array;
  readonly amount: bigint;
}
const lenient = { allowUnknownOutputs: true, allowUnknownInputs: true, disableScriptCheck: true };

/** A whole transaction that made this coin as its second output, and its id. */
function made(coin: Coin, nonce: number): { raw: Uint8Array; txid: string } {
  const before = new Transaction(lenient);
  before.addOutput({ script: theirs.script, amount: 1n });
  before.addOutput(coin);
  before.addInput({
    txid: sha256(Uint8Array.of(nonce & 255, nonce >> 8)),
    index: 0,
    finalScriptSig: Uint8Array.of(0x51),
  });
  const raw = before.toBytes(true, false);
  return { raw, txid: Transaction.fromRaw(raw, lenient).id };
}

interface Built {
  readonly inputs?: readonly Coin[];
  readonly outputs?: readonly Coin[];
  /** What is said of each input, given what is true. */
  readonly say?: (truth: { nonWitnessUtxo: Uint8Array; witnessUtxo: Coin }, index: number) => object;
  readonly edit?: (transaction: Transaction) => void;
}
const spent: readonly Coin[] = [
  { script: ours.script, amount: 150_000n },
  { script: taproot.script, amount: 1_000_000n },
  { script: ours.script, amount: 40_000n },
];
const paid: readonly Coin[] = [
  { script: theirs.script, amount: 700_000n },
  { script: ours.script, amount: 480_000n },
];

function psbtOf({
  inputs = spent,
  outputs = paid,
  say = (truth) => truth,
  edit = () => undefined,
}: Built = {}): Hex {
  const transaction = new Transaction(lenient);
  for (const [index, coin] of inputs.entries()) {
    const { raw, txid } = made(coin, index);
    transaction.addInput({
      txid,
      index: 1,
      sequence: 0xfffffffd,
      ...say({ nonWitnessUtxo: raw, witnessUtxo: coin }, index),
    });
  }
  for (const coin of outputs) transaction.addOutput(coin);
  edit(transaction);
  return toHex(transaction.toPSBT());
}

const payloadOf = (psbt: Hex, input = 0): Payload => ({ kind: 'bitcoin.psbt', psbt, input });
const decode = (psbt: Hex, input = 0, key: PayloadKey = ours.bitcoin) =>
  decodePayload(payloadOf(psbt, input), key);
function signedItem(psbt: Hex, input = 0) {
  const payload = payloadOf(psbt, input);
  return { payload, key: ours.bitcoin, signature: ours.signDer(decode(psbt, input).message) };
}
function taprootItem(psbt: Hex, input: number) {
  const payload = payloadOf(psbt, input);
  return { payload, key: taproot.key, signature: taproot.sign(decodePayload(payload, taproot.key).message) };
}
function refuses(code: PayloadErrorCode, psbt: Hex, input = 0): void {
  assert.throws(
    () => decode(psbt, input),
    (error) => error instanceof PayloadError && error.code === code && error.message.length > 10,
  );
}

describe('payload: bitcoin.psbt of an ECDSA key', () => {
  it('signs what BIP143 says, by its own example', () => {
    const unsigned = fromHex(
      '0x0100000002fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f0000000000eeffffff' +
        'ef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff' +
        '02202cb206000000001976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac' +
        '9093510d000000001976a9143bde42dbee7e4dbe6a21b2d50ce2f0167faa815988ac11000000',
    );
    const key = new WholeEcdsaKey(
      fromHex('0x619c335025c7f4012e556c2a58b2506e30b8511b53ade95ea316fd8c3286feb9'),
    );
    assert.equal(
      toHex(key.publicKey),
      '0x025476c2e83188368da1ff3e292e7acafcdb3566bb0ad253f62fc70f07aeee6357',
    );
    assert.equal(toHex(key.script), '0x00141d0f172a0ecb48aee1be1f2687d2963ae33f71a1');
    const transaction = Transaction.fromRaw(unsigned, lenient);
    // What input 0 spends is not signed (it is no PSBT's witness output in the example): any will do.
    transaction.updateInput(0, { witnessUtxo: { script: theirs.script, amount: 625_000_000n } }, true);
    transaction.updateInput(1, { witnessUtxo: { script: key.script, amount: 600_000_000n } }, true);
    // The example does not give the transactions that made its coins, without which nothing is signed.
    refuses('not_a_signer', toHex(transaction.toPSBT()), 1);
    assert.throws(() => decode(toHex(transaction.toPSBT()), 1, key.bitcoin), { code: 'unproven_amount' });
    const digest = spenderOf(key.bitcoin).digest(1, parsePsbt(transaction.toPSBT()), 1);
    assert.equal(toHex(digest), '0xc37af31116d1b27caf68aae9e3ac82f1477929014d5b917657d0eb49478cb670');
    assert.equal(
      toHex(key.signDer(digest)),
      '0x304402203609e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a' +
        '0220573a954c4518331561406f90300e8f3358f51928d43c212a8caed02de67eebee',
    );
  });

  it('signs what a second library computes, for each of its inputs', () => {
    for (const sighashType of [undefined, 1]) {
      const psbt = psbtOf({
        edit: (transaction) => {
          if (sighashType !== undefined) transaction.updateInput(2, { sighashType });
        },
      });
      const second = SecondTransaction.fromBuffer(parsePsbt(fromHex(psbt)).library.unsignedTx);
      for (const input of [0, 2]) {
        const { message, publicKey, tweak, facts } = decode(psbt, input);
        const code = p2pkh(ours.publicKey).script;
        assert.equal(toHex(message), toHex(second.hashForWitnessV0(input, code, spent[input]!.amount, 1)));
        assert.deepEqual([publicKey, tweak], [ours.publicKey, undefined]);
        const { fee, net, sighash, txid, understood } = facts as BitcoinPsbtFacts;
        assert.deepEqual([fee, net, sighash, understood], ['10000', '-290000', 'all', true]);
        assert.equal(txid, `0x${second.getId()}`);
      }
    }
    assert.deepEqual(inputsOfKey(psbtOf(), ours.bitcoin), [0, 2]);
    assert.deepEqual(
      parsePayloadsFile(fromHex(psbtOf()), ours.bitcoin),
      [0, 2].map((input) => payloadOf(psbtOf(), input)),
    );
  });

  it('makes a transaction that an independent implementation accepts, with keys of both kinds', () => {
    const psbt = psbtOf();
    const [half] = assembleAll([signedItem(psbt, 0), signedItem(psbt, 2)]);
    assert.deepEqual(half!.missing, ['input 1']);
    // What one key's request made goes on to the other's.
    const [whole] = assembleAll([taprootItem(half!.psbt!, 1)]);
    assert.deepEqual(whole!.missing, []);
    const raw = fromHex(whole!.transaction!);
    assert.equal(rules.refusalOf(raw, spent), undefined);
    const { witnesses } = RawTx.decode(raw);
    assert.deepEqual(
      witnesses!.map((witness) => witness.length),
      [2, 1, 2],
    );
    assert.deepEqual(witnesses![0]![1], ours.publicKey);
    // A false signature is not.
    const altered = raw.slice();
    altered[raw.length - 60]! ^= 1;
    assert.notEqual(rules.refusalOf(altered, spent), undefined);
  });

  it('is signed by the key whose coins it spends, as bytes of its own type', () => {
    refuses('not_a_signer', psbtOf(), 1);
    refuses('not_a_signer', psbtOf(), 3);
    assert.throws(() => decode(psbtOf(), 0, theirs.bitcoin), { code: 'not_a_signer' });
    for (const wrong of [ours.evm, { keyType: 'ed25519', publicKey: new Uint8Array(32).fill(1) }] as const) {
      assert.throws(() => decode(psbtOf(), 0, wrong), { name: 'PayloadError', code: 'wrong_key' });
      assert.throws(() => inputsOfKey(psbtOf(), wrong), { name: 'PayloadError', code: 'wrong_key' });
    }
    const item = signedItem(psbtOf());
    const digest = decode(psbtOf()).message;
    for (const signature of [
      ours.sign(digest),
      theirs.signDer(digest),
      concatBytes(item.signature, Uint8Array.of(1)),
    ])
      assert.throws(() => assembleAll([{ ...item, signature }]), { code: 'bad_signature' });
  });

  it('signs no part of a transaction', () => {
    for (const sighashType of [0, 2, 3, 0x81, 0x82, 0x83])
      refuses(
        'unsupported_sighash',
        psbtOf({ edit: (transaction) => transaction.updateInput(0, { sighashType }, true) }),
      );
  });

  it('believes no amount: each input brings the transaction that made its coin', () => {
    decode(psbtOf({ say: ({ nonWitnessUtxo }) => ({ nonWitnessUtxo }) }));
    // BIP143 signs the amount of this input only. With others said to be smaller, the fee would look smaller than it is;
    // of two requests, one lying of each input, both signatures would be good in the one true transaction.
    for (const liar of [0, 1, 2])
      refuses(
        'unproven_amount',
        psbtOf({
          say: ({ witnessUtxo, ...rest }, index) =>
            index === liar
              ? { witnessUtxo: { ...witnessUtxo, amount: witnessUtxo.amount - 5000n } }
              : { witnessUtxo, ...rest },
        }),
      );
    const truth = psbtOf({ say: ({ witnessUtxo }) => ({ witnessUtxo }) });
    refuses('unproven_amount', truth);
    // A Taproot key signs all amounts: its own input needs no proof.
    decodePayload(payloadOf(truth, 1), taproot.key);
  });

  it('believes no transaction that is another one, or says another thing than is said beside it', () => {
    const text = psbtOf();
    const bytes = fromHex(text);
    const { raw } = made(spent[1]!, 1);
    const at = Buffer.from(bytes).indexOf(Buffer.from(raw));
    assert.ok(at > 0);
    // The amount in the transaction before: its hash is no longer the id that is spent.
    const amount = Buffer.from([0x40, 0x42, 0x0f, 0, 0, 0, 0, 0]);
    const place = Buffer.from(raw).indexOf(amount);
    assert.ok(place > 0);
    const lying = bytes.slice();
    lying[at + place] = 0x41;
    refuses('malformed_transaction', toHex(lying));
    // The output beside it.
    const beside = Buffer.from(bytes).indexOf(amount, at + raw.length);
    assert.ok(beside > 0);
    const differing = bytes.slice();
    differing[beside] = 0x41;
    refuses('malformed_transaction', toHex(differing));
    // Another transaction that made a coin of the same amount and script.
    const swapped = concatBytes(
      bytes.subarray(0, at),
      made(spent[1]!, 77).raw,
      bytes.subarray(at + raw.length),
    );
    refuses('malformed_transaction', toHex(swapped));
    assert.ok(!equalBytes(raw, made(spent[1]!, 77).raw));
  });

  it('takes no script for the key’s own that is not, and loses no signature', () => {
    const { script } = p2wpkh(theirs.publicKey);
    for (const fields of [{ redeemScript: script }, { witnessScript: script }])
      assert.throws(
        () => decode(psbtOf({ edit: (transaction) => transaction.updateInput(0, fields, true) })),
        {
          name: 'PayloadError',
        },
      );
    const signature = concatBytes(theirs.signDer(new Uint8Array(32)), Uint8Array.of(1));
    for (const publicKey of [ours.publicKey, theirs.publicKey])
      refuses(
        'already_signed',
        psbtOf({
          edit: (transaction) => transaction.updateInput(0, { partialSig: [[publicKey, signature]] }, true),
        }),
      );
    refuses(
      'already_signed',
      psbtOf({
        edit: (transaction) => transaction.updateInput(0, { finalScriptWitness: [signature] }, true),
      }),
    );
  });

  it('costs what its size costs: each input is read once, however many there are', () => {
    const count = (inputs: number): { reads: number; hashes: number } => {
      const coins = Array.from({ length: inputs }, () => ({ script: ours.script, amount: 1000n }));
      const psbt = psbtOf({
        inputs: coins,
        outputs: [{ script: theirs.script, amount: 1n }],
        say: ({ nonWitnessUtxo }) => ({ nonWitnessUtxo }),
      });
      const item = signedItem(psbt);
      const [read, id] = [Transaction.fromPSBT.bind(Transaction), Transaction.fromRaw.bind(Transaction)];
      const counted = { reads: 0, hashes: 0 };
      Transaction.fromPSBT = (...parameters: Parameters<typeof read>) => {
        counted.reads += 1;
        return read(...parameters);
      };
      Transaction.fromRaw = (...parameters: Parameters<typeof id>) => {
        counted.hashes += 1;
        return id(...parameters);
      };
      try {
        assert.equal(assembleAll([item])[0]!.missing!.length, inputs - 1);
      } finally {
        Object.assign(Transaction, { fromPSBT: read, fromRaw: id });
      }
      return counted;
    };
    const [few, many] = [count(10), count(300)];
    assert.equal(many.reads, few.reads);
    assert.ok(many.hashes <= few.hashes * 30, `${few.hashes} for 10 inputs, ${many.hashes} for 300`);
  });
});
