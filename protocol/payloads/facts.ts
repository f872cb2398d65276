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
  readonly asset: 'SOL' | 'BTC';
  /** Of a Bitcoin transaction: the address of the key that signs, whoever else's coins are spent with its own. */
  readonly from: string;
  /** An address; the script in hex where Bitcoin has no address for it. */
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

/** An output of a Bitcoin transaction, made or spent by it. */
export interface BitcoinOutput {
  /** Satoshi. */
  readonly amount: string;
  readonly script: Hex;
  /** As the main network spells it; absent for a script that has none. */
  readonly address?: string;
  /** Whether it belongs to the key that signs this item. */
  readonly own: boolean;
}

export interface BitcoinInput extends BitcoinOutput {
  readonly txid: Hex;
  readonly index: number;
  readonly sequence: number;
}

/** A whole Bitcoin transaction; the signature covers all of it. */
export interface BitcoinPsbtFacts {
  readonly kind: 'bitcoin.psbt';
  /** Whatever network it is meant for: the signature is valid on every one of them. */
  readonly chain: 'bitcoin';
  /** The input that this item signs. */
  readonly input: number;
  readonly version: number;
  readonly lockTime: number;
  /** Known before it is signed when every input spends a witness program: the same in every item of one transaction. */
  readonly txid?: Hex;
  /** `SIGHASH_DEFAULT` or `SIGHASH_ALL`. */
  readonly sighash: 'default' | 'all';
  readonly inputs: readonly BitcoinInput[];
  readonly outputs: readonly BitcoinOutput[];
  /** Satoshi, of all inputs together. */
  readonly fee: string;
  /** Satoshi that leave this key: its inputs less its outputs, fees included; negative when it gains. */
  readonly net: string;
  /** Every output that does not return to this key. */
  readonly transfers: readonly Transfer[];
  /** Whether every output is of a known form. If not, who can spend it is not known. */
  readonly understood: boolean;
}

/** Text, signed in a form that no chain takes for a transaction. */
export type MessageFacts =
  | {
      readonly kind: 'message';
      readonly envelope: 'solana.offchain';
      /** Base58 of the envelope's 32-byte application domain, the same for every message of this system. */
      readonly applicationDomain: string;
      readonly text: string;
    }
  | {
      readonly kind: 'message';
      readonly envelope: 'bip340.tagged';
      /** Tag of the hash that is signed (BIP340), the same for every message of this system. */
      readonly tag: string;
      readonly text: string;
    };

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

export type PayloadFacts = SolanaTransactionFacts | BitcoinPsbtFacts | MessageFacts | DigestFacts;

/** A payload as nodes, policies and people see it. */
export interface DecodedPayload {
  /** What policies see. What cannot be decoded is `digest`. */
  readonly kind: PayloadFacts['kind'];
  /** The exact bytes the key signs (ed25519 signs messages, not hashes). */
  readonly message: Uint8Array;
  /** The public key under which the signature is valid, as its key type encodes public keys. */
  readonly publicKey: Uint8Array;
  /**
   * What the key is tweaked with to sign this, 32 bytes: then `publicKey` is the tweaked one. Absent where the key itself
   * signs.
   */
  readonly tweak?: Uint8Array;
  readonly facts: PayloadFacts;
  /** Plain lines for a person, from the signed bytes alone, safe to print on a terminal. */
  readonly summary: readonly string[];
}
