// Nonces of signed HTTP requests: each counts once. A nonce is kept for as long as some timestamp that was accepted
// with it could still be accepted: twice the tolerance.
import type { Hex } from '../../protocol/hex.ts';
import type { Credential } from '../../protocol/records/fields.ts';
import { timestampTolerance } from '../../protocol/signed-http.ts';

/** Milliseconds for which a nonce is remembered. */
export const nonceLifetime = 2 * timestampTolerance;

const sweepPause = 1000;

export class NonceMemory {
  readonly #max: number;
  /** For each credential its nonces, oldest first, with the time at which each is forgotten. */
  readonly #kept = new Map<Credential, Map<Hex, number>>();
  #size = 0;
  #nextSweep = 0;
  /** A sweep of a full memory takes as long as a hundred requests, so that not each of them may cause one. */
  #nextSweepWhenFull = 0;

  /** Keeps at most `max` nonces. */
  constructor(max: number) {
    this.#max = max;
  }

  /** Whether the nonce was remembered, and not forgotten yet. */
  has(credential: Credential, nonce: Hex): boolean {
    return this.#kept.get(credential)?.has(nonce) ?? false;
  }

  /**
   * `fresh`: the nonce was new and is now known. `replayed`: it was known. `full`: it was new, but memory is full;
   * forgetting another nonce instead would let that one be replayed.
   */
  remember(credential: Credential, nonce: Hex, now: number): 'fresh' | 'replayed' | 'full' {
    if (now >= this.#nextSweep || (this.#size >= this.#max && now >= this.#nextSweepWhenFull))
      this.#sweep(now);
    const nonces = this.#kept.get(credential);
    if (nonces?.has(nonce)) return 'replayed';
    if (this.#size >= this.#max) return 'full';
    if (nonces === undefined) this.#kept.set(credential, new Map([[nonce, now + nonceLifetime]]));
    else nonces.set(nonce, now + nonceLifetime);
    this.#size += 1;
    return 'fresh';
  }

  #sweep(now: number): void {
    for (const [credential, nonces] of this.#kept) {
      for (const [nonce, until] of nonces) {
        if (until >= now) break;
        nonces.delete(nonce);
        this.#size -= 1;
      }
      if (nonces.size === 0) this.#kept.delete(credential);
    }
    this.#nextSweep = now + nonceLifetime / 12;
    this.#nextSweepWhenFull = now + sweepPause;
  }
}
