// Payload kind bitcoin.psbt: what is signed, against a second library; what is refused; and the transaction that comes out,
// before an independent implementation of Bitcoin's rules.
import assert from 'node:assert/strict';
import { p2ms, p2pk, p2pkh, p2sh, p2tr, p2wpkh, RawTx, Transaction } from '@scure/btc-signer';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { initEccLib, Psbt } from 'bitcoinjs-lib';
import * as ecc from 'tiny-secp256k1';
import { bitcoinRules } from '../../cli/testnet/bitcoin-rules.ts';
import { fromHex, type Hex, toHex } from '../../protocol/hex.ts';
import { outputKeyOf, tapTweak } from '../../protocol/keys/taproot.ts';
import { inputsOfKey } from '../../protocol/payloads/bitcoin-psbt.ts';
import { maxPsbtBytes } from '../../protocol/payloads/bitcoin-transaction.ts';
import type { BitcoinPsbtFacts } from '../../protocol/payloads/facts.ts';
import {
  assembleAll,
  decodePayload,
  type Payload,
  type PayloadError,
} from '../../protocol/payloads/payload.ts';
import { WholeTaprootKey } from '../support/whole-taproot-key.ts';

initEccLib(ecc);
const rules = bitcoinRules();

const ours = new WholeTaprootKey(7);
const theirs = new WholeTaprootKey(11);
const witnessKey = new Uint8Array(32).fill(9);
const legacy = p2wpkh(secp256k1.getPublicKey(witnessKey));
const txid = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);

interface Coins {
  readonly inputs?: readonly { script: Uint8Array; amount: bigint }[];
  readonly outputs?: readonly { script: Uint8Array; amount: bigint }[];
  readonly edit?: (transaction: Transaction) => void;
}

const spent = [
  { script: ours.script, amount: 150_000n },
  { script: legacy.script, amount: 40_000n },
  { script: ours.script, amount: 1_000_000n },
];
const paid = [
  { script: theirs.script, amount: 700_000n },
  { script: ours.script, amount: 480_000n },
  { script: Uint8Array.of(0x6a, 2, 0x68, 0x69), amount: 0n },
];

function psbtOf({ inputs = spent, outputs = paid, edit = () => undefined }: Coins = {}): Hex {
  const transaction = new Transaction({
    allowUnknownOutputs: true,
    allowUnknownInputs: true,
    disableScriptCheck: true,
  });
  for (const [index, coin] of inputs.entries())
    transaction.addInput({ txid: txid(index + 1), index, witnessUtxo: coin, sequence: 0xfffffffd });
  for (const coin of outputs) transaction.addOutput(coin);
  edit(transaction);
  return toHex(transaction.toPSBT());
}

/** A witness program of a version that has no meaning yet. */
const witness = (version: number): Uint8Array => Uint8Array.of(0x50 + version, 2, 1, 1);

const payloadOf = (psbt: Hex, input: number): Payload => ({ kind: 'bitcoin.psbt', psbt, input });
const decode = (psbt: Hex, input = 0, key = ours.key) => decodePayload(payloadOf(psbt, input), key);

