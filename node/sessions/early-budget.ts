// Rounds that came before their START, over all attempts together: each attempt holds a few of each party, and a party can
// be heard in many attempts at once.

/** Of one party, in bytes: the early rounds of several hundred attempts at signing. */
const maxBytes = 8 * 1024 * 1024;

export class EarlyBudget {
  /** Bytes held, by party of the roster. */
  readonly #held = new Map<string, number>();

  /** Whether this party may have so many more bytes wait; if so they are counted until `give`. */
  take(party: string, bytes: number): boolean {
    const held = (this.#held.get(party) ?? 0) + bytes;
    if (held > maxBytes) return false;
    this.#held.set(party, held);
    return true;
  }

  /** They wait no longer. */
  give(party: string, bytes: number): void {
    const held = (this.#held.get(party) ?? 0) - bytes;
    if (held > 0) this.#held.set(party, held);
    else this.#held.delete(party);
  }
}
