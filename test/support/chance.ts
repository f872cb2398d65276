// Repeatable chance for tests: the same seed gives the same draws.

export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** In [0, 1). Mulberry32: 32 bits of state, good enough to choose by. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number in [0, below). */
  below(below: number): number {
    return Math.floor(this.next() * below);
  }

  /** True that often. */
  happens(probability: number): boolean {
    return this.next() < probability;
  }

  of<Item>(items: readonly Item[]): Item {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new RangeError('a choice among nothing');
    return item;
  }
}

/** The seed named in the environment, else a new one. */
export function seedFromEnvironment(variable = 'RANDOM_SEED'): number {
  const named = process.env[variable];
  if (named === undefined || named === '') return Math.floor(Math.random() * 2 ** 31);
  const seed = Number(named);
  if (!Number.isSafeInteger(seed)) throw new TypeError(`${variable}=${named} is not a whole number`);
  return seed;
}
