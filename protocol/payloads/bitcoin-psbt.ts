// Payload kind `bitcoin.psbt`: one input of a PSBT that a key is to sign: a Taproot key by the key path (BIP341), an ECDSA
// key as P2WPKH (BIP143). A transaction that spends several coins of a keyring's keys is several items of one request, with
// the same PSBT in each: they are signed together or not at all, as every item of a request is.
//
// A signature here always signs the whole transaction: every input and every output (SIGHASH_DEFAULT, or SIGHASH_ALL which
// signs the same). The amounts of what is spent are signed too, or proven (bitcoin-key.ts). So facts that are false make a
// signature that is of no use. It does not sign which of Bitcoin's networks is meant: the same key has the same coins'
// scripts on all of them, and facts and policies name the main network always.
import type { Transaction } from '@scure/btc-signer';
import { equalBytes } from '@noble/curves/utils.js';
import * as z from 'zod';
import { fromHex, type Hex, hexBytes, toHex } from '../hex.ts';
import { type BitcoinSpender, sighashAll, signatureFields, spenderOf } from './bitcoin-key.ts';
import {
  addressOfScript,
  type BitcoinTransaction,
  type Coin,
  isData,
  isFinal,
  maxPsbtBytes,
  parsePsbt,
} from './bitcoin-transaction.ts';
import { PayloadError } from './error.ts';
import type { BitcoinOutput, BitcoinPsbtFacts, DecodedPayload, PayloadKey } from './facts.ts';

/** `input`: position of the input that the item's key signs, from 0. */
export const bitcoinPsbtSchema = z.strictObject({
  kind: z.literal('bitcoin.psbt'),
  psbt: hexBytes(1, maxPsbtBytes),
  input: z.int().min(0).max(9999),
});
export type BitcoinPsbtPayload = z.infer<typeof bitcoinPsbtSchema>;

const satoshiPerBitcoin = 100_000_000n;

interface Spend {
  readonly transaction: BitcoinTransaction;
  readonly spender: BitcoinSpender;
  readonly sighash: number;
}

function isOwn(own: Uint8Array, { script }: Coin): boolean {
  return equalBytes(script, own);
}

/** The input, once it is proven to be one that this key spends, with a signature of everything. */
function openSpend({ psbt, input }: BitcoinPsbtPayload, key: PayloadKey): Spend {
  const transaction = parsePsbt(fromHex(psbt));
  const spender = spenderOf(key);
  const spent = transaction.inputs[input];
  if (spent === undefined)
    throw new PayloadError(
      'not_a_signer',
      `the transaction has ${transaction.inputs.length} inputs, there is no input ${input}`,
    );
  if (!isOwn(spender.script, spent))
    throw new PayloadError(
      'not_a_signer',
      `input ${input} spends a coin of another script than this key's: a key signs only for what is paid to its own address`,
    );
  if (spent.final)
    throw new PayloadError(
      'already_signed',
      `input ${input} is final already, and what it holds would be lost: give the PSBT before it was finalized`,
    );
  const { sighash = spender.sighashes[0]! } = spent;
  if (!spender.sighashes.includes(sighash))
    throw new PayloadError(
      'unsupported_sighash',
      `input ${input} asks for signature hash type ${sighash}: only whole transactions are signed (${spender.sighashes.join(' or ')})`,
    );
  spender.check(input, transaction);
  return { transaction, spender, sighash };
}

function outputOf(own: Uint8Array, coin: Coin): BitcoinOutput {
  const address = addressOfScript(coin.script);
  return {
    amount: String(coin.amount),
    script: toHex(coin.script),
    ...(address !== undefined && { address }),
    own: isOwn(own, coin),
  };
}

function factsOf({ transaction, spender, sighash }: Spend, input: number): BitcoinPsbtFacts {
  const { script: own } = spender;
  const { version, lockTime, inputs, outputs, fee, txid } = transaction;
  const from = addressOfScript(own)!;
  const sum = (coins: readonly Coin[]): bigint =>
    coins.reduce((total, coin) => (isOwn(own, coin) ? total + coin.amount : total), 0n);
  return {
    kind: 'bitcoin.psbt',
    chain: 'bitcoin',
    input,
    version,
    lockTime,
    ...(txid !== undefined && { txid }),
    sighash: sighash === sighashAll ? 'all' : 'default',
    inputs: inputs.map((coin) => ({
      txid: coin.txid,
      index: coin.index,
      sequence: coin.sequence,
      ...outputOf(own, coin),
    })),
    outputs: outputs.map((coin) => outputOf(own, coin)),
    fee: String(fee),
    net: String(sum(inputs) - sum(outputs)),
    transfers: outputs
      .filter((coin) => !isOwn(own, coin))
      .map((coin) => {
        const address = addressOfScript(coin.script);
        return {
          asset: 'BTC' as const,
          from,
          to: address ?? toHex(coin.script),
          amount: String(coin.amount),
        };
      }),
    understood: outputs.every(({ script }) => addressOfScript(script) !== undefined || isData(script)),
  };
}

