// Linear maps over GF(2^128), for the consistency check of the extension.
//
// The field is GF(2)[x] / (x^128 + x^7 + x^2 + x + 1). An element is 16 bytes: the coefficient of x^r is bit r % 8 of byte
// r / 8. Multiplication by a public element chi is a linear map of bits, so it is done for 128 elements at once, standing
// side by side as columns of a matrix of 128 rows: row m of the product is the sum of those rows k for which chi * x^k has
// the coefficient of x^m. Only chi, which is public, decides what is added: time and memory accesses tell nothing of the
// elements. No tables are needed.
import { BASE_TRANSFERS, ROW_LENGTH } from './parameters.ts';

/** 32-bit words of an element, and of a row. */
const WORDS = ROW_LENGTH / 4;

/** Multiplies by x, in place. Words are little endian. */
function double(element: Uint32Array): void {
  const overflow = element[WORDS - 1]! >>> 31;
  for (let word = WORDS - 1; word > 0; word--)
    element[word] = (element[word]! << 1) | (element[word - 1]! >>> 31);
  // x^128 = x^7 + x^2 + x + 1
  element[0] = (element[0]! << 1) ^ (0x87 & -overflow);
}

/** The four words of 16 bytes. */
function wordsOf(bytes: Uint8Array): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, ROW_LENGTH);
  return Uint32Array.from({ length: WORDS }, (_, word) => view.getUint32(word * 4, true));
}

/**
 * sum += chi * element, for the elements that are the columns of `rows`.
 * chi: 16 bytes. `sum` and `rows`: 128 rows of `width` words each.
 */
export function addMultiple(sum: Uint32Array, chi: Uint8Array, rows: Uint32Array, width: number): void {
  const power = wordsOf(chi);
  for (let from = 0; from < BASE_TRANSFERS; from++) {
    for (let to = 0; to < BASE_TRANSFERS; to++) {
      if (((power[to >>> 5]! >>> (to & 31)) & 1) === 0) continue;
      for (let word = 0; word < width; word++) sum[to * width + word]! ^= rows[from * width + word]!;
    }
    double(power);
  }
}
