// Policies judged by what docs/policy.md says, as plainly as possible: loops and no cleverness, importing nothing from what it
// checks. Thousands of generated cases compare the two.

export interface RefQuorum {
  k: number;
  of: string | string[];
  excludeInitiator?: true;
  credential?: string[];
}
export type RefTree = RefQuorum | { all: RefTree[] } | { any: RefTree[] };
export interface RefBounds {
  lt?: string;
  lte?: string;
  gt?: string;
  gte?: string;
}
export interface RefHours {
  tz: string;
  days: string;
  from: string;
  to: string;
}
export interface RefWhen {
  kind?: string[];
  change?: string[];
  chain?: string[];
  asset?: string[];
  to?: string[] | { in: string } | { notIn: string };
  amount?: RefBounds;
  fee?: RefBounds;
  selector?: string[];
  program?: string[];
  outputs?: RefBounds;
  understood?: boolean;
  hours?: RefHours;
}
export interface RefRule {
  id: string;
  effect: 'allow' | 'deny';
  when?: RefWhen;
  require?: RefTree;
  reject?: RefTree;
  delay?: string;
  ttl?: string;
  limit?: { amount: string; per: string; scope: 'key' | 'workspace' };
}
export interface RefPolicy {
  version: 1;
  groups?: { [name: string]: string[] };
  lists?: { [name: string]: string[] };
  assets?: { [name: string]: { chain: string; address: string; decimals: number } };
  rules: RefRule[];
}
export interface RefFacts {
  kind: string;
  change?: string;
  chain?: string;
  understood: boolean;
  movements: { chain: string; address: string; to: string[]; amount: bigint }[];
  fee?: bigint;
  called?: string;
  selector?: string;
  programs?: string[];
  outputs?: number;
  transaction?: string;
}
export interface RefItem {
  /** Nearest first. */
  levels: { policy: RefPolicy; owners: string[] }[];
  facts: RefFacts;
  keyId?: string;
}
export interface RefDebit {
  keyId: string;
  chain: string;
  address: string;
  amount: bigint;
  transaction?: string;
}
export interface RefSituation {
  items: RefItem[];
  initiator: string;
  /** Each with the kinds of credentials that signed. */
  approved: [string, string[]][];
  rejected: [string, string[]][];
  requestId: string;
  now: number;
  created: number;
  firstSeen: number;
  /** Undefined: not known. */
  ledger?: { entries: (RefDebit & { requestId: string; at: number })[]; usedUpUntil?: number };
}

export interface RefMissing {
  rule: string;
  need: number;
  have: string[];
}
export interface RefVerdict {
  verdict: 'denied' | 'rejected' | 'over' | 'waiting' | 'satisfied';
  missing: RefMissing[];
  holds: { rule: string; hold: 'delay' | 'hours' | 'limit' }[];
}

/** What was seen on the way, so that a test can tell that it saw everything. */
export type Seen = (what: string) => void;

const HOUR = 60 * 60 * 1000;

// ---- words and numbers

function durationOf(text: string): number {
  const count = Number(text.substring(0, text.length - 1));
  const unit = text[text.length - 1];
  if (unit === 's') return count * 1000;
  if (unit === 'm') return count * 60 * 1000;
  if (unit === 'h') return count * HOUR;
  if (unit === 'd') return count * 24 * HOUR;
  throw new Error(`unit ${unit}`);
}

/** A decimal number as a whole number of its last of so many digits after the point. */
function wholeOf(decimal: string, digits: number): bigint {
  let text = decimal;
  let after = 0;
  const point = decimal.indexOf('.');
  if (point >= 0) {
    text = decimal.substring(0, point) + decimal.substring(point + 1);
    after = decimal.length - point - 1;
  }
  let number = BigInt(text);
  for (let digit = after; digit < digits; digit++) number = number * 10n;
  return number;
}

function isWithinBounds(number: bigint, bounds: RefBounds, digits: number): boolean {
  if (bounds.lt !== undefined && !(number < wholeOf(bounds.lt, digits))) return false;
  if (bounds.lte !== undefined && !(number <= wholeOf(bounds.lte, digits))) return false;
  if (bounds.gt !== undefined && !(number > wholeOf(bounds.gt, digits))) return false;
  if (bounds.gte !== undefined && !(number >= wholeOf(bounds.gte, digits))) return false;
  return true;
}

