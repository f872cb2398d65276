// Builds the simplest Solana transaction: one transfer of lamports, paid for by its sender.
import { type Blockhash, address, getCompiledTransactionMessageEncoder } from '@solana/kit';
import { base58 } from '@scure/base';
import { PayloadError } from './error.ts';
import { systemTransferBytes, systemTransferTag } from './solana-instruction.ts';
import { systemProgram } from './solana-program.ts';

const maxLamports = 2n ** 64n - 1n;

export interface TransferParameters {
  /** Base58 address that pays the amount and the fee, and signs. */
  readonly from: string;
  readonly to: string;
  /** 1..2^64-1; a SOL has 10^9. */
  readonly lamports: bigint;
  /** Base58 of 32 bytes; the network takes the transaction for about a minute after this block. */
  readonly recentBlockhash: string;
}

function check32Bytes(text: string, what: string): void {
  let length: number | undefined;
  try {
    length = base58.decode(text).length;
  } catch {
    // Reported below, with what was expected.
  }
  if (length !== 32)
    throw new PayloadError('invalid_argument', `${what} "${text}" is not base58 of 32 bytes`);
}

/**
 * The legacy transaction message, 150 bytes (117 when sender and recipient are one), of a transfer.
 *
 * @throws {PayloadError} `invalid_argument`
 */
export function transferMessage({ from, to, lamports, recentBlockhash }: TransferParameters): Uint8Array {
  check32Bytes(from, 'the sender');
  check32Bytes(to, 'the recipient');
  check32Bytes(recentBlockhash, 'the recent blockhash');
  if (from === systemProgram || to === systemProgram) {
    throw new PayloadError(
      'invalid_argument',
      `${systemProgram} is a program: lamports cannot be sent from or to it`,
    );
  }
  if (lamports < 1n || lamports > maxLamports) {
    throw new PayloadError(
      'invalid_argument',
      `cannot transfer ${lamports} lamports: the amount is 1 to ${maxLamports}`,
    );
  }
  const data = new Uint8Array(systemTransferBytes);
  const view = new DataView(data.buffer);
  view.setUint32(0, systemTransferTag, true);
  view.setBigUint64(4, lamports, true);
  // In the order Solana demands: writable signers, writable accounts, then programs, which are read-only.
  const accounts = [...new Set([from, to, systemProgram])];
  const message = getCompiledTransactionMessageEncoder().encode({
    version: 'legacy',
    header: { numSignerAccounts: 1, numReadonlySignerAccounts: 0, numReadonlyNonSignerAccounts: 1 },
    staticAccounts: accounts.map((account) => address(account)),
    lifetimeToken: recentBlockhash as Blockhash,
    instructions: [
      { programAddressIndex: accounts.length - 1, accountIndices: [0, accounts.indexOf(to)], data },
    ],
  });
  return new Uint8Array(message);
}
