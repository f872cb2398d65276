// SHAKE256 (FIPS 202) for everything here that is longer than a digest: columns, pads, the gadget, challenges.
//
// Preimages are written as in ../hash.ts: each part, the tag first, behind its 32-bit length. Native: one call costs
// about 3 microseconds once warm, which is less than any construction in JavaScript.
import { createHash } from 'node:crypto';
import { concatBytes } from '@noble/hashes/utils.js';
import { secp256k1Group as group } from '../group.ts';
import type { Tag } from '../hash.ts';
import { uint32, utf8 } from '../hash.ts';
import { WIDE_SCALAR_LENGTH } from './parameters.ts';

/** len(tag) || tag || len(part) || part || ... */
export function preimage(tag: Tag, ...parts: readonly Uint8Array[]): Uint8Array {
  return concatBytes(...[utf8(tag), ...parts].flatMap((part) => [uint32(part.length), part]));
}

/** SHAKE256 of a preimage that was written before: `length` bytes. */
export function squeeze(written: Uint8Array, length: number): Uint8Array {
  return createHash('shake256', { outputLength: length }).update(written).digest();
}

/** SHAKE256 of the tagged, length-prefixed parts: `length` bytes. */
export function xof(tag: Tag, length: number, ...parts: readonly Uint8Array[]): Uint8Array {
  return squeeze(preimage(tag, ...parts), length);
}

/** `count` scalars of secp256k1, 48 bytes reduced each. */
export function xofScalars(tag: Tag, count: number, ...parts: readonly Uint8Array[]): bigint[] {
  const bytes = xof(tag, count * WIDE_SCALAR_LENGTH, ...parts);
  const scalars = Array.from({ length: count }, (_, at) =>
    group.reduceScalar(bytes.subarray(at * WIDE_SCALAR_LENGTH, (at + 1) * WIDE_SCALAR_LENGTH)),
  );
  bytes.fill(0);
  return scalars;
}
