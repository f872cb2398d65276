import assert from 'node:assert/strict';
import { judgePlan, type LedgerEntry, type PolicyVerdict } from '../../protocol/policy/judge.ts';
import { type Plan, planPolicy, quorumsIn } from '../../protocol/policy/plan.ts';
import { adminPolicySchema, policySchema, unmeetable } from '../../protocol/policy/schema.ts';
import {
  documentedBlocks,
  documentedPolicies,
  type DocumentedPolicy,
  type DocumentedRequest,
  madeAt,
} from '../support/policy-doc.ts';

const keyId = `0x${'0a'.repeat(32)}` as const;
const requestId = `0x${'0b'.repeat(32)}` as const;
const earlier = `0x${'0c'.repeat(32)}` as const;

/** A verdict as the tables of the document write it. */
function written(plan: Plan, verdict: PolicyVerdict): string {
  if (verdict.verdict !== 'waiting') return verdict.verdict;
  const quorums = plan.items.flatMap(({ rules }) =>
    rules.flatMap(({ id, require }) => quorumsIn(require).map((quorum) => ({ id, quorum }))),
  );
  const groups = verdict.missing.map(({ rule, need, have, from }) => {
    const found = quorums.find(
      ({ id, quorum: { k, members } }) =>
        id === rule && k === need && [...have, ...from].every((name) => members.includes(name)),
    );
    return found!.quorum.group;
  });
  const waits = [...groups, ...verdict.holds.map(({ hold }) => hold)];
  return `waits: ${[...new Set(waits)].toSorted().join(', ')}`;
}

function judged({ levels, owners }: DocumentedPolicy, request: DocumentedRequest): string {
  const { items, initiator, approved, rejected, now, taken } = request;
  const inForce = levels.map((policy) => ({ policy: policySchema.parse(policy), owners }));
  const plan = planPolicy(items.map((facts) => ({ facts, keyId, levels: inForce })));
  if ('reason' in plan) return 'denied';
  const entries: LedgerEntry[] = taken ? [{ ...taken, keyId, requestId: earlier, at: madeAt - 60_000 }] : [];
  const moment = { requestId, now, created: madeAt, firstSeen: madeAt, ledger: { entries } };
  return written(plan, judgePlan(plan, { initiator, approved, rejected }, moment));
}

/** Whom a request waits for has no order. */
function inOrder(verdict: string): string {
  const [, waits] = /^waits: (.*)$/.exec(verdict) ?? [];
  return waits === undefined ? verdict : `waits: ${waits.split(', ').toSorted().join(', ')}`;
}

describe('docs/policy.md', () => {
  const policies = documentedPolicies();

  it('holds ten policies, with requests for each', () => {
    assert.equal(policies.length, 10);
    for (const { title, requests } of policies) assert.ok(requests.length >= 5, title);
    const verdicts = policies.flatMap(({ requests }) => requests.map(({ verdict }) => verdict));
    for (const verdict of ['denied', 'satisfied', 'rejected', 'over', 'waits: delay', 'waits: limit'])
      assert.ok(verdicts.includes(verdict), verdict);
  });

  it('holds policies only that the schema takes as they stand, and that their owners can meet', () => {
    const blocks = documentedBlocks();
    assert.equal(blocks.length, 1 + policies.flatMap(({ levels }) => levels).length);
    for (const block of blocks) assert.deepEqual(policySchema.parse(block), block);
    for (const { title, levels, owners } of policies)
      for (const level of levels) assert.deepEqual(unmeetable(policySchema.parse(level), owners), [], title);
  });

  it('holds an admin policy that is one', () => {
    const admin = policies.find(({ requests }) => requests.some(({ row }) => row.startsWith('| change ')));
    assert.deepEqual(adminPolicySchema.parse(admin?.levels[0]), admin?.levels[0]);
  });

  for (const policy of policies) {
    describe(policy.title, () => {
      for (const request of policy.requests)
        it(request.row.replaceAll(/\s+/g, ' '), () =>
          assert.equal(judged(policy, request), inOrder(request.verdict)),
        );
    });
  }
});
