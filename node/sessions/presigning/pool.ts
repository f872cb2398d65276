// Presignatures that wait for a request, in memory only: a restart loses them, and no backup can bring one back. Each belongs
// to the party that led its making: that party alone may name it in a PROPOSE. One is taken by removing it, in the same turn
// as whatever it is taken for; whoever comes second finds nothing.
import type { Hex } from '../../../protocol/hex.ts';
import { toHex } from '../../../protocol/hex.ts';
import type { Presignature } from '../../mpc/dkls23/presignature.ts';
import { setName } from '../attempt.ts';

/** Presignatures that wait here of one owner, this party included. */
export const maxPooled = 64;

export interface PooledPresignature {
  readonly presignature: Presignature;
  /** The party that led its making. */
  readonly owner: string;
  /** The root key. */
  readonly keyId: Hex;
  /** The set, this party included. */
  readonly members: readonly string[];
  /** Ids, in hex, of the pair setups it was made with, by party. */
  readonly setups: ReadonlyMap<string, Hex>;
  /** In milliseconds since 1970. */
  readonly madeAt: number;
}

/** How many presignatures one owner has for a key and a set. */
export interface PoolSize {
  readonly owner: string;
  readonly keyId: Hex;
  readonly members: readonly string[];
  readonly size: number;
}

export class PresignaturePool {
  readonly #waiting = new Map<string, PooledPresignature>();

  /**
   * Takes one in, in place of the oldest of the same owner when that has as many as it may: those of keys and sets no longer
   * in use make room. Returns false, and erases it, when its id is known.
   */
  put(pooled: PooledPresignature): boolean {
    const id = toHex(pooled.presignature.id);
    if (this.#waiting.has(id)) {
      burn(pooled);
      return false;
    }
    const owned = this.ofOwner(pooled.owner);
    for (const oldest of owned.slice(0, Math.max(0, owned.length + 1 - maxPooled))) {
      this.#waiting.delete(toHex(oldest.presignature.id));
      burn(oldest);
    }
    this.#waiting.set(id, pooled);
    return true;
  }

  /** What an owner has, oldest first. */
  ofOwner(owner: string): readonly PooledPresignature[] {
    return [...this.#waiting.values()].filter((pooled) => pooled.owner === owner);
  }

  /** Removes first, then returns; undefined for an id that is unknown, taken, or somebody else's. */
  take(id: Uint8Array, owner: string): PooledPresignature | undefined {
    const name = toHex(id);
    const pooled = this.#waiting.get(name);
    if (pooled?.owner !== owner) return undefined;
    this.#waiting.delete(name);
    return pooled;
  }

  /** Burns all that were made with a party: it is banned, its pair setup is gone, or its process is another one. */
  purge(party: string): number {
    return this.burnIf(({ members }) => members.includes(party));
  }

  /** Burns all that are not wanted any more; returns how many. */
  burnIf(isUnwanted: (pooled: PooledPresignature) => boolean): number {
    let burnt = 0;
    for (const [id, pooled] of this.#waiting) {
      if (!isUnwanted(pooled)) continue;
      this.#waiting.delete(id);
      burn(pooled);
      burnt += 1;
    }
    return burnt;
  }

  clear(): void {
    for (const pooled of this.#waiting.values()) burn(pooled);
    this.#waiting.clear();
  }

  sizes(): readonly PoolSize[] {
    const sizes = new Map<string, PoolSize>();
    for (const { owner, keyId, members } of this.#waiting.values()) {
      const name = `${owner} ${keyId} ${setName(members)}`;
      sizes.set(name, { owner, keyId, members, size: (sizes.get(name)?.size ?? 0) + 1 });
    }
    return [...sizes.values()];
  }
}

/** Overwrites what is secret in it. */
export function burn({ presignature }: PooledPresignature): void {
  presignature.secrets.fill(0);
}
