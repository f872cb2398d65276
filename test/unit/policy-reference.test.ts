import assert from 'node:assert/strict';
import fc from 'fast-check';
import { positionsOn } from '../../protocol/decisions.ts';
import type { Envelope } from '../../protocol/records/envelope.ts';
import {
  type RefDecision,
  referencePositions,
  type RefSituation,
  referenceVerdict,
} from '../reference/policy.ts';
import { decisionOf } from '../support/changes.ts';
import { createWorld, networkId } from '../support/fixture.ts';
import { engineVerdict, plainVerdict } from '../support/judged-situation.ts';
import { Draw, drawSituation, ownRequest, people } from '../support/policy-cases.ts';

const seeds = fc.noBias(fc.integer({ min: 0, max: 0xffff_ffff }));

/** What must have been seen often enough, for a comparison to say something. */
const conditions = [
  'amount',
  'asset',
  'chain',
  'change',
  'fee',
  'kind',
  'outputs',
  'program',
  'selector',
  'to',
  'understood',
].flatMap((condition) =>
  ['allow', 'deny'].flatMap((effect) => ['holds', 'fails'].map((found) => `${effect} ${condition} ${found}`)),
);
const otherBranches = [
  ...['message', 'evm.message', 'evm.typedData', 'digest', 'key.request', 'workspace.change'].map(
    (kind) => `allow without kind: ${kind}`,
  ),
  ...['delay', 'hours', 'limit'].map((hold) => `held by ${hold}`),
  'credential fits',
  'credential does not fit',
  'initiator left out',
  'closed at this hour',
  'denied by the nearest',
  'denied from further up',
  'no rule is about it',
  'more than the whole limit',
  'rejected as it can no longer be met',
  'rejected by `reject`',
];

