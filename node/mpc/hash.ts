// Domain-separated hashing for every protocol here.
//
// preimage = len(tag) || tag || len(part_1) || part_1 || ... with 32-bit big-endian lengths: a list of byte strings has
// one encoding only, so ("a", "bc") and ("ab", "c") never meet. SHA-256 for digests, SHA-512 where a scalar is derived
// (512 bits reduced modulo a 256-bit order leave a bias below 2^-250). Both native.
import { createHash } from 'node:crypto';
import type { Group } from './group.ts';

/** Tags are versioned: a change to any preimage takes a new tag. */
export type Tag = `countersign/v1/${string}`;

const encoder = new TextEncoder();

/** Unsigned 16-bit big-endian, 2 bytes. */
export function uint16(value: number): Uint8Array {
  const bytes = new Uint8Array(2);
  new DataView(bytes.buffer).setUint16(0, value);
  return bytes;
}

/** Unsigned 32-bit big-endian, 4 bytes. */
export function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

/** UTF-8 bytes of a text, for use as a part. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

function digest(algorithm: 'sha256' | 'sha512', tag: Tag, parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash(algorithm);
  for (const part of [utf8(tag), ...parts]) hash.update(uint32(part.length)).update(part);
  return new Uint8Array(hash.digest());
}

/** SHA-256 of the tagged, length-prefixed parts: 32 bytes. */
export function taggedHash(tag: Tag, ...parts: readonly Uint8Array[]): Uint8Array {
  return digest('sha256', tag, parts);
}

/** SHA-512 of the tagged, length-prefixed parts, reduced modulo the group's order. */
export function hashToScalar(group: Group, tag: Tag, ...parts: readonly Uint8Array[]): bigint {
  return group.reduceScalar(digest('sha512', tag, parts));
}
