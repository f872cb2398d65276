// A workspace's history as a file that anybody can check offline: every final request and change, in the order in which they
// ended, chained by hashes. A later export begins with the lines of an earlier one, so whoever kept that notices what was
// changed or left out since. Here is how it is written; audit-check.ts reads it.
import { sha256 } from '@noble/hashes/sha2.js';
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import * as z from 'zod';
import { maxLogEnvelopes } from './authorize.ts';
import { fromHex, type Hex, hexBytes, toHex } from './hex.ts';
import { keyEntrySchema } from './key-proofs.ts';
import { encodeCanonical } from './records/canonical.ts';
import { envelopeSchema } from './records/envelope.ts';
import { networkIdSchema, recordIdSchema, timestampSchema } from './records/fields.ts';

/** The longest line, in bytes. */
export const maxAuditLine = 8 * 1024 * 1024;

export const auditHeaderSchema = z.strictObject({
  type: z.literal('countersign.audit'),
  version: z.literal(1),
  networkId: networkIdSchema,
  workspaceId: recordIdSchema,
});
export type AuditHeader = z.infer<typeof auditHeaderSchema>;

/** When and why it ended is the coordinator's word; why is checked against the records, when is not. */
const ended = {
  at: timestampSchema,
  reason: z.strictObject({ code: z.string().max(100), detail: z.string().max(10_000) }).exactOptional(),
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
    /** Of a child workspace: its parent's log, up to the entry that the request names. */
    parentLog: z.array(envelopeSchema).max(maxLogEnvelopes).exactOptional(),
    results: z.array(envelopeSchema),
    signatures: z.array(hexBytes(64, 72)).exactOptional(),
  }),
]);
export type AuditEntry = z.infer<typeof entrySchema>;

export const auditLineSchema = z.strictObject({
  seq: z.int().min(1),
  prev: hexBytes(32),
  entry: entrySchema,
});
export const auditEndSchema = z.strictObject({ end: z.int().min(0), head: hexBytes(32) });

/** Where an audit file is wrong. */
export type AuditErrorCode =
  | 'malformed' // a line is not of the form, or the file is cut
  | 'broken_chain' // a line does not follow the one before
  | 'unproven'; // the records in a line do not hold

/** What is wrong with an audit file. `line`: counted from 1. */
export class AuditError extends Error {
  override readonly name = 'AuditError';
  readonly code: AuditErrorCode;
  readonly line: number;
  constructor(code: AuditErrorCode, line: number, message: string) {
    super(`line ${line}: ${message}`);
    this.code = code;
    this.line = line;
  }
}

const tag = utf8ToBytes('countersign/v1/audit\0');

/** What stands before the first line, 32 bytes. */
export const auditStart: Uint8Array = new Uint8Array(32);

/** The hash after a line: of all lines until then, 32 bytes. */
export function chained(prev: Uint8Array, line: Uint8Array): Uint8Array {
  return sha256(concatBytes(tag, prev, line));
}

/** Makes the lines of an audit file, without line feeds: `header`, then `entry` for each, then `end`. */
export class AuditWriter {
  #prev: Uint8Array = auditStart;
  #entries = 0;

  /** Goes on after the last entry of a file that was checked, whose head and number of entries these are. */
  static after(head: Hex, entries: number): AuditWriter {
    const writer = new AuditWriter();
    writer.#prev = fromHex(head);
    writer.#entries = entries;
    return writer;
  }

  header(header: AuditHeader): string {
    return this.#line(header);
  }

  entry(entry: AuditEntry): string {
    this.#entries += 1;
    return this.#line({ seq: this.#entries, prev: toHex(this.#prev), entry });
  }

  end(): string {
    return new TextDecoder().decode(encodeCanonical({ end: this.#entries, head: toHex(this.#prev) }));
  }

  #line(value: unknown): string {
    const bytes = encodeCanonical(value);
    this.#prev = chained(this.#prev, bytes);
    return new TextDecoder().decode(bytes);
  }
}

/** The lines of an audit file, without line feeds: header, entries, end. */
export function auditLines(header: AuditHeader, entries: readonly AuditEntry[]): string[] {
  const writer = new AuditWriter();
  const lines = [writer.header(header), ...entries.map((entry) => writer.entry(entry))];
  return [...lines, writer.end()];
}
