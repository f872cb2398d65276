// A derived key as it signs, from the stored share of its root: derived anew whenever it is loaded, and never stored.
import type { Hex } from '../../protocol/hex.ts';
import { derive } from '../../protocol/keys/derivation.ts';
import { derivedShare } from '../mpc/derived-share.ts';
import type { StoredKey } from '../mpc/frost/key-package.ts';

/** The generated key from which a derived one comes, and how far apart they are. */
export interface RootKey {
  readonly keyId: Hex;
  /** eps, 32 bytes, encoded as scalars of the curve are (secp256k1: big endian): key = root + eps * G. */
  readonly offset: Uint8Array;
  readonly share: StoredKey;
  /** The root's: an encoded point. */
  readonly publicKey: Uint8Array;
}

/** What a share of the root holds that a child needs. */
export type RootShare = StoredKey & { readonly chainCode: Uint8Array };

/**
 * This party's share of the key that `path` of a root gives, with the child's whole commitment vector. Throws
 * DerivationError; Abort `malformed_scalar`.
 */
export function deriveStoredKey(
  keyId: Hex,
  root: RootShare,
  path: string,
): { readonly share: StoredKey; readonly root: RootKey } {
  const { chainCode, ...share } = root;
  const { keyType, publicKey } = share;
  const { offset, point } = derive(keyType, publicKey, chainCode, path);
  return {
    share: {
      ...share,
      publicKey: point,
      commitments: [point, ...share.commitments.slice(1)],
      signingShare: derivedShare(keyType, share.signingShare, offset),
    },
    root: { keyId, offset, share, publicKey },
  };
}
