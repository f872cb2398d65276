// Binary as it stands in records, RPC and files: lower-case 0x-hex.
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import * as z from 'zod';

export type Hex = `0x${string}`;

/** `0x` followed by two lower-case digits a byte. */
export function toHex(bytes: Uint8Array): Hex {
  return `0x${bytesToHex(bytes)}`;
}

/** Bytes of an 0x-hex string. Throws TypeError when it is not lower-case 0x-hex of whole bytes. */
export function fromHex(text: string): Uint8Array {
  if (!/^0x([0-9a-f]{2})*$/.test(text))
    throw new TypeError(`not lower-case 0x-hex of whole bytes: ${JSON.stringify(text.slice(0, 20))}`);
  return hexToBytes(text.slice(2));
}

/** A schema for 0x-hex of `min`..`max` bytes. */
export function hexBytes(min: number, max = min): z.ZodType<Hex, Hex> {
  const size = min === max ? `{${min * 2}}` : `{${min * 2},${max * 2}}`;
  return z
    .string()
    .max(2 + max * 2)
    .regex(
      new RegExp(`^0x[0-9a-f]${size}$`),
      `expected lower-case 0x-hex of ${min === max ? min : `${min} to ${max}`} bytes`,
    )
    .refine((text) => text.length % 2 === 0, 'expected whole bytes') as unknown as z.ZodType<Hex, Hex>;
}
