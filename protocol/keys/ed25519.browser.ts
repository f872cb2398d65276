// Ed25519 (RFC 8032) where there is no node:crypto: exports what ed25519.ts does, and accepts what it does. Not WebCrypto,
// which is asynchronous, and whose implementations differ on degenerate keys and signatures.
import { ed25519 } from '@noble/curves/ed25519.js';
import { bytesToNumberLE } from '@noble/curves/utils.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { bytesToHex, concatBytes } from '@noble/hashes/utils.js';
import { checkSeed, isVerifiable, keyLength } from './ed25519-rules.ts';

export { checkPublicKey, Ed25519KeyError, type Ed25519KeyErrorCode } from './ed25519-rules.ts';

const { Point } = ed25519;

/**
 * Whether `signature` (64 bytes) is the RFC 8032 signature of `message` under `publicKey` (32 bytes, which must have
 * passed `checkPublicKey` when it was introduced). False for what `isVerifiable` refuses. Never throws.
 *
 * Without the cofactor, as native code does (RFC 8032, 5.1.7, allows both): R is compared with the bytes of S B - k A, so
 * that an R with a component of small order, or in a second spelling, is refused.
 */
export function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    if (!isVerifiable(publicKey, signature)) return false;
    const commitment = signature.subarray(0, keyLength);
    const response = bytesToNumberLE(signature.subarray(keyLength));
    const challenge = Point.Fn.create(
      bytesToNumberLE(sha512(concatBytes(commitment, Uint8Array.from(publicKey), message))),
    );
    const computed = Point.BASE.multiplyUnsafe(response).subtract(
      Point.fromBytes(Uint8Array.from(publicKey)).multiplyUnsafe(challenge),
    );
    return bytesToHex(computed.toBytes()) === bytesToHex(commitment);
  } catch {
    return false; // What is no point, or no array, does not verify.
  }
}

/**
 * The deterministic 64-byte signature of `message` by the 32-byte `seed` (RFC 8032's private key).
 *
 * @throws {Ed25519KeyError} `wrong_length` when the seed has not 32 bytes
 */
export function sign(seed: Uint8Array, message: Uint8Array): Uint8Array {
  return signing(seed)(message);
}

/**
 * Signs as `sign` does by this seed, which is copied.
 *
 * @throws {Ed25519KeyError} `wrong_length` when the seed has not 32 bytes
 */
export function signing(seed: Uint8Array): (message: Uint8Array) => Uint8Array {
  checkSeed(seed);
  const own = Uint8Array.from(seed);
  return (message) => ed25519.sign(message, own);
}

/**
 * The 32-byte public key of a 32-byte `seed`.
 *
 * @throws {Ed25519KeyError} `wrong_length` when the seed has not 32 bytes
 */
export function publicKeyOf(seed: Uint8Array): Uint8Array {
  checkSeed(seed);
  return ed25519.getPublicKey(seed);
}
