// Scalars of secp256k1 to and from big-endian bytes, fast enough for the thousands that a product takes.
import { secp256k1Group as group } from '../group.ts';
import { WIDE_SCALAR_LENGTH } from './parameters.ts';

/** The order of secp256k1. */
export const order = group.order;

/** Bytes of an encoded scalar. */
export const SCALAR_LENGTH = 32;

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Consecutive 48-byte integers, not reduced. */
export function wideIntegers(bytes: Uint8Array): bigint[] {
  const words = view(bytes);
  const integers: bigint[] = [];
  for (let at = 0; at < bytes.length; at += WIDE_SCALAR_LENGTH) {
    const high = (words.getBigUint64(at) << 64n) | words.getBigUint64(at + 8);
    const middle = (words.getBigUint64(at + 16) << 64n) | words.getBigUint64(at + 24);
    const low = (words.getBigUint64(at + 32) << 64n) | words.getBigUint64(at + 40);
    integers.push((((high << 128n) | middle) << 128n) | low);
  }
  return integers;
}

/** Consecutive 32-byte integers. They are canonical scalars if all are below the order. */
export function integersOf(bytes: Uint8Array): bigint[] {
  const words = view(bytes);
  const integers: bigint[] = [];
  for (let at = 0; at < bytes.length; at += SCALAR_LENGTH)
    integers.push(
      (((((words.getBigUint64(at) << 64n) | words.getBigUint64(at + 8)) << 64n) |
        words.getBigUint64(at + 16)) <<
        64n) |
        words.getBigUint64(at + 24),
    );
  return integers;
}

/** 0 <= scalar < 2^256, one after another, 32 bytes each. */
export function encodeScalars(scalars: readonly bigint[]): Uint8Array {
  const bytes = new Uint8Array(scalars.length * SCALAR_LENGTH);
  const words = view(bytes);
  for (const [position, scalar] of scalars.entries()) {
    const at = position * SCALAR_LENGTH;
    words.setBigUint64(at, scalar >> 192n);
    words.setBigUint64(at + 8, (scalar >> 128n) & 0xffffffffffffffffn);
    words.setBigUint64(at + 16, (scalar >> 64n) & 0xffffffffffffffffn);
    words.setBigUint64(at + 24, scalar & 0xffffffffffffffffn);
  }
  return bytes;
}
