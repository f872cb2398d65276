// The policies of docs/policy.md and the requests in the tables below them, as facts, decisions and moments.
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { Movement, PolicyFacts } from '../../protocol/policy/facts.ts';
import type { ChangeKind, CredentialType, Policy } from '../../protocol/policy/schema.ts';

/** Monday. */
export const madeAt = Date.parse('2030-01-07T12:00:00.000Z');

export interface DocumentedRequest {
  readonly row: string;
  readonly items: readonly PolicyFacts[];
  readonly initiator: string;
  readonly approved: ReadonlyMap<string, readonly CredentialType[]>;
  readonly rejected: ReadonlyMap<string, readonly CredentialType[]>;
  readonly now: number;
  /** Base units of an asset that left within the last hour. */
  readonly taken?: Pick<Movement, 'chain' | 'address' | 'amount'>;
  /** As the table has it: `denied`, or `waits: ops, delay`. */
  readonly verdict: string;
}

export interface DocumentedPolicy {
  readonly title: string;
  /** Nearest first, as they stand in the document: text parsed, not checked. */
  readonly levels: readonly unknown[];
  readonly owners: readonly string[];
  readonly requests: readonly DocumentedRequest[];
}

const document = readFileSync(new URL('../../docs/policy.md', import.meta.url), 'utf8');

/** Every YAML block of the document, in order. */
export function documentedBlocks(): readonly unknown[] {
  return blocksOf(document);
}

function blocksOf(text: string): readonly unknown[] {
  return [...text.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, yaml]) => parse(yaml!) as unknown);
}

/** The numbered policies of the document. */
export function documentedPolicies(): readonly DocumentedPolicy[] {
  const [, ...sections] = document.split(/^### (?=\d+\. )/m);
  return sections.map((section) => {
    const title = section.slice(0, section.indexOf('\n'));
    const levels = blocksOf(section);
    const policies = levels as readonly Policy[];
    const owners = /^Owners: (.*)\.$/m.exec(section)?.[1]?.split(', ') ?? ownersNamed(policies);
    const rows = section.split('\n').filter((line) => line.startsWith('|') && !/^\| (request|-)/.test(line));
    return { title, levels, owners, requests: rows.map((row) => requestOf(row, policies)) };
  });
}

function ownersNamed(policies: readonly Policy[]): readonly string[] {
  return [...new Set(policies.flatMap(({ groups = {} }) => Object.values(groups).flat()))];
}

function requestOf(row: string, policies: readonly Policy[]): DocumentedRequest {
  const [what = '', initiator = '', decisions = '', circumstances = '', verdict = ''] = row
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());
  const approved = new Map<string, CredentialType[]>([[initiator, ['ed25519']]]);
  const rejected = new Map<string, CredentialType[]>();
  for (const decision of listOf(decisions)) {
    const [, name, verb, kind = 'ed25519'] = /^(\S+) (approves|rejects)(?: \((\w+)\))?$/.exec(decision) ?? [];
    if (name === undefined) throw new Error(`not a decision: ${decision}`);
    const side = verb === 'approves' ? approved : rejected;
    side.set(name, [...(side.get(name) ?? []), kind as CredentialType]);
  }
  const items = what.split('; ').map((item) => factsOf(item, policies));
  return { row, items, initiator, approved, rejected, verdict, ...circumstancesOf(circumstances, policies) };
}

const listOf = (cell: string): readonly string[] => (cell === '' ? [] : cell.split(', '));

function circumstancesOf(
  cell: string,
  policies: readonly Policy[],
): Pick<DocumentedRequest, 'now' | 'taken'> {
  let now = madeAt;
  let taken: DocumentedRequest['taken'];
  for (const one of listOf(cell)) {
    const [, count, unit] = /^after (\d+)([mh])$/.exec(one) ?? [];
    const [, day, hours, minutes] = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun) (\d\d):(\d\d)$/.exec(one) ?? [];
    const [, amount, asset] = /^(\S+) (\S+) taken$/.exec(one) ?? [];
    if (count !== undefined) now += Number(count) * (unit === 'h' ? 3600_000 : 60_000);
    else if (day !== undefined) {
      const days = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'].indexOf(day);
      const midnight = madeAt - 12 * 3600_000;
      now = midnight + days * 86_400_000 + Number(hours) * 3600_000 + Number(minutes) * 60_000;
    } else if (amount !== undefined) taken = amountOf(amount, asset!, policies);
    else throw new Error(`not a circumstance: ${one}`);
  }
  return { now, ...(taken && { taken }) };
}

