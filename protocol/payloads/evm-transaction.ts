// An unsigned transaction of Ethereum and the chains of its kind, read from the bytes whose Keccak-256 hash is signed:
//   legacy    rlp([nonce, gasPrice, gasLimit, to, value, data, chainId, 0, 0])                               EIP-155
//   EIP-2930  0x01 || rlp([chainId, nonce, gasPrice, gasLimit, to, value, data, accessList])
//   EIP-1559  0x02 || rlp([chainId, nonce, maxPriorityFeePerGas, maxFeePerGas, gasLimit, to, value, data, accessList])
// What is read is written again by the library and must be the same bytes: so there is nothing in them that was not read.
import { fromRlp, isHex, parseTransaction, serializeTransaction } from 'viem/utils';
import type { TransactionSerializable } from 'viem';
import { type Hex, toHex } from '../hex.ts';
import { PayloadError } from './error.ts';

/** Most bytes of an unsigned transaction. The largest code of a new contract has 49,152 (EIP-3860). */
export const maxEvmTransactionBytes = 64 * 1024;

export type EvmTransactionType = 'legacy' | 'eip2930' | 'eip1559';

export interface EvmAccess {
  readonly address: Hex;
  readonly storageKeys: readonly Hex[];
}

export interface EvmTransaction {
  readonly type: EvmTransactionType;
  /** 1..2^53-1. */
  readonly chainId: number;
  readonly nonce: number;
  /** Wei for a unit of gas, at most: `gasPrice`, or `maxFeePerGas` of EIP-1559. */
  readonly maxFeePerGas: bigint;
  /** EIP-1559 only. */
  readonly maxPriorityFeePerGas?: bigint;
  readonly gasLimit: bigint;
  /** Absent when the transaction creates a contract. */
  readonly to?: Hex;
  /** Wei. */
  readonly value: bigint;
  readonly data: Hex;
  readonly accessList: readonly EvmAccess[];
  /** As the library has it: what a signature is added to. */
  readonly library: TransactionSerializable;
}

/** Fields before the signature, place of the chain id among them, and the library's name, by the first byte. */
const forms: Readonly<Record<number, { type: EvmTransactionType; fields: number; chainId: number }>> = {
  1: { type: 'eip2930', fields: 8, chainId: 0 },
  2: { type: 'eip1559', fields: 9, chainId: 0 },
};
const legacyForm = { type: 'legacy', fields: 9, chainId: 6 } as const;
/** A legacy transaction before EIP-155: without chain id. */
const unprotectedFields = 6;
const signatureFields = 3;
const addressBytes = 20;
const storageKeyBytes = 32;
/** RLP: the first byte of a list is this or more. EIP-2718: types of transactions are below 0x80. */
const listStart = 0xc0;
const typeEnd = 0x80;

const maxWord = 2n ** 256n - 1n;
const maxGas = 2n ** 64n - 1n;
/** EIP-2681. */
const maxNonce = 2n ** 64n - 2n;

function malformed(message: string, cause?: unknown): PayloadError {
  return new PayloadError('malformed_transaction', message, { cause });
}

function formOf(bytes: Uint8Array): { type: EvmTransactionType; fields: number; chainId: number } {
  const first = bytes[0];
  if (first === undefined) throw malformed('the transaction is empty');
  if (first >= listStart) return legacyForm;
  const form = forms[first];
  if (form !== undefined) return form;
  if (first >= typeEnd)
    throw malformed('the bytes are not a transaction: they are neither a list nor of a type');
  throw new PayloadError(
    'unsupported_version',
    `transactions of type ${first} are not decoded: build one of type 2 (EIP-1559), type 1 or a legacy one`,
  );
}

/** The list of fields in the bytes, after their type. Lengths are held to what is there before anything is allocated. */
function fieldsOf(bytes: Uint8Array, type: EvmTransactionType): readonly unknown[] {
  let decoded: unknown;
  try {
    decoded = fromRlp(type === 'legacy' ? bytes : bytes.subarray(1), 'hex');
  } catch (cause) {
    const { name, shortMessage } = cause as { name: string; shortMessage?: string };
    const isSpelling = name === 'RlpNonCanonicalError' || name === 'RlpTrailingBytesError';
    const message = `the bytes are not a transaction: ${shortMessage ?? 'they end too early'}`;
    throw new PayloadError(isSpelling ? 'not_canonical' : 'malformed_transaction', message, { cause });
  }
  if (!Array.isArray(decoded)) throw malformed('the transaction is not a list of fields');
  return decoded as readonly unknown[];
}

