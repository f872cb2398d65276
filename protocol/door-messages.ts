// What a connector and its node say to each other through the node's door: one JSON request, one JSON response. The node
// treats the connector as hostile: evidence authenticates itself, and results are signed before they are handed out.
import * as z from 'zod';
import { evidenceSchema, logSchema } from './authorize.ts';
import { receiptSchema } from './receipt.ts';
import { envelopeSchema } from './records/envelope.ts';
import { ed25519CredentialSchema, networkIdSchema, recordIdSchema } from './records/fields.ts';

/** Longest a node holds a `results` request open, in milliseconds. */
export const maxResultsWaitMs = 25_000;

/** Most requests that one answer to `open` names. */
export const maxOpenPage = 1000;

export const doorRequestSchema = z.discriminatedUnion('method', [
  /** Evidence for a request; the answer comes after it is durably stored. */
  z.strictObject({ method: z.literal('deliver'), evidence: evidenceSchema }),
  /** The node's own results with a sequence above `after`, oldest first; waits up to `waitMs` for the first. */
  z.strictObject({
    method: z.literal('results'),
    after: z.int().min(0),
    limit: z.int().min(1).max(100),
    waitMs: z.int().min(0).max(maxResultsWaitMs),
  }),
  z.strictObject({ method: z.literal('status') }),
  /** Logs of workspaces, with their parents': what is newer in them is durably stored when the answer comes. */
  z.strictObject({
    method: z.literal('logs'),
    logs: z
      .array(z.strictObject({ log: logSchema, parentLog: logSchema.exactOptional() }))
      .min(1)
      .max(20),
  }),
  /** Which requests the node holds open: those of `requestIds`, else all of them, ascending from after `after`. */
  z.strictObject({
    method: z.literal('open'),
    requestIds: z.array(recordIdSchema).min(1).max(maxOpenPage).exactOptional(),
    after: recordIdSchema.exactOptional(),
  }),
  /** Proof that the parties have signed a request. One that the node does not hold open is left alone. */
  z.strictObject({ method: z.literal('signed'), receipt: receiptSchema }),
]);
export type DoorRequest = z.infer<typeof doorRequestSchema>;

/** How a job stands on the node. */
export const jobStateSchema = z.enum([
  'waiting', // evidence does not authorise it yet
  'authorised', // the parties may sign
  'started', // this party's contribution has left, or may have
  'done', // this party has a result
]);
export type JobStateName = z.infer<typeof jobStateSchema>;

export const doorResponseSchemas = {
  deliver: z.strictObject({
    requestId: recordIdSchema,
    state: jobStateSchema,
    /** Why it waits, in words. */
    detail: z.string().optional(),
    /** The result, when it is done: for a connector that has lost its place. */
    result: envelopeSchema.optional(),
  }),
  results: z.strictObject({
    results: z.array(z.strictObject({ sequence: z.int().min(1), result: envelopeSchema })),
  }),
  /** One each, in order. */
  logs: z.strictObject({
    logs: z.array(
      z.strictObject({
        /** How it stands to what the node knew; `refused`: it does not stand, `busy`: another time. */
        outcome: z.enum(['newer', 'same', 'older', 'fork', 'refused', 'busy']),
        workspaceId: recordIdSchema.optional(),
        detail: z.string().optional(),
      }),
    ),
  }),
  open: z.strictObject({
    requestIds: z.array(recordIdSchema).max(maxOpenPage),
    /** There are more after the last. */
    more: z.boolean(),
  }),
  signed: z.strictObject({
    requestId: recordIdSchema,
    /** `done`: this party has a result; `open`: it stays open here, whatever was signed; `unknown`: it is not here. */
    state: z.enum(['done', 'open', 'unknown']),
    detail: z.string().optional(),
  }),
  status: z.strictObject({
    networkId: networkIdSchema,
    keyringId: recordIdSchema,
    party: ed25519CredentialSchema,
    peersUp: z.int(),
    peers: z.int(),
  }),
} as const;

/** Instead of an answer: a stable code and a sentence. `retry` says whether the same request may succeed later. */
export const doorErrorSchema = z.strictObject({
  error: z.strictObject({ code: z.string(), message: z.string(), retry: z.boolean() }),
});
export type DoorError = z.infer<typeof doorErrorSchema>;
