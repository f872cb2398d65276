// The embedded store: one LevelDB folder, one process. Commits are grouped into synchronous batches, and expectations are
// checked inside the writer, where earlier commits of the same group already count.
//
// Layout (`!` sorts before, and is in no key): k!<key> = "<version> <json>", s!<stream> = "<first> <last>",
// e!<stream>!<sequence, 16 digits> = json.
import { checkCount, checkCursor, checkKey, checkLimit, checkPrefix, encodeCommit } from './check.ts';
import { Hints } from './hints.ts';
import { LevelDatabase, type Transaction } from '../../storage/level-database.ts';
import {
  type Commit,
  Conflict,
  type Entry,
  type JsonValue,
  type Store,
  StoreError,
  type StreamEvent,
} from './store.ts';

const schema = 'countersign-coordinator/1';
/** Events forgotten in one transaction. */
const trimStep = 1000;

const entryKey = (key: string): string => `k!${key}`;
const streamKey = (stream: string): string => `s!${stream}`;
const eventKey = (stream: string, sequence: number): string =>
  `e!${stream}!${String(sequence).padStart(16, '0')}`;

/** The sequences a stream holds; `last` is `first - 1` when it holds none. */
interface Held {
  readonly first: number;
  readonly last: number;
}

export class LevelStore implements Store {
  readonly #database: LevelDatabase;
  readonly #hints = new Hints();

  private constructor(database: LevelDatabase) {
    this.#database = database;
  }

  /**
   * Opens or creates the store in `folder`. Throws StoreError `locked`, `corrupt`, `unknown_schema` or `unavailable`,
   * each with what to do.
   */
  static async open({ folder }: { readonly folder: string }): Promise<LevelStore> {
    const makeError = (code: StoreError['code'], message: string, cause?: unknown): StoreError =>
      new StoreError(code, message, { cause });
    return new LevelStore(await LevelDatabase.open({ name: 'coordinator', folder, schema, makeError }));
  }

  async commit(commit: Commit): Promise<readonly number[] | Conflict> {
    const { expect, put, del, append } = encodeCommit(commit);
    const outcome = await this.#database.transact(`commit.${commit.what ?? 'other'}`, (transaction) => {
      for (const { key, version } of expect) {
        const found = versionOf(transaction, key);
        if (found !== version) return new Conflict(key, version, found);
      }
      for (const { key, json } of put) {
        transaction.put(entryKey(key), `${versionOf(transaction, key) + 1} ${json}`);
      }
      for (const key of del) transaction.del(entryKey(key));
      return append.map(({ stream, json }) => appendTo(transaction, stream, json));
    });
    if (!(outcome instanceof Conflict)) this.#hints.notify(append.map(({ stream }) => stream));
    return outcome;
  }

  async get(key: string): Promise<Entry | undefined> {
    checkKey(key);
    const text = await this.#database.get(entryKey(key));
    return text === undefined ? undefined : parseEntry(key, text);
  }

  async scan(prefix: string, after: string | undefined, limit: number): Promise<readonly Entry[]> {
    checkPrefix(prefix);
    if (after !== undefined) checkKey(after);
    checkLimit(limit);
    // DEL sorts after every character of a key.
    const lt = `${entryKey(prefix)}\x7f`;
    const from = after === undefined || after < prefix ? { gte: entryKey(prefix) } : { gt: entryKey(after) };
    const found = await this.#database.range({ ...from, lt, limit });
    return found.map(([key, text]) => parseEntry(key.slice(entryKey('').length), text));
  }

  async read(stream: string, after: number, limit: number): Promise<readonly StreamEvent[]> {
    checkKey(stream);
    checkCount('cursor', after);
    checkLimit(limit);
    // One moment for both reads: a trim in between would look like damage.
    return await this.#database.atOnce(async (snapshot) => {
      const { first, last } = parseHeld(await snapshot.get(streamKey(stream)));
      checkCursor(stream, after, first, last);
      const count = Math.min(limit, last - after);
      if (count === 0) return [];
      const lt = eventKey(stream, after + count + 1);
      const found = await snapshot.range({ gte: eventKey(stream, after + 1), lt });
      if (found.length !== count) {
        const message = `${count - found.length} of ${count} events of ${stream} after ${after} are missing`;
        throw new StoreError('corrupt', `${message}: restore the store from a backup`);
      }
      return found.map(([, json], index) => ({
        sequence: after + 1 + index,
        event: JSON.parse(json) as JsonValue,
      }));
    });
  }

  async last(stream: string): Promise<number> {
    checkKey(stream);
    return parseHeld(await this.#database.get(streamKey(stream))).last;
  }

  watch(stream: string, { signal }: { readonly signal: AbortSignal }): AsyncIterable<void> {
    checkKey(stream);
    return this.#hints.watch(stream, signal);
  }

  async trim(stream: string, before: number): Promise<void> {
    checkKey(stream);
    checkCount('sequence', before, 1);
    const step = (transaction: Transaction): boolean => {
      const { first, last } = parseHeld(transaction.get(streamKey(stream)));
      const target = Math.min(before, last + 1);
      const end = Math.min(target, first + trimStep);
      if (end <= first) return false;
      for (let sequence = first; sequence < end; sequence++) transaction.del(eventKey(stream, sequence));
      transaction.put(streamKey(stream), `${end} ${last}`);
      return end < target;
    };
    while (await this.#database.transact('trim', step));
  }

  async close(): Promise<void> {
    this.#hints.close();
    await this.#database.close();
  }
}

function versionOf(transaction: Transaction, key: string): number {
  const text = transaction.get(entryKey(key));
  return text === undefined ? 0 : Number.parseInt(text, 10);
}

function appendTo(transaction: Transaction, stream: string, json: string): number {
  const { first, last } = parseHeld(transaction.get(streamKey(stream)));
  const sequence = last + 1;
  transaction.put(eventKey(stream, sequence), json);
  transaction.put(streamKey(stream), `${first} ${sequence}`);
  return sequence;
}

function parseEntry(key: string, text: string): Entry {
  const space = text.indexOf(' ');
  return {
    key,
    version: Number(text.slice(0, space)),
    value: JSON.parse(text.slice(space + 1)) as JsonValue,
  };
}

function parseHeld(text: string | undefined): Held {
  if (text === undefined) return { first: 1, last: 0 };
  const [first, last] = text.split(' ').map(Number);
  return { first: first ?? Number.NaN, last: last ?? Number.NaN };
}
