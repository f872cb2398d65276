// The form of a key in which it signs. An ed25519 key signs as it was generated. A Taproot key signs with even Y (BIP340),
// and a key-path spend under the tweaked key (BIP341): commitments, and with them every verifying share, are negated where
// Y is odd, the tweak is added, and the sum is negated where its Y is odd again. Everything is derived from the generated
// vector each time; no tweaked or negated form is ever stored. A share goes the same way as its polynomial's constant term.
//
// The library would negate an odd key itself, in every call and point by point; it leaves the even ones made here alone.
import { Abort } from '../abort.ts';
import type { Element, Group, KeyType } from '../group.ts';

export interface SigningForm {
  /** The commitment vector. */
  readonly points: readonly Element[];
  /** A party's share of the generated key -> its share of this form. Secret in, secret out. */
  readonly shareOf: (share: bigint) => bigint;
}

/**
 * `points`: the generated vector. `tweak`: what is added to the constant term of a Taproot key of even Y, an encoded
 * scalar; absent where the key itself signs. Throws Abort: malformed_scalar, degenerate_key, internal (no key of this
 * type is tweaked).
 */
export function signingForm(
  keyType: KeyType,
  group: Group,
  points: readonly Element[],
  tweak?: Uint8Array,
): SigningForm {
  if (keyType === 'ed25519') {
    if (tweak !== undefined) throw new Abort('internal', 'an ed25519 key is never tweaked');
    return { points, shareOf: (share) => share };
  }
  const even = evenForm(group, { points, shareOf: (share) => share });
  if (tweak === undefined) return even;
  const scalar = decodeTweak(group, tweak);
  const [constant, ...higher] = even.points;
  const tweaked = constant!.add(group.multiplyBaseUnsafe(scalar));
  if (tweaked.is0()) throw new Abort('degenerate_key', 'the tweaked key is the identity');
  return evenForm(group, {
    points: [tweaked, ...higher],
    shareOf: (share) => group.mod(even.shareOf(share) + scalar),
  });
}

function evenForm(group: Group, form: SigningForm): SigningForm {
  const isEven = group.encodePoint(form.points[0]!)[0] === 2;
  if (isEven) return form;
  return {
    points: form.points.map((point) => group.identity.subtract(point)),
    shareOf: (share) => group.mod(-form.shareOf(share)),
  };
}

function decodeTweak(group: Group, tweak: Uint8Array): bigint {
  try {
    return group.decodeScalar(tweak);
  } catch (cause) {
    throw new Abort('malformed_scalar', 'the tweak is no scalar', { cause });
  }
}
