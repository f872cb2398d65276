// Ed25519 (RFC 8032) keys and signatures. The only file of protocol/ that touches node:crypto: native verification is
// about fifteen times faster than JavaScript's. A browser build replaces this file alone.
//
// Native code accepts degenerate public keys: under a key of small order, one signature verifies for many messages.
// So a key is checked once, where it enters, with `checkPublicKey`; `verify` trusts that this was done.
import {
  type KeyObject,
  createPrivateKey,
  createPublicKey,
  sign as nativeSign,
  verify as nativeVerify,
} from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519.js';

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

const keyLength = 32;
const signatureLength = 64;
/** L, the order of the prime-order subgroup (RFC 8032, 5.1), little endian, as S stands in a signature. */
const groupOrder = Buffer.from('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010', 'hex');

/** DER before a raw public key and before a raw seed (RFC 8410, 4 and 7). */
const publicKeyPrefix = Buffer.from('302a300506032b6570032100', 'hex');
const seedPrefix = Buffer.from('302e020100300506032b657004220420', 'hex');

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

/** Parsed keys, least recently used first. Few distinct keys sign most records, and parsing costs as much as verifying. */
const parsedKeys = new Map<string, KeyObject>();
const maxParsedKeys = 1024;

function parsedKey(publicKey: Uint8Array): KeyObject {
  const bytes = Buffer.from(publicKey);
  const name = bytes.toString('latin1');
  const key =
    parsedKeys.get(name) ??
    createPublicKey({ key: Buffer.concat([publicKeyPrefix, bytes]), format: 'der', type: 'spki' });
  parsedKeys.delete(name);
  parsedKeys.set(name, key);
  if (parsedKeys.size > maxParsedKeys) parsedKeys.delete(parsedKeys.keys().next().value!);
  return key;
}

/** Whether S, the second half of a signature, is below the group order: otherwise S + L would be a second signature. */
function hasCanonicalS(signature: Uint8Array): boolean {
  for (let index = keyLength - 1; index >= 0; index -= 1) {
    const difference = signature[keyLength + index]! - groupOrder[index]!;
    if (difference !== 0) return difference < 0;
  }
  return false;
}

/**
 * Whether `signature` (64 bytes) is the RFC 8032 signature of `message` under `publicKey` (32 bytes, which must have
 * passed `checkPublicKey` when it was introduced). Wrong lengths and S outside 0..L-1 are false. Never throws.
 */
export function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    if (publicKey.length !== keyLength || signature.length !== signatureLength) return false;
    return hasCanonicalS(signature) && nativeVerify(null, message, parsedKey(publicKey), signature);
  } catch {
    return false; // What the native code will not even parse does not verify.
  }
}

function privateKeyOf(seed: Uint8Array): KeyObject {
  if (seed.length !== keyLength) {
    throw new Ed25519KeyError(
      'wrong_length',
      `an ed25519 seed has ${keyLength} bytes, this has ${seed.length}`,
    );
  }
  const encoded = Buffer.concat([seedPrefix, seed]);
  try {
    return createPrivateKey({ key: encoded, format: 'der', type: 'pkcs8' });
  } finally {
    encoded.fill(0);
  }
}

/**
 * The deterministic 64-byte signature of `message` by the 32-byte `seed` (RFC 8032's private key).
 *
 * @throws {Ed25519KeyError} `wrong_length` when the seed has not 32 bytes
 */
export function sign(seed: Uint8Array, message: Uint8Array): Uint8Array {
  return new Uint8Array(nativeSign(null, message, privateKeyOf(seed)));
}

/**
 * The 32-byte public key of a 32-byte `seed`.
 *
 * @throws {Ed25519KeyError} `wrong_length` when the seed has not 32 bytes
 */
export function publicKeyOf(seed: Uint8Array): Uint8Array {
  const encoded = createPublicKey(privateKeyOf(seed)).export({ format: 'der', type: 'spki' });
  return new Uint8Array(encoded.subarray(publicKeyPrefix.length));
}
