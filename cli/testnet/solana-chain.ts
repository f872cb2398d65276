// A Solana chain in this process, for the local testnet and for tests: litesvm is the real runtime without a network.
import {
  type Address,
  address,
  getBase58Decoder,
  getTransactionDecoder,
  lamports as asLamports,
} from '@solana/kit';
import type * as litesvm from 'litesvm';

export type SolanaChainErrorCode =
  | 'not_installed' // litesvm has no build for this platform, or was left out
  | 'invalid_address'
  | 'airdrop_failed';

export class SolanaChainError extends Error {
  override readonly name = 'SolanaChainError';
  readonly code: SolanaChainErrorCode;
  constructor(code: SolanaChainErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What became of a transaction. `signature` is base58, as explorers show it. */
export type Execution =
  | { readonly ok: true; readonly signature: string; readonly fee?: bigint; readonly logs: readonly string[] }
  | { readonly ok: false; readonly reason: string; readonly logs: readonly string[] };

export interface SolanaChain {
  /** Gives lamports to an account. Throws SolanaChainError, `airdrop_failed` when they are too few for it to exist. */
  airdrop(address: string, lamports: bigint): void;
  /** Lamports of an account; none when it does not exist. Throws SolanaChainError `invalid_address`. */
  balance(address: string): bigint;
  /** Base58. Stays the same: this chain has no blocks. */
  latestBlockhash(): string;
  /** Runs a wire transaction as a validator would, verifying its signatures. Never throws. */
  execute(wireTransaction: Uint8Array): Execution;
}

/** What litesvm's results have in common; it tells names and fees only in this text. */
interface Described {
  toString(): string;
}

function reasonOf(failure: Described): string {
  const text = failure.toString();
  return /\berr: (.*?), meta: /s.exec(text)?.[1] ?? text;
}

function feeOf(success: Described): bigint | undefined {
  const fee = /\bfee: (\d+) \}\)?$/.exec(success.toString())?.[1];
  return fee === undefined ? undefined : BigInt(fee);
}

function parseAddress(text: string): Address {
  try {
    return address(text);
  } catch (cause) {
    throw new SolanaChainError('invalid_address', `"${text}" is not a Solana address`, { cause });
  }
}

type Litesvm = typeof litesvm;

async function loaded(load: () => Promise<Litesvm>): Promise<Litesvm> {
  try {
    return await load();
  } catch (cause) {
    throw new SolanaChainError(
      'not_installed',
      `the Solana VM (litesvm) is not installed for ${process.platform}-${process.arch}: in a checkout run "npm ci" ` +
        'without --omit=dev and --omit=optional, beside the installed package "npm install litesvm@1.4.1"; it is made ' +
        'for Linux and macOS',
      { cause },
    );
  }
}

/**
 * A chain of its own, empty but for the built-in programs. `load` gets the VM, which is a development dependency.
 *
 * @throws {SolanaChainError} `not_installed`
 */
export async function createSolanaChain(
  load: () => Promise<Litesvm> = () => import('litesvm'),
): Promise<SolanaChain> {
  const { LiteSVM, FailedTransactionMetadata } = await loaded(load);
  const vm = new LiteSVM();
  return {
    airdrop(recipient, lamports) {
      const result = vm.airdrop(parseAddress(recipient), asLamports(lamports));
      if (result === null || result instanceof FailedTransactionMetadata) {
        const reason = result === null ? 'refused' : reasonOf(result);
        throw new SolanaChainError(
          'airdrop_failed',
          `cannot airdrop ${lamports} lamports to ${recipient}: ${reason}`,
        );
      }
    },
    balance: (account) => vm.getBalance(parseAddress(account)) ?? 0n,
    latestBlockhash: () => vm.latestBlockhash(),
    execute(wireTransaction) {
      try {
        const result = vm.sendTransaction(getTransactionDecoder().decode(wireTransaction));
        if (result instanceof FailedTransactionMetadata) {
          return { ok: false, reason: reasonOf(result), logs: result.meta().logs() };
        }
        const fee = feeOf(result);
        return {
          ok: true,
          signature: getBase58Decoder().decode(result.signature()),
          logs: result.logs(),
          ...(fee === undefined ? {} : { fee }),
        };
      } catch (error) {
        // Not a transaction, or not fully signed: refused before the VM saw it.
        return { ok: false, reason: (error as Error).message, logs: [] };
      }
    },
  };
}
