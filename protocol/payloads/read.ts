// Reads payloads from a file a person made: the JSON form of a payload or of typed data, an unsigned EVM transaction in hex,
// base64 of a Solana transaction, a PSBT, or a text.
import { base64 } from '@scure/base';
import { equalBytes } from '@noble/curves/utils.js';
import { fromHex, type Hex, toHex } from '../hex.ts';
import { inputsOfKey } from './bitcoin-psbt.ts';
import { maxPsbtBytes, parsePsbt } from './bitcoin-transaction.ts';
import { PayloadError } from './error.ts';
import { checkEvmMessage } from './evm-message.ts';
import { parseEvmTransaction } from './evm-transaction.ts';
import { hasFieldTwice } from './json-fields.ts';
import { messagePayload } from './message.ts';
import { type Payload, type PayloadKey, parsePayload } from './payload.ts';
import { parseSolanaMessage, requiredSigners, solanaSignatureBytes } from './solana-message.ts';
import { checkTypedData } from './typed-data.ts';
import { looksLikeTypedData, normalTypedData } from './typed-data-file.ts';

/** Largest file that can hold any payload, in bytes: a PSBT in hex, in JSON. */
export const maxPayloadFileBytes = 2 * maxPsbtBytes + 1024;
/** BIP174. */
const psbtMagic = Uint8Array.of(0x70, 0x73, 0x62, 0x74, 0xff);

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes).trim();
  } catch (cause) {
    throw new PayloadError(
      'unreadable',
      'the file is not text: give the payload as JSON, or the transaction as base64',
      { cause },
    );
  }
}

function readJson(text: string): Payload {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new PayloadError(
      'unreadable',
      `the file begins like JSON but is not: ${(cause as Error).message}`,
      { cause },
    );
  }
  if (hasFieldTwice(text))
    throw new PayloadError('unreadable', 'a field occurs twice in the file: leave the one that is meant');
  if (looksLikeTypedData(value))
    return checked(parsePayload({ kind: 'evm.typedData', typedData: normalTypedData(value) }));
  return checked(parsePayload(value));
}

/** The payload, once what can be checked without knowing the key was. */
function checked(payload: Payload): Payload {
  switch (payload.kind) {
    case 'message':
      return messagePayload(fromHex(payload.data));
    case 'bitcoin.psbt':
      parsePsbt(fromHex(payload.psbt));
      return payload;
    case 'evm.transaction':
      parseEvmTransaction(fromHex(payload.transaction));
      return payload;
    case 'evm.message':
      checkEvmMessage(fromHex(payload.data));
      return payload;
    case 'evm.typedData':
      checkTypedData(payload.typedData);
      return payload;
    case 'solana.transaction':
      parseSolanaMessage(fromHex(payload.message));
      return payload;
  }
}

/** The message of a wire transaction, or undefined when the bytes are not one. Throws `already_signed`. */
function messageOfWire(bytes: Uint8Array): Uint8Array | undefined {
  const count = bytes[0] ?? 0;
  const start = 1 + count * solanaSignatureBytes;
  const message = bytes.subarray(start);
  try {
    if (count === 0 || requiredSigners(parseSolanaMessage(message)).length !== count) return undefined;
  } catch {
    return undefined;
  }
  if (bytes.subarray(1, start).some((byte) => byte !== 0)) {
    throw new PayloadError(
      'already_signed',
      'the transaction carries signatures, and only its message is signed here: give it unsigned, and let the others ' +
        'sign afterwards',
    );
  }
  return message;
}

function readSolana(text: string): Payload {
  let bytes: Uint8Array;
  try {
    bytes = base64.decode(text.replace(/\s+/g, ''));
  } catch (cause) {
    throw new PayloadError(
      'unreadable',
      'the file is neither JSON, hex nor base64: give a payload or typed data as JSON, an unsigned EVM transaction as ' +
        '0x-hex, a Solana transaction as base64, a Bitcoin PSBT as bytes, base64 or hex, or say that the file is a message',
      { cause },
    );
  }
  const message = messageOfWire(bytes) ?? bytes;
  try {
    parseSolanaMessage(message);
  } catch (cause) {
    const { code, message: reason } = cause as PayloadError;
    if (code !== 'malformed_transaction' && code !== 'not_canonical') throw cause;
    throw new PayloadError(
      'unreadable',
      `the file is base64, but neither a Solana wire transaction nor a transaction message (${reason})`,
      { cause },
    );
  }
  return { kind: 'solana.transaction', message: toHex(message) };
}

