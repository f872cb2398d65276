// The online half of ECDSA: one digest signed with one presignature (ePrint 2023/765, protocol 3.6, steps 9 to 11).
//
//   delta = H(sid, item, presignature id, R, child key, eps, digest)        R' = delta R        r = x(R') mod q
//   w_i = h phi_i + r (v_i + eps phi_i)        u'_i = delta u_i        s = sum w_i / sum u'_i
//
//   sum w_i = phi (h + r (x + eps)),  sum u'_i = delta k phi,  so s = (h + r (x + eps)) / (delta k):
//
// a signature by the key of x + eps with the nonce delta k. Without delta the protocol would be unsafe as it is used here:
// R is known before the digest and the derivation are chosen, and then signatures can be forged (Groth and Shoup, ePrint
// 2021/1330: sections on presignatures and on additive derivation; re-randomised presignatures are their remedy). delta is
// fixed by the session, whose id holds fresh bytes of every member that were unknown when the digest was proposed.
//
// The broadcast (w_i, u'_i) is uniform but for its sum, for shares of zero are in u and v; a false one is noticed in the
// signature, and nobody can tell whose it was.
import { invert } from '@noble/curves/abstract/modular.js';
import { bytesToNumberBE } from '@noble/curves/utils.js';
import { concatBytes } from '@noble/hashes/utils.js';
import { verifyDer, verifyRecoverable } from '../../../protocol/keys/ecdsa.ts';
import { Abort } from '../abort.ts';
import type { Element } from '../group.ts';
import { GroupError, secp256k1Group as group } from '../group.ts';
import { uint32 } from '../hash.ts';
import type { PartyIndex } from '../machine.ts';
import type { EcdsaKey, EcdsaKeyType } from './key.ts';
import type { Presignature, PresignatureShares } from './presignature.ts';
import { encodeSignature } from './signature.ts';
import { xofScalars } from './xof.ts';

/** Bytes of one item's share: w || u'. */
export const onlineShareLength = 2 * group.scalarLength;
const digestLength = 32;

/** One thing to be signed, checked. All public. */
export interface Target {
  /** Its number in the session. */
  readonly item: number;
  readonly keyType: EcdsaKeyType;
  /** Under which the signature will be valid: the root's, or a derived key. 33 bytes. */
  readonly publicKey: Uint8Array;
  /** Of the derived key; 0 for the root. */
  readonly offset: bigint;
  readonly digest: Uint8Array;
  /** The digest as a number modulo the order. */
  readonly h: bigint;
}

/** R' of one signature. All public. */
export interface Nonce {
  readonly delta: bigint;
  readonly r: bigint;
  /** The parity of Y. */
  readonly recovery: 0 | 1;
}

/** One member's broadcast for one item. */
export interface OnlineShare {
  readonly w: bigint;
  readonly u: bigint;
}

/**
 * Throws Abort: malformed_digest, malformed_scalar (the offset), degenerate_key (the derived key is the identity),
 * degenerate_signature (the digest is 0 modulo the order: whoever sees a signature of it has one by any key).
 */
export function targetOf(
  item: number,
  {
    key,
    offset,
    digest,
  }: { readonly key: EcdsaKey; readonly offset?: Uint8Array; readonly digest: Uint8Array },
): Target {
  if (digest.length !== digestLength)
    throw new Abort('malformed_digest', `item ${item}: a digest of ${digest.length} bytes, expected 32`);
  const h = group.mod(bytesToNumberBE(digest));
  if (h === 0n) throw new Abort('degenerate_signature', `item ${item}: the digest is 0 modulo the order`);
  const { keyType } = key;
  if (offset === undefined)
    return { item, keyType, publicKey: key.publicKey.slice(), offset: 0n, digest: digest.slice(), h };
  const eps = decodeOffset(item, offset);
  const child = group.decodePoint(key.publicKey).add(group.multiplyBaseUnsafe(eps));
  if (child.is0()) throw new Abort('degenerate_key', `item ${item}: the derived key is the identity`);
  return { item, keyType, publicKey: group.encodePoint(child), offset: eps, digest: digest.slice(), h };
}

