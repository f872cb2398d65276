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

/**
 * A function that writes SHAKE256 of an already written preimage, `length` bytes, into `target` from `at`. For many short
 * outputs: the digest comes as a string of one character a byte and not as a buffer of its own, which halves the time of a
 * call.
 */
export function squeezer(length: number): (written: Uint8Array, target: Buffer, at: number) => void {
  const options = { outputLength: length };
  return (written, target, at) => {
    target.write(createHash('shake256', options).update(written).digest('binary'), at, length, 'binary');
  };
}

/** SHAKE256 of the tagged, length-prefixed parts: `length` bytes. */
export function xof(tag: Tag, length: number, ...parts: readonly Uint8Array[]): Uint8Array {
  return createHash('shake256', { outputLength: length })
    .update(preimage(tag, ...parts))
    .digest();
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
