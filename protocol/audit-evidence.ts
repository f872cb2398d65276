// What the records of one entry of an audit prove: that a change was decided by the owners it took, and that a request
// ended as it says. Throws what is wrong, in words; audit-check.ts names the line.
import type { AuditEntry } from './audit.ts';
import {
  type Authorisation,
  authorize,
  type Evidence,
  maxClockAhead,
  maxRequestLifetime,
  positionsOf,
  reconsider,
  type Trust,
  verifyDecision,
} from './authorize.ts';
import type { Hex } from './hex.ts';
import { sameKeyResult } from './keys/certificate.ts';
import { verifyPartyResult } from './party-results.ts';
import { verifyReceipt } from './receipt.ts';
import { envelopeId, readContent } from './records/envelope.ts';
import { timeOf } from './records/fields.ts';
import type { PartyResult } from './records/party-result.ts';
import { request as requestRecord } from './records/request.ts';
import {
  extendWorkspace,
  judgeChange,
  logAt,
  openChange,
  openWorkspace,
  type Workspace,
} from './records/workspace.ts';
import { workspaceChange } from './records/workspace-change.ts';

type ChangeEntry = Extract<AuditEntry, { kind: 'change' }>;
type RequestEntry = Extract<AuditEntry, { kind: 'request' }>;

/** The workspace after a change that ended, in force or not. Throws RecordError, TypeError. */
export function followChange(
  workspace: Workspace,
  entry: ChangeEntry,
  networkId: string,
): { readonly id: Hex; readonly workspace: Workspace } {
  const { change, decisions, state, reason } = entry;
  const id = envelopeId(change, networkId);
  if (state === 'fulfilled')
    return { id, workspace: extendWorkspace(workspace, [change, ...decisions], networkId) };
  if (!changeEndedSo(entry, workspace, networkId))
    throw new TypeError(`the change ended as ${reason?.code ?? 'rejected'}, and nothing here says why`);
  return { id, workspace };
}

/** Whether the records bear out why a change did not enter the log. */
function changeEndedSo(
  { change, decisions, reason, at }: ChangeEntry,
  workspace: Workspace,
  networkId: string,
): boolean {
  const { content } = readContent(workspaceChange, change, networkId);
  const head = { seq: content.seq - 1, id: content.prev };
  const before = openWorkspace(logAt(workspace.log, head, networkId), networkId);
  const opened = openChange(before, change, networkId);
  const { judged, positions } = judgeChange(before, opened, decisions, networkId, undefined);
  switch (reason?.code) {
    case 'cancelled':
      return positions.rejected.has(content.initiator);
    case 'approvers':
      return judged.verdict === 'rejected';
    case 'superseded':
      return workspace.head.seq >= content.seq;
    case 'approval_timeout': {
      const latest = timeOf(content.created) - maxClockAhead + maxRequestLifetime;
      return timeOf(at) >= Math.min(timeOf(content.expires), latest);
    }
    case undefined:
    default:
      return false;
  }
}

/** What a request in an audit asked for, and who stood behind it. */
export interface JudgedRequest {
  readonly authorisation: Authorisation;
  /** Owners whose last decision is an approval, the initiator among them. */
  readonly approvedBy: readonly string[];
}

/** What a request that ended asked for, once its records bear out how it ended. Throws RecordError, ReceiptError, TypeError. */
export function judgeEnded(workspace: Workspace, entry: RequestEntry, networkId: string): JudgedRequest {
  const { content } = readContent(requestRecord, entry.request, networkId);
  const evidence: Evidence = {
    log: [...logAt(workspace.log, content.logHead, networkId)],
    roster: entry.roster,
    request: entry.request,
    decisions: entry.decisions,
    keys: entry.keys,
    ...(entry.parentLog && { parentLog: entry.parentLog }),
  };
  // No file says when it was judged: what it asks for is judged at the time at which it was made.
  const trust = { networkId, now: timeOf(content.created), ledger: { entries: [] } };
  const bare = authorize({ ...evidence, decisions: [] }, trust);
  if (bare.verdict === 'refused') throw new TypeError(`${bare.reason}: ${bare.detail}`);
  const { authorisation } = bare;
  for (const decision of entry.decisions) verifyDecision(decision, authorisation, networkId);
  const results = entry.results.map((result) => verifyPartyResult(result, authorisation, networkId).content);
  if (entry.state === 'fulfilled') {
    const counted = entry.results.filter((_, index) => results[index]!.result.kind !== 'refusal');
    const { signatures } = entry;
    verifyReceipt(
      {
        type: 'countersign.receipt',
        version: 1,
        networkId,
        evidence,
        results: counted,
        ...(signatures && { signatures }),
      },
      { workspaceId: workspace.id },
    );
  } else if (entry.signatures !== undefined) {
    throw new TypeError('it was rejected, and has signatures, which nothing here proves');
  } else if (!requestEndedSo(entry, evidence, authorisation, results, workspace, trust)) {
    const how = entry.reason?.code ?? 'rejected';
    throw new TypeError(`the request ended as ${how}, and nothing here says why`);
  }
  const { approved } = positionsOf(authorisation, evidence, trust);
  return { authorisation, approvedBy: [...approved.keys()] };
}

/** Whether the records bear out why a request ended rejected. */
function requestEndedSo(
  { reason, at }: RequestEntry,
  evidence: Evidence,
  authorisation: Authorisation,
  results: readonly PartyResult[],
  workspace: Workspace,
  trust: Trust,
): boolean {
  const { keyring, request, expires, parent } = authorisation;
  switch (reason?.code) {
    case 'approvers':
    case 'cancelled': {
      const verdict = reconsider(authorisation, evidence, trust);
      return verdict.verdict === 'refused' && verdict.reason === reason.code;
    }
    case 'approval_timeout':
    case 'mpc_timeout':
      return timeOf(at) >= expires;
    case 'policy_changed':
      // Of a child workspace it may have been the parent's, whose later log is not here.
      return workspace.head.seq > request.logHead.seq || parent !== undefined;
    case 'parties':
      return partiesFailed(results, keyring.roster, request.kind);
    case undefined:
    default:
      return false;
  }
}

/** Whether so many parties refused, or reported different keys, that there can be no result. */
function partiesFailed(
  results: readonly PartyResult[],
  { parties, threshold }: Authorisation['keyring']['roster'],
  kind: 'key' | 'sign',
): boolean {
  const refused = new Set(
    results.filter(({ result }) => result.kind === 'refusal').map(({ party }) => party),
  );
  if (kind === 'sign') return refused.size > parties.length - threshold;
  const keys = results.flatMap(({ result }) => (result.kind === 'key' ? [result] : []));
  return refused.size > 0 || keys.some((key) => !sameKeyResult(key, keys[0]!));
}
