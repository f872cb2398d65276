// One LevelDB folder with one owner: exclusive opening, a schema version, checksums, and a writer that groups
// transactions into one synchronous batch. What LevelDB does not do by itself (each measured with classic-level 3):
// - a refused second open inside one process closes the lock file, and POSIX then drops the lock of the first open, so
//   that another process gets in: folders open in this process are remembered here and refused before LevelDB is asked;
// - a damaged write-ahead log opens without an error and without the commits in its middle: every group deletes its
//   predecessor's mark and leaves its own, so that a lost group leaves two marks (a torn, never acknowledged last
//   group leaves one, and is fine);
// - reads of uncompressed blocks are not verified: every value carries a CRC-32 over its key and text.
import { realpath } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { Level } from 'level';
import { makeFolder } from './atomic-file.ts';
import { crashPoint } from './crash-point.ts';

export type DatabaseErrorCode =
  | 'closed' // used after close()
  | 'corrupt' // what is on disk is not what was written
  | 'locked' // another process, or another part of this one, has the folder open
  | 'unavailable' // the folder cannot be opened
  | 'unknown_schema' // written by another version, or no folder of this kind
  | 'write_failed'; // a batch failed: its outcome is unknown and nothing more is written

/** Makes the owner's typed error, so that its users see one error class. */
export type MakeError = (code: DatabaseErrorCode, message: string, cause?: unknown) => Error;

export interface DatabaseOptions {
  /** Whose it is: begins the names of its crash points. */
  readonly name: string;
  /** Folder; made with mode 0700 when missing. */
  readonly folder: string;
  /** What is stored and in which version: a folder with another schema is refused. */
  readonly schema: string;
  readonly makeError: MakeError;
}

/** Reads see everything written before, including by earlier transactions that are not on disk yet. */
export interface Transaction {
  get(key: string): string | undefined;
  put(key: string, text: string): void;
  del(key: string): void;
}

/** Keys between the bounds, in byte order. Every key is ASCII and begins with a letter. */
export interface Range {
  readonly gte?: string;
  readonly gt?: string;
  readonly lt: string;
  readonly limit?: number;
}

/** A view of one moment. */
export interface Snapshot {
  get(key: string): Promise<string | undefined>;
  range(range: Range): Promise<readonly (readonly [key: string, text: string])[]>;
}

interface Waiting {
  /** What it writes: names its crash points. */
  readonly name: string;
  /** Runs the transaction and returns whether it wrote anything; afterwards `settle` reports its outcome. */
  readonly run: (group: Map<string, string | undefined>) => boolean;
  readonly settle: (writeFailure?: Error) => void;
}

const maxGroup = 512;
const schemaKey = '!schema';
const markPrefix = '!group/';
const openFolders = new Set<string>();

function markKey(group: number): string {
  return markPrefix + String(group).padStart(16, '0');
}

function withChecksum(key: string, text: string): string {
  return crc32(`${key}\n${text}`).toString(16).padStart(8, '0') + text;
}

function causeOf(error: unknown): { code: string; message: string } {
  const deepest = (error as { cause?: unknown }).cause ?? error;
  const { code, message } = deepest as { code?: unknown; message?: unknown };
  return {
    code: typeof code === 'string' ? code : '',
    message: typeof message === 'string' ? message : String(deepest),
  };
}

export class LevelDatabase {
  readonly #level: Level;
  readonly #folder: string;
  readonly #name: string;
  readonly #makeError: MakeError;
  #group: number;
  #waiting: Waiting[] = [];
  #writer: Promise<void> | undefined;
  #failure: Error | undefined;
  #closing: Promise<void> | undefined;

  private constructor(level: Level, folder: string, name: string, makeError: MakeError) {
    this.#level = level;
    this.#folder = folder;
    this.#name = name;
    this.#makeError = makeError;
    this.#group = 0;
  }

