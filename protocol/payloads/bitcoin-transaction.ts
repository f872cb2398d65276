// A partially signed Bitcoin transaction (PSBT version 0, BIP174 with BIP371), read and held to what can be signed here.
import { Address, OutScript, Transaction } from '@scure/btc-signer';
import { sha256 } from '@noble/hashes/sha2.js';
import { type Hex, toHex } from '../hex.ts';
import { PayloadError } from './error.ts';

/** Most bytes of a PSBT: a standard transaction has at most 100,000 bytes without witnesses, and most have few hundred. */
export const maxPsbtBytes = 64 * 1024;
/** The supply of bitcoin, in satoshi: no amount is larger (consensus rule MAX_MONEY). */
const maxMoney = 21_000_000n * 100_000_000n;

/** One side of a coin, spent or made. */
export interface Coin {
  readonly script: Uint8Array;
  /** Satoshi. */
  readonly amount: bigint;
}

export interface SpentCoin extends Coin {
  /** Transaction id, as it is written: bytes reversed. */
  readonly txid: Hex;
  readonly index: number;
  readonly sequence: number;
  /** Type of the signature hash, when the PSBT asks for one. */
  readonly sighash?: number;
  /** Whether the PSBT has the whole transaction that made the coin: then its id proves the amount. */
  readonly proven: boolean;
  /** Whether the PSBT says that the coin pays to another script, by its hash. */
  readonly scripted: boolean;
  /** Whether the PSBT holds ECDSA signatures of this input. */
  readonly signed: boolean;
  /** BIP371, when given. */
  readonly merkleRoot?: Uint8Array;
  /** Whether the PSBT holds the script or witness that goes into the transaction (BIP174, finalized). */
  readonly final: boolean;
}

export interface BitcoinTransaction {
  readonly library: Transaction;
  readonly version: number;
  readonly lockTime: number;
  readonly inputs: readonly SpentCoin[];
  readonly outputs: readonly Coin[];
  /** Satoshi: what is spent and not paid to any output. */
  readonly fee: bigint;
  /** Id of the transaction, when every input spends a witness program and so has an empty script. */
  readonly txid?: Hex;
}

function refused(message: string, cause?: unknown): PayloadError {
  return new PayloadError('malformed_transaction', message, { cause });
}

/**
 * The bytes of a PSBT. The library holds it to its format, and its fields to each other: the transaction that an input
 * spends to its id and to the output given beside it, an internal key to the script of the coin. Throws PayloadError
 * `malformed_transaction`, `unsupported_version`.
 */
export function parsePsbt(bytes: Uint8Array): BitcoinTransaction {
  let library: Transaction;
  try {
    library = Transaction.fromPSBT(bytes, {
      allowUnknownInputs: true,
      allowUnknownOutputs: true,
      allowUnknownVersion: true,
      // What is not known here is given back to whoever made it.
      unknown: 'ignore',
    });
  } catch (cause) {
    throw refused(`not a PSBT: ${(cause as Error).message}`, cause);
  }
  if (library.opts.PSBTVersion !== 0)
    throw new PayloadError('unsupported_version', 'only PSBTs of version 0 are signed here: convert it');
  const inputs = Array.from({ length: library.inputsLength }, (_, index) => spentCoin(library, index));
  const outputs = Array.from({ length: library.outputsLength }, (_, index) => {
    const { script, amount } = library.getOutput(index);
    if (script === undefined || amount === undefined)
      throw refused(`output ${index} has no script or amount`);
    return { script, amount };
  });
  if (inputs.length === 0 || outputs.length === 0)
    throw refused('a transaction has at least one input and one output');
  if (new Set(inputs.map(({ txid, index }) => `${txid} ${index}`)).size !== inputs.length)
    throw refused('the transaction spends a coin twice');
  if ([...inputs, ...outputs].some(({ amount }) => amount > maxMoney))
    throw refused('an amount is larger than there are bitcoin');
  const sum = (coins: readonly Coin[]): bigint => coins.reduce((total, { amount }) => total + amount, 0n);
  const fee = sum(inputs) - sum(outputs);
  if (fee < 0n) throw refused(`the outputs pay ${-fee} satoshi more than the inputs bring`);
  const { version, lockTime } = library;
  const isFixed = inputs.every(({ script }) => isWitnessProgram(script));
  return { library, version, lockTime, inputs, outputs, fee, ...(isFixed && { txid: idOf(library) }) };
}

