// What a sign request asks a key to sign. A payload stands inside the signed request record; nodes, policies and people
// decode it themselves, from those bytes, and no digest ever arrives from outside. Kind `digest` cannot be requested:
// it is what decoding calls a payload whose effect its bytes do not tell.
import * as z from 'zod';
import { type Hex, toHex } from '../hex.ts';
import { type KeyType, keyTypes, verifySignature } from '../keys/key-type.ts';
import { assembleBitcoinPsbt, bitcoinPsbtSchema, decodeBitcoinPsbt } from './bitcoin-psbt.ts';
import { PayloadError } from './error.ts';
import {
  assembleEvmTransaction,
  decodeEvmTransaction,
  type EvmSignature,
  evmSignatureOf,
  evmTransactionSchema,
} from './evm.ts';
import { decodeEvmMessage, evmMessageSchema } from './evm-message.ts';
import { decodeEvmTypedData, evmTypedDataSchema } from './evm-typed-data.ts';
import type { DecodedPayload, PayloadKey } from './facts.ts';
import { assembleMessage, decodeMessage, type MessagePayload, messageSchema } from './message.ts';
import { assembleSolanaTransaction, decodeSolanaTransaction, solanaTransactionSchema } from './solana.ts';

export { PayloadError, type PayloadErrorCode } from './error.ts';
export type { DecodedPayload, PayloadFacts, PayloadKey } from './facts.ts';

export const payloadSchema = z.discriminatedUnion('kind', [
  solanaTransactionSchema,
  bitcoinPsbtSchema,
  evmTransactionSchema,
  messageSchema,
  evmMessageSchema,
  evmTypedDataSchema,
]);
export type Payload = z.infer<typeof payloadSchema>;

/** What a signature makes of a payload. */
export interface Assembled {
  readonly encoding:
    | 'solana.transaction'
    | 'solana.offchain'
    | 'bitcoin.psbt'
    | 'bip340.tagged'
    | 'evm.transaction'
    | 'eip191'
    | 'eip712';
  /**
   * `solana.transaction`: the wire transaction, with zeroes for signatures that are not there. `bitcoin.psbt`: the
   * transaction, once every input is signed. `evm.transaction`: the signed transaction.
   */
  readonly transaction?: Hex;
  /** `evm.transaction`: by which the network names it. */
  readonly transactionHash?: Hex;
  /** `eip191`, `eip712`: the signature as contracts and libraries take it. */
  readonly evmSignature?: EvmSignature;
  /** `bitcoin.psbt`: the PSBT with the signatures that are there. */
  readonly psbt?: Hex;
  /** Whose signatures are still missing, as addresses or inputs: the transaction can be sent when there are none. */
  readonly missing?: readonly string[];
  /** `solana.offchain`: signature count (1), signature, and the enveloped message that was signed. */
  readonly envelope?: Hex;
  /** `bip340.tagged`: the text, of whose tagged hash this is the BIP340 signature. */
  readonly text?: string;
}

/**
 * A payload of unknown origin, held to the schema.
 *
 * @throws {PayloadError} `invalid_payload`
 */
