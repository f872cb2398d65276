// The newest log of each workspace that this node knows, behind which it never goes back; and where two entries stood after
// one, both logs, as proof.
import * as z from 'zod';
import { type Envelope, envelopeSchema } from '../../protocol/records/envelope.ts';
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
  /** The ids of all entries; absent in what was written before they were kept. */
  readonly chain?: readonly string[] | undefined;
  /** By the id of an entry after which two stood: the one that stands. */
  readonly resolved?: readonly (readonly [string, string])[] | undefined;
}

export interface WorkspaceHead extends RememberedHead {
  readonly workspaceId: string;
}

/** What the owners have said of a log beside what it says. */
export interface HeadMove {
  /** It stands although it has not all entries that were known. */
  readonly leaves: boolean;
  /** Which entry of the workspace's fork stands. */
  readonly ends: boolean;
}

/** A log that is kept although this node has never begun anything for its workspace. */
export interface StrangeLog {
  readonly workspaceId: string;
  /** Who is charged for it. */
  readonly source: string;
  /** Of the log, in bytes. */
  readonly length: number;
  /** Of what proves that it has forked, in bytes. */
  readonly proof: number;
  /** When it first came, in milliseconds since 1970. */
  readonly at: number;
}

type Log = readonly Envelope[];

/** Two entries with one seq and the same entry before them, each decided by the owners it takes. */
export interface ForkProof {
  readonly workspaceId: string;
  /** When this node saw it, in milliseconds since 1970. */
  readonly at: number;
  /** The last entry that both logs have. */
  readonly common: { readonly seq: number; readonly id: string };
  /** The entry after it in the log that was known. */
  readonly known: string;
  readonly received: string;
  readonly logs: readonly [Log, Log];
  /** False once the owners have said which entry stands. */
  readonly open: boolean;
}

const headKind: Kind<WorkspaceHead> = {
  name: 'head',
  schema: z.strictObject({
    workspaceId: recordIdSchema,
    seq: z.int().min(0),
    id: recordIdSchema,
    log: jsonSchema,
    chain: z.array(recordIdSchema).readonly().optional(),
    resolved: z
      .array(z.tuple([recordIdSchema, recordIdSchema]).readonly())
      .readonly()
      .optional(),
  }),
};

const forkKind: Kind<ForkProof> = {
  name: 'fork',
  schema: z.strictObject({
    workspaceId: recordIdSchema,
    at: z.int().min(0),
    common: z.strictObject({ seq: z.int().min(0), id: recordIdSchema }),
    known: recordIdSchema,
    received: recordIdSchema,
    logs: z.tuple([z.array(envelopeSchema), z.array(envelopeSchema)]).readonly(),
    open: z.boolean(),
  }),
};

const strangeKind: Kind<StrangeLog> = {
  name: 'strange',
  schema: z.strictObject({
    workspaceId: recordIdSchema,
    source: z.string(),
    length: z.int().min(0),
    proof: z.int().min(0),
    at: z.int().min(0),
  }),
};

export class Heads {
  readonly #journal: Journal;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** Throws `head_behind` and `fork` for a log that has not the entries that are known, unless it `leaves` them. */
  async rememberHead(
    workspaceId: string,
    head: RememberedHead,
    { leaves, ends }: HeadMove = { leaves: false, ends: false },
  ): Promise<void> {
    const { seq, id, resolved = [] } = head;
    await this.#journal.change('head', (change) => {
      const known = change.get(headKind, workspaceId);
      if (!leaves && known !== undefined && seq < known.seq) {
        const message = `workspace ${workspaceId} was seen at log entry ${known.seq}, this is ${seq}: fetch the newer log`;
        throw new NodeStoreError('head_behind', message);
      }
      if (!leaves && known?.seq === seq && known.id !== id) {
        const message = `workspace ${workspaceId} has two log entries ${seq}: ${known.id} is remembered, this is ${id}`;
        throw new NodeStoreError('fork', `${message}: its owners must resolve which one stands`);
      }
      const fork = change.get(forkKind, workspaceId);
      if (ends && fork?.open) change.put(forkKind, workspaceId, { ...fork, open: false });
      if (known?.seq === seq && known.id === id && resolved.length <= (known.resolved?.length ?? 0)) return;
      change.put(headKind, workspaceId, { ...head, workspaceId });
    });
  }

  async head(workspaceId: string): Promise<RememberedHead | undefined> {
    const known = await this.#journal.get(headKind, workspaceId);
    if (known === undefined) return undefined;
    const { workspaceId: _, ...head } = known;
    return head;
  }

  heads(): Promise<readonly WorkspaceHead[]> {
    return this.#journal.list(headKind);
  }

  /** Of each workspace the newest proof alone; while one is open it stays. */
  async rememberFork(proof: ForkProof): Promise<void> {
    await this.#journal.change('fork', (change) => {
      if (change.get(forkKind, proof.workspaceId)?.open) return;
      change.put(forkKind, proof.workspaceId, proof);
    });
  }

  forks(): Promise<readonly ForkProof[]> {
    return this.#journal.list(forkKind);
  }

  /** A log of which there is no such record is kept for good. */
  strangeLogs(): Promise<readonly StrangeLog[]> {
    return this.#journal.list(strangeKind);
  }

  async chargeLog(log: StrangeLog): Promise<void> {
    await this.#journal.change('log.charged', (change) => change.put(strangeKind, log.workspaceId, log));
  }

  async claimLog(workspaceId: string): Promise<void> {
    await this.#journal.change('log.claimed', (change) => change.del(strangeKind, workspaceId));
  }

  /** Forgets the log of a workspace, and a fork of it; does nothing for one that was claimed. */
  async forgetLog(workspaceId: string): Promise<void> {
    await this.#journal.change('log.forgotten', (change) => {
      if (change.get(strangeKind, workspaceId) === undefined) return;
      for (const kind of [headKind, forkKind, strangeKind]) change.del(kind, workspaceId);
    });
  }
}
