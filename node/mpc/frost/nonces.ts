// Signing nonces: made, kept and spent in this file only, in memory only.
//
// A nonce that signs two messages gives the signing share away. The library zeroes the object it signed with, but a copy
// would sign again; so nonces never leave here. `take` removes them from the store before anything else can run, and
// what it returns signs each item once and reveals nothing. A restart loses them; nothing can bring one back. To another
// thread they go by `release`: moved into one buffer, which is transferred and never cloned, and erased where they were.
import { bytesToHex } from '@noble/hashes/utils.js';
import { Abort } from '../abort.ts';
import type { PartyIndex, RandomBytes } from '../machine.ts';
import { freshBytes } from '../random.ts';
import type { KeyPackage, PublicKeyPackage } from './key-package.ts';

/** Public half of a nonce pair: two encoded points (32 bytes each on ed25519). */
export interface NonceCommitment {
  readonly hiding: Uint8Array;
  readonly binding: Uint8Array;
}

/** One item of a signing set: what every member's commitment is. */
export type NonceCommitments = ReadonlyMap<PartyIndex, NonceCommitment>;

interface NoncePair {
  readonly hiding: Uint8Array<ArrayBuffer>;
  readonly binding: Uint8Array<ArrayBuffer>;
}

/** Nonces on their way to the thread that signs with them. */
export interface MovedNonces {
  /** SECRET: for each item hiding and binding scalar, one after the other. The one copy: transfer its buffer. */
  readonly secrets: Uint8Array<ArrayBuffer>;
  readonly commitments: readonly NonceCommitment[];
}

/** The nonces of one attempt, one pair per item. */
export class OneTimeNonces {
  /** What was published for each item. */
  readonly commitments: readonly NonceCommitment[];
  readonly #pairs: (NoncePair | undefined)[];

  constructor(pairs: readonly NoncePair[], commitments: readonly NonceCommitment[]) {
    this.#pairs = [...pairs];
    this.commitments = commitments;
  }

  /**
   * The signature share (an encoded scalar) for one item; its pair is gone afterwards, whatever happened.
   * Throws Abort('nonces_unavailable') when used before, and the library's error when a commitment is no valid point.
   */
  sign(item: number, key: KeyPackage, commitments: NonceCommitments, message: Uint8Array): Uint8Array {
    const pair = this.#pairs[item];
    this.#pairs[item] = undefined;
    if (pair === undefined) throw new Abort('nonces_unavailable', `the nonces of item ${item} are spent`);
    try {
      const list = commitmentList(key, commitments);
      return key.suite.frost.signShare(key.secret, key.public, pair, list, message);
    } finally {
      erasePair(pair);
    }
  }

  /**
   * Moves every pair out of here: afterwards nothing can be signed with this object. Throws Abort('nonces_unavailable') when a
   * pair was spent before, and then burns the rest.
   */
  release(): MovedNonces {
    try {
      const pairs = this.#pairs.map((pair, item) => {
        if (pair === undefined) throw new Abort('nonces_unavailable', `the nonces of item ${item} are spent`);
        return pair;
      });
      const secrets = new Uint8Array(pairs.reduce((sum, pair) => sum + 2 * pair.hiding.length, 0));
      let offset = 0;
      for (const { hiding, binding } of pairs) {
        secrets.set(hiding, offset);
        secrets.set(binding, offset + hiding.length);
        offset += 2 * hiding.length;
      }
      return { secrets, commitments: this.commitments };
    } finally {
      this.destroy();
    }
  }

  /** On the other side of a `release`. The object owns the buffer from here on, and erases it as pairs are spent. */
  static receive({ secrets, commitments }: MovedNonces): OneTimeNonces {
    const length = secrets.length / (2 * commitments.length);
    const pairs = commitments.map((_, item) => {
      const start = item * 2 * length;
      return {
        hiding: secrets.subarray(start, start + length),
        binding: secrets.subarray(start + length, start + 2 * length),
      };
    });
    return new OneTimeNonces(pairs, commitments);
  }

  /** Erases whatever was not spent. */
  destroy(): void {
    for (const [item, pair] of this.#pairs.entries()) {
      if (pair !== undefined) erasePair(pair);
      this.#pairs[item] = undefined;
    }
  }
}

/** Where nonces wait between the message that commits to them and the one attempt that may use them. */
export class NonceStore {
  readonly #random: RandomBytes;
  readonly #waiting = new Map<string, OneTimeNonces>();
  readonly #boot: string;
  #count = 0;

  /** Ids begin with 16 random bytes drawn here, so that no id of an earlier process is ever taken for one of this. */
  constructor(random: RandomBytes) {
    this.#random = random;
    this.#boot = bytesToHex(freshBytes(random, 16));
  }

  /** Sets of nonces not yet taken. */
  get size(): number {
    return this.#waiting.size;
  }

  /**
   * A fresh pair for each item, made with the key that will sign it (RFC 9591 section 5.1: the nonce hashes fresh bytes
   * with the signing share, so that a weak source alone does not repeat it). Publish `commitments`, keep `id`.
   */
  commit(keys: readonly KeyPackage[]): {
    readonly id: string;
    readonly commitments: readonly NonceCommitment[];
  } {
    const random = (length = 32): Uint8Array<ArrayBuffer> =>
      Uint8Array.from(freshBytes(this.#random, length));
    const made = keys.map((key) => key.suite.frost.commit(key.secret, random));
    const commitments = made.map(({ commitments: { hiding, binding } }) => ({ hiding, binding }));
    const id = `${this.#boot}-${++this.#count}`;
    this.#waiting.set(
      id,
      new OneTimeNonces(
        made.map(({ nonces }) => nonces),
        commitments,
      ),
    );
    return { id, commitments };
  }

  /** Removes first, then returns. Throws Abort('nonces_unavailable') for an id unknown, taken or dropped. */
  take(id: string): OneTimeNonces {
    const nonces = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (nonces === undefined) throw new Abort('nonces_unavailable', `no nonces under id ${id}`);
    return nonces;
  }

  /** Burns what was committed to but will not be used. Nothing happens for an unknown id. */
  drop(id: string): void {
    this.#waiting.get(id)?.destroy();
    this.#waiting.delete(id);
  }

  /** Burns everything: before a refresh, and when the process stops. */
  clear(): void {
    for (const nonces of this.#waiting.values()) nonces.destroy();
    this.#waiting.clear();
  }
}

/** The members' commitments in the library's form. */
export function commitmentList(
  key: PublicKeyPackage,
  commitments: NonceCommitments,
): { identifier: string; hiding: Uint8Array<ArrayBuffer>; binding: Uint8Array<ArrayBuffer> }[] {
  return [...commitments].map(([index, { hiding, binding }]) => ({
    identifier: key.identifierOf(index),
    hiding: Uint8Array.from(hiding),
    binding: Uint8Array.from(binding),
  }));
}

function erasePair(pair: NoncePair): void {
  pair.hiding.fill(0);
  pair.binding.fill(0);
}
