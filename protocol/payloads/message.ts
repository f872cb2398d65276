// Payload kind `message`: text, never bytes that could be a transaction. A Taproot key signs the tagged hash of the text
// (BIP340) with a tag of this system's own, which is no tag of Bitcoin's. An ed25519 key signs it inside Solana's
// off-chain message envelope, version 0, whose first byte, 0xff, no transaction message can have:
//   "\xffsolana offchain" (16) | version 0 (1) | application domain (32) | format (1) | signer count 1 (1) |
//   public key (32) | length (u16, little endian) | text
// https://github.com/solana-foundation/SRFCs/discussions/3
import {
  type OffchainMessageApplicationDomain,
  type OffchainMessageV0,
  address,
  getOffchainMessageV0Encoder,
  offchainMessageContentRestrictedAsciiOf1232BytesMax,
  offchainMessageContentUtf8Of1232BytesMax,
} from '@solana/kit';
import { schnorr } from '@noble/curves/secp256k1.js';
import { base58 } from '@scure/base';
import * as z from 'zod';
import { type Hex, fromHex, hexBytes, toHex } from '../hex.ts';
import type { KeyType } from '../keys/key-type.ts';
import { PayloadError } from './error.ts';
import type { DecodedPayload, MessageFacts } from './facts.ts';
import { printableLines } from './printable-text.ts';

/** Bytes before the text, with one signer. */
const preambleBytes = 85;
/** Largest text in UTF-8 bytes: the whole envelope then has 1232 bytes, the most that hardware wallets also take. */
export const maxMessageBytes = 1232 - preambleBytes;

/** UTF-8 text of 1 to 1147 bytes. Bytes that are not UTF-8 cannot be signed: sign their hash, written as text. */
export const messageSchema = z.strictObject({
  kind: z.literal('message'),
  data: hexBytes(1, maxMessageBytes),
});
export type MessagePayload = z.infer<typeof messageSchema>;

/**
 * The application domain of every message: `countersign/v1/message` in ASCII, filled with zeroes to 32 bytes. It keeps
 * these messages apart from those that other applications ask the same key to sign.
 */
export const applicationDomain: string = base58.encode(
  Uint8Array.from({ length: 32 }, (_, index) => 'countersign/v1/message'.charCodeAt(index) || 0),
);

/** Tag of the hash that a Taproot key signs for a message (BIP340, "Tagged hashes"). */
export const messageTag = 'countersign/v1/message';

/** The text of message bytes. Throws PayloadError `not_text`. A byte order mark is kept: it is part of what is signed. */
function textOf(data: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data);
  } catch (cause) {
    throw new PayloadError(
      'not_text',
      'a message must be UTF-8 text: sign the hash of other bytes, written as text',
      {
        cause,
      },
    );
  }
}

/**
 * A message payload of UTF-8 bytes.
 *
 * @throws {PayloadError} `empty_message`, `too_large` (over 1147 bytes) or `not_text`
 */
export function messagePayload(data: Uint8Array): MessagePayload {
  if (data.length === 0) throw new PayloadError('empty_message', 'the message is empty');
  if (data.length > maxMessageBytes) {
    throw new PayloadError(
      'too_large',
      `the message has ${data.length} bytes, at most ${maxMessageBytes} fit: sign its hash, written as text`,
    );
  }
  textOf(data);
  return { kind: 'message', data: toHex(data) };
}

/** The envelope bytes a key signs for `text`. Printable ASCII on one line has format 0, all other text format 1. */
function envelopeOf(text: string, publicKey: Uint8Array): Uint8Array {
  const common = {
    version: 0 as const,
    applicationDomain: applicationDomain as OffchainMessageApplicationDomain,
    requiredSignatories: [{ address: address(base58.encode(publicKey)) }],
  };
  const message: OffchainMessageV0 = /^[\x20-\x7e]+$/.test(text)
    ? { ...common, content: offchainMessageContentRestrictedAsciiOf1232BytesMax(text) }
    : { ...common, content: offchainMessageContentUtf8Of1232BytesMax(text) };
  return new Uint8Array(getOffchainMessageV0Encoder().encode(message));
}

/** What a key of a type signs for a text; the types that are not here sign texts as payloads of kinds of their own. */
const forms: Readonly<
  Partial<
    Record<
      KeyType,
      {
        signed(text: string, publicKey: Uint8Array): Uint8Array;
        facts(text: string): MessageFacts;
        /** In words, after "signed as". */
        readonly name: string;
      }
    >
  >
> = {
  ed25519: {
    signed: envelopeOf,
    facts: (text) => ({ kind: 'message', envelope: 'solana.offchain', applicationDomain, text }),
    name: 'a Solana off-chain message',
  },
  taproot_secp256k1: {
    signed: (text) => schnorr.utils.taggedHash(messageTag, new TextEncoder().encode(text)),
    facts: (text) => ({ kind: 'message', envelope: 'bip340.tagged', tag: messageTag, text }),
    name: `a BIP340 hash with tag ${messageTag}`,
  },
};

/**
 * Facts and signed bytes (the envelope, or the hash) of a message for a key of this type.
 *
 * @throws {PayloadError} `not_text`, `wrong_key`
 */
export function decodeMessage(
  payload: MessagePayload,
  keyType: KeyType,
  publicKey: Uint8Array,
): DecodedPayload & { readonly facts: MessageFacts } {
  const data = fromHex(payload.data);
  const text = textOf(data);
  const form = forms[keyType];
  if (form === undefined)
    throw new PayloadError('wrong_key', `a key of type ${keyType} signs no message payload`);
  return {
    kind: 'message',
    message: form.signed(text, publicKey),
    publicKey,
    facts: form.facts(text),
    summary: [
      `Message of ${data.length} bytes, signed as ${form.name}: it is no transaction`,
      ...printableLines(text).map((line) => `> ${line}`),
    ],
  };
}

/**
 * The signed envelope of an ed25519 key: number of signatures (1), the 64-byte signature, and the bytes it signs. Throws as
 * `decodeMessage`.
 */
export function assembleMessage(payload: MessagePayload, publicKey: Uint8Array, signature: Uint8Array): Hex {
  const { message } = decodeMessage(payload, 'ed25519', publicKey);
  const signed = new Uint8Array(1 + signature.length + message.length);
  signed[0] = 1;
  signed.set(signature, 1);
  signed.set(message, 1 + signature.length);
  return toHex(signed);
}
