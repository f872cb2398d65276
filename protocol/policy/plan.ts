// What the policies in force mean for one action, before anybody has decided: which rules are about each of its items, what
// each wants, and what the action moves. Plain data. Time, decisions and limits come in judge.ts.
import { formatUnits } from 'viem/utils';
import type { Hex } from '../hex.ts';
import { baseUnits } from './decimal.ts';
import { milliseconds } from './duration.ts';
import type { AssetOf, PolicyFacts } from './facts.ts';
import type { Hours } from './hours.ts';
import { assetsOf, describeMismatch, type Mismatch, mismatch, sameAsset, takenBy } from './match.ts';
import { type CredentialType, membersOf, type Policy, type Rule, type Tree } from './schema.ts';

/** How long a request lives under a rule that says nothing. */
export const defaultTtl = 24 * 3600_000;

/** A policy with the names of those who are owners where it is in force. */
export interface PolicyLevel {
  readonly policy: Policy;
  readonly owners: readonly string[];
}

/** An item with the policies in force for it, the nearest first: its own key's, the workspace's, the parent's. */
export interface PlannedFor {
  readonly levels: readonly PolicyLevel[];
  readonly facts: PolicyFacts;
  /** The key that signs; of a request for a key or a change, none. */
  readonly keyId?: Hex;
}

/** A quorum with its members by name. */
export interface MemberQuorum {
  readonly k: number;
  /** As the policy names the group. */
  readonly group: string;
  readonly members: readonly string[];
  readonly excludeInitiator?: true;
  readonly credential?: readonly CredentialType[];
}
export type MemberTree =
  MemberQuorum | { readonly all: readonly MemberTree[] } | { readonly any: readonly MemberTree[] };

export interface PlannedLimit extends AssetOf {
  /** Of the asset, as the policy names it. */
  readonly name: string;
  readonly decimals: number;
  /** Base units. */
  readonly amount: bigint;
  readonly perMs: number;
  readonly scope: 'key' | 'workspace';
}

/** A rule that allows an item, given its approvals. */
export interface PlannedRule {
  readonly id: string;
  readonly require: MemberTree;
  readonly reject?: MemberTree;
  readonly delayMs: number;
  readonly ttlMs: number;
  readonly hours?: Hours;
  readonly limit?: PlannedLimit;
}

export interface PlannedItem {
  readonly keyId?: Hex;
  /** At least one. Any of them suffices. */
  readonly rules: readonly PlannedRule[];
  /** Rules that deny the item at these hours. */
  readonly closed: readonly { readonly id: string; readonly hours: Hours }[];
}

/** What an item takes from limits: base units of one asset, which leave one key. */
export interface Debit extends AssetOf {
  readonly keyId: Hex;
  readonly amount: bigint;
  /** Of a transaction that several items sign: it counts once. */
  readonly transaction?: string;
}

export interface Plan {
  /** One an item, in order. */
  readonly items: readonly PlannedItem[];
  readonly debits: readonly Debit[];
  /** The longest that any rule lets the whole live, in milliseconds from when it was made. */
  readonly lifetimeMs: number;
}

/** How far back the limits of its rules look at most, in milliseconds; undefined when no rule has one. */
export function windowOf({ items }: Pick<Plan, 'items'>): number | undefined {
  const windows = items.flatMap(({ rules }) => rules.flatMap(({ limit }) => (limit ? [limit.perMs] : [])));
  return windows.length === 0 ? undefined : Math.max(...windows);
}

/** Why nothing that anybody may decide allows an action. */
export interface Denial {
  readonly reason: string;
  /** Of the item that is denied. */
  readonly item: number;
  /** By a rule that denies; undefined: because no rule allows. */
  readonly rule?: string;
  readonly mismatches: readonly Mismatch[];
}

function debitsOf({ facts, keyId }: PlannedFor): Debit[] {
  if (keyId === undefined) return [];
  const coin = facts.chain === undefined ? [] : [{ chain: facts.chain, address: 'native' }];
  const assets = [...facts.movements, ...coin].filter(
    (asset, index, all) => all.findIndex((other) => sameAsset(asset, other)) === index,
  );
  return assets.flatMap(({ chain, address }) => {
    const amount = takenBy(facts, { chain, address });
    const { transaction } = facts;
    return amount > 0n
      ? [{ keyId, chain, address, amount, ...(transaction !== undefined && { transaction }) }]
      : [];
  });
}

/**
 * What debits take from a limit, for a key where each has its own, as they are added in any order. The debits of one
 * transaction count once: the largest, as each key sees another part of it as its own.
 */
export class Taken {
  readonly #limit: Pick<PlannedLimit, 'chain' | 'address' | 'scope'>;
  readonly #keyId: Hex | undefined;
  /** By transaction, what was counted of it. */
  readonly #shared = new Map<string, bigint>();
  #sum = 0n;

  constructor(limit: Pick<PlannedLimit, 'chain' | 'address' | 'scope'>, keyId: Hex | undefined) {
    this.#limit = limit;
    this.#keyId = keyId;
  }

  get sum(): bigint {
    return this.#sum;
  }

