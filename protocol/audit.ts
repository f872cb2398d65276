// A workspace's history as a file that anybody can check offline: every final request and change, in the order in which they
// ended, chained by hashes. A later export begins with the lines of an earlier one, so whoever kept that notices what was
// changed or left out since.
import { sha256 } from '@noble/hashes/sha2.js';
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import * as z from 'zod';
import {
  authorize,
  type Authorisation,
  type Evidence,
  maxLogEnvelopes,
  verifyDecision,
} from './authorize.ts';
import { type Hex, hexBytes, toHex } from './hex.ts';
import { keyEntrySchema } from './key-proofs.ts';
import { verifyPartyResult } from './party-results.ts';
import { verifyReceipt } from './receipt.ts';
import { decodeCanonical, encodeCanonical } from './records/canonical.ts';
import { envelopeSchema, readContent } from './records/envelope.ts';
import { networkIdSchema, recordIdSchema, timeOf, timestampSchema } from './records/fields.ts';
import {
  extendWorkspace,
  judgeChange,
  logAt,
  openChange,
  openWorkspace,
  type Workspace,
} from './records/workspace.ts';
import { workspaceChange } from './records/workspace-change.ts';
import { request as requestRecord } from './records/request.ts';

/** The longest line, in bytes. */
export const maxAuditLine = 8 * 1024 * 1024;

const headerSchema = z.strictObject({
  type: z.literal('countersign.audit'),
  version: z.literal(1),
  networkId: networkIdSchema,
  workspaceId: recordIdSchema,
});
export type AuditHeader = z.infer<typeof headerSchema>;

const ended = {
  at: timestampSchema,
  reason: z.strictObject({ code: z.string(), detail: z.string() }).exactOptional(),
};
const state = z.enum(['fulfilled', 'rejected']);

const entrySchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('genesis'), genesis: envelopeSchema }),
  z.strictObject({
    kind: z.literal('change'),
    ...ended,
    state,
    change: envelopeSchema,
    decisions: z.array(envelopeSchema),
  }),
  z.strictObject({
    kind: z.literal('request'),
    ...ended,
    state,
    request: envelopeSchema,
    decisions: z.array(envelopeSchema),
    roster: envelopeSchema,
    keys: z.array(keyEntrySchema).max(100),
    parentLog: z.array(envelopeSchema).max(maxLogEnvelopes).exactOptional(),
    results: z.array(envelopeSchema),
    signatures: z.array(hexBytes(64, 72)).exactOptional(),
  }),
]);
export type AuditEntry = z.infer<typeof entrySchema>;

const lineSchema = z.strictObject({ seq: z.int().min(1), prev: hexBytes(32), entry: entrySchema });
const endSchema = z.strictObject({ end: z.int().min(0), head: hexBytes(32) });

/** What is wrong with an audit file. `line`: counted from 1. */
export class AuditError extends Error {
  override readonly name = 'AuditError';
  readonly code: 'malformed' | 'broken_chain' | 'unproven';
  readonly line: number;
  constructor(code: AuditError['code'], line: number, message: string) {
    super(`line ${line}: ${message}`);
    this.code = code;
    this.line = line;
  }
}

const tag = utf8ToBytes('countersign/v1/audit\0');

function chained(prev: Uint8Array, line: Uint8Array): Uint8Array {
  return sha256(concatBytes(tag, prev, line));
}

const none: Uint8Array = new Uint8Array(32);

/** The lines of an audit file, without line feeds: header, entries, end. */
export function auditLines(header: AuditHeader, entries: readonly AuditEntry[]): string[] {
  const text = new TextDecoder();
  const first = encodeCanonical(header);
  let prev = chained(none, first);
  const lines = [text.decode(first)];
  for (const [index, entry] of entries.entries()) {
    const line = encodeCanonical({ seq: index + 1, prev: toHex(prev), entry });
    prev = chained(prev, line);
    lines.push(text.decode(line));
  }
  return [...lines, text.decode(encodeCanonical({ end: entries.length, head: toHex(prev) }))];
}