  /** Opens or creates the folder. Throws `locked`, `corrupt`, `unknown_schema` or `unavailable`. */
  static async open({ name, folder, schema, makeError }: DatabaseOptions): Promise<LevelDatabase> {
    let path: string;
    try {
      await makeFolder(folder);
      path = await realpath(folder);
    } catch (error) {
      const hint = 'check the path and its permissions';
      throw makeError(
        'unavailable',
        `cannot use the folder ${folder} (${causeOf(error).message}): ${hint}`,
        error,
      );
    }
    if (openFolders.has(path)) throw lockedError(path, makeError);
    openFolders.add(path);
    const level = new Level(path);
    try {
      crashPoint(`${name}.database:before`);
      await level.open().catch((error: unknown) => {
        throw openingError(path, makeError, error);
      });
      crashPoint(`${name}.database:after`);
      const database = new LevelDatabase(level, path, name, makeError);
      await database.#check(schema);
      return database;
    } catch (error) {
      await level.close();
      openFolders.delete(path);
      throw error;
    }
  }

  async #check(schema: string): Promise<void> {
    const found = await this.#read(() => this.#level.get(schemaKey));
    const marks = await this.#read(() =>
      this.#level.keys({ gte: markPrefix, lt: '!group0', limit: 3 }).all(),
    );
    if (found === undefined) {
      if (marks.length > 0) throw this.#corrupt('its schema version is missing');
      const [any] = await this.#read(() => this.#level.keys({ limit: 1 }).all());
      if (any !== undefined) {
        throw this.#makeError(
          'unknown_schema',
          `${this.#folder} is not a ${schema} folder: choose another folder`,
        );
      }
      await this.transact('schema', (transaction) => transaction.put(schemaKey, schema));
      return;
    }
    const stored = this.#verified(schemaKey, found);
    if (stored !== schema) {
      const advice = 'run the version that wrote it, or choose another folder';
      throw this.#makeError(
        'unknown_schema',
        `${this.#folder} has schema ${stored}, this is ${schema}: ${advice}`,
      );
    }
    const [mark] = marks;
    if (mark === undefined || marks.length > 1) {
      throw this.#corrupt('commits are missing from the middle of its log');
    }
    this.#group = Number(mark.slice(markPrefix.length));
  }

  /** The text last written under `key`. */
  async get(key: string): Promise<string | undefined> {
    const stored = await this.#read(() => this.#level.get(key));
    return stored === undefined ? undefined : this.#verified(key, stored);
  }

  async range(range: Range): Promise<readonly (readonly [string, string])[]> {
    const found = await this.#read(() => this.#level.iterator({ ...range }).all());
    return found.map(([key, stored]) => [key, this.#verified(key, stored)] as const);
  }

  /** Several reads of one moment. */
  async atOnce<T>(work: (snapshot: Snapshot) => Promise<T>): Promise<T> {
    const snapshot = await this.#read(async () => this.#level.snapshot());
    try {
      return await work({
        get: async (key) => {
          const stored = await this.#read(() => this.#level.get(key, { snapshot }));
          return stored === undefined ? undefined : this.#verified(key, stored);
        },
        range: async (range) => {
          const found = await this.#read(() => this.#level.iterator({ ...range, snapshot }).all());
          return found.map(([key, stored]) => [key, this.#verified(key, stored)] as const);
        },
      });
    } finally {
      await snapshot.close();
    }
  }

  /**
   * Runs `work` after every earlier transaction and writes all it put and deleted, or nothing when it throws. Resolves
   * or rejects once everything it saw is on disk. `work` is synchronous, so nothing comes between its reads and writes.
   * `what` says what it writes: its crash points are `<name of the database>.<what>:before` and `:after`.
   */
  transact<T>(what: string, work: (transaction: Transaction) => T): Promise<T> {
    if (this.#closing !== undefined) return Promise.reject(this.#closed());
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise<T>((resolve, reject) => {
      let settle: () => void;
      this.#waiting.push({
        name: `${this.#name}.${what}`,
        run: (group) => {
          try {
            const { result, wrote } = this.#apply(group, work);
            settle = () => resolve(result);
            return wrote;
          } catch (error) {
            settle = () => reject(error as Error);
            return false;
          }
        },
        settle: (failure) => (failure === undefined ? settle() : reject(failure)),
      });
      this.#writer ??= this.#write();
    });
  }

  #apply<T>(
    group: Map<string, string | undefined>,
    work: (transaction: Transaction) => T,
  ): { readonly result: T; readonly wrote: boolean } {
    const own = new Map<string, string | undefined>();
    const result = work({
      get: (key) => {
        if (own.has(key)) return own.get(key);
        if (group.has(key)) return group.get(key);
        const stored = this.#readSync(key);
        return stored === undefined ? undefined : this.#verified(key, stored);
      },
      put: (key, text) => void own.set(key, text),
      del: (key) => void own.set(key, undefined),
    });
    for (const [key, text] of own) group.set(key, text);
    return { result, wrote: own.size > 0 };
  }

  async #write(): Promise<void> {
    // Callers of the same tick share the first batch too.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, maxGroup);
      const writes = new Map<string, string | undefined>();
      const writing = this.#failure === undefined ? group.filter((waiting) => waiting.run(writes)) : [];
      for (const { name } of writing) crashPoint(`${name}:before`);
      if (writes.size > 0) await this.#writeBatch(writes);
      // On disk, and nobody has heard of it yet.
      if (this.#failure === undefined) for (const { name } of writing) crashPoint(`${name}:after`);
      for (const waiting of group) waiting.settle(this.#failure);
    }
    this.#writer = undefined;
  }

  async #writeBatch(writes: ReadonlyMap<string, string | undefined>): Promise<void> {
    const put = (key: string, text: string) =>
      ({ type: 'put', key, value: withChecksum(key, text) }) as const;
    const del = (key: string) => ({ type: 'del', key }) as const;
    const operations = [...writes].map(([key, text]) => (text === undefined ? del(key) : put(key, text)));
    const marks = [del(markKey(this.#group)), put(markKey(this.#group + 1), '')];
    try {
      await this.#level.batch([...operations, ...marks], { sync: true });
      this.#group += 1;
    } catch (error) {
      const advice = 'free or repair the disk and restart; what was being written may or may not be there';
      const message = `cannot write to ${this.#folder} (${causeOf(error).message}): ${advice}`;
      this.#failure = this.#makeError('write_failed', message, error);
    }
  }

  /** Waits for everything that was accepted, then releases the folder. */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      await this.#writer;
      await this.#level.close();
      openFolders.delete(this.#folder);
    })();
    return this.#closing;
  }

  async #read<T>(read: () => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) throw this.#closed();
    try {
      return await read();
    } catch (error) {
      throw this.#readingError(error);
    }
  }

  #readSync(key: string): string | undefined {
    try {
      return this.#level.getSync(key);
    } catch (error) {
      throw this.#readingError(error);
    }
  }

  #readingError(error: unknown): Error {
    const { code, message } = causeOf(error);
    if (code === 'LEVEL_DATABASE_NOT_OPEN' || code === 'LEVEL_ITERATOR_NOT_OPEN') return this.#closed();
    return this.#corrupt(message, error);
  }

  #verified(key: string, stored: string): string {
    const text = stored.slice(8);
    if (withChecksum(key, text) !== stored)
      throw this.#corrupt(`the value of ${key} does not match its checksum`);
    return text;
  }

  #corrupt(what: string, cause?: unknown): Error {
    return this.#makeError(
      'corrupt',
      `${this.#folder} is damaged (${what}): restore it from a backup`,
      cause,
    );
  }

  #closed(): Error {
    return this.#makeError('closed', `${this.#folder} is closed`);
  }
}

function lockedError(path: string, makeError: MakeError, cause?: unknown): Error {
  const advice = 'stop the process that uses it, or choose another folder';
  return makeError('locked', `${path} is already in use: ${advice}`, cause);
}

function openingError(path: string, makeError: MakeError, error: unknown): Error {
  const { code, message } = causeOf(error);
  if (code === 'LEVEL_LOCKED') return lockedError(path, makeError, error);
  if (code === 'LEVEL_CORRUPTION') {
    return makeError('corrupt', `${path} is damaged (${message}): restore it from a backup`, error);
  }
  return makeError(
    'unavailable',
    `cannot open ${path} (${message}): check its owner, permissions and disk`,
    error,
  );
}
