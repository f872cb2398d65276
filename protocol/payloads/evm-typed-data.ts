// Payload kind `evm.typedData`: typed data (EIP-712), of which an ECDSA key signs
// keccak256(0x1901 || hashStruct(domain) || hashStruct(message)).
import { getAddress, hashTypedData } from 'viem/utils';
import type { TypedDataDefinition } from 'viem';
import * as z from 'zod';
import { fromHex, type Hex } from '../hex.ts';
import { evmAddressOf } from '../keys/evm-address.ts';
import { approvalOf } from './evm-call.ts';
import { approvalLines, chainName } from './evm-summary.ts';
import type { DecodedPayload, EvmApproval, EvmTypedDataFacts, TypedValue } from './facts.ts';
import { printableQuoted } from './printable-text.ts';
import {
  arrayOf,
  checkTypedData,
  domainFields,
  domainType,
  domainTypeOf,
  integerOf,
  type TypedData,
  typedDataSchema,
} from './typed-data.ts';

export const evmTypedDataSchema = z.strictObject({
  kind: z.literal('evm.typedData'),
  typedData: typedDataSchema,
});
export type EvmTypedDataPayload = z.infer<typeof evmTypedDataSchema>;

/** The value as the library takes it: integers as such. */
function libraryValue(value: TypedValue, type: string, types: TypedData['types']): unknown {
  const array = arrayOf(type);
  if (array !== undefined)
    return (value as readonly TypedValue[]).map((item) => libraryValue(item, array.item, types));
  if (Object.hasOwn(types, type)) return libraryStruct(value as TypedData['message'], type, types);
  return integerOf(type) === undefined ? value : BigInt(value as string);
}

function libraryStruct(
  struct: TypedData['message'],
  name: string,
  types: TypedData['types'],
): Record<string, unknown> {
  return Object.fromEntries(
    types[name]!.map((field) => [field.name, libraryValue(struct[field.name]!, field.type, types)]),
  );
}

function libraryForm({ types, primaryType, domain, message }: TypedData) {
  const all = { ...types, [domainType]: domainTypeOf(domain) };
  return {
    types: all,
    primaryType,
    domain: libraryStruct(domain, domainType, all),
    message: libraryStruct(message, primaryType, all),
  } as unknown as TypedDataDefinition;
}

/**
 * keccak256(0x1901 || hashStruct(domain) || hashStruct(message)), 32 bytes: what is signed of typed data. Typed data of
 * foreign origin must have passed `checkTypedData`.
 */
export function typedDataDigest(data: TypedData): Uint8Array {
  return fromHex(hashTypedData(libraryForm(data)));
}

/** All types as they are hashed: the primary one first, those it uses after it in the order of their names. */
export function encodedType({ types, primaryType }: TypedData): string {
  const others = Object.keys(types).filter((name) => name !== primaryType);
  return [primaryType, ...others.toSorted()]
    .map((name) => `${name}(${types[name]!.map((field) => `${field.type} ${field.name}`).join(',')})`)
    .join('');
}

/** Leave to move tokens by signature (ERC-2612, "Specification"). */
const permitType = 'Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)';

function approvalsOf(data: TypedData): EvmApproval[] {
  const { verifyingContract } = data.domain;
  if (verifyingContract === undefined || encodedType(data) !== permitType) return [];
  const { spender, value } = data.message;
  return [approvalOf(getAddress(verifyingContract as Hex), getAddress(spender as Hex), value as string)];
}

/** The chain that the domain names, where a number names it exactly. */
function chainOf({ chainId }: TypedData['domain']): `eip155:${number}` | undefined {
  const id = Number(chainId ?? 0);
  return Number.isSafeInteger(id) && id > 0 ? `eip155:${id}` : undefined;
}

const largest = String(2n ** 256n - 1n);

/** Every value on a line of its own, with the path to it: `to[0].wallet: 0x...`. */
function valueLines(value: TypedValue, type: string, types: TypedData['types'], path: string): string[] {
  const array = arrayOf(type);
  if (array !== undefined) {
    const items = value as readonly TypedValue[];
    if (items.length === 0) return [`  ${path}: none`];
    return items.flatMap((item, index) => valueLines(item, array.item, types, `${path}[${index}]`));
  }
  if (Object.hasOwn(types, type)) {
    const struct = value as TypedData['message'];
    const prefix = path === '' ? '' : `${path}.`;
    return types[type]!.flatMap((field) =>
      valueLines(struct[field.name]!, field.type, types, prefix + field.name),
    );
  }
  if (type === 'string') return [`  ${path}: ${printableQuoted(value as string)}`];
  if (type === 'address') return [`  ${path}: ${getAddress(value as Hex)}`];
  return [
    `  ${path}: ${value as string | boolean}${value === largest ? ' (the largest number: without limit)' : ''}`,
  ];
}

function summarize(data: TypedData, facts: EvmTypedDataFacts): string[] {
  const { types, primaryType, domain, message } = data;
  const { chain } = facts;
  const domainTypes = { [domainType]: domainTypeOf(domain) };
  const absent = domainFields.filter(
    ({ name }) => (name === 'chainId' || name === 'verifyingContract') && !Object.hasOwn(domain, name),
  );
  return [
    `Typed data (EIP-712) of type ${primaryType}: it is no transaction, but a contract may take it as an order, to move tokens or to trade`,
    ...facts.approvals.flatMap(approvalLines),
    `For the domain${chain === undefined ? '' : `, on ${chainName(chain)}`}:`,
    ...valueLines(domain, domainType, domainTypes, ''),
    ...absent.map(
      ({ name }) =>
        `  NO ${name}: it is valid for every ${name === 'chainId' ? 'chain' : 'contract'} that takes such data`,
    ),
    `${primaryType}:`,
    ...valueLines(message, primaryType, types, ''),
    `Its types: ${facts.encodedType}`,
  ];
}

/**
 * Facts and digest (32 bytes) of typed data for the ECDSA key `publicKey` (33 bytes).
 *
 * @throws {PayloadError} as `checkTypedData`
 */
export function decodeEvmTypedData(payload: EvmTypedDataPayload, publicKey: Uint8Array): DecodedPayload {
  const data = checkTypedData(payload.typedData);
  const chain = chainOf(data.domain);
  const facts: EvmTypedDataFacts = {
    kind: 'evm.typedData',
    signer: evmAddressOf(publicKey),
    ...(chain !== undefined && { chain }),
    domain: data.domain,
    primaryType: data.primaryType,
    encodedType: encodedType(data),
    message: data.message,
    approvals: approvalsOf(data),
  };
  const digest = typedDataDigest(data);
  return { kind: 'evm.typedData', message: digest, publicKey, facts, summary: summarize(data, facts) };
}
