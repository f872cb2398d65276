// A key as DKLs23 needs it, built from what is stored and checked before it signs: as frost/key-package.ts does.
//
// Verifying shares are evaluated from the commitments, never taken from anybody's word; then share * G must be this
// party's: a damaged or exchanged share is found here, and not by an invalid signature that nobody can be blamed for.
import { Abort } from '../abort.ts';
import { evaluateCommitments } from '../dkg/polynomial.ts';
import type { StoredKey } from '../frost/key-package.ts';
import type { KeyType } from '../group.ts';
import { secp256k1Group as group } from '../group.ts';
import type { PartyIndex } from '../machine.ts';
import { checkParties } from '../parameters.ts';
import { decodeStored, storedVector } from '../stored-vector.ts';

/** Keys that sign by DKLs23. They differ in the encoding of their signatures only. */
export type EcdsaKeyType = Extract<KeyType, 'ecdsa_secp256k1' | 'bitcoin_secp256k1'>;

/** Whether keys of this type sign by DKLs23. */
export function isEcdsa(keyType: KeyType): keyType is EcdsaKeyType {
  return keyType === 'ecdsa_secp256k1' || keyType === 'bitcoin_secp256k1';
}

/** A checked key, ready to sign. */
export interface EcdsaKey {
  readonly keyType: EcdsaKeyType;
  readonly index: PartyIndex;
  readonly threshold: number;
  readonly parties: readonly PartyIndex[];
  /** A compressed point, 33 bytes. */
  readonly publicKey: Uint8Array;
  /** signingShare * G of every party, 33 bytes each. */
  readonly verifyingShares: ReadonlyMap<PartyIndex, Uint8Array>;
  /** SECRET: an encoded scalar, 32 bytes. */
  readonly signingShare: Uint8Array<ArrayBuffer>;
  /** Overwrites the signing share. */
  destroy(): void;
}

/**
 * Throws Abort: key_mismatch, invalid_index, duplicate_index, unsorted_indices, invalid_threshold, not_a_member,
 * commitment_count, malformed_point, public_key_mismatch, degenerate_key, malformed_scalar, signing_share_mismatch.
 */
export function loadEcdsaKey(stored: StoredKey): EcdsaKey {
  const { keyType, index, threshold } = stored;
  if (!isEcdsa(keyType)) throw new Abort('key_mismatch', `keys of type ${keyType} do not sign by ECDSA`);
  checkParties(stored.parties, threshold, index);
  const parties = [...stored.parties];
  const commitments = storedVector(group, stored);
  const verifyingPoints = parties.map((party) => evaluateCommitments(group, commitments, party));
  if (verifyingPoints.some((point) => point.is0()))
    throw new Abort('degenerate_key', 'a verifying share of the stored key is the identity');
  const share = decodeStored(() => group.decodeScalar(stored.signingShare));
  if (!group.multiplyBase(share).equals(verifyingPoints[parties.indexOf(index)]!))
    throw new Abort(
      'signing_share_mismatch',
      'the stored signing share does not match the stored commitments',
    );
  const signingShare = Uint8Array.from(stored.signingShare);
  return {
    keyType,
    index,
    threshold,
    parties,
    publicKey: Uint8Array.from(stored.publicKey),
    verifyingShares: new Map(parties.map((party, at) => [party, group.encodePoint(verifyingPoints[at]!)])),
    signingShare,
    destroy: () => void signingShare.fill(0),
  };
}

/** A checked key as plain data, for another thread of this process. */
export type PortableEcdsaKey = Omit<EcdsaKey, 'destroy'>;

/** A copy of a checked key, its signing share in a buffer of its own, to be transferred and never cloned. */
export function portableEcdsaKey(key: EcdsaKey): PortableEcdsaKey {
  const { keyType, index, threshold, parties, publicKey, verifyingShares, signingShare } = key;
  return {
    keyType,
    index,
    threshold,
    parties,
    publicKey: publicKey.slice(),
    verifyingShares: new Map([...verifyingShares].map(([party, share]) => [party, share.slice()])),
    signingShare: Uint8Array.from(signingShare),
  };
}

/** The key of what `portableEcdsaKey` gave: checked then, not again. It owns the signing share from here on. */
export function openPortableEcdsaKey(portable: PortableEcdsaKey): EcdsaKey {
  return { ...portable, destroy: () => void portable.signingShare.fill(0) };
}
