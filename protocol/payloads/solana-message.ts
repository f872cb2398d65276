// The compiled message of a Solana transaction, legacy or version 0: decoded with @solana/kit, then held to what the
// runtime itself demands before it looks at any account (Message::sanitize), so that nothing is signed that only
// this decoder would understand.
// https://solana.com/docs/core/transactions
import {
  type CompiledTransactionMessage,
  type CompiledTransactionMessageWithLifetime,
  getCompiledTransactionMessageDecoder,
  getCompiledTransactionMessageEncoder,
} from '@solana/kit';
import { PayloadError } from './error.ts';
import type { SolanaAccount } from './facts.ts';

/** Bytes of the largest transaction the network carries: signature count, signatures and message. */
export const maxWireBytes = 1232;
export const solanaSignatureBytes = 64;
/** Accounts that one message can address, static and looked up, because an index is one byte. */
const maxAccounts = 256;
const versionFlag = 0x80;

export type SolanaMessage = Exclude<CompiledTransactionMessage, { version: 1 }> &
  CompiledTransactionMessageWithLifetime;

/** Addresses whose signatures the transaction needs, the fee payer first. */
export function requiredSigners(message: SolanaMessage): string[] {
  return message.staticAccounts.slice(0, message.header.numSignerAccounts);
}

/** Lookup tables of a version 0 message: accounts it uses are in them, not in the message. */
export function lookupsOf(message: SolanaMessage) {
  return message.version === 0 ? (message.addressTableLookups ?? []) : [];
}

/** Every account that stands in the message itself, in order, and what the transaction may do with it. */
export function accountsOf({ header, staticAccounts }: SolanaMessage): SolanaAccount[] {
  const { numSignerAccounts: signers, numReadonlySignerAccounts, numReadonlyNonSignerAccounts } = header;
  const writableSigners = signers - numReadonlySignerAccounts;
  const writableOthers = staticAccounts.length - numReadonlyNonSignerAccounts;
  return staticAccounts.map((address, index) => {
    const signer = index < signers;
    return { address, signer, writable: index < (signer ? writableSigners : writableOthers) };
  });
}

function decode(bytes: Uint8Array): SolanaMessage {
  const first = bytes[0];
  if (first === undefined)
    throw new PayloadError('malformed_transaction', 'the transaction message is empty');
  if ((first & versionFlag) !== 0 && first !== versionFlag) {
    throw new PayloadError(
      'unsupported_version',
      `transaction messages of version ${first & ~versionFlag} are not decoded: build a legacy or version 0 transaction`,
    );
  }
  let message: SolanaMessage;
  let encoded: Uint8Array;
  try {
    message = getCompiledTransactionMessageDecoder().decode(bytes) as SolanaMessage;
    encoded = new Uint8Array(getCompiledTransactionMessageEncoder().encode(message));
  } catch (cause) {
    throw new PayloadError('malformed_transaction', 'the bytes are not a Solana transaction message', {
      cause,
    });
  }
  if (encoded.length !== bytes.length || encoded.some((byte, index) => byte !== bytes[index])) {
    throw new PayloadError(
      'not_canonical',
      'the transaction message has trailing bytes or a length spelled too long',
    );
  }
  return message;
}

function refuse(what: string): never {
  throw new PayloadError('malformed_transaction', `the network would refuse this transaction: ${what}`);
}

function checkAccounts({ header, staticAccounts }: SolanaMessage): void {
  if (header.numSignerAccounts === 0) refuse('no account signs it');
  if (header.numReadonlySignerAccounts >= header.numSignerAccounts) refuse('its fee payer is not writable');
  if (header.numSignerAccounts + header.numReadonlyNonSignerAccounts > staticAccounts.length) {
    refuse('its header counts more accounts than it has');
  }
  if (new Set(staticAccounts).size !== staticAccounts.length) refuse('an account occurs twice');
}

function checkInstructions(message: SolanaMessage): void {
  let total = message.staticAccounts.length;
  for (const { writableIndexes, readonlyIndexes } of lookupsOf(message)) {
    if (writableIndexes.length + readonlyIndexes.length === 0) refuse('a lookup table is named but not used');
    total += writableIndexes.length + readonlyIndexes.length;
  }
  if (total > maxAccounts) refuse(`it uses ${total} accounts, at most ${maxAccounts} can be addressed`);
  message.instructions.forEach(({ programAddressIndex, accountIndices = [] }, index) => {
    if (programAddressIndex === 0) refuse(`instruction ${index + 1} runs the fee payer as a program`);
    if (programAddressIndex >= message.staticAccounts.length) {
      refuse(
        `instruction ${index + 1} names program ${programAddressIndex} of ${message.staticAccounts.length}`,
      );
    }
    const outside = accountIndices.find((account) => account >= total);
    if (outside !== undefined) refuse(`instruction ${index + 1} names account ${outside} of ${total}`);
  });
}

/**
 * The message in `bytes`, which are its only encoding.
 *
 * @throws {PayloadError} `unsupported_version`, `malformed_transaction`, `not_canonical`, or `too_large` when it could
 * not be sent with all its signatures
 */
export function parseSolanaMessage(bytes: Uint8Array): SolanaMessage {
  if (bytes.length > maxWireBytes) throw tooLarge(bytes.length);
  const message = decode(bytes);
  checkAccounts(message);
  checkInstructions(message);
  const wireLength = 1 + message.header.numSignerAccounts * solanaSignatureBytes + bytes.length;
  if (wireLength > maxWireBytes) throw tooLarge(wireLength);
  return message;
}

function tooLarge(length: number): PayloadError {
  return new PayloadError(
    'too_large',
    `the transaction has ${length} bytes, the network carries at most ${maxWireBytes}`,
  );
}
