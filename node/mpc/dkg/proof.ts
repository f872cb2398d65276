// Schnorr proof that a dealer knows the constant term it commits to (RFC 8235, non-interactive), encoded R || z.
//
// Without it a dealer that sees the others' commitments A could publish t*G - A and own the key. Bound to the session,
// the dealer's index and its whole vector, so that no proof is of use elsewhere.
import { equalBytes } from '@noble/curves/utils.js';
import { concatBytes } from '@noble/hashes/utils.js';
import type { Element, Group } from '../group.ts';
import type { PartyIndex, RandomBytes } from '../machine.ts';
import { randomScalar } from '../random.ts';
import { proofChallenge } from './transcript.ts';

export interface Statement {
  readonly context: Uint8Array;
  readonly dealer: PartyIndex;
  /** The encoded vector, one point after another. */
  readonly commitments: Uint8Array;
}

/** Bytes of a proof. */
export function proofLength(group: Group): number {
  return group.pointLength + group.scalarLength;
}

/** Proves knowledge of `secret`, the discrete logarithm of the first commitment. */
export function prove(group: Group, statement: Statement, secret: bigint, random: RandomBytes): Uint8Array {
  const nonce = randomScalar(group, random);
  const nonceCommitment = group.encodePoint(group.multiplyBase(nonce));
  const { context, dealer, commitments } = statement;
  const challenge = proofChallenge(group, context, dealer, commitments, nonceCommitment);
  return concatBytes(nonceCommitment, group.encodeScalar(group.mod(nonce + challenge * secret)));
}

/**
 * Whether `proof` holds for the first commitment, given decoded as `constant`. R is compared as bytes with z*G - c*C_0,
 * so that it needs no decoding and has one encoding. Throws GroupError when z is not canonical.
 */
export function verifyProof(
  group: Group,
  statement: Statement,
  constant: Element,
  proof: Uint8Array,
): boolean {
  const nonceCommitment = proof.subarray(0, group.pointLength);
  const response = group.decodeScalar(proof.subarray(group.pointLength));
  const { context, dealer, commitments } = statement;
  const challenge = proofChallenge(group, context, dealer, commitments, nonceCommitment);
  const expected = group.multiplyBaseUnsafe(response).subtract(constant.multiplyUnsafe(challenge));
  return !expected.is0() && equalBytes(group.encodePoint(expected), nonceCommitment);
}
