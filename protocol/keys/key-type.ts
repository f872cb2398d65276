// The types of keys a keyring can hold: lengths, checks, verification, and addresses on the chains that use them.
import { base58 } from '@scure/base';
import * as z from 'zod';
import { publicKeyHash, witnessAddresses } from './bitcoin-address.ts';
import * as ecdsa from './ecdsa.ts';
import * as ed25519 from './ed25519.ts';
import { evmAddressOf } from './evm-address.ts';
import * as taproot from './taproot.ts';

export const keyTypeSchema = z.enum(['ed25519', 'taproot_secp256k1', 'ecdsa_secp256k1', 'bitcoin_secp256k1']);
export type KeyType = z.infer<typeof keyTypeSchema>;

/** Where a key can hold funds. `chain` is the name payload facts and policies use. */
export interface ChainAddress {
  readonly chain: string;
  readonly address: string;
}

export interface KeyTypeDescription {
  /** Bytes of a public key. */
  readonly publicKeyLength: number;
  /** Bytes of the longest signature. */
  readonly signatureLength: number;
  /** Throws, with a `code` that says why, unless the bytes are a public key that is safe to verify under. */
  checkPublicKey(publicKey: Uint8Array): void;
  /** Throws, with a `code` that says why, unless the bytes are an element of a commitment vector for such a key. */
  checkPoint(point: Uint8Array): void;
  /** The public key of a vector's constant term, which was checked. */
  publicKeyOfPoint(point: Uint8Array): Uint8Array;
  /** Whether a signature of a checked public key is valid over the exact message (ECDSA: a digest of 32 bytes). Never throws. */
  verifySignature(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  /** Addresses of a public key of the right length. */
  addressesOf(publicKey: Uint8Array): ChainAddress[];
}

export const keyTypes: Readonly<Record<KeyType, KeyTypeDescription>> = {
  ed25519: {
    publicKeyLength: 32,
    signatureLength: 64,
    checkPublicKey: ed25519.checkPublicKey,
    checkPoint: ed25519.checkPublicKey,
    publicKeyOfPoint: (point) => point,
    verifySignature: ed25519.verify,
    // A Solana address is the public key itself.
    addressesOf: (publicKey) => [{ chain: 'solana', address: base58.encode(publicKey) }],
  },
  taproot_secp256k1: {
    publicKeyLength: 32,
    signatureLength: 64,
    checkPublicKey: taproot.checkPublicKey,
    checkPoint: taproot.checkPoint,
    publicKeyOfPoint: taproot.publicKeyOfPoint,
    verifySignature: taproot.verify,
    addressesOf: taproot.addressesOf,
  },
  ecdsa_secp256k1: {
    publicKeyLength: 33,
    signatureLength: ecdsa.recoverableLength,
    checkPublicKey: ecdsa.checkPublicKey,
    checkPoint: ecdsa.checkPublicKey,
    publicKeyOfPoint: (point) => point,
    verifySignature: ecdsa.verifyRecoverable,
    // The same on every chain of Ethereum's kind.
    addressesOf: (publicKey) => [{ chain: 'ethereum', address: evmAddressOf(publicKey) }],
  },
  bitcoin_secp256k1: {
    publicKeyLength: 33,
    signatureLength: ecdsa.maxDerLength,
    checkPublicKey: ecdsa.checkPublicKey,
    checkPoint: ecdsa.checkPublicKey,
    publicKeyOfPoint: (point) => point,
    verifySignature: ecdsa.verifyDer,
    addressesOf: (publicKey) => witnessAddresses(0, publicKeyHash(publicKey)),
  },
};

/** A public key has another length than its type says. */
export class KeyTypeError extends Error {
  override readonly name = 'KeyTypeError';
  readonly code = 'wrong_length';
  readonly keyType: KeyType;
  constructor(keyType: KeyType, length: number) {
    super(`a ${keyType} public key has ${keyTypes[keyType].publicKeyLength} bytes, this has ${length}`);
    this.keyType = keyType;
  }
}

/** Whether `signature` is valid over exactly these message bytes (ed25519 signs messages, not hashes). Never throws. */
export function verifySignature(
  keyType: KeyType,
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  return keyTypes[keyType].verifySignature(publicKey, message, signature);
}

/**
 * Addresses of a public key on the chains of its type.
 *
 * @throws {KeyTypeError} when the public key has the wrong length
 */
export function addressesOf(keyType: KeyType, publicKey: Uint8Array): ChainAddress[] {
  const description = keyTypes[keyType];
  if (publicKey.length !== description.publicKeyLength) throw new KeyTypeError(keyType, publicKey.length);
  return description.addressesOf(publicKey);
}
