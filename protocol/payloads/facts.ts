// What a decoded payload tells people and policies. Everything here is safe to write as JSON: amounts are decimal
// strings in base units, binary is 0x-hex, addresses are spelled as on their chain.
import type { Hex } from '../hex.ts';
import type { KeyType } from '../keys/key-type.ts';

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

/** What an instruction of the System Program does, where it is known. */
export type SystemInstruction =
  | {
      readonly name: 'system.transfer';
      readonly from: string;
      readonly to: string;
      readonly lamports: string;
    }
  | {
      readonly name: 'system.advanceNonce';
      readonly nonceAccount: string;
      readonly authority: string;
    };

/** Tokens that move from one token account to another. */
export interface TokenTransfer {
  readonly name: 'token.transferChecked';
  readonly mint: string;
  /** Token accounts, not wallets. */
  readonly from: string;
  readonly to: string;
  /** Who must sign: the owner of `from`, or whom it gave leave. */
  readonly authority: string;
  /** Base units. */
  readonly amount: string;
  /** Of one token. The program refuses the instruction when the mint has others. */
  readonly decimals: number;
}

/**
 * The making of a wallet's associated token account. `create` fails when there is one; `createIdempotent` leaves it, and
 * fails when it is not the wallet's any more.
 */
export interface TokenAccountCreation {
  readonly name: 'associatedToken.create' | 'associatedToken.createIdempotent';
  /** Who pays for the account. */
  readonly payer: string;
  readonly account: string;
  readonly wallet: string;
  readonly mint: string;
}

/** An instruction. `name` is present only when the whole effect of the instruction is known. */
export type SolanaInstruction = SolanaInstructionParts &
  (
    | { readonly name?: never }
    | SystemInstruction
    | TokenTransfer
    | TokenAccountCreation
    | { readonly name: 'memo'; readonly text: string }
    | {
        readonly name:
          | 'computeBudget.requestHeapFrame'
          | 'computeBudget.setComputeUnitLimit'
          | 'computeBudget.setComputeUnitPrice'
          | 'computeBudget.setLoadedAccountsDataSizeLimit';
        readonly value: string;
      }
  );

/**
 * How long the network takes a Solana transaction. `blockhash`: about 150 slots, a minute, from the block of that hash.
 * `durableNonce`: until the nonce account is advanced, which this transaction does itself, also when the rest of it fails.
 * Whether an account holds that nonce is not in the bytes.
 */
export type SolanaLifetime =
  | { readonly kind: 'blockhash'; readonly blockhash: string }
  | {
      readonly kind: 'durableNonce';
      readonly nonceAccount: string;
      /** Who must sign for the nonce account. */
      readonly authority: string;
      readonly nonce: string;
    };

/** A movement of value, in base units of `asset`. */
export interface Transfer {
  /**
   * `SOL`, `BTC`, or `native` for the own coin of an EVM chain, as ether is of Ethereum. A token is told by its address: on an
   * EVM chain its contract's, in 0x-hex, on Solana its mint's, in base58.
   */
  readonly asset: string;
  /** Of a Bitcoin transaction: the address of the key that signs, whoever else's coins are spent with its own. */
  readonly from: string;
  /** An address; the script in hex where Bitcoin has no address for it; of a token on Solana a token account. */
  readonly to: string;
  readonly amount: string;
}

/** A movement of SPL tokens. `from` and `to` are token accounts, which are not the wallets that own them. */
export interface SplTransfer extends Transfer {
  /** The token program: `to` is the wallet's if it is `associatedTokenAccount(wallet, asset, tokenProgram)`. */
  readonly tokenProgram: string;
  readonly authority: string;
  readonly decimals: number;
  /**
   * The wallet whose associated token account `to` is, when it is one that the transaction names: it makes the account for
   * it, or has it as a signer. Absent otherwise: the bytes do not say whose the account is.
   */
  readonly toOwner?: string;
}

