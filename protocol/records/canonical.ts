// Canonical bytes of records: JSON in the order of RFC 8785, restricted to objects, arrays, well-formed strings, booleans
// and integers 0..2^53-1, so that every value has exactly one byte string. No floats, no null.

export type CanonicalValue =
  | string
  | number
  | boolean
  | readonly CanonicalValue[]
  | { readonly [key: string]: CanonicalValue | undefined };

export class CanonicalError extends Error {
  override readonly name = 'CanonicalError';
  readonly code: 'too_large' | 'not_utf8' | 'not_json' | 'not_canonical' | 'not_allowed' | 'too_deep';
  constructor(code: CanonicalError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

const maxDepth = 24;

function write(value: unknown, depth: number): string {
  if (depth > maxDepth)
    throw new CanonicalError('too_deep', `nested deeper than ${maxDepth} levels: make it flatter`);
  switch (typeof value) {
    case 'string':
      if (!value.isWellFormed())
        throw new CanonicalError('not_allowed', 'a string holds a lone surrogate: use well-formed text');
      return JSON.stringify(value);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'number':
      if (!Number.isSafeInteger(value) || value < 0 || Object.is(value, -0)) {
        throw new CanonicalError(
          'not_allowed',
          `${Object.is(value, -0) ? '-0' : value} is not an integer from 0 to 2^53-1: write amounts as decimal strings`,
        );
      }
      return String(value);
    case 'object':
      if (value === null) throw new CanonicalError('not_allowed', 'null is not allowed: leave the field out');
      // Array.from, because map() would skip the holes of a sparse array.
      if (Array.isArray(value)) return `[${Array.from(value, (item) => write(item, depth + 1)).join(',')}]`;
      return writeObject(value as Record<string, unknown>, depth);
    case 'bigint':
    case 'function':
    case 'symbol':
    case 'undefined':
      throw new CanonicalError(
        'not_allowed',
        `a ${typeof value} is not allowed: use strings, integers, booleans, arrays and objects`,
      );
  }
}

function writeObject(value: Record<string, unknown>, depth: number): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    // A Map, a Date or bytes would otherwise be written as an object without, or with the wrong, content.
    throw new CanonicalError('not_allowed', 'an instance of a class is not allowed: use plain objects');
  }
  // Array#sort compares UTF-16 code units, which is the order RFC 8785 asks for.
  const fields = Object.keys(value)
    .filter((key) => value[key] !== undefined)
    .toSorted();
  return `{${fields.map((key) => `${write(key, depth + 1)}:${write(value[key], depth + 1)}`).join(',')}}`;
}

/** The one byte string of a value; fields that are undefined are left out. Throws CanonicalError for values outside the restriction. */
export function encodeCanonical(value: unknown): Uint8Array {
  return new TextEncoder().encode(write(value, 0));
}

/**
 * The value of canonical bytes. Throws CanonicalError when the bytes are longer than `maxBytes`, are not JSON, or are
 * not the canonical bytes of what they say (which also refuses duplicate keys).
 */
export function decodeCanonical(bytes: Uint8Array, maxBytes: number): unknown {
  if (bytes.length > maxBytes)
    throw new CanonicalError(
      'too_large',
      `${bytes.length} bytes, the limit is ${maxBytes}: make the record smaller`,
    );
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new CanonicalError('not_utf8', 'not UTF-8: write the record with a current client');
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new CanonicalError('not_json', 'not JSON: write the record with a current client');
  }
  if (write(value, 0) !== text) {
    throw new CanonicalError(
      'not_canonical',
      'JSON, but not canonical: write it in RFC 8785 order, without spaces',
    );
  }
  return value;
}
