// A key as FROST needs it, built from what is stored and checked before it signs.
//
// Verifying shares are evaluated from the commitments, never taken from anybody's word; then share*G must be this
// party's: a damaged or exchanged share is found here and not by publishing a bad signature share.
import type { FrostPublic, FrostSecret, Identifier } from '@noble/curves/abstract/frost.js';
import { equalBytes } from '@noble/curves/utils.js';
import { Abort } from '../abort.ts';
import type { KeyShare } from '../dkg/key-share.ts';
import { evaluateCommitments } from '../dkg/polynomial.ts';
import { GroupError } from '../group.ts';
import type { PartyIndex } from '../machine.ts';
import { checkParties } from '../parameters.ts';
import type { Ciphersuite } from './ciphersuite.ts';
import { ciphersuiteOf } from './ciphersuite.ts';

/** The stored parts of a key share that signing needs. */
export type StoredKey = Pick<
  KeyShare,
  'keyType' | 'publicKey' | 'commitments' | 'signingShare' | 'index' | 'threshold' | 'parties'
>;

/** A checked key, ready to sign. */
export interface KeyPackage {
  readonly suite: Ciphersuite;
  readonly index: PartyIndex;
  readonly threshold: number;
  readonly parties: readonly PartyIndex[];
  readonly publicKey: Uint8Array;
  readonly public: FrostPublic;
  /** SECRET. */
  readonly secret: FrostSecret;
  /** The library's name for a party: its index as canonical scalar in hex. Throws Abort('stranger_in_set'). */
  identifierOf(index: PartyIndex): Identifier;
  /** Overwrites the signing share. */
  destroy(): void;
}

/**
 * Throws Abort: invalid_index, duplicate_index, unsorted_indices, invalid_threshold, not_a_member, commitment_count,
 * malformed_point, public_key_mismatch, degenerate_key, malformed_scalar, signing_share_mismatch.
 */
export function loadKeyPackage(key: StoredKey): KeyPackage {
  const suite = ciphersuiteOf(key.keyType);
  const { group, frost } = suite;
  const { index, threshold } = key;
  checkParties(key.parties, threshold, index);
  const parties = [...key.parties];
  if (key.commitments.length !== threshold)
    throw new Abort(
      'commitment_count',
      `the stored key has ${key.commitments.length} commitments, threshold ${threshold}`,
    );
  const points = key.commitments.map((bytes) => decodeStored(() => group.decodePoint(bytes)));
  if (!equalBytes(key.publicKey, key.commitments[0]!))
    throw new Abort('public_key_mismatch', 'the stored public key is not the first commitment');
  const verifyingPoints = parties.map((party) => evaluateCommitments(group, points, party));
  if (verifyingPoints.some((point) => point.is0()))
    throw new Abort('degenerate_key', 'a verifying share of the stored key is the identity');
  const share = decodeStored(() => group.decodeScalar(key.signingShare));
  if (!group.multiplyBase(share).equals(verifyingPoints[parties.indexOf(index)]!))
    throw new Abort(
      'signing_share_mismatch',
      'the stored signing share does not match the stored commitments',
    );

  const identifierOf = (party: PartyIndex): Identifier => frost.Identifier.fromNumber(party);
  return openPortableKey({
    keyType: key.keyType,
    index,
    threshold,
    parties,
    publicKey: key.publicKey.slice(),
    public: {
      signers: { min: threshold, max: parties.length },
      commitments: key.commitments.map((bytes) => Uint8Array.from(bytes)),
      verifyingShares: Object.fromEntries(
        parties.map((party, at) => [
          identifierOf(party),
          Uint8Array.from(group.encodePoint(verifyingPoints[at]!)),
        ]),
      ),
    },
    secret: { identifier: identifierOf(index), signingShare: Uint8Array.from(key.signingShare) },
  });
}

/** A checked key as plain data, for another thread of this process. */
export interface PortableKey {
  readonly keyType: KeyShare['keyType'];
  readonly index: PartyIndex;
  readonly threshold: number;
  readonly parties: readonly PartyIndex[];
  readonly publicKey: Uint8Array;
  readonly public: FrostPublic;
  /** SECRET. */
  readonly secret: FrostSecret;
}

/** A copy of a checked key, its signing share in a buffer of its own, to be transferred and never cloned. */
export function portableKey(key: KeyPackage): PortableKey {
  const { suite, index, threshold, parties, publicKey, secret } = key;
  const { identifier, signingShare } = secret;
  return {
    keyType: suite.keyType,
    index,
    threshold,
    parties,
    publicKey,
    public: key.public,
    secret: { identifier, signingShare: Uint8Array.from(signingShare) },
  };
}

/** The key package of what `portableKey` gave: checked then, not again. It owns the signing share from here on. */
export function openPortableKey(portable: PortableKey): KeyPackage {
  const { keyType, secret, ...fields } = portable;
  const suite = ciphersuiteOf(keyType);
  const identifiers = new Map(
    fields.parties.map((party) => [party, suite.frost.Identifier.fromNumber(party)]),
  );
  return {
    ...fields,
    suite,
    secret,
    identifierOf(party) {
      const identifier = identifiers.get(party);
      if (identifier === undefined)
        throw new Abort('stranger_in_set', `party ${party} does not belong to the key`);
      return identifier;
    },
    destroy: () => void secret.signingShare.fill(0),
  };
}

function decodeStored<T>(decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof GroupError)) throw error;
    throw new Abort(error.code, `stored key: ${error.message}`);
  }
}
