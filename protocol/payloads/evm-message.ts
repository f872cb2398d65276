// Payload kind `evm.message`: bytes, most often text, signed as wallets sign them (personal_sign, EIP-191 version 0x45):
// the Keccak-256 hash of "\x19Ethereum Signed Message:\n", their length in decimal, and themselves. No transaction begins
// with 0x19, whatever follows: a legacy one begins with 0xc0 or more, the others with their type, 1 to 4. Nor does typed
// data, which goes on with 0x01.
import { hashMessage } from 'viem/utils';
import * as z from 'zod';
import { fromHex, hexBytes } from '../hex.ts';
import { evmAddressOf } from '../keys/evm-address.ts';
import { PayloadError } from './error.ts';
import type { DecodedPayload } from './facts.ts';
import { printableLines } from './printable-text.ts';

/** Most bytes of a message: what a person can still read. */
export const maxEvmMessageBytes = 16 * 1024;
/** Bytes of a hash. */
const hashBytes = 32;

/** 1 to 16,384 bytes. */
export const evmMessageSchema = z.strictObject({
  kind: z.literal('evm.message'),
  data: hexBytes(1, maxEvmMessageBytes),
});
export type EvmMessagePayload = z.infer<typeof evmMessageSchema>;

/**
 * A message payload of these bytes.
 *
 * @throws {PayloadError} `empty_message`, `too_large`
 */
export function checkEvmMessage(data: Uint8Array): void {
  if (data.length === 0) throw new PayloadError('empty_message', 'the message is empty');
  if (data.length > maxEvmMessageBytes)
    throw new PayloadError(
      'too_large',
      `the message has ${data.length} bytes, at most ${maxEvmMessageBytes} fit: sign its hash, written as text`,
    );
}

/** The text that bytes are in UTF-8; undefined when they are none. A byte order mark is kept. */
export function textOf(data: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data);
  } catch {
    return undefined;
  }
}

/** Facts and digest (32 bytes) of a message for the ECDSA key `publicKey` (33 bytes). */
export function decodeEvmMessage({ data }: EvmMessagePayload, publicKey: Uint8Array): DecodedPayload {
  const bytes = fromHex(data);
  const text = textOf(bytes);
  return {
    kind: 'evm.message',
    message: hashMessage({ raw: data }, 'bytes'),
    publicKey,
    facts: {
      kind: 'evm.message',
      signer: evmAddressOf(publicKey),
      data,
      ...(text !== undefined && { text }),
    },
    summary: [
      `Message of ${bytes.length} bytes, signed as wallets sign them (EIP-191): it is no transaction`,
      ...(text === undefined
        ? ['NOT TEXT: its bytes are', `> ${data}`]
        : printableLines(text).map((line) => `> ${line}`)),
      ...(bytes.length === hashBytes
        ? [
            'It is as long as a hash: smart accounts take a signed hash as the order to do what it is the hash of.',
          ]
        : []),
    ],
  };
}
