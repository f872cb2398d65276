// The extension of oblivious transfers, its linear algebra, and everything a receiver can alter in its message.
import assert from 'node:assert/strict';
import { bitAt, transpose } from '../../node/mpc/dkls23/bits.ts';
import { EXTENSION_LENGTH, extendAsReceiver, extendAsSender } from '../../node/mpc/dkls23/extension.ts';
import { addProduct, addProducts } from '../../node/mpc/dkls23/field128.ts';
import { openPairSetup } from '../../node/mpc/dkls23/pair-secrets.ts';
import { padsOf } from '../../node/mpc/dkls23/pads.ts';
import {
  BASE_TRANSFERS,
  COLUMN_LENGTH,
  EXTENSION_ROWS,
  ROW_LENGTH,
  TRANSFER_ROWS,
} from '../../node/mpc/dkls23/parameters.ts';
import { preimage, xof } from '../../node/mpc/dkls23/xof.ts';
import { dealtSetup } from '../support/dkls23-parties.ts';
import { seedOf } from '../support/fixture.ts';
import { seededRandom } from '../support/mpc-network.ts';
import { throwsBan } from '../support/throws-ban.ts';

const alice = openPairSetup(dealtSetup(1, 2), 1);
const bob = openPairSetup(dealtSetup(2, 1), 2);
const context = seedOf('context');
const choices = seededRandom('choices')(COLUMN_LENGTH);
const honest = extendAsReceiver(bob.keyPairs, context, choices);
const xAt = BASE_TRANSFERS * COLUMN_LENGTH;
const hashedAt = xAt + ROW_LENGTH;

const rowOf = (rows: Uint8Array, row: number): Uint8Array =>
  rows.slice(row * ROW_LENGTH, (row + 1) * ROW_LENGTH);
const xor = (left: Uint8Array, right: Uint8Array): Uint8Array => left.map((byte, at) => byte ^ right[at]!);

/** The message with what `change` does to a copy. */
function altered(change: (message: Uint8Array) => void, message = honest.message): Uint8Array {
  const copy = message.slice();
  change(copy);
  return copy;
}
const flip = (bytes: Uint8Array, bit: number): void => void (bytes[bit >>> 3]! ^= 1 << (bit & 7));
/** Bit `row` of column `column` of u. */
const flipRow = (message: Uint8Array, column: number, row: number): void =>
  flip(message, column * COLUMN_LENGTH * 8 + row);
const check = (message: Uint8Array, under = context): Uint8Array => extendAsSender(alice, under, message, 2);
const columnsWith = (bit: number): number[] =>
  Array.from({ length: BASE_TRANSFERS }, (_, column) => column).filter(
    (column) => bitAt(alice.delta, column) === bit,
  );

/** Multiplication in GF(2)[x] / (x^128 + x^7 + x^2 + x + 1), as one writes it down. */
function multiply(left: bigint, right: bigint): bigint {
  let product = 0n;
  for (let bit = 0n; bit < 128n; bit++) if ((right >> bit) & 1n) product ^= left << bit;
  for (let bit = 254n; bit >= 128n; bit--)
    if ((product >> bit) & 1n) product ^= 0x100000000000000000000000000000087n << (bit - 128n);
  return product;
}
const numberOf = (bytes: Uint8Array): bigint =>
  bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);

describe('DKLs23: bits and the field', () => {
  it('transposes like moving bit by bit', () => {
    for (const [height, width] of [
      [8, 8],
      [128, 640],
      [24, 16],
    ] as const) {
      const matrix = seededRandom(`${height} ${width}`)((height * width) / 8);
      const result = transpose(matrix, height, width);
      for (let row = 0; row < height; row++)
        for (let column = 0; column < width; column++)
          assert.equal(bitAt(result, column * height + row), bitAt(matrix, row * width + column));
    }
  });

  it('multiplies all columns as the field does, and adds to what is there', () => {
    const random = seededRandom('field');
    const chi = random(ROW_LENGTH);
    const columns = random(BASE_TRANSFERS * ROW_LENGTH);
    const before = random(BASE_TRANSFERS * ROW_LENGTH);
    const sum = new Uint32Array(transpose(before, 128, 128).buffer);
    addProducts(sum, chi, new Uint32Array(transpose(columns, 128, 128).buffer));
    const result = transpose(new Uint8Array(sum.buffer), 128, 128);
    for (let column = 0; column < BASE_TRANSFERS; column++) {
      const product = multiply(numberOf(chi), numberOf(rowOf(columns, column)));
      assert.equal(numberOf(rowOf(result, column)), product ^ numberOf(rowOf(before, column)));
      const one = rowOf(before, column);
      addProduct(one, chi, rowOf(columns, column));
      assert.deepEqual(one, rowOf(result, column));
    }
  });
});

