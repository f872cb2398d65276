// Generated policies, items, decisions and moments. Rules are made for the items that they judge, more often than not, so that
// conditions hold as often as they fail.
import type {
  RefBounds,
  RefDebit,
  RefFacts,
  RefHours,
  RefItem,
  RefPolicy,
  RefQuorum,
  RefRule,
  RefSituation,
  RefTree,
  RefWhen,
} from '../reference/policy.ts';

export const people = ['alice', 'bob', 'carol', 'dave'];
const names = [...people, 'erin'];
const groups = { ops: ['alice', 'bob'], risk: ['carol', 'dave'], mixed: ['bob', 'carol', 'erin'] };

/** Addresses that the lists and assets of generated policies name, beside some that they do not. */
export const evm = {
  friend: '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed',
  sameFriend: '0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed',
  other: '0x1111111111111111111111111111111111111111',
  token: '0x2222222222222222222222222222222222222222',
  contract: '0x3333333333333333333333333333333333333333',
};
export const solana = {
  friend: '9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin',
  /** Another address: case matters there. */
  almost: '9xqeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin',
  owner: 'bc1mdDMX6yv4QnPPqk1VyD4CzyYtnqRvbD3CxqV1zjzc',
  mint: 'EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v',
};
export const bitcoin = {
  friend: 'bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4',
  sameFriend: 'BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4',
  other: '3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy',
};
const lists = {
  friends: [evm.friend, solana.friend, bitcoin.friend],
  // What is begun as an address of Bitcoin's is compared exactly when it has letters of both cases.
  others: [evm.other, evm.contract, solana.owner.replace('bc1m', 'bc1M'), bitcoin.other],
};
const assets = {
  USDC: { chain: 'eip155:1', address: evm.token, decimals: 2 },
  ETH: { chain: 'eip155:1', address: 'native', decimals: 1 },
  LAMP: { chain: 'solana', address: 'native', decimals: 1 },
  MINT: { chain: 'solana', address: solana.mint, decimals: 0 },
  COIN: { chain: 'bitcoin', address: 'native', decimals: 2 },
};
const programs = [
  '11111111111111111111111111111111',
  'ComputeBudget111111111111111111111111111111',
  solana.mint,
];
const selectors = ['0xa9059cbb', '0x095ea7b3', '0x12345678'];
const chains = ['solana', 'bitcoin', 'eip155:1', 'eip155:10'];
const kinds = [
  'solana.transaction',
  'bitcoin.psbt',
  'evm.transaction',
  'message',
  'evm.message',
  'evm.typedData',
  'digest',
  'key.request',
  'workspace.change',
];
const changes = ['owner.add', 'freeze', 'policy.sign'];
const credentials = ['ed25519', 'eip712', 'webauthn'];
const keyIds = ['0a', '0b'].map((byte) => `0x${byte.repeat(32)}`);
export const ownRequest = `0x${'01'.repeat(32)}`;
const otherRequest = `0x${'02'.repeat(32)}`;
const transactions = ['0e', '0f'].map((byte) => `0x${byte.repeat(32)}`);
const huge = 2n ** 255n;
const amounts = [0n, 1n, 5n, 9n, 10n, 11n, 19n, 20n, 21n, 50n, 99n, 100n, 101n, 200n, huge];
const bounds = ['0', '1', '2', '5', '9', '10', '20', '100', '500'];
const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const zones = [
  'UTC',
  'Europe/Zurich',
  'America/New_York',
  'Australia/Lord_Howe',
  'Asia/Kathmandu',
  'Africa/Casablanca',
  'Pacific/Chatham',
];
/** Clocks are put on or back at or near these. */
const changesOfClocks = [
  '2030-03-31T01:00:00Z',
  '2030-10-27T01:00:00Z',
  '2030-03-10T07:00:00Z',
  '2030-11-03T06:00:00Z',
  '2030-04-06T15:00:00Z',
].map((time) => Date.parse(time));

