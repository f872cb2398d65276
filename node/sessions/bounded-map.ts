// For what peers make this node remember.

/** A map that forgets its oldest entry when it is full. */
export class BoundedMap<Key, Value> {
  readonly #limit: number;
  readonly #entries = new Map<Key, Value>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get(key: Key): Value | undefined {
    return this.#entries.get(key);
  }

  set(key: Key, value: Value): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#limit) break;
      this.#entries.delete(oldest);
    }
  }

  /** Removes an entry and returns it. */
  take(key: Key): Value | undefined {
    const value = this.#entries.get(key);
    this.#entries.delete(key);
    return value;
  }
}

/** For each party a map of its own, so that none can make this node forget what another one sent. */
export class BoundedMaps<Party, Key, Value> {
  readonly #limit: number;
  readonly #maps = new Map<Party, BoundedMap<Key, Value>>();

  /** `limit`: entries of one party. Parties are those of the roster. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get(party: Party, key: Key): Value | undefined {
    return this.#maps.get(party)?.get(key);
  }

  set(party: Party, key: Key, value: Value): void {
    const own = this.#maps.get(party) ?? new BoundedMap<Key, Value>(this.#limit);
    own.set(key, value);
    this.#maps.set(party, own);
  }

  take(party: Party, key: Key): Value | undefined {
    return this.#maps.get(party)?.take(key);
  }

  /** Removes the entries of all parties under one key and returns them. */
  takeAll(key: Key): readonly Value[] {
    return [...this.#maps.values()].flatMap((own) => {
      const value = own.take(key);
      return value === undefined ? [] : [value];
    });
  }
}
