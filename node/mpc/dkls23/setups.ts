// The pair setups of one run: one with each other member, opened once, erased at the end.
import { equalBytes } from '@noble/curves/utils.js';
import { Abort } from '../abort.ts';
import type { PartyIndex } from '../machine.ts';
import { type OpenedPairSetup, openPairSetup, type PairSetup, zeroShare } from './pair-secrets.ts';

/** Bytes of a pair setup's id. */
export const setupIdLength = 32;

export class Setups {
  readonly #given: ReadonlyMap<PartyIndex, PairSetup>;
  readonly #opened = new Map<PartyIndex, OpenedPairSetup>();

  /** Owns `given` from here on, also when it throws Abort: missing_setup, stranger_in_set, and what opening throws. */
  constructor(given: ReadonlyMap<PartyIndex, PairSetup>, self: PartyIndex, members: readonly PartyIndex[]) {
    this.#given = given;
    try {
      for (const [peer, setup] of given) {
        if (setup.peer !== peer || peer === self || !members.includes(peer))
          throw new Abort(
            'stranger_in_set',
            `a pair setup with party ${setup.peer}, no other member of the set`,
          );
      }
      for (const peer of members) {
        if (peer === self) continue;
        const setup = given.get(peer);
        if (setup === undefined) throw new Abort('missing_setup', `no pair setup with party ${peer}`);
        this.#opened.set(peer, openPairSetup(setup, self));
      }
    } catch (error) {
      this.erase();
      throw error;
    }
  }

  with(peer: PartyIndex): OpenedPairSetup {
    const setup = this.#opened.get(peer);
    if (setup === undefined) throw new Abort('missing_setup', `no pair setup with party ${peer}`);
    return setup;
  }

  /** 32 bytes. */
  idWith(peer: PartyIndex): Uint8Array {
    return this.#given.get(peer)!.id;
  }

  /**
   * Nothing that depends on a setup may be checked, or made to fail, by one who has another: throws
   * Abort('setup_mismatch'), which names nobody and bans nobody, for setups are lost in honest ways.
   */
  checkId(from: PartyIndex, id: Uint8Array): void {
    if (!equalBytes(id, this.idWith(from)))
      throw new Abort(
        'setup_mismatch',
        `party ${from} has another pair setup with this party: set it up again`,
      );
  }

  /** This party's share of zero for an item: over the set they sum to zero. SECRET. */
  zeroShare(sid: Uint8Array, item: number): bigint {
    let sum = 0n;
    for (const setup of this.#opened.values()) sum += zeroShare(setup, sid, item);
    return sum;
  }

  erase(): void {
    for (const opened of this.#opened.values()) opened.erase();
    this.#opened.clear();
    for (const { secrets } of this.#given.values()) secrets.fill(0);
  }
}