/** Draws that a seed decides: 32 bits of it, by a generator that is as plain as it is quick (mulberry32). */
export class Draw {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  int(least: number, most: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return least + (((mixed ^ (mixed >>> 14)) >>> 0) % (most - least + 1));
  }

  /** True in so many of a hundred. */
  chance(percent: number): boolean {
    return this.int(0, 99) >= 100 - percent;
  }

  of<Value>(values: readonly Value[]): Value {
    return values[this.int(0, values.length - 1)]!;
  }

  some<Value>(values: readonly Value[], least = 1, most = values.length): Value[] {
    const left = [...values];
    const count = this.int(least, Math.min(most, left.length));
    return Array.from({ length: count }, () => left.splice(this.int(0, left.length - 1), 1)[0]!);
  }
}

// ---- items

function movementsOn(draw: Draw, chain: string, count: number): RefFacts['movements'] {
  return Array.from({ length: count }, () => {
    const amount = draw.of(amounts);
    if (chain === 'solana') {
      const address = draw.of(['native', 'native', solana.mint]);
      const to = draw.of([[solana.friend], [solana.almost], [solana.almost, solana.friend], [solana.owner]]);
      return { chain, address, to, amount };
    }
    if (chain === 'bitcoin') {
      const to = [draw.of([bitcoin.friend, bitcoin.sameFriend, bitcoin.other, `0x${'6a04'.repeat(8)}`])];
      return { chain, address: 'native', to, amount };
    }
    const address = draw.of(['native', evm.token, evm.token.toUpperCase().replace('0X', '0x'), evm.other]);
    return { chain, address, to: [draw.of([evm.friend, evm.sameFriend, evm.other, evm.contract])], amount };
  });
}

function drawFacts(draw: Draw, kind: string): RefFacts {
  const understood = draw.chance(75);
  const fee = draw.of([0n, 1n, 5n, 10n, 100n]);
  switch (kind) {
    case 'solana.transaction':
      return {
        kind,
        chain: 'solana',
        understood,
        movements: movementsOn(draw, 'solana', draw.int(0, 3)),
        fee,
        programs: draw.some(programs, 0),
      };
    case 'bitcoin.psbt': {
      const movements = movementsOn(draw, 'bitcoin', draw.int(0, 3));
      const facts: RefFacts = {
        kind,
        chain: 'bitcoin',
        understood,
        movements,
        fee,
        outputs: movements.length,
      };
      if (draw.chance(70)) facts.transaction = draw.of(transactions);
      return facts;
    }
    case 'evm.transaction': {
      const chain = draw.of(['eip155:1', 'eip155:1', 'eip155:10']);
      const movements = movementsOn(draw, chain, understood ? 1 : draw.int(0, 1));
      const facts: RefFacts = { kind, chain, understood, movements, fee };
      if (!understood || draw.chance(50)) {
        if (draw.chance(85)) facts.called = draw.of([evm.token, evm.contract, evm.friend]);
        if (facts.called !== undefined && draw.chance(80)) facts.selector = draw.of(selectors);
      }
      return facts;
    }
    case 'evm.typedData': {
      const facts: RefFacts = { kind, understood: false, movements: [] };
      if (draw.chance(70)) facts.chain = draw.of(['eip155:1', 'eip155:10']);
      if (draw.chance(50)) {
        facts.understood = facts.chain !== undefined;
        facts.movements = movementsOn(draw, facts.chain ?? '', 1);
      }
      return facts;
    }
    case 'digest':
      return { kind, chain: 'solana', understood: false, movements: [], programs: draw.some(programs, 0) };
    case 'workspace.change':
      return { kind, change: draw.of(changes), understood: true, movements: [] };
    default:
      return { kind, understood: true, movements: [] };
  }
}

// ---- policies

function drawBounds(draw: Draw, values: readonly string[]): RefBounds {
  const found: RefBounds = {};
  if (draw.chance(70)) {
    const upper = draw.of(values.slice(values.length >> 1));
    if (draw.chance(50)) found.lte = upper;
    else found.lt = upper;
  }
  if (Object.keys(found).length === 0 || draw.chance(20)) {
    const lower = draw.of(values);
    if (draw.chance(50)) found.gte = lower;
    else found.gt = lower;
  }
  return found;
}

