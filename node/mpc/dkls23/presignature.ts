// A presignature: what presigning leaves each member of a set with, to sign one digest, once, in one round (ePrint
// 2023/765, protocol 3.6 up to the message; the pipelined form of its section 3.3).
//
//   sum phi_i = phi,  sum u_i = k phi,  sum v_i = x phi,  R = k G     (k, x, phi known to nobody)
//
// Two signatures by one R give the key away. So a presignature is taken, not read: its bytes are copied into the one
// machine that signs and overwritten where they were, at once; a second machine finds nothing. It is never written to
// disk: neither a backup nor a restart brings one back.
import { equalBytes } from '@noble/curves/utils.js';
import { concatBytes } from '@noble/hashes/utils.js';
import { Abort } from '../abort.ts';
import { secp256k1Group as group } from '../group.ts';
import type { PartyIndex } from '../machine.ts';

/** Bytes of a presignature's id. */
export const presignatureIdLength = 32;
const secretsLength = 3 * group.scalarLength;

export interface Presignature {
  /** 32 bytes, equal for every member of the set. */
  readonly id: Uint8Array;
  /** The parties that made it, ascending: with all of them it signs, with others never. */
  readonly set: readonly PartyIndex[];
  /** Of the root key, 33 bytes. Its derived keys sign by it as well. */
  readonly publicKey: Uint8Array;
  /** R, 33 bytes. */
  readonly nonce: Uint8Array;
  /** SECRET: phi, u, v, 32 bytes each, in a buffer of its own. All zero once it was taken. */
  readonly secrets: Uint8Array<ArrayBuffer>;
}

/** This party's scalars of a presignature. SECRET. */
export interface PresignatureShares {
  readonly phi: bigint;
  readonly u: bigint;
  readonly v: bigint;
}

/** phi || u || v. */
export function encodePresignatureSecrets({ phi, u, v }: PresignatureShares): Uint8Array<ArrayBuffer> {
  const parts = [phi, u, v].map((scalar) => group.encodeScalar(scalar));
  const secrets = Uint8Array.from(concatBytes(...parts));
  for (const part of parts) part.fill(0);
  return secrets;
}

/**
 * Moves the secrets out of a presignature that this set made for this key: afterwards it is worthless, also when it is
 * refused. Throws Abort('presignature_unavailable') for one that was taken, or is of another set or key.
 */
export function takePresignature(
  presignature: Presignature,
  use: { readonly set: readonly PartyIndex[]; readonly publicKey: Uint8Array },
): Presignature {
  const { id, nonce, publicKey } = presignature;
  const secrets = presignature.secrets.slice();
  presignature.secrets.fill(0);
  const refuse = (reason: string): Abort => {
    secrets.fill(0);
    return new Abort('presignature_unavailable', `a presignature ${reason}: take another`);
  };
  if (id.length !== presignatureIdLength || secrets.length !== secretsLength) throw refuse('is damaged');
  if (secrets.every((byte) => byte === 0)) throw refuse('was used before');
  const made = presignature.set;
  if (made.length !== use.set.length || made.some((party, at) => party !== use.set[at]))
    throw refuse(`of the set ${made.join(', ')}, not of ${use.set.join(', ')}`);
  if (!equalBytes(publicKey, use.publicKey)) throw refuse('of another key');
  return { id: id.slice(), set: [...made], publicKey: publicKey.slice(), nonce: nonce.slice(), secrets };
}

/** The scalars of a presignature that was taken; its bytes are overwritten. */
export function spendPresignature({ secrets }: Presignature): PresignatureShares {
  try {
    const [phi, u, v] = [0, 1, 2].map((at) =>
      group.decodeScalar(secrets.subarray(at * group.scalarLength, (at + 1) * group.scalarLength)),
    ) as [bigint, bigint, bigint];
    return { phi, u, v };
  } finally {
    secrets.fill(0);
  }
}
