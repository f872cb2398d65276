// A workspace's history as a coordinator has it: what ended, in the order in which it did, with all records of it.
import type { AuditEntry } from '../protocol/audit.ts';
import type { Hex } from '../protocol/hex.ts';
import { decision as decisionRecord } from '../protocol/records/decision.ts';
import { type Envelope, envelopeId, readContent } from '../protocol/records/envelope.ts';
import { request as requestRecord } from '../protocol/records/request.ts';
import { workspaceChange } from '../protocol/records/workspace-change.ts';
import { logAt, type Workspace } from '../protocol/records/workspace.ts';
import type { ChangeView, RequestView } from '../protocol/rpc.ts';
import type { CommandContext } from './context.ts';
import { CliError } from './errors.ts';
import { allPages } from './ids.ts';
import { isFinal } from './requests.ts';
import { requireSame, type WorkspaceSession } from './session.ts';

/** Something that ended. Its records are only fetched when it is written. */
export interface Ended {
  readonly id: Hex;
  readonly kind: 'request' | 'change';
  readonly updated: string;
  /** Of a change: its place in the log. */
  readonly seq: number;
  readonly entered: boolean;
}

/** A million requests, in pages of 200. */
const maxPages = 5000;

/** Changes before requests that ended at the same time: these may have ended because of them. */
function compare(one: Ended, other: Ended): number {
  if (one.updated !== other.updated) return one.updated < other.updated ? -1 : 1;
  if (one.kind !== other.kind) return one.kind === 'change' ? -1 : 1;
  if (one.entered !== other.entered) return one.entered ? -1 : 1;
  if (one.seq !== other.seq) return one.seq - other.seq;
  return one.id < other.id ? -1 : 1;
}

/** Entries of the log in its own order, whatever a clock that was set back says. */
function inLogOrder(changes: readonly Ended[]): Ended[] {
  let latest = '';
  const entered = changes.filter((change) => change.entered).toSorted((one, other) => one.seq - other.seq);
  return entered.map((change) => {
    latest = change.updated > latest ? change.updated : latest;
    return { ...change, updated: latest };
  });
}

/** Everything that ended, in the order in which it did. Throws CliError `failed`, RpcClientError. */
export async function listEnded(
  context: CommandContext,
  { client, workspaceId, networkId }: WorkspaceSession,
): Promise<Ended[]> {
  const { signal } = context;
  const requests = await allPages(async (page): Promise<{ items: Ended[]; next?: string | undefined }> => {
    const { items, next } = await client.call('sign_list', { workspaceId, ...page }, { signal });
    const ended = items.filter(isFinal).map(({ requestId, updated }) => ({
      id: requestId,
      kind: 'request' as const,
      updated,
      seq: 0,
      entered: false,
    }));
    return { items: ended, next };
  }, maxPages);
  const changes = await allPages(async (page): Promise<{ items: Ended[]; next?: string | undefined }> => {
    const { items, next } = await client.call('change_list', { workspaceId, ...page }, { signal });
    const ended = items.filter(isFinal).map(({ changeId, updated, state, change }) => ({
      id: changeId,
      kind: 'change' as const,
      updated,
      seq: readContent(workspaceChange, change, networkId).content.seq,
      entered: state === 'fulfilled',
    }));
    return { items: ended, next };
  }, maxPages);
  const others = changes.filter(({ entered }) => !entered);
  return [...requests, ...inLogOrder(changes), ...others].toSorted(compare);
}

/** The decisions that follow a change in the log; undefined when it is not there. */
function decisionsIn(log: readonly Envelope[], id: Hex, networkId: string): Envelope[] | undefined {
  const at = log.findIndex((envelope) => envelopeId(envelope, networkId) === id);
  if (at < 0) return undefined;
  const after = log.findIndex(({ type }, index) => index > at && type !== decisionRecord.type);
  return log.slice(at + 1, after < 0 ? undefined : after);
}

/** The records of something that ended. Throws CliError `failed`, RpcClientError. */
export async function fetchEnded(
  context: CommandContext,
  { client, networkId }: WorkspaceSession,
  { id, kind }: Ended,
  workspace: Workspace,
): Promise<AuditEntry> {
  const { signal } = context;
  if (kind === 'change') {
    const { view } = await client.call('change_get', { changeId: id }, { signal });
    requireSame(envelopeId(view.change, networkId), id, 'change');
    const decisions = decisionsIn(workspace.log, id, networkId) ?? view.decisions;
    return { kind, ...endOf(view), change: view.change, decisions };
  }
  const { view, evidence } = await client.call('action_get', { requestId: id }, { signal });
  requireSame(envelopeId(evidence.request, networkId), id, 'request');
  const { request, decisions, roster, keys, parentLog } = evidence;
  const { parentHead } = readContent(requestRecord, request, networkId).content;
  const { results, signatures } = view;
  return {
    kind,
    ...endOf(view),
    request,
    decisions,
    roster,
    keys,
    ...(parentLog && parentHead && { parentLog: [...logAt(parentLog, parentHead, networkId)] }),
    results,
    ...(signatures && { signatures }),
  };
}

function endOf({ state, updated, reason }: RequestView | ChangeView) {
  if (state !== 'fulfilled' && state !== 'rejected')
    throw new CliError('failed', `what had ended is ${state} again`, "ask the coordinator's operator");
  return { at: updated, state, ...(reason && { reason: { ...reason } }) };
}
