// The address of a secp256k1 key on Ethereum and every chain of its kind: the last 20 bytes of the Keccak-256 hash of the
// uncompressed public key, written with the checksum of EIP-55.
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { getAddress } from 'viem/utils';
import { type Hex, toHex } from '../hex.ts';

const addressBytes = 20;

/** The address of a compressed public key (33 bytes), in the case that EIP-55 gives it. Throws unless it is a point. */
export function evmAddressOf(publicKey: Uint8Array): Hex {
  const uncompressed = secp256k1.Point.fromBytes(publicKey).toBytes(false);
  return getAddress(toHex(keccak_256(uncompressed.subarray(1)).slice(-addressBytes)));
}