const two = (number: number): string => String(number).padStart(2, '0');

export function drawHours(draw: Draw): RefHours {
  const clock = (): string => `${two(draw.int(0, 23))}:${draw.of(['00', '30', '45', two(draw.int(0, 59))])}`;
  const [from, to] = [clock(), clock()];
  const days = draw.of([
    'mon-fri',
    'sat',
    'sun-mon',
    'mon-sun',
    'mon,wed,fri',
    'fri-tue',
    'sun',
    'tue,sat-sun',
  ]);
  return {
    tz: draw.of(zones),
    days,
    from,
    to: to === from ? `${two((Number(to.slice(0, 2)) + 1) % 24)}:00` : to,
  };
}

/** Symbols and addresses by which a policy names what moves. */
function drawAssets(draw: Draw, facts: RefFacts, when: RefWhen): string[] {
  const moved = facts.movements.flatMap(({ chain, address }) =>
    Object.entries(assets).flatMap(([name, entry]) =>
      entry.chain === chain && entry.address.toLowerCase() === address.toLowerCase() ? [name] : [],
    ),
  );
  const coin =
    facts.chain === 'solana' ? ['LAMP', 'SOL'] : facts.chain === 'bitcoin' ? ['COIN', 'BTC'] : ['ETH'];
  if (draw.chance(75)) {
    const chosen = [...new Set(moved.length > 0 ? moved : [draw.of(coin)])];
    if (draw.chance(20) && when.chain?.length === 1)
      return [draw.of(facts.chain === 'solana' ? ['native', solana.mint] : ['native', evm.token])];
    return draw.chance(25) ? [...new Set([...chosen, ...draw.some(Object.keys(assets), 1, 2)])] : chosen;
  }
  if (draw.chance(30)) return [draw.of(['SOL', 'BTC'])];
  return draw.some(Object.keys(assets), 1, 3);
}

function drawTo(draw: Draw, facts: RefFacts): NonNullable<RefWhen['to']> {
  if (draw.chance(25)) return { notIn: draw.of(['friends', 'others']) };
  if (draw.chance(60)) return { in: draw.of(['friends', 'others']) };
  const received = facts.movements.flatMap(({ to }) => to).filter((to) => !to.startsWith('0x6a'));
  const called = facts.called === undefined ? [] : [facts.called];
  const near = [...new Set([...received, ...called])];
  return near.length > 0 && draw.chance(70) ? near : [draw.of([evm.friend, solana.friend, bitcoin.other])];
}

function drawWhen(draw: Draw, facts: RefFacts): RefWhen {
  const when: RefWhen = {};
  const wants = (percent: number): boolean => draw.chance(percent);
  if (facts.kind === 'workspace.change' && wants(60))
    when.change = wants(70) ? [facts.change!] : draw.some(changes);
  else if (wants(5)) when.change = draw.some(changes);
  const transaction = facts.kind.endsWith('.transaction') || facts.kind === 'bitcoin.psbt';
  if (wants(transaction ? 25 : 75))
    when.kind = wants(80) ? [...new Set([facts.kind, ...draw.some(kinds, 0, 2)])] : draw.some(kinds, 1, 3);
  if (wants(25)) {
    const own = facts.chain !== undefined && wants(75) ? [facts.chain] : [draw.of(chains)];
    when.chain = wants(30) ? [...new Set([...own, draw.of(chains)])] : own;
  }
  if (wants(40)) {
    when.asset = drawAssets(draw, facts, when);
    if (wants(60)) {
      const digits = when.asset.map((name) => assets[name as keyof typeof assets]?.decimals ?? 0);
      const fine = Math.min(...digits) > 0 && wants(40);
      when.amount = drawBounds(draw, fine ? ['0.1', '0.5', '0.9', '1.1', '5', '10.1'] : bounds);
    }
  }
  if (wants(25)) when.to = drawTo(draw, facts);
  if (wants(facts.fee === undefined ? 6 : 15)) when.fee = drawBounds(draw, bounds);
  if (wants(facts.called === undefined ? 3 : 45))
    when.selector = facts.selector !== undefined && wants(70) ? [facts.selector] : draw.some(selectors, 1, 2);
  if (wants(facts.programs === undefined ? 3 : 25)) when.program = draw.some(programs, wants(50) ? 3 : 1);
  if (wants(facts.outputs === undefined ? 3 : 20)) when.outputs = drawBounds(draw, ['0', '1', '2', '3']);
  if (wants(10)) when.understood = draw.chance(50);
  if (wants(15)) when.hours = drawHours(draw);
  return draw.chance(40) ? fewer(draw, when) : when;
}

