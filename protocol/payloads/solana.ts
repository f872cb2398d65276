// Payload kind `solana.transaction`: a compiled transaction message, legacy or version 0, that the key is to sign.
// The message is what Solana signs; signatures stand before it on the wire.
import { base58 } from '@scure/base';
import * as z from 'zod';
import { type Hex, fromHex, hexBytes, toHex } from '../hex.ts';
import { PayloadError } from './error.ts';
import type {
  DecodedPayload,
  DigestFacts,
  SolanaInstruction,
  SolanaTransactionFacts,
  SplTransfer,
  Transfer,
} from './facts.ts';
import { maximumFee, readInstruction } from './solana-instruction.ts';
import { lifetimeOf } from './solana-lifetime.ts';
import {
  type SolanaMessage,
  accountsOf,
  lookupsOf,
  maxWireBytes,
  parseSolanaMessage,
  requiredSigners,
  solanaSignatureBytes,
} from './solana-message.ts';
import { tokenProgram } from './solana-program.ts';
import { summarize, summarizeDigest } from './solana-summary.ts';
import { accountRent, walletsOf } from './solana-token.ts';

/** At most 1232 bytes, and so that the transaction with all its signatures has at most 1232 bytes. */
export const solanaTransactionSchema = z.strictObject({
  kind: z.literal('solana.transaction'),
  message: hexBytes(1, maxWireBytes),
});
export type SolanaTransactionPayload = z.infer<typeof solanaTransactionSchema>;

function programsOf(message: SolanaMessage): string[] {
  return [
    ...new Set(
      message.instructions.map(({ programAddressIndex }) => message.staticAccounts[programAddressIndex]!),
    ),
  ];
}

function instructionsOf({ staticAccounts, instructions }: SolanaMessage): SolanaInstruction[] {
  return instructions.map(({ programAddressIndex, accountIndices = [], data }) =>
    readInstruction(
      staticAccounts[programAddressIndex]!,
      accountIndices.map((index) => staticAccounts[index]!),
      new Uint8Array(data ?? []),
    ),
  );
}

function transfersOf(
  instructions: readonly SolanaInstruction[],
  signers: readonly string[],
): (Transfer | SplTransfer)[] {
  const walletOf = walletsOf(instructions, signers);
  return instructions.flatMap((entry): (Transfer | SplTransfer)[] => {
    if (entry.name === 'system.transfer')
      return [{ asset: 'SOL', from: entry.from, to: entry.to, amount: entry.lamports }];
    if (entry.name !== 'token.transferChecked') return [];
    const { mint, from, to, amount, authority, decimals } = entry;
    const toOwner = walletOf(to, mint);
    return [
      {
        asset: mint,
        from,
        to,
        amount,
        authority,
        decimals,
        tokenProgram,
        ...(toOwner !== undefined && { toOwner }),
      },
    ];
  });
}

function factsOf(message: SolanaMessage): SolanaTransactionFacts {
  const signers = requiredSigners(message);
  const instructions = instructionsOf(message);
  const rent = accountRent(instructions);
  return {
    kind: 'solana.transaction',
    chain: 'solana',
    version: message.version,
    feePayer: signers[0]!,
    requiredSigners: signers,
    lifetime: lifetimeOf(message),
    accounts: accountsOf(message),
    programs: programsOf(message),
    instructions,
    transfers: transfersOf(instructions, signers),
    maximumFee: (maximumFee(signers.length, instructions) + rent).toString(),
    accountRent: rent.toString(),
    understood: instructions.every(({ name }) => name !== undefined),
  };
}

/**
 * What the bytes of a message say, whichever of its signers is asked for.
 *
 * @throws {PayloadError} as `parseSolanaMessage`
 */
export function solanaFacts(bytes: Uint8Array): SolanaTransactionFacts | DigestFacts {
  const message = parseSolanaMessage(bytes);
  return lookupsOf(message).length > 0 ? digestFactsOf(message, bytes) : factsOf(message);
}

function digestFactsOf(message: SolanaMessage, bytes: Uint8Array): DigestFacts {
  const signers = requiredSigners(message);
  return {
    kind: 'digest',
    chain: 'solana',
    reason: 'address_lookup_tables',
    message: toHex(bytes),
    feePayer: signers[0]!,
    requiredSigners: signers,
    lifetime: lifetimeOf(message),
    programs: programsOf(message),
    lookupTables: lookupsOf(message).map(({ lookupTableAddress }) => lookupTableAddress),
  };
}

/** The message of a payload, which `publicKey` (32 bytes) must be asked to sign. */
function messageFor(payload: SolanaTransactionPayload, publicKey: Uint8Array) {
  const bytes = fromHex(payload.message);
  const message = parseSolanaMessage(bytes);
  const own = base58.encode(publicKey);
  const signers = requiredSigners(message);
  if (!signers.includes(own)) {
    throw new PayloadError(
      'not_a_signer',
      `the key ${own} is not a signer of this transaction, which asks for ${signers.join(', ')}: build it for this key`,
    );
  }
  return { bytes, message, own, signers };
}

/**
 * Facts and signed bytes of a transaction for the key `publicKey` (32 bytes). A transaction that takes accounts from
 * lookup tables is a `digest`.
 *
 * @throws {PayloadError} when it is not a canonical transaction message that the network could accept and the key signs
 */
export function decodeSolanaTransaction(
  payload: SolanaTransactionPayload,
  publicKey: Uint8Array,
): DecodedPayload {
  const { bytes, message, own } = messageFor(payload, publicKey);
  if (lookupsOf(message).length > 0) {
    const facts = digestFactsOf(message, bytes);
    return { kind: 'digest', message: bytes, publicKey, facts, summary: summarizeDigest(facts, own) };
  }
  const facts = factsOf(message);
  return { kind: 'solana.transaction', message: bytes, publicKey, facts, summary: summarize(facts, own) };
}

/**
 * The wire transaction with this key's 64-byte signature. Other signers' places hold zeroes, and their addresses are
 * in `missing`, in the order the transaction asks for them.
 *
 * @throws {PayloadError} as `decodeSolanaTransaction`
 */
export function assembleSolanaTransaction(
  payload: SolanaTransactionPayload,
  publicKey: Uint8Array,
  signature: Uint8Array,
): { transaction: Hex; missing: string[] } {
  const { bytes, own, signers } = messageFor(payload, publicKey);
  // At most 19 signatures fit the size limit, so their count is always one byte.
  const wire = new Uint8Array(1 + signers.length * solanaSignatureBytes + bytes.length);
  wire[0] = signers.length;
  wire.set(signature, 1 + signers.indexOf(own) * solanaSignatureBytes);
  wire.set(bytes, 1 + signers.length * solanaSignatureBytes);
  return { transaction: toHex(wire), missing: signers.filter((address) => address !== own) };
}
