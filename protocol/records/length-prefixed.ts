// Lists of byte strings as one byte string, in one encoding: each part after its length (u32, big endian).
import { concatBytes } from '@noble/hashes/utils.js';

const lengthBytes = 4;

/** The parts one after the other, each after its length (u32, big endian): a list of byte strings has one encoding. */
export function lengthPrefixed(...parts: readonly Uint8Array[]): Uint8Array {
  return concatBytes(
    ...parts.flatMap((part) => {
      const length = new Uint8Array(lengthBytes);
      new DataView(length.buffer).setUint32(0, part.length);
      return [length, part];
    }),
  );
}

/** The parts of `lengthPrefixed`; undefined when the bytes are no such list, or anything is left over. */
export function splitLengthPrefixed(bytes: Uint8Array): readonly Uint8Array[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    if (at + lengthBytes > bytes.length) return undefined;
    const start = at + lengthBytes;
    at = start + view.getUint32(at);
    if (at > bytes.length) return undefined;
    parts.push(bytes.subarray(start, at));
  }
  return parts;
}
