// What a policy would say of a request: of one that is only thought of, or of those that there were. Everything is judged
// here, from signed records and the bytes of payloads.
import {
  type Authorisation,
  authorize,
  type Evidence,
  openAsked,
  positionsOf,
} from '../protocol/authorize.ts';
import { kindsOfCredentials } from '../protocol/decisions.ts';
import { KeyProofs } from '../protocol/key-proofs.ts';
import {
  judgePlan,
  type LedgerEntry,
  type Moment,
  type PolicyVerdict,
  type Standing,
} from '../protocol/policy/judge.ts';
import { type Denial, planPolicy, type PlannedFor } from '../protocol/policy/plan.ts';
import type { Policy } from '../protocol/policy/schema.ts';
import { type Credential, timeOf, timestamp } from '../protocol/records/fields.ts';
import type { Workspace } from '../protocol/records/workspace.ts';
import type { RequestView } from '../protocol/rpc.ts';
import type { CommandContext } from './context.ts';
import { allPages } from './ids.ts';
import type { TrustedFamily, WorkspaceSession } from './session.ts';

export type Simulated = { readonly verdict: 'denied'; readonly denial: Denial } | PolicyVerdict;

/** The policies in force for an item, with another in place of the nearest. */
export function levelsWith(
  policy: Policy | undefined,
  workspace: Workspace,
  levels: PlannedFor['levels'],
): PlannedFor['levels'] {
  const [nearest, ...outer] = levels;
  if (policy === undefined) return levels;
  if (nearest === undefined) return [{ policy, owners: workspace.owners.map(({ name }) => name) }];
  return [{ ...nearest, policy }, ...outer];
}

export function simulate(items: readonly PlannedFor[], standing: Standing, moment: Moment): Simulated {
  const plan = planPolicy(items);
  return 'reason' in plan ? { verdict: 'denied', denial: plan } : judgePlan(plan, standing, moment);
}

/** The items of a request as policies see them, with another policy in place of the nearest one of each. */
export function plannedItems(
  { request, workspace, parent, keyring }: Authorisation,
  { keys }: Evidence,
  policy: Policy | undefined,
  networkId: string,
): PlannedFor[] {
  const proofs = new KeyProofs(keys, keyring, networkId);
  const { toPlan } = openAsked(request, { workspace, parent, keyring }, proofs);
  return toPlan.map((item) => ({ ...item, levels: levelsWith(policy, workspace, item.levels) }));
}

/** Those of the names that are owners of the workspace or its parent, with all kinds of credentials that they have. */
export function deciding(
  { workspace, parent }: TrustedFamily,
  names: readonly string[],
): Standing['approved'] {
  const credentialsOf = new Map<string, Credential[]>();
  for (const { name, credentials } of [...workspace.owners, ...(parent?.owners ?? [])])
    if (names.includes(name)) credentialsOf.set(name, [...(credentialsOf.get(name) ?? []), ...credentials]);
  return new Map([...credentialsOf].map(([name, all]) => [name, kindsOfCredentials(all)]));
}

export interface PastRequest {
  readonly view: RequestView;
  readonly evidence: Evidence;
  readonly authorisation: Authorisation;
}

/** A past request, as its evidence proves it; undefined when it does not. */
async function pastRequest(
  context: CommandContext,
  { client, networkId }: WorkspaceSession,
  view: RequestView,
): Promise<PastRequest | undefined> {
  const { requestId } = view;
  const { evidence } = await client.call('action_get', { requestId }, { signal: context.signal });
  // As in a receipt: judged at the time at which it was made, and without anybody's decisions.
  const verdict = authorize({ ...evidence, decisions: [] }, { networkId, now: timeOf(view.created) });
  if (verdict.verdict === 'refused') return undefined;
  const { authorisation } = verdict;
  return authorisation.requestId === requestId ? { view, evidence, authorisation } : undefined;
}

/** Requests of the workspace, oldest first, that were made at `since` or later, in milliseconds since 1970. */
export async function pastRequests(
  context: CommandContext,
  session: WorkspaceSession,
  since: number,
): Promise<PastRequest[]> {
  const { client, workspaceId } = session;
  const views = await allPages((page) =>
    client.call('sign_list', { workspaceId, ...page }, { signal: context.signal }),
  );
  const past: PastRequest[] = [];
  for (const view of views.filter(({ created }) => timeOf(created) >= since)) {
    const proven = await pastRequest(context, session, view);
    if (proven !== undefined) past.push(proven);
  }
  return past;
}

/** What those requests took from limits that were signed, or may have been. */
export function debitsOf(past: readonly PastRequest[]): LedgerEntry[] {
  return past
    .filter(({ view }) => view.state === 'fulfilled' || view.state === 'pending' || view.mayHaveBeenSigned)
    .flatMap(({ view: { requestId, updated }, authorisation }) =>
      authorisation.plan.debits.map((debit) => ({ ...debit, requestId, at: timeOf(updated) })),
    );
}

/** What a policy would have said of a request with the decisions that it had, at its last moment. */
export function replay(
  { view, evidence, authorisation }: PastRequest,
  policy: Policy | undefined,
  networkId: string,
  entries: readonly LedgerEntry[],
): Simulated {
  const created = timeOf(authorisation.request.created);
  const now = Math.max(created, timeOf(view.updated));
  const { approved, rejected } = positionsOf(authorisation, evidence, { networkId, now: created });
  const standing = { initiator: authorisation.request.initiator, approved, rejected };
  const earlier = entries.filter(({ at }) => at <= now);
  const moment = {
    requestId: authorisation.requestId,
    now,
    created,
    firstSeen: created,
    ledger: { entries: earlier },
  };
  return simulate(plannedItems(authorisation, evidence, policy, networkId), standing, moment);
}

/** A verdict in words. */
export function verdictLines(simulated: Simulated): string[] {
  switch (simulated.verdict) {
    case 'denied':
      return ['refused', ...simulated.denial.reason.split('; ')];
    case 'satisfied':
      return [
        `may be signed, by ${simulated.rules.length === 1 ? 'rule' : 'rules'} ${simulated.rules.join(', ')}`,
      ];
    case 'rejected':
    case 'over':
      return [`rejected: ${simulated.reason}`];
    case 'waiting':
      return [
        'waits',
        ...simulated.missing.map(({ rule, need, have, from, credential }) => {
          const signed = credential === undefined ? '' : `, signed with ${credential.join(' or ')}`;
          return `rule ${rule}: ${have.length} of ${need} approvals, may still approve: ${from.join(', ') || 'nobody'}${signed}`;
        }),
        ...simulated.holds.map(
          ({ rule, hold, detail, until }) =>
            `rule ${rule}: ${hold}: ${detail}${until === undefined ? '' : ` (until ${timestamp(until)})`}`,
        ),
      ];
  }
}
