// How each type of key spends its coins on Bitcoin: the script it is paid to, what a signature of one input signs, and where
// the signature goes.
//
// A Taproot key signs by the key path (BIP341): the amounts and scripts of all coins that are spent are signed, so a PSBT
// that lies about them makes a signature of no use. An ECDSA key signs by BIP143 (P2WPKH): of what is spent only its own
// input's amount is signed. Whoever made the PSBT could name smaller amounts for others, and so a smaller fee than is paid;
// signatures made for two such PSBTs can even be put together into one transaction. So every input must bring the whole
// transaction that made its coin, whose hash is the id that is signed: then no amount can be false.
import { concatBytes } from '@noble/curves/utils.js';
import { p2pkh } from '@scure/btc-signer';
import { publicKeyHash } from '../keys/bitcoin-address.ts';
import { outputKeyOf, tapTweak } from '../keys/taproot.ts';
import {
  type BitcoinTransaction,
  publicKeyHashScript,
  type SpentCoin,
  taprootScript,
} from './bitcoin-transaction.ts';
import { PayloadError } from './error.ts';
import type { BitcoinPsbtFacts, PayloadKey } from './facts.ts';

const sighashDefault = 0;
export const sighashAll = 1;

/** Fields of a PSBT's input that hold a signature (BIP174, BIP371). */
type SignatureFields = Parameters<BitcoinTransaction['library']['updateInput']>[1];

export interface BitcoinSpender {
  /** Of the key's own outputs. */
  readonly script: Uint8Array;
  /** The key under which signatures are valid, and what the key is tweaked with for them. */
  readonly publicKey: Uint8Array;
  readonly tweak?: Uint8Array;
  /** Types of signature hash that an input may ask for; the first is meant by one that asks for none. */
  readonly sighashes: readonly number[];
  /** Throws PayloadError unless the input can be signed so that the facts are true. */
  check(input: number, transaction: BitcoinTransaction): void;
  /** 32 bytes. */
  digest(input: number, transaction: BitcoinTransaction, sighash: number): Uint8Array;
}

function taprootSpender(internalKey: Uint8Array): BitcoinSpender {
  const publicKey = outputKeyOf(internalKey);
  return {
    script: taprootScript(publicKey),
    publicKey,
    tweak: tapTweak(internalKey),
    sighashes: [sighashDefault, sighashAll],
    check(input, { inputs }) {
      if (inputs[input]?.merkleRoot !== undefined)
        throw new PayloadError('not_a_signer', `input ${input} says that its coin has a script tree`);
    },
    digest: (input, { library, inputs }, sighash) =>
      library.preimageWitnessV1(
        input,
        inputs.map(({ script }) => script),
        sighash,
        inputs.map(({ amount }) => amount),
      ),
  };
}

function checkProven(inputs: readonly SpentCoin[]): void {
  const unproven = inputs.findIndex(({ proven }) => !proven);
  if (unproven === -1) return;
  throw new PayloadError(
    'unproven_amount',
    `nothing proves the amount of input ${unproven}, and so the fee: add the whole transaction that it spends an output of ` +
      '(non-witness UTXO), for every input',
  );
}

function ecdsaSpender(publicKey: Uint8Array): BitcoinSpender {
  const hash = publicKeyHash(publicKey);
  // BIP143: the scriptCode of P2WPKH is the script of P2PKH.
  const { script: scriptCode } = p2pkh(publicKey);
  return {
    script: publicKeyHashScript(hash),
    publicKey,
    sighashes: [sighashAll],
    check(input, { inputs }) {
      if (inputs[input]?.scripted === true)
        throw new PayloadError('not_a_signer', `input ${input} says that its coin pays to another script`);
      if (inputs[input]?.signed === true)
        throw new PayloadError(
          'already_signed',
          `input ${input} has a signature already: give the PSBT without it`,
        );
      checkProven(inputs);
    },
    digest: (input, { library, inputs }, sighash) =>
      library.preimageWitnessV0(input, scriptCode, sighash, inputs[input]!.amount),
  };
}

/** How a key spends. Throws PayloadError `wrong_key` for a key that has no coins on Bitcoin. */
export function spenderOf({ keyType, publicKey }: PayloadKey): BitcoinSpender {
  if (keyType === 'taproot_secp256k1') return taprootSpender(publicKey);
  if (keyType === 'bitcoin_secp256k1') return ecdsaSpender(publicKey);
  throw new PayloadError(
    'wrong_key',
    `a PSBT needs a key of type taproot_secp256k1 or bitcoin_secp256k1, this is ${keyType}`,
  );
}

/** Where a signature of an input goes: `signature` as the key's type has it, without the type of its hash. */
export function signatureFields(
  { keyType, publicKey }: PayloadKey,
  signature: Uint8Array,
  sighash: BitcoinPsbtFacts['sighash'],
): SignatureFields {
  const typed = sighash === 'default' ? signature : concatBytes(signature, Uint8Array.of(sighashAll));
  if (keyType === 'taproot_secp256k1') return { tapKeySig: typed, tapInternalKey: publicKey };
  return { partialSig: [[publicKey, typed]] };
}
