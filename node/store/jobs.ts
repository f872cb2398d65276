// Requests that reached this node and what became of them: stored -> started -> done, and the queue of results that the
// connector has still to fetch.
import * as z from 'zod';
import { type Envelope, envelopeSchema, readContent } from '../../protocol/records/envelope.ts';
import { recordIdSchema } from '../../protocol/records/fields.ts';
import { type PartyResult, partyResult } from '../../protocol/records/party-result.ts';
import { request as requestRecord } from '../../protocol/records/request.ts';
import { NodeStoreError } from './error.ts';
import { type Change, countedId, type Journal, type Kind } from './journal.ts';
import { type Debits, putDebits } from './ledger.ts';
import { confirmationIn } from './shares.ts';

export type JsonValue =
  null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** Any JSON value; JSON.parse has already made it one. */
export const jsonSchema = z.custom<JsonValue>((value) => value !== undefined);

export type JobState = 'stored' | 'started' | 'done';

export interface Job {
  readonly requestId: string;
  readonly state: JobState;
  /** The evidence last given. */
  readonly evidence: JsonValue;
  /** When the request was first stored, in milliseconds since 1970, if the caller told: a policy's `delay` counts from it. */
  readonly seen?: number | undefined;
}

export interface OutgoingResult {
  /** 1, 2, 3... without gaps, over all requests. */
  readonly sequence: number;
  readonly requestId: string;
  readonly result: Envelope;
}

interface Progress {
  readonly requestId: string;
  readonly state: JobState;
  readonly seen?: number | undefined;
  /** A refusal that goes with its acknowledgement: this node had promised nothing about the request. */
  readonly passing?: true | undefined;
}

const jobKind: Kind<Progress> = {
  name: 'job',
  schema: z.strictObject({
    requestId: recordIdSchema,
    state: z.enum(['stored', 'started', 'done']),
    seen: z.int().min(0).optional(),
    passing: z.literal(true).optional(),
  }),
};
// Apart from the job, so that a change of state does not write the whole evidence again.
const evidenceKind: Kind<{ evidence: JsonValue }> = {
  name: 'evidence',
  schema: z.strictObject({ evidence: jsonSchema }),
};
/** Index of the jobs that are not done. */
const openKind: Kind<{ requestId: string }> = {
  name: 'open',
  schema: z.strictObject({ requestId: recordIdSchema }),
};
type Outcome = 'signatures' | 'key' | 'refusal';
const resultKind: Kind<{ outcome: Outcome; result: Envelope }> = {
  name: 'result',
  schema: z.strictObject({ outcome: z.enum(['signatures', 'key', 'refusal']), result: envelopeSchema }),
};
const outgoingKind: Kind<OutgoingResult> = {
  name: 'outgoing',
  schema: z.strictObject({ sequence: z.int().min(1), requestId: recordIdSchema, result: envelopeSchema }),
};
/** Sequences of the queue: everything up to `acknowledged` is gone, `last` is the newest. */
const queueKind: Kind<{ acknowledged: number; last: number }> = {
  name: 'queue',
  schema: z.strictObject({ acknowledged: z.int().min(0), last: z.int().min(0) }),
};
const emptyQueue = { acknowledged: 0, last: 0 };
const theQueue = 'results';

/** Results that may wait for the connector before no passing refusal joins them. */
export const maxPassing = 1000;

function requiredJob(change: Change, requestId: string): Progress {
  const job = change.get(jobKind, requestId);
  if (job === undefined)
    throw new NodeStoreError('unknown_request', `no job of request ${requestId} is stored`);
  return job;
}

/** As part of a change: a result, and its place in the queue for the connector. */
function enqueue(change: Change, requestId: string, outcome: Outcome, result: Envelope): void {
  const queue = change.get(queueKind, theQueue) ?? emptyQueue;
  const sequence = queue.last + 1;
  change.put(resultKind, requestId, { outcome, result });
  change.put(outgoingKind, countedId(sequence), { sequence, requestId, result });
  change.put(queueKind, theQueue, { ...queue, last: sequence });
}

export class Jobs {
  readonly #journal: Journal;
  readonly #networkId: string;

  constructor(journal: Journal, networkId: string) {
    this.#journal = journal;
    this.#networkId = networkId;
  }

