// A signed record: exact bytes, signed. Verifiers check the bytes that were signed, never a re-encoding made from
// parsed fields. Record id = SHA-256 over tag, network id and bytes, each preceded by its length (u32, big endian).
import { sha256 } from '@noble/hashes/sha2.js';
import { equalBytes } from '@noble/curves/utils.js';
import { concatBytes } from '@noble/hashes/utils.js';
import { base64urlnopad } from '@scure/base';
import * as z from 'zod';
import { fromHex, type Hex, toHex } from '../hex.ts';
import { publicKeyOf, signing } from '../keys/ed25519.ts';
import { type CanonicalError, decodeCanonical, encodeCanonical } from './canonical.ts';
import type { Credential } from './credential.ts';
import { walletDigestOf } from './eip712.ts';
import { lengthPrefixed } from './length-prefixed.ts';
import { type Readable, readableContent } from './readable.ts';
import { checkCredential, signatureProblem, type SignedRecord, signaturesSchema } from './signature.ts';

export { publicKeyOfCredential } from './credential.ts';
export { lengthPrefixed } from './length-prefixed.ts';

/** Largest record, in bytes before base64url: 50 items of Solana's largest transaction fit. */
export const maxRecordBytes = 256 * 1024;

export const envelopeSchema = z.strictObject({
  type: z.string().regex(/^[a-z.]{1,40}$/),
  bytes: z
    .string()
    .max(Math.ceil((maxRecordBytes * 4) / 3))
    .regex(/^[A-Za-z0-9_-]+$/),
  signatures: signaturesSchema,
});
export type Envelope = z.infer<typeof envelopeSchema>;

export type RecordErrorCode =
  | 'malformed' // the envelope or its bytes are not a record of this type
  | 'wrong_network' // made for another network
  | 'bad_key' // introduces a degenerate public key
  | 'bad_signature' // a signature does not verify
  | 'missing_signature' // somebody who must sign has not
  | 'wrong_about'; // a decision says of what it decides on something else than that does

export class RecordError extends Error {
  override readonly name = 'RecordError';
  readonly code: RecordErrorCode;
  readonly type: string;
  constructor(code: RecordErrorCode, type: string, message: string) {
    super(`${type}: ${message}`);
    this.code = code;
    this.type = type;
  }
}

/** What a record type says about itself. `Content` always has `networkId`. */
export interface RecordType<Content extends { networkId: string }> {
  readonly type: string;
  readonly schema: z.ZodType<Content>;
  /** Public keys that this record introduces: each is checked once, here, before any signature is verified under it. */
  introduces?(content: Content): readonly Credential[];
  /** Credentials that must have signed, as far as the record alone tells; the rest is judged where evidence is. */
  signers(content: Content): readonly Credential[];
  /**
   * What a wallet shows of the record when it signs it, made of the content alone. Once records of the type are signed, it
   * stays as it is: what wallets signed is made again from it. Without it: everything in the record.
   */
  readable?(content: Content): Readable;
}

/** A type that says what is shown of it: what decisions are made on. */
export type ShownType<Content extends { networkId: string }> = RecordType<Content> &
  Required<Pick<RecordType<Content>, 'readable'>>;

/** A record whose form and signatures were checked. Whether its signers had the right is the caller's question. */
export interface VerifiedRecord<Content> {
  readonly id: Hex;
  readonly content: Content;
  /** Credentials whose signatures verified: all of the envelope's. */
  readonly signedBy: readonly Credential[];
  readonly envelope: Envelope;
}

/** Begins what a record's id and signatures are made over: records of another version are other records. */
export const recordTag = 'countersign/v1';

/** 32 bytes: the id of the record of `type` with these canonical bytes on that network. */
export function recordId(type: string, networkId: string, bytes: Uint8Array): Hex {
  const text = new TextEncoder();
  return toHex(sha256(lengthPrefixed(text.encode(`${recordTag}/${type}`), text.encode(networkId), bytes)));
}

/** What an ed25519 credential signs: `countersign/v1/<type>`, a zero byte, the record id. */
export function signingBytes(type: string, id: Hex): Uint8Array {
  return concatBytes(new TextEncoder().encode(`${recordTag}/${type}\0`), fromHex(id));
}

/** The ed25519 credential of a 32-byte public key. */
export function credentialOf(publicKey: Uint8Array): Credential {
  return `ed25519:${toHex(publicKey)}`;
}

/** Whoever can sign records: a person's identity, a party key, a test. */
export interface Signer {
  readonly credential: Credential;
  sign(message: Uint8Array): Uint8Array;
}

/** A signer with an ed25519 seed of 32 bytes. */
export function ed25519Signer(seed: Uint8Array): Signer {
  return { credential: credentialOf(publicKeyOf(seed)), sign: signing(seed) };
}

function readBytes(envelope: Envelope): Uint8Array {
  try {
    return base64urlnopad.decode(envelope.bytes);
  } catch {
    throw new RecordError(
      'malformed',
      envelope.type,
      'bytes are not canonical base64url: take the record from its source again',
    );
  }
}

