// A derived key has no share of its own: this party's is its share of the root key plus the public offset between the two
// keys. The offset is the same for every party, and a polynomial plus a constant has that constant's sum in every value.
import { Abort } from './abort.ts';
import { GroupError, groupOf, type KeyType } from './group.ts';

/**
 * SECRET in, SECRET out: encoded scalars of the key type's group. `offset`: an encoded scalar, public. Throws
 * Abort('malformed_scalar') without any value in it.
 */
export function derivedShare(keyType: KeyType, signingShare: Uint8Array, offset: Uint8Array): Uint8Array {
  const group = groupOf(keyType);
  try {
    return group.encodeScalar(group.mod(group.decodeScalar(signingShare) + group.decodeScalar(offset)));
  } catch (error) {
    if (!(error instanceof GroupError)) throw error;
    throw new Abort('malformed_scalar', `share or offset of a derived key: ${error.message}`);
  }
}
