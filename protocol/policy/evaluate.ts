// Policy evaluation: facts and decisions in, verdict out. Default deny, deny wins, approvals count per principal.
import { type Group, type Kind, type Policy, type Quorum, type Rule, transactionKinds } from './schema.ts';

/** Who has decided what, one entry a principal: the latest decision of each, those run out left out. */
export interface Standing {
  readonly owners: readonly string[];
  readonly approved: ReadonlySet<string>;
  readonly rejected: ReadonlySet<string>;
}

/** What one rule still wants. */
export interface Missing {
  readonly rule: string;
  readonly need: number;
  readonly have: readonly string[];
  /** Members of the group who have not decided, or whose approval ran out. */
  readonly from: readonly string[];
}

export type PolicyVerdict =
  | { readonly verdict: 'satisfied'; readonly rules: readonly string[] }
  | { readonly verdict: 'waiting'; readonly missing: readonly Missing[] }
  | { readonly verdict: 'denied'; readonly reason: string }
  | { readonly verdict: 'rejected'; readonly reason: string; readonly by: readonly string[] };

function membersOf(group: Group, owners: readonly string[]): readonly string[] {
  return group === 'owners' ? owners : group.filter((name) => owners.includes(name));
}

function matches(rule: Rule, kind: Kind): boolean {
  if (rule.when !== undefined) return rule.when.kind.includes(kind);
  return rule.effect === 'deny' || transactionKinds.includes(kind);
}

/** Members of the quorum's group that are in `decided`. */
function counted(quorum: Quorum, owners: readonly string[], decided: ReadonlySet<string>): readonly string[] {
  return membersOf(quorum.of, owners).filter((name) => decided.has(name));
}

function judgeRule(rule: Rule, require: Quorum, standing: Standing): PolicyVerdict {
  const group = membersOf(require.of, standing.owners);
  const rejecting = group.filter((name) => standing.rejected.has(name));
  if (rule.reject !== undefined) {
    const against = counted(rule.reject, standing.owners, standing.rejected);
    if (against.length >= rule.reject.k) {
      return {
        verdict: 'rejected',
        reason: `rule ${rule.id}: ${against.length} of ${rule.reject.k} rejections`,
        by: against,
      };
    }
  }
  const have = counted(require, standing.owners, standing.approved);
  if (have.length >= require.k) return { verdict: 'satisfied', rules: [rule.id] };
  if (rule.reject === undefined && group.length - rejecting.length < require.k) {
    const reason = `rule ${rule.id} needs ${require.k} of ${group.length}, and ${rejecting.join(', ') || 'nobody'} rejected`;
    return { verdict: 'rejected', reason, by: rejecting };
  }
  const from = group.filter((name) => !have.includes(name) && !standing.rejected.has(name));
  return { verdict: 'waiting', missing: [{ rule: rule.id, need: require.k, have, from }] };
}

function judgeKind(policy: Policy, kind: Kind, standing: Standing): PolicyVerdict {
  const matching = policy.rules.filter((rule) => matches(rule, kind));
  const denying = matching.find((rule) => rule.effect === 'deny');
  if (denying) return { verdict: 'denied', reason: `rule ${denying.id} denies ${kind}` };
  const verdicts = matching.flatMap((rule) =>
    rule.require ? [judgeRule(rule, rule.require, standing)] : [],
  );
  if (verdicts.length === 0) return { verdict: 'denied', reason: `no rule allows ${kind}` };
  // Any one allowing rule suffices; the action is rejected only when every one of them is.
  const satisfied = verdicts.find((verdict) => verdict.verdict === 'satisfied');
  if (satisfied) return satisfied;
  const waiting = verdicts.filter((verdict) => verdict.verdict === 'waiting');
  if (waiting.length > 0)
    return { verdict: 'waiting', missing: waiting.flatMap((verdict) => verdict.missing) };
  return verdicts[0] as PolicyVerdict;
}

/**
 * Judges an action with one or more items of these kinds: every item must be allowed. One denied item denies the whole,
 * one rejected item rejects it.
 */
export function evaluatePolicy(policy: Policy, kinds: readonly Kind[], standing: Standing): PolicyVerdict {
  const verdicts = [...new Set(kinds)].map((kind) => judgeKind(policy, kind, standing));
  const worst =
    verdicts.find((verdict) => verdict.verdict === 'denied') ??
    verdicts.find((verdict) => verdict.verdict === 'rejected');
  if (worst) return worst;
  if (verdicts.length === 0) return { verdict: 'denied', reason: 'nothing to judge' };
  const missing = verdicts.flatMap((verdict) => (verdict.verdict === 'waiting' ? verdict.missing : []));
  if (missing.length > 0) return { verdict: 'waiting', missing };
  return {
    verdict: 'satisfied',
    rules: verdicts.flatMap((verdict) => (verdict.verdict === 'satisfied' ? verdict.rules : [])),
  };
}

/** Owners whose decision can matter for an action of these kinds: members of the groups its rules name. */
export function approversOf(
  policy: Policy,
  kinds: readonly Kind[],
  owners: readonly string[],
): ReadonlySet<string> {
  const rules = policy.rules.filter((rule) => kinds.some((kind) => matches(rule, kind)));
  const quorums = rules
    .flatMap((rule) => [rule.require, rule.reject])
    .filter((quorum) => quorum !== undefined);
  return new Set(quorums.flatMap((quorum) => membersOf(quorum.of, owners)));
}
