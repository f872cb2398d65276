// What the policies in force would say of a request that nobody made: nothing in it is signed, and whoever is said to approve is
// taken to. For people who write policies; nothing is ever authorised by it.
import {
  checkNotFrozen,
  checkServed,
  decidersOf,
  endOf,
  type Evidence,
  openAsked,
  type Trust,
} from './authorize.ts';
import { kindsOfCredentials } from './decisions.ts';
import type { Hex } from './hex.ts';
import { KeyProofs } from './key-proofs.ts';
import { type Hold, judgePlan, type Missing } from './policy/judge.ts';
import { type Mismatch, mismatch } from './policy/match.ts';
import { type PlannedFor, planPolicy } from './policy/plan.ts';
import type { CredentialType } from './policy/schema.ts';
import { timeOf } from './records/fields.ts';
import { openKeyring } from './records/keyring-roster.ts';
import type { Request } from './records/request.ts';
import { openWorkspace } from './records/workspace.ts';
import { Refused } from './refusal.ts';

/** What the rules say of one item, before anybody has decided. */
export interface SimulatedItem {
  readonly keyId?: Hex;
  /** Rules that allow it, given their approvals. */
  readonly rules: readonly string[];
  /** Rules that deny it, at their hours or always. */
  readonly denied: readonly string[];
  readonly mismatches: readonly Mismatch[];
}

export interface Simulation {
  readonly verdict: 'satisfied' | 'waiting' | 'refused';
  readonly reason?: string;
  readonly detail?: string;
  readonly items: readonly SimulatedItem[];
  readonly missing: readonly Missing[];
  readonly holds: readonly Hold[];
  /** Milliseconds since 1970. */
  readonly expires?: number;
}

function simulateItem({ levels, facts, keyId }: PlannedFor): SimulatedItem {
  const [nearest] = levels;
  const allowing = (nearest?.policy.rules ?? [])
    .filter(({ effect }) => effect === 'allow')
    .map((rule) => ({ id: rule.id, found: mismatch(nearest!.policy, rule, facts) }));
  const denied = levels.flatMap(({ policy }) =>
    policy.rules.filter((rule) => rule.effect === 'deny' && mismatch(policy, rule, facts) === undefined),
  );
  return {
    ...(keyId !== undefined && { keyId }),
    rules: allowing.filter(({ found }) => found === undefined).map(({ id }) => id),
    denied: denied.map(({ id }) => id),
    mismatches: allowing.flatMap(({ found }) => found ?? []),
  };
}

const nothing = { items: [], missing: [], holds: [] } as const;

/**
 * Judges the content of a request as if its initiator had signed it at `trust.now`, and `approvals`, owners by name, had
 * approved it with every kind of credential they have. Throws RecordError for logs or a roster that are none.
 */
export function simulateRequest(
  content: Request,
  around: Pick<Evidence, 'log' | 'parentLog' | 'roster' | 'keys'>,
  approvals: readonly string[],
  trust: Trust,
): Simulation {
  const { networkId, now, firstSeen = now, ledger } = trust;
  const workspace = openWorkspace(around.log, networkId);
  const parent = around.parentLog && openWorkspace(around.parentLog, networkId);
  const keyring = openKeyring(around.roster, networkId);
  const refused = (reason: string, detail: string): Simulation => ({
    ...nothing,
    verdict: 'refused',
    reason,
    detail,
  });
  const { owners } = decidersOf({ workspace, ...(parent && { parent }) });
  const { initiator } = content;
  if (!workspace.owners.some(({ name }) => name === initiator))
    return refused('bad_evidence', `${initiator} is no owner of workspace ${workspace.id}`);
  let toPlan: readonly PlannedFor[];
  try {
    checkNotFrozen(workspace, parent);
    checkServed(workspace, keyring);
    const proofs = new KeyProofs(around.keys, keyring, networkId);
    ({ toPlan } = openAsked(content, { workspace, parent, keyring }, proofs));
  } catch (error) {
    if (error instanceof Refused) return refused(error.reason, error.message);
    throw error;
  }
  const items = toPlan.map(simulateItem);
  const plan = planPolicy(toPlan);
  if ('reason' in plan) return { ...refused('policy_denied', plan.reason), items };
  const kinds = (name: string): readonly CredentialType[] =>
    kindsOfCredentials(owners.find((owner) => owner.name === name)?.credentials ?? []);
  const approved = new Map([initiator, ...approvals].map((name) => [name, kinds(name)]));
  const created = timeOf(content.created);
  const moment = { requestId: noRequest, now, created, firstSeen, ...(ledger && { ledger }) };
  const judged = judgePlan(plan, { initiator, approved, rejected: new Map() }, moment);
  const expires = endOf(content, plan);
  switch (judged.verdict) {
    case 'satisfied':
      return { ...nothing, verdict: 'satisfied', items, expires };
    case 'waiting':
      return { verdict: 'waiting', items, missing: judged.missing, holds: judged.holds, expires };
    case 'over':
    case 'rejected':
      return { ...refused(judged.verdict === 'over' ? 'expired' : 'approvers', judged.reason), items };
  }
}

/** No request has this id: none of its own debits are in the ledger. */
export const noRequest: Hex = `0x${'0'.repeat(64)}`;
