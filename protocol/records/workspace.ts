// A workspace as its log tells it. The log is a hash chain whose first entry is the genesis; each later entry is a change
// followed by the decisions that the admin policy wanted for it. Replaying it gives owners and policies at its head.
import { type Deciders, kindsOfCredentials, type Positions, positionsOn, subjectOf } from '../decisions.ts';
import type { Hex } from '../hex.ts';
import { changeFacts } from '../policy/facts.ts';
import { judgePlan, type PolicyVerdict } from '../policy/judge.ts';
import { type Plan, planPolicy } from '../policy/plan.ts';
import type { ChangeKind } from '../policy/schema.ts';
import { decision as decisionRecord } from './decision.ts';
import {
  type Envelope,
  envelopeId,
  readContent,
  RecordError,
  verifyRecord,
  type VerifiedRecord,
} from './envelope.ts';
import { type Credential, type LogHead, timeOf } from './fields.ts';
import { KnownLogs } from './known-logs.ts';
import { type Change, introducedBy, type WorkspaceChange, workspaceChange } from './workspace-change.ts';
import { type Principal, workspaceGenesis } from './workspace-genesis.ts';
import { applyChange, ChangeError, type WorkspaceState } from './workspace-state.ts';

export interface Workspace extends WorkspaceState {
  readonly head: LogHead;
  /** The id of every entry, the genesis first: `chain[seq]`. */
  readonly chain: readonly Hex[];
  /** By the id of an entry after which two stood: the one that its owners said stands. */
  readonly resolved: ReadonlyMap<Hex, Hex>;
  /** Genesis, then every change followed by its decisions. */
  readonly log: readonly Envelope[];
}

function fail(message: string): never {
  throw new RecordError('malformed', workspaceChange.type, message);
}

function openGenesis(first: Envelope, networkId: string): Workspace {
  const { id, content, signedBy } = verifyRecord(workspaceGenesis, first, networkId);
  const credentials = new Set(content.owners.flatMap((owner) => owner.credentials));
  if (!signedBy.every((credential) => credentials.has(credential))) {
    throw new RecordError(
      'missing_signature',
      'workspace.genesis',
      'signed by somebody who is not one of its owners: only owners may sign it',
    );
  }
  const { name, owners, keyrings, adminPolicy, signPolicy, parent } = content;
  return {
    id,
    name,
    owners,
    keyrings,
    adminPolicy,
    ...(signPolicy !== undefined && { signPolicy }),
    ...(parent !== undefined && { parent }),
    keyPolicies: new Map(),
    disabledKeys: new Set(),
    children: new Set(),
    frozen: false,
    head: { seq: 0, id },
    chain: [id],
    resolved: new Map(),
    log: [first],
  };
}

/** The plan of a change under the admin policy in force. Throws RecordError when no decision could allow it. */
export function planChange(workspace: WorkspaceState, kind: ChangeKind): Plan {
  const owners = workspace.owners.map((owner) => owner.name);
  const levels = [{ policy: workspace.adminPolicy, owners }];
  const plan = planPolicy([{ levels, facts: changeFacts(kind) }]);
  if ('reason' in plan) fail(`the admin policy allows no ${kind}: ${plan.reason}`);
  return plan;
}

/** A change that fits onto the head of a log, with what its initiator signed it with. */
export interface OpenedChange {
  readonly record: VerifiedRecord<WorkspaceChange>;
  readonly plan: Plan;
  /** The workspace as it is once the change is in force. */
  readonly next: WorkspaceState;
}

/**
 * What a change needs and makes of this state of the workspace, whoever proposes it. Throws RecordError when it can never be.
 */
export function checkChange(
  workspace: WorkspaceState,
  change: Change,
): { readonly plan: Plan; readonly next: WorkspaceState } {
  try {
    return { plan: planChange(workspace, change.kind), next: applyChange(workspace, change) };
  } catch (error) {
    if (!(error instanceof ChangeError)) throw error;
    return fail(`${change.kind} cannot be: ${error.message}`);
  }
}

/**
 * A change to this state of the workspace: verified, by one of its owners, countersigned by whoever it brings in. Whether
 * it is decided is another question. Throws RecordError.
 */
export function openChange(workspace: Workspace, envelope: Envelope, networkId: string): OpenedChange {
  const record = verifyRecord(workspaceChange, envelope, networkId);
  const { workspaceId, seq, prev, initiator, change } = record.content;
  const { head } = workspace;
  if (workspaceId !== workspace.id) fail(`the change is of workspace ${workspaceId}, not of ${workspace.id}`);
  if (prev !== head.id || seq !== head.seq + 1)
    fail(`entry ${seq} after ${prev} does not follow the head, which is entry ${head.seq} ${head.id}`);
  const owner = workspace.owners.find(({ name }) => name === initiator);
  const others = record.signedBy.filter((credential) => !introducedBy(record.content).includes(credential));
  if (owner === undefined || others.length === 0 || !others.every((one) => owner.credentials.includes(one))) {
    throw new RecordError(
      'missing_signature',
      workspaceChange.type,
      `not signed by its initiator ${initiator}: an owner must propose it`,
    );
  }
  return { record, ...checkChange(workspace, change) };
}

