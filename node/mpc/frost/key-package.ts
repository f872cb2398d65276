// A key as FROST needs it, built from what is stored and checked before it signs.
//
// Verifying shares are evaluated from the commitments, never taken from anybody's word; then share*G must be this
// party's: a damaged or exchanged share is found here and not by publishing a bad signature share.
import type { FrostPublic, FrostSecret, Identifier } from '@noble/curves/abstract/frost.js';
import { Abort } from '../abort.ts';
import type { KeyShare } from '../dkg/key-share.ts';
import { evaluateCommitments } from '../dkg/polynomial.ts';
import type { PartyIndex } from '../machine.ts';
import { checkParties } from '../parameters.ts';
import { decodeStored, storedVector } from '../stored-vector.ts';
import type { Ciphersuite } from './ciphersuite.ts';
import { ciphersuiteOf } from './ciphersuite.ts';
import { type SigningForm, signingForm } from './signing-form.ts';

/** The stored parts of a key share that signing needs. */
export type StoredKey = Pick<
  KeyShare,
  'keyType' | 'publicKey' | 'commitments' | 'signingShare' | 'index' | 'threshold' | 'parties'
>;

/** Everything about a key that needs no share: enough to verify signature shares. */
export interface PublicKeyPackage {
  readonly suite: Ciphersuite;
  readonly threshold: number;
  readonly parties: readonly PartyIndex[];
  /** The encoded point under which its signatures are valid. */
  readonly publicKey: Uint8Array;
  readonly public: FrostPublic;
  /** The library's name for a party: its index as canonical scalar in hex. Throws Abort('stranger_in_set'). */
  identifierOf(index: PartyIndex): Identifier;
}

/** A checked key, ready to sign. */
export interface KeyPackage extends PublicKeyPackage {
  readonly index: PartyIndex;
  /** SECRET. */
  readonly secret: FrostSecret;
  /** Overwrites the signing share. */
  destroy(): void;
}

/** The public parts of a stored key. */
export type StoredPublicKey = Omit<StoredKey, 'signingShare' | 'index'>;

/**
 * `tweak`: what a Taproot key is tweaked with to sign, an encoded scalar. Throws Abort: invalid_index, duplicate_index,
 * unsorted_indices, invalid_threshold, commitment_count, malformed_point, public_key_mismatch, malformed_scalar,
 * degenerate_key.
 */
export function loadPublicKeyPackage(key: StoredPublicKey, tweak?: Uint8Array): PublicKeyPackage {
  return loadPublic(key, tweak).known;
}

function loadPublic(
  key: StoredPublicKey,
  tweak: Uint8Array | undefined,
): { readonly known: PublicKeyPackage; readonly form: SigningForm } {
  const suite = ciphersuiteOf(key.keyType);
  const { group } = suite;
  const { threshold } = key;
  checkParties(key.parties, threshold, key.parties[0] ?? 0);
  const parties = [...key.parties];
  const generated = storedVector(group, key);
  const form = signingForm(key.keyType, group, generated, tweak);
  const { points } = form;
  const verifyingPoints = parties.map((party) => evaluateCommitments(group, points, party));
  if (verifyingPoints.some((point) => point.is0()))
    throw new Abort('degenerate_key', 'a verifying share of the stored key is the identity');
  const identifierOf = identifiersOf(suite, parties);
  const commitments = points.map((point) => Uint8Array.from(group.encodePoint(point)));
  const known = {
    suite,
    threshold,
    parties,
    publicKey: commitments[0]!.slice(),
    public: {
      signers: { min: threshold, max: parties.length },
      commitments,
      verifyingShares: Object.fromEntries(
        parties.map((party, at) => [
          identifierOf(party),
          Uint8Array.from(group.encodePoint(verifyingPoints[at]!)),
        ]),
      ),
    },
    identifierOf,
  };
  return { known, form };
}

/** Throws Abort: as `loadPublicKeyPackage`, not_a_member, malformed_scalar, signing_share_mismatch. */
export function loadKeyPackage(key: StoredKey, tweak?: Uint8Array): KeyPackage {
  checkParties(key.parties, key.threshold, key.index);
  const { known, form } = loadPublic(key, tweak);
  const { group } = known.suite;
  const identifier = known.identifierOf(key.index);
  const share = form.shareOf(decodeStored(() => group.decodeScalar(key.signingShare)));
  const verifyingShare = group.decodePoint(known.public.verifyingShares[identifier]!);
  if (!group.multiplyBase(share).equals(verifyingShare))
    throw new Abort(
      'signing_share_mismatch',
      'the stored signing share does not match the stored commitments',
    );
  const secret = { identifier, signingShare: Uint8Array.from(group.encodeScalar(share)) };
  return { ...known, index: key.index, secret, destroy: () => void secret.signingShare.fill(0) };
}

/** The library's names for these parties. */
function identifiersOf(
  { frost }: Ciphersuite,
  parties: readonly PartyIndex[],
): (party: PartyIndex) => Identifier {
  const identifiers = new Map(parties.map((party) => [party, frost.Identifier.fromNumber(party)]));
  return (party) => {
    const identifier = identifiers.get(party);
    if (identifier === undefined)
      throw new Abort('stranger_in_set', `party ${party} does not belong to the key`);
    return identifier;
  };
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
  const { keyType, ...fields } = portable;
  const suite = ciphersuiteOf(keyType);
  return {
    ...fields,
    suite,
    identifierOf: identifiersOf(suite, fields.parties),
    destroy: () => void fields.secret.signingShare.fill(0),
  };
}
