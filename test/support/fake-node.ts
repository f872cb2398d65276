// As much of a node as its connector sees, in memory, behind the connector's own door interface.
import type { Door } from '../../connector/node-door.ts';
import type { Evidence } from '../../protocol/authorize.ts';
import { type DoorRequest, doorRequestSchema } from '../../protocol/door-messages.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { Receipt } from '../../protocol/receipt.ts';
import { type Envelope, envelopeId } from '../../protocol/records/envelope.ts';
import type { Credential } from '../../protocol/records/fields.ts';

export interface FakeNodeIdentity {
  readonly networkId: string;
  readonly keyringId: Hex;
  readonly party: Credential;
}

export class FakeNode implements Door {
  /** Request ids in the order in which they were stored, repetitions included. */
  readonly stored: Hex[] = [];
  readonly results: { sequence: number; result: Envelope }[] = [];
  /** `after` of every question for results. */
  readonly asked: number[] = [];
  up = true;
  running = false;
  starts = 0;
  /** Looked at before a delivery is stored; may wait, throw, or return the door's answer. */
  onDeliver: (requestId: Hex) => unknown = () => undefined;
  readonly identity: FakeNodeIdentity;
  readonly #wake = new Set<() => void>();

  constructor(identity: FakeNodeIdentity) {
    this.identity = identity;
  }

  async start(): Promise<void> {
    this.running = true;
    this.starts += 1;
  }

  async stop(): Promise<void> {
    this.running = false;
  }

  addResult(result: Envelope): void {
    this.results.push({ sequence: this.results.length + 1, result });
    for (const wake of this.#wake) wake();
  }

  async request(bytes: Uint8Array, { signal }: { signal: AbortSignal }): Promise<Uint8Array> {
    if (!this.running) throw new Error('the door is not running');
    const request = doorRequestSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
    const aborted = new Promise<never>((_, reject) => {
      const abort = () => reject(signal.reason as Error);
      if (signal.aborted) abort();
      signal.addEventListener('abort', abort, { once: true });
    });
    const answer = await Promise.race([this.#answer(request, signal), aborted]);
    if (!this.up) throw Object.assign(new Error('nobody answers'), { code: 'unreachable' });
    return new TextEncoder().encode(JSON.stringify(answer));
  }

  async #answer(request: DoorRequest, signal: AbortSignal): Promise<unknown> {
    if (!this.up) return undefined;
    switch (request.method) {
      case 'deliver':
        return this.#deliver(request.evidence);
      case 'results': {
        this.asked.push(request.after);
        if (request.after > (this.results.at(-1)?.sequence ?? 0)) {
          const message = `there is no result ${request.after} here: start from 0`;
          return { error: { code: 'cursor_ahead', message, retry: false } };
        }
        const newer = () =>
          this.results.filter(({ sequence }) => sequence > request.after).slice(0, request.limit);
        while (newer().length === 0 && request.waitMs > 0) await this.#nextResult(signal);
        return { results: newer() };
      }
      case 'logs':
        this.logs.push(...request.logs.map(({ log }) => log));
        return { logs: request.logs.map(() => ({ outcome: this.logOutcome })) };
      case 'open': {
        this.askedOpen.push(request.requestIds);
        const { requestIds, after = '' } = request;
        const all = [...this.open].filter((id) => requestIds?.includes(id) ?? id > after).toSorted();
        return { requestIds: all.slice(0, this.openPage), more: all.length > this.openPage };
      }
      case 'signed':
        return this.#take(request.receipt);
      case 'status':
        return { ...this.identity, peersUp: 2, peers: 2 };
    }
  }

  /** Requests that it holds open, and how many of them one answer names. */
  readonly open = new Set<Hex>();
  openPage = 1000;
  /** `requestIds` of every question for open requests. */
  readonly askedOpen: (readonly Hex[] | undefined)[] = [];
  /** Receipts that were brought. */
  readonly receipts: Receipt[] = [];
  /** Looked at before a receipt is taken; may throw, or return the door's answer. */
  onReceipt: (requestId: Hex) => unknown = () => undefined;

  #take(receipt: Receipt): unknown {
    const requestId = envelopeId(receipt.evidence.request, this.identity.networkId);
    this.receipts.push(receipt);
    const other = this.onReceipt(requestId);
    if (other !== undefined) return other;
    this.open.delete(requestId);
    return { requestId, state: 'done' };
  }

  /** Logs that were brought, and what the next ones are answered. */
  readonly logs: (readonly Envelope[])[] = [];
  logOutcome: 'newer' | 'busy' = 'newer';

  async #deliver(evidence: Evidence): Promise<unknown> {
    const requestId = envelopeId(evidence.request, this.identity.networkId);
    const other = await this.onDeliver(requestId);
    if (other !== undefined) return other;
    this.stored.push(requestId);
    return { requestId, state: 'authorised' };
  }

  async #nextResult(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const abort = () => reject(signal.reason as Error);
      const wake = () => {
        this.#wake.delete(wake);
        signal.removeEventListener('abort', abort);
        resolve();
      };
      if (signal.aborted) abort();
      signal.addEventListener('abort', abort, { once: true });
      this.#wake.add(wake);
    });
  }
}
