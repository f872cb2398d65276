// Payload kind `evm.transaction`: an unsigned transaction of Ethereum or a chain of its kind. What is signed is the
// Keccak-256 hash of exactly its bytes.
import { getAddress, getContractAddress, serializeTransaction } from 'viem/utils';
import { keccak_256 } from '@noble/hashes/sha3.js';
import * as z from 'zod';
import { fromHex, type Hex, hexBytes, toHex } from '../hex.ts';
import { evmAddressOf } from '../keys/evm-address.ts';
import { approvalOf, readCall, selectorOf } from './evm-call.ts';
import { summarizeTransaction } from './evm-summary.ts';
import { type EvmTransaction, maxEvmTransactionBytes, parseEvmTransaction } from './evm-transaction.ts';
import type { DecodedPayload, EvmCall, EvmTransactionFacts, Transfer } from './facts.ts';

/** `transaction`: the unsigned transaction as it is hashed, with its type and chain id. */
export const evmTransactionSchema = z.strictObject({
  kind: z.literal('evm.transaction'),
  transaction: hexBytes(1, maxEvmTransactionBytes),
});
export type EvmTransactionPayload = z.infer<typeof evmTransactionSchema>;

/** What the contract `asset` moves when it is a token. */
function tokensOf(call: EvmCall | undefined, from: Hex, asset: Hex): Transfer[] {
  switch (call?.name) {
    case 'erc20.transfer':
      return [{ asset, from, to: call.to, amount: call.amount }];
    case 'erc20.transferFrom':
      return [{ asset, from: call.from, to: call.to, amount: call.amount }];
    case 'erc20.approve':
    case undefined:
      return [];
  }
}

function factsOf(transaction: EvmTransaction, from: Hex): EvmTransactionFacts {
  const { type, chainId, nonce, maxFeePerGas, maxPriorityFeePerGas, gasLimit, value, data } = transaction;
  const to = transaction.to === undefined ? undefined : getAddress(transaction.to);
  const call = to === undefined ? undefined : readCall(data);
  const selector = to === undefined ? undefined : selectorOf(data);
  const target = to ?? getContractAddress({ from, nonce: BigInt(nonce) });
  return {
    kind: 'evm.transaction',
    chain: `eip155:${chainId}`,
    type,
    from,
    ...(to === undefined ? { creates: target } : { to }),
    value: String(value),
    nonce,
    gasLimit: String(gasLimit),
    maxFeePerGas: String(maxFeePerGas),
    ...(maxPriorityFeePerGas !== undefined && { maxPriorityFeePerGas: String(maxPriorityFeePerGas) }),
    maximumFee: String(gasLimit * maxFeePerGas),
    data,
    ...(selector !== undefined && { selector }),
    accessList: transaction.accessList.map(({ address, storageKeys }) => ({
      address: getAddress(address),
      storageKeys,
    })),
    ...(call !== undefined && { call }),
    transfers: [
      ...(value > 0n ? [{ asset: 'native' as const, from, to: target, amount: String(value) }] : []),
      ...tokensOf(call, from, target),
    ],
    approvals: call?.name === 'erc20.approve' ? [approvalOf(target, call.spender, call.amount)] : [],
    // None of the known functions takes value: a contract that gets some with one of them is no token.
    understood: to !== undefined && (data === '0x' || (call !== undefined && value === 0n)),
  };
}

/**
 * Facts and digest (32 bytes) of a transaction that the ECDSA key `publicKey` (33 bytes) is to sign.
 *
 * @throws {PayloadError} as `parseEvmTransaction`
 */
export function decodeEvmTransaction(payload: EvmTransactionPayload, publicKey: Uint8Array): DecodedPayload {
  const bytes = fromHex(payload.transaction);
  const facts = factsOf(parseEvmTransaction(bytes), evmAddressOf(publicKey));
  const summary = summarizeTransaction(facts);
  return { kind: 'evm.transaction', message: keccak_256(bytes), publicKey, facts, summary };
}

/** A signature as contracts and libraries take it apart and together: `v` is 27 or 28. */
export interface EvmSignature {
  readonly r: Hex;
  readonly s: Hex;
  readonly v: 27 | 28;
  /** r || s || v, 65 bytes. */
  readonly bytes: Hex;
}

const compactLength = 64;

/** The forms of a valid signature r || s || recovery id. */
export function evmSignatureOf(signature: Uint8Array): EvmSignature {
  const v = signature[compactLength] === 1 ? 28 : 27;
  const compact = signature.subarray(0, compactLength);
  const [r, s] = [toHex(compact.subarray(0, 32)), toHex(compact.subarray(32))];
  return { r, s, v, bytes: toHex(Uint8Array.of(...compact, v)) };
}

/**
 * The transaction with a valid signature (r || s || recovery id), as networks take it, and its hash, by which they name it.
 *
 * @throws {PayloadError} as `parseEvmTransaction`
 */
export function assembleEvmTransaction(
  payload: EvmTransactionPayload,
  signature: Uint8Array,
): { readonly transaction: Hex; readonly transactionHash: Hex } {
  const { library } = parseEvmTransaction(fromHex(payload.transaction));
  const { r, s, v } = evmSignatureOf(signature);
  const transaction = serializeTransaction(library, { r, s, v: BigInt(v) });
  return { transaction, transactionHash: toHex(keccak_256(fromHex(transaction))) };
}
