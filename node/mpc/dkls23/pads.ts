// From correlated rows to one-time pads of three scalars: the random oracle of the extension (ePrint 2022/192).
// pad_j = XOF(context, j, row), 3 * 48 bytes, read as big-endian integers and reduced where they enter a sum: the products of
// a sum are added first.
//
// A product takes 1248 of these calls, so the preimage is written once, and only j and the row change.
import type { Tag } from '../hash.ts';
import { uint16 } from '../hash.ts';
import { PAD_SCALARS, ROW_LENGTH, WIDE_SCALAR_LENGTH } from './parameters.ts';
import { wideIntegers } from './scalars.ts';
import { preimage, squeezer } from './xof.ts';

/** Bytes of a pad. */
export const PAD_LENGTH = PAD_SCALARS * WIDE_SCALAR_LENGTH;

const padTag: Tag = 'countersign/v1/dkls23/pad';
const squeezePad = squeezer(PAD_LENGTH);

/** The pads of consecutive rows (16 bytes each) of one product, from j = 0: 3 integers of 48 bytes a row, not reduced. */
export function padsOf(context: Uint8Array, rows: Uint8Array): bigint[] {
  const count = rows.length / ROW_LENGTH;
  const written = preimage(padTag, context, uint16(0), new Uint8Array(ROW_LENGTH));
  const rowAt = written.length - ROW_LENGTH;
  const positionAt = rowAt - 4 - 2;
  const pads = Buffer.alloc(count * PAD_LENGTH);
  for (let position = 0; position < count; position++) {
    written[positionAt] = position >>> 8;
    written[positionAt + 1] = position;
    for (let byte = 0; byte < ROW_LENGTH; byte++) written[rowAt + byte] = rows[position * ROW_LENGTH + byte]!;
    squeezePad(written, pads, position * PAD_LENGTH);
  }
  const integers = wideIntegers(pads);
  pads.fill(0);
  written.fill(0);
  return integers;
}
