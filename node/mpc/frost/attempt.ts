// What an attempt to sign is started with, checked before a share is computed. Set and commitments come from a message
// of the attempt's leader, which is trusted with nothing.
import { equalBytes } from '@noble/curves/utils.js';
import { Abort } from '../abort.ts';
import type { PartyIndex } from '../machine.ts';
import type { KeyPackage } from './key-package.ts';
import type { NonceCommitment, NonceCommitments, OneTimeNonces } from './nonces.ts';

/** One message to sign under one key; items of an attempt may use different keys of the same parties. */
export interface SigningItem {
  readonly key: KeyPackage;
  readonly message: Uint8Array;
}

/**
 * The set: exactly `threshold` distinct parties of every item's key, self among them. For FROST and ECDSA alike.
 * Throws Abort: item_count, key_mismatch, duplicate_member, self_not_in_set, stranger_in_set, set_size.
 */
export function checkSet(
  self: PartyIndex,
  set: readonly PartyIndex[],
  items: readonly { readonly key: Pick<KeyPackage, 'index' | 'threshold' | 'parties'> }[],
): void {
  if (items.length === 0) throw new Abort('item_count', 'an attempt has at least one item');
  if (new Set(set).size !== set.length)
    throw new Abort('duplicate_member', `members of the set repeat: ${set.join(', ')}`);
  if (!set.includes(self))
    throw new Abort('self_not_in_set', `party ${self} is not in the set ${set.join(', ')}`);
  for (const [item, { key }] of items.entries()) {
    if (key.index !== self)
      throw new Abort('key_mismatch', `item ${item}: the key's share is of party ${key.index}, not ${self}`);
    const stranger = set.find((index) => !key.parties.includes(index));
    if (stranger !== undefined)
      throw new Abort('stranger_in_set', `item ${item}: party ${stranger} does not belong to the key`);
    if (set.length !== key.threshold)
      throw new Abort('set_size', `item ${item}: a set of ${set.length} for threshold ${key.threshold}`);
  }
}

/**
 * Every member's commitments, turned into one map per item. The library would sign over commitments of parties outside
 * the keyring, so the members are compared here.
 * Throws Abort: stranger_commitment, missing_commitment, item_count, commitment_count, malformed_point,
 * own_commitment_mismatch.
 */
export function commitmentsPerItem(attempt: {
  readonly self: PartyIndex;
  readonly set: readonly PartyIndex[];
  readonly items: readonly SigningItem[];
  readonly commitments: ReadonlyMap<PartyIndex, readonly NonceCommitment[]>;
  readonly nonces: OneTimeNonces;
}): NonceCommitments[] {
  const { self, set, items, commitments, nonces } = attempt;
  for (const index of commitments.keys())
    if (!set.includes(index))
      throw new Abort('stranger_commitment', `a commitment of party ${index}, who is not in the set`);
  if (nonces.commitments.length !== items.length)
    throw new Abort('item_count', `nonces for ${nonces.commitments.length} items, expected ${items.length}`);
  for (const index of set) {
    const own = commitments.get(index);
    if (own === undefined) throw new Abort('missing_commitment', `no commitments of party ${index}`);
    if (own.length !== items.length)
      throw new Abort(
        'commitment_count',
        `party ${index} committed to ${own.length} items, not ${items.length}`,
        {
          culprit: index === self ? undefined : index,
        },
      );
  }
  return items.map(({ key }, item) => {
    const { pointLength } = key.suite.group;
    return new Map(
      set.map((index) => {
        const commitment = commitments.get(index)![item]!;
        const { hiding, binding } = commitment;
        if (index === self && !sameCommitment(commitment, nonces.commitments[item]!))
          throw new Abort('own_commitment_mismatch', `item ${item}: not what this party committed to`);
        if (hiding.length !== pointLength || binding.length !== pointLength)
          throw new Abort('malformed_point', `item ${item}: party ${index}'s commitment has a wrong length`, {
            culprit: index,
          });
        return [index, { hiding: hiding.slice(), binding: binding.slice() }];
      }),
    );
  });
}

function sameCommitment(a: NonceCommitment, b: NonceCommitment): boolean {
  return equalBytes(a.hiding, b.hiding) && equalBytes(a.binding, b.binding);
}
