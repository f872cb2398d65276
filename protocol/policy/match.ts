// Whether a rule is about an item, by its conditions but the hours. Allowing and denying are not mirror images: a rule that
// allows must be right about all of an item, a rule that denies about any part of it, and what is not known denies.
import { formatUnits } from 'viem/utils';
import { plainAddress } from './address.ts';
import { baseUnits } from './decimal.ts';
import type { AssetOf, Movement, PolicyFacts } from './facts.ts';
import { type Bounds, coins, type Policy, type Rule, transactionKinds, type When } from './schema.ts';

/** Why a rule is not about an item: the first condition that does not hold, what it saw, and what it wants. */
export interface Mismatch {
  readonly rule: string;
  readonly condition: string;
  readonly value: string;
  readonly wanted: string;
}

/** An asset as a rule names it, with what amounts of it are written in. */
interface NamedAsset extends AssetOf {
  readonly name: string;
  readonly decimals: number;
}

type Condition = keyof Omit<When, 'hours'>;
/** `holds`: for a rule that allows; `mayHold`: for one that denies. */
interface Finding {
  readonly holds: boolean;
  readonly mayHold: boolean;
  readonly value: string;
  readonly wanted: string;
}

/** The assets that a rule names. */
export function assetsOf(policy: Policy, when: When): readonly NamedAsset[] {
  return (when.asset ?? []).map((name) => {
    const entry = policy.assets?.[name];
    if (entry !== undefined) return { ...entry, name };
    const [chain = ''] = name === 'SOL' ? ['solana'] : name === 'BTC' ? ['bitcoin'] : (when.chain ?? []);
    return { name, chain, address: coins.includes(name) ? 'native' : name, decimals: 0 };
  });
}

/** Whether two name the same asset. */
export function sameAsset(one: AssetOf, other: AssetOf): boolean {
  return one.chain === other.chain && plainAddress(one.address) === plainAddress(other.address);
}

/** What of an asset leaves with an item. Undefined: it does not move, though a fee may be paid in it. */
function totalOf(facts: PolicyFacts, asset: AssetOf): bigint | undefined {
  return movedAssets(facts).some((one) => sameAsset(one, asset)) ? takenBy(facts, asset) : undefined;
}

/** What an item takes of an asset, the fee counted where it is paid in it. */
export function takenBy(facts: PolicyFacts, asset: AssetOf): bigint {
  const amounts = facts.movements
    .filter((movement) => sameAsset(movement, asset))
    .map(({ amount }) => amount);
  const fee = asset.address === 'native' && asset.chain === facts.chain ? (facts.fee ?? 0n) : 0n;
  return amounts.reduce((sum, amount) => sum + amount, fee);
}

/** Assets that move; where nothing else does, the coin in which the fee is paid. */
function movedAssets({ movements, fee = 0n, chain }: PolicyFacts): readonly AssetOf[] {
  if (movements.length === 0 && fee > 0n && chain !== undefined) return [{ chain, address: 'native' }];
  return movements;
}

/** Whether a number is within bounds that are written in units of so many decimals. */
function isWithin(bounds: Bounds, amount: bigint, decimals: number): boolean {
  const is = (bound: string | undefined, test: (bound: bigint) => boolean): boolean =>
    bound === undefined || test(baseUnits(bound, decimals));
  return (
    is(bounds.lt, (bound) => amount < bound) &&
    is(bounds.lte, (bound) => amount <= bound) &&
    is(bounds.gt, (bound) => amount > bound) &&
    is(bounds.gte, (bound) => amount >= bound)
  );
}

const signs: Readonly<Record<string, string>> = { lt: 'below', lte: 'at most', gt: 'above', gte: 'at least' };
function describeBounds(bounds: Bounds, unit = ''): string {
  return Object.entries(bounds)
    .map(([sign, bound]) => `${signs[sign]} ${bound}${unit}`)
    .join(' and ');
}

const list = (words: readonly string[]): string => (words.length === 0 ? 'none' : words.join(', '));
const oneOf = (words: readonly string[]): string =>
  words.length === 1 ? words[0]! : `one of ${words.join(', ')}`;

/** Of something that is either known or not there. */
function known(holds: boolean, value: string, wanted: string): Finding {
  return { holds, mayHold: holds, value, wanted };
}

const unknownEffect = 'not known: the effect of the bytes is not understood';

/** Who receives something, by all names; of a call that is not understood, the contract among them. */
function recipientsOf({ movements, understood, called }: PolicyFacts): readonly (readonly string[])[] {
  const known = movements.map(({ to }: Movement) => to);
  return !understood && called !== undefined ? [...known, [called]] : known;
}

/** Lists may be long, and every rule and item looks into them: each is spelled plainly once. A parsed policy never changes. */
const plainLists = new WeakMap<readonly string[], ReadonlySet<string>>();
function plainList(addresses: readonly string[]): ReadonlySet<string> {
  const known = plainLists.get(addresses);
  if (known !== undefined) return known;
  const made = new Set(addresses.map(plainAddress));
  plainLists.set(addresses, made);
  return made;
}