describe('payload: bitcoin.psbt', () => {
  it('signs what a second library computes, for each of its inputs', () => {
    for (const sighashType of [undefined, 0, 1]) {
      const psbt = psbtOf({
        edit: (transaction) => {
          if (sighashType !== undefined)
            for (const index of [0, 2]) transaction.updateInput(index, { sighashType });
        },
      });
      const second = Psbt.fromBuffer(fromHex(psbt)).data.globalMap.unsignedTx as unknown as {
        tx: {
          hashForWitnessV1(input: number, scripts: Uint8Array[], values: bigint[], type: number): Uint8Array;
        };
      };
      for (const input of [0, 2]) {
        const expected = second.tx.hashForWitnessV1(
          input,
          spent.map(({ script }) => script),
          spent.map(({ amount }) => amount),
          sighashType ?? 0,
        );
        assert.equal(bytesToHex(decode(psbt, input).message), bytesToHex(expected));
      }
    }
  });

  it('tells people and policies everything that the signature covers', () => {
    const { facts, summary, publicKey, tweak } = decode(psbtOf(), 2);
    assert.deepEqual(publicKey, outputKeyOf(ours.publicKey));
    assert.deepEqual(tweak, tapTweak(ours.publicKey));
    const { inputs, outputs, ...rest } = facts as BitcoinPsbtFacts;
    assert.deepEqual(
      inputs.map(({ amount, own: isOwn, index }) => [amount, isOwn, index]),
      [
        ['150000', true, 0],
        ['40000', false, 1],
        ['1000000', true, 2],
      ],
    );
    assert.deepEqual(
      outputs.map(({ amount, own: isOwn, address }) => [amount, isOwn, address?.slice(0, 4)]),
      [
        ['700000', false, 'bc1p'],
        ['480000', true, 'bc1p'],
        ['0', false, undefined],
      ],
    );
    const { transfers, txid: id, ...plain } = rest;
    assert.deepEqual(plain, {
      kind: 'bitcoin.psbt',
      chain: 'bitcoin',
      input: 2,
      version: 2,
      lockTime: 0,
      sighash: 'default',
      fee: '10000',
      net: '670000',
      understood: true,
    });
    assert.match(id!, /^0x[0-9a-f]{64}$/);
    assert.deepEqual(
      transfers.map(({ asset, amount, to }) => [asset, amount, to]),
      [
        ['BTC', '700000', outputs[0]!.address],
        ['BTC', '0', '0x6a026869'],
      ],
    );
    assert.ok(summary.some((line) => line.includes('0.00700000 BTC')));
    assert.ok(summary.some((line) => line === 'Fee: 0.00010000 BTC'));
    assert.ok(summary.some((line) => line.startsWith('Back to this key 0.00480000 BTC')));
  });

  it('makes a transaction that an independent implementation accepts, once every input is signed', () => {
    const psbt = psbtOf({
      edit: (transaction) => transaction.updateInput(2, { sighashType: 1 }),
    });
    const items = [0, 2].map((input) => {
      const payload = payloadOf(psbt, input);
      return { payload, key: ours.key, signature: ours.sign(decodePayload(payload, ours.key).message) };
    });
    assert.doesNotThrow(() => assembleAll(items.slice(0, 1)));
    const [half] = assembleAll(items.slice(0, 1));
    assert.equal(half!.transaction, undefined);
    assert.deepEqual(half!.missing, ['input 1', 'input 2']);
    const [first, second] = assembleAll(items);
    assert.deepEqual(first, second);
    assert.deepEqual(first!.missing, ['input 1']);
    // Whoever owns the other coin signs last.
    const transaction = Transaction.fromPSBT(fromHex(first!.psbt!), { allowUnknownOutputs: true });
    transaction.signIdx(witnessKey, 1);
    transaction.finalize();
    const raw = transaction.extract();
    assert.equal(rules.refusalOf(raw, spent), undefined);
    const less = spent.with(2, { ...spent[2]!, amount: 999_999n });
    assert.match(rules.refusalOf(raw, less) ?? '', /^input 0: /);
  });

  it('is whole when all inputs are the key’s', () => {
    const inputs = [spent[0]!, spent[2]!];
    const psbt = psbtOf({ inputs, outputs: paid.slice(0, 1) });
    const items = [0, 1].map((input) => {
      const payload = payloadOf(psbt, input);
      return { payload, key: ours.key, signature: ours.sign(decodePayload(payload, ours.key).message) };
    });
    const [assembled] = assembleAll(items);
    assert.deepEqual(assembled!.missing, []);
    assert.equal(rules.refusalOf(fromHex(assembled!.transaction!), inputs), undefined);
    const { txid: id } = decodePayload(payloadOf(psbt, 0), ours.key).facts as BitcoinPsbtFacts;
    assert.equal(
      id,
      `0x${Transaction.fromRaw(fromHex(assembled!.transaction!), { allowUnknownOutputs: true }).id}`,
    );
    const wrong = items.with(1, { ...items[1]!, signature: items[0]!.signature });
    assert.throws(() => assembleAll(wrong), { name: 'PayloadError', code: 'bad_signature' });
  });

  it('refuses what it cannot sign in whole, or not for this key', () => {
    const cases: [PayloadError['code'], Hex, number][] = [
      ['not_a_signer', psbtOf(), 3],
      ['not_a_signer', psbtOf(), 1],
      ['not_a_signer', psbtOf({ inputs: [{ script: theirs.script, amount: 10n ** 9n }] }), 0],
      ['not_a_signer', psbtOf({ edit: (tx) => tx.updateInput(0, { tapMerkleRoot: txid(5) }) }), 0],
      [
        'malformed_transaction',
        psbtOf({ edit: (tx) => tx.updateInput(0, { tapInternalKey: theirs.publicKey }) }),
        0,
      ],
      ...[2, 3, 0x81, 0x82, 0x83].map((sighashType): [PayloadError['code'], Hex, number] => [
        'unsupported_sighash',
        psbtOf({ edit: (tx) => tx.updateInput(0, { sighashType }) }),
        0,
      ]),
      ['malformed_transaction', psbtOf({ outputs: [{ script: theirs.script, amount: 1_190_001n }] }), 0],
      ['malformed_transaction', psbtOf({ outputs: [] }), 0],
      ['malformed_transaction', psbtOf({ inputs: [], outputs: [paid[2]!] }), 0],
      [
        'malformed_transaction',
        psbtOf({ inputs: [{ script: ours.script, amount: 21n * 10n ** 14n + 1n }] }),
        0,
      ],
      ['malformed_transaction', psbtOf().slice(0, -2) as Hex, 0],
      ['malformed_transaction', '0x70736274ff', 0],
      ['malformed_transaction', toHex(new TextEncoder().encode('hello')), 0],
    ];
    for (const [at, [code, psbt, input]] of cases.entries())
      assert.throws(() => decode(psbt, input), { name: 'PayloadError', code }, `case ${at}`);
    assert.throws(() => decode(psbtOf(), 0, theirs.key), { code: 'not_a_signer' });
    assert.throws(() => decode(psbtOf(), 0, { keyType: 'ed25519', publicKey: ours.publicKey }), {
      code: 'wrong_key',
    });
  });

  it('refuses a PSBT that does not say what it spends', () => {
    const transaction = new Transaction();
    transaction.addInput({ txid: txid(1), index: 0 });
    transaction.addOutput(paid[0]!);
    assert.throws(() => decode(toHex(transaction.toPSBT())), {
      code: 'malformed_transaction',
      message: /witness UTXO/,
    });
  });

  it('refuses PSBT version 2', () => {
    const transaction = Transaction.fromPSBT(fromHex(psbtOf()), { allowUnknownOutputs: true });
    assert.throws(() => decode(toHex(transaction.toPSBT(2))), { code: 'unsupported_version' });
  });

  it('refuses a coin spent twice', () => {
    const psbt = fromHex(psbtOf({ inputs: [spent[0]!, spent[2]!] }));
    // The second input's transaction id becomes the first's, its index 0.
    const at = Buffer.from(psbt).indexOf(Buffer.from(txid(2)));
    psbt.set(txid(1), at);
    psbt.set([0, 0, 0, 0], at + 32);
    assert.throws(() => decode(toHex(psbt)), { code: 'malformed_transaction', message: /twice/ });
  });

  it('puts together what belongs to one PSBT, and nothing of another in the same request', () => {
    const inputs = [spent[0]!, spent[2]!];
    const psbts = [700_000n, 600_000n].map((amount) =>
      psbtOf({ inputs, outputs: [{ script: theirs.script, amount }] }),
    );
    const items = psbts.flatMap((psbt) =>
      [0, 1].map((input) => {
        const payload = payloadOf(psbt, input);
        return { payload, key: ours.key, signature: ours.sign(decodePayload(payload, ours.key).message) };
      }),
    );
    const [one, , other] = assembleAll(items);
    assert.notEqual(one!.transaction, other!.transaction);
    for (const [assembled, mine] of [
      [one, items.slice(0, 2)],
      [other, items.slice(2)],
    ] as const) {
      assert.deepEqual(assembled, assembleAll(mine)[0]);
      assert.equal(rules.refusalOf(fromHex(assembled!.transaction!), inputs), undefined);
    }
    // Half of each: neither is whole, and neither has the other's signature.
    const halves = assembleAll([items[0]!, items[3]!]);
    assert.deepEqual(
      halves.map(({ missing, transaction }) => [missing, transaction]),
      [
        [['input 1'], undefined],
        [['input 0'], undefined],
      ],
    );
  });

  it('has no id before it is signed when a coin is spent by a script in the input', () => {
    const hidden = p2sh(legacy);
    const withHidden = psbtOf({
      inputs: [spent[0]!, { script: hidden.script, amount: 1000n }],
      outputs: paid.slice(1, 2).map((coin) => ({ ...coin, amount: 1000n })),
    });
    const { facts } = decode(withHidden);
    assert.equal((facts as BitcoinPsbtFacts).txid, undefined);
    assert.equal((facts as BitcoinPsbtFacts).inputs[1]!.address, hidden.address);
    // Whether a script is spent by a witness alone: a version, and one push of 2 to 40 bytes (BIP141).
    const program = (version: number, length: number, pushed = length): Uint8Array =>
      Uint8Array.from({ length: 2 + length }, (_, at) => [version, pushed][at] ?? 0x51);
    const scripts: readonly (readonly [Uint8Array, boolean])[] = [
      [witness(16), true],
      [program(0x52, 40), true],
      [program(0x52, 41), false],
      [program(0x52, 1), false],
      [program(0x52, 4, 3), false],
      [program(0x4f, 4), false],
      [program(0x61, 4), false],
    ];
    for (const [script, isFixed] of scripts) {
      const psbt = psbtOf({ inputs: [spent[0]!, { script, amount: 1000n }], outputs: [paid[2]!] });
      const { txid: id } = decode(psbt).facts as BitcoinPsbtFacts;
      assert.equal(id !== undefined, isFixed, toHex(script));
    }
  });

  it('understands outputs that have an address or are data, and says of others what they are', () => {
    const publicKeys = [1, 2].map((byte) => secp256k1.getPublicKey(new Uint8Array(32).fill(byte)));
    const known = [p2pkh(publicKeys[0]!), p2sh(legacy), legacy, p2tr(theirs.publicKey)];
    const data = Uint8Array.of(0x6a, 1, 7);
    const strange = [
      p2pk(publicKeys[0]!).script,
      p2ms(1, publicKeys).script,
      Uint8Array.of(0x51),
      witness(16),
    ];
    for (const [scripts, isUnderstood] of [
      [[...known.map(({ script }) => script), data], true],
      ...strange.map((script) => [[script], false] as const),
    ] as const) {
      const outputs = scripts.map((script) => ({ script, amount: 1000n }));
      const { facts, summary } = decode(psbtOf({ outputs }));
      const { understood: isReally, outputs: shown, transfers } = facts as BitcoinPsbtFacts;
      assert.equal(isReally, isUnderstood, toHex(scripts[0]!));
      assert.equal(transfers.length, scripts.length);
      if (isUnderstood)
        assert.deepEqual(
          shown.map(({ address }) => address),
          [...known.map(({ address }) => address), undefined],
        );
      const words = isUnderstood ? `data ${toHex(data)}, where they are lost` : 'which is not known here';
      assert.ok(
        summary.some((line) => line.includes(words)),
        summary.join('\n'),
      );
    }
    const { summary } = decode(psbtOf());
    assert.ok(summary.includes('Pays 0.00000000 BTC to data 0x6a026869'), summary.join('\n'));
  });

  it('says whose coins it spends, and before when it is not valid', () => {
    const [first] = decode(psbtOf()).summary;
    assert.match(first!, /spends 2 coins of this key and 1 of others; this item signs input 0$/);
    const [alone] = decode(psbtOf({ inputs: [spent[2]!], outputs: paid.slice(0, 1) })).summary;
    assert.match(alone!, /spends 1 coin of this key; this item signs input 0$/);
    const late = new Transaction({ lockTime: 800_000 });
    late.addInput({ txid: txid(1), index: 0, witnessUtxo: spent[0]!, sequence: 0 });
    late.addOutput({ script: theirs.script, amount: 1000n });
    const { facts, summary } = decode(toHex(late.toPSBT()));
    assert.equal((facts as BitcoinPsbtFacts).lockTime, 800_000);
    assert.ok(summary.includes('Not valid before lock time 800000'));
    assert.ok(!decode(psbtOf()).summary.some((line) => line.includes('lock time')));
  });

  it('takes what an input spends from the transaction that made it, and refuses two answers', () => {
    const made = new Transaction();
    made.addInput({ txid: txid(9), index: 0, witnessUtxo: spent[0]! });
    for (const coin of [{ script: theirs.script, amount: 5n }, spent[2]!]) made.addOutput(coin);
    const nonWitnessUtxo = RawTx.decode(made.unsignedTx);
    const spending = new Transaction();
    spending.addInput({ txid: fromHex(`0x${made.id}`), index: 1, nonWitnessUtxo });
    spending.addOutput({ script: theirs.script, amount: 1000n });
    const { facts } = decode(toHex(spending.toPSBT()));
    assert.equal((facts as BitcoinPsbtFacts).inputs[0]!.amount, '1000000');
    const psbt = Psbt.fromBuffer(spending.toPSBT());
    psbt.data.inputs[0]!.witnessUtxo = { script: spent[2]!.script, value: 999_999n };
    assert.throws(() => decode(toHex(psbt.toBuffer())), { code: 'malformed_transaction' });
    psbt.data.inputs[0]!.witnessUtxo = { script: spent[2]!.script, value: 1_000_000n };
    assert.equal((decode(toHex(psbt.toBuffer())).facts as BitcoinPsbtFacts).fee, '999000');
  });

  it('is bounded', () => {
    const psbt = psbtOf();
    for (const wrong of [-1, 0.5, 10_000])
      assert.throws(() => decode(psbt, wrong), { name: 'PayloadError', code: 'invalid_payload' });
    for (const wrong of ['0x', `${psbt}${'00'.repeat(maxPsbtBytes)}`] as const)
      assert.throws(() => decode(wrong), { name: 'PayloadError', code: 'invalid_payload' });
  });

  it('is asked for once for each input that is the key’s', () => {
    assert.deepEqual(inputsOfKey(psbtOf(), ours.key), [0, 2]);
    assert.deepEqual(inputsOfKey(psbtOf(), theirs.key), []);
  });

  it('has no network: test networks’ spends are signed alike, and shown as the main network’s', () => {
    const { summary } = decode(psbtOf());
    assert.match(summary.at(-1)!, /test networks/);
  });
});
