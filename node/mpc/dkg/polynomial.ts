// Verifiable secret sharing (Feldman 1987; RFC 9591 appendix C.2): a polynomial, its commitments, and their evaluation.
import type { Element, Group } from '../group.ts';
import type { PartyIndex } from '../machine.ts';

/** f(index) modulo the group's order; coefficients from the constant term up. Secret in, secret out. */
export function evaluatePolynomial(group: Group, coefficients: readonly bigint[], index: PartyIndex): bigint {
  return coefficients.reduceRight((sum, coefficient) => group.mod(sum * BigInt(index) + coefficient), 0n);
}

/** f(index) * G from the commitments to f's coefficients. Public. */
export function evaluateCommitments(
  group: Group,
  commitments: readonly Element[],
  index: PartyIndex,
): Element {
  return commitments.reduceRight(
    (sum, point) => sum.multiplyUnsafe(BigInt(index)).add(point),
    group.identity,
  );
}
