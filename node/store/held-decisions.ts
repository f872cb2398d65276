// Rejections and withdrawals of requests that have not reached this node yet. They count when the request comes, so they
// outlive a restart.
import * as z from 'zod';
import { envelopeSchema } from '../../protocol/records/envelope.ts';
import { recordIdSchema } from '../../protocol/records/fields.ts';
import type { Journal, Kind } from './journal.ts';

const schema = z.strictObject({
  requestId: recordIdSchema,
  decisions: z
    .array(
      z.strictObject({
        /** Who brought it. */
        source: z.string(),
        envelope: envelopeSchema,
        /** When no request can be open any more that it is about; milliseconds since 1970. */
        until: z.int().min(0),
      }),
    )
    .min(1)
    .readonly(),
});

/** What is held about one request. */
export type HeldDecisions = Readonly<z.output<typeof schema>>;

const heldKind: Kind<HeldDecisions> = { name: 'held', schema };

export class HeldDecisionRecords {
  readonly #journal: Journal;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  all(): Promise<readonly HeldDecisions[]> {
    return this.#journal.list(heldKind);
  }

  /** What is held about these requests from now on: with no decisions, nothing. */
  async set(changed: readonly { requestId: string; decisions: HeldDecisions['decisions'] }[]): Promise<void> {
    await this.#journal.change('held', (change) => {
      for (const { requestId, decisions } of changed) {
        if (decisions.length === 0) change.del(heldKind, requestId);
        else change.put(heldKind, requestId, { requestId, decisions });
      }
    });
  }
}
