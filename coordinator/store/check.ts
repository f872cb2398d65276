// What every store checks of its arguments before it touches anything, so that all stores refuse the same.
import { type Commit, type JsonValue, StoreError } from './store.ts';

const keyPattern = /^[a-z0-9/:._-]{1,512}$/;
const prefixPattern = /^[a-z0-9/:._-]{0,512}$/;
const maxLimit = 10_000;
const maxOperations = 10_000;

/** A checked change whose values are JSON text: encoded once, when it is accepted. */
export interface EncodedCommit {
  readonly expect: readonly { readonly key: string; readonly version: number }[];
  readonly put: readonly { readonly key: string; readonly json: string }[];
  readonly del: readonly string[];
  readonly append: readonly { readonly stream: string; readonly json: string }[];
}

function invalid(message: string): StoreError {
  return new StoreError('invalid', message);
}

/** Throws StoreError `invalid` unless `key` may name a key or a stream. */
export function checkKey(key: string): void {
  if (!keyPattern.test(key)) {
    throw invalid(`${JSON.stringify(key).slice(0, 80)} is not a key: use 1 to 512 of a-z 0-9 / : . _ -`);
  }
}

/** Throws StoreError `invalid` unless `prefix` may begin a key; the empty prefix begins every key. */
export function checkPrefix(prefix: string): void {
  if (!prefixPattern.test(prefix)) {
    throw invalid(
      `${JSON.stringify(prefix).slice(0, 80)} begins no key: use at most 512 of a-z 0-9 / : . _ -`,
    );
  }
}

export function checkLimit(limit: number): void {
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > maxLimit) {
    throw invalid(`limit ${limit} is not an integer from 1 to ${maxLimit}`);
  }
}

/** Throws StoreError `invalid` unless `value`, a cursor or version called `name`, is a whole number from `least`. */
export function checkCount(name: string, value: number, least = 0): void {
  if (!Number.isSafeInteger(value) || value < least) {
    throw invalid(`${name} ${value} is not an integer from ${least}`);
  }
}

/** Throws StoreError when `after` lies outside of what the stream can answer. */
export function checkCursor(stream: string, after: number, first: number, last: number): void {
  const held = { first, last };
  if (after < first - 1) {
    const message = `events after ${after} of ${stream} were trimmed, it starts at ${first}: start from a snapshot`;
    throw new StoreError('cursor_too_old', message, { held });
  }
  if (after > last) {
    const message = `${stream} ends at ${last}, before the cursor ${after}: start from a snapshot`;
    throw new StoreError('cursor_ahead', message, { held });
  }
}

// JSON.stringify drops or turns into null what JSON has no word for: such a value would read back as another one.
function refuseOther(key: string, value: unknown): unknown {
  const lost =
    value === undefined ||
    typeof value === 'function' ||
    typeof value === 'symbol' ||
    (typeof value === 'number' && !Number.isFinite(value));
  if (lost)
    throw invalid(
      `the field ${JSON.stringify(key)} is ${String(value)}, which JSON cannot hold: leave it out`,
    );
  return value;
}

function encode(value: JsonValue): string {
  try {
    return JSON.stringify(value, refuseOther);
  } catch (error) {
    throw error instanceof StoreError ? error : invalid(`not a JSON value: ${(error as Error).message}`);
  }
}

function checkDistinct(keys: readonly string[], what: string): void {
  const seen = new Set<string>();
  for (const key of keys) {
    checkKey(key);
    if (seen.has(key)) throw invalid(`${key} is ${what} twice in one commit`);
    seen.add(key);
  }
}

/** Checks a change and encodes its values. Throws StoreError `invalid`. */
export function encodeCommit({ expect = [], put = [], del = [], append = [] }: Commit): EncodedCommit {
  const operations = expect.length + put.length + del.length + append.length;
  if (operations > maxOperations)
    throw invalid(`${operations} operations in one commit: the limit is ${maxOperations}`);
  checkDistinct(
    expect.map(({ key }) => key),
    'expected',
  );
  checkDistinct([...put.map(({ key }) => key), ...del], 'put or deleted');
  for (const { version } of expect) checkCount('version', version);
  for (const { stream } of append) checkKey(stream);
  return {
    expect: expect.map(({ key, version }) => ({ key, version })),
    put: put.map(({ key, value }) => ({ key, json: encode(value) })),
    del: [...del],
    append: append.map(({ stream, event }) => ({ stream, json: encode(event) })),
  };
}
