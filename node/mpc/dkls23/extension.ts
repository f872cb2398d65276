// Oblivious-transfer extension: from 128 base keys to 640 correlated rows for one product.
//
// SoftSpoken (ePrint 2022/192) with k = 1, which is IKNP's extension made secure against a malicious receiver by a
// consistency check. With t_i, u_i, beta columns of 640 bits, i = 0..127:
//
//   receiver (Bob)    holds k_i0, k_i1;  t_i = PRG(k_i0),  u_i = PRG(k_i0) + PRG(k_i1) + beta;  sends u
//   sender (Alice)    holds Delta and k_i,Delta_i;  q_i = PRG(k_i,Delta_i) + Delta_i u_i = t_i + Delta_i beta
//   transposed        q_j = t_j + beta_j Delta: what Bob knows of the two of Alice's values q_j and q_j + Delta
//
// PRG(k) is SHAKE256 over the product's context, i and the key: one base key serves any number of products, with a stream
// of its own for each.
//
// Consistency check (ePrint 2022/192, section 4): a universal hash of the columns over GF(2^128), not the
// sum of rows of KOS15 (ePrint 2015/546), whose proof has a gap, described there. A column is 4 blocks of
// 128 rows and one block of check rows; chi_0..chi_3 are hashed from the context and all of u (Fiat-Shamir):
//
//   Bob sends   x = sum chi_b beta_b + beta_check,   and for each column  T_i = sum chi_b t_i,b + t_i,check
//   Alice       compares, for each column, sum chi_b q_i,b + q_i,check  with  T_i + Delta_i x
//
// The check block is random and used once, so x and T say nothing of the rest. The matrix T travels transposed, like
// everything after the first step: 128 rows of 128 bits. A receiver whose columns disagree about beta passes only if it has
// guessed the bits of Delta of those that differ: each try that fails tells it something, so a failure is a ban.
import { Abort } from '../abort.ts';
import type { Tag } from '../hash.ts';
import { uint16 } from '../hash.ts';
import type { PartyIndex } from '../machine.ts';
import { bitAt, transpose } from './bits.ts';
import { addProduct, addProducts } from './field128.ts';
import {
  BASE_KEY_LENGTH,
  BASE_TRANSFERS,
  COLUMN_LENGTH,
  EXTENSION_ROWS,
  ROW_LENGTH,
  TRANSFER_ROWS,
} from './parameters.ts';
import { preimage, squeezer, xof } from './xof.ts';

const COLUMNS_LENGTH = BASE_TRANSFERS * COLUMN_LENGTH;
const CHECK_LENGTH = BASE_TRANSFERS * ROW_LENGTH;
const BLOCKS = TRANSFER_ROWS / BASE_TRANSFERS;

/** Bytes of what the receiver sends: u (128 columns of 80 bytes) || x (16 bytes) || T (128 rows of 16 bytes). */
export const EXTENSION_LENGTH = COLUMNS_LENGTH + ROW_LENGTH + CHECK_LENGTH;

const columnTag: Tag = 'countersign/v1/dkls23/column';

const squeezeColumn = squeezer(COLUMN_LENGTH);

/** Writes a column's pseudorandom bits into a matrix of columns. */
type ColumnStream = (key: Uint8Array, column: number, target: Buffer) => void;

/** XOF(key, context, i), 80 bytes a column. One preimage is rewritten for all columns of a product. */
function columnStream(context: Uint8Array): ColumnStream {
  const written = preimage(columnTag, context, uint16(0), new Uint8Array(BASE_KEY_LENGTH));
  const keyAt = written.length - BASE_KEY_LENGTH;
  const columnAt = keyAt - 4 - 2;
  return (key, column, target) => {
    written.set(key, keyAt);
    written[columnAt] = column >>> 8;
    written[columnAt + 1] = column;
    squeezeColumn(written, target, column * COLUMN_LENGTH);
    written.fill(0, keyAt);
  };
}

/** chi_0..chi_3 of the check. */
function challenges(context: Uint8Array, columns: Uint8Array): Uint8Array[] {
  const bytes = xof('countersign/v1/dkls23/consistency', BLOCKS * ROW_LENGTH, context, columns);
  return Array.from({ length: BLOCKS }, (_, block) =>
    bytes.subarray(block * ROW_LENGTH, (block + 1) * ROW_LENGTH),
  );
}

/** sum chi_b * beta_b + beta_check: 16 bytes. */
function hashOfChoices(chi: readonly Uint8Array[], choices: Uint8Array): Uint8Array {
  const sum = choices.slice(BLOCKS * ROW_LENGTH);
  for (const [block, factor] of chi.entries())
    addProduct(sum, factor, choices.subarray(block * ROW_LENGTH, (block + 1) * ROW_LENGTH));
  return sum;
}