function isSameAddress(one: string, other: string): boolean {
  if (one === other) return true;
  const anyCase = (address: string): boolean => {
    const lower = address.toLowerCase();
    if (lower.startsWith('0x')) return true;
    if (!lower.startsWith('bc1') && !lower.startsWith('tb1') && !lower.startsWith('bcrt1')) return false;
    return address === lower || address === address.toUpperCase();
  };
  return anyCase(one) && anyCase(other) && one.toLowerCase() === other.toLowerCase();
}

function isListed(address: string, list: string[]): boolean {
  for (const entry of list) if (isSameAddress(entry, address)) return true;
  return false;
}

// ---- assets

interface RefAsset {
  chain: string;
  address: string;
  digits: number;
}

function isSameAsset(
  one: { chain: string; address: string },
  other: { chain: string; address: string },
): boolean {
  return one.chain === other.chain && isSameAddress(one.address, other.address);
}

function namedAssets(policy: RefPolicy, when: RefWhen): RefAsset[] {
  const named: RefAsset[] = [];
  for (const name of when.asset ?? []) {
    const entry = policy.assets?.[name];
    if (entry) named.push({ chain: entry.chain, address: entry.address, digits: entry.decimals });
    else if (name === 'SOL') named.push({ chain: 'solana', address: 'native', digits: 0 });
    else if (name === 'BTC') named.push({ chain: 'bitcoin', address: 'native', digits: 0 });
    else named.push({ chain: when.chain![0]!, address: name, digits: 0 });
  }
  return named;
}

/** Every asset that moves, each once. If only a fee is paid, the coin is what moves. */
function movedAssets(facts: RefFacts): { chain: string; address: string }[] {
  const moved: { chain: string; address: string }[] = [];
  for (const movement of facts.movements) {
    let known = false;
    for (const one of moved) if (isSameAsset(one, movement)) known = true;
    if (!known) moved.push(movement);
  }
  if (moved.length === 0 && facts.chain !== undefined && facts.fee !== undefined && facts.fee > 0n)
    moved.push({ chain: facts.chain, address: 'native' });
  return moved;
}

/** What of an asset leaves: all its movements, and the fee if it is the coin of the chain. */
function totalOf(facts: RefFacts, asset: { chain: string; address: string }): bigint {
  let total = 0n;
  for (const movement of facts.movements) if (isSameAsset(movement, asset)) total += movement.amount;
  if (asset.address === 'native' && asset.chain === facts.chain && facts.fee !== undefined)
    total += facts.fee;
  return total;
}

// ---- conditions

/** For an allow rule: certainly holds for all of the item. */
function certainlyHolds(condition: string, policy: RefPolicy, when: RefWhen, facts: RefFacts): boolean {
  switch (condition) {
    case 'kind':
      return when.kind!.includes(facts.kind);
    case 'change':
      return facts.change !== undefined && when.change!.includes(facts.change);
    case 'chain':
      return facts.chain !== undefined && when.chain!.includes(facts.chain);
    case 'understood':
      return facts.understood === when.understood;
    case 'selector':
      return facts.selector !== undefined && when.selector!.includes(facts.selector);
    case 'outputs':
      return facts.outputs !== undefined && isWithinBounds(BigInt(facts.outputs), when.outputs!, 0);
    case 'fee':
      return facts.fee !== undefined && isWithinBounds(facts.fee, when.fee!, 0);
    case 'program': {
      if (facts.programs === undefined || facts.programs.length === 0) return false;
      for (const program of facts.programs) if (!when.program!.includes(program)) return false;
      return true;
    }
    case 'asset': {
      if (!facts.understood) return false;
      const moved = movedAssets(facts);
      if (moved.length === 0) return false;
      for (const asset of moved) {
        let isNamed = false;
        for (const named of namedAssets(policy, when)) if (isSameAsset(named, asset)) isNamed = true;
        if (!isNamed) return false;
      }
      return true;
    }
    case 'amount': {
      if (!facts.understood) return false;
      let some = false;
      for (const named of namedAssets(policy, when)) {
        let moves = false;
        for (const asset of movedAssets(facts)) if (isSameAsset(named, asset)) moves = true;
        if (!moves) continue;
        some = true;
        if (!isWithinBounds(totalOf(facts, named), when.amount!, named.digits)) return false;
      }
      return some;
    }
    case 'to': {
      const callsNamed = when.selector !== undefined && facts.called !== undefined;
      if (!facts.understood && !callsNamed) return false;
      const receivers = whoReceives(facts);
      if (receivers.length === 0) return false;
      for (const names of receivers) if (!fitsTo(policy, when, names)) return false;
      return true;
    }
  }
  throw new Error(`condition ${condition}`);
}

