// Forgets old events, so that a stream does not grow for ever. A stream is looked at after it grew: one that nobody adds to
// keeps what it has.
import type { Store } from './store/store.ts';

export const defaultEventsPerStream = 10_000;

export class Retention {
  readonly #store: Pick<Store, 'last' | 'trim'>;
  readonly #keep: number;
  #grown = new Set<string>();

  /** `keep`: events of each stream, at least 1. */
  constructor(store: Pick<Store, 'last' | 'trim'>, keep: number) {
    this.#store = store;
    this.#keep = keep;
  }

  /** Events were appended to these streams. */
  noted(streams: readonly string[]): void {
    for (const stream of streams) this.#grown.add(stream);
  }

  /** Forgets all but the newest events of the streams that grew. Throws StoreError; what was not done is done next time. */
  async trim(): Promise<void> {
    // What is appended from here on counts anew.
    const grown = this.#grown;
    this.#grown = new Set();
    try {
      for (const stream of grown) {
        const before = (await this.#store.last(stream)) - this.#keep + 1;
        if (before > 1) await this.#store.trim(stream, before);
      }
    } catch (error) {
      for (const stream of grown) this.#grown.add(stream);
      throw error;
    }
  }
}
