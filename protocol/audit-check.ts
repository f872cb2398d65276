// Checks an audit file (audit.ts): the chain of its lines, the workspace's log, and of every request and change that its
// records bear out how it ended. Needs nothing but the file and the id of the workspace that the reader trusts.
import { utf8ToBytes } from '@noble/hashes/utils.js';
import type * as z from 'zod';
import {
  auditEndSchema,
  type AuditEntry,
  AuditError,
  type AuditHeader,
  auditHeaderSchema,
  auditLineSchema,
  auditStart,
  chained,
  maxAuditLine,
} from './audit.ts';
import { followChange, judgeEnded, type JudgedRequest } from './audit-evidence.ts';
import { type Hex, toHex } from './hex.ts';
import { decodeCanonical } from './records/canonical.ts';
import { openWorkspace, type Workspace } from './records/workspace.ts';

/** A request in an audit, with what it asked for as far as its evidence proves. */
export interface AuditedRequest extends JudgedRequest {
  readonly line: number;
  readonly entry: Extract<AuditEntry, { kind: 'request' }>;
}

export interface Audited {
  readonly header: AuditHeader;
  /** The workspace at the end of the file. */
  readonly workspace: Workspace;
  /** Hash of all lines but the last: to be kept, and compared with a later file's. */
  readonly head: Hex;
  /** The hash after each line but the last. */
  readonly heads: readonly Hex[];
  /** Lines between the first and the last. */
  readonly entries: number;
  /** Changes that entered the log, and those that did not. */
  readonly changes: Readonly<Record<'fulfilled' | 'rejected', number>>;
  readonly requests: Readonly<Record<'fulfilled' | 'rejected', number>>;
  /** Ids of the requests and changes in it. */
  readonly ids: ReadonlySet<Hex>;
}

function parse<Value>(schema: z.ZodType<Value>, text: string, line: number): Value {
  let value: unknown;
  try {
    value = decodeCanonical(utf8ToBytes(text), maxAuditLine);
  } catch (error) {
    throw new AuditError('malformed', line, (error as Error).message);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue?.path.map(String).join('.') || 'the line';
  throw new AuditError('malformed', line, `${where}: ${issue?.message ?? 'wrong form'}`);
}

/** Takes the lines of a file one after the other, and keeps none of them. That nothing was left out, no file can tell. */
export class AuditReader {
  readonly #trusted: Hex;
  #header: AuditHeader | undefined;
  #workspace: Workspace | undefined;
  #prev = auditStart;
  #end: Hex | undefined;
  #number = 0;
  readonly #heads: Hex[] = [];
  readonly #ids = new Set<Hex>();
  readonly #changes = { fulfilled: 0, rejected: 0 };
  readonly #requests = { fulfilled: 0, rejected: 0 };

  constructor(trusted: { readonly workspaceId: Hex }) {
    this.#trusted = trusted.workspaceId;
  }

  /** The next line, without its line feed; returns the request in it, if any, whose records hold. Throws AuditError. */
  take(text: string): AuditedRequest | undefined {
    this.#number += 1;
    const line = this.#number;
    if (this.#end !== undefined) throw new AuditError('malformed', line, 'there is more after the end');
    let request: AuditedRequest | undefined;
    if (this.#header === undefined) this.#header = this.#readHeader(text);
    else if (text.startsWith('{"end"')) return this.#readEnd(text);
    else request = this.#readEntry(text, this.#header);
    this.#prev = chained(this.#prev, utf8ToBytes(text));
    this.#heads.push(toHex(this.#prev));
    return request;
  }

  /** Once all lines were taken. Throws AuditError `malformed` when the last of them is missing. */
  finish(): Audited {
    if (this.#header === undefined || this.#workspace === undefined || this.#end === undefined)
      throw new AuditError('malformed', Math.max(1, this.#number), 'the file is cut: its end is missing');
    return {
      header: this.#header,
      workspace: this.#workspace,
      head: this.#end,
      heads: this.#heads,
      entries: this.#heads.length - 1,
      changes: this.#changes,
      requests: this.#requests,
      ids: this.#ids,
    };
  }

  #readHeader(text: string): AuditHeader {
    const header = parse(auditHeaderSchema, text, this.#number);
    if (header.workspaceId === this.#trusted) return header;
    const message = `of workspace ${header.workspaceId}, trusted is ${this.#trusted}`;
    throw new AuditError('unproven', this.#number, message);
  }

  #readEnd(text: string): undefined {
    const { end, head } = parse(auditEndSchema, text, this.#number);
    if (end !== this.#number - 2 || head !== toHex(this.#prev)) {
      const message = 'the end does not fit what is before it: the file was changed or cut';
      throw new AuditError('broken_chain', this.#number, message);
    }
    this.#end = head;
  }

  #readEntry(text: string, { networkId }: AuditHeader): AuditedRequest | undefined {
    const line = this.#number;
    const { seq, prev, entry } = parse(auditLineSchema, text, line);
    if (seq !== line - 1 || prev !== toHex(this.#prev)) {
      const message = 'it does not follow the line before: the file was changed';
      throw new AuditError('broken_chain', line, message);
    }
    try {
      return this.#follow(entry, networkId);
    } catch (error) {
      throw new AuditError('unproven', line, (error as Error).message);
    }
  }

  #follow(entry: AuditEntry, networkId: string): AuditedRequest | undefined {
    if (entry.kind === 'genesis') {
      if (this.#workspace !== undefined) throw new TypeError('a second genesis');
      const workspace = openWorkspace([entry.genesis], networkId);
      if (workspace.id !== this.#trusted) throw new TypeError(`the genesis is of workspace ${workspace.id}`);
      this.#workspace = workspace;
      return undefined;
    }
    if (this.#workspace === undefined) throw new TypeError('it comes before the genesis');
    if (entry.kind === 'change') {
      const { id, workspace } = followChange(this.#workspace, entry, networkId);
      this.#once(id);
      this.#workspace = workspace;
      this.#changes[entry.state] += 1;
      return undefined;
    }
    const judged = judgeEnded(this.#workspace, entry, networkId);
    this.#once(judged.authorisation.requestId);
    this.#requests[entry.state] += 1;
    return { line: this.#number, entry, ...judged };
  }

  #once(id: Hex): void {
    if (this.#ids.has(id)) throw new TypeError(`${id} ended before`);
    this.#ids.add(id);
  }
}

/** Checks all lines of a file, see AuditReader. Throws AuditError naming the first wrong line. */
export function verifyAudit(
  lines: Iterable<string>,
  trusted: { readonly workspaceId: Hex },
  see?: (request: AuditedRequest) => void,
): Audited {
  const reader = new AuditReader(trusted);
  for (const line of lines) {
    const request = reader.take(line);
    if (request !== undefined) see?.(request);
  }
  return reader.finish();
}

/** Whether a later file continues an earlier one: everything that was in that is in this, unchanged. */
export function continues(later: Pick<Audited, 'heads'>, earlier: Pick<Audited, 'heads'>): boolean {
  const last = earlier.heads.at(-1);
  return last !== undefined && later.heads[earlier.heads.length - 1] === last;
}