/** For a deny rule: holds, or may hold, for any part of the item. */
function mayHold(condition: string, policy: RefPolicy, when: RefWhen, facts: RefFacts): boolean {
  switch (condition) {
    case 'kind':
    case 'change':
    case 'understood':
    case 'selector':
    case 'outputs':
      return certainlyHolds(condition, policy, when, facts);
    case 'chain':
      if (facts.kind === 'evm.typedData' && facts.chain === undefined) return true;
      return certainlyHolds(condition, policy, when, facts);
    case 'fee':
      if (facts.kind === 'digest') return true;
      return certainlyHolds(condition, policy, when, facts);
    case 'program': {
      for (const program of facts.programs ?? []) if (when.program!.includes(program)) return true;
      return false;
    }
    case 'asset': {
      for (const named of namedAssets(policy, when)) {
        for (const asset of movedAssets(facts)) if (isSameAsset(named, asset)) return true;
        if (!facts.understood && (facts.chain === undefined || facts.chain === named.chain)) return true;
      }
      return false;
    }
    case 'amount': {
      if (!facts.understood) return true;
      for (const named of namedAssets(policy, when)) {
        let moves = false;
        for (const asset of movedAssets(facts)) if (isSameAsset(named, asset)) moves = true;
        if (moves && isWithinBounds(totalOf(facts, named), when.amount!, named.digits)) return true;
      }
      return false;
    }
    case 'to': {
      if (!facts.understood) return true;
      for (const names of whoReceives(facts)) if (fitsTo(policy, when, names)) return true;
      return false;
    }
  }
  throw new Error(`condition ${condition}`);
}

/** Names of everybody who receives; the called contract is one of them if the call is not understood. */
function whoReceives(facts: RefFacts): string[][] {
  const receivers: string[][] = [];
  for (const movement of facts.movements) receivers.push(movement.to);
  if (!facts.understood && facts.called !== undefined) receivers.push([facts.called]);
  return receivers;
}

function fitsTo(policy: RefPolicy, when: RefWhen, names: string[]): boolean {
  const to = when.to!;
  let list: string[];
  let inside = true;
  if (Array.isArray(to)) list = to;
  else if ('in' in to) list = policy.lists![to.in]!;
  else {
    list = policy.lists![to.notIn]!;
    inside = false;
  }
  let some = false;
  for (const name of names) if (isListed(name, list)) some = true;
  return some === inside;
}

const CONDITIONS = [
  'kind',
  'change',
  'chain',
  'understood',
  'program',
  'selector',
  'outputs',
  'asset',
  'to',
  'amount',
  'fee',
] as const;

function isAbout(policy: RefPolicy, rule: RefRule, facts: RefFacts, seen: Seen): boolean {
  const when = rule.when ?? {};
  let about = true;
  if (rule.effect === 'allow' && when.kind === undefined && when.change === undefined) {
    const transactions = ['solana.transaction', 'bitcoin.psbt', 'evm.transaction'];
    if (!transactions.includes(facts.kind)) {
      seen(`allow without kind: ${facts.kind}`);
      about = false;
    }
  }
  for (const condition of CONDITIONS) {
    if (when[condition] === undefined) continue;
    const holds =
      rule.effect === 'allow'
        ? certainlyHolds(condition, policy, when, facts)
        : mayHold(condition, policy, when, facts);
    seen(`${rule.effect} ${condition} ${holds ? 'holds' : 'fails'}`);
    if (!holds) about = false;
  }
  return about;
}

// ---- hours

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];

function daysOf(text: string): string[] {
  const days: string[] = [];
  for (const part of text.split(',')) {
    const [first, last] = part.split('-') as [string, string | undefined];
    let at = DAYS.indexOf(first);
    days.push(DAYS[at]!);
    while (last !== undefined && DAYS[at] !== last) {
      at = (at + 1) % 7;
      days.push(DAYS[at]!);
    }
  }
  return days;
}