/** One or two of its conditions. */
function fewer(draw: Draw, when: RefWhen): RefWhen {
  const kept = draw.some(Object.keys(when), 0, 2);
  if (kept.includes('amount') || (kept.includes('asset') && when.chain !== undefined))
    kept.push('asset', 'chain');
  return Object.fromEntries(Object.entries(when).filter(([condition]) => kept.includes(condition)));
}

/** About everything that moves one asset alone. */
function drawAssetRule(draw: Draw, facts: RefFacts): RefWhen {
  const when: RefWhen = { kind: [facts.kind] };
  const assetName = drawAssets(draw, facts, when)[0]!;
  return { ...when, asset: [assetName] };
}

function drawQuorum(draw: Draw): RefQuorum {
  const of = draw.of<string | string[]>(['owners', 'owners', 'ops', 'risk', 'mixed', draw.some(names, 1, 4)]);
  const size =
    of === 'owners' ? 4 : typeof of === 'string' ? groups[of as keyof typeof groups].length : of.length;
  const quorum: RefQuorum = { k: draw.int(1, draw.chance(70) ? Math.min(size, 2) : size), of };
  // All four owners but the initiator are nobody's quorum.
  if (draw.chance(20) && quorum.k < 4) quorum.excludeInitiator = true;
  if (draw.chance(20)) quorum.credential = draw.some(credentials, 1, 2);
  return quorum;
}

function drawTree(draw: Draw, depth = 1): RefTree {
  if (depth === 4 || draw.chance(depth === 1 ? 55 : 65)) return drawQuorum(draw);
  const trees = Array.from({ length: draw.int(1, depth === 1 ? 3 : 2) }, () => drawTree(draw, depth + 1));
  return draw.chance(50) ? { all: trees } : { any: trees };
}

function drawRule(draw: Draw, id: string, facts: RefFacts, denyPercent: number): RefRule {
  const when = draw.chance(8) ? {} : draw.chance(25) ? drawAssetRule(draw, facts) : drawWhen(draw, facts);
  const about: { when?: RefWhen } = Object.keys(when).length === 0 ? {} : { when };
  if (draw.chance(denyPercent)) {
    if (draw.chance(30)) about.when = { ...when, hours: drawHours(draw) };
    // A rule that denies all would leave little to see.
    if (about.when === undefined && draw.chance(80)) about.when = { kind: ['digest'] };
    return { id, effect: 'deny', ...about };
  }
  const rule: RefRule = { id, effect: 'allow', ...about, require: drawTree(draw) };
  if (draw.chance(35)) rule.reject = drawTree(draw);
  if (draw.chance(25)) rule.delay = draw.of(['1s', '10m', '1h', '2d']);
  if (draw.chance(30)) rule.ttl = draw.of(['1m', '1h', '24h', '7d']);
  if (when.asset?.length === 1 && draw.chance(75))
    rule.limit = {
      amount: draw.of(draw.chance(80) ? bounds.slice(4) : bounds),
      per: draw.of(['1m', '1h', '24h', '7d']),
      scope: draw.of(['key', 'workspace'] as const),
    };
  return rule;
}

export function drawPolicy(
  draw: Draw,
  prefix: string,
  facts: readonly RefFacts[],
  denyPercent: number,
): RefPolicy {
  const rules = Array.from({ length: draw.int(1, 4) }, (_, index) =>
    drawRule(draw, `${prefix}-${index}`, draw.of(facts), denyPercent),
  );
  return { version: 1, groups, lists, assets, rules };
}

