// Payload kind `solana.transaction`: a compiled transaction message, legacy or version 0, that the key is to sign.
// The message is what Solana signs; signatures stand before it on the wire.
import { base58 } from '@scure/base';
import * as z from 'zod';
import { type Hex, fromHex, hexBytes, toHex } from '../hex.ts';
import { PayloadError } from './error.ts';
import type {
  DecodedPayload,
  DigestFacts,
  SolanaAccount,
  SolanaInstruction,
  SolanaTransactionFacts,
  Transfer,
} from './facts.ts';
import { maximumFee, readInstruction } from './solana-instruction.ts';
import {
  type SolanaMessage,
  lookupsOf,
  maxWireBytes,
  parseSolanaMessage,
  requiredSigners,
  solanaSignatureBytes,
} from './solana-message.ts';

/** At most 1232 bytes, and so that the transaction with all its signatures has at most 1232 bytes. */
export const solanaTransactionSchema = z.strictObject({
  kind: z.literal('solana.transaction'),
  message: hexBytes(1, maxWireBytes),
});
export type SolanaTransactionPayload = z.infer<typeof solanaTransactionSchema>;

/** Bytes of an instruction's data that a summary shows; the facts have them all. */
const summaryDataBytes = 64;
const lamportsPerSol = 1_000_000_000n;

function accountsOf({ header, staticAccounts }: SolanaMessage): SolanaAccount[] {
  const { numSignerAccounts: signers, numReadonlySignerAccounts, numReadonlyNonSignerAccounts } = header;
  const writableSigners = signers - numReadonlySignerAccounts;
  const writableOthers = staticAccounts.length - numReadonlyNonSignerAccounts;
  return staticAccounts.map((address, index) => {
    const signer = index < signers;
    return { address, signer, writable: index < (signer ? writableSigners : writableOthers) };
  });
}

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

function transfersOf(instructions: readonly SolanaInstruction[]): Transfer[] {
  return instructions.flatMap((entry) =>
    entry.name === 'system.transfer'
      ? [{ asset: 'SOL' as const, from: entry.from, to: entry.to, amount: entry.lamports }]
      : [],
  );
}

function factsOf(message: SolanaMessage): SolanaTransactionFacts {
  const signers = requiredSigners(message);
  const instructions = instructionsOf(message);
  return {
    kind: 'solana.transaction',
    chain: 'solana',
    version: message.version,
    feePayer: signers[0]!,
    requiredSigners: signers,
    recentBlockhash: message.lifetimeToken,
    accounts: accountsOf(message),
    programs: programsOf(message),
    instructions,
    transfers: transfersOf(instructions),
    maximumFee: maximumFee(signers.length, instructions).toString(),
    understood: instructions.every(({ name }) => name !== undefined),
  };
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
    programs: programsOf(message),
    lookupTables: lookupsOf(message).map(({ lookupTableAddress }) => lookupTableAddress),
  };
}

/** `1500000000` as `1.5 SOL (1500000000 lamports)`. */
function formatLamports(lamports: string): string {
  const amount = BigInt(lamports);
  const fraction = (amount % lamportsPerSol).toString().padStart(9, '0').replace(/0+$/, '');
  return `${amount / lamportsPerSol}${fraction && `.${fraction}`} SOL (${lamports} lamports)`;
}

function describeInstruction(entry: SolanaInstruction, label: (address: string) => string): string {
  if (entry.name === 'system.transfer') {
    return `transfer ${formatLamports(entry.lamports)} from ${label(entry.from)} to ${label(entry.to)}`;
  }
  if (entry.name !== undefined) return `${entry.name} ${entry.value}`;
  const length = (entry.data.length - 2) / 2;
  const shown = entry.data.slice(0, 2 + 2 * summaryDataBytes);
  const accounts = entry.accounts.map(label).join(', ') || 'none';
  const data = length > summaryDataBytes ? `${shown}... (${length} bytes)` : shown;
  return `NOT UNDERSTOOD: program ${entry.program}, accounts ${accounts}, data ${data}`;
}

function summarize(facts: SolanaTransactionFacts, own: string): string[] {
  const label = (address: string) => (address === own ? `${address} (this key)` : address);
  return [
    `Solana transaction, ${facts.version === 'legacy' ? 'legacy' : `version ${facts.version}`}`,
    ...facts.instructions.map((entry, index) => `${index + 1}. ${describeInstruction(entry, label)}`),
    ...(facts.understood
      ? []
      : ['Instructions that are not understood can move anything these signers control.']),
    `Fee payer: ${label(facts.feePayer)}, at most ${formatLamports(facts.maximumFee)}`,
    ...facts.requiredSigners
      .filter((address) => address !== own)
      .map((address) => `Also needs the signature of ${address}`),
    `Recent blockhash: ${facts.recentBlockhash}`,
  ];
}

function summarizeDigest(facts: DigestFacts, own: string): string[] {
  return [
    'Solana transaction, version 0, WITH ADDRESS LOOKUP TABLES: its recipients are not in the signed bytes',
    ...facts.programs.map((program) => `Runs program ${program}`),
    ...facts.lookupTables.map((table) => `Takes accounts from the lookup table ${table}`),
    `Fee payer: ${facts.feePayer}${facts.feePayer === own ? ' (this key)' : ''}`,
    ...facts.requiredSigners
      .filter((address) => address !== own)
      .map((address) => `Also needs the signature of ${address}`),
  ];
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
