// The ciphersuites of FROST, and verification of what comes out of them: FROST(Ed25519, SHA-512), RFC 9591 section 6.1,
// and FROST on secp256k1 with signatures after BIP340 (the suite FROST-secp256k1-SHA256-TR of the reference
// implementation, frost-secp256k1-tr: RFC 9591 with BIP340's challenge and parity).
//
// For ed25519 the library's ready-made suite repeats, in a hook, the subgroup check that it makes anyway on every decoded point;
// built here from the plain curve it makes it once (two thirds of the time per share, same vectors:
// test/vectors/rfc9591.test.ts holds it to the RFC's and to rejecting points of mixed order).
import { createPublicKey, verify } from 'node:crypto';
import { createFROST } from '@noble/curves/abstract/frost.js';
import type { FROST } from '@noble/curves/abstract/frost.js';
import { ed25519 } from '@noble/curves/ed25519.js';
import { schnorr, schnorr_FROST } from '@noble/curves/secp256k1.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { concatBytes } from '@noble/hashes/utils.js';
import { Abort } from '../abort.ts';
import type { Group, KeyType } from '../group.ts';
import { ed25519Group, GroupError, secp256k1Group } from '../group.ts';

/** Keys that sign by FROST; the others by DKLs23. */
export type FrostKeyType = Extract<KeyType, 'ed25519' | 'taproot_secp256k1'>;

/** Whether keys of this type sign by FROST. */
export function isFrost(keyType: KeyType): keyType is FrostKeyType {
  return Object.hasOwn(suites, keyType);
}

export interface Ciphersuite {
  readonly keyType: FrostKeyType;
  readonly group: Group;
  readonly frost: FROST;
  /** Whether every correct verifier accepts the 64-byte signature. `publicKey`: an encoded point, decoded with `group` before. */
  readonly verify: (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean;
}

/** SubjectPublicKeyInfo of an ed25519 key up to its 32 bytes (RFC 8410). */
const SPKI_PREFIX = Uint8Array.from(Buffer.from('302a300506032b6570032100', 'hex'));

/**
 * RFC 8032 in its strictest reading, so that no verifier on any chain disagrees: S below the order and the equation
 * without cofactor (OpenSSL), R canonical, not the identity and in the prime-order subgroup.
 */
function verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== 64) return false;
  try {
    ed25519Group.decodePoint(signature.subarray(0, 32));
  } catch (error) {
    if (error instanceof GroupError) return false;
    throw error;
  }
  const key = createPublicKey({
    key: Buffer.from(concatBytes(SPKI_PREFIX, publicKey)),
    format: 'der',
    type: 'spki',
  });
  return verify(null, message, key, signature);
}

const ed25519Suite: Ciphersuite = {
  keyType: 'ed25519',
  group: ed25519Group,
  // The challenge hash carries no prefix: that is what makes the result an ordinary ed25519 signature.
  frost: createFROST({ name: 'FROST-ED25519-SHA512-v1', Point: ed25519.Point, hash: sha512, H2: '' }),
  verify: verifyEd25519,
};

const taprootSuite: Ciphersuite = {
  keyType: 'taproot_secp256k1',
  group: secp256k1Group,
  frost: schnorr_FROST,
  // Signed and verified under the x-only key: the even one of the two points with this x.
  verify: (publicKey, message, signature) =>
    signature.length === 64 && schnorr.verify(signature, message, publicKey.subarray(1)),
};

const suites: Readonly<Record<FrostKeyType, Ciphersuite>> = {
  ed25519: ed25519Suite,
  taproot_secp256k1: taprootSuite,
};

/** The suite that keys of this type sign with. Throws Abort('key_mismatch') for a type that does not sign by FROST. */
export function ciphersuiteOf(keyType: KeyType): Ciphersuite {
  if (!isFrost(keyType)) throw new Abort('key_mismatch', `keys of type ${keyType} do not sign by FROST`);
  return suites[keyType];
}