/** Where owners stand on a change, and what its policy says of that. `now`: as `positionsOn` has it. */
export function judgeChange(
  workspace: Deciders,
  { record, plan }: OpenedChange,
  decisions: readonly Envelope[],
  networkId: string,
  now: number | undefined,
): { readonly judged: PolicyVerdict; readonly positions: Positions } {
  const { id, content, signedBy } = record;
  const own = workspace.owners.find(({ name }) => name === content.initiator)?.credentials ?? [];
  const signedWith = kindsOfCredentials(signedBy.filter((credential) => own.includes(credential)));
  const initiator = { name: content.initiator, signedWith };
  const subject = subjectOf(workspaceChange, record);
  const positions = positionsOn(subject, initiator, decisions, workspace, networkId, now);
  if (now !== undefined && now >= timeOf(content.expires)) {
    const reason = `it could be decided on until ${content.expires}: propose it anew`;
    return { judged: { verdict: 'over', reason }, positions };
  }
  if (positions.rejected.has(content.initiator)) {
    const [reason, by] = [`cancelled by ${content.initiator}`, [content.initiator]];
    return { judged: { verdict: 'rejected', reason, by }, positions };
  }
  // An admin policy has nothing that time could change.
  const moment = { requestId: id, now: 0, created: 0, firstSeen: 0 };
  const judged = judgePlan(plan, { initiator: content.initiator, ...positions }, moment);
  if (content.change.kind !== 'resolve' || judged.verdict !== 'satisfied') return { judged, positions };
  const need = Math.floor(workspace.owners.length / 2) + 1;
  const have = [...positions.approved.keys()];
  if (have.length >= need) return { judged, positions };
  const from = workspace.owners
    .map(({ name }) => name)
    .filter((name) => !have.includes(name) && !positions.rejected.has(name));
  const missing = [{ rule: 'majority of owners', need, have, from }];
  return { judged: { verdict: 'waiting', missing, holds: [] }, positions };
}

/** The workspace after a change that was decided. Throws RecordError when these decisions do not suffice. */
function follow(
  workspace: Workspace,
  envelope: Envelope,
  decisions: readonly Envelope[],
  stands: Hex | undefined,
  networkId: string,
): Workspace {
  const opened = openChange(workspace, envelope, networkId);
  const { id, content } = opened.record;
  const { judged } = judgeChange(workspace, opened, decisions, networkId, undefined);
  if (judged.verdict !== 'satisfied')
    fail(`entry ${content.seq} ${id} was not decided by the owners it takes`);
  const log = [...workspace.log, envelope, ...decisions];
  if (content.change.kind === 'resolve') {
    if (stands !== undefined) fail(`two entries say which entry ${content.seq} stands: one is enough`);
    const resolved = new Map([...workspace.resolved, [content.prev, content.change.stands]]);
    return { ...workspace, resolved, log };
  }
  if (stands !== undefined && stands !== id)
    fail(`entry ${content.seq} is ${id}, its owners said that ${stands} stands`);
  return {
    ...opened.next,
    head: { seq: content.seq, id },
    chain: [...workspace.chain, id],
    resolved: workspace.resolved,
    log,
  };
}

const knownLogs = new KnownLogs<Omit<Workspace, 'log'>>();

/** Replays a workspace's log from its genesis. Throws RecordError naming the first entry that is wrong. */
export function openWorkspace(log: readonly Envelope[], networkId: string): Workspace {
  const replayed = knownLogs.of(log, networkId, () => {
    const [first, ...later] = log;
    if (first === undefined)
      throw new RecordError('malformed', 'workspace.genesis', 'the log is empty: it begins with the genesis');
    const { log: _, ...workspace } = extendWorkspace(openGenesis(first, networkId), later, networkId);
    return workspace;
  });
  return { ...replayed, log: [...log] };
}

/** Replays further entries on top of what was replayed. Throws RecordError. */
export function extendWorkspace(
  workspace: Workspace,
  later: readonly Envelope[],
  networkId: string,
): Workspace {
  let current = workspace;
  for (let index = 0; index < later.length;) {
    const after = later.findIndex((envelope, at) => at > index && envelope.type !== decisionRecord.type);
    const end = after < 0 ? later.length : after;
    const stands = current.resolved.get(current.head.id);
    current = follow(current, later[index]!, later.slice(index + 1, end), stands, networkId);
    index = end;
  }
  return current;
}

/**
 * The log with a change that was decided, and the decisions on it, at its end. Nothing is verified. Throws RecordError when
 * one of the decisions is none: it would be taken for the next entry.
 */
export function appendChange(
  log: readonly Envelope[],
  change: Envelope,
  decisions: readonly Envelope[],
): readonly Envelope[] {
  const other = decisions.find(({ type }) => type !== decisionRecord.type);
  if (other !== undefined)
    fail(`a ${other.type} record stands among the decisions: only decisions follow a change`);
  return [...log, change, ...decisions];
}

/**
 * A log cut back to one of its heads: that entry and its decisions are the last, and what was said after it of which entry
 * follows is left out. Nothing is verified: the caller opens it. Throws RecordError when the log has no such entry.
 */
export function logAt(log: readonly Envelope[], head: LogHead, networkId: string): readonly Envelope[] {
  const at = log.findIndex((envelope) => envelopeId(envelope, networkId) === head.id);
  const seq = log.slice(1, at + 1).filter((envelope) => takesPlace(envelope, networkId)).length;
  if (at < 0 || seq !== head.seq || (at > 0 && !takesPlace(log[at]!, networkId)))
    fail(`entry ${head.seq} ${head.id} is not in this log: take the workspace's newest log`);
  const after = log.findIndex(({ type }, index) => index > at && type !== decisionRecord.type);
  return after < 0 ? log : log.slice(0, after);
}

/** Whether it is a link of the chain: decisions are none, nor is what says which of two entries stands. */
function takesPlace(envelope: Envelope, networkId: string): boolean {
  return (
    envelope.type === workspaceChange.type &&
    readContent(workspaceChange, envelope, networkId).content.change.kind !== 'resolve'
  );
}

/** The owner one of whose credentials this is. */
export function ownerOf(workspace: Pick<Workspace, 'owners'>, credential: Credential): Principal | undefined {
  return workspace.owners.find((owner) => owner.credentials.includes(credential));
}
