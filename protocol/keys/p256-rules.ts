// What a key and a signature of ECDSA on P-256 with SHA-256 (ES256: RFC 7518, 3.4; FIPS 186-5, 6) must be like, whatever
// code computes with them: shared by p256.ts and its browser variant, so that both accept exactly the same.
import { p256 } from '@noble/curves/nist.js';
import { equalBytes } from '@noble/curves/utils.js';
import { EcdsaKeyError } from './ecdsa.ts';

/** Bytes of a compressed public key. */
export const publicKeyLength = 33;
/** Bytes of the longest DER signature: two integers of 32 bytes, each after a zero byte. */
export const maxDerLength = 72;

/**
 * Accepts the 33 bytes of a compressed point: it has one encoding, and the group is of prime order.
 *
 * @throws {EcdsaKeyError} `wrong_length`, `not_on_curve`
 */
export function checkPublicKey(publicKey: Uint8Array): void {
  if (publicKey.length !== publicKeyLength)
    throw new EcdsaKeyError(
      'wrong_length',
      `a compressed public key has ${publicKeyLength} bytes, this has ${publicKey.length}`,
    );
  try {
    p256.Point.fromBytes(publicKey);
  } catch (cause) {
    const message = 'the bytes are no point of P-256: take the public key from its source again';
    throw new EcdsaKeyError('not_on_curve', message, { cause });
  }
}

/**
 * r || s (64 bytes) of a DER signature, undefined unless it is in the one encoding that DER allows, both 1 to n - 1. Either
 * s is accepted, as authenticators make them: whoever has one signature can make the other.
 */
export function compactOf(signature: Uint8Array): Uint8Array | undefined {
  if (signature.length > maxDerLength) return undefined;
  try {
    const parsed = p256.Signature.fromBytes(signature, 'der');
    return equalBytes(parsed.toBytes('der'), signature) ? parsed.toBytes('compact') : undefined;
  } catch {
    return undefined;
  }
}
