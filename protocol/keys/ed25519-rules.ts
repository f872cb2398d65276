// What an Ed25519 (RFC 8032) key and signature must be like, whatever code computes with them: shared by ed25519.ts and its
// browser variant, so that both accept exactly the same.
import { ed25519 } from '@noble/curves/ed25519.js';
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';

export type Ed25519KeyErrorCode =
  | 'wrong_length' // not 32 bytes
  | 'not_canonical' // a second spelling of a point: y >= p, or the sign bit set where x = 0
  | 'not_on_curve' // no point has this encoding
  | 'small_order' // order 1 (the identity), 2, 4 or 8
  | 'mixed_order'; // a prime-order point plus one of small order

export class Ed25519KeyError extends Error {
  override readonly name = 'Ed25519KeyError';
  readonly code: Ed25519KeyErrorCode;
  constructor(code: Ed25519KeyErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Bytes of a public key, and of a seed. */
export const keyLength = 32;
const signatureLength = 64;
/** L, the order of the prime-order subgroup (RFC 8032, 5.1), little endian, as S stands in a signature. */
const groupOrder = hexToBytes('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010');
/** p = 2^255 - 19, little endian. */
const fieldPrime = hexToBytes(`ed${'ff'.repeat(30)}7f`);
/** y of the eight points of small order, little endian: of orders 4, 1, 2, and of the two pairs of order 8. */
const smallOrders = new Set([
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  `ec${'ff'.repeat(30)}7f`,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
]);

function decodePoint(bytes: Uint8Array): InstanceType<typeof ed25519.Point> {
  try {
    return ed25519.Point.fromBytes(bytes);
  } catch {
    // The lenient decoding of ZIP 215 tells a second spelling of a point from no point at all.
  }
  try {
    ed25519.Point.fromBytes(bytes, true);
  } catch {
    throw new Ed25519KeyError(
      'not_on_curve',
      'the bytes are not a point of edwards25519: take the public key from its source again',
    );
  }
  throw new Ed25519KeyError(
    'not_canonical',
    'not the canonical encoding of its point (RFC 8032, 5.1.3): refuse this key',
  );
}

/**
 * Accepts 32 bytes that are the canonical encoding of a point of prime order, other than the identity. Takes about a
 * millisecond: for keys that a record introduces, not for every signature.
 *
 * @throws {Ed25519KeyError} naming what is wrong with the key
 */
export function checkPublicKey(bytes: Uint8Array): void {
  if (bytes.length !== keyLength) {
    throw new Ed25519KeyError(
      'wrong_length',
      `an ed25519 public key has ${keyLength} bytes, this has ${bytes.length}`,
    );
  }
  const point = decodePoint(bytes);
  if (point.isSmallOrder()) {
    throw new Ed25519KeyError(
      'small_order',
      'the key is a point of small order, under which anybody can sign: refuse it',
    );
  }
  if (!point.isTorsionFree()) {
    throw new Ed25519KeyError(
      'mixed_order',
      'the key has a component of small order, so verifiers disagree about it: refuse it',
    );
  }
}

/** Whether the integer `bytes[start..start + 32)`, little endian, is below `bound`. */
function isBelow(bytes: Uint8Array, start: number, bound: Uint8Array): boolean {
  for (let index = bound.length - 1; index >= 0; index -= 1) {
    const difference = bytes[start + index]! - bound[index]!;
    if (difference !== 0) return difference < 0;
  }
  return false;
}

/**
 * Whether a public key and a signature can be verified at all: lengths, S below L (otherwise S + L would be a second
 * signature), the key in its one spelling and not of small order. Throws TypeError for what is no array.
 */
export function isVerifiable(publicKey: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== keyLength || signature.length !== signatureLength) return false;
  if (!isBelow(signature, keyLength, groupOrder)) return false;
  const y = Uint8Array.from(publicKey);
  y[keyLength - 1]! &= 0x7f; // The sign of x.
  return isBelow(y, 0, fieldPrime) && !smallOrders.has(bytesToHex(y));
}

/** Throws Ed25519KeyError `wrong_length` unless a seed has 32 bytes. */
export function checkSeed(seed: Uint8Array): void {
  if (seed.length !== keyLength) {
    throw new Ed25519KeyError(
      'wrong_length',
      `an ed25519 seed has ${keyLength} bytes, this has ${seed.length}`,
    );
  }
}
