// What a sign request asks a key to sign. A payload stands inside the signed request record; nodes, policies and people
// decode it themselves, from those bytes, and no digest ever arrives from outside. Kind `digest` cannot be requested:
// it is what decoding calls a payload whose effect its bytes do not tell.
import * as z from 'zod';
import { base58 } from '@scure/base';
import type { Hex } from '../hex.ts';
import { type KeyType, keyTypes, verifySignature } from '../keys/key-type.ts';
import { PayloadError } from './error.ts';
import type { DecodedPayload } from './facts.ts';
import { assembleMessage, decodeMessage, messageSchema } from './message.ts';
import { assembleSolanaTransaction, decodeSolanaTransaction, solanaTransactionSchema } from './solana.ts';

export { PayloadError, type PayloadErrorCode } from './error.ts';
export type { DecodedPayload, PayloadFacts } from './facts.ts';

export const payloadSchema = z.discriminatedUnion('kind', [solanaTransactionSchema, messageSchema]);
export type Payload = z.infer<typeof payloadSchema>;

/** The key that is to sign. Its public key was checked when its certificate was. */
export interface PayloadKey {
  readonly keyType: KeyType;
  readonly publicKey: Uint8Array;
}

/** What a signature makes of a payload. */
export interface Assembled {
  readonly encoding: 'solana.transaction' | 'solana.offchain';
  /** `solana.transaction`: the wire transaction, with zeroes for signatures that are not there. */
  readonly transaction?: Hex;
  /** `solana.transaction`: addresses whose signatures are still missing; it can be sent when there are none. */
  readonly missing?: readonly string[];
  /** `solana.offchain`: signature count (1), signature, and the enveloped message that was signed. */
  readonly envelope?: Hex;
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

function checkKey({ keyType, publicKey }: PayloadKey, kind: Payload['kind']): void {
  // Every kind there is needs an ed25519 key; a key type added later must not pass for one.
  if (keyType !== 'ed25519') {
    throw new PayloadError('wrong_key', `a ${kind} payload needs an ed25519 key, this is ${String(keyType)}`);
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
    case 'message':
      return decodeMessage(checked, key.publicKey);
  }
}

/**
 * The payload with its signature, in the form its chain or verifiers take.
 *
 * @throws {PayloadError} as `decodePayload`, and `bad_signature` when it is not `key`'s signature of this payload
 */
export function assemble(payload: Payload, key: PayloadKey, signature: Uint8Array): Assembled {
  const { message } = decodePayload(payload, key);
  if (!verifySignature(key.keyType, key.publicKey, message, signature)) {
    throw new PayloadError(
      'bad_signature',
      `not a signature of this payload by the key ${base58.encode(key.publicKey)}: discard it`,
    );
  }
  switch (payload.kind) {
    case 'solana.transaction':
      return {
        encoding: 'solana.transaction',
        ...assembleSolanaTransaction(payload, key.publicKey, signature),
      };
    case 'message':
      return { encoding: 'solana.offchain', envelope: assembleMessage(payload, key.publicKey, signature) };
  }
}
