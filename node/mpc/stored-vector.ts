// What is stored of a key, decoded and held to what its key generation has made, for both schemes: a damaged or exchanged
// record is found here, and not by a bad share or signature.
import { equalBytes } from '@noble/curves/utils.js';
import { Abort } from './abort.ts';
import type { KeyShare } from './dkg/key-share.ts';
import { type Element, type Group, GroupError } from './group.ts';

/**
 * The commitment vector of a stored key: one point for each of `threshold`, the first of which is its public key. Throws
 * Abort: commitment_count, malformed_point, public_key_mismatch.
 */
export function storedVector(
  group: Group,
  { commitments, threshold, publicKey }: Pick<KeyShare, 'commitments' | 'threshold' | 'publicKey'>,
): Element[] {
  if (commitments.length !== threshold)
    throw new Abort(
      'commitment_count',
      `the stored key has ${commitments.length} commitments, threshold ${threshold}`,
    );
  const points = commitments.map((bytes) => decodeStored(() => group.decodePoint(bytes)));
  if (!equalBytes(publicKey, commitments[0]!))
    throw new Abort('public_key_mismatch', 'the stored public key is not the first commitment');
  return points;
}

/** Decodes a part of a stored key: a GroupError becomes an Abort that names nobody. */
export function decodeStored<T>(decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof GroupError)) throw error;
    throw new Abort(error.code, `stored key: ${error.message}`);
  }
}
