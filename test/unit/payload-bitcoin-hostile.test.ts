// Payload kind bitcoin.psbt, written row by row: PSBTs that no tool makes. What is accepted says one thing only, can be put
// together, and costs what its size costs.
import assert from 'node:assert/strict';
import { p2wpkh, Transaction } from '@scure/btc-signer';
import { schnorr, secp256k1 } from '@noble/curves/secp256k1.js';
import { concatBytes } from '@noble/curves/utils.js';
import { summaryOf } from '../../cli/item-summary.ts';
import { bitcoinRules } from '../../cli/testnet/bitcoin-rules.ts';
import { fromHex, type Hex, toHex } from '../../protocol/hex.ts';
import type { BitcoinPsbtFacts } from '../../protocol/payloads/facts.ts';
import { assembleAll, decodePayload, type Payload } from '../../protocol/payloads/payload.ts';
import { Chance, seedFromEnvironment } from '../support/chance.ts';
import { WholeTaprootKey } from '../support/whole-taproot-key.ts';

const ours = new WholeTaprootKey(7);
const theirs = new WholeTaprootKey(11);
const legacy = p2wpkh(secp256k1.getPublicKey(new Uint8Array(32).fill(9)));
const rules = bitcoinRules();

const magic = Uint8Array.of(0x70, 0x73, 0x62, 0x74, 0xff);
const end = Uint8Array.of(0);
const length = (count: number): Uint8Array =>
  count < 253 ? Uint8Array.of(count) : Uint8Array.of(253, count & 255, count >> 8);
const row = (key: Uint8Array, value: Uint8Array): Uint8Array =>
  concatBytes(length(key.length), key, length(value.length), value);
const uint32 = (value: number): Uint8Array => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
};
const coin = (script: Uint8Array, amount: number): Uint8Array =>
  concatBytes(uint32(amount), uint32(0), length(script.length), script);
const spends = (script: Uint8Array, amount: number): Uint8Array =>
  row(Uint8Array.of(1), coin(script, amount));

interface Unsigned {
  readonly inputs?: number;
  readonly lockTime?: number;
  readonly sequence?: number;
  readonly outputs?: readonly { script: Uint8Array; amount: bigint }[];
}

function unsigned({ inputs = 1, lockTime = 0, sequence = 0xffffffff, outputs }: Unsigned = {}): Uint8Array {
  const transaction = new Transaction({ allowUnknownOutputs: true, disableScriptCheck: true, lockTime });
  for (let index = 0; index < inputs; index++)
    transaction.addInput({ txid: new Uint8Array(32).fill(1), index, sequence });
  for (const output of outputs ?? [{ script: theirs.script, amount: 100n }]) transaction.addOutput(output);
  return transaction.unsignedTx;
}

const globals = (transaction: Uint8Array): Uint8Array => row(Uint8Array.of(0), transaction);
const psbt = (...parts: readonly Uint8Array[]): Hex => toHex(concatBytes(magic, ...parts));
/** A PSBT of one input of this key and one output, with more rows in the input's map. */
const withRows = (...rows: readonly Uint8Array[]): Hex =>
  psbt(globals(unsigned()), end, spends(ours.script, 200), ...rows, end, end);
const payloadOf = (text: Hex, input = 0): Payload => ({ kind: 'bitcoin.psbt', psbt: text, input });
const decode = (text: Hex, input = 0) => decodePayload(payloadOf(text, input), ours.key);

function signedItem(text: Hex, input = 0) {
  const payload = payloadOf(text, input);
  return { payload, key: ours.key, signature: ours.sign(decodePayload(payload, ours.key).message) };
}

