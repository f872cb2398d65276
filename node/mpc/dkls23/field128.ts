// Linear maps over GF(2^128), for the consistency check of the extension.
//
// The field is GF(2)[x] / (x^128 + x^7 + x^2 + x + 1). An element is 16 bytes: the coefficient of x^r is bit r % 8 of byte
// r / 8. Multiplication by a public element chi is a linear map of bits, so it is done for 128 elements at once, standing
// side by side as columns of a matrix of 128 rows: row m of the product is the sum of those rows k for which chi * x^k has
// the coefficient of x^m. No branch and no memory access depends on the elements, and no tables are needed.
import { bitAt } from './bits.ts';
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

/** sum += chi * element, all of 16 bytes. */
export function addProduct(sum: Uint8Array, chi: Uint8Array, element: Uint8Array): void {
  const power = wordsOf(chi);
  const product = new Uint32Array(WORDS);
  for (let bit = 0; bit < BASE_TRANSFERS; bit++) {
    const mask = -bitAt(element, bit);
    for (let word = 0; word < WORDS; word++) product[word]! ^= power[word]! & mask;
    double(power);
  }
  for (let byte = 0; byte < ROW_LENGTH; byte++) sum[byte]! ^= product[byte >>> 2]! >>> (8 * (byte & 3));
  product.fill(0);
}

/** sum += chi * element, for the 128 elements that are the columns of `rows`. Both matrices: 128 rows of four words. */
export function addProducts(sum: Uint32Array, chi: Uint8Array, rows: Uint32Array): void {
  const power = wordsOf(chi);
  for (let from = 0; from < BASE_TRANSFERS; from++) {
    const at = from * WORDS;
    const [first, second, third, fourth] = [rows[at]!, rows[at + 1]!, rows[at + 2]!, rows[at + 3]!];
    for (let to = 0; to < BASE_TRANSFERS; to++) {
      // A mask costs less than a branch that is mispredicted half of the time.
      const mask = -((power[to >>> 5]! >>> (to & 31)) & 1);
      const target = to * WORDS;
      sum[target]! ^= first & mask;
      sum[target + 1]! ^= second & mask;
      sum[target + 2]! ^= third & mask;
      sum[target + 3]! ^= fourth & mask;
    }
    double(power);
  }
}
