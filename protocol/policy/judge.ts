// A planned action in time: who has decided, how late it is, what limits have left. Approvals count per principal.
import { formatUnits } from 'viem/utils';
import { timestamp } from '../records/fields.ts';
import type { Hex } from '../hex.ts';
import { nextChange, within } from './hours.ts';
import {
  type Debit,
  type MemberQuorum,
  type MemberTree,
  type Plan,
  type PlannedItem,
  type PlannedLimit,
  type PlannedRule,
  Taken,
} from './plan.ts';
import type { CredentialType } from './schema.ts';

/** Those who decided one way, each with the kinds of credentials that signed the decision. */
export type Decided = ReadonlyMap<string, readonly CredentialType[]>;

/** Who has decided what: the latest decision of each principal, those run out left out. */
export interface Standing {
  readonly initiator: string;
  readonly approved: Decided;
  readonly rejected: Decided;
}

/** A debit that was made: by a request that was, or may have been, signed. */
export interface LedgerEntry extends Debit {
  readonly requestId: Hex;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** What was taken from the limits of a workspace, as far back as the longest of them. */
export interface Ledger {
  readonly entries: readonly LedgerEntry[];
  /** Of a verifier that may have forgotten debits: until then it takes every limit for used up. Milliseconds since 1970. */
  readonly usedUpUntil?: number;
}

/** When an action is judged. All in milliseconds since 1970. */
export interface Moment {
  readonly requestId: Hex;
  readonly now: number;
  /** When it was made, by its own word. */
  readonly created: number;
  /** When this verifier first saw it: delays count from then. */
  readonly firstSeen: number;
  /** Without one, limits allow nothing. */
  readonly ledger?: Ledger;
}

/** Approvals that a rule still wants. */
export interface Missing {
  readonly rule: string;
  readonly need: number;
  readonly have: readonly string[];
  /** Members of the group who have not decided, or whose approval ran out. */
  readonly from: readonly string[];
  /** Kinds of credentials of which one must sign. */
  readonly credential?: readonly CredentialType[];
}

/** What a rule waits for that nobody has to decide. */
export interface Hold {
  readonly rule: string;
  readonly hold: 'delay' | 'hours' | 'limit';
  /** When that is over, as far as it is known; milliseconds since 1970. */
  readonly until?: number;
  readonly detail: string;
}

type Timed = {
  /** The first moment at which time alone can change this, in milliseconds since 1970. */
  readonly until?: number;
};

export type PolicyVerdict = Timed &
  (
    | { readonly verdict: 'satisfied'; readonly rules: readonly string[] }
    | { readonly verdict: 'waiting'; readonly missing: readonly Missing[]; readonly holds: readonly Hold[] }
    | { readonly verdict: 'rejected'; readonly reason: string; readonly by: readonly string[] }
    /** Every rule that could have allowed it has outlived its time. */
    | { readonly verdict: 'over'; readonly reason: string }
  );

/** Members whose decision counts towards a quorum. */
function counted(quorum: MemberQuorum, decided: Decided, initiator: string): readonly string[] {
  return eligible(quorum, initiator).filter((name) => {
    const signed = decided.get(name);
    return (
      signed !== undefined &&
      (quorum.credential === undefined || quorum.credential.some((kind) => signed.includes(kind)))
    );
  });
}

function eligible({ members, excludeInitiator }: MemberQuorum, initiator: string): readonly string[] {
  return excludeInitiator ? members.filter((name) => name !== initiator) : members;
}

function every(tree: MemberTree, met: (quorum: MemberQuorum) => boolean): boolean {
  if ('k' in tree) return met(tree);
  if ('all' in tree) return tree.all.every((branch) => every(branch, met));
  return tree.any.some((branch) => every(branch, met));
}

/** Quorums that are not met, where meeting them would help. */
function unmet(tree: MemberTree, met: (quorum: MemberQuorum) => boolean): readonly MemberQuorum[] {
  if (every(tree, met)) return [];
  if ('k' in tree) return [tree];
  return ('all' in tree ? tree.all : tree.any).flatMap((branch) => unmet(branch, met));
}

const earliest = (...times: readonly (number | undefined)[]): Timed => {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? {} : { until: Math.min(...known) };
};

function rejection(rule: PlannedRule, { initiator, rejected }: Standing): PolicyVerdict | undefined {
  const { id, require, reject } = rule;
  const by = [...rejected.keys()];
  if (reject !== undefined) {
    const against = (quorum: MemberQuorum): boolean =>
      counted(quorum, rejected, initiator).length >= quorum.k;
    if (!every(reject, against)) return undefined;
    return { verdict: 'rejected', reason: `rule ${id}: rejected by ${by.join(', ')}`, by };
  }
  const left = (quorum: MemberQuorum): number =>
    eligible(quorum, initiator).filter((name) => !rejected.has(name)).length;
  if (every(require, (quorum) => left(quorum) >= quorum.k)) return undefined;
  const [short] = unmet(require, (quorum) => left(quorum) >= quorum.k);
  const wants = `rule ${id} needs ${short!.k} of ${eligible(short!, initiator).length}`;
  return { verdict: 'rejected', reason: `${wants}, and ${by.join(', ') || 'nobody'} rejected`, by };
}

function holdOfLimit(
  id: string,
  limit: PlannedLimit,
  keyId: Hex | undefined,
  debits: readonly Debit[],
  { now, ledger, requestId }: Moment,
): Hold | undefined {
  const hold = (detail: string, until?: number): Hold => ({
    rule: id,
    hold: 'limit',
    detail,
    ...earliest(until),
  });
  if (ledger === undefined) return hold('what was taken from the limit is not known here');
  const { usedUpUntil = 0 } = ledger;
  if (usedUpUntil > now)
    return hold(
      `taken for used up until ${timestamp(usedUpUntil)}, as debits may have been forgotten`,
      usedUpUntil,
    );
  const inWindow = ledger.entries.filter(
    (entry) => entry.at > now - limit.perMs && entry.requestId !== requestId,
  );
  const taken = new Taken(limit, keyId);
  for (const debit of debits) taken.add(debit);
  const own = taken.sum;
  // The oldest debits leave the window first: the newest of those that do not fit all is the last that has to.
  const newestFirst = inWindow.toSorted((one, other) => other.at - one.at);
  let last: LedgerEntry | undefined;
  for (const entry of newestFirst) {
    taken.add(entry);
    if (last === undefined && taken.sum > limit.amount) last = entry;
  }
  if (taken.sum <= limit.amount) return undefined;
  const shown = (units: bigint): string => formatUnits(units, limit.decimals);
  const used = shown(taken.sum - own);
  const detail = `${used} of ${shown(limit.amount)} ${limit.name} are used, this takes ${shown(own)}`;
  // What takes more than there is by itself waits for nothing.
  return last === undefined || own > limit.amount ? hold(detail) : hold(detail, last.at + limit.perMs);
}

function judgeRule(
  rule: PlannedRule,
  keyId: Hex | undefined,
  debits: readonly Debit[],
  standing: Standing,
  moment: Moment,
): PolicyVerdict {
  const { id, require, delayMs, ttlMs, hours, limit } = rule;
  const { now, created, firstSeen } = moment;
  const ends = created + ttlMs;
  if (now >= ends) return { verdict: 'over', reason: `rule ${id} allows nothing after ${timestamp(ends)}` };
  const rejected = rejection(rule, standing);
  if (rejected !== undefined) return rejected;
  const approves = (quorum: MemberQuorum): boolean =>
    counted(quorum, standing.approved, standing.initiator).length >= quorum.k;
  const missing = unmet(require, approves).map((quorum) => {
    const have = counted(quorum, standing.approved, standing.initiator);
    const from = eligible(quorum, standing.initiator).filter(
      (name) => !have.includes(name) && !standing.rejected.has(name),
    );
    return {
      rule: id,
      need: quorum.k,
      have,
      from,
      ...(quorum.credential && { credential: quorum.credential }),
    };
  });
  const holds: Hold[] = [];
  const ready = firstSeen + delayMs;
  if (delayMs > 0 && now < ready)
    holds.push({ rule: id, hold: 'delay', until: ready, detail: `not before ${timestamp(ready)}` });
  const change = hours && nextChange(hours, now);
  if (hours !== undefined && !within(hours, now)) {
    const { days, from, to, tz } = hours;
    holds.push({
      rule: id,
      hold: 'hours',
      ...earliest(change),
      detail: `only ${days} from ${from} to ${to} ${tz}`,
    });
  }
  const full = limit && holdOfLimit(id, limit, keyId, debits, moment);
  if (full !== undefined) holds.push(full);
  const until = earliest(ends, change, ...holds.map((hold) => hold.until));
  return missing.length + holds.length > 0
    ? { verdict: 'waiting', missing, holds, ...until }
    : { verdict: 'satisfied', rules: [id], ...until };
}

/** Any one allowing rule suffices; an item is rejected only when every one of them is, or over. */
function judgeItem(
  item: PlannedItem,
  debits: readonly Debit[],
  standing: Standing,
  moment: Moment,
): PolicyVerdict {
  const { now } = moment;
  const ways = item.rules.map((rule) => judgeRule(rule, item.keyId, debits, standing, moment));
  const closures = item.closed.map(({ id, hours }) => ({ id, hours, change: nextChange(hours, now) }));
  const until = earliest(...ways.map((way) => way.until), ...closures.map(({ change }) => change));
  const shut: Hold[] = closures
    .filter(({ hours }) => within(hours, now))
    .map(({ id, hours, change }) => ({
      rule: id,
      hold: 'hours',
      ...earliest(change),
      detail: `nothing ${hours.days} from ${hours.from} to ${hours.to} ${hours.tz}`,
    }));
  const satisfied = ways.find(({ verdict }) => verdict === 'satisfied');
  if (satisfied !== undefined) {
    return shut.length > 0
      ? { verdict: 'waiting', missing: [], holds: shut, ...until }
      : { ...satisfied, ...until };
  }
  const waiting = ways.filter((way) => way.verdict === 'waiting');
  if (waiting.length > 0) {
    return {
      verdict: 'waiting',
      missing: waiting.flatMap(({ missing }) => missing),
      holds: [...shut, ...waiting.flatMap(({ holds }) => holds)],
      ...until,
    };
  }
  // The others are over.
  return ways.find(({ verdict }) => verdict === 'rejected') ?? ways[0]!;
}

/** Each once: items under the same rules want the same. */
function distinctOf<Value>(values: readonly Value[]): Value[] {
  return [...new Map(values.map((value) => [JSON.stringify(value), value])).values()];
}

/**
 * Whether every item has a rule whose approvals are there, whatever time and limits have in its way: another rule of the item
 * may lack approvals all the while.
 */
export function hasApprovals(plan: Plan, standing: Standing, moment: Moment): boolean {
  return plan.items.every((item) =>
    item.rules.some((rule) => {
      const way = judgeRule(rule, item.keyId, plan.debits, standing, moment);
      return way.verdict === 'satisfied' || (way.verdict === 'waiting' && way.missing.length === 0);
    }),
  );
}

/** Judges a planned action: every item must be allowed. One rejected item rejects the whole. */
export function judgePlan(plan: Plan, standing: Standing, moment: Moment): PolicyVerdict {
  const verdicts = plan.items.map((item) => judgeItem(item, plan.debits, standing, moment));
  const worst =
    verdicts.find(({ verdict }) => verdict === 'rejected') ??
    verdicts.find(({ verdict }) => verdict === 'over');
  if (worst !== undefined) return worst;
  const until = earliest(...verdicts.map((verdict) => verdict.until));
  const waiting = verdicts.filter((verdict) => verdict.verdict === 'waiting');
  if (waiting.length > 0) {
    return {
      verdict: 'waiting',
      missing: distinctOf(waiting.flatMap(({ missing }) => missing)),
      holds: distinctOf(waiting.flatMap(({ holds }) => holds)),
      ...until,
    };
  }
  return {
    verdict: 'satisfied',
    rules: verdicts.flatMap((verdict) => (verdict.verdict === 'satisfied' ? verdict.rules : [])),
    ...until,
  };
}
