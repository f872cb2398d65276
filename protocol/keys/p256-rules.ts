// What a key and a signature of ECDSA on P-256 with SHA-256 (ES256: RFC 7518, 3.4; FIPS 186-5, 6) must be like, whatever
// code computes with them: shared by p256.ts and its browser variant, so that both accept exactly the same.
import { p256 } from '@noble/curves/nist.js';
import { concatBytes, equalBytes, hexToBytes } from '@noble/curves/utils.js';
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

/** DER of a public key (SubjectPublicKeyInfo: RFC 5480, 2) before the 64 bytes of its x and y. */
const publicKeyInfo = hexToBytes('3059301306072a8648ce3d020106082a8648ce3d03010703420004');

/**
 * The compressed public key (33 bytes) of a SubjectPublicKeyInfo (91 bytes), as browsers give it (`getPublicKey`).
 *
 * @throws {EcdsaKeyError} `wrong_length`: it is none of an uncompressed point of P-256; `not_on_curve`
 */
export function publicKeyOfInfo(info: Uint8Array): Uint8Array {
  const coordinates = info.subarray(publicKeyInfo.length);
  if (!equalBytes(concatBytes(publicKeyInfo, coordinates), info) || coordinates.length !== 64)
    throw new EcdsaKeyError(
      'wrong_length',
      'not the SubjectPublicKeyInfo of a key on P-256: make the passkey with the algorithm ES256 (-7)',
    );
  const [x, y] = [coordinates.subarray(0, 32), coordinates.subarray(32)];
  const publicKey = concatBytes(Uint8Array.of(2 + (y[31]! & 1)), x);
  checkPublicKey(publicKey);
  if (!equalBytes(p256.Point.fromBytes(publicKey).toBytes(false).subarray(33), y))
    throw new EcdsaKeyError(
      'not_on_curve',
      'x and y are no point of P-256: take the public key from its source again',
    );
  return publicKey;
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
