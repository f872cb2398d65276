// ES256 signatures, which passkeys make: ECDSA on P-256 with SHA-256 (RFC 7518, 3.4). By node:crypto, which is about forty
// times faster than JavaScript; in a browser, p256.browser.ts stands in its place (package.json, `browser`): it exports the
// same, and accepts the same. Native code is given r || s, never DER, of which implementations accept different things.
import { createPublicKey, type KeyObject, verify as nativeVerify } from 'node:crypto';
import { compactOf, publicKeyLength } from './p256-rules.ts';

export { checkPublicKey, maxDerLength, publicKeyOfInfo } from './p256-rules.ts';

/** DER before a compressed public key of P-256 (RFC 5480, 2). */
const publicKeyPrefix = Buffer.from('3039301306072a8648ce3d020106082a8648ce3d030107032200', 'hex');

function parsed(publicKey: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([publicKeyPrefix, publicKey]), format: 'der', type: 'spki' });
}

/**
 * Whether a DER signature (at most 72 bytes) of `message` is valid under a compressed public key (33 bytes). False for any
 * other encoding and for bytes that are no point. Never throws.
 */
export function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const compact = compactOf(signature);
  if (compact === undefined || publicKey.length !== publicKeyLength) return false;
  try {
    return nativeVerify('sha256', message, { key: parsed(publicKey), dsaEncoding: 'ieee-p1363' }, compact);
  } catch {
    return false; // What the native code will not even parse does not verify.
  }
}
