// A situation of the reference's form, judged by the engine.
import { judgePlan, type Standing } from '../../protocol/policy/judge.ts';
import { type PlannedFor, planPolicy } from '../../protocol/policy/plan.ts';
import { type Policy, policySchema } from '../../protocol/policy/schema.ts';
import type { RefPolicy, RefSituation, RefVerdict } from '../reference/policy.ts';

/** Parsed once: the schema takes longer than the judgement. */
const parsed = new WeakMap<RefPolicy, Policy>();
function parsedPolicy(policy: RefPolicy): Policy {
  const known = parsed.get(policy);
  if (known !== undefined) return known;
  const made = policySchema.parse(policy);
  parsed.set(policy, made);
  return made;
}

export function plannedItems({ items }: Pick<RefSituation, 'items'>): PlannedFor[] {
  return items.map(({ levels, ...item }) => ({
    ...item,
    levels: levels.map(({ policy, owners }) => ({ policy: parsedPolicy(policy), owners })),
  })) as unknown as PlannedFor[];
}

function standingOf({ initiator, approved, rejected }: RefSituation): Standing {
  return { initiator, approved: new Map(approved), rejected: new Map(rejected) } as Standing;
}

/** The engine's verdict on it. */
export function engineVerdict(situation: RefSituation): RefVerdict {
  const plan = planPolicy(plannedItems(situation));
  if ('reason' in plan) return { verdict: 'denied', missing: [], holds: [] };
  const { requestId, now, created, firstSeen, ledger } = situation;
  const moment = { requestId, now, created, firstSeen, ...(ledger && { ledger }) };
  const judged = judgePlan(plan, standingOf(situation), moment as Parameters<typeof judgePlan>[2]);
  if (judged.verdict !== 'waiting') return { verdict: judged.verdict, missing: [], holds: [] };
  const missing = judged.missing.map(({ rule, need, have }) => ({ rule, need, have: [...have] }));
  return { verdict: 'waiting', missing, holds: judged.holds.map(({ rule, hold }) => ({ rule, hold })) };
}

/** In one form, whatever the order and however often something is told. */
export function plainVerdict({ verdict, missing, holds }: RefVerdict): unknown {
  const sorted = (lines: readonly string[]): string[] => [...new Set(lines)].toSorted();
  return {
    verdict,
    missing: sorted(missing.map(({ rule, need, have }) => `${rule} ${need}: ${have.toSorted().join(', ')}`)),
    holds: sorted(holds.map(({ rule, hold }) => `${rule} ${hold}`)),
  };
}
