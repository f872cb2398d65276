// A blame bundle: everything that is needed to see for oneself that a party broke the protocol, but for the one thing a
// reader must know from elsewhere: the keyring's id. Canonical JSON, so that a bundle has one spelling and one id.
import { base64urlnopad } from '@scure/base';
import { bytesToHex } from '@noble/hashes/utils.js';
import * as z from 'zod';
import { keyTypeSchema } from '../../../protocol/keys/key-type.ts';
import { keyEntrySchema } from '../../../protocol/key-proofs.ts';
import { hexBytes } from '../../../protocol/hex.ts';
import { decodeCanonical, encodeCanonical } from '../../../protocol/records/canonical.ts';
import { envelopeSchema } from '../../../protocol/records/envelope.ts';
import {
  ed25519CredentialSchema,
  networkIdSchema,
  recordIdSchema,
} from '../../../protocol/records/fields.ts';
import { taggedHash } from '../../mpc/hash.ts';
import { BlameError } from './error.ts';

/** Faults that a party's own signed messages prove, and what each means. */
export const faults = {
  leader_equivocated: 'as leader, it signed two PROPOSEs or two STARTs of one attempt',
  duplicate_member: 'as leader, it signed a START that lists a member twice',
  set_size: 'as leader, it signed a START whose set has the wrong number of members',
  commitment_mismatch: 'as leader, it signed a START with another ACCEPT of its own than it had committed to',
  excluded_pair:
    'as leader, it signed a START with two members of whom one had said that it does not presign with the other',
  item_count: 'it signed an ACCEPT with the wrong number of nonce commitments',
  unknown_message: 'it signed a message that does not occur in the protocol of its session',
  malformed_message: 'it signed a protocol message of a wrong length',
  equivocation: 'it signed two different messages where the protocol has one',
  commitment_count: 'it dealt a polynomial of another length than the threshold',
  opening_mismatch: 'it opened something else than it had committed to',
  malformed_point: 'it signed a commitment that is no valid point',
  malformed_scalar: 'it signed a number that is not canonical',
  invalid_proof: 'it did not prove that it knows what it dealt',
  invalid_dealt_share: 'it dealt a share that does not lie on its committed polynomial',
  malformed_share: 'it signed a signature share that is no canonical number',
  invalid_share:
    'it signed a signature share that is wrong for its commitments, its key share and the message',
} as const;
export type FaultCode = keyof typeof faults;

export function isFaultCode(code: string): code is FaultCode {
  return Object.hasOwn(faults, code);
}

/** Three frames of the largest size that the network carries, in base64, and the records beside them. */
export const maxBundleBytes = 6 * 1024 * 1024;
const maxFrameText = Math.ceil((1024 * 1024 * 4) / 3);

export const blameSchema = z.strictObject({
  type: z.literal('countersign.blame'),
  version: z.literal(1),
  networkId: networkIdSchema,
  /** The keyring, as its admin and all its parties signed it. */
  roster: envelopeSchema,
  accused: ed25519CredentialSchema,
  code: z.enum(Object.keys(faults) as [FaultCode, ...FaultCode[]]),
  requestId: recordIdSchema,
  attemptId: z.string().regex(/^[0-9a-f]{64}$/),
  /** Signed session messages verbatim, base64url without padding, in the order in which they are replayed. */
  frames: z
    .array(
      z
        .string()
        .max(maxFrameText)
        .regex(/^[A-Za-z0-9_-]+$/),
    )
    .min(1)
    .max(3),
  /** For a fault in key generation: the key's type, to which the attempt's digest is bound. */
  generating: z.strictObject({ keyType: keyTypeSchema }).optional(),
  /** For a fault in signing: the item, what was to be signed, and the key request with the key's certificate. */
  signing: z
    .strictObject({
      item: z.int().min(0).max(49),
      message: z.string().regex(/^0x(?:[0-9a-f]{2})*$/),
      /** What the key is tweaked with to sign it; absent where the key itself signs. */
      tweak: hexBytes(32).optional(),
      key: keyEntrySchema,
      /** Of a derived key: the key it comes from. */
      parent: keyEntrySchema.optional(),
    })
    .optional(),
});
export type BlameBundle = z.infer<typeof blameSchema>;

/** 32 bytes in hex: the name of a bundle, from its canonical bytes. */
export function bundleId(bytes: Uint8Array): string {
  return bytesToHex(taggedHash('countersign/v1/blame', bytes));
}

export function encodeBundle(bundle: BlameBundle): Uint8Array {
  return encodeCanonical(bundle);
}

/** The bundle in a file's bytes, of which one line feed at the end is no part. Form only. Throws BlameError `malformed`. */
export function decodeBundle(file: Uint8Array): { bundle: BlameBundle; id: string } {
  const bytes = file.at(-1) === 0x0a ? file.subarray(0, -1) : file;
  let value: unknown;
  try {
    value = decodeCanonical(bytes, maxBundleBytes);
  } catch (error) {
    // What is wrong, without what a writer of records should do about it.
    const [what] = (error as Error).message.split(': ');
    throw new BlameError('malformed', `not a blame bundle: ${what}`);
  }
  const parsed = blameSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const where = issue?.path.map(String).join('.') || 'the file';
    throw new BlameError('malformed', `not a blame bundle: ${where}: ${issue?.message ?? 'wrong form'}`);
  }
  return { bundle: parsed.data, id: bundleId(bytes) };
}

/** A frame as it stands in a bundle. */
export function frameText(bytes: Uint8Array): string {
  return base64urlnopad.encode(bytes);
}

/** Throws BlameError `malformed` for anything but the one base64url text of some bytes. */
export function frameBytes(text: string): Uint8Array {
  try {
    return base64urlnopad.decode(text);
  } catch (cause) {
    throw new BlameError('malformed', 'a frame is not canonical base64url', { cause });
  }
}