/** Whether the clocks of the zone show an hour that is within. */
export function referenceWithin(hours: RefHours, time: number): boolean {
  const shown = new Intl.DateTimeFormat('en-GB', {
    timeZone: hours.tz,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  }).formatToParts(time);
  let today = '';
  let clock = '';
  for (const { type, value } of shown) {
    if (type === 'weekday') today = value.toLowerCase();
    if (type === 'hour') clock = value + clock;
    if (type === 'minute') clock = `${clock}:${value}`;
  }
  const yesterday = DAYS[(DAYS.indexOf(today) + 6) % 7]!;
  const days = daysOf(hours.days);
  // "08:00" and "18:00" have the same length: as text they are in the order of the day.
  if (hours.from < hours.to) return days.includes(today) && clock >= hours.from && clock < hours.to;
  return (days.includes(today) && clock >= hours.from) || (days.includes(yesterday) && clock < hours.to);
}

// ---- who must agree

function membersOf(policy: RefPolicy, of: string | string[], owners: string[]): string[] {
  if (of === 'owners') return owners;
  const names = typeof of === 'string' ? policy.groups![of]! : of;
  const members: string[] = [];
  for (const name of names) if (owners.includes(name)) members.push(name);
  return members;
}

/** Whether the tree is met, when each quorum counts those whom `counts` says. */
function isMet(tree: RefTree, counts: (quorum: RefQuorum) => string[]): boolean {
  if ('all' in tree) {
    for (const branch of tree.all) if (!isMet(branch, counts)) return false;
    return true;
  }
  if ('any' in tree) {
    for (const branch of tree.any) if (isMet(branch, counts)) return true;
    return false;
  }
  return counts(tree).length >= tree.k;
}

/** Quorums that are not met, but for those of branches that need no more. */
function notMet(tree: RefTree, counts: (quorum: RefQuorum) => string[]): RefQuorum[] {
  if (isMet(tree, counts)) return [];
  if ('all' in tree || 'any' in tree) {
    const found: RefQuorum[] = [];
    for (const branch of 'all' in tree ? tree.all : tree.any) found.push(...notMet(branch, counts));
    return found;
  }
  return [tree];
}

// ---- limits

/** What an item takes from limits. */
export function debitsOf(item: RefItem): RefDebit[] {
  const debits: RefDebit[] = [];
  const { facts, keyId } = item;
  if (keyId === undefined) return debits;
  const assets = movedAssets(facts);
  // The fee is taken from the coin, whatever else moves.
  if (facts.chain !== undefined) {
    const coin = { chain: facts.chain, address: 'native' };
    let known = false;
    for (const asset of assets) if (isSameAsset(asset, coin)) known = true;
    if (!known) assets.push(coin);
  }
  for (const { chain, address } of assets) {
    const amount = totalOf(facts, { chain, address });
    const debit: RefDebit = { keyId, chain, address, amount };
    if (facts.transaction !== undefined) debit.transaction = facts.transaction;
    if (amount > 0n) debits.push(debit);
  }
  return debits;
}

/** What debits take from the limit of an asset: a transaction that several items sign counts once, as the largest of them. */
function taken(
  asset: RefAsset,
  scope: 'key' | 'workspace',
  keyId: string | undefined,
  debits: RefDebit[],
): bigint {
  const counted: RefDebit[] = [];
  for (const debit of debits) {
    if (!isSameAsset(debit, asset)) continue;
    if (scope === 'key' && debit.keyId !== keyId) continue;
    counted.push(debit);
  }
  let sum = 0n;
  const transactions: string[] = [];
  for (const debit of counted) {
    if (debit.transaction === undefined) sum += debit.amount;
    else if (!transactions.includes(debit.transaction)) transactions.push(debit.transaction);
  }
  for (const transaction of transactions) {
    let largest = 0n;
    for (const debit of counted)
      if (debit.transaction === transaction && debit.amount > largest) largest = debit.amount;
    sum += largest;
  }
  return sum;
}