function shown(situation: RefSituation): string {
  return JSON.stringify(situation, (_, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  );
}

describe('any policy, against a naive reading of docs/policy.md', () => {
  it('gives the same verdict, wants the same approvals and is held by the same, in 5,000 cases', () => {
    const counts = new Map<string, number>();
    const seen = (what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1);
    fc.assert(
      fc.property(seeds, (seed) => {
        const situation = drawSituation(new Draw(seed));
        const expected = referenceVerdict(situation, seen);
        seen(expected.verdict);
        assert.deepEqual(plainVerdict(engineVerdict(situation)), plainVerdict(expected), shown(situation));
      }),
      { numRuns: 5000, endOnFailure: true },
    );
    for (const verdict of ['denied', 'rejected', 'over', 'waiting', 'satisfied'])
      assert.ok((counts.get(verdict) ?? 0) >= 100, `${verdict}: ${counts.get(verdict)}`);
    for (const branch of [...conditions, ...otherBranches])
      assert.ok((counts.get(branch) ?? 0) >= 8, `${branch}: ${counts.get(branch)}`);
  }).timeout(300_000);

  it('counts signed decisions as they are told to count, in 300 cases', () => {
    const world = createWorld({ name: 'decisions', owners: [...people, 'erin'] });
    const deciders = world.workspace;
    const counts = new Map<string, number>();
    const seen = (what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1);
    const subject = ownRequest as `0x${string}`;
    const signed = (made: RefDecision): Envelope => decisionOf(world, subject, made);
    fc.assert(
      fc.property(seeds, (seed) => {
        const draw = new Draw(seed);
        const situation = drawSituation(draw);
        const { initiator, now } = situation;
        const decisions = Array.from({ length: draw.int(0, 8) }, (): RefDecision => {
          const decision = draw.of(['approve', 'approve', 'approve', 'reject', 'withdraw'] as const);
          const expires = now + draw.of([-1, 0, 1, 1000, 3600_000]);
          const principal = draw.of([...people, 'erin']);
          const made = { principal, seq: draw.int(1, 3), decision, credential: 'ed25519' };
          return decision === 'approve' ? { ...made, expires } : made;
        });
        const expected = referencePositions(initiator, 'ed25519', decisions, now);
        const asked = { name: initiator, signedWith: ['ed25519'] } as const;
        // In whatever order they arrive.
        const envelopes = draw.some(decisions, decisions.length).map(signed);
        const found = positionsOn(
          { id: subject, about: () => [] },
          asked,
          envelopes,
          deciders,
          networkId,
          now,
        );
        const names = (side: Iterable<string>): string[] => [...side].toSorted();
        assert.deepEqual(names(found.approved.keys()), names(expected.approved.map(([name]) => name)));
        assert.deepEqual(names(found.rejected.keys()), names(expected.rejected.map(([name]) => name)));
        for (const [name, kinds] of [...found.approved, ...found.rejected])
          assert.deepEqual(kinds, ['ed25519'], name);
        const standing = {
          approved: [...found.approved],
          rejected: [...found.rejected],
        } as unknown as RefSituation;
        const verdict = referenceVerdict({ ...situation, ...expected });
        seen(verdict.verdict);
        for (const { decision } of decisions) seen(decision);
        seen(`ignored: ${found.ignored.length > 0}`);
        const judged = engineVerdict({ ...situation, ...standing });
        assert.deepEqual(plainVerdict(judged), plainVerdict(verdict), shown(situation));
      }),
      { numRuns: 300, endOnFailure: true },
    );
    for (const what of ['rejected', 'waiting', 'satisfied', 'approve', 'reject', 'withdraw', 'ignored: true'])
      assert.ok(counts.has(what), `${what}: ${counts.get(what)}`);
  }).timeout(300_000);
});

const ranks = { denied: 0, over: 1, rejected: 1, waiting: 2, satisfied: 3 };
const rankOf = (situation: RefSituation): number => ranks[engineVerdict(situation).verdict];

/** Judges changed situations of many, and requires that the change was there often. */
function property(
  cases: number,
  least: number,
  check: (situation: RefSituation, draw: Draw) => boolean,
): void {
  let applied = 0;
  fc.assert(
    fc.property(seeds, (seed) => {
      const draw = new Draw(seed);
      if (check(drawSituation(draw), draw)) applied += 1;
    }),
    { numRuns: cases, endOnFailure: true },
  );
  assert.ok(applied >= least, `said something in ${applied} cases only`);
}

/** With the policy of each level changed, the same where it stood more than once. */
function withPolicies(
  situation: RefSituation,
  change: (policy: RefSituation['items'][number]['levels'][number]['policy']) => typeof policy,
): RefSituation {
  const items = situation.items.map((item) => ({
    ...item,
    levels: item.levels.map(({ policy, owners }) => ({ policy: change(policy), owners })),
  }));
  return { ...situation, items };
}

describe('properties of any policy', () => {
  it('does not depend on the order of rules, items, groups, lists, approvals and debits', () => {
    property(600, 300, (situation, draw) => {
      const mixed = <Value>(values: readonly Value[]): Value[] => draw.some(values, values.length);
      const other = withPolicies(situation, (policy) => ({
        ...policy,
        rules: mixed(policy.rules),
        groups: Object.fromEntries(
          mixed(Object.entries(policy.groups!)).map(([name, members]) => [name, mixed(members)]),
        ),
        lists: Object.fromEntries(Object.entries(policy.lists!).map(([name, list]) => [name, mixed(list)])),
      }));
      const changed: RefSituation = {
        ...other,
        items: mixed(other.items),
        approved: mixed(other.approved),
        rejected: mixed(other.rejected),
        ...(other.ledger && { ledger: { ...other.ledger, entries: mixed(other.ledger.entries) } }),
      };
      const sorted = (judged: RefSituation): unknown => {
        const { missing, ...verdict } = engineVerdict(judged);
        return plainVerdict({
          ...verdict,
          missing: missing.map((each) => ({ ...each, have: each.have.toSorted() })),
        });
      };
      assert.deepEqual(sorted(changed), sorted(situation), shown(situation));
      return true;
    });
  }).timeout(120_000);

  it('loses no permission by an approval, and gains none by a rejection', () => {
    property(1000, 200, (situation, draw) => {
      const name = draw.of(people);
      const without = (side: RefSituation['approved']): RefSituation['approved'] =>
        side.filter(([other]) => other !== name);
      const neither = {
        ...situation,
        approved: without(situation.approved),
        rejected: without(situation.rejected),
      };
      const more: [string, string[]] = [name, ['ed25519', 'webauthn']];
      const rank = rankOf(neither);
      assert.ok(rankOf({ ...neither, approved: [...neither.approved, more] }) >= rank, shown(situation));
      assert.ok(rankOf({ ...neither, rejected: [...neither.rejected, more] }) <= rank, shown(situation));
      return rank === ranks.waiting || rank === ranks.satisfied;
    });
  }).timeout(120_000);

  it('permits nothing more with one more deny rule, at any level', () => {
    property(1000, 200, (situation, draw) => {
      const [donor] = drawSituation(draw).items;
      const rules = donor!.levels[0]!.policy.rules;
      const { when } = draw.of(rules);
      const deny = { id: 'more', effect: 'deny' as const, ...(when && { when }) };
      const before = rankOf(situation);
      const after = withPolicies(situation, (policy) => ({ ...policy, rules: [...policy.rules, deny] }));
      assert.ok(rankOf(after) <= before, shown(after));
      return before > 0;
    });
  }).timeout(120_000);

  it('is denied by a deny rule for everything, whatever else stands there', () => {
    property(300, 300, (situation, draw) => {
      const everything = { id: 'never', effect: 'deny' as const };
      const denied = withPolicies(situation, (policy) => ({
        ...policy,
        rules: draw.some([...policy.rules, everything], policy.rules.length + 1),
      }));
      assert.equal(engineVerdict(denied).verdict, 'denied');
      return true;
    });
  }).timeout(120_000);

  it('is never satisfied without an approval by an owner', () => {
    property(600, 60, (situation) => {
      const by = (approved: RefSituation['approved']): RefSituation => ({ ...situation, approved });
      assert.notEqual(engineVerdict(by([])).verdict, 'satisfied');
      assert.notEqual(engineVerdict(by([['mallory', ['ed25519']]])).verdict, 'satisfied');
      return rankOf(situation) >= ranks.waiting;
    });
  }).timeout(120_000);
});