describe('payload: bitcoin.psbt, hostile', () => {
  it('says one thing only: nothing twice, nothing behind it, no script where none belongs', () => {
    const plain = unsigned();
    const own = spends(ours.script, 200);
    const scripted = concatBytes(plain.subarray(0, 41), Uint8Array.of(1, 0x51), plain.subarray(42));
    const cases: readonly [string, Hex][] = [
      ['a coin twice', withRows(spends(ours.script, 300))],
      ['a transaction twice', psbt(globals(plain), globals(plain), end, own, end, end)],
      [
        'an unknown row twice',
        withRows(row(Uint8Array.of(0xf0, 1), end), row(Uint8Array.of(0xf0, 1), magic)),
      ],
      ['bytes behind it', psbt(globals(plain), end, own, end, end, Uint8Array.of(1, 2, 3))],
      ['a script in the unsigned transaction', psbt(globals(scripted), end, own, end, end)],
      ['bytes behind the transaction', psbt(globals(concatBytes(plain, end)), end, own, end, end)],
      ['a length in a longer form', withRows(Uint8Array.of(253, 1, 0, 3, 4, 1, 0, 0, 0))],
      ["version 2's transaction id", withRows(row(Uint8Array.of(0x0e), new Uint8Array(32).fill(9)))],
      [
        "version 2's amount of an output",
        psbt(globals(plain), end, own, end, row(Uint8Array.of(3), new Uint8Array(8)), end),
      ],
      [
        'a leaf that the coin does not commit to',
        withRows(row(Uint8Array.of(0x15, 0xc0, ...ours.publicKey), Uint8Array.of(0x51, 0xc0))),
      ],
    ];
    decode(withRows());
    for (const [what, text] of cases)
      assert.throws(() => decode(text), { name: 'PayloadError', code: 'malformed_transaction' }, what);
    for (const sighash of [2, 0x80, 0x81, 0x100, 0x101, 0xffffffff])
      assert.throws(() => decode(withRows(row(Uint8Array.of(3), uint32(sighash)))), {
        code: 'unsupported_sighash',
      });
  });

  it('signs no input that is final already, and takes the final ones of others as they are', () => {
    const final = row(Uint8Array.of(8), Uint8Array.of(1, 1, 0x51));
    assert.throws(() => decode(withRows(final)), { name: 'PayloadError', code: 'already_signed' });
    const scripted = row(Uint8Array.of(7), Uint8Array.of(0x51));
    assert.throws(() => decode(withRows(scripted)), { code: 'already_signed' });
    const others = spends(theirs.script, 50);
    const text = (rows: Uint8Array): Hex =>
      psbt(globals(unsigned({ inputs: 2 })), end, spends(ours.script, 200), end, others, rows, end, end);
    const witness = schnorr.sign(new Uint8Array(32), new Uint8Array(32).fill(3));
    const [whole] = assembleAll([
      signedItem(text(row(Uint8Array.of(8), concatBytes(Uint8Array.of(1, 64), witness)))),
    ]);
    assert.deepEqual(whole!.missing, []);
    assert.ok(whole!.transaction!.includes(toHex(witness).slice(2)));
    assert.deepEqual(assembleAll([signedItem(text(new Uint8Array()))])[0]!.missing, ['input 1']);
  });

  it('names the transaction by what will be its id, whatever scripts the PSBT brings along', () => {
    const text = (rows: Uint8Array): Hex =>
      psbt(
        globals(unsigned({ inputs: 2 })),
        end,
        spends(ours.script, 200),
        end,
        spends(theirs.script, 50),
        rows,
        end,
        end,
      );
    const { txid } = decode(text(new Uint8Array())).facts as BitcoinPsbtFacts;
    const script = row(Uint8Array.of(7), Uint8Array.of(0x51));
    assert.equal((decode(text(script)).facts as BitcoinPsbtFacts).txid, txid);
  });

  it('tells a lock time as what it is: without effect where every input is final', () => {
    const text = (sequence: number): Hex =>
      psbt(globals(unsigned({ lockTime: 800_000, sequence })), end, spends(ours.script, 200), end, end);
    const linesOf = (sequence: number): readonly string[] =>
      decode(text(sequence)).summary.filter((line) => /lock time/i.test(line));
    assert.deepEqual(linesOf(0xfffffffe), ['Not valid before lock time 800000']);
    assert.deepEqual(linesOf(0xffffffff), ['Lock time 800000, without effect: valid at once']);
  });

  it('tells items apart that claim different amounts of one transaction', () => {
    const claims = (first: number, second: number): Hex =>
      psbt(
        globals(unsigned({ inputs: 2 })),
        end,
        spends(ours.script, first),
        end,
        spends(ours.script, second),
        end,
        end,
      );
    // The first item shows a small fee, and its signature is worth nothing; the others are the ones that spend.
    const items = [decode(claims(60, 60)), decode(claims(90_000_000, 60)), decode(claims(90_000_000, 60), 1)];
    const lines = summaryOf(items);
    const fees = lines.map((shown) => shown.filter((line) => line.startsWith('Fee')));
    assert.deepEqual(fees, [['Fee: 0.00000020 BTC'], ['Fee: 0.89999960 BTC'], []]);
    assert.match(lines[2]![0]!, /^Input 1 of the same transaction/);
  });

  it('parses a PSBT as often for a thousand inputs as for one', () => {
    const count = (inputs: number, ownAll: boolean): number => {
      const maps = Array.from({ length: inputs }, (_, index) =>
        concatBytes(spends(index === 0 || ownAll ? ours.script : new Uint8Array(), 1000), end),
      );
      const item = signedItem(psbt(globals(unsigned({ inputs })), end, ...maps, end));
      const original = Transaction.fromPSBT.bind(Transaction);
      let calls = 0;
      Transaction.fromPSBT = (...parameters: Parameters<typeof original>) => {
        calls += 1;
        return original(...parameters);
      };
      try {
        assert.equal(assembleAll([item])[0]!.missing!.length, inputs - 1);
      } finally {
        Transaction.fromPSBT = original;
      }
      return calls;
    };
    const one = count(1, true);
    assert.equal(count(1000, false), one);
    assert.equal(count(200, true), one);
  });

  it('can be put together when it can be decoded, with the same meaning, and is what Bitcoin takes', () => {
    const seed = seedFromEnvironment();
    const random = new Chance(seed);
    let accepted = 0;
    let whole = 0;
    for (let tries = 0; tries < 600; tries++) {
      const made = randomPsbt(random);
      const what = `seed ${seed}, try ${tries}: ${made}`;
      let decoded;
      try {
        decoded = decode(made);
      } catch (error) {
        assert.equal((error as Error).name, 'PayloadError', what);
        continue;
      }
      accepted += 1;
      const { psbt: signed, transaction } = assembleAll([signedItem(made)])[0]!;
      assert.deepEqual(decode(signed!).message, decoded.message, what);
      const facts = decoded.facts as BitcoinPsbtFacts;
      if (transaction === undefined || facts.inputs.length > 1) continue;
      whole += 1;
      const spent = facts.inputs.map(({ script, amount }) => ({
        script: fromHex(script),
        amount: BigInt(amount),
      }));
      assert.equal(rules.refusalOf(fromHex(transaction), spent), undefined, what);
    }
    assert.ok(accepted > 60 && whole > 10, `seed ${seed}: ${accepted} accepted, ${whole} whole`);
  });
});

