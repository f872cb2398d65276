// Evidence that was handed in before, byte for byte: found by its hash, before any signature in it is verified again. Of
// each source a bounded number, so that none can make this node forget what another one sent.
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { BoundedMap } from './bounded-map.ts';
import type { Job } from './job.ts';

/** Of each source. */
const maxRemembered = 256;
/** After this long it is judged anew in any case, in milliseconds. */
const maxAge = 60_000;

interface Seen<Failure> {
  readonly at: number;
  /** The open request it was merged into: with another one, or none, it is news. Held weakly: requests end. */
  readonly job: WeakRef<Job> | undefined;
  /** What was wrong with it. */
  readonly failure: Failure | undefined;
}

export class SeenEvidence<Failure extends Error> {
  readonly #bySource = new Map<string, BoundedMap<string, Seen<Failure>>>();

  /** Hex of the SHA-256 of the evidence as it came. */
  digest(bytes: Uint8Array): string {
    return bytesToHex(sha256(bytes));
  }

  /** What became of these bytes when they came last from this source, while that cannot have changed. */
  find(source: string, digest: string, job: Job | undefined, now: number): Seen<Failure> | undefined {
    const seen = this.#bySource.get(source)?.get(digest);
    if (seen === undefined || now < seen.at || now >= seen.at + maxAge) return undefined;
    const sameJob =
      seen.job === undefined ? job === undefined : job !== undefined && seen.job.deref() === job;
    return sameJob ? seen : undefined;
  }

  /** `source`: a party of the roster or the connector. */
  remember(source: string, digest: string, job: Job | undefined, at: number, failure?: Failure): void {
    const seen = { at, job: job && new WeakRef(job), failure };
    const held = this.#bySource.get(source) ?? new BoundedMap<string, Seen<Failure>>(maxRemembered);
    held.set(digest, seen);
    this.#bySource.set(source, held);
  }
}