/** An unsigned EVM transaction in 0x-hex; undefined when the text is something else. */
function readEvm(text: string): Payload | undefined {
  const digits = text.replace(/\s+/g, '');
  if (!/^0x([0-9a-f]{2})*$/i.test(digits)) return undefined;
  const bytes = fromHex(digits.toLowerCase());
  parseEvmTransaction(bytes);
  return { kind: 'evm.transaction', transaction: toHex(bytes) };
}

/**
 * The payload in a file. Without a hint, or with one of a transaction: the JSON form of a payload or of typed data
 * (EIP-712), an unsigned EVM transaction in 0x-hex, or base64 of an unsigned Solana wire transaction or of its message.
 * With the hint `message` or `evm.message`: the file's bytes are exactly what is signed, with the line feed many editors
 * put at its end.
 *
 * @throws {PayloadError} `unreadable`, `already_signed`, `too_large`, or what is wrong with the payload
 */
export function parsePayloadFile(bytes: Uint8Array, hint?: Payload['kind']): Payload {
  if (hint === 'message') return messagePayload(bytes);
  if (hint === 'evm.message') {
    checkEvmMessage(bytes);
    return { kind: 'evm.message', data: toHex(bytes) };
  }
  checkLength(bytes);
  const text = textOf(bytes);
  if (text === '') throw new PayloadError('unreadable', 'the file is empty');
  const payload = text.startsWith('{') ? readJson(text) : (readEvm(text) ?? readSolana(text));
  if (hint !== undefined && payload.kind !== hint) {
    throw new PayloadError('unreadable', `the file holds a ${payload.kind} payload, expected ${hint}`);
  }
  return payload;
}

function checkLength(bytes: Uint8Array): void {
  if (bytes.length > maxPayloadFileBytes) {
    throw new PayloadError(
      'too_large',
      `the file has ${bytes.length} bytes, no payload needs more than ${maxPayloadFileBytes}`,
    );
  }
}

/** The PSBT in a file, as it is, as base64 or in hex; undefined when it holds something else. */
function psbtOfFile(file: Uint8Array): Hex | undefined {
  const isPsbt = (bytes: Uint8Array): boolean => equalBytes(bytes.subarray(0, psbtMagic.length), psbtMagic);
  if (isPsbt(file)) return toHex(file);
  const text = new TextDecoder().decode(file).replace(/\s+/g, '');
  if (/^70736274ff([0-9a-f]{2})*$/i.test(text)) return `0x${text.toLowerCase()}`;
  try {
    const bytes = base64.decode(text);
    return isPsbt(bytes) ? toHex(bytes) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * What `key` is to sign of a file: one payload, see `parsePayloadFile`, or of a PSBT, as bytes, base64 or hex, one for each
 * of its inputs that spends a coin of the key.
 *
 * @throws {PayloadError} as `parsePayloadFile`; `not_a_signer` when no input is the key's
 */
export function parsePayloadsFile(bytes: Uint8Array, key: PayloadKey, hint?: Payload['kind']): Payload[] {
  checkLength(bytes);
  const psbt = hint === undefined || hint === 'bitcoin.psbt' ? psbtOfFile(bytes) : undefined;
  if (psbt === undefined) return [parsePayloadFile(bytes, hint)];
  const inputs = inputsOfKey(psbt, key);
  if (inputs.length === 0)
    throw new PayloadError('not_a_signer', 'no input of the PSBT spends a coin of this key');
  return inputs.map((input) => ({ kind: 'bitcoin.psbt', psbt, input }));
}
