// What a policy sees of one item: the facts that its payload's decoder found, in one form for every chain. Amounts are
// base units. docs/policy.md says how each is told.
import type { EvmTransactionFacts, PayloadFacts, SolanaTransactionFacts } from '../payloads/facts.ts';
import type { ChangeKind, Kind } from './schema.ts';

/** An asset of a chain: `native` is its own coin, a token is told by its address. */
export interface AssetOf {
  readonly chain: string;
  readonly address: string;
}

/** Value that leaves, or that somebody is given leave to take. */
export interface Movement extends AssetOf {
  /** Every name by which who receives it is known: an address, and the owner of a token account where that is told. */
  readonly to: readonly string[];
  readonly amount: bigint;
}

export interface PolicyFacts {
  readonly kind: Kind;
  /** Of a workspace change. */
  readonly change?: ChangeKind;
  /** CAIP-2 or the chain's name; absent of what belongs to none. */
  readonly chain?: string;
  /** Whether all that moves is among `movements`. */
  readonly understood: boolean;
  readonly movements: readonly Movement[];
  /** Base units of the chain's coin that can be lost in fees, at most. */
  readonly fee?: bigint;
  /** The contract that an EVM transaction calls, if it has data. */
  readonly called?: string;
  readonly selector?: string;
  readonly programs?: readonly string[];
  /** Outputs of a Bitcoin transaction that do not return to the key. */
  readonly outputs?: number;
  /** Of a transaction that several items sign, each an input of it: it is counted once. */
  readonly transaction?: string;
}

function movement(chain: string, address: string, amount: string, ...to: readonly string[]): Movement {
  return { chain, address, to, amount: BigInt(amount) };
}

const nothing = { understood: true, movements: [] } as const;

/** Facts of a key request. */
export const keyRequestFacts: PolicyFacts = { kind: 'key.request', ...nothing };

/** Facts of a change of the workspace. */
export function changeFacts(change: ChangeKind): PolicyFacts {
  return { kind: 'workspace.change', change, ...nothing };
}

function solanaFacts(facts: SolanaTransactionFacts): PolicyFacts {
  const { chain, programs, maximumFee } = facts;
  // Another signer's accounts may move too, and what moves for whom is then not told by the transaction alone.
  const alone = facts.requiredSigners.length === 1;
  return {
    kind: facts.kind,
    chain,
    understood: facts.understood && alone,
    movements: facts.transfers.map((transfer) => {
      const { asset, to, amount } = transfer;
      const owner = 'toOwner' in transfer ? transfer.toOwner : undefined;
      return movement(
        chain,
        asset === 'SOL' ? 'native' : asset,
        amount,
        to,
        ...(owner === undefined ? [] : [owner]),
      );
    }),
    fee: BigInt(maximumFee),
    programs,
  };
}

function evmFacts(facts: EvmTransactionFacts): PolicyFacts {
  const { chain, to, data, selector, maximumFee, value } = facts;
  // A transaction that moves nothing still goes to somebody.
  const bare = to !== undefined && data === '0x' && BigInt(value) === 0n;
  return {
    kind: facts.kind,
    chain,
    understood: facts.understood,
    movements: [
      ...facts.transfers.map(({ asset, to: receiver, amount }) => movement(chain, asset, amount, receiver)),
      ...(bare ? [movement(chain, 'native', '0', to)] : []),
      ...facts.approvals.map(({ asset, spender, amount }) => movement(chain, asset, amount, spender)),
    ],
    fee: BigInt(maximumFee),
    ...(to !== undefined && data !== '0x' && { called: to }),
    ...(selector !== undefined && { selector }),
  };
}

/** What a policy sees of a decoded payload. */
export function policyFacts(facts: PayloadFacts): PolicyFacts {
  switch (facts.kind) {
    case 'solana.transaction':
      return solanaFacts(facts);
    case 'evm.transaction':
      return evmFacts(facts);
    case 'bitcoin.psbt': {
      const { chain, understood, transfers, fee, txid } = facts;
      return {
        kind: facts.kind,
        chain,
        understood,
        movements: transfers.map(({ to, amount }) => movement(chain, 'native', amount, to)),
        fee: BigInt(fee),
        outputs: transfers.length,
        ...(txid !== undefined && { transaction: txid }),
      };
    }
    case 'evm.typedData': {
      // What is no known leave to move tokens may be an order of any kind; without a chain, of any token at that address.
      const { chain, approvals } = facts;
      return {
        kind: facts.kind,
        ...(chain !== undefined && { chain }),
        understood: approvals.length > 0 && chain !== undefined,
        movements: approvals.map(({ asset, spender, amount }) =>
          movement(chain ?? '', asset, amount, spender),
        ),
      };
    }
    case 'digest':
      return {
        kind: facts.kind,
        chain: facts.chain,
        understood: false,
        movements: [],
        programs: facts.programs,
      };
    case 'message':
    case 'evm.message':
      return { kind: facts.kind, ...nothing };
  }
}