function decodeOffset(item: number, offset: Uint8Array): bigint {
  try {
    return group.decodeScalar(offset);
  } catch (error) {
    if (!(error instanceof GroupError)) throw error;
    throw new Abort(error.code, `offset of item ${item}: ${error.message}`);
  }
}

/** R' = delta R. Throws Abort('degenerate_signature'), with probability 2^-127. */
export function rerandomise(sid: Uint8Array, target: Target, presignature: Presignature): Nonce {
  const { item, publicKey, offset, digest } = target;
  const { id, nonce } = presignature;
  const parts = [sid, uint32(item), id, nonce, publicKey, group.encodeScalar(offset), digest];
  const delta = xofScalars('countersign/v1/dkls23/rerandomisation', 1, ...parts)[0]!;
  if (delta === 0n) throw new Abort('degenerate_signature', `item ${item}: delta is 0`);
  return { delta, ...coordinatesOf(item, group.decodePoint(nonce).multiplyUnsafe(delta)) };
}

/** r and the recovery id, which is 0 or 1: an x not below the order would need 2 or 3, and is refused. */
export function coordinatesOf(
  item: number,
  point: Element,
): { readonly r: bigint; readonly recovery: 0 | 1 } {
  const encoded = group.encodePoint(point);
  const r = bytesToNumberBE(encoded.subarray(1));
  if (r === 0n || r >= group.order)
    throw new Abort('degenerate_signature', `item ${item}: x of the nonce is 0 or not below the order`);
  return { r, recovery: encoded[0] === 2 ? 0 : 1 };
}

/** This party's broadcast for one item: 64 bytes. */
export function onlineShare(target: Target, nonce: Nonce, { phi, u, v }: PresignatureShares): Uint8Array {
  const w = group.mod(target.h * phi + nonce.r * group.mod(v + target.offset * phi));
  return concatBytes(group.encodeScalar(w), group.encodeScalar(group.mod(nonce.delta * u)));
}

/** Throws Abort('malformed_share') naming the sender, unless 64 bytes hold two canonical scalars. */
export function decodeOnlineShare(from: PartyIndex, item: number, bytes: Uint8Array): OnlineShare {
  const { scalarLength } = group;
  try {
    return {
      w: group.decodeScalar(bytes.subarray(0, scalarLength)),
      u: group.decodeScalar(bytes.subarray(scalarLength)),
    };
  } catch (cause) {
    const message = `share of party ${from} for item ${item} is not two canonical scalars`;
    throw new Abort('malformed_share', message, { culprit: from, cause });
  }
}

/**
 * The signature of all members' shares, verified under the (derived) key. Throws Abort: degenerate_signature,
 * invalid_signature; neither names anybody.
 */
export function combine(target: Target, nonce: Nonce, shares: readonly OnlineShare[]): Uint8Array {
  const { item, keyType, publicKey, digest } = target;
  const w = group.mod(shares.reduce((sum, share) => sum + share.w, 0n));
  const u = group.mod(shares.reduce((sum, share) => sum + share.u, 0n));
  if (u === 0n) throw new Abort('degenerate_signature', `item ${item}: the sum of u is 0`);
  const s = group.mod(w * invert(u, group.order));
  if (s === 0n) throw new Abort('degenerate_signature', `item ${item}: s is 0`);
  const signature = encodeSignature(keyType, { ...nonce, s });
  const verify = keyType === 'ecdsa_secp256k1' ? verifyRecoverable : verifyDer;
  if (!verify(publicKey, digest, signature))
    throw new Abort(
      'invalid_signature',
      `item ${item}: the signature does not verify: a member's values were false`,
    );
  return signature;
}
