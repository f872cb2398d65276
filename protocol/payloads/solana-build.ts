// Puts instructions together into a legacy transaction message, in the order of accounts that Solana demands.
// https://solana.com/docs/core/transactions
import { type Blockhash, address, getCompiledTransactionMessageEncoder } from '@solana/kit';
import { bytesOfAddress } from './solana-address.ts';
import { advanceNonceBytes, advanceNonceTag } from './solana-instruction.ts';
import { parseSolanaMessage } from './solana-message.ts';
import { recentBlockhashesSysvar, systemProgram } from './solana-program.ts';

/** An account that an instruction is handed. */
export interface AccountUse {
  readonly address: string;
  readonly signer?: boolean;
  readonly writable?: boolean;
}

export interface BuiltInstruction {
  readonly program: string;
  readonly accounts: readonly AccountUse[];
  readonly data: Uint8Array;
}

/** A nonce account, base58 as all addresses; `value` is the nonce it holds, base58 of 32 bytes. */
export interface DurableNonce {
  readonly account: string;
  readonly authority: string;
  readonly value: string;
}

/** How long a transaction is good: for about a minute after a block, or until a nonce account is advanced. */
export type BuildLifetime =
  | { readonly recentBlockhash: string; readonly nonce?: never }
  | { readonly nonce: DurableNonce; readonly recentBlockhash?: never };

/** It advances the nonce first: only then does the network take its value in the place of a blockhash. */
function advanceNonce({ account, authority }: DurableNonce): BuiltInstruction {
  const data = new Uint8Array(advanceNonceBytes);
  new DataView(data.buffer).setUint32(0, advanceNonceTag, true);
  return {
    program: systemProgram,
    accounts: [
      { address: account, writable: true },
      { address: recentBlockhashesSysvar },
      { address: authority, signer: true },
    ],
    data,
  };
}

/** Writable signers, read-only signers, writable accounts, then the rest. */
function rank({ signer, writable }: AccountUse): number {
  return (signer ? 0 : 2) + (writable ? 0 : 1);
}

/** Each account once, with all that any instruction does with it, the fee payer first. */
function accountsOf(feePayer: string, instructions: readonly BuiltInstruction[]): Required<AccountUse>[] {
  const uses = new Map<string, Required<AccountUse>>();
  const use = ({ address: name, signer = false, writable = false }: AccountUse): void => {
    const before = uses.get(name);
    uses.set(name, {
      address: name,
      signer: signer || (before?.signer ?? false),
      writable: writable || (before?.writable ?? false),
    });
  };
  use({ address: feePayer, signer: true, writable: true });
  for (const { accounts } of instructions) accounts.forEach(use);
  for (const { program } of instructions) use({ address: program });
  return [...uses.values()].toSorted((left, right) => rank(left) - rank(right));
}

/**
 * The bytes of a legacy transaction message.
 *
 * @throws {PayloadError} `invalid_argument` for an address that is none, `too_large`, `malformed_transaction` when the
 * network would refuse it
 */
export function buildMessage(
  feePayer: string,
  lifetime: BuildLifetime,
  instructions: readonly BuiltInstruction[],
): Uint8Array {
  const { nonce } = lifetime;
  if (nonce === undefined) bytesOfAddress(lifetime.recentBlockhash, 'the recent blockhash');
  else {
    bytesOfAddress(nonce.account, 'the nonce account');
    bytesOfAddress(nonce.authority, 'the nonce authority');
    bytesOfAddress(nonce.value, 'the nonce');
  }
  const all = nonce === undefined ? instructions : [advanceNonce(nonce), ...instructions];
  const accounts = accountsOf(feePayer, all);
  const indexOf = (name: string): number => accounts.findIndex((account) => account.address === name);
  const count = (signer: boolean, writable: boolean): number =>
    accounts.filter((account) => account.signer === signer && account.writable === writable).length;
  const message = getCompiledTransactionMessageEncoder().encode({
    version: 'legacy',
    header: {
      numSignerAccounts: count(true, true) + count(true, false),
      numReadonlySignerAccounts: count(true, false),
      numReadonlyNonSignerAccounts: count(false, false),
    },
    staticAccounts: accounts.map((account) => address(account.address)),
    lifetimeToken: (nonce?.value ?? lifetime.recentBlockhash) as Blockhash,
    instructions: all.map(({ program, accounts: used, data }) => ({
      programAddressIndex: indexOf(program),
      accountIndices: used.map((account) => indexOf(account.address)),
      data,
    })),
  });
  const bytes = new Uint8Array(message);
  parseSolanaMessage(bytes);
  return bytes;
}
