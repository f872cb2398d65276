// Bytes sealed with XChaCha20-Poly1305 under a key of the node's, bound to what they are for.
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import * as z from 'zod';
import { fromHex, hexBytes, toHex } from '../../protocol/hex.ts';
import { encodeCanonical } from '../../protocol/records/canonical.ts';
import type { RandomBytes } from '../mpc/machine.ts';

const nonceLength = 24;

/** Ciphertext with its nonce. */
export const sealedBytesSchema = z.strictObject({
  nonce: hexBytes(nonceLength),
  ciphertext: z.string().regex(/^0x([0-9a-f]{2}){16,}$/),
});
export type SealedBytes = z.infer<typeof sealedBytesSchema>;

/** `key`: 32 bytes. `context`: opens with the same one only. */
export function sealBytes(
  key: Uint8Array,
  plaintext: Uint8Array,
  context: object,
  random: RandomBytes,
): SealedBytes {
  const nonce = random(nonceLength);
  const ciphertext = xchacha20poly1305(key, nonce, encodeCanonical(context)).encrypt(plaintext);
  return { nonce: toHex(nonce), ciphertext: toHex(ciphertext) };
}

/** Throws when it was sealed under another key or for another context, or was changed. */
export function openBytes(key: Uint8Array, { nonce, ciphertext }: SealedBytes, context: object): Uint8Array {
  return xchacha20poly1305(key, fromHex(nonce), encodeCanonical(context)).decrypt(fromHex(ciphertext));
}
