// Workspaces for which this node's operator has it sign nothing, whatever their owners decided.
import * as z from 'zod';
import { recordIdSchema } from '../../protocol/records/fields.ts';
import type { Journal, Kind } from './journal.ts';
import { pauseReasonSchema } from './pause.ts';

const schema = z.strictObject({
  workspaceId: recordIdSchema,
  since: z.iso.datetime(),
  reason: pauseReasonSchema.exactOptional(),
});

/** `since`: RFC 3339, UTC. */
export type Freeze = Readonly<z.output<typeof schema>>;

const freezeKind: Kind<Freeze> = { name: 'freeze', schema };

export class Freezes {
  readonly #journal: Journal;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  all(): Promise<readonly Freeze[]> {
    return this.#journal.list(freezeKind);
  }

  /** Sets a workspace's freeze, or ends it. */
  async set(workspaceId: string, freeze: Freeze | undefined): Promise<void> {
    await this.#journal.change('freeze', (change) => {
      if (freeze === undefined) change.del(freezeKind, workspaceId);
      else change.put(freezeKind, workspaceId, freeze);
    });
  }
}
