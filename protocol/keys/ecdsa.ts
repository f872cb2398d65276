// ECDSA keys on secp256k1 (SEC 1 4.1), as Ethereum and Bitcoin use them: compressed public keys, digests of 32 bytes that
// each payload's kind computes, and two encodings of a signature.
//
//   ecdsa_secp256k1     r (32 bytes) || s (32 bytes) || recovery id (1 byte: 0 or 1, the parity of R's Y)
//   bitcoin_secp256k1   DER (BIP66)
//
// Both in their one canonical form: s in the lower half (BIP62, EIP-2), so that nobody can make a second signature of one.
// A recovery id of 2 or 3 (x(R) not below the order: probability 2^-128) is never made and never accepted.
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { concatBytes, equalBytes } from '@noble/curves/utils.js';

export type EcdsaKeyErrorCode = 'wrong_length' | 'not_on_curve';

export class EcdsaKeyError extends Error {
  override readonly name = 'EcdsaKeyError';
  readonly code: EcdsaKeyErrorCode;
  constructor(code: EcdsaKeyErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Bytes of a compressed public key. */
const publicKeyLength = 33;
const digestLength = 32;
/** Bytes of r || s, and of the signature with its recovery id. */
const compactLength = 64;
export const recoverableLength = compactLength + 1;
/** Bytes of the longest DER signature of low s. */
export const maxDerLength = 71;

/** Accepts the 33 bytes of a compressed point other than the identity. Throws EcdsaKeyError. */
export function checkPublicKey(publicKey: Uint8Array): void {
  if (publicKey.length !== publicKeyLength)
    throw new EcdsaKeyError(
      'wrong_length',
      `a compressed public key has ${publicKeyLength} bytes, this has ${publicKey.length}`,
    );
  try {
    secp256k1.Point.fromBytes(publicKey);
  } catch (cause) {
    const message = 'the bytes are no point of secp256k1: take the public key from its source again';
    throw new EcdsaKeyError('not_on_curve', message, { cause });
  }
}

/**
 * Whether r || s || recovery id is valid over a 32-byte digest, s is low, and the id recovers this key. Never throws.
 *
 * The R that verification computes is the one from which the key is recovered (s R = h G + r Q, SEC 1 4.1.6): the id is right
 * where its Y has that parity.
 */
export function verifyRecoverable(publicKey: Uint8Array, digest: Uint8Array, signature: Uint8Array): boolean {
  const recovery = signature[compactLength];
  if (signature.length !== recoverableLength || (recovery !== 0 && recovery !== 1)) return false;
  const compact = signature.subarray(0, compactLength);
  return verified(publicKey, digest, concatBytes(Uint8Array.of(recovery), compact), 'recovered');
}

/** Whether a DER signature is valid over a 32-byte digest, s low, in the one encoding that DER allows. Never throws. */
export function verifyDer(publicKey: Uint8Array, digest: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length > maxDerLength) return false;
  try {
    const parsed = secp256k1.Signature.fromBytes(signature, 'der');
    if (!equalBytes(parsed.toBytes('der'), signature)) return false;
    return verified(publicKey, digest, parsed.toBytes('compact'), 'compact');
  } catch {
    return false;
  }
}

function verified(
  publicKey: Uint8Array,
  digest: Uint8Array,
  signature: Uint8Array,
  format: 'compact' | 'recovered',
): boolean {
  if (publicKey.length !== publicKeyLength || digest.length !== digestLength) return false;
  try {
    return secp256k1.verify(signature, digest, publicKey, { prehash: false, lowS: true, format });
  } catch {
    return false;
  }
}

/** The DER form of a signature that has a recovery id. Throws when r or s is out of range. */
export function derOfRecoverable(signature: Uint8Array): Uint8Array {
  return secp256k1.Signature.fromBytes(signature.subarray(0, compactLength), 'compact').toBytes('der');
}