  add(debit: Debit): void {
    const { transaction, amount, keyId } = debit;
    if (!sameAsset(debit, this.#limit) || (this.#limit.scope === 'key' && keyId !== this.#keyId)) return;
    const counted = transaction === undefined ? 0n : (this.#shared.get(transaction) ?? 0n);
    if (amount <= counted) return;
    if (transaction !== undefined) this.#shared.set(transaction, amount);
    this.#sum += amount - counted;
  }
}

/** As `Taken`, of all these. */
export function takenFrom(
  limit: Pick<PlannedLimit, 'chain' | 'address' | 'scope'>,
  keyId: Hex | undefined,
  debits: readonly Debit[],
): bigint {
  const taken = new Taken(limit, keyId);
  for (const debit of debits) taken.add(debit);
  return taken.sum;
}

function membersTree(policy: Policy, tree: Tree, owners: readonly string[]): MemberTree {
  if ('all' in tree) return { all: tree.all.map((branch) => membersTree(policy, branch, owners)) };
  if ('any' in tree) return { any: tree.any.map((branch) => membersTree(policy, branch, owners)) };
  const { of, ...rest } = tree;
  const group = typeof of === 'string' ? of : of.join(', ');
  return { ...rest, group, members: membersOf(policy, of, owners) };
}

function limitOf(policy: Policy, { when, limit }: Rule): PlannedLimit | undefined {
  const [asset] = when === undefined ? [] : assetsOf(policy, when);
  if (limit === undefined || asset === undefined) return undefined;
  const { chain, address, name, decimals } = asset;
  const { scope, per } = limit;
  const amount = baseUnits(limit.amount, decimals);
  return { chain, address, name, decimals, amount, perMs: milliseconds(per), scope };
}

/** The rule as it stands for an item that it is about; a Mismatch when the action is more than its limit allows at all. */
function planRule(
  { policy, owners }: PolicyLevel,
  rule: Rule,
  keyId: Hex | undefined,
  debits: readonly Debit[],
): PlannedRule | Mismatch {
  const { id, require, reject, delay, ttl, when } = rule;
  const limit = limitOf(policy, rule);
  if (limit !== undefined) {
    const taken = takenFrom(limit, keyId, debits);
    if (taken > limit.amount) {
      const amount = (units: bigint): string => `${formatUnits(units, limit.decimals)} ${limit.name}`;
      return {
        rule: id,
        condition: 'limit',
        value: amount(taken),
        wanted: `at most ${amount(limit.amount)}`,
      };
    }
  }
  return {
    id,
    require: membersTree(policy, require!, owners),
    ...(reject !== undefined && { reject: membersTree(policy, reject, owners) }),
    delayMs: delay === undefined ? 0 : milliseconds(delay),
    ttlMs: ttl === undefined ? defaultTtl : milliseconds(ttl),
    ...(when?.hours !== undefined && { hours: when.hours }),
    ...(limit && { limit }),
  };
}

function planItem(
  { levels, facts, keyId }: PlannedFor,
  item: number,
  debits: readonly Debit[],
): PlannedItem | Denial {
  const closed: { id: string; hours: Hours }[] = [];
  for (const { policy } of levels) {
    for (const rule of policy.rules) {
      if (rule.effect !== 'deny' || mismatch(policy, rule, facts) !== undefined) continue;
      const hours = rule.when?.hours;
      if (hours === undefined)
        return { reason: `rule ${rule.id} denies ${facts.kind}`, item, rule: rule.id, mismatches: [] };
      closed.push({ id: rule.id, hours });
    }
  }
  const mismatches: Mismatch[] = [];
  const rules: PlannedRule[] = [];
  const [nearest] = levels;
  for (const rule of nearest?.policy.rules ?? []) {
    if (rule.effect !== 'allow') continue;
    const found = mismatch(nearest!.policy, rule, facts) ?? planRule(nearest!, rule, keyId, debits);
    if ('condition' in found) mismatches.push(found);
    else rules.push(found);
  }
  if (rules.length > 0) return { ...(keyId !== undefined && { keyId }), rules, closed };
  // Nearest first: what a rule says of its kind is of less interest than what the others say of amounts.
  const close = mismatches.filter(({ condition }) => condition !== 'kind' && condition !== 'change');
  const told = (close.length > 0 ? close : mismatches).map(describeMismatch).join('; ');
  return { reason: `no rule allows this ${facts.kind}: ${told || 'none allows anything'}`, item, mismatches };
}

/** Plans an action; the Denial of the first item that no decision can allow. An action without items is denied. */
export function planPolicy(items: readonly PlannedFor[]): Plan | Denial {
  const debits = items.flatMap(debitsOf);
  const planned: PlannedItem[] = [];
  for (const [index, item] of items.entries()) {
    const found = planItem(item, index, debits);
    if ('reason' in found)
      return items.length === 1 ? found : { ...found, reason: `item ${index}: ${found.reason}` };
    planned.push(found);
  }
  if (planned.length === 0) return { reason: 'nothing to judge', item: 0, mismatches: [] };
  const lifetimeMs = Math.min(...planned.map(({ rules }) => Math.max(...rules.map(({ ttlMs }) => ttlMs))));
  return { items: planned, debits, lifetimeMs };
}

/** The quorums of a tree, from left to right. */
export function quorumsIn(tree: MemberTree): readonly MemberQuorum[] {
  if ('k' in tree) return [tree];
  return ('all' in tree ? tree.all : tree.any).flatMap(quorumsIn);
}

/** Everybody whose decision can matter for an action: members of the groups that its rules name. */
export function approversOf({ items }: Plan): ReadonlySet<string> {
  const trees = items.flatMap(({ rules }) =>
    rules.flatMap(({ require, reject }) => [require, ...(reject ? [reject] : [])]),
  );
  return new Set(trees.flatMap(quorumsIn).flatMap(({ members }) => members));
}
