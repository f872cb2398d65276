// The newest head of each workspace's log that this node knows: it never goes back behind it.
import * as z from 'zod';
import { recordIdSchema } from '../../protocol/records/fields.ts';
import { NodeStoreError } from './error.ts';
import { type JsonValue, jsonSchema } from './jobs.ts';
import type { Journal, Kind } from './journal.ts';

export interface RememberedHead {
  /** 0 is the genesis. */
  readonly seq: number;
  /** Id of the log's entry at `seq`. */
  readonly id: string;
  /** The log up to it. */
  readonly log: JsonValue;
}

const headKind: Kind<RememberedHead & { readonly workspaceId: string }> = {
  name: 'head',
  schema: z.strictObject({
    workspaceId: recordIdSchema,
    seq: z.int().min(0),
    id: recordIdSchema,
    log: jsonSchema,
  }),
};

export class Heads {
  readonly #journal: Journal;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  async rememberHead(workspaceId: string, { seq, id, log }: RememberedHead): Promise<void> {
    await this.#journal.change('head', (change) => {
      const known = change.get(headKind, workspaceId);
      if (known !== undefined && seq < known.seq) {
        const message = `workspace ${workspaceId} was seen at log entry ${known.seq}, this is ${seq}: fetch the newer log`;
        throw new NodeStoreError('head_behind', message);
      }
      if (known?.seq === seq && known.id !== id) {
        const message = `workspace ${workspaceId} has two log entries ${seq}: ${known.id} is remembered, this is ${id}`;
        throw new NodeStoreError('fork', `${message}: its owners must resolve which one stands`);
      }
      if (known?.seq !== seq) change.put(headKind, workspaceId, { workspaceId, seq, id, log });
    });
  }

  async head(workspaceId: string): Promise<RememberedHead | undefined> {
    const known = await this.#journal.get(headKind, workspaceId);
    return known && { seq: known.seq, id: known.id, log: known.log };
  }
}
