// What a node answers its connector: it takes requests with their evidence, and hands out its own signed results. The
// connector is hostile until checked: evidence authenticates itself, and nothing here signs anything on demand.
import {
  type DoorError,
  type DoorRequest,
  doorRequestSchema,
  type doorResponseSchemas,
  maxOpenPage,
} from '../protocol/door-messages.ts';
import type { Keyring } from '../protocol/records/keyring-roster.ts';
import { anySignal } from 'any-signal';
import type * as z from 'zod';
import { connector } from './sessions/held-decisions.ts';
import { EvidenceError, type Sessions } from './sessions/sessions.ts';
import { NodeStoreError } from './store/error.ts';
import type { NodeStore } from './store/node-store.ts';

type Response<Method extends DoorRequest['method']> = z.input<(typeof doorResponseSchemas)[Method]>;

export interface DoorOptions {
  readonly networkId: string;
  readonly keyring: Keyring;
  /** This party's credential. */
  readonly party: string;
  readonly sessions: Sessions;
  readonly store: NodeStore;
  readonly peersUp: () => number;
}

export class DoorHandler {
  readonly #options: DoorOptions;
  readonly #waiting = new Set<() => void>();

  constructor(options: DoorOptions) {
    this.#options = options;
  }

  /** Wakes whoever waits for results. */
  resultStored(): void {
    for (const wake of this.#waiting) wake();
  }

  /** Answers one request; what cannot be answered is an error the connector can act on. */
  async answer(bytes: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const response = await this.#respond(bytes, signal);
    return new TextEncoder().encode(JSON.stringify(response));
  }

  async #respond(
    bytes: Uint8Array,
    signal: AbortSignal,
  ): Promise<Response<DoorRequest['method']> | DoorError> {
    let value: unknown;
    try {
      value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    } catch {
      return failure('malformed', 'the request is not JSON', false);
    }
    const parsed = doorRequestSchema.safeParse(value);
    if (!parsed.success)
      return failure('malformed', `not a door request: ${parsed.error.issues[0]?.message ?? ''}`, false);
    const request = parsed.data;
    try {
      switch (request.method) {
        case 'deliver':
          return await this.#deliver(request);
        case 'results':
          return await this.#results(request, signal);
        case 'status':
          return this.#status();
        case 'logs':
          return await this.#logs(request);
        case 'open':
          return await this.#open(request);
        case 'signed':
          return await this.#options.sessions.ends.takeReceipt(request.receipt, connector);
      }
    } catch (error) {
      if (error instanceof EvidenceError) return failure(error.code, error.message, error.retry);
      throw error;
    }
  }

  async #deliver({ evidence }: Extract<DoorRequest, { method: 'deliver' }>): Promise<Response<'deliver'>> {
    const { requestId, state, detail } = await this.#options.sessions.submit(evidence);
    const result = state === 'done' ? await this.#options.store.resultOf(requestId) : undefined;
    return { requestId, state, ...(detail !== '' && { detail }), ...(result && { result }) };
  }

  async #logs({ logs }: Extract<DoorRequest, { method: 'logs' }>): Promise<Response<'logs'>> {
    const taken: Response<'logs'>['logs'] = [];
    for (const { log, parentLog } of logs) {
      try {
        const [own] = await this.#options.sessions.submitLog(log, parentLog);
        taken.push({ outcome: own!.outcome, workspaceId: own!.workspaceId });
      } catch (error) {
        if (!(error instanceof EvidenceError)) throw error;
        taken.push({ outcome: error.retry ? 'busy' : 'refused', detail: error.message });
      }
    }
    return { logs: taken };
  }

  async #open({ requestIds, after }: Extract<DoorRequest, { method: 'open' }>): Promise<Response<'open'>> {
    const { ends } = this.#options.sessions;
    if (requestIds !== undefined) return { requestIds: await ends.among(requestIds, connector), more: false };
    return ends.page(after, maxOpenPage, connector);
  }

  async #results(
    { after, limit, waitMs }: Extract<DoorRequest, { method: 'results' }>,
    signal: AbortSignal,
  ): Promise<Response<'results'>> {
    // The connector asks from where it durably has what came before.
    if (after > 0) await this.#acknowledge(after);
    const until = anySignal([signal, AbortSignal.timeout(waitMs)]);
    try {
      for (;;) {
        const stored = this.#nextResult(until);
        const results = await this.#options.store.results(after, limit);
        if (results.length > 0 || until.aborted) {
          return { results: results.map(({ sequence, result }) => ({ sequence, result })) };
        }
        await stored;
      }
    } finally {
      until.clear();
    }
  }

  async #acknowledge(upTo: number): Promise<void> {
    try {
      await this.#options.store.acknowledgeResults(upTo);
    } catch (error) {
      if (!(error instanceof NodeStoreError && error.code === 'invalid')) throw error;
      throw new EvidenceError('cursor_ahead', `there is no result ${upTo} here: start from 0`, false);
    }
  }

  /** Resolves when a result was stored, or at the signal. */
  #nextResult(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      if (signal.aborted) return resolve();
      this.#waiting.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }

  #status(): Response<'status'> {
    const { networkId, keyring, party, peersUp } = this.#options;
    return {
      networkId,
      keyringId: keyring.id,
      party,
      peersUp: peersUp(),
      peers: keyring.roster.parties.length - 1,
    };
  }
}

function failure(code: string, message: string, retry: boolean): DoorError {
  return { error: { code, message, retry } };
}
