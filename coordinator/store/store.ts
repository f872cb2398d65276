// What the coordinator asks of a store, whichever one it is: atomic compare-and-set commits over versioned keys, and
// streams of events with gapless sequences. Every store passes test/unit/coordinator-store.test.ts.

export type JsonValue =
  null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** A key's value and version. A key's first version is 1 and each put adds 1. */
export interface Entry {
  readonly key: string;
  readonly version: number;
  readonly value: JsonValue;
}

export interface StreamEvent {
  /** 1, 2, 3... without gaps within a stream. */
  readonly sequence: number;
  readonly event: JsonValue;
}

/**
 * One atomic change. Keys and streams are named with 1 to 512 of `a-z 0-9 / : . _ -`. A key may be expected once, and
 * put or deleted once. A key that was deleted and put again starts at version 1 again: a caller that compares versions
 * across a deletion must not reuse keys.
 */
export interface Commit {
  /** What is committed, in a word: tests kill a coordinator around commits of that name. */
  readonly what?: string;
  /** Versions that must be current; 0 means that the key must be absent. */
  readonly expect?: readonly { readonly key: string; readonly version: number }[];
  readonly put?: readonly { readonly key: string; readonly value: JsonValue }[];
  /** Deleting an absent key does nothing. */
  readonly del?: readonly string[];
  readonly append?: readonly { readonly stream: string; readonly event: JsonValue }[];
}

/** Nothing was written: the first expectation that did not hold. */
export class Conflict {
  readonly key: string;
  readonly expected: number;
  /** 0: the key is absent. */
  readonly found: number;
  constructor(key: string, expected: number, found: number) {
    this.key = key;
    this.expected = expected;
    this.found = found;
  }
}

export interface Store {
  /**
   * Applies the whole change durably, or nothing. Returns the sequences of the appended events in their order, or the
   * Conflict. Throws StoreError `invalid` for a malformed change, `write_failed` when the outcome is unknown.
   */
  commit(commit: Commit): Promise<readonly number[] | Conflict>;
  get(key: string): Promise<Entry | undefined>;
  /** At most `limit` (1..10000) entries whose keys begin with `prefix`, in key order, after the key `after`. */
  scan(prefix: string, after: string | undefined, limit: number): Promise<readonly Entry[]>;
  /**
   * At most `limit` (1..10000) events with a sequence above `after` (0: from the beginning). Throws StoreError
   * `cursor_too_old` when events after the cursor were trimmed, `cursor_ahead` when the stream never reached it (the
   * store was restored from a backup, or the cursor is another stream's): both mean to start from a snapshot.
   */
  read(stream: string, after: number, limit: number): Promise<readonly StreamEvent[]>;
  /**
   * Sequence of the last event of a stream, also when that event was trimmed; 0 when the stream never had any. It is
   * the cursor of a reader who has just taken a snapshot.
   */
  last(stream: string): Promise<number>;
  /**
   * Hints that `stream` may have grown; `read` decides. The first comes at once, so that a reader who reads at each
   * hint misses nothing; several commits may give one hint. Ends without an error on abort and on close.
   */
  watch(stream: string, options: { readonly signal: AbortSignal }): AsyncIterable<void>;
  /** Forgets the events with sequences below `before`; sequences go on as if they were there. */
  trim(stream: string, before: number): Promise<void>;
  /** Refuses new calls, completes those accepted, ends watchers, and releases the storage. */
  close(): Promise<void>;
}

export type StoreErrorCode =
  | 'closed' // used after close()
  | 'corrupt' // what is on disk is not what was written
  | 'cursor_ahead' // a cursor beyond the stream's last event
  | 'cursor_too_old' // events after the cursor were trimmed
  | 'invalid' // a key, stream, value, limit or change that no store takes
  | 'locked' // the folder is in use
  | 'unavailable' // the storage cannot be opened
  | 'unknown_schema' // written by another version or program
  | 'write_failed'; // the outcome of the write is unknown: restart and send the same records again

export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: StoreErrorCode;
  /** With `cursor_too_old` and `cursor_ahead`: the sequences that the stream holds; `last` is `first - 1` if none. */
  readonly held: { readonly first: number; readonly last: number } | undefined;
  constructor(
    code: StoreErrorCode,
    message: string,
    options: { cause?: unknown; held?: { first: number; last: number } } = {},
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.held = options.held;
  }
}
