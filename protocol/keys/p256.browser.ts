// ES256 where there is no node:crypto: exports what p256.ts does, and accepts what it does.
import { p256 } from '@noble/curves/nist.js';
import { compactOf, publicKeyLength } from './p256-rules.ts';

export { checkPublicKey, maxDerLength, publicKeyOfInfo } from './p256-rules.ts';

/**
 * Whether a DER signature (at most 72 bytes) of `message` is valid under a compressed public key (33 bytes). False for any
 * other encoding and for bytes that are no point. Never throws.
 */
export function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const compact = compactOf(signature);
  if (compact === undefined || publicKey.length !== publicKeyLength) return false;
  try {
    return p256.verify(compact, message, publicKey, { lowS: false, format: 'compact' });
  } catch {
    return false;
  }
}
