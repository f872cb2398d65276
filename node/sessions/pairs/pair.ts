// One pair of parties in memory: its setup, its ban, the checks that are under way, and the order in which what becomes of it
// is written.
import { type Hex, toHex } from '../../../protocol/hex.ts';
import type { PairBan, PairSecrets, StoredPair } from './pair-store.ts';

/** A step that checks messages, or waits for its turn to. `ended` resolves when its verdict has taken effect in memory. */
export interface Check {
  begun: boolean;
  readonly ended: Promise<void>;
  end(): void;
}

export class Pair {
  readonly party: string;
  setup: (PairSecrets & { readonly hexId: Hex }) | undefined;
  ban: PairBan | undefined;
  incidents: readonly number[] = [];
  /** When this process adopted its setup, in milliseconds since 1970. */
  adoptedAt: number | undefined;
  readonly checks = new Set<Check>();
  /** It is certain that the mark of a check under way is on disk. */
  marked = false;
  /** A ban or a destruction that could not be written yet. */
  #pending: (() => Promise<void>) | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(party: string, stored?: StoredPair) {
    this.party = party;
    if (stored === undefined) return;
    this.ban = stored.ban;
    this.incidents = stored.incidents;
    if (stored.setup) this.replace(stored.setup);
  }

  get unwritten(): boolean {
    return this.#pending !== undefined;
  }

  /** Runs `work` after everything before it about this pair. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  /** Writes a ban or a destruction in its turn. Until that succeeded it is tried again before anything else is written. */
  write(write: () => Promise<void>): Promise<void> {
    this.#pending = write;
    return this.inTurn(() => this.settle());
  }

  /** In turn: writes what could not be written before. */
  async settle(): Promise<void> {
    const write = this.#pending;
    if (write === undefined) return;
    await write();
    if (this.#pending === write) this.#pending = undefined;
  }

  /** Returns when nothing is left to be written; throws what the store throws. */
  written(): Promise<void> {
    return this.inTurn(() => this.settle());
  }

  /** Returns when no check is under way or waits for its turn. */
  async idle(): Promise<void> {
    while (this.checks.size > 0) await Promise.all([...this.checks].map(({ ended }) => ended));
  }

  /** Whether there was a setup before. */
  replace({ id, secrets }: PairSecrets): boolean {
    const replaced = this.erase();
    this.setup = { id, secrets, hexId: toHex(id) };
    return replaced;
  }

  /** Whether there was anything to erase. */
  erase(): boolean {
    const had = this.setup !== undefined;
    this.setup?.secrets.fill(0);
    this.setup = undefined;
    return had;
  }

  /** The operator starts the pair anew, and the store knows. */
  lift(): void {
    this.erase();
    this.ban = undefined;
    this.incidents = [];
    this.#pending = undefined;
  }
}
