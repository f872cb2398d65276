// The operator's pause as the journal keeps it.
import * as z from 'zod';
import type { Kind } from './journal.ts';

/** What an operator may say of a pause: one line. */
export const pauseReasonSchema = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[^\p{C}\p{Zl}\p{Zp}]+$/u);

const schema = z.strictObject({ since: z.iso.datetime(), reason: pauseReasonSchema.exactOptional() });

/** `since`: RFC 3339, UTC. */
export type Pause = Readonly<z.output<typeof schema>>;

export const pauseKind: Kind<Pause> = { name: 'pause', schema };
