// How many requests there are in each state. All of them are counted once, page by page, beside the work of the day; from
// then on every change that was committed is applied. A change of a request that was not reached yet is left to the count.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { StoredRequest } from './state/request.ts';
import type { Store } from './store/store.ts';

const prefix = 'request/';
const pageSize = 100;

export interface Counted {
  readonly kind: string;
  readonly state: string;
  /** Code of a rejection. */
  readonly reason: string;
}

const nameOf = ({ kind, state, reason }: StoredRequest): string => `${kind} ${state} ${reason?.code ?? ''}`;

export class RequestCensus {
  readonly #store: Pick<Store, 'scan'>;
  readonly #counts = new Map<string, number>();
  /** The last key that was counted; undefined once all were. */
  #reached: string | undefined = '';
  /** What was committed while a page is read, by key. */
  readonly #meanwhile = new Map<string, StoredRequest>();

  constructor(store: Pick<Store, 'scan'>) {
    this.#store = store;
  }

  /** Whether every request is counted. */
  get complete(): boolean {
    return this.#reached === undefined;
  }

  /** Counts all requests of the store. Throws StoreError; `signal` ends it early, without an error. */
  async count(signal: AbortSignal): Promise<void> {
    while (this.#reached !== undefined && !signal.aborted) {
      this.#meanwhile.clear();
      const after = this.#reached;
      const page = await this.#store.scan(prefix, after === '' ? undefined : after, pageSize);
      const last = page.length < pageSize ? undefined : page.at(-1)!.key;
      for (const { key, value } of page) {
        if (!this.#meanwhile.has(key)) this.#add(value as unknown as StoredRequest, 1);
      }
      for (const [key, request] of this.#meanwhile) {
        if (key > after && (last === undefined || key <= last)) this.#add(request, 1);
      }
      this.#reached = last;
      await nextTurn();
    }
    this.#meanwhile.clear();
  }

  /** A request was committed; `before`: as it was stored, undefined when it is new. */
  changed(request: StoredRequest, before: StoredRequest | undefined): void {
    const key = `${prefix}${request.requestId}`;
    if (this.#reached !== undefined && key > this.#reached) {
      this.#meanwhile.set(key, request);
      return;
    }
    if (before) this.#add(before, -1);
    this.#add(request, 1);
  }

  counts(): readonly (readonly [Counted, number])[] {
    return [...this.#counts].map(([name, count]) => {
      const [kind = '', state = '', reason = ''] = name.split(' ');
      return [{ kind, state, reason }, count];
    });
  }

  #add(request: StoredRequest, amount: number): void {
    const name = nameOf(request);
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + amount);
  }
}
