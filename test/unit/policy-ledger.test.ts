// What is left of a limit, over generated ledgers: as a slow and plain way finds it, which looks at each debit that leaves the
// window by itself.
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import type { Hex } from '../../protocol/hex.ts';
import { judgePlan, type LedgerEntry } from '../../protocol/policy/judge.ts';
import { type Debit, type Plan, type PlannedLimit, takenFrom } from '../../protocol/policy/plan.ts';

const hour = 3600_000;
const now = 1000 * hour;
const hex = (digit: number): Hex => `0x${String(digit).repeat(64)}`;
const keys = [hex(1), hex(2)] as const;
const own = hex(9);

const limitOf = (amount: bigint, scope: 'key' | 'workspace'): PlannedLimit => ({
  chain: 'solana',
  address: 'native',
  name: 'SOL',
  decimals: 0,
  amount,
  perMs: 24 * hour,
  scope,
});

/** When the limit has room again, when it is full; `never` when that takes more than time. */
function plainly(
  limit: PlannedLimit,
  debits: readonly Debit[],
  entries: readonly LedgerEntry[],
): number | 'never' | undefined {
  const counted = entries.filter(({ at, requestId }) => at > now - limit.perMs && requestId !== own);
  if (takenFrom(limit, keys[0], [...counted, ...debits]) <= limit.amount) return undefined;
  for (const { at } of counted.toSorted((one, other) => one.at - other.at)) {
    const left = counted.filter((entry) => entry.at > at);
    if (takenFrom(limit, keys[0], [...left, ...debits]) <= limit.amount) return at + limit.perMs;
  }
  return 'never';
}

const debit = fc.record({
  keyId: fc.constantFrom(...keys),
  chain: fc.constantFrom('solana', 'eip155:1'),
  address: fc.constant('native'),
  amount: fc.bigInt({ min: 1n, max: 9n }),
});
const entry = fc
  .record({
    debit,
    requestId: fc.constantFrom(hex(7), hex(8), own),
    at: fc.integer({ min: 0, max: 30 }).map((ago) => now - ago * hour),
    transaction: fc.constantFrom(undefined, 'a', 'b'),
  })
  .map(({ debit: taken, transaction, ...when }): LedgerEntry => ({
    ...taken,
    ...when,
    ...(transaction !== undefined && { transaction }),
  }));

function judged(limit: PlannedLimit, debits: readonly Debit[], entries: readonly LedgerEntry[]) {
  const require = { k: 1, group: 'owners', members: ['alice'] };
  const rules = [{ id: 'a', require, delayMs: 0, ttlMs: 48 * hour, limit }];
  const plan = { items: [{ keyId: keys[0], rules, closed: [] }], debits, lifetimeMs: 48 * hour };
  const standing = {
    initiator: 'alice',
    approved: new Map([['alice', ['ed25519' as const]]]),
    rejected: new Map(),
  };
  const moment = { requestId: own, now, created: now, firstSeen: now, ledger: { entries } };
  return judgePlan(plan as unknown as Plan, standing, moment);
}

describe('policy: a full ledger', () => {
  it('has room again when just enough has left, as a plain way finds it', () => {
    const seen = { room: 0, time: 0, never: 0 };
    fc.assert(
      fc.property(
        fc.array(entry, { maxLength: 20 }),
        fc.array(debit, { minLength: 1, maxLength: 2 }),
        fc.bigInt({ min: 1n, max: 40n }),
        fc.constantFrom('key' as const, 'workspace' as const),
        (entries, debits, amount, scope) => {
          const limit = limitOf(amount, scope);
          const verdict = judged(limit, debits, entries);
          const expected = plainly(limit, debits, entries);
          if (expected === undefined) {
            seen.room += 1;
            assert.equal(verdict.verdict, 'satisfied');
            return;
          }
          seen[expected === 'never' ? 'never' : 'time'] += 1;
          assert(verdict.verdict === 'waiting');
          assert.equal(verdict.holds[0]?.hold, 'limit');
          assert.equal(verdict.holds[0].until, expected === 'never' ? undefined : expected);
        },
      ),
      { numRuns: 1000, seed: 3 },
    );
    for (const [what, count] of Object.entries(seen)) assert(count > 20, `${what}: ${count}`);
  });

  it('is read through once, however much is in it', () => {
    let reads = 0;
    const count = 2000;
    const entries = Array.from({ length: count }, (_, index): LedgerEntry => {
      const { keyId, ...rest } = { keyId: keys[0], chain: 'solana', address: 'native', amount: 1n };
      return {
        ...rest,
        requestId: hex(7),
        at: now - index,
        get keyId() {
          reads += 1;
          return keyId;
        },
      };
    });
    const one = { keyId: keys[0], chain: 'solana', address: 'native', amount: 1n };
    assert.equal(judged(limitOf(5n, 'key'), [one], entries).verdict, 'waiting');
    assert(reads <= count, `${reads} reads of ${count} debits`);
  });
});
