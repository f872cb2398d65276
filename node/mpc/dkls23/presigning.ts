// Makes presignatures of one key ahead of time, among the set that will use them: the presign rounds as a run of their own.
import { equalBytes } from '@noble/curves/utils.js';
import { Abort } from '../abort.ts';
import { checkSet } from '../frost/attempt.ts';
import type { PartyIndex, RandomBytes, Slices, Step } from '../machine.ts';
import { type Round, RoundMachine } from '../rounds.ts';
import type { EcdsaKey } from './key.ts';
import type { PairSetup } from './pair-secrets.ts';
import { Presign } from './presign.ts';
import { chunkSize } from './presign-messages.ts';
import { type Presignature, presignatureIdLength } from './presignature.ts';
import { Setups } from './setups.ts';

/** Presignatures of one run. */
export const maxPresignatures = 8;

export interface PresigningOptions {
  /** 32 bytes, never used before. */
  readonly sid: Uint8Array;
  readonly self: PartyIndex;
  /** Exactly `threshold` parties, self among them; the order does not matter. */
  readonly set: readonly PartyIndex[];
  /** The root key. It belongs to the caller, and must live as long as the machine. */
  readonly key: EcdsaKey;
  /** What the presignatures will be called: 1..8 ids of 32 bytes, distinct. */
  readonly ids: readonly Uint8Array[];
  /** One with each other member. The machine owns them, and overwrites their secrets at its end. */
  readonly setups: ReadonlyMap<PartyIndex, PairSetup>;
  readonly random: RandomBytes;
}

/** Output: one presignature for each id, in order. */
export class Presigning extends RoundMachine<readonly Presignature[]> {
  protected override readonly rounds: readonly Round<readonly Presignature[]>[];
  readonly #setups: Setups;
  readonly #chunks: readonly Presign<readonly Presignature[]>[];
  #made: Presignature[] = [];

  /**
   * Throws Abort: invalid_session, item_count, presignature_id, set_size, duplicate_member, self_not_in_set,
   * stranger_in_set, key_mismatch, missing_setup.
   */
  constructor(options: PresigningOptions) {
    const { sid, self, key, ids, random } = options;
    try {
      checkIds(ids);
      checkSet(self, options.set, [{ key }]);
      super(sid, self, options.set);
    } catch (error) {
      for (const { secrets } of options.setups.values()) secrets.fill(0);
      throw error;
    }
    const set = options.set.toSorted((a, b) => a - b);
    const setups = new Setups(options.setups, self, set);
    this.#setups = setups;
    const items = ids.map((id, item) => ({ item, id: id.slice(), key }));
    this.#chunks = Array.from({ length: Math.ceil(items.length / chunkSize) }, (_, chunk) => {
      const own = items.slice(chunk * chunkSize, (chunk + 1) * chunkSize);
      return new Presign({ chunk, sid: this.sid, self, set, items: own, setups, random });
    });
    this.rounds = this.#chunks.flatMap((chunk, at) => chunk.rounds((made) => this.#next(at + 1, made)));
  }

  protected override begin(): Slices<readonly Presignature[]> {
    return this.#begin(0);
  }

  *#begin(chunk: number): Slices<readonly Presignature[]> {
    return { messages: yield* this.#chunks[chunk]!.begin() };
  }

  #next(
    chunk: number,
    made: readonly Presignature[],
  ): Step<readonly Presignature[]> | Slices<readonly Presignature[]> {
    this.#made.push(...made);
    if (chunk < this.#chunks.length) return this.#begin(chunk);
    const output = this.#made;
    // They are the caller's now.
    this.#made = [];
    return { messages: [], output };
  }

  protected override erase(): void {
    for (const chunk of this.#chunks) chunk.erase();
    for (const { secrets } of this.#made) secrets.fill(0);
    this.#made = [];
    this.#setups.erase();
  }
}

function checkIds(ids: readonly Uint8Array[]): void {
  if (ids.length < 1 || ids.length > maxPresignatures)
    throw new Abort('item_count', `${ids.length} presignatures of one run, expected 1..${maxPresignatures}`);
  for (const [at, id] of ids.entries()) {
    if (id.length !== presignatureIdLength)
      throw new Abort('presignature_id', `a presignature's id of ${id.length} bytes, expected 32`);
    if (ids.slice(0, at).some((earlier) => equalBytes(earlier, id)))
      throw new Abort('presignature_id', 'two presignatures of one run with the same id');
  }
}
