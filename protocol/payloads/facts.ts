// What a decoded payload tells people and policies. Everything here is safe to write as JSON: amounts are decimal
// strings in base units, binary is 0x-hex, addresses are spelled as on their chain.
import type { Hex } from '../hex.ts';

/** An account of a Solana transaction and what the transaction may do with it. */
export interface SolanaAccount {
  readonly address: string;
  readonly signer: boolean;
  readonly writable: boolean;
}

interface SolanaInstructionParts {
  /** Address of the program that runs. */
  readonly program: string;
  /** Addresses of the accounts handed to it, in order. */
  readonly accounts: readonly string[];
  readonly data: Hex;
}

/** An instruction. `name` is present only when the whole effect of the instruction is known. */
export type SolanaInstruction =
  | (SolanaInstructionParts & { readonly name?: never })
  | (SolanaInstructionParts & {
      readonly name: 'system.transfer';
      readonly from: string;
      readonly to: string;
      readonly lamports: string;
    })
  | (SolanaInstructionParts & {
      readonly name:
        | 'computeBudget.requestHeapFrame'
        | 'computeBudget.setComputeUnitLimit'
        | 'computeBudget.setComputeUnitPrice'
        | 'computeBudget.setLoadedAccountsDataSizeLimit';
      readonly value: string;
    });

/** A movement of value, in base units of `asset`. */
export interface Transfer {
  readonly asset: 'SOL';
  readonly from: string;
  readonly to: string;
  readonly amount: string;
}

/** Together, these say everything that is in the message bytes: the bytes can be rebuilt from them. */
export interface SolanaTransactionFacts {
  readonly kind: 'solana.transaction';
  readonly chain: 'solana';
  readonly version: 'legacy' | 0;
  readonly feePayer: string;
  readonly requiredSigners: readonly string[];
  readonly recentBlockhash: string;
  /** Every account of the message, in order. */
  readonly accounts: readonly SolanaAccount[];
  /** Every program that runs, each once, in order of its first instruction. */
  readonly programs: readonly string[];
  readonly instructions: readonly SolanaInstruction[];
  /** Transfers that are instructions of this transaction. All of them only if `understood`. */
  readonly transfers: readonly Transfer[];
  /**
   * Lamports the fee payer can lose in fees: 5000 a signature, and the priority fee at the largest number of compute
   * units the transaction may use. A priority fee is paid to a validator and can be as large as a transfer.
   */
  readonly maximumFee: string;
  /** Whether the effect of every instruction is known. If not, value may move that is not among `transfers`. */
  readonly understood: boolean;
}

/** Text, signed in an envelope that no chain takes for a transaction. */
export interface MessageFacts {
  readonly kind: 'message';
  readonly envelope: 'solana.offchain';
  /** Base58 of the envelope's 32-byte application domain, the same for every message of this system. */
  readonly applicationDomain: string;
  readonly text: string;
}

/** Bytes whose effect cannot be told from the bytes. */
export interface DigestFacts {
  readonly kind: 'digest';
  readonly chain: 'solana';
  readonly reason: 'address_lookup_tables';
  /** The exact bytes. */
  readonly message: Hex;
  readonly feePayer: string;
  readonly requiredSigners: readonly string[];
  readonly programs: readonly string[];
  readonly lookupTables: readonly string[];
}

export type PayloadFacts = SolanaTransactionFacts | MessageFacts | DigestFacts;

/** A payload as nodes, policies and people see it. */
export interface DecodedPayload {
  /** What policies see. What cannot be decoded is `digest`. */
  readonly kind: PayloadFacts['kind'];
  /** The exact bytes the key signs (ed25519 signs messages, not hashes). */
  readonly message: Uint8Array;
  readonly facts: PayloadFacts;
  /** Plain lines for a person, from the signed bytes alone, safe to print on a terminal. */
  readonly summary: readonly string[];
}
