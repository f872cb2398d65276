// Malformed inputs from one seed, for everything at which a node listens: CBOR with exactly one thing wrong, session frames
// signed by whoever sends them after they were altered, gossip transmissions, requests at the door, and raw bytes. The same
// seed makes the same inputs.
import { randomInt } from 'node:crypto';
import { encode } from 'cborg';

/** From RANDOM_SEED, else new; printed by whoever uses it. */
export function garbageSeed(): number {
  const given = process.env['RANDOM_SEED'];
  return given === undefined ? randomInt(2 ** 31) : Number(given);
}

/** How many inputs each listener gets: GARBAGE, else what is given. */
export function garbageCount(otherwise: number): number {
  return Number(process.env['GARBAGE'] ?? otherwise);
}

/** A generator of choices (mulberry32, public domain): good enough to vary inputs, nothing else. */
export class Choices {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 <= result < 1 */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let word = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  }

  /** 0 <= result < limit */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  pick<Value>(values: readonly Value[]): Value {
    return values[this.below(values.length)] as Value;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256));
  }

  /** Few bytes as a rule, sometimes many. */
  someBytes(most = 4096): Uint8Array {
    return this.bytes(this.below(this.pick([8, 64, 600, most])) + 1);
  }

  hex(length: number): string {
    return Buffer.from(this.bytes(length)).toString('hex');
  }
}

export type Plain =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Plain[]
  | { readonly [key: string]: Plain | undefined };

function head(major: number, value: number): Uint8Array {
  const top = major << 5;
  if (value < 24) return new Uint8Array([top | value]);
  if (value < 256) return new Uint8Array([top | 24, value]);
  const bytes = new Uint8Array(9);
  bytes[0] = top | 27;
  new DataView(bytes.buffer).setBigUint64(1, BigInt(value));
  return bytes;
}

const concat = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
const raw = (...bytes: readonly number[]): Uint8Array => new Uint8Array(bytes);

function map(entries: readonly (readonly [Uint8Array, Uint8Array])[]): Uint8Array {
  return concat(head(5, entries.length), ...entries.flat());
}

/** CBOR of a value that no field may have: of another type, or in another form. */
function foreign(choices: Choices, value: Plain | undefined): Uint8Array {
  const encoded = encode(value);
  const others: Uint8Array[] = [
    raw(0xf6), // null
    raw(0xf7), // undefined
    raw(0xf9, 0x7e, 0x00), // NaN
    raw(0xf9, 0x7c, 0x00), // infinity
    raw(0xfb, 0x3f, 0xf1, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a), // 1.1
    raw(0xe0), // an unassigned simple value
    raw(0xff), // a break that ends nothing
    raw(0x1c), // a reserved length
    raw(0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), // -2^64
    raw(0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), // 2^64 - 1
    concat(raw(0xc2, 0x49), choices.bytes(9)), // a big integer
    concat(raw(0xd9, 0xd9, 0xf7), encoded), // a tag
    concat(raw(0x9f), encoded, raw(0xff)), // an array without a length
    concat(raw(0x5f, 0x41, 0x00), raw(0xff)), // bytes in parts
    concat(raw(0x7f, 0x61, 0x61), raw(0xff)), // text in parts
    raw(0x9b, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00), // 2^32 elements, none of them here
    raw(0x5b, 0x00, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), // 2^53 - 1 bytes, none of them here
    raw(0xbb, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00), // 2^36 entries
    concat(new Uint8Array(choices.pick([20, 500, 20_000])).fill(0x81), raw(0x00)), // arrays in arrays
    concat(new Uint8Array(choices.pick([20, 500, 20_000])).fill(0xc1), raw(0x00)), // tags on tags
    concat(raw(0x62), raw(0xc3, 0x28)), // text that is no UTF-8
  ];
  if (typeof value !== 'boolean') others.push(raw(0xf5));
  if (typeof value !== 'string') others.push(encode('text'));
  if (!(value instanceof Uint8Array)) others.push(encode(choices.bytes(32)));
  if (typeof value !== 'number') others.push(encode(choices.below(1000)));
  if (typeof value === 'number' && value < 24) others.push(raw(0x18, value), raw(0x19, 0x00, value));
  if (!Array.isArray(value)) others.push(encode([choices.below(10)]));
  if (Array.isArray(value) || value instanceof Uint8Array || typeof value !== 'object' || value === null)
    others.push(encode({ [choices.hex(2)]: 1 }));
  return choices.pick(others);
}

