// From correlated rows to one-time pads of three scalars: the random oracle of the extension (ePrint 2023/765, section 4.2;
// ePrint 2022/192, section 5). pad_j = XOF(context, j, row), 3 * 48 bytes, read as big-endian integers and reduced where
// they enter a sum: the products of a sum are added first.
//
// A product takes 1248 of these calls, so the preimage is written once, and only j and the row change.
import type { Tag } from '../hash.ts';
import { uint16 } from '../hash.ts';
import { PAD_SCALARS, ROW_LENGTH, WIDE_SCALAR_LENGTH } from './parameters.ts';
import { preimage, squeeze } from './xof.ts';

/** Bytes of a pad. */
export const PAD_LENGTH = PAD_SCALARS * WIDE_SCALAR_LENGTH;

const padTag: Tag = 'countersign/v1/dkls23/pad';

/** A function from j and its row (16 bytes) to its pad (144 bytes), for one product. */
export function padsOf(context: Uint8Array): (position: number, row: Uint8Array) => Uint8Array {
  const written = preimage(padTag, context, uint16(0), new Uint8Array(ROW_LENGTH));
  const rowAt = written.length - ROW_LENGTH;
  const positionAt = rowAt - 4 - 2;
  return (position, row) => {
    written[positionAt] = position >>> 8;
    written[positionAt + 1] = position;
    written.set(row, rowAt);
    return squeeze(written, PAD_LENGTH);
  };
}
