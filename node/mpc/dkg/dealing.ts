// What a dealer's two messages must satisfy towards each other and towards one receiver. Whoever holds both can check it,
// the receiver in a run or anybody afterwards: nothing secret goes in but the dealt share itself.
import { equalBytes } from '@noble/curves/utils.js';
import { Abort } from '../abort.ts';
import type { Element } from '../group.ts';
import type { PartyIndex } from '../machine.ts';
import { decodeFrom } from '../rounds.ts';
import type { Reveal, Shape } from './messages.ts';
import { evaluateCommitments } from './polynomial.ts';
import { verifyProof } from './proof.ts';
import { commitDigest } from './transcript.ts';

export interface Dealing {
  /** The dealer's vector, decoded. */
  readonly points: readonly Element[];
  /** SECRET while the run may still give a key. */
  readonly share: bigint;
}

/**
 * Checks a reveal whose structure `checkReveal` has passed against the digest its dealer broadcast before. `context`
 * stands for the run (contextHash). Throws Abort naming the dealer: opening_mismatch, malformed_point, malformed_scalar,
 * invalid_proof, invalid_dealt_share.
 */
export function checkDealing(
  { group, threshold }: Shape,
  context: Uint8Array,
  dealer: PartyIndex,
  digest: Uint8Array,
  { opening, receiver, share }: Reveal,
): Dealing {
  if (!equalBytes(commitDigest(context, dealer, opening), digest))
    throw new Abort('opening_mismatch', `party ${dealer} opened something else than it committed to`, {
      culprit: dealer,
    });
  const points = Array.from({ length: threshold }, (_, position) => {
    const start = position * group.pointLength;
    const bytes = opening.commitments.subarray(start, start + group.pointLength);
    return decodeFrom(dealer, `commitment ${position}`, () => group.decodePoint(bytes));
  });
  const statement = { context, dealer, commitments: opening.commitments };
  const proven = decodeFrom(dealer, 'proof', () => verifyProof(group, statement, points[0]!, opening.proof));
  if (!proven)
    throw new Abort('invalid_proof', `party ${dealer} did not prove knowledge of its constant term`, {
      culprit: dealer,
    });
  const dealt = decodeFrom(dealer, 'dealt share', () => group.decodeScalar(share));
  if (!group.multiplyBase(dealt).equals(evaluateCommitments(group, points, receiver)))
    throw new Abort('invalid_dealt_share', `the share party ${dealer} dealt does not match its commitments`, {
      culprit: dealer,
    });
  return { points, share: dealt };
}