/** Content of an envelope without any check of signatures: for drafts that still gather them. Throws RecordError. */
export function readContent<Content extends { networkId: string }>(
  kind: RecordType<Content>,
  envelope: Envelope,
  networkId: string,
): { id: Hex; content: Content } {
  if (envelope.type !== kind.type) {
    throw new RecordError(
      'malformed',
      kind.type,
      `this is a ${envelope.type} record: a ${kind.type} record belongs here`,
    );
  }
  const bytes = readBytes(envelope);
  let value: unknown;
  try {
    value = decodeCanonical(bytes, maxRecordBytes);
  } catch (error) {
    throw new RecordError('malformed', kind.type, (error as CanonicalError).message);
  }
  const parsed = kind.schema.safeParse(value);
  if (!parsed.success) throw new RecordError('malformed', kind.type, z.prettifyError(parsed.error));
  const content = parsed.data;
  // A table of a schema passes over a key `__proto__`: what was signed is what is read, or nothing.
  if (!equalBytes(encodeCanonical(content), bytes))
    throw new RecordError(
      'malformed',
      kind.type,
      'has a field `__proto__`, which no record has: leave it out',
    );
  if (content.networkId !== networkId) {
    throw new RecordError(
      'wrong_network',
      kind.type,
      `made for network ${content.networkId}, this is ${networkId}: make it anew for this network`,
    );
  }
  return { id: recordId(kind.type, networkId, bytes), content };
}

/** Throws RecordError `bad_key` naming the first credential whose key is none. */
export function checkIntroducedKeys(type: string, credentials: readonly Credential[]): void {
  for (const credential of credentials) {
    try {
      checkCredential(credential);
    } catch (error) {
      throw new RecordError('bad_key', type, `${credential}: ${(error as Error).message}`);
    }
  }
}

/** A record of this id and content as credentials of any type sign it. */
export function signedRecord<Content extends { networkId: string }>(
  kind: RecordType<Content>,
  id: Hex,
  content: Content,
): SignedRecord {
  const record = {
    type: kind.type,
    networkId: content.networkId,
    id,
    readable: () => kind.readable?.(content) ?? readableContent(kind.type, content),
  };
  let digest: Uint8Array | undefined;
  // Once, or 32 wallets on the largest record would take seconds.
  const walletDigest = (): Uint8Array => (digest ??= walletDigestOf(record));
  return { ...record, message: signingBytes(kind.type, id), walletDigest };
}

/**
 * Checks form, network, introduced keys and every signature of an envelope. Throws RecordError naming the first thing
 * wrong. Envelopes of hostile origin must have passed `envelopeSchema` before.
 */
export function verifyRecord<Content extends { networkId: string }>(
  kind: RecordType<Content>,
  envelope: Envelope,
  networkId: string,
): VerifiedRecord<Content> {
  const { id, content } = readContent(kind, envelope, networkId);
  const introduced = kind.introduces?.(content) ?? [];
  const signers = new Set(envelope.signatures.map((entry) => entry.credential));
  // A key is checked before a signature under it counts. The others come after: each costs as much as ten
  // signatures, and a record may introduce a thousand.
  checkIntroducedKeys(
    kind.type,
    introduced.filter((credential) => signers.has(credential)),
  );
  const record = signedRecord(kind, id, content);
  const signedBy = new Set<Credential>();
  for (const { credential, signature } of envelope.signatures) {
    if (signedBy.has(credential))
      throw new RecordError(
        'malformed',
        kind.type,
        `${credential} signed twice: remove the second signature`,
      );
    const problem = signatureProblem(record, credential, signature);
    if (problem !== undefined) {
      throw new RecordError(
        'bad_signature',
        kind.type,
        `the signature of ${credential} does not verify: ${problem}`,
      );
    }
    signedBy.add(credential);
  }
  checkIntroducedKeys(kind.type, introduced);
  for (const credential of kind.signers(content)) {
    if (!signedBy.has(credential))
      throw new RecordError(
        'missing_signature',
        kind.type,
        `${credential} has not signed: add its signature`,
      );
  }
  if (signedBy.size === 0)
    throw new RecordError('missing_signature', kind.type, 'nobody signed: add a signature');
  return { id, content, signedBy: [...signedBy], envelope };
}

/** A record of `content`, signed by `signers`. Throws when the content does not fit the type's schema. */
export function createRecord<Content extends { networkId: string }>(
  kind: RecordType<Content>,
  content: Content,
  ...signers: readonly Signer[]
): Envelope {
  const parsed = kind.schema.safeParse(content);
  if (!parsed.success) throw new RecordError('malformed', kind.type, z.prettifyError(parsed.error));
  const bytes = encodeCanonical(parsed.data);
  if (bytes.length > maxRecordBytes) {
    throw new RecordError(
      'malformed',
      kind.type,
      `${bytes.length} bytes, the limit is ${maxRecordBytes}: put less into it`,
    );
  }
  const unsigned: Envelope = { type: kind.type, bytes: base64urlnopad.encode(bytes), signatures: [] };
  return signers.reduce((envelope, signer) => addSignature(envelope, content.networkId, signer), unsigned);
}

/** The envelope with the signature of `signer` added, or unchanged when it is there already. */
export function addSignature(envelope: Envelope, networkId: string, signer: Signer): Envelope {
  if (envelope.signatures.some((entry) => entry.credential === signer.credential)) return envelope;
  const id = recordId(envelope.type, networkId, readBytes(envelope));
  const signature = toHex(signer.sign(signingBytes(envelope.type, id)));
  return { ...envelope, signatures: [...envelope.signatures, { credential: signer.credential, signature }] };
}

/** The id an envelope's bytes have on a network; nothing is verified. */
export function envelopeId(envelope: Envelope, networkId: string): Hex {
  return recordId(envelope.type, networkId, readBytes(envelope));
}