/** sum chi_b * t_i,b + t_i,check for every column i of 640 rows: 128 rows of 16 bytes. */
function hashOfColumns(chi: readonly Uint8Array[], rows: Uint8Array): Uint8Array {
  const words = new Uint32Array(rows.buffer, rows.byteOffset, rows.length / 4);
  const block = CHECK_LENGTH / 4;
  const sum = words.slice(BLOCKS * block);
  for (const [number, factor] of chi.entries())
    addProducts(sum, factor, words.subarray(number * block, (number + 1) * block));
  return new Uint8Array(sum.buffer);
}

/** What the receiver keeps, and what it sends. */
export interface Extended {
  /** EXTENSION_LENGTH bytes for the sender. */
  readonly message: Uint8Array;
  /** SECRET. t_j: 640 rows of 16 bytes. */
  readonly rows: Uint8Array;
}

/**
 * The receiver's side. `keyPairs`: 128 times k_i0 || k_i1, 32 bytes each; `context`: 32 bytes, never used before with these
 * keys; `choices`: 80 random bytes, beta.
 */
export function extendAsReceiver(keyPairs: Uint8Array, context: Uint8Array, choices: Uint8Array): Extended {
  const stream = columnStream(context);
  const message = new Uint8Array(EXTENSION_LENGTH);
  const columns = message.subarray(0, COLUMNS_LENGTH);
  const zero = Buffer.alloc(COLUMNS_LENGTH);
  const one = Buffer.alloc(COLUMNS_LENGTH);
  for (let column = 0; column < BASE_TRANSFERS; column++) {
    const pair = column * 2 * BASE_KEY_LENGTH;
    stream(keyPairs.subarray(pair, pair + BASE_KEY_LENGTH), column, zero);
    stream(keyPairs.subarray(pair + BASE_KEY_LENGTH, pair + 2 * BASE_KEY_LENGTH), column, one);
    const at = column * COLUMN_LENGTH;
    for (let byte = 0; byte < COLUMN_LENGTH; byte++)
      columns[at + byte] = zero[at + byte]! ^ one[at + byte]! ^ choices[byte]!;
  }
  const rows = transpose(zero, BASE_TRANSFERS, EXTENSION_ROWS);
  zero.fill(0);
  one.fill(0);
  const chi = challenges(context, columns);
  message.set(hashOfChoices(chi, choices), COLUMNS_LENGTH);
  message.set(hashOfColumns(chi, rows), COLUMNS_LENGTH + ROW_LENGTH);
  return { message, rows };
}

/** The sender's secrets: Delta (16 bytes) and the 128 keys that it chose (32 bytes each). */
export interface SenderKeys {
  readonly delta: Uint8Array;
  readonly chosenKeys: Uint8Array;
}

/**
 * The sender's side: q_j, 640 rows of 16 bytes, SECRET. All of the check is computed before anything is compared, and one
 * bit comes out of it. `message` has EXTENSION_LENGTH bytes. Throws Abort('transfer_check') with culprit and ban.
 */
export function extendAsSender(
  keys: SenderKeys,
  context: Uint8Array,
  message: Uint8Array,
  receiver: PartyIndex,
): Uint8Array {
  const { delta, chosenKeys } = keys;
  const stream = columnStream(context);
  const columns = message.subarray(0, COLUMNS_LENGTH);
  const own = Buffer.alloc(COLUMNS_LENGTH);
  for (let column = 0; column < BASE_TRANSFERS; column++) {
    stream(chosenKeys.subarray(column * BASE_KEY_LENGTH, (column + 1) * BASE_KEY_LENGTH), column, own);
    const mask = -bitAt(delta, column);
    for (let byte = column * COLUMN_LENGTH; byte < (column + 1) * COLUMN_LENGTH; byte++)
      own[byte]! ^= columns[byte]! & mask;
  }
  const rows = transpose(own, BASE_TRANSFERS, EXTENSION_ROWS);
  own.fill(0);
  const hashed = hashOfColumns(challenges(context, columns), rows);
  const x = message.subarray(COLUMNS_LENGTH, COLUMNS_LENGTH + ROW_LENGTH);
  const claimed = message.subarray(COLUMNS_LENGTH + ROW_LENGTH);
  let difference = 0;
  for (let row = 0; row < BASE_TRANSFERS; row++) {
    const mask = -bitAt(x, row);
    for (let byte = 0; byte < ROW_LENGTH; byte++) {
      const at = row * ROW_LENGTH + byte;
      difference |= hashed[at]! ^ claimed[at]! ^ (delta[byte]! & mask);
    }
  }
  hashed.fill(0);
  if (difference === 0) return rows;
  rows.fill(0);
  throw new Abort('transfer_check', `party ${receiver} failed the consistency check of a transfer`, {
    culprit: receiver,
    ban: true,
  });
}