export function parsePayload(value: unknown): Payload {
  const parsed = payloadSchema.safeParse(value);
  if (!parsed.success)
    throw new PayloadError('invalid_payload', `not a payload: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

/** The types of keys that can sign each kind; a key type added later signs nothing by chance. */
const signedBy: Readonly<Record<Payload['kind'], readonly KeyType[]>> = {
  'solana.transaction': ['ed25519'],
  'bitcoin.psbt': ['taproot_secp256k1', 'bitcoin_secp256k1'],
  'evm.transaction': ['ecdsa_secp256k1'],
  message: ['ed25519', 'taproot_secp256k1'],
  'evm.message': ['ecdsa_secp256k1'],
  'evm.typedData': ['ecdsa_secp256k1'],
};

function checkKey({ keyType, publicKey }: PayloadKey, kind: Payload['kind']): void {
  if (!signedBy[kind].includes(keyType)) {
    const wanted = signedBy[kind].join(' or ');
    throw new PayloadError(
      'wrong_key',
      `a ${kind} payload needs a key of type ${wanted}, this is ${keyType}`,
    );
  }
  const { publicKeyLength } = keyTypes[keyType];
  if (publicKey.length !== publicKeyLength) {
    throw new PayloadError(
      'wrong_key',
      `the public key has ${publicKey.length} bytes, expected ${publicKeyLength}`,
    );
  }
}

/**
 * The exact bytes `key` signs for this payload, and what they mean.
 *
 * @throws {PayloadError} when the payload is malformed, or is not for this key
 */
export function decodePayload(payload: Payload, key: PayloadKey): DecodedPayload {
  const checked = parsePayload(payload);
  checkKey(key, checked.kind);
  switch (checked.kind) {
    case 'solana.transaction':
      return decodeSolanaTransaction(checked, key.publicKey);
    case 'bitcoin.psbt':
      return decodeBitcoinPsbt(checked, key);
    case 'evm.transaction':
      return decodeEvmTransaction(checked, key.publicKey);
    case 'evm.message':
      return decodeEvmMessage(checked, key.publicKey);
    case 'evm.typedData':
      return decodeEvmTypedData(checked, key.publicKey);
    case 'message':
      return decodeMessage(checked, key.keyType, key.publicKey);
  }
}

/** A payload, the key that signed it, and its signature. */
export interface SignedPayload {
  readonly payload: Payload;
  readonly key: PayloadKey;
  readonly signature: Uint8Array;
  /** What `decodePayload` made of this payload and key, where that was done before. */
  readonly decoded?: DecodedPayload;
}

/**
 * The payloads of a request with their signatures, each in the form its chain or verifiers take. Inputs of one PSBT are
 * put together: each of them has the same result.
 *
 * @throws {PayloadError} as `decodePayload`, and `bad_signature` when one is not its key's signature of its payload
 */
export function assembleAll(items: readonly SignedPayload[]): readonly Assembled[] {
  const proven = items.map((item) => ({ ...item, decoded: proveSigned(item) }));
  const psbts = new Map<Hex, Assembled>();
  return proven.map(({ payload, key, signature }) => {
    switch (payload.kind) {
      case 'solana.transaction':
        return {
          encoding: 'solana.transaction',
          ...assembleSolanaTransaction(payload, key.publicKey, signature),
        };
      case 'bitcoin.psbt': {
        const made = psbts.get(payload.psbt) ?? assemblePsbt(payload.psbt, proven);
        psbts.set(payload.psbt, made);
        return made;
      }
      case 'evm.transaction':
        return { encoding: 'evm.transaction', ...assembleEvmTransaction(payload, signature) };
      case 'evm.message':
        return { encoding: 'eip191', evmSignature: evmSignatureOf(signature) };
      case 'evm.typedData':
        return { encoding: 'eip712', evmSignature: evmSignatureOf(signature) };
      case 'message':
        return assembleText(payload, key, signature);
    }
  });
}

function proveSigned({ payload, key, signature, decoded }: SignedPayload): DecodedPayload {
  const proven = decoded ?? decodePayload(payload, key);
  if (verifySignature(key.keyType, proven.publicKey, proven.message, signature)) return proven;
  throw new PayloadError(
    'bad_signature',
    `not a signature of this payload by the key ${toHex(key.publicKey)}: discard it`,
  );
}

/** As `assembleAll`, of a payload that is signed alone. */
export function assemble(payload: Payload, key: PayloadKey, signature: Uint8Array): Assembled {
  return assembleAll([{ payload, key, signature }])[0]!;
}

function assemblePsbt(psbt: Hex, items: readonly Required<SignedPayload>[]): Assembled {
  const signed = items.flatMap(({ payload, key, signature, decoded: { facts } }) =>
    payload.kind === 'bitcoin.psbt' && payload.psbt === psbt && facts.kind === 'bitcoin.psbt'
      ? [{ input: payload.input, key, signature, sighash: facts.sighash }]
      : [],
  );
  return { encoding: 'bitcoin.psbt', ...assembleBitcoinPsbt(psbt, signed) };
}

function assembleText(payload: MessagePayload, key: PayloadKey, signature: Uint8Array): Assembled {
  if (key.keyType === 'ed25519')
    return { encoding: 'solana.offchain', envelope: assembleMessage(payload, key.publicKey, signature) };
  const { facts } = decodeMessage(payload, key.keyType, key.publicKey);
  return { encoding: 'bip340.tagged', text: facts.text };
}
