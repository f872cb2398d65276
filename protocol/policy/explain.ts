// A policy in words, and what in it an owner should know before agreeing to it.
import { type Bounds, membersOf, type Policy, quorumsOf, type Rule, type Tree, type When } from './schema.ts';

/** `2 of ops (ops-1, ops-2, ops-3), without the initiator`. */
function describeQuorums(policy: Policy, tree: Tree): string {
  if ('all' in tree) return tree.all.map((branch) => bracketed(policy, branch)).join(' and ');
  if ('any' in tree) return tree.any.map((branch) => bracketed(policy, branch)).join(' or ');
  const { k, of, excludeInitiator, credential } = tree;
  const members = typeof of === 'string' ? policy.groups?.[of] : undefined;
  const group =
    of === 'owners'
      ? 'all owners'
      : typeof of === 'string'
        ? `${of} (${(members ?? []).join(', ')})`
        : of.join(', ');
  const without = excludeInitiator ? ', without the initiator' : '';
  const signed = credential === undefined ? '' : `, signed with ${credential.join(' or ')}`;
  return `${k} of ${group}${without}${signed}`;
}

function bracketed(policy: Policy, tree: Tree): string {
  return 'k' in tree ? describeQuorums(policy, tree) : `(${describeQuorums(policy, tree)})`;
}

const signs: Readonly<Record<keyof Bounds, string>> = { lt: '<', lte: '<=', gt: '>', gte: '>=' };
function describeBounds(bounds: Bounds): string {
  const entries = Object.entries(bounds) as [keyof Bounds, string][];
  return entries.map(([sign, bound]) => `${signs[sign]} ${bound}`).join(' and ');
}

function describeWhen({ kind, when }: { kind: string; when: When }): string {
  const { change, chain, asset, to, amount, fee, selector, program, outputs, understood, hours } = when;
  const parts = [
    when.kind === undefined && change !== undefined ? '' : kind,
    change && `change ${change.join(', ')}`,
    chain && `on ${chain.join(', ')}`,
    asset && `of ${asset.join(', ')}`,
    amount && `amount ${describeBounds(amount)}`,
    to &&
      (Array.isArray(to)
        ? `to ${to.join(', ')}`
        : 'in' in to
          ? `to list ${to.in}`
          : `to nobody in list ${to.notIn}`),
    fee && `fee ${describeBounds(fee)} base units`,
    selector && `calling ${selector.join(', ')}`,
    program && `by programs ${program.join(', ')}`,
    outputs && `outputs ${describeBounds(outputs)}`,
    understood === undefined ? undefined : understood ? 'understood' : 'not understood',
    hours && `${hours.days} ${hours.from} to ${hours.to} ${hours.tz}`,
  ];
  return parts.filter((part) => part !== undefined && part !== '').join('; ');
}

/** A rule in one line. */
export function describeRule(policy: Policy, rule: Rule): string {
  const { id, effect, when, require, reject, delay, ttl, limit } = rule;
  const kind = when?.kind?.join(', ') ?? (effect === 'deny' ? 'everything' : 'transactions');
  return [
    `${id}: ${effect} ${when === undefined ? kind : describeWhen({ kind, when })}`,
    require && `approved by ${describeQuorums(policy, require)}`,
    reject && `refused by ${describeQuorums(policy, reject)}`,
    delay && `not before ${delay} have passed`,
    ttl && `within ${ttl}`,
    limit && `at most ${limit.amount} ${when?.asset?.[0] ?? ''} in ${limit.per} for each ${limit.scope}`,
  ]
    .filter((part) => part !== undefined)
    .join(', ');
}

/**
 * A policy in lines: its rules, then what the lists and assets stand for that they name. Under the same rules another list
 * pays somebody else, so whoever is asked to agree is shown both.
 */
export function describePolicy(policy: Policy): string[] {
  const { rules, lists = {}, assets = {} } = policy;
  return [
    ...rules.map((rule) => describeRule(policy, rule)),
    ...Object.entries(lists).map(([name, addresses]) => `list ${name}: ${addresses.join(', ')}`),
    ...Object.entries(assets).map(
      ([name, { chain, address, decimals }]) => `asset ${name}: ${address} on ${chain}, ${decimals} decimals`,
    ),
  ];
}

/** What a policy allows that its owners may not expect. Empty: nothing of the kind. */
export function policyWarnings(policy: Policy, owners: readonly string[]): string[] {
  const allowing = policy.rules.filter(({ effect }) => effect === 'allow');
  const alone = allowing.filter(
    ({ require, when }) =>
      require !== undefined &&
      owners.length > 1 &&
      owners.some((name) => metByOne(policy, require, name, owners)) &&
      (when?.amount?.lt ?? when?.amount?.lte) === undefined &&
      when?.change === undefined &&
      !(when?.kind?.every((kind) => kind === 'key.request') ?? false),
  );
  const blind = allowing.filter(({ when }) =>
    when?.kind?.some((kind) => kind === 'digest' || kind === 'evm.typedData'),
  );
  const fees = allowing.filter(
    ({ when }) =>
      when?.amount !== undefined &&
      when.fee === undefined &&
      when.asset?.some(
        (name) => (policy.assets?.[name]?.address ?? name) !== 'native' && name !== 'SOL' && name !== 'BTC',
      ),
  );
  return [
    ...alone.map(({ id }) => `rule ${id}: one owner alone can have this signed`),
    ...blind.map(({ id }) => `rule ${id}: allows bytes whose effect is not told by them`),
    ...fees.map(({ id }) => `rule ${id}: bounds a token's amount, but not the fee: add \`fee\``),
    ...allowing.flatMap((rule) => overlaps(policy, rule, owners)),
  ];
}

/** Whether one who asks needs nobody else. */
function metByOne(policy: Policy, tree: Tree, name: string, owners: readonly string[]): boolean {
  if ('all' in tree) return tree.all.every((branch) => metByOne(policy, branch, name, owners));
  if ('any' in tree) return tree.any.some((branch) => metByOne(policy, branch, name, owners));
  const { k, of, excludeInitiator } = tree;
  return k === 1 && excludeInitiator === undefined && membersOf(policy, of, owners).includes(name);
}

/** Groups that must all agree, and share members: one person then counts in each. */
function overlaps(policy: Policy, { id, require }: Rule, owners: readonly string[]): string[] {
  if (require === undefined || !('all' in require)) return [];
  const groups = require.all.map((branch) =>
    quorumsOf(branch).flatMap(({ of }) => membersOf(policy, of, owners)),
  );
  const shared = new Set(
    groups.flatMap((members, index) =>
      members.filter((name) => groups.some((other, at) => at > index && other.includes(name))),
    ),
  );
  return shared.size === 0
    ? []
    : [`rule ${id}: ${[...shared].join(', ')} counts for more than one of its groups`];
}
