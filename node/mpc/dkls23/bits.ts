// Bits in typed arrays. Bit n of a byte string is bit n % 8 of byte n / 8.

/** 0 or 1. */
export function bitAt(bytes: Uint8Array, position: number): number {
  return (bytes[position >>> 3]! >>> (position & 7)) & 1;
}

/**
 * The transpose of a matrix of bits: `height` rows of `width` bits become `width` rows of `height` bits. Both are multiples
 * of 8. Blocks of 8 by 8 in two words each (Warren, Hacker's Delight, section 7-3).
 */
export function transpose(matrix: Uint8Array, height: number, width: number): Uint8Array {
  const from = width >>> 3;
  const to = height >>> 3;
  const result = new Uint8Array(matrix.length);
  for (let top = 0; top < to; top++)
    for (let left = 0; left < from; left++) {
      const at = top * 8 * from + left;
      // Rows 0..3 in one word and 4..7 in the other, row 0 lowest.
      let low =
        matrix[at]! |
        (matrix[at + from]! << 8) |
        (matrix[at + 2 * from]! << 16) |
        (matrix[at + 3 * from]! << 24);
      let high =
        matrix[at + 4 * from]! |
        (matrix[at + 5 * from]! << 8) |
        (matrix[at + 6 * from]! << 16) |
        (matrix[at + 7 * from]! << 24);
      let swap = (low ^ (low >>> 7)) & 0x00aa00aa;
      low ^= swap ^ (swap << 7);
      swap = (high ^ (high >>> 7)) & 0x00aa00aa;
      high ^= swap ^ (swap << 7);
      swap = (low ^ (low >>> 14)) & 0x0000cccc;
      low ^= swap ^ (swap << 14);
      swap = (high ^ (high >>> 14)) & 0x0000cccc;
      high ^= swap ^ (swap << 14);
      swap = ((low >>> 4) ^ high) & 0x0f0f0f0f;
      high ^= swap;
      low ^= swap << 4;
      const target = left * 8 * to + top;
      for (let row = 0; row < 4; row++) {
        result[target + row * to] = low >>> (8 * row);
        result[target + (row + 4) * to] = high >>> (8 * row);
      }
    }
  return result;
}