function hasRoom(
  policy: RefPolicy,
  rule: RefRule,
  item: RefItem,
  own: RefDebit[],
  situation: RefSituation,
): boolean {
  const { ledger, now, requestId } = situation;
  if (ledger === undefined) return false;
  if (ledger.usedUpUntil !== undefined && ledger.usedUpUntil > now) return false;
  const limit = rule.limit!;
  const asset = namedAssets(policy, rule.when!)[0]!;
  const all: RefDebit[] = [...own];
  for (const entry of ledger.entries) {
    if (entry.requestId === requestId) continue;
    if (entry.at + durationOf(limit.per) <= now) continue;
    all.push(entry);
  }
  return taken(asset, limit.scope, item.keyId, all) <= wholeOf(limit.amount, asset.digits);
}

// ---- verdicts

function judgeRule(
  policy: RefPolicy,
  owners: string[],
  rule: RefRule,
  item: RefItem,
  own: RefDebit[],
  situation: RefSituation,
  seen: Seen,
): RefVerdict {
  const { initiator, approved, rejected, now, created, firstSeen } = situation;
  const verdict = (word: RefVerdict['verdict']): RefVerdict => ({ verdict: word, missing: [], holds: [] });
  if (now >= created + durationOf(rule.ttl ?? '24h')) return verdict('over');

  const whoOf = (quorum: RefQuorum, decided: [string, string[]][]): string[] => {
    const who: string[] = [];
    for (const member of membersOf(policy, quorum.of, owners)) {
      if (quorum.excludeInitiator && member === initiator) {
        seen('initiator left out');
        continue;
      }
      for (const [name, credentials] of decided) {
        if (name !== member) continue;
        if (quorum.credential) {
          let fits = false;
          for (const credential of credentials) if (quorum.credential.includes(credential)) fits = true;
          seen(`credential ${fits ? 'fits' : 'does not fit'}`);
          if (!fits) continue;
        }
        who.push(member);
      }
    }
    return who;
  };
  const stillPossible = (quorum: RefQuorum): string[] => {
    const who: string[] = [];
    for (const member of membersOf(policy, quorum.of, owners)) {
      if (quorum.excludeInitiator && member === initiator) continue;
      let against = false;
      for (const [name] of rejected) if (name === member) against = true;
      if (!against) who.push(member);
    }
    return who;
  };

  if (rule.reject) {
    if (isMet(rule.reject, (quorum) => whoOf(quorum, rejected))) {
      seen('rejected by `reject`');
      return verdict('rejected');
    }
  } else if (!isMet(rule.require!, stillPossible)) {
    seen('rejected as it can no longer be met');
    return verdict('rejected');
  }

  const approvers = (quorum: RefQuorum): string[] => whoOf(quorum, approved);
  const missing: RefMissing[] = [];
  for (const quorum of notMet(rule.require!, approvers))
    missing.push({ rule: rule.id, need: quorum.k, have: approvers(quorum) });
  const holds: RefVerdict['holds'] = [];
  if (rule.delay !== undefined && now < firstSeen + durationOf(rule.delay))
    holds.push({ rule: rule.id, hold: 'delay' });
  const hours = rule.when?.hours;
  if (hours !== undefined && !referenceWithin(hours, now)) holds.push({ rule: rule.id, hold: 'hours' });
  if (rule.limit && !hasRoom(policy, rule, item, own, situation))
    holds.push({ rule: rule.id, hold: 'limit' });
  for (const { hold } of holds) seen(`held by ${hold}`);
  if (missing.length > 0 || holds.length > 0) return { verdict: 'waiting', missing, holds };
  return verdict('satisfied');
}