/** Together, these say everything that is in the message bytes: the bytes can be rebuilt from them. */
export interface SolanaTransactionFacts {
  readonly kind: 'solana.transaction';
  readonly chain: 'solana';
  readonly version: 'legacy' | 0;
  readonly feePayer: string;
  readonly requiredSigners: readonly string[];
  readonly lifetime: SolanaLifetime;
  /** Every account of the message, in order. */
  readonly accounts: readonly SolanaAccount[];
  /** Every program that runs, each once, in order of its first instruction. */
  readonly programs: readonly string[];
  readonly instructions: readonly SolanaInstruction[];
  /** Transfers that are instructions of this transaction. All of them only if `understood`. */
  readonly transfers: readonly (Transfer | SplTransfer)[];
  /**
   * Lamports the fee payer can lose beside the transfers: 5000 a signature, the priority fee at the largest number of compute
   * units the transaction may use, and `accountRent`, whoever pays that. A priority fee is paid to a validator and can be as
   * large as a transfer.
   */
  readonly maximumFee: string;
  /** Lamports that the token accounts cost that it makes, at most: those that are there already cost nothing. */
  readonly accountRent: string;
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

/** A call whose meaning its bytes tell, of a contract that keeps to the token standard ERC-20. */
export type EvmCall =
  | { readonly name: 'erc20.transfer'; readonly to: Hex; readonly amount: string }
  | { readonly name: 'erc20.transferFrom'; readonly from: Hex; readonly to: Hex; readonly amount: string }
  | { readonly name: 'erc20.approve'; readonly spender: Hex; readonly amount: string };

/** Leave to move tokens of the key: no transfer, but as good as one to whoever gets it. */
export interface EvmApproval {
  /** The token's contract. */
  readonly asset: Hex;
  readonly spender: Hex;
  /** Base units, whose size the bytes do not tell. */
  readonly amount: string;
  /** Whether it is so much (2^255 or more) that no balance is larger. */
  readonly unlimited: boolean;
}

/** Together, these say everything that is in the transaction's bytes. Addresses are spelled as EIP-55 has it. */
export interface EvmTransactionFacts {
  readonly kind: 'evm.transaction';
  /** CAIP-2: `eip155:` and the chain id, which is in the signed bytes. */
  readonly chain: `eip155:${number}`;
  readonly type: 'legacy' | 'eip2930' | 'eip1559';
  /** The key's address: the bytes do not name it, the signature does. */
  readonly from: Hex;
  /** Absent when the transaction creates a contract. */
  readonly to?: Hex;
  /** Address of the contract that is created. */
  readonly creates?: Hex;
  /** Wei. */
  readonly value: string;
  readonly nonce: number;
  readonly gasLimit: string;
  /** Wei for a unit of gas, at most. */
  readonly maxFeePerGas: string;
  /** EIP-1559 only. */
  readonly maxPriorityFeePerGas?: string;
  /** Wei, at most: what all of the gas costs. Chains built on another may take a fee for its data besides. */
  readonly maximumFee: string;
  readonly data: Hex;
  /** First four bytes of the data of a call that has as many. */
  readonly selector?: Hex;
  readonly accessList: readonly { readonly address: Hex; readonly storageKeys: readonly Hex[] }[];
  /** What the data says, where that is known. */
  readonly call?: EvmCall;
  /** The value, and tokens that `call` moves. All of them only if `understood`. */
  readonly transfers: readonly Transfer[];
  readonly approvals: readonly EvmApproval[];
  /**
   * Whether the effect of the data is known: there is none, or it is `call` and no value goes with it. That the contract is
   * a token, and an honest one, no bytes tell: policies name the contracts they mean.
   */
  readonly understood: boolean;
}

/** Bytes or text, signed in a form that no chain of Ethereum's kind takes for a transaction (EIP-191, version 0x45). */
export interface EvmMessageFacts {
  readonly kind: 'evm.message';
  readonly signer: Hex;
  readonly data: Hex;
  /** When the bytes are UTF-8. */
  readonly text?: string;
}

/** A value of typed data: integers as decimal strings, bytes and addresses as lower-case 0x-hex. */
export type TypedValue = string | boolean | readonly TypedValue[] | { readonly [field: string]: TypedValue };

/** Typed data (EIP-712). Contracts take a signature of it as an order: to move tokens, to trade. */
export interface EvmTypedDataFacts {
  readonly kind: 'evm.typedData';
  readonly signer: Hex;
  /** When the domain names one, and as exactly as a number can. */
  readonly chain?: `eip155:${number}`;
  /** As signed; every field of it is. */
  readonly domain: { readonly [field: string]: TypedValue };
  readonly primaryType: string;
  /** All types, as they are hashed (encodeType of EIP-712). */
  readonly encodedType: string;
  readonly message: { readonly [field: string]: TypedValue };
  /** Of messages whose type is known to be leave to move tokens (ERC-2612). */
  readonly approvals: readonly EvmApproval[];
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
  readonly lifetime: SolanaLifetime;
  readonly programs: readonly string[];
  readonly lookupTables: readonly string[];
}

export type PayloadFacts =
  | SolanaTransactionFacts
  | BitcoinPsbtFacts
  | EvmTransactionFacts
  | EvmMessageFacts
  | EvmTypedDataFacts
  | MessageFacts
  | DigestFacts;

/** The key that is to sign. Its public key was checked when its certificate was. */
export interface PayloadKey {
  readonly keyType: KeyType;
  readonly publicKey: Uint8Array;
}

/** A payload as nodes, policies and people see it. */
export interface DecodedPayload {
  /** What policies see. What cannot be decoded is `digest`. */
  readonly kind: PayloadFacts['kind'];
  /** The exact bytes the key signs (ed25519 signs messages, not hashes; an ECDSA key a digest of 32 bytes). */
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