/** A request in an audit, with what it authorises as far as its evidence proves. */
export interface AuditedRequest {
  readonly line: number;
  readonly entry: Extract<AuditEntry, { kind: 'request' }>;
  readonly authorisation: Authorisation;
}

export interface Audited {
  readonly header: AuditHeader;
  /** The workspace at the end of the file. */
  readonly workspace: Workspace;
  /** Hash of all lines: to be kept, and compared with a later file's. */
  readonly head: Hex;
  /** The hash after each line but the last. */
  readonly heads: readonly Hex[];
  readonly changes: number;
  readonly requests: readonly AuditedRequest[];
}

function parse<Value>(schema: z.ZodType<Value>, text: string, line: number): Value {
  const bytes = utf8ToBytes(text);
  let value: unknown;
  try {
    value = decodeCanonical(bytes, maxAuditLine);
  } catch (error) {
    throw new AuditError('malformed', line, (error as Error).message);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new AuditError(
    'malformed',
    line,
    `${issue?.path.map(String).join('.') ?? ''}: ${issue?.message ?? ''}`,
  );
}

/**
 * Checks an audit file, line by line: the chain, the log, and of every request that its evidence holds and that it ended as
 * it must have. That nothing was left out, nobody can tell from the file alone. Throws AuditError naming the first wrong line.
 */
export function verifyAudit(lines: Iterable<string>, trusted: { readonly workspaceId: Hex }): Audited {
  let header: AuditHeader | undefined;
  let workspace: Workspace | undefined;
  let prev = none;
  let last: z.infer<typeof endSchema> | undefined;
  let number = 0;
  let changes = 0;
  const heads: Hex[] = [];
  const requests: AuditedRequest[] = [];
  for (const text of lines) {
    number += 1;
    if (last !== undefined) throw new AuditError('malformed', number, 'there is more after the end');
    if (header === undefined) {
      header = parse(headerSchema, text, number);
      if (header.workspaceId !== trusted.workspaceId)
        throw new AuditError(
          'unproven',
          number,
          `of workspace ${header.workspaceId}, trusted is ${trusted.workspaceId}`,
        );
    } else if (text.startsWith('{"end"')) {
      last = parse(endSchema, text, number);
      if (last.end !== number - 2 || last.head !== toHex(prev))
        throw new AuditError(
          'broken_chain',
          number,
          'the end does not fit what is before it: the file was changed or cut',
        );
      continue;
    } else {
      const { seq, prev: named, entry } = parse(lineSchema, text, number);
      if (seq !== number - 1 || named !== toHex(prev))
        throw new AuditError(
          'broken_chain',
          number,
          'it does not follow the line before: the file was changed',
        );
      try {
        if (entry.kind === 'genesis') {
          if (workspace !== undefined) throw new TypeError('a second genesis');
          workspace = openWorkspace([entry.genesis], header.networkId);
          if (workspace.id !== header.workspaceId)
            throw new TypeError(`the genesis is of workspace ${workspace.id}`);
        } else if (workspace === undefined) throw new TypeError('it comes before the genesis');
        else if (entry.kind === 'change') {
          workspace = followChange(workspace, entry, header.networkId);
          changes += 1;
        } else
          requests.push({
            line: number,
            entry,
            authorisation: checkRequest(workspace, entry, header.networkId),
          });
      } catch (error) {
        throw error instanceof AuditError
          ? error
          : new AuditError('unproven', number, (error as Error).message);
      }
    }
    prev = chained(prev, utf8ToBytes(text));
    heads.push(toHex(prev));
  }
  if (header === undefined || workspace === undefined || last === undefined)
    throw new AuditError('malformed', number, 'the file is cut: its end is missing');
  return { header, workspace, head: last.head, heads, changes, requests };
}

/** The workspace after a change that ended. Throws RecordError, TypeError. */
function followChange(
  workspace: Workspace,
  { change, decisions, state: outcome, reason, at }: Extract<AuditEntry, { kind: 'change' }>,
  networkId: string,
): Workspace {
  if (outcome === 'fulfilled') return extendWorkspace(workspace, [change, ...decisions], networkId);
  const { content } = readContent(workspaceChange, change, networkId);
  const before = workspaceAt(workspace, { seq: content.seq - 1, id: content.prev }, networkId);
  const opened = openChange(before, change, networkId);
  const { judged, positions } = judgeChange(before, opened, decisions, networkId, undefined);
  const cancelled = positions.rejected.has(content.initiator);
  const holds =
    (reason?.code === 'cancelled' && cancelled) ||
    (reason?.code === 'approvers' && judged.verdict === 'rejected') ||
    (reason?.code === 'superseded' && workspace.head.seq >= content.seq) ||
    (reason?.code === 'approval_timeout' && timeOf(at) >= timeOf(content.expires));
  if (!holds)
    throw new TypeError(`the change ended as ${reason?.code ?? 'rejected'}, and nothing here says why`);
  return workspace;
}

function workspaceAt(workspace: Workspace, head: Workspace['head'], networkId: string): Workspace {
  return openWorkspace(logAt(workspace.log, head, networkId), networkId);
}

/** What a request in an audit asked for. Throws RecordError, ReceiptError, TypeError. */
function checkRequest(
  workspace: Workspace,
  entry: Extract<AuditEntry, { kind: 'request' }>,
  networkId: string,
): Authorisation {
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
  if (entry.state === 'fulfilled') {
    const { results, signatures } = entry;
    const kept = results.filter(
      (result) => verifyPartyResult(result, authorisation, networkId).content.result.kind !== 'refusal',
    );
    const receipt = { type: 'countersign.receipt', version: 1, networkId, evidence, results: kept } as const;
    verifyReceipt({ ...receipt, ...(signatures && { signatures }) }, { workspaceId: workspace.id });
    return authorisation;
  }
  if (!endedSo(entry, evidence, authorisation, workspace, networkId))
    throw new TypeError(
      `the request ended as ${entry.reason?.code ?? 'rejected'}, and nothing here says why`,
    );
  return authorisation;
}

/** Whether the records bear out why a request ended rejected. */
function endedSo(
  { reason, at, results }: Extract<AuditEntry, { kind: 'request' }>,
  evidence: Evidence,
  authorisation: Authorisation,
  workspace: Workspace,
  networkId: string,
): boolean {
  const { keyring, request, expires } = authorisation;
  switch (reason?.code) {
    case 'approvers':
    case 'cancelled': {
      const verdict = authorize(evidence, {
        networkId,
        now: timeOf(request.created),
        ledger: { entries: [] },
      });
      return verdict.verdict === 'refused' && verdict.reason === reason.code;
    }
    case 'approval_timeout':
    case 'mpc_timeout':
      return timeOf(at) >= expires;
    case 'policy_changed':
      // Of a child workspace it may have been the parent's.
      return workspace.head.seq > request.logHead.seq || authorisation.parent !== undefined;
    case 'parties': {
      const { parties, threshold } = keyring.roster;
      const contents = results.map((result) => verifyPartyResult(result, authorisation, networkId).content);
      const refusals = new Set(
        contents.filter(({ result }) => result.kind === 'refusal').map(({ party }) => party),
      );
      return request.kind === 'key' ? contents.length > 0 : refusals.size > parties.length - threshold;
    }
    default:
      return false;
  }
}

/** Whether a later file continues an earlier one: everything that was in that is in this, unchanged. */
export function continues(later: Audited, earlier: Audited): boolean {
  const last = earlier.heads.at(-1);
  return last !== undefined && later.heads[earlier.heads.length - 1] === last;
}
