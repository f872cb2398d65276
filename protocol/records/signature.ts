// A signature on a record, by its credential's type: what it is over, how long it may be, and whether it is valid. Whether
// its signer had the right is told elsewhere.
import * as z from 'zod';
import { fromHex, type Hex, hexBytes } from '../hex.ts';
import { checkOnce, checkPublicKeyOnce } from '../keys/checked-keys.ts';
import { verify } from '../keys/ed25519.ts';
import { checkPublicKey as checkP256Key } from '../keys/p256.ts';
import {
  type Credential,
  credentialType,
  ed25519CredentialSchema,
  eip712CredentialSchema,
  passkeyOf,
  publicKeyOfCredential,
  webauthnCredentialSchema,
} from './credential.ts';
import { type ReadableRecord, walletSignatureLength, walletSignatureProblem } from './eip712.ts';
import { maxPasskeySignature, minPasskeySignature, passkeySignatureProblem } from './webauthn.ts';

const ed25519SignatureLength = 64;
const maxSignatures = 256;
/** Of wallets and passkeys on one record: each costs as much as many others, and few people sign one record. */
const maxOutsideSignatures = 32;

/** A signature of an envelope: of no other length than its credential makes. */
export const recordSignatureSchema: z.ZodType<RecordSignature, RecordSignature> = z.xor([
  z.strictObject({ credential: ed25519CredentialSchema, signature: hexBytes(ed25519SignatureLength) }),
  z.strictObject({ credential: eip712CredentialSchema, signature: hexBytes(walletSignatureLength) }),
  z.strictObject({
    credential: webauthnCredentialSchema,
    signature: hexBytes(minPasskeySignature, maxPasskeySignature),
  }),
]);

/** As it is read from an envelope. */
export interface RecordSignature {
  credential: Credential;
  signature: Hex;
}

/** Signatures of an envelope, bounded in number and each in its length, before anything is computed. */
export const signaturesSchema = z
  .array(recordSignatureSchema)
  .max(maxSignatures)
  .refine(
    (signatures) =>
      signatures.filter(({ credential }) => credentialType(credential) !== 'ed25519').length <=
      maxOutsideSignatures,
    `more than ${maxOutsideSignatures} signatures of wallets and passkeys`,
  );

/**
 * Checks the key of a credential, once for each key. An address names no key that could be looked at: whose signature
 * recovers to it has one.
 *
 * @throws {Ed25519KeyError|EcdsaKeyError} naming what is wrong with the key
 */
export function checkCredential(credential: Credential): void {
  switch (credentialType(credential)) {
    case 'ed25519':
      return checkPublicKeyOnce(publicKeyOfCredential(credential));
    case 'eip712':
      return;
    case 'webauthn':
      return checkOnce('p256', passkeyOf(credential).publicKey, checkP256Key);
  }
}

/** A record as it is signed by any type of credential. */
export interface SignedRecord extends ReadableRecord {
  /** What an ed25519 credential signs. */
  readonly message: Uint8Array;
  /** What a wallet signs, 32 bytes: computed once, however many wallets signed. */
  readonly walletDigest: () => Uint8Array;
}

/** What is wrong with a signature on a record; undefined when it is valid. Throws nothing for what schemas let through. */
export function signatureProblem(
  record: SignedRecord,
  credential: Credential,
  signature: Hex,
): string | undefined {
  const bytes = fromHex(signature);
  switch (credentialType(credential)) {
    case 'ed25519':
      return verify(publicKeyOfCredential(credential), record.message, bytes)
        ? undefined
        : 'it must sign these very bytes';
    case 'eip712':
      return walletSignatureProblem(credential.slice('eip712:'.length), record.walletDigest, bytes);
    case 'webauthn':
      return passkeySignatureProblem(passkeyOf(credential), fromHex(record.id), bytes);
  }
}
