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
import type { Hex } from '../protocol/hex.ts';
import { KeyProofs } from '../protocol/key-proofs.ts';
import {
  judgePlan,
  type LedgerEntry,
  type Moment,
  type PolicyVerdict,
  type Standing,
} from '../protocol/policy/judge.ts';
import { type Denial, planPolicy, type PlannedFor, windowOf } from '../protocol/policy/plan.ts';
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

/** What policies say at a moment; of the history up to `until`, only what their limits look back at is read. */
export async function simulate(
  items: readonly PlannedFor[],
  standing: Standing,
  moment: Omit<Moment, 'ledger'>,
  history: History,
  until = moment.now,
): Promise<Simulated> {
  const plan = planPolicy(items);
  if ('reason' in plan) return { verdict: 'denied', denial: plan };
  const windowMs = windowOf(plan);
  const entries = windowMs === undefined ? [] : await history.takenBetween(moment.now - windowMs, until);
  return judgePlan(plan, standing, { ...moment, ledger: { entries } });
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

/** What may have taken something from limits: signed, or perhaps signed. */
const mayCount = ({ state, mayHaveBeenSigned }: RequestView): boolean =>
  state === 'fulfilled' || state === 'pending' || mayHaveBeenSigned;

/** The requests that there were in a workspace, each fetched when it is needed, and once. */
export class History {
  readonly #context: CommandContext;
  readonly #session: WorkspaceSession;
  readonly #proven = new Map<Hex, Promise<PastRequest | undefined>>();
  #views: Promise<RequestView[]> | undefined;

  constructor(context: CommandContext, session: WorkspaceSession) {
    this.#context = context;
    this.#session = session;
  }

  /** All of them as the coordinator lists them, the oldest first. */
  #all(): Promise<RequestView[]> {
    const { client, workspaceId } = this.#session;
    this.#views ??= allPages((page) =>
      client.call('sign_list', { workspaceId, ...page }, { signal: this.#context.signal }),
    );
    return this.#views;
  }

  /** Those made at `since` or later, in milliseconds since 1970, the oldest first, without what their evidence does not prove. */
  async madeSince(since: number): Promise<PastRequest[]> {
    const views = (await this.#all()).filter(({ created }) => timeOf(created) >= since);
    return this.#proveAll(views);
  }

  /**
   * What was taken from limits after `since` and up to `until`, in milliseconds since 1970: it counts when it was signed, however
   * long before it was asked for.
   */
  async takenBetween(since: number, until: number): Promise<LedgerEntry[]> {
    const views = (await this.#all()).filter((view) => {
      const at = timeOf(view.updated);
      return mayCount(view) && at > since && at <= until;
    });
    return (await this.#proveAll(views)).flatMap(({ view: { requestId, updated }, authorisation }) =>
      authorisation.plan.debits.map((debit) => ({ ...debit, requestId, at: timeOf(updated) })),
    );
  }

  async #proveAll(views: readonly RequestView[]): Promise<PastRequest[]> {
    const past: PastRequest[] = [];
    for (const { requestId } of views) {
      const proven = await this.request(requestId);
      if (proven !== undefined) past.push(proven);
    }
    return past;
  }

  /** A request, as its evidence proves it; undefined when it does not. */
  request(requestId: Hex): Promise<PastRequest | undefined> {
    const known = this.#proven.get(requestId) ?? this.#prove(requestId);
    this.#proven.set(requestId, known);
    return known;
  }

  async #prove(requestId: Hex): Promise<PastRequest | undefined> {
    const { client, networkId, workspaceId } = this.#session;
    const { view, evidence } = await client.call(
      'action_get',
      { requestId },
      { signal: this.#context.signal },
    );
    // As in a receipt: judged at the time at which it was made, and without anybody's decisions.
    const verdict = authorize({ ...evidence, decisions: [] }, { networkId, now: timeOf(view.created) });
    if (verdict.verdict === 'refused') return undefined;
    const { authorisation } = verdict;
    const isIt = authorisation.requestId === requestId && authorisation.workspace.id === workspaceId;
    return isIt ? { view, evidence, authorisation } : undefined;
  }
}

/** What a policy would have said of a request with the decisions that it had, at its last moment. */
export function replay(
  { view, evidence, authorisation }: PastRequest,
  policy: Policy | undefined,
  networkId: string,
  history: History,
): Promise<Simulated> {
  const created = timeOf(authorisation.request.created);
  const now = Math.max(created, timeOf(view.updated));
  const { approved, rejected } = positionsOf(authorisation, evidence, { networkId, now: created });
  const standing = { initiator: authorisation.request.initiator, approved, rejected };
  const moment = { requestId: authorisation.requestId, now, created, firstSeen: created };
  return simulate(plannedItems(authorisation, evidence, policy, networkId), standing, moment, history);
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
