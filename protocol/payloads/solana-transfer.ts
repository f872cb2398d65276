// Builds the simplest Solana transactions: one transfer, of lamports or of SPL tokens, paid for by its sender.
import { PayloadError } from './error.ts';
import { associatedTokenAccount, bytesOfAddress, isOnCurve } from './solana-address.ts';
import { type BuildLifetime, type BuiltInstruction, buildMessage } from './solana-build.ts';
import { systemTransferBytes, systemTransferTag } from './solana-instruction.ts';
import { associatedTokenProgram, systemProgram, tokenProgram } from './solana-program.ts';
import { createIdempotentTag, transferCheckedBytes, transferCheckedTag } from './solana-token.ts';

const maxAmount = 2n ** 64n - 1n;
const maxDecimals = 255;

export type TransferParameters = BuildLifetime & {
  /** Base58 address that pays the amount and the fee, and signs. */
  readonly from: string;
  readonly to: string;
  /** 1..2^64-1; a SOL has 10^9. */
  readonly lamports: bigint;
};

export type TokenTransferParameters = BuildLifetime & {
  /** Base58 address of the wallet whose associated token account pays; it pays the fee too, and signs. */
  readonly from: string;
  /** Base58 address of the wallet to whose associated token account it goes, which is made if it is not there. */
  readonly to: string;
  /** Base58 address of a mint of the classic SPL Token program. */
  readonly mint: string;
  /** Base units, 1..2^64-1. */
  readonly amount: bigint;
  /** Of the mint, 0..255: the network refuses the transfer when they are others. */
  readonly decimals: number;
};

function checkAmount(amount: bigint, what: string): void {
  if (amount >= 1n && amount <= maxAmount) return;
  throw new PayloadError(
    'invalid_argument',
    `cannot transfer ${amount} ${what}: the amount is 1 to ${maxAmount}`,
  );
}

/**
 * The legacy transaction message of a transfer: with a recent blockhash 150 bytes (117 when sender and recipient are one).
 *
 * @throws {PayloadError} `invalid_argument`
 */
export function transferMessage({ from, to, lamports, ...lifetime }: TransferParameters): Uint8Array {
  bytesOfAddress(from, 'the sender');
  bytesOfAddress(to, 'the recipient');
  if (from === systemProgram || to === systemProgram) {
    throw new PayloadError(
      'invalid_argument',
      `${systemProgram} is a program: lamports cannot be sent from or to it`,
    );
  }
  checkAmount(lamports, 'lamports');
  const data = new Uint8Array(systemTransferBytes);
  const view = new DataView(data.buffer);
  view.setUint32(0, systemTransferTag, true);
  view.setBigUint64(4, lamports, true);
  const transfer: BuiltInstruction = {
    program: systemProgram,
    accounts: [
      { address: from, signer: true, writable: true },
      { address: to, writable: true },
    ],
    data,
  };
  return buildMessage(from, lifetime, [transfer]);
}

/**
 * The legacy transaction message of a transfer of tokens between the associated token accounts of two wallets. It first
 * makes the recipient's account if it is not there: then the network also holds it to be that wallet's.
 *
 * @throws {PayloadError} `invalid_argument`
 */
export function tokenTransferMessage(parameters: TokenTransferParameters): Uint8Array {
  const { from, to, mint, amount, decimals, ...lifetime } = parameters;
  bytesOfAddress(from, 'the sender');
  bytesOfAddress(mint, 'the mint');
  if (!isOnCurve(bytesOfAddress(to, 'the recipient'))) {
    throw new PayloadError(
      'invalid_argument',
      `the recipient ${to} is no wallet: no private key belongs to it, as to a token account. Give the wallet's address, or ` +
        'build the transaction with other software if a program is to own the tokens',
    );
  }
  checkAmount(amount, 'base units');
  if (!Number.isInteger(decimals) || decimals < 0 || decimals > maxDecimals)
    throw new PayloadError('invalid_argument', `a mint has 0 to ${maxDecimals} decimals, not ${decimals}`);
  const source = associatedTokenAccount(from, mint);
  const destination = associatedTokenAccount(to, mint);
  const data = new Uint8Array(transferCheckedBytes);
  data[0] = transferCheckedTag;
  new DataView(data.buffer).setBigUint64(1, amount, true);
  data[9] = decimals;
  return buildMessage(from, lifetime, [
    {
      program: associatedTokenProgram,
      accounts: [
        { address: from, signer: true, writable: true },
        { address: destination, writable: true },
        { address: to },
        { address: mint },
        { address: systemProgram },
        { address: tokenProgram },
      ],
      data: Uint8Array.of(createIdempotentTag),
    },
    {
      program: tokenProgram,
      accounts: [
        { address: source, writable: true },
        { address: mint },
        { address: destination, writable: true },
        { address: from, signer: true },
      ],
      data,
    },
  ]);
}