/** CBOR of a map with one thing wrong in its form: a strict reader of this very map must refuse it. */
export function brokenMap(choices: Choices, value: Readonly<Record<string, Plain | undefined>>): Uint8Array {
  const entries = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .map(([key, field]) => [encode(key), encode(field)] as [Uint8Array, Uint8Array]);
  const whole = map(entries);
  const at = choices.below(entries.length);
  const name = Object.keys(value)[at] ?? '';
  switch (choices.below(11)) {
    case 0:
      return whole.subarray(0, choices.below(whole.length));
    case 1:
      return concat(whole, choices.someBytes(64));
    case 2:
      return map(entries.filter((_, index) => index !== at));
    case 3:
      return map([...entries, [encode(`x${choices.hex(2)}`), encode(choices.below(10))]]);
    case 4:
      return map([...entries, entries[at] ?? [raw(0x60), raw(0x00)]]);
    case 5:
      return concat(raw(0xbf), ...entries.flat(), raw(0xff));
    case 6:
      return concat(raw(0xb8 | 1, 0x00, entries.length), ...entries.flat());
    case 7:
      return map(entries.map(([key, field], index) => [index === at ? raw(choices.below(24)) : key, field]));
    case 8:
      return choices.pick([
        raw(),
        raw(0xa0),
        raw(0x80),
        raw(0x00),
        raw(0xff),
        encode('hello'),
        encode([whole]),
      ]);
    default:
      return map(
        entries.map(([key, field], index) => [key, index === at ? foreign(choices, value[name]) : field]),
      );
  }
}

const letters = '0123456789abcdefxyz_'.split('');

/** Another value of the same type: the form stays right as far as lengths allow, what it says is wrong. */
export function otherValue(choices: Choices, value: Plain | undefined): Plain {
  if (value instanceof Uint8Array) {
    if (value.length === 0 || choices.below(8) === 0) return choices.someBytes(300);
    const copy = new Uint8Array(value);
    copy[choices.below(copy.length)]! ^= 1 << choices.below(8);
    return copy;
  }
  if (Array.isArray(value)) {
    const items = [...(value as readonly Plain[])];
    switch (choices.below(4)) {
      case 0:
        return items.slice(1);
      case 1:
        return [...items, ...items];
      case 2:
        return items.toReversed();
      default:
        return items.map((item, index) => (index === 0 ? otherValue(choices, item) : item));
    }
  }
  if (typeof value === 'number') return choices.pick([0, 1, value + 1, -1, 2 ** 32, Number.MAX_SAFE_INTEGER]);
  if (typeof value === 'boolean') return !value;
  if (typeof value === 'string') {
    const at = choices.below(Math.max(1, value.length));
    const changed = `${value.slice(0, at)}${choices.pick(letters)}${value.slice(at + 1)}`;
    return choices.pick([changed, changed, changed, '', `${value}0`, value.repeat(20).slice(0, 3000)]);
  }
  if (value === null || value === undefined) return 0;
  const entries = Object.entries(value as Record<string, Plain>);
  const changed = choices.below(Math.max(1, entries.length));
  return Object.fromEntries(
    entries.map(([key, field], index) => [key, index === changed ? otherValue(choices, field) : field]),
  );
}

/** JSON text with something wrong: cut, deep, huge, of other types, or none. */
export function brokenJson(choices: Choices, value: unknown): Uint8Array {
  const text = JSON.stringify(value);
  const at = choices.below(text.length);
  const deep = choices.pick([50, 5_000, 100_000]);
  const broken = choices.pick([
    () => text.slice(0, at),
    () =>
      `${text.slice(0, at)}${choices.pick(['{', '}', '"', '\\', ',', '[', '\u0000', '1e999'])}${text.slice(at + 1)}`,
    () => `${'['.repeat(deep)}${']'.repeat(deep)}`,
    () => `${'{"a":'.repeat(deep)}1${'}'.repeat(deep)}`,
    () => `${text}${text}`,
    () => text.replace(/"[^"]*":/, '"__proto__":'),
    () => text.replace(/:("[^"]*"|\d+)/, ':null'),
    () => text.replace(/:("[^"]*"|\d+)/, `:${'9'.repeat(400)}`),
    () => JSON.stringify(choices.pick([null, true, 7, 'text', [], {}, [[]], { method: 'deliver' }])),
    () => `\ufeff${text}`,
  ])();
  return choices.below(6) === 0 ? choices.someBytes() : new TextEncoder().encode(broken);
}

/** A protobuf field of wire type 2. */
export function protobufBytes(field: number, bytes: Uint8Array): Uint8Array {
  return concat(raw((field << 3) | 2), varint(bytes.length), bytes);
}

export function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return raw(...bytes, rest);
    bytes.push((rest % 128) | 0x80);
  }
}

/** With its length as a varint before it. */
export function lengthPrefixed(bytes: Uint8Array): Uint8Array {
  return concat(varint(bytes.length), bytes);
}
