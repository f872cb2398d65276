// The address of a secp256k1 key on Ethereum and every chain of its kind: the last 20 bytes of the Keccak-256 hash of the
// uncompressed public key, written with the checksum of EIP-55.
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { getAddress, isAddress } from 'viem/utils';
import { type Hex, toHex } from '../hex.ts';

const addressBytes = 20;

/** The address of a compressed public key (33 bytes), in the case that EIP-55 gives it. Throws unless it is a point. */
export function evmAddressOf(publicKey: Uint8Array): Hex {
  const uncompressed = secp256k1.Point.fromBytes(publicKey).toBytes(false);
  return getAddress(toHex(keccak_256(uncompressed.subarray(1)).slice(-addressBytes)));
}

/** Whether an address (`0x` and 40 hex digits) in mixed case has another checksum than EIP-55 gives it. One case has none. */
export function hasWrongChecksum(address: string): boolean {
  const digits = address.slice(2);
  const isMixed = digits !== digits.toLowerCase() && digits !== digits.toUpperCase();
  return isMixed && !isAddress(address);
}
