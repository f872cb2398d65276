// Field schemas that several record types share.
import * as z from 'zod';
import { hexBytes } from '../hex.ts';

export {
  type Credential,
  credentialSchema,
  type CredentialType,
  credentialType,
  ed25519CredentialSchema,
} from './credential.ts';

/** Name of a network, in every record: nothing signed for one network is valid on another. */
export const networkIdSchema = z
  .string()
  .regex(/^[a-z0-9-]{3,40}$/, 'a network id is 3 to 40 of a-z, 0-9 and -');

/** A record's id, and so the id of the thing it made: SHA-256, 32 bytes. */
export const recordIdSchema = hexBytes(32);
export type RecordId = z.infer<typeof recordIdSchema>;

/** Name of a principal or party, unique within its record. */
export const nameSchema = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9._-]{0,39}$/,
    'a name is 1 to 40 of a-z, 0-9, ".", "_" and "-", beginning with a letter or digit',
  );

/** A title for people: one line, no control characters. */
export const labelSchema = z
  .string()
  .min(1)
  .max(100)
  .refine(
    (text) => !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text),
    'a label is one line without control or invisible characters',
  );

/** An instant: RFC 3339, UTC, always with milliseconds, so that each has one spelling. */
export const timestampSchema = z
  .string()
  .length(24)
  .refine((text) => {
    const time = Date.parse(text);
    return !Number.isNaN(time) && new Date(time).toISOString() === text;
  }, 'expected a time like 2030-01-31T12:00:00.000Z');

/** Fresh bytes that make a record unique. */
export const nonceSchema = hexBytes(16, 32);

/** Position in a workspace's log; seq 0 is the genesis, whose id is the workspace's. */
export const logHeadSchema = z.strictObject({ seq: z.int().min(0), id: recordIdSchema });
export type LogHead = z.infer<typeof logHeadSchema>;

/** Version of a keyring's roster and shares: the roster's number, and the run of refresh under that roster. */
export const epochSchema = z.strictObject({ roster: z.int().min(1), run: z.int().min(0) });
export type Epoch = z.infer<typeof epochSchema>;

/** Whether two epochs are the same version. */
export function sameEpoch(one: Epoch, other: Epoch): boolean {
  return one.roster === other.roster && one.run === other.run;
}

/** Whether two heads are the same entry of a log. */
export function sameLogHead(one: LogHead, other: LogHead): boolean {
  return one.seq === other.seq && one.id === other.id;
}

/** `1.0`: for file names, topics and people. */
export function formatEpoch(epoch: Epoch): string {
  return `${epoch.roster}.${epoch.run}`;
}

/** Milliseconds of a timestamp that its schema accepted. */
export function timeOf(timestamp: string): number {
  return Date.parse(timestamp);
}

/** The timestamp of `milliseconds` since 1970. */
export function timestamp(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

/** Whether no two of `values` are equal. */
export function distinct(values: readonly string[]): boolean {
  return new Set(values).size === values.length;
}