/** Satoshi as bitcoin, for people: `0.00012345 BTC`. */
export function formatBitcoin(satoshi: bigint): string {
  const fraction = String(satoshi % satoshiPerBitcoin).padStart(8, '0');
  return `${satoshi / satoshiPerBitcoin}.${fraction} BTC`;
}

function placeOf({ address, script, amount }: BitcoinOutput): string {
  if (address !== undefined) return address;
  const data = fromHex(script);
  if (isData(data)) return Number(amount) === 0 ? `data ${script}` : `data ${script}, where they are lost`;
  return `script ${script}, which is not known here`;
}

/** A lock time is without effect when every input is final (consensus rule IsFinalTx). */
function lockTimeLines({ lockTime, inputs }: BitcoinPsbtFacts): string[] {
  if (lockTime === 0) return [];
  const isInForce = inputs.some(({ sequence }) => sequence !== 0xffffffff);
  return [
    isInForce
      ? `Not valid before lock time ${lockTime}`
      : `Lock time ${lockTime}, without effect: valid at once`,
  ];
}

function summarize(facts: BitcoinPsbtFacts): string[] {
  const { inputs, outputs, input, fee } = facts;
  const spent = inputs[input]!;
  const own = inputs.filter((coin) => coin.own).length;
  const foreign = inputs.length - own;
  const foreignNote = foreign === 0 ? '' : ` and ${foreign} of others`;
  return [
    `Bitcoin transaction that spends ${own} coin${own === 1 ? '' : 's'} of this key${foreignNote}; this item signs input ${input}`,
    `Input ${input}: ${formatBitcoin(BigInt(spent.amount))} of ${spent.txid.slice(2)}:${spent.index}`,
    ...outputs.map(
      (output) =>
        `${output.own ? 'Back to this key' : 'Pays'} ${formatBitcoin(BigInt(output.amount))} ${output.own ? 'at' : 'to'} ${placeOf(output)}`,
    ),
    `Fee: ${formatBitcoin(BigInt(fee))}`,
    ...lockTimeLines(facts),
    'Addresses are those of the main network; the signature is valid on test networks alike',
  ];
}

/**
 * Facts and signature hash (32 bytes; BIP341 or BIP143) of one input for a key.
 *
 * @throws {PayloadError} when it is no PSBT that could be valid, or the input is not one that the key spends
 */
export function decodeBitcoinPsbt(payload: BitcoinPsbtPayload, key: PayloadKey): DecodedPayload {
  const spend = openSpend(payload, key);
  const { transaction, spender, sighash } = spend;
  const facts = factsOf(spend, payload.input);
  return {
    kind: 'bitcoin.psbt',
    message: spender.digest(payload.input, transaction, sighash),
    publicKey: spender.publicKey,
    ...(spender.tweak && { tweak: spender.tweak }),
    facts,
    summary: summarize(facts),
  };
}

/** Positions of the inputs that a key spends. Throws PayloadError as `parsePsbt`, and `wrong_key`. */
export function inputsOfKey(psbt: Hex, key: PayloadKey): number[] {
  const { script } = spenderOf(key);
  return parsePsbt(fromHex(psbt)).inputs.flatMap((coin, index) => (isOwn(script, coin) ? [index] : []));
}

/** The valid signature of one input, as the key's type encodes it. */
export interface SignedInput {
  readonly input: number;
  readonly key: PayloadKey;
  readonly signature: Uint8Array;
  /** As its facts have it. */
  readonly sighash: BitcoinPsbtFacts['sighash'];
}

/**
 * The PSBT with the signatures of some of its inputs; with something to satisfy every input there, also the transaction for
 * the network. What the PSBT brought along for other inputs is taken as it is: the network checks it.
 *
 * @throws {PayloadError} as `parsePsbt`
 */
export function assembleBitcoinPsbt(
  unsigned: Hex,
  signed: readonly SignedInput[],
): {
  readonly psbt: Hex;
  readonly transaction?: Hex;
  readonly missing: readonly string[];
} {
  const { library } = parsePsbt(fromHex(unsigned));
  for (const { input, key, signature, sighash } of signed)
    library.updateInput(input, signatureFields(key, signature, sighash), true);
  const psbt = toHex(library.toPSBT());
  // From here on the library's copy is used up: a copy for each input would cost the square of their number.
  const missing = Array.from({ length: library.inputsLength }, (_, index) => index).filter(
    (index) => !finalize(library, index),
  );
  if (missing.length > 0) return { psbt, missing: missing.map((index) => `input ${index}`) };
  return { psbt, transaction: toHex(library.extract()), missing: [] };
}

/** Makes an input final. Returns whether it is: not without what its script needs. */
function finalize(library: Transaction, index: number): boolean {
  const input = library.getInput(index);
  if (isFinal(input)) return true;
  if (!input.tapKeySig && !input.tapScriptSig && !input.partialSig) return false;
  try {
    library.finalizeIdx(index);
    return true;
  } catch {
    return false;
  }
}