/** A PSBT whose first input is the key's, with rows of every type and all kinds of content. */
function randomPsbt(random: Chance): Hex {
  const below = (limit: number): number => random.below(limit);
  const bytes = (count: number): Uint8Array => Uint8Array.from({ length: count }, () => below(256));
  const point = (): Uint8Array => secp256k1.Point.BASE.multiply(BigInt(1 + below(1e6))).toBytes();
  const pick = <Value>(values: readonly Value[]): Value => random.of(values);
  const anyRow = (types: readonly number[]): Uint8Array => {
    const key = pick([
      () => new Uint8Array(),
      point,
      () => point().slice(1),
      () => bytes(20),
      () => bytes(32),
      () => concatBytes(Uint8Array.of(3), bytes(3), Uint8Array.of(1), bytes(4)),
      () => concatBytes(point().slice(1), bytes(32)),
    ])();
    const value = pick([
      () => new Uint8Array(),
      () => bytes(64),
      () => bytes(65),
      () => uint32(below(2)),
      () => bytes(pick([4, 8, 22, 32, 33])),
      point,
      () => point().slice(1),
      () => concatBytes(Uint8Array.of(1, 64), bytes(64)),
      () => ours.publicKey,
      () => coin(theirs.script, 10_000),
    ])();
    return row(concatBytes(Uint8Array.of(pick(types)), key), value);
  };
  const inputs = 1 + below(3);
  const outputs = Array.from({ length: 1 + below(3) }, () => ({
    script: pick([theirs.script, ours.script, bytes(below(30))]),
    amount: BigInt(below(1000)),
  }));
  const sequence = pick([0xffffffff, 0xfffffffd, below(1000)]);
  const parts = [globals(unsigned({ inputs, outputs, sequence, lockTime: below(2) * below(1e9) })), end];
  const inputTypes = [2, 3, 4, 5, 6, 7, 8, 9, 10, 0x13, 0x14, 0x16, 0x17, 0x18, 0xfc, 0x60];
  for (let index = 0; index < inputs; index++) {
    const script = index === 0 ? ours.script : pick([ours.script, theirs.script, legacy.script]);
    parts.push(spends(script, 5000 + index));
    while (below(3) === 0) parts.push(anyRow(inputTypes));
    parts.push(end);
  }
  for (let index = 0; index < outputs.length; index++) {
    while (below(6) === 0) parts.push(anyRow([0, 1, 2, 5, 6, 7, 0xfc, 0x70]));
    parts.push(end);
  }
  return psbt(...parts);
}