/** The transaction's id with empty scripts in its inputs, whatever the PSBT says they are to be. */
function idOf(library: Transaction): Hex {
  return toHex(sha256(sha256(library.unsignedTx)).reverse());
}

function spentCoin(library: Transaction, position: number): SpentCoin {
  const input = library.getInput(position);
  const { txid, index, sequence = 0xffffffff, witnessUtxo, nonWitnessUtxo, sighashType } = input;
  if (txid === undefined || index === undefined) throw refused(`input ${position} names no coin`);
  const coin = witnessUtxo ?? nonWitnessUtxo?.outputs[index];
  if (coin === undefined)
    throw refused(`input ${position} does not say what it spends: add the output it spends (witness UTXO)`);
  return {
    txid: toHex(txid),
    index,
    sequence,
    script: coin.script,
    amount: coin.amount,
    ...(sighashType !== undefined && { sighash: sighashType }),
    proven: nonWitnessUtxo !== undefined,
    scripted: input.redeemScript !== undefined || input.witnessScript !== undefined,
    signed: (input.partialSig?.length ?? 0) > 0,
    final: isFinal(input),
    ...(input.tapMerkleRoot && { merkleRoot: input.tapMerkleRoot }),
  };
}

/** Whether an input of a PSBT has the script or witness that goes into the transaction. */
export function isFinal(input: ReturnType<Transaction['getInput']>): boolean {
  return Boolean(input.finalScriptSig?.length ?? 0) || Boolean(input.finalScriptWitness?.length ?? 0);
}

/** BIP141: a version, then a push of 2 to 40 bytes that is all of the rest. */
function isWitnessProgram(script: Uint8Array): boolean {
  const [version = 1, length = 0] = script;
  const isVersion = version === 0 || (version >= 0x51 && version <= 0x60);
  return isVersion && script.length >= 4 && script.length <= 42 && length === script.length - 2;
}

/** The script of the output that pays to a Taproot output key (BIP341): OP_1 and the key. */
export function taprootScript(outputKey: Uint8Array): Uint8Array {
  return Uint8Array.of(0x51, 0x20, ...outputKey);
}

/** The script of the output that pays to the hash of a public key, 20 bytes (P2WPKH, BIP141): OP_0 and the hash. */
export function publicKeyHashScript(hash: Uint8Array): Uint8Array {
  return Uint8Array.of(0x00, 0x14, ...hash);
}

/** No script with an address is longer: a witness version and a program of 40 bytes (BIP141). */
const maxAddressedBytes = 42;
const addresses = new Map<string, string | undefined>();
const maxAddresses = 10_000;

/**
 * The address of a script, as Bitcoin's main network spells it; undefined for a script that has none. Remembered: to see
 * whether a Taproot output is on the curve takes a square root, and one request is decoded time and again.
 */
export function addressOfScript(script: Uint8Array): string | undefined {
  if (script.length > maxAddressedBytes) return undefined;
  const name = toHex(script);
  if (addresses.has(name)) return addresses.get(name);
  const address = encodeAddress(script);
  if (addresses.size >= maxAddresses) addresses.delete(addresses.keys().next().value!);
  addresses.set(name, address);
  return address;
}

function encodeAddress(script: Uint8Array): string | undefined {
  try {
    // Scripts of known forms that have no address are refused as well.
    return Address().encode(OutScript.decode(script) as Parameters<ReturnType<typeof Address>['encode']>[0]);
  } catch {
    return undefined;
  }
}

/** Whether an output can never be spent, and only carries data: its script begins with OP_RETURN. */
export function isData(script: Uint8Array): boolean {
  return script[0] === 0x6a;
}
