// Ed25519 (RFC 8032) keys and signatures. With p256.ts the only file of protocol/ that touches node:crypto: native
// verification is about fifteen times faster than JavaScript's. In a browser, ed25519.browser.ts stands in its place (package.json,
// `browser`): it exports the same, and accepts the same.
//
// Native code accepts degenerate public keys: under a key of small order, one signature verifies for many messages.
// So a key is checked once, where it enters, with `checkPublicKey`; `verify` refuses what it can tell without arithmetic
// and trusts that this was done.
import {
  type KeyObject,
  createPrivateKey,
  createPublicKey,
  sign as nativeSign,
  verify as nativeVerify,
} from 'node:crypto';
import { checkSeed, isVerifiable } from './ed25519-rules.ts';

export { checkPublicKey, Ed25519KeyError, type Ed25519KeyErrorCode } from './ed25519-rules.ts';

/** DER before a raw public key and before a raw seed (RFC 8410, 4 and 7). */
const publicKeyPrefix = Buffer.from('302a300506032b6570032100', 'hex');
const seedPrefix = Buffer.from('302e020100300506032b657004220420', 'hex');

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

/**
 * Whether `signature` (64 bytes) is the RFC 8032 signature of `message` under `publicKey` (32 bytes, which must have
 * passed `checkPublicKey` when it was introduced). False for what `isVerifiable` refuses. Never throws.
 */
export function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    return isVerifiable(publicKey, signature) && nativeVerify(null, message, parsedKey(publicKey), signature);
  } catch {
    return false; // What the native code will not even parse does not verify.
  }
}

function privateKeyOf(seed: Uint8Array): KeyObject {
  checkSeed(seed);
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
  return signing(seed)(message);
}

/**
 * Signs as `sign` does by this seed, which is read once: that takes ten times as long as a signature.
 *
 * @throws {Ed25519KeyError} `wrong_length` when the seed has not 32 bytes
 */
export function signing(seed: Uint8Array): (message: Uint8Array) => Uint8Array {
  const key = privateKeyOf(seed);
  return (message) => new Uint8Array(nativeSign(null, message, key));
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