describe('DKLs23: extension', () => {
  it('gives rows that differ by Delta exactly where Bob chose 1', () => {
    const rows = check(honest.message);
    assert.equal(honest.message.length, EXTENSION_LENGTH);
    for (let row = 0; row < EXTENSION_ROWS; row++) {
      const expected =
        bitAt(choices, row) === 1 ? xor(rowOf(honest.rows, row), alice.delta) : rowOf(honest.rows, row);
      assert.deepEqual(rowOf(rows, row), expected);
    }
  });

  it('gives pads of which Bob knows one and not the other', () => {
    const rows = check(honest.message);
    const own = padsOf(context, honest.rows.subarray(0, TRANSFER_ROWS * ROW_LENGTH));
    const zero = padsOf(context, rows.subarray(0, TRANSFER_ROWS * ROW_LENGTH));
    for (const [at, pad] of own.entries())
      assert.equal(pad === zero[at], bitAt(choices, Math.floor(at / 3)) === 0);
  });

  it('pads of equal rows differ by position and by product', () => {
    const rows = new Uint8Array(2 * ROW_LENGTH);
    const pads = [...padsOf(context, rows), ...padsOf(seedOf('another'), rows)];
    assert.equal(new Set(pads).size, 12);
  });

  it('refuses every row of u that one column of a 1 of Delta contradicts', () => {
    const columns = columnsWith(1);
    for (let row = 0; row < EXTENSION_ROWS; row++) {
      const message = altered((bytes) => flipRow(bytes, columns[row % columns.length]!, row));
      assert.throws(() => check(message), throwsBan('transfer_check', 2));
    }
  });

  it('one altered column passes exactly where Delta is 0: a try is a bit, so a failure is a ban', () => {
    const learnt = new Uint8Array(ROW_LENGTH);
    for (let column = 0; column < BASE_TRANSFERS; column++) {
      // The receiver knows what the rows of this column add to the hash, if it guesses that they add nothing.
      const forged = forge(column);
      try {
        check(forged);
      } catch (error) {
        throwsBan('transfer_check', 2)(error);
        flip(learnt, column);
      }
    }
    assert.deepEqual(learnt, Uint8Array.from(alice.delta));
  });

  it('refuses x with any bit altered', () => {
    for (let bit = 0; bit < BASE_TRANSFERS; bit++)
      assert.throws(
        () => check(altered((bytes) => flip(bytes, xAt * 8 + bit))),
        throwsBan('transfer_check', 2),
      );
  });

  it('refuses the hash of the columns with any row or any column altered', () => {
    for (let row = 0; row < BASE_TRANSFERS; row++) {
      const bit = hashedAt * 8 + row * BASE_TRANSFERS + ((row * 37) % BASE_TRANSFERS);
      assert.throws(() => check(altered((bytes) => flip(bytes, bit))), throwsBan('transfer_check', 2));
    }
  });

  it('refuses the message of another product', () => {
    assert.throws(() => check(honest.message, seedOf('another product')), throwsBan('transfer_check', 2));
  });

  it('refuses the message under another setup', () => {
    const other = openPairSetup(dealtSetup(1, 2, 'another setup'), 1);
    assert.throws(() => extendAsSender(other, context, honest.message, 2), throwsBan('transfer_check', 2));
  });

  it('challenges depend on all of u: an error that cancels under those known before u is found', () => {
    const u = honest.message.subarray(0, xAt);
    for (const known of [[context, u], [context], [context, new Uint8Array()], [u]])
      for (const block of [0, 1, 2, 3]) {
        const chi = xof('countersign/v1/dkls23/consistency', 64, ...known);
        const column = columnsWith(1)[block]!;
        const factor = numberOf(rowOf(chi, block));
        const message = altered((bytes) => {
          flipRow(bytes, column, block * BASE_TRANSFERS);
          for (let bit = 0; bit < BASE_TRANSFERS; bit++)
            if ((factor >> BigInt(bit)) & 1n) flipRow(bytes, column, TRANSFER_ROWS + bit);
        });
        assert.throws(() => check(message), throwsBan('transfer_check', 2));
      }
  });

  it('hides choices and columns behind the check rows', () => {
    const chi = xof('countersign/v1/dkls23/consistency', 64, context, honest.message.subarray(0, xAt));
    const sent = transpose(honest.message.slice(hashedAt), BASE_TRANSFERS, BASE_TRANSFERS);
    const columns = transpose(honest.rows, EXTENSION_ROWS, BASE_TRANSFERS);
    const mask = (shown: Uint8Array, hidden: Uint8Array): Uint8Array => {
      const sum = shown.slice();
      for (const block of [0, 1, 2, 3]) addProduct(sum, rowOf(chi, block), rowOf(hidden, block));
      return sum;
    };
    assert.deepEqual(mask(honest.message.slice(xAt, hashedAt), choices), rowOf(choices, 4));
    for (let each = 0; each < BASE_TRANSFERS; each++) {
      const column = columns.slice(each * COLUMN_LENGTH, (each + 1) * COLUMN_LENGTH);
      assert.deepEqual(mask(rowOf(sent, each), column), rowOf(column, 4));
    }
  });

  it('one base key gives another stream for every product and column', () => {
    const again = extendAsReceiver(bob.keyPairs, seedOf('again'), choices);
    assert.notDeepEqual(again.rows, honest.rows);
    const equalKeys = new Uint8Array(bob.keyPairs.length);
    const columns = transpose(
      extendAsReceiver(equalKeys, context, choices).rows,
      EXTENSION_ROWS,
      BASE_TRANSFERS,
    );
    const distinct = Array.from({ length: BASE_TRANSFERS }, (_, column) =>
      Buffer.from(columns.subarray(column * COLUMN_LENGTH, (column + 1) * COLUMN_LENGTH)).toString('hex'),
    );
    assert.equal(new Set(distinct).size, BASE_TRANSFERS);
  });

  it('hashes no two lists of parts alike', () => {
    const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
    const tag = 'countersign/v1/test';
    assert.notDeepEqual(preimage(tag, bytes('a'), bytes('bc')), preimage(tag, bytes('ab'), bytes('c')));
    assert.notDeepEqual(xof(tag, 32, bytes('a'), bytes('bc')), xof(tag, 32, bytes('ab'), bytes('c')));
    assert.notDeepEqual(xof(tag, 32, bytes('abc')), xof(tag, 32, bytes('abc'), new Uint8Array()));
    assert.notDeepEqual(xof(`${tag}/a`, 32, bytes('bc')), xof(`${tag}/ab`, 32, bytes('c')));
  });
});

/**
 * A receiver's best cheat: row 0 of one column says the opposite, and x and T are as an honest receiver computes them for
 * the message as it is sent. It passes if that bit of Delta is 0.
 */
function forge(column: number): Uint8Array {
  const message = altered((bytes) => flipRow(bytes, column, 0));
  const chi = xof('countersign/v1/dkls23/consistency', 64, context, message.subarray(0, xAt));
  const factors = [0, 1, 2, 3].map((block) => chi.subarray(block * ROW_LENGTH, (block + 1) * ROW_LENGTH));
  const x = choices.slice(4 * ROW_LENGTH);
  const rows = new Uint32Array(honest.rows.slice().buffer);
  const hashed = rows.slice(4 * 512);
  for (const [block, factor] of factors.entries()) {
    addProduct(x, factor, rowOf(choices, block));
    addProducts(hashed, factor, rows.subarray(block * 512, (block + 1) * 512));
  }
  message.set(x, xAt);
  message.set(new Uint8Array(hashed.buffer), hashedAt);
  return message;
}
