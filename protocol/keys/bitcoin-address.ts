// Addresses of witness programs on Bitcoin and its test networks: bech32 for version 0 (BIP173), bech32m for later ones (BIP350).
import { ripemd160 } from '@noble/hashes/legacy.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bech32, bech32m } from '@scure/base';

/** Human-readable parts of Bitcoin's networks (BIP173; regtest by convention). */
const prefixes = { bitcoin: 'bc', 'bitcoin-testnet': 'tb', 'bitcoin-regtest': 'bcrt' } as const;

/** Addresses of a witness program, one a network. `program` has the length that its version asks for (BIP141). */
export function witnessAddresses(
  version: 0 | 1,
  program: Uint8Array,
): { readonly chain: string; readonly address: string }[] {
  const coder = version === 0 ? bech32 : bech32m;
  const words = [version, ...coder.toWords(program)];
  return Object.entries(prefixes).map(([chain, prefix]) => ({
    chain,
    address: coder.encode(prefix, words),
  }));
}

/** Hash of a compressed public key, 20 bytes: the witness program of an output that pays to it (P2WPKH, BIP141). */
export function publicKeyHash(publicKey: Uint8Array): Uint8Array {
  return ripemd160(sha256(publicKey));
}