// ---- situations

export function drawTime(draw: Draw): number {
  if (draw.chance(50))
    return draw.of(changesOfClocks) + draw.int(-4 * 60, 4 * 60) * minute + draw.int(0, 59_999);
  return Date.parse('2030-01-01T00:00:00Z') + draw.int(0, 365 * 24 * 60) * minute;
}

function drawLedger(draw: Draw, now: number, facts: readonly RefFacts[]): RefSituation['ledger'] {
  if (draw.chance(12)) return undefined;
  const moved = facts.flatMap(({ movements, chain }) => [
    ...movements.map(({ chain: of, address }) => ({ chain: of, address })),
    ...(chain === undefined ? [] : [{ chain, address: 'native' }]),
  ]);
  const entries = Array.from({ length: draw.int(0, 6) }, () => {
    const entry: RefDebit & { requestId: string; at: number } = {
      ...draw.of(moved.length > 0 && draw.chance(75) ? moved : Object.values(assets)),
      keyId: draw.of(keyIds),
      amount: draw.of([1n, 5n, 10n, 20n, 50n, 100n, 200n]),
      requestId: draw.chance(20) ? ownRequest : otherRequest,
      at:
        now - draw.of([0, 1, minute - 1, minute, hour - 1, hour, hour + 1, 23 * hour, day, 6 * day, 7 * day]),
    };
    if (entry.chain === 'bitcoin' && draw.chance(60)) entry.transaction = draw.of(transactions);
    return entry;
  });
  return { entries, ...(draw.chance(10) && { usedUpUntil: now + draw.of([-1, 0, 1]) }) };
}

/** A request of one to three items under one to three levels of policies, as its approvers left it at some time. */
export function drawSituation(draw: Draw): RefSituation {
  const count = draw.of([1, 1, 1, 1, 2, 3]);
  const first = draw.chance(65) ? draw.of(kinds.slice(0, 3)) : draw.of(kinds);
  const facts = Array.from({ length: count }, () =>
    drawFacts(draw, draw.chance(85) ? first : draw.of(kinds)),
  );
  const owners = (): string[] => (draw.chance(70) ? [...people] : draw.some(people, 2));
  const level = (prefix: string, denyPercent: number): RefItem['levels'][number] => ({
    policy: drawPolicy(draw, prefix, facts, denyPercent),
    owners: owners(),
  });
  const workspace = level('w', 15);
  const above = draw.chance(25) ? [level('p', 20)] : [];
  const ofKeys = new Map(keyIds.map((id) => [id, draw.chance(25) ? [level('k', 12)] : []]));
  const items = facts.map((each): RefItem => {
    const keyless = each.kind === 'key.request' || each.kind === 'workspace.change';
    if (keyless) return { facts: each, levels: [workspace, ...above] };
    const keyId = draw.of(keyIds);
    return { facts: each, keyId, levels: [...ofKeys.get(keyId)!, workspace, ...above] };
  });
  const now = drawTime(draw);
  const created =
    now - draw.of([0, 0, 1, minute, 10 * minute, hour - 1, hour, 23 * hour, day, 2 * day, 7 * day]);
  const firstSeen = Math.min(now, created + draw.of([0, 0, 1000, 10 * minute, hour, day]));
  const initiator = draw.of(people);
  const decided: RefSituation['approved'] = [];
  const rejected: RefSituation['rejected'] = [];
  const eager = draw.of([20, 50, 90]);
  for (const name of [...names, 'mallory']) {
    if (draw.chance(eager) || (name === initiator && draw.chance(90)))
      decided.push([name, draw.some(credentials, 1, 2)]);
    else if (draw.chance(35)) rejected.push([name, draw.some(credentials, 1, 2)]);
  }
  const ledger = drawLedger(draw, now, facts);
  return {
    items,
    initiator,
    approved: decided,
    rejected,
    requestId: ownRequest,
    now,
    created,
    firstSeen,
    ...(ledger && { ledger }),
  };
}
