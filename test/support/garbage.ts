// Malformed input of every kind, from a printed seed: the same seed makes the same inputs again (RANDOM_SEED=<number>).
// An input is what one connection does: the bytes it sends, in which pieces, and how it ends. This file knows bytes and
// JSON; garbage-http.ts and garbage-control.ts know what the two listeners expect.
import { randomInt } from 'node:crypto';

export interface Garbage {
  /** What is wrong with it: outcomes are counted by this. */
  readonly kind: string;
  readonly pieces: readonly Uint8Array[];
  /** Of pieces: at once, or the last one byte by byte, with a pause after each. */
  readonly pace?: 'slow';
  /**
   * What the client does when all is sent: waits for the server to close, closes its sending half, hangs up at once, or
   * hangs up at the first byte of an answer.
   */
  readonly end: 'wait' | 'half' | 'reset' | 'reset at answer';
}

/** A seeded source (mulberry32): no cryptography, but the same numbers for the same seed everywhere. */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  /** From 0 to 1, without 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
  /** 0 to `limit` - 1. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }
  chance(probability: number): boolean {
    return this.next() < probability;
  }
  pick<Value>(values: readonly Value[]): Value {
    return values[this.below(values.length)]!;
  }
  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }
}

/** The seed of this run, printed so that a failure can be had again. */
export function printedSeed(what: string): number {
  const seed = Number(process.env.RANDOM_SEED ?? randomInt(2 ** 31));
  process.stdout.write(`      ${what}: RANDOM_SEED=${seed}\n`);
  return seed;
}

/** How many inputs each listener gets: `GARBAGE=100000` for a long run. */
export const garbageCount = Number(process.env.GARBAGE ?? 2000);

/** Text whose characters are the bytes to send, so that JSON can hold bytes that are no UTF-8. */
export const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1');

/** One bit of `bytes` changed, or some. */
export function flipped(random: Random, bytes: Uint8Array): Buffer {
  const copy = Buffer.from(bytes);
  for (let flips = random.chance(0.7) ? 1 : 1 + random.below(16); flips > 0; flips -= 1) {
    const at = random.below(copy.length);
    copy[at] = copy[at]! ^ (1 << random.below(8));
  }
  return copy;
}

export function truncated(random: Random, bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.subarray(0, random.below(bytes.length)));
}

const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;
const nestedObjects = (depth: number): string => `${'{"a":'.repeat(depth)}0${'}'.repeat(depth)}`;

/** JSON, and what looks like it, that no field is meant for. */
const junk: readonly ((random: Random) => string)[] = [
  (random) =>
    random.pick([
      'null',
      'true',
      'false',
      '0',
      '-1',
      '-0',
      '1.5',
      '1e400',
      '-1e-400',
      '9007199254740993',
      '4294967296',
    ]),
  (random) => '9'.repeat(1 + random.below(2000)),
  (random) =>
    random.pick([
      '""',
      '" "',
      '"0x"',
      '"0X00"',
      '"null"',
      '"__proto__"',
      '"constructor"',
      '"../../etc/passwd"',
    ]),
  (random) =>
    random.pick([
      '"\\u0000"',
      '"a\\u0000b"',
      '"\\ud800"',
      '"\\udfff\\ud800"',
      '"\\uffff"',
      '"\\u202e"',
      '"\\r\\nx: y"',
    ]),
  (random) =>
    random.pick([
      '"\xff\xfe"',
      '"\xc0\x80"',
      '"\xed\xa0\x80"',
      '"\xf8\x88\x80\x80\x80"',
      '"\x00"',
      '"\x1f"',
      '"\xef\xbb\xbf"',
    ]),
  (random) =>
    random.pick([
      '[]',
      '{}',
      '[[]]',
      '[{}]',
      '[null]',
      '{"":""}',
      '{"length":1e9}',
      '{"then":1}',
      '{"toJSON":1}',
    ]),
  (random) =>
    random.pick([
      '{"__proto__":{"polluted":true}}',
      '{"constructor":{"prototype":{"polluted":true}}}',
      '{"__proto__":null}',
      '{"prototype":[]}',
      '{"hasOwnProperty":1,"toString":1}',
    ]),
  (random) => random.pick(['{"a":1,"a":2}', '{"method":"x","method":"y"}', '{"a":1,"\\u0061":2}']),
  (random) => random.pick([nested, nestedObjects])(random.pick([2, 15, 17, 30, 500, 5000])),
  (random) => `[${'0,'.repeat(random.below(20_000))}0]`,
  (random) => `{${Array.from({ length: random.below(3000) }, (_, index) => `"k${index}":0,`).join('')}"k":0}`,
  (random) => `"${random.pick(['x', '\\u0000', '[', '\\"', '\xff'])}${'x'.repeat(random.below(40_000))}"`,
  (random) =>
    random.pick([
      'NaN',
      'Infinity',
      'undefined',
      "'x'",
      '// x',
      '[1,]',
      '{a:1}',
      '01',
      '+1',
      '.5',
      '0x10',
      '"\n"',
      '',
    ]),
  (random) =>
    random.pick([
      '"2030-13-45T99:99:99.999Z"',
      '"+275760-09-13T00:00:00.000Z"',
      '"9999-12-31T23:59:59.999Z"',
      '"0000-01-01T00:00:00.000Z"',
    ]),
  (random) => `"0x${'0f'.repeat(random.pick([1, 16, 31, 32, 33, 64, 72, 10_000]))}"`,
  (random) => `"ed25519:0x${random.pick(['00', 'ff', '01']).repeat(32)}"`,
];

/** Some junk, as JSON text or what is none. */
export function junkText(random: Random): string {
  return random.pick(junk)(random);
}

const mark = '@@junk@@';

/** How many values a JSON value holds, itself included. */
function sizeOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1;
  return Object.values(value).reduce<number>((sum, each) => sum + sizeOf(each), 1);
}

/** `value` with its value number `at`, counted depth first, replaced by the mark, left out, or given a stranger beside it. */
function marred(value: unknown, at: number, how: 'replace' | 'remove' | 'add'): unknown {
  let count = -1;
  const walk = (each: unknown): unknown => {
    count += 1;
    const here = count === at;
    if (here && how === 'replace') return mark;
    if (typeof each !== 'object' || each === null) return here && how === 'add' ? [each, mark] : each;
    if (Array.isArray(each)) return [...each.flatMap(walkChild), ...(here && how === 'add' ? [mark] : [])];
    const fields = Object.entries(each).flatMap(([name, child]) => {
      const [kept, ...none] = walkChild(child);
      return kept === undefined && none.length === 0 ? [] : [[name, kept] as const];
    });
    return Object.fromEntries(here && how === 'add' ? [...fields, ['stranger', mark]] : fields);
  };
  const walkChild = (child: unknown): unknown[] => {
    if (how === 'remove' && count + 1 === at) {
      count += sizeOf(child);
      return [];
    }
    return [walk(child)];
  };
  return walk(value);
}

/** JSON text of `value` with one of its values replaced by junk, removed, or joined by junk. */
export function marredJson(random: Random, value: unknown): string {
  const how = random.pick(['replace', 'replace', 'replace', 'remove', 'add'] as const);
  const text = JSON.stringify(marred(value, random.below(sizeOf(value)), how)) ?? '';
  return text.replace(`"${mark}"`, () => junkText(random));
}
