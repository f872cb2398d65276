// The two encodings of an ECDSA signature (protocol/keys/ecdsa.ts), with s in the lower half (BIP62, EIP-2).
import { concatBytes } from '@noble/hashes/utils.js';
import { derOfRecoverable } from '../../../protocol/keys/ecdsa.ts';
import { secp256k1Group as group } from '../group.ts';
import type { EcdsaKeyType } from './key.ts';

/** A signature as numbers; `recovery`: the parity of R's Y. */
export interface SignatureNumbers {
  readonly r: bigint;
  readonly s: bigint;
  readonly recovery: 0 | 1;
}

/** The same signature with s in the lower half: -s is the signature by -R, so the parity changes along. */
export function lowS({ r, s, recovery }: SignatureNumbers): SignatureNumbers {
  if (s <= group.order >> 1n) return { r, s, recovery };
  return { r, s: group.order - s, recovery: recovery === 0 ? 1 : 0 };
}

/** r, s in 1..order-1. `ecdsa_secp256k1`: r || s || recovery id, 65 bytes; `bitcoin_secp256k1`: DER. */
export function encodeSignature(keyType: EcdsaKeyType, numbers: SignatureNumbers): Uint8Array {
  const { r, s, recovery } = lowS(numbers);
  const signature = concatBytes(group.encodeScalar(r), group.encodeScalar(s), Uint8Array.of(recovery));
  return keyType === 'bitcoin_secp256k1' ? derOfRecoverable(signature) : signature;
}
