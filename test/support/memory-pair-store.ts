// A ban gate's store in memory: what is durable in it outlives the gate, as a disk does. Its writes can be made to wait, or to
// fail, each one as a test wants.
import { toHex } from '../../protocol/hex.ts';
import type { PairBan, PairSecrets, PairStore, StoredPair } from '../../node/sessions/pairs/pair-store.ts';

interface Kept {
  setup?: PairSecrets;
  ban?: PairBan;
  checking: boolean;
  incidents: readonly number[];
}

export class MemoryPairStore implements PairStore {
  readonly #pairs = new Map<string, Kept>();
  /** What was written, in order: `mark:<party>`, say. */
  readonly writes: string[] = [];
  /** Before each write: may wait, or throw, and nothing is written then. */
  before: (what: string, party: string) => Promise<void> | void = () => undefined;

  kept(party: string): Kept {
    const kept = this.#pairs.get(party) ?? { checking: false, incidents: [] };
    this.#pairs.set(party, kept);
    return kept;
  }

  async load(): Promise<readonly StoredPair[]> {
    return [...this.#pairs].map(([party, { setup, ban, checking, incidents }]) => ({
      party,
      ...(setup && { setup: { id: setup.id.slice(), secrets: setup.secrets.slice() } }),
      setupLost: false,
      ban,
      checking,
      incidents,
    }));
  }

  async adopt(party: string, { id, secrets }: PairSecrets): Promise<void> {
    await this.#write('adopt', party, (kept) => (kept.setup = { id: id.slice(), secrets: secrets.slice() }));
  }

  async mark(party: string): Promise<void> {
    await this.#write('mark', party, (kept) => (kept.checking = true));
  }

  async clear(party: string): Promise<void> {
    await this.#write('clear', party, (kept) => (kept.checking = false));
  }

  async drop(party: string, id: Uint8Array, incidents: readonly number[]): Promise<void> {
    await this.#write('drop', party, (kept) => {
      if (kept.setup && toHex(kept.setup.id) === toHex(id)) delete kept.setup;
      kept.incidents = incidents;
    });
  }

  async ban(party: string, ban: PairBan, incidents: readonly number[]): Promise<void> {
    await this.#write('ban', party, (kept) => {
      delete kept.setup;
      kept.ban ??= ban;
      kept.incidents = incidents;
    });
  }

  async lift(party: string): Promise<void> {
    await this.#write('lift', party, (kept) => {
      delete kept.setup;
      delete kept.ban;
      kept.incidents = [];
    });
  }

  async #write(what: string, party: string, change: (kept: Kept) => unknown): Promise<void> {
    await this.before(what, party);
    this.writes.push(`${what}:${party}`);
    change(this.kept(party));
  }
}