  async putJob(requestId: string, evidence: JsonValue, seen?: number): Promise<JobState> {
    return await this.#journal.change('job.stored', (change) => {
      const job = change.get(jobKind, requestId);
      if (job?.state === 'done') return job.state;
      if (job === undefined) {
        change.put(jobKind, requestId, { requestId, state: 'stored', seen });
        change.put(openKind, requestId, { requestId });
      }
      change.put(evidenceKind, requestId, { evidence });
      return job?.state ?? 'stored';
    });
  }

  async job(requestId: string): Promise<Job | undefined> {
    const job = await this.#journal.get(jobKind, requestId);
    if (job === undefined) return undefined;
    const held = await this.#journal.get(evidenceKind, requestId);
    if (held === undefined && job.state === 'done') return undefined;
    if (held === undefined) {
      // It may have ended in between.
      const now = await this.#journal.get(jobKind, requestId);
      if (now === undefined || now.state === 'done') return undefined;
      const message = `the record evidence!${requestId} is missing: restore the node from a backup`;
      throw new NodeStoreError('corrupt', message);
    }
    return { ...job, evidence: held.evidence };
  }

  async openJobs(): Promise<readonly Job[]> {
    const open = await this.#journal.list(openKind);
    const jobs = await Promise.all(open.map(({ requestId }) => this.job(requestId)));
    return jobs.filter((job) => job !== undefined && job.state !== 'done') as readonly Job[];
  }

  async markStarted(requestId: string, debits?: Debits): Promise<void> {
    await this.#journal.change('job.started', (change) => {
      const job = requiredJob(change, requestId);
      if (job.state === 'done') {
        throw new NodeStoreError(
          'wrong_state',
          `request ${requestId} has its result already: return that one`,
        );
      }
      if (job.state === 'stored') change.put(jobKind, requestId, { ...job, state: 'started' });
      if (debits !== undefined) putDebits(change, debits);
    });
  }

  async finishJob(requestId: string, result: Envelope, debits?: Debits): Promise<void> {
    const told = this.#resultIn(requestId, result);
    const outcome = told.kind;
    await this.#journal.change('result', (change) => {
      const job = requiredJob(change, requestId);
      const earlier = change.get(resultKind, requestId);
      if (earlier?.result.bytes === result.bytes) return;
      if (earlier !== undefined && !(earlier.outcome === 'refusal' && outcome === 'signatures')) {
        const message = `request ${requestId} has a result (${earlier.outcome}) already: return that one`;
        throw new NodeStoreError('conflicting_result', message);
      }
      if (outcome === 'key' && confirmationIn(change, requestId)?.bytes !== result.bytes) {
        const message = `the key result of ${requestId} is not the confirmation stored with its share`;
        throw new NodeStoreError('conflicting_result', `${message}: return the stored one`);
      }
      const { passing: _, ...rest } = job;
      // What was never begun is refused the same way if it comes again: nothing but the result is kept, until it is told.
      const passes = told.kind === 'refusal' && told.code !== 'run_lost' && job.state === 'stored';
      change.put(jobKind, requestId, { ...rest, state: 'done', ...(passes && { passing: true }) });
      if (debits !== undefined) putDebits(change, debits);
      change.del(openKind, requestId);
      if (passes || (outcome === 'refusal' && this.#isKeyless(change, requestId)))
        change.del(evidenceKind, requestId);
      enqueue(change, requestId, outcome, result);
    });
  }

  /** Whether what is stored asks for a key of which this node has nothing: then nobody needs its evidence any more. */
  #isKeyless(change: Change, requestId: string): boolean {
    const evidence = change.get(evidenceKind, requestId)?.evidence as
      { readonly request?: unknown } | undefined;
    const parsed = envelopeSchema.safeParse(evidence?.request);
    if (!parsed.success || confirmationIn(change, requestId) !== undefined) return false;
    return readContent(requestRecord, parsed.data, this.#networkId).content.kind === 'key';
  }

  async passRefusal(requestId: string, result: Envelope): Promise<boolean> {
    const { kind: outcome } = this.#resultIn(requestId, result);
    if (outcome !== 'refusal') throw new NodeStoreError('invalid', `a result that passes is no ${outcome}`);
    return await this.#journal.change('refusal.passing', (change) => {
      if (change.get(jobKind, requestId) !== undefined) return true;
      const { last, acknowledged } = change.get(queueKind, theQueue) ?? emptyQueue;
      if (last - acknowledged >= maxPassing) return false;
      change.put(jobKind, requestId, { requestId, state: 'done', passing: true });
      enqueue(change, requestId, outcome, result);
      return true;
    });
  }

  /** Throws NodeStoreError `invalid`; RecordError. */
  #resultIn(requestId: string, result: Envelope): PartyResult['result'] {
    const { content } = readContent(partyResult, result, this.#networkId);
    if (content.subject !== requestId) {
      throw new NodeStoreError(
        'invalid',
        `the result is about ${content.subject}, not about request ${requestId}`,
      );
    }
    return content.result;
  }

  async resultOf(requestId: string): Promise<Envelope | undefined> {
    return (await this.#journal.get(resultKind, requestId))?.result;
  }

  async results(after: number, limit: number): Promise<readonly OutgoingResult[]> {
    if (!Number.isSafeInteger(after) || after < 0 || !Number.isSafeInteger(limit) || limit < 1) {
      throw new NodeStoreError(
        'invalid',
        `after ${after} and limit ${limit}: expected whole numbers from 0 and 1`,
      );
    }
    return await this.#journal.list(outgoingKind, { after: countedId(after), limit });
  }

  async acknowledgeResults(upTo: number): Promise<void> {
    await this.#journal.change('results.acknowledged', (change) => {
      const queue = change.get(queueKind, theQueue) ?? emptyQueue;
      if (!Number.isSafeInteger(upTo) || upTo < 0 || upTo > queue.last) {
        throw new NodeStoreError(
          'invalid',
          `cannot acknowledge up to ${upTo}: the last result is ${queue.last}`,
        );
      }
      if (upTo <= queue.acknowledged) return;
      for (let sequence = queue.acknowledged + 1; sequence <= upTo; sequence++) {
        const requestId = change.get(outgoingKind, countedId(sequence))?.requestId;
        change.del(outgoingKind, countedId(sequence));
        if (requestId === undefined || !change.get(jobKind, requestId)?.passing) continue;
        for (const kind of [jobKind, resultKind]) change.del(kind, requestId);
      }
      change.put(queueKind, theQueue, { ...queue, acknowledged: upTo });
    });
  }
}
