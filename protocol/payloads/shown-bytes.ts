// Bytes and amounts as wallets show them.
import { sha256 } from '@noble/hashes/sha2.js';
import { formatUnits } from 'viem/utils';
import { fromHex, type Hex, toHex } from '../hex.ts';

/** Bytes that are shown whole. */
const mostShown = 64;

/** Bytes whole, or of longer ones the first few, their number and hash: whoever sees them elsewhere can tell that they are these. */
export function bytesShown(hex: Hex): string {
  const bytes = fromHex(hex);
  if (bytes.length <= mostShown) return hex;
  return `${hex.slice(0, 2 + 2 * 4)} and more, ${bytes.length} bytes, SHA-256 ${toHex(sha256(bytes))}`;
}

/** `1.5 SOL (1500000000 lamports)`. */
export function amountShown(amount: bigint | string, decimals: number, coin: string, unit: string): string {
  return `${formatUnits(BigInt(amount), decimals)}${coin && ` ${coin}`} (${amount} ${unit})`;
}