function amountOf(
  amount: string,
  symbol: string,
  policies: readonly Policy[],
): Pick<Movement, 'chain' | 'address' | 'amount'> {
  const entry = policies.map(({ assets }) => assets?.[symbol]).find((one) => one !== undefined);
  const plain = { chain: symbol === 'SOL' ? 'solana' : 'bitcoin', address: 'native', decimals: 0 };
  if (entry === undefined && symbol !== 'SOL' && symbol !== 'BTC') throw new Error(`no asset ${symbol}`);
  const { chain, address, decimals } = entry ?? plain;
  const [whole = '', fraction = ''] = amount.split('.');
  return { chain, address, amount: BigInt(whole + fraction.padEnd(decimals, '0')) };
}

function addressOf(who: string, chain: string, policies: readonly Policy[]): string {
  if (who === 'a stranger') {
    if (chain === 'solana') return '9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin';
    if (chain === 'bitcoin') return 'bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3';
    return `0x${'99'.repeat(20)}`;
  }
  const list = policies.map(({ lists }) => lists?.[who]).find((one) => one !== undefined);
  if (list === undefined) throw new Error(`no list ${who}`);
  return list.at(-1)!;
}

function movementOf(text: string, policies: readonly Policy[]): Movement {
  const [, amount, symbol, who] = /^(\S+) (\S+) to (.+)$/.exec(text) ?? [];
  if (amount === undefined) throw new Error(`not a movement: ${text}`);
  const moved = amountOf(amount, symbol!, policies);
  return { ...moved, to: [addressOf(who!, moved.chain, policies)] };
}

const ethereum = 'eip155:1';
const simple: Readonly<Record<string, PolicyFacts>> = {
  message: { kind: 'message', understood: true, movements: [] },
  'evm message': { kind: 'evm.message', understood: true, movements: [] },
  'key request': { kind: 'key.request', understood: true, movements: [] },
  'typed data': { kind: 'evm.typedData', chain: ethereum, understood: false, movements: [] },
  digest: { kind: 'digest', chain: 'solana', understood: false, movements: [], programs: [] },
  'an unknown program': {
    kind: 'solana.transaction',
    chain: 'solana',
    understood: false,
    movements: [],
    fee: 5000n,
    programs: ['TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA'],
  },
};

function factsOf(item: string, policies: readonly Policy[]): PolicyFacts {
  const known = simple[item];
  if (known !== undefined) return known;
  const [, change] = /^change (\S+)$/.exec(item) ?? [];
  if (change !== undefined)
    return { kind: 'workspace.change', change: change as ChangeKind, understood: true, movements: [] };
  const [, permit] = /^permit of (.*)$/.exec(item) ?? [];
  if (permit !== undefined) {
    const movements = [movementOf(permit, policies)];
    return { kind: 'evm.typedData', chain: ethereum, understood: true, movements };
  }
  const [, selector, contract, value] = /^call (0x\w{8}) of (.*?)(?: with (.*))?$/.exec(item) ?? [];
  if (selector !== undefined) {
    const called = addressOf(contract!, ethereum, policies);
    const movements = value === undefined ? [] : [movementOf(`${value} to ${contract!}`, policies)];
    const base = { kind: 'evm.transaction', chain: ethereum, understood: false } as const;
    return { ...base, movements, fee: 0n, called, selector };
  }
  const [moves = '', fee = '0'] = item.split(', fee ');
  const movements = moves.split(' and ').map((one) => movementOf(one, policies));
  const { chain } = movements[0]!;
  const common = { chain, understood: true, movements, fee: BigInt(fee) };
  if (chain === 'solana')
    return { kind: 'solana.transaction', programs: ['11111111111111111111111111111111'], ...common };
  if (chain === 'bitcoin') return { kind: 'bitcoin.psbt', outputs: movements.length, ...common };
  return { kind: 'evm.transaction', ...common };
}
