// What owners hand to the operators of nodes as a file, past a coordinator that may keep it back. Form only: whoever takes it
// verifies the records in it.
import * as z from 'zod';
import { logSchema } from './authorize.ts';
import { envelopeSchema } from './records/envelope.ts';

/** A workspace's log, and of a child workspace its parent's. */
export const handedLogSchema = z.strictObject({
  type: z.literal('countersign.log'),
  log: logSchema,
  parentLog: logSchema.exactOptional(),
});

export type HandedLog = z.infer<typeof handedLogSchema>;

/** Two logs of one workspace: `other` follows entry `after` of `log`. */
export const handedForkSchema = z.strictObject({
  type: z.literal('countersign.fork'),
  log: logSchema,
  after: z.int().min(0),
  other: logSchema,
});
export type HandedFork = z.infer<typeof handedForkSchema>;

export const handedSchema = z.discriminatedUnion('type', [
  handedLogSchema,
  /** Decisions on requests; those that take something back are what this is for. */
  z.strictObject({
    type: z.literal('countersign.decisions'),
    decisions: z.array(envelopeSchema).min(1).max(400),
  }),
]);
export type Handed = z.infer<typeof handedSchema>;

/** Longest file of this kind, in bytes. */
export const maxHandedBytes = 3 * 1024 * 1024;
