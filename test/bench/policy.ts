// How many verdicts of a policy one thread gives in a second: planned and judged, as for a new request, and judged alone, as
// when a decision or time is all that is new; and what such a verdict costs in verifications of one signature.
import { planPolicy, type PlannedFor } from '../../protocol/policy/plan.ts';
import { judgePlan, type Ledger, type Moment, type Standing } from '../../protocol/policy/judge.ts';
import { type Policy, policySchema, type Rule } from '../../protocol/policy/schema.ts';
import { publicKeyOf, sign, verify } from '../../protocol/keys/ed25519.ts';
import { type BenchOptions, type Row, summarise } from './row.ts';

const now = Date.parse('2030-01-07T12:00:00.000Z');
const owners = ['ops-1', 'ops-2', 'ops-3', 'risk-1', 'risk-2'];
const keyId = `0x${'0a'.repeat(32)}` as const;
const requestId = `0x${'0b'.repeat(32)}` as const;
const token = '0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48';
const friend = '0x1111111111111111111111111111111111111111';

/** The three rules of docs/policy.md, and before them as many more as are wanted that are about less. */
function policyOf(count: number): Policy {
  const usdc = { chain: ['eip155:1'], asset: ['USDC'] };
  const narrow = Array.from({ length: count - 3 }, (_, index): Rule => ({
    id: `narrow-${index}`,
    effect: index % 5 === 0 ? 'deny' : 'allow',
    when: { ...usdc, to: { in: 'others' }, amount: { gt: String(index) } },
    ...(index % 5 !== 0 && { require: { k: 1, of: 'ops' } }),
  }));
  const large: Rule = {
    id: 'large',
    effect: 'allow',
    when: { ...usdc, amount: { lte: '500000' } },
    require: {
      all: [
        { k: 2, of: 'ops', excludeInitiator: true },
        { k: 1, of: 'risk' },
      ],
    },
    reject: {
      any: [
        { k: 2, of: 'ops' },
        { k: 1, of: 'risk' },
      ],
    },
    delay: '10m',
  };
  const small: Rule = {
    id: 'small',
    effect: 'allow',
    when: { ...usdc, to: { in: 'payroll' }, amount: { lte: '500' } },
    require: { k: 1, of: 'ops' },
    limit: { amount: '5000', per: '24h', scope: 'key' },
  };
  const others = Array.from({ length: 100 }, (_, index) => `0x${String(1000 + index).repeat(10)}`);
  return policySchema.parse({
    version: 1,
    groups: { ops: owners.slice(0, 3), risk: owners.slice(3) },
    lists: { payroll: [friend], others },
    assets: { USDC: { chain: 'eip155:1', address: token, decimals: 6 } },
    rules: [...narrow, { id: 'no-blind', effect: 'deny', when: { kind: ['digest'] } }, small, large],
  });
}

/** Milliseconds of one call, from many at a time, for about so long. */
async function samplesOf(work: () => void, milliseconds: number): Promise<number[]> {
  for (let count = 0; count < 200; count++) work();
  const samples: number[] = [];
  const end = performance.now() + milliseconds;
  while (samples.length < 5 || performance.now() < end) {
    const start = performance.now();
    for (let count = 0; count < 100; count++) work();
    samples.push((performance.now() - start) / 100);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return samples;
}

/** Measures for about `seconds` in all. */
export async function run({ seconds }: BenchOptions): Promise<Row[]> {
  const budget = (seconds * 1000) / 5;
  const seed = new Uint8Array(32).fill(7);
  const message = new Uint8Array(200);
  const signature = sign(seed, message);
  const publicKey = publicKeyOf(seed);
  const verifying = await samplesOf(() => {
    if (!verify(publicKey, message, signature)) throw new Error('a true signature is refused');
  }, budget);
  const verification = { name: 'ed25519 verification', value: summarise('', 1, 1, verifying).median };
  const ledger: Ledger = {
    entries: Array.from({ length: 50 }, (_, index) => ({
      requestId: `0x${'0c'.repeat(32)}` as const,
      keyId,
      chain: 'eip155:1',
      address: token,
      amount: 50_000_000n,
      at: now - index * 60_000,
    })),
  };
  const standing: Standing = {
    initiator: 'ops-1',
    approved: new Map([
      ['ops-1', ['ed25519']],
      ['ops-2', ['ed25519']],
    ]),
    rejected: new Map([['risk-2', ['ed25519']]]),
  };
  const moment: Moment = { requestId, now, created: now - 60_000, firstSeen: now - 60_000, ledger };
  const rows: Row[] = [summarise('verify one signature', 1, 1, verifying)];
  for (const count of [3, 50]) {
    const policy = policyOf(count);
    const movement = { chain: 'eip155:1', address: token, to: [friend], amount: 400_000_000n };
    const facts = {
      kind: 'evm.transaction',
      chain: 'eip155:1',
      understood: true,
      movements: [movement],
      fee: 1n,
    } as const;
    const items: readonly PlannedFor[] = [{ keyId, facts, levels: [{ policy, owners }] }];
    const plan = planPolicy(items);
    // A benchmark of what is denied at once would be worthless.
    if ('reason' in plan || judgePlan(plan, standing, moment).verdict !== 'satisfied')
      throw new Error('the measured request is not allowed');
    const works = {
      'plan and judge': () => {
        const made = planPolicy(items);
        if ('items' in made) judgePlan(made, standing, moment);
      },
      judge: () => void judgePlan(plan, standing, moment),
    };
    for (const [name, work] of Object.entries(works)) {
      const row = summarise(`${name}, ${count} rules`, 1, 1, await samplesOf(work, budget), verification);
      rows.push(row, perSecond(row));
    }
  }
  return rows;
}

/** The same as a rate: the least of one is the most of the other. */
function perSecond({ name, t, n, runs, median, min, p99 }: Row): Row {
  const rate = (milliseconds: number): number => 1000 / milliseconds;
  return { name, t, n, runs, median: rate(median), min: rate(p99), p99: rate(min), unit: 'verdicts/s' };
}