function judgeItem(item: RefItem, own: RefDebit[], situation: RefSituation, seen: Seen): RefVerdict {
  const verdict = (word: RefVerdict['verdict']): RefVerdict => ({ verdict: word, missing: [], holds: [] });
  const nearest = item.levels[0];
  const closed: RefVerdict['holds'] = [];
  let denied = false;
  for (const level of item.levels) {
    for (const rule of level.policy.rules) {
      if (rule.effect !== 'deny' || !isAbout(level.policy, rule, item.facts, seen)) continue;
      const hours = rule.when?.hours;
      if (hours === undefined) {
        denied = true;
        seen(level === nearest ? 'denied by the nearest' : 'denied from further up');
      } else if (referenceWithin(hours, situation.now)) {
        closed.push({ rule: rule.id, hold: 'hours' });
        seen('closed at this hour');
      }
    }
  }
  if (denied) return verdict('denied');

  const states: RefVerdict[] = [];
  for (const rule of nearest ? nearest.policy.rules : []) {
    if (rule.effect !== 'allow' || !isAbout(nearest!.policy, rule, item.facts, seen)) continue;
    if (rule.limit) {
      const asset = namedAssets(nearest!.policy, rule.when!)[0]!;
      // A request that by itself is more than the limit is not what the rule is about.
      if (taken(asset, rule.limit.scope, item.keyId, own) > wholeOf(rule.limit.amount, asset.digits)) {
        seen('more than the whole limit');
        continue;
      }
    }
    states.push(judgeRule(nearest!.policy, nearest!.owners, rule, item, own, situation, seen));
  }
  if (states.length === 0) {
    seen('no rule is about it');
    return verdict('denied');
  }
  for (const state of states)
    if (state.verdict === 'satisfied')
      return closed.length > 0 ? { verdict: 'waiting', missing: [], holds: closed } : verdict('satisfied');
  const waiting: RefVerdict = { verdict: 'waiting', missing: [], holds: [...closed] };
  let waits = false;
  for (const state of states) {
    if (state.verdict !== 'waiting') continue;
    waits = true;
    waiting.missing.push(...state.missing);
    waiting.holds.push(...state.holds);
  }
  if (waits) return waiting;
  for (const state of states) if (state.verdict === 'rejected') return verdict('rejected');
  return verdict('over');
}

/** Judges a request: as bad as the worst of its items. */
export function referenceVerdict(situation: RefSituation, seen: Seen = () => undefined): RefVerdict {
  const own: RefDebit[] = [];
  for (const item of situation.items) own.push(...debitsOf(item));
  const verdicts: RefVerdict[] = [];
  for (const item of situation.items) verdicts.push(judgeItem(item, own, situation, seen));
  if (verdicts.length === 0) return { verdict: 'denied', missing: [], holds: [] };
  for (const worst of ['denied', 'rejected', 'over'] as const)
    for (const { verdict } of verdicts)
      if (verdict === worst) return { verdict: worst, missing: [], holds: [] };
  const whole: RefVerdict = { verdict: 'satisfied', missing: [], holds: [] };
  for (const { verdict, missing, holds } of verdicts) {
    if (verdict !== 'waiting') continue;
    whole.verdict = 'waiting';
    whole.missing.push(...missing);
    whole.holds.push(...holds);
  }
  return whole;
}

// ---- decisions

export interface RefDecision {
  principal: string;
  seq: number;
  decision: 'approve' | 'reject' | 'withdraw';
  /** Milliseconds since 1970, of an approval. */
  expires?: number;
  /** Kind of the credential that signed it. */
  credential: string;
}

/** Where everybody stands by their latest decisions. */
export function referencePositions(
  initiator: string,
  initiatorCredential: string,
  decisions: RefDecision[],
  now: number,
): { approved: [string, string[]][]; rejected: [string, string[]][] } {
  const approved: [string, string[]][] = [];
  const rejected: [string, string[]][] = [];
  const names = [initiator];
  for (const { principal } of decisions) if (!names.includes(principal)) names.push(principal);
  for (const name of names) {
    let latest = 0;
    for (const { principal, seq } of decisions) if (principal === name && seq > latest) latest = seq;
    const last = decisions.filter(({ principal, seq }) => principal === name && seq === latest);
    const words = last.map(({ decision }) => decision);
    // Rejections count before withdrawals, and these before approvals.
    if (words.includes('reject')) {
      const by = last.filter(({ decision }) => decision === 'reject').map(({ credential }) => credential);
      rejected.push([name, by]);
      continue;
    }
    if (words.includes('withdraw')) continue;
    const credentials: string[] = name === initiator ? [initiatorCredential] : [];
    let holds = name === initiator;
    let first = Infinity;
    for (const { expires } of last) if (expires! < first) first = expires!;
    for (const { expires, credential } of last) {
      if (expires !== first || first <= now) continue;
      credentials.push(credential);
      holds = true;
    }
    if (holds) approved.push([name, credentials]);
  }
  return { approved, rejected };
}