/** Throws unless there are as many fields as an unsigned transaction has. */
function checkFields(fields: readonly unknown[], form: ReturnType<typeof formOf>): void {
  const isLegacy = form.type === 'legacy';
  if (isLegacy && fields.length === unprotectedFields)
    throw new PayloadError(
      'unsupported_chain',
      'the transaction names no chain, so it would be valid on every one: build it with a chain id (EIP-155)',
    );
  const isSigned = isLegacy
    ? fields.length === form.fields && fields.slice(-2).some((field) => field !== '0x')
    : fields.length === form.fields + signatureFields;
  if (isSigned)
    throw new PayloadError('already_signed', 'the transaction is signed already: give it unsigned');
  if (fields.length !== form.fields)
    throw malformed(`the transaction has ${fields.length} fields, one of its type has ${form.fields}`);
}

function isBytes(field: unknown, length: number): boolean {
  return isHex(field) && field.length === 2 + 2 * length;
}

/** EIP-2930: pairs of an address and a list of storage keys, of 20 and 32 bytes. */
function isAccessList(field: unknown): boolean {
  return (
    Array.isArray(field) &&
    field.every(
      (entry: unknown) =>
        Array.isArray(entry) &&
        entry.length === 2 &&
        isBytes(entry[0], addressBytes) &&
        Array.isArray(entry[1]) &&
        entry[1].every((key) => isBytes(key, storageKeyBytes)),
    )
  );
}

/** The library would take a list where bytes belong for what it is not, and write the same list again. */
function checkShape(fields: readonly unknown[], { type }: ReturnType<typeof formOf>): void {
  const wrong = fields.findIndex((field, index) =>
    type !== 'legacy' && index === fields.length - 1 ? !isAccessList(field) : !isHex(field),
  );
  if (wrong !== -1) throw malformed(`field ${wrong + 1} of the transaction has another form than it has to`);
}

/** Before anything makes a number of it: larger ones would be rounded to another chain's. */
function checkChainId(field: unknown): void {
  const chainId = field === '0x' ? 0n : BigInt(field as Hex);
  if (chainId < 1n || chainId > BigInt(Number.MAX_SAFE_INTEGER))
    throw new PayloadError(
      'unsupported_chain',
      `chain id ${chainId} is not 1 to ${Number.MAX_SAFE_INTEGER}: build the transaction for the chain it is meant for`,
    );
}

function checkRanges({ nonce, maxFeePerGas, gasLimit, value, to, data }: EvmTransaction): void {
  if (BigInt(nonce) > maxNonce || !Number.isSafeInteger(nonce))
    throw malformed(`nonce ${nonce} is too large`);
  if (gasLimit > maxGas) throw malformed(`gas limit ${gasLimit} is larger than 2^64 - 1`);
  if (gasLimit === 0n) throw malformed('the gas limit is 0: no chain would take it');
  if (gasLimit * maxFeePerGas + value > maxWord)
    throw malformed('value and fee are larger than 2^256 - 1 wei');
  if (to === undefined && data === '0x')
    throw malformed('the transaction has neither recipient nor code: what it sends would be lost');
}

/**
 * The transaction in `bytes`, which are its only encoding.
 *
 * @throws {PayloadError} `too_large`, `unsupported_version`, `unsupported_chain`, `already_signed`,
 * `malformed_transaction`, `not_canonical`
 */
export function parseEvmTransaction(bytes: Uint8Array): EvmTransaction {
  if (bytes.length > maxEvmTransactionBytes)
    throw new PayloadError(
      'too_large',
      `the transaction has ${bytes.length} bytes, at most ${maxEvmTransactionBytes} are signed here`,
    );
  const form = formOf(bytes);
  const fields = fieldsOf(bytes, form.type);
  checkFields(fields, form);
  checkShape(fields, form);
  checkChainId(fields[form.chainId]);
  const serialized = toHex(bytes);
  let library: TransactionSerializable;
  let encoded: Hex;
  try {
    library = parseTransaction(
      serialized as Parameters<typeof parseTransaction>[0],
    ) as TransactionSerializable;
    encoded = serializeTransaction(library);
  } catch (cause) {
    const { shortMessage } = cause as { shortMessage?: string };
    throw malformed(
      `the network would refuse this transaction: ${shortMessage ?? 'a field is of another form'}`,
      cause,
    );
  }
  if (encoded !== serialized)
    throw new PayloadError(
      'not_canonical',
      'a field of the transaction is spelled otherwise than it has to be',
    );
  const transaction = transactionOf(library, form.type);
  checkRanges(transaction);
  return transaction;
}

function transactionOf(library: TransactionSerializable, type: EvmTransactionType): EvmTransaction {
  const { chainId = 0, nonce = 0, gas = 0n, to, value = 0n, data = '0x' } = library;
  const { gasPrice = 0n, maxFeePerGas = 0n, maxPriorityFeePerGas = 0n, accessList = [] } = library;
  return {
    type,
    chainId,
    nonce,
    gasLimit: gas,
    ...(typeof to === 'string' && { to }),
    value,
    data,
    accessList,
    library,
    ...(type === 'eip1559' ? { maxFeePerGas, maxPriorityFeePerGas } : { maxFeePerGas: gasPrice }),
  };
}
