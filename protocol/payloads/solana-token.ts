// Instructions of the programs that move tokens, as far as the bytes tell their whole effect: of the classic SPL Token
// program `TransferChecked`, which names the mint; of the Associated Token Account program the two that make an account.
// The program with extensions (Token-2022) is not understood, whatever the instruction: what a transfer does there is up to
// the mint, which may take a fee of it or run a program. Nor is the classic `Transfer`: it does not say of what.
// Layouts: https://github.com/solana-program/token (interface/src/instruction.rs) and
// https://github.com/solana-program/associated-token-account (interface/src/instruction.rs).
import type { SolanaInstruction, TokenAccountCreation, TokenTransfer } from './facts.ts';
import { associatedTokenAccount } from './solana-address.ts';
import { systemProgram, token2022Program, tokenProgram } from './solana-program.ts';

/** u8 tag, u64 amount, u8 decimals. */
export const transferCheckedTag = 12;
export const transferCheckedBytes = 10;
export const createIdempotentTag = 1;
/** Bytes of a token account of the classic program, and what makes one exempt from rent, in lamports. */
const tokenAccountBytes = 165n;
/** Rent at the network's price: 3480 lamports a byte and year, for two years, of 128 bytes and the account's. */
export const tokenAccountRent = (128n + tokenAccountBytes) * 3480n * 2n;

/** Names by tag, so that people read more than numbers of what is not understood. */
const tokenInstructionNames = [
  'initializeMint',
  'initializeAccount',
  'initializeMultisig',
  'transfer',
  'approve',
  'revoke',
  'setAuthority',
  'mintTo',
  'burn',
  'closeAccount',
  'freezeAccount',
  'thawAccount',
  'transferChecked',
  'approveChecked',
  'mintToChecked',
  'burnChecked',
  'initializeAccount2',
  'syncNative',
  'initializeAccount3',
] as const;

/** What a program calls an instruction that is not understood; undefined where that is not known either. */
export function instructionName(program: string, data: Uint8Array): string | undefined {
  const name = tokenInstructionNames[data[0] ?? -1];
  if (name === undefined) return undefined;
  if (program === tokenProgram) return `SPL Token ${name}`;
  return program === token2022Program ? `Token-2022 ${name}` : undefined;
}

/**
 * A transfer that names its mint, in the form that one authority signs. The program itself refuses when the mint has other
 * decimals, or when the two accounts do not hold its tokens.
 */
export function readToken(accounts: readonly string[], data: Uint8Array): TokenTransfer | undefined {
  const [from, mint, to, authority] = accounts;
  if (data.length !== transferCheckedBytes || data[0] !== transferCheckedTag) return undefined;
  // More accounts than four are the signers of a shared authority (a multisig account of the program's own).
  if (accounts.length !== 4) return undefined;
  const amount = new DataView(data.buffer, data.byteOffset).getBigUint64(1, true).toString();
  return {
    name: 'token.transferChecked',
    mint: mint!,
    from: from!,
    to: to!,
    authority: authority!,
    amount,
    decimals: data[9]!,
  };
}

/** The making of an associated token account of the classic program: others cost more rent than the bytes tell. */
export function readAssociatedToken(
  accounts: readonly string[],
  data: Uint8Array,
): TokenAccountCreation | undefined {
  const [payer, account, wallet, mint, system, program] = accounts;
  if (data.length > 1 || (data[0] ?? 0) > createIdempotentTag) return undefined;
  if (accounts.length !== 6 || system !== systemProgram || program !== tokenProgram) return undefined;
  // The program refuses an account that is not the wallet's: then this is not what it seems.
  if (account !== associatedTokenAccount(wallet!, mint!)) return undefined;
  const name =
    data[0] === createIdempotentTag ? 'associatedToken.createIdempotent' : 'associatedToken.create';
  return { name, payer: payer!, account, wallet: wallet!, mint: mint! };
}

/** The instructions that make token accounts. */
function creationsOf(instructions: readonly SolanaInstruction[]) {
  return instructions.flatMap((entry) =>
    entry.name === 'associatedToken.create' || entry.name === 'associatedToken.createIdempotent'
      ? [entry]
      : [],
  );
}

/** Lamports that the payers of token accounts can lose: each account costs them its rent, when it is not there yet. */
export function accountRent(instructions: readonly SolanaInstruction[]): bigint {
  return BigInt(creationsOf(instructions).length) * tokenAccountRent;
}

/**
 * A function that tells whose associated token account a token account is, of the wallets that the transaction names: those
 * it makes accounts for, and its signers. Others are not tried: each try costs time.
 */
export function walletsOf(
  instructions: readonly SolanaInstruction[],
  signers: readonly string[],
): (account: string, mint: string) => string | undefined {
  // Those that are made were derived when they were read.
  const made = creationsOf(instructions);
  const owners = new Map(made.map(({ account, mint, wallet }) => [`${account} ${mint}`, wallet]));
  const mints = new Set<string>();
  return (account, mint) => {
    if (!mints.has(mint)) {
      mints.add(mint);
      for (const signer of signers) owners.set(`${associatedTokenAccount(signer, mint)} ${mint}`, signer);
    }
    return owners.get(`${account} ${mint}`);
  };
}
