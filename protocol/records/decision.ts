// `decision`: a principal approves or rejects an action, or takes what it decided before back. The one with the highest seq of a principal counts.
import * as z from 'zod';
import { aboutSchema } from './about.ts';
import type { RecordType } from './envelope.ts';
import {
  labelSchema,
  logHeadSchema,
  nameSchema,
  networkIdSchema,
  recordIdSchema,
  timestampSchema,
} from './fields.ts';

const base = {
  networkId: networkIdSchema,
  /** Id of the request or workspace change decided on. */
  subject: recordIdSchema,
  principal: nameSchema,
  /** Rises with every decision of this principal on this subject, from 1. */
  seq: z.int().min(1),
  logHead: logHeadSchema,
  /**
   * What the subject is (`aboutOf`), for wallets to show. Whoever has the subject counts no decision that says something else
   * of it, and no approval of a wallet that says nothing.
   */
  about: aboutSchema.exactOptional(),
};

const schema = z.discriminatedUnion('decision', [
  // An approval withheld by a coordinator must not be usable much later; a rejection never runs out.
  z.strictObject({ ...base, decision: z.literal('approve'), expires: timestampSchema }),
  z.strictObject({ ...base, decision: z.literal('reject'), reason: labelSchema.optional() }),
  // As if the principal had not decided: an initiator too no longer approves its own action.
  z.strictObject({ ...base, decision: z.literal('withdraw') }),
]);
export type Decision = z.infer<typeof schema>;

const words = {
  approve: 'Approve the action',
  reject: 'Reject the action',
  withdraw: 'Take back what you decided on the action',
} as const;

export const decision: RecordType<Decision> = {
  type: 'decision',
  schema,
  // One credential of the principal signs: the workspace's log tells which those are (authorize.ts).
  signers: () => [],
  readable: (content) => ({
    action: `${words[content.decision]} ${content.subject}`,
    ...(content.about && { about: content.about }),
    principal: content.principal,
    seq: String(content.seq),
    ...(content.decision === 'approve'
      ? { until: content.expires }
      : content.decision === 'reject' && content.reason !== undefined && { reason: content.reason }),
  }),
};