function findTo(policy: Policy, when: When, facts: PolicyFacts): Finding {
  const to = when.to!;
  const outside = !Array.isArray(to) && 'notIn' in to;
  const name = Array.isArray(to) ? undefined : 'in' in to ? to.in : to.notIn;
  const entries = Array.isArray(to) ? to : (policy.lists?.[name!] ?? []);
  const listed = plainList(entries);
  const recipients = recipientsOf(facts);
  const fits = (names: readonly string[]): boolean =>
    names.some((one) => listed.has(plainAddress(one))) !== outside;
  // What a call does is not known: only a rule that names the call may go by its contract.
  const sure = facts.understood || (when.selector !== undefined && facts.called !== undefined);
  const odd = recipients.find((names) => !fits(names));
  const value = !sure ? unknownEffect : odd === undefined ? list(recipients.flat()) : odd.join(' of ');
  const wanted = `${outside ? 'not ' : ''}${name === undefined ? oneOf(entries) : `in list ${name}`}`;
  return {
    holds: sure && recipients.length > 0 && odd === undefined,
    mayHold: !facts.understood || recipients.some(fits),
    value,
    wanted,
  };
}

function findAsset(policy: Policy, when: When, facts: PolicyFacts): Finding {
  const named = assetsOf(policy, when);
  const moved = movedAssets(facts);
  const isNamed = (asset: AssetOf): boolean => named.some((one) => sameAsset(one, asset));
  const odd = moved.find((asset) => !isNamed(asset));
  const nameOf = ({ chain, address }: AssetOf): string => `${address} of ${chain}`;
  const reachable = facts.chain === undefined || named.some(({ chain }) => chain === facts.chain);
  const value = !facts.understood ? unknownEffect : odd === undefined ? list(moved.map(nameOf)) : nameOf(odd);
  return {
    holds: facts.understood && moved.length > 0 && odd === undefined,
    mayHold: moved.some(isNamed) || (!facts.understood && reachable),
    value,
    wanted: oneOf(named.map(({ name }) => name)),
  };
}

function findAmount(policy: Policy, when: When, facts: PolicyFacts): Finding {
  const bounds = when.amount!;
  const totals = assetsOf(policy, when).flatMap((asset) => {
    const total = totalOf(facts, asset);
    return total === undefined ? [] : [{ asset, total, fits: isWithin(bounds, total, asset.decimals) }];
  });
  const shown = totals.find(({ fits }) => !fits) ?? totals[0];
  const value =
    shown === undefined ? 'none' : `${formatUnits(shown.total, shown.asset.decimals)} ${shown.asset.name}`;
  return {
    holds: facts.understood && totals.length > 0 && totals.every(({ fits }) => fits),
    mayHold: !facts.understood || totals.some(({ fits }) => fits),
    value: facts.understood ? value : unknownEffect,
    wanted: describeBounds(bounds, shown && ` ${shown.asset.name}`),
  };
}

const findings: Readonly<Record<Condition, (policy: Policy, when: When, facts: PolicyFacts) => Finding>> = {
  kind: (_, { kind = [] }, facts) => known(kind.includes(facts.kind), facts.kind, oneOf(kind)),
  change: (_, { change = [] }, facts) =>
    known(facts.change !== undefined && change.includes(facts.change), facts.change ?? 'none', oneOf(change)),
  chain: (_, { chain = [] }, { kind, chain: own }) => {
    const holds = own !== undefined && chain.includes(own);
    // Typed data that names no chain is good on any.
    const mayHold = holds || (own === undefined && kind === 'evm.typedData');
    return { holds, mayHold, value: own ?? 'none', wanted: oneOf(chain) };
  },
  understood: (_, { understood }, facts) =>
    known(facts.understood === understood, String(facts.understood), String(understood)),
  program: (_, { program = [] }, { programs = [] }) => {
    const odd = programs.find((one) => !program.includes(one));
    return {
      holds: programs.length > 0 && odd === undefined,
      mayHold: programs.some((one) => program.includes(one)),
      value: odd ?? list(programs),
      wanted: oneOf(program),
    };
  },
  selector: (_, { selector = [] }, facts) =>
    known(
      facts.selector !== undefined && selector.includes(facts.selector),
      facts.selector ?? 'none',
      oneOf(selector),
    ),
  outputs: (_, { outputs = {} }, facts) =>
    known(
      facts.outputs !== undefined && isWithin(outputs, BigInt(facts.outputs), 0),
      String(facts.outputs ?? 'none'),
      describeBounds(outputs),
    ),
  asset: findAsset,
  to: findTo,
  amount: findAmount,
  fee: (_, { fee: bounds = {} }, { kind, fee }) => {
    const holds = fee !== undefined && isWithin(bounds, fee, 0);
    return {
      holds,
      mayHold: holds || kind === 'digest',
      value: String(fee ?? 'none'),
      wanted: describeBounds(bounds),
    };
  },
};

/** In which order conditions are told of: what an item is, before how much of it. */
const order = Object.keys(findings) as Condition[];

/**
 * The first condition of a rule, hours aside, by which it is not about an item; undefined: it is. For a rule that denies,
 * only what certainly does not hold counts.
 */
export function mismatch(policy: Policy, rule: Rule, facts: PolicyFacts): Mismatch | undefined {
  const denies = rule.effect === 'deny';
  const { when = {} } = rule;
  if (
    !denies &&
    when.kind === undefined &&
    when.change === undefined &&
    !transactionKinds.includes(facts.kind)
  ) {
    return {
      rule: rule.id,
      condition: 'kind',
      value: facts.kind,
      wanted: 'a transaction, as it names no kind',
    };
  }
  for (const condition of order) {
    if (when[condition] === undefined) continue;
    const found = findings[condition](policy, when, facts);
    if (!(denies ? found.mayHold : found.holds))
      return { rule: rule.id, condition, value: found.value, wanted: found.wanted };
  }
  return undefined;
}

/** `rule large: amount is 700 USDC, wanted is at most 500 USDC`. */
export function describeMismatch({ rule, condition, value, wanted }: Mismatch): string {
  return `rule ${rule}: ${condition} is ${value}, it must be ${wanted}`;
}
