// What a signer's published bytes must satisfy: its nonce commitments, and its signature shares (RFC 9591 section 5.3).
// All of it is public, so anybody can check it: the other members in an attempt, or whoever is shown the messages later.
import { Abort } from '../abort.ts';
import type { Group } from '../group.ts';
import type { PartyIndex } from '../machine.ts';
import { decodeFrom } from '../rounds.ts';
import type { PublicKeyPackage } from './key-package.ts';
import type { NonceCommitment, NonceCommitments } from './nonces.ts';
import { commitmentList } from './nonces.ts';

/** Throws Abort('malformed_point') naming `from` unless both halves are valid points. */
export function checkNonceCommitment(
  group: Group,
  item: number,
  from: PartyIndex,
  { hiding, binding }: NonceCommitment,
): void {
  decodeFrom(from, `hiding commitment for item ${item}`, () => group.decodePoint(hiding));
  decodeFrom(from, `binding commitment for item ${item}`, () => group.decodePoint(binding));
}

/** A body cut into shares, one an item of these groups. The length was checked. */
export function splitShares(groups: readonly Group[], body: Uint8Array): Uint8Array[] {
  let offset = 0;
  return groups.map(({ scalarLength }) => body.slice(offset, (offset += scalarLength)));
}

/** Throws Abort naming `from`: malformed_message, malformed_share. `groups`: of each item's key. */
export function checkShareBody(groups: readonly Group[], from: PartyIndex, body: Uint8Array): void {
  const expected = groups.reduce((sum, { scalarLength }) => sum + scalarLength, 0);
  if (body.length !== expected)
    throw new Abort(
      'malformed_message',
      `shares of ${body.length} bytes from party ${from}, expected ${expected}`,
      { culprit: from },
    );
  for (const [item, share] of splitShares(groups, body).entries()) {
    try {
      groups[item]!.decodeScalar(share);
    } catch (cause) {
      throw new Abort(
        'malformed_share',
        `share of party ${from} for item ${item} is not a canonical scalar`,
        { culprit: from, cause },
      );
    }
  }
}

/**
 * Whether a share is the one that its signer's commitment and verifying share demand. Every member's commitments must
 * have passed `checkNonceCommitment`: the library refuses a list with a bad one whoever's share is looked at.
 */
export function isShareValid(
  key: PublicKeyPackage,
  commitments: NonceCommitments,
  message: Uint8Array,
  index: PartyIndex,
  share: Uint8Array,
): boolean {
  try {
    const list = commitmentList(key, commitments);
    return key.suite.frost.verifyShare(
      key.public,
      list,
      message,
      key.identifierOf(index),
      Uint8Array.from(share),
    );
  } catch {
    return false;
  }
}
