// A store that forgets everything at the end of the process: for tests and simulations.
import { checkCount, checkCursor, checkKey, checkLimit, checkPrefix, encodeCommit } from './check.ts';
import { Hints } from './hints.ts';
import {
  type Commit,
  Conflict,
  type Entry,
  type JsonValue,
  type Store,
  StoreError,
  type StreamEvent,
} from './store.ts';

interface Stream {
  /** Sequence of events[0]. */
  first: number;
  events: string[];
}

export class MemoryStore implements Store {
  readonly #entries = new Map<string, { version: number; json: string }>();
  readonly #streams = new Map<string, Stream>();
  readonly #hints = new Hints();
  #closed = false;

  async commit(commit: Commit): Promise<readonly number[] | Conflict> {
    this.#checkOpen();
    const { expect, put, del, append } = encodeCommit(commit);
    for (const { key, version } of expect) {
      const found = this.#entries.get(key)?.version ?? 0;
      if (found !== version) return new Conflict(key, version, found);
    }
    for (const { key, json } of put) {
      this.#entries.set(key, { version: (this.#entries.get(key)?.version ?? 0) + 1, json });
    }
    for (const key of del) this.#entries.delete(key);
    const sequences = append.map(({ stream, json }) => {
      const { first, events } = this.#stream(stream);
      return first + events.push(json) - 1;
    });
    this.#hints.notify(append.map(({ stream }) => stream));
    return sequences;
  }

  async get(key: string): Promise<Entry | undefined> {
    this.#checkOpen();
    checkKey(key);
    return this.#entry(key);
  }

  async scan(prefix: string, after: string | undefined, limit: number): Promise<readonly Entry[]> {
    this.#checkOpen();
    checkPrefix(prefix);
    if (after !== undefined) checkKey(after);
    checkLimit(limit);
    return [...this.#entries.keys()]
      .filter((key) => key.startsWith(prefix) && (after === undefined || key > after))
      .toSorted()
      .slice(0, limit)
      .flatMap((key) => this.#entry(key) ?? []);
  }

  async read(stream: string, after: number, limit: number): Promise<readonly StreamEvent[]> {
    this.#checkOpen();
    checkKey(stream);
    checkCount('cursor', after);
    checkLimit(limit);
    const { first, events } = this.#streams.get(stream) ?? { first: 1, events: [] };
    checkCursor(stream, after, first, first + events.length - 1);
    const start = after + 1 - first;
    return events
      .slice(start, start + limit)
      .map((json, index) => ({ sequence: after + 1 + index, event: JSON.parse(json) as JsonValue }));
  }

  async last(stream: string): Promise<number> {
    this.#checkOpen();
    checkKey(stream);
    const { first, events } = this.#streams.get(stream) ?? { first: 1, events: [] };
    return first + events.length - 1;
  }

  watch(stream: string, { signal }: { readonly signal: AbortSignal }): AsyncIterable<void> {
    checkKey(stream);
    return this.#hints.watch(stream, signal);
  }

  async trim(stream: string, before: number): Promise<void> {
    this.#checkOpen();
    checkKey(stream);
    checkCount('sequence', before, 1);
    const held = this.#streams.get(stream);
    if (held === undefined) return;
    const count = Math.min(Math.max(before - held.first, 0), held.events.length);
    held.events.splice(0, count);
    held.first += count;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#hints.close();
  }

  #checkOpen(): void {
    if (this.#closed) throw new StoreError('closed', 'the store is closed');
  }

  #entry(key: string): Entry | undefined {
    const found = this.#entries.get(key);
    return found && { key, version: found.version, value: JSON.parse(found.json) as JsonValue };
  }

  #stream(name: string): Stream {
    const stream = this.#streams.get(name) ?? { first: 1, events: [] };
    this.#streams.set(name, stream);
    return stream;
  }
}
