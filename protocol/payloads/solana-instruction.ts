// Instructions of Solana programs whose whole effect is known here: of the System Program transfers and the advance of a
// nonce, the compute budget, memos, and what solana-token.ts knows of tokens. Every other instruction is handed on with its
// program, accounts and data, and without a name.
// Layouts: solana-system-interface and solana-compute-budget-interface (little-endian integers after a tag); a memo's data is
// its text (spl-memo).
import { fromHex, toHex } from '../hex.ts';
import type { SolanaInstruction, SystemInstruction } from './facts.ts';
import {
  associatedTokenProgram,
  computeBudgetProgram,
  memoProgram,
  recentBlockhashesSysvar,
  systemProgram,
  tokenProgram,
} from './solana-program.ts';
import { readAssociatedToken, readToken } from './solana-token.ts';

/** u32 tag of SystemInstruction::Transfer, followed by u64 lamports. */
export const systemTransferTag = 2;
export const systemTransferBytes = 12;
/** u32 tag of SystemInstruction::AdvanceNonceAccount, followed by nothing. */
export const advanceNonceTag = 4;
export const advanceNonceBytes = 4;

/** Name and bytes, tag included, by the u8 tag of ComputeBudgetInstruction. Tag 0 is retired. */
const computeBudgetLayouts = {
  1: { name: 'computeBudget.requestHeapFrame', length: 5 },
  2: { name: 'computeBudget.setComputeUnitLimit', length: 5 },
  3: { name: 'computeBudget.setComputeUnitPrice', length: 9 },
  4: { name: 'computeBudget.setLoadedAccountsDataSizeLimit', length: 5 },
} as const;

/** Programs that verify signatures natively: each signature they check costs as much as one of the transaction. */
const signatureCheckingPrograms: ReadonlySet<string> = new Set([
  'Ed25519SigVerify111111111111111111111111111',
  'KeccakSecp256k11111111111111111111111111111',
  'Secp256r1SigVerify1111111111111111111111111',
]);

const lamportsPerSignature = 5000n;
/** Compute units that one transaction can use. */
const maxComputeUnits = 1_400_000n;
const microLamports = 1_000_000n;

function readSystem(accounts: readonly string[], data: Uint8Array): SystemInstruction | undefined {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const tag = data.length < 4 ? undefined : view.getUint32(0, true);
  if (tag === systemTransferTag && data.length === systemTransferBytes) {
    const [from, to] = accounts;
    // More accounts than two are allowed: payment requests use them as markers, and the program ignores them.
    if (from === undefined || to === undefined) return undefined;
    return { name: 'system.transfer', from, to, lamports: view.getBigUint64(4, true).toString() };
  }
  if (tag === advanceNonceTag && data.length === advanceNonceBytes) {
    const [nonceAccount, sysvar, authority] = accounts;
    // The program takes any signer of the instruction for the authority: with one account in its place, there is no other but
    // the nonce account itself, if that signs.
    if (accounts.length !== 3 || sysvar !== recentBlockhashesSysvar) return undefined;
    return { name: 'system.advanceNonce', nonceAccount: nonceAccount!, authority: authority! };
  }
  return undefined;
}

function readComputeBudget(data: Uint8Array) {
  const layout = computeBudgetLayouts[data[0] as keyof typeof computeBudgetLayouts];
  if (layout === undefined || data.length !== layout.length) return undefined;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const value = layout.length === 9 ? view.getBigUint64(1, true) : BigInt(view.getUint32(1, true));
  return { name: layout.name, value: value.toString() };
}

/** The program refuses what is not UTF-8, and does nothing with what is. */
function readMemo(data: Uint8Array) {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data);
    return { name: 'memo' as const, text };
  } catch {
    return undefined;
  }
}

function meaningOf(program: string, accounts: readonly string[], data: Uint8Array) {
  switch (program) {
    case systemProgram:
      return readSystem(accounts, data);
    case computeBudgetProgram:
      return readComputeBudget(data);
    case tokenProgram:
      return readToken(accounts, data);
    case associatedTokenProgram:
      return readAssociatedToken(accounts, data);
    case memoProgram:
      return readMemo(data);
    default:
      return undefined;
  }
}

/** The instruction with its name and arguments when its whole effect is known. */
export function readInstruction(
  program: string,
  accounts: readonly string[],
  data: Uint8Array,
): SolanaInstruction {
  return { program, accounts, data: toHex(data), ...meaningOf(program, accounts, data) };
}

/**
 * The largest value that instructions of the compute budget with this tag set; the runtime refuses a transaction that has two
 * of one. It reads each up to where it ends (borsh's `try_from_slice_unchecked`): what follows makes an instruction one that
 * is not understood here, and its price is paid all the same.
 */
function largest(instructions: readonly SolanaInstruction[], tag: 2 | 3): bigint | undefined {
  const { length } = computeBudgetLayouts[tag];
  const values = instructions.flatMap(({ program, data }) => {
    if (program !== computeBudgetProgram) return [];
    const read = readComputeBudget(fromHex(data).subarray(0, length));
    return read?.name === computeBudgetLayouts[tag].name ? [BigInt(read.value)] : [];
  });
  return values.reduce<bigint | undefined>(
    (most, value) => (most === undefined || value > most ? value : most),
    undefined,
  );
}

/** Lamports the fee payer can lose in fees, at the network's price of 5000 lamports a signature. */
export function maximumFee(signatures: number, instructions: readonly SolanaInstruction[]): bigint {
  let checked = BigInt(signatures);
  for (const { program, data } of instructions) {
    // The first byte of their data counts the signatures.
    if (signatureCheckingPrograms.has(program))
      checked += BigInt(Number.parseInt(data.slice(2, 4) || '0', 16));
  }
  const price = largest(instructions, 3) ?? 0n;
  const limit = largest(instructions, 2) ?? maxComputeUnits;
  const units = limit < maxComputeUnits ? limit : maxComputeUnits;
  return checked * lamportsPerSignature + (price * units + microLamports - 1n) / microLamports;
}
