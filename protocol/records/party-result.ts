// `party.result`: what one party has to say about a request, signed with its party key: signatures, a key, or a refusal.
// A key result is at once the confirmation of key generation; n equal ones are the key's certificate.
import * as z from 'zod';
import { hexBytes } from '../hex.ts';
import { keyTypeSchema } from '../keys/key-type.ts';
import type { RecordType } from './envelope.ts';
import { ed25519CredentialSchema, epochSchema, networkIdSchema, recordIdSchema } from './fields.ts';

export const keyResultSchema = z.strictObject({
  kind: z.literal('key'),
  keyType: keyTypeSchema,
  /** As the key type encodes public keys. */
  publicKey: hexBytes(32, 33),
  chainCode: hexBytes(32),
  /** The summed commitment vector of verifiable secret sharing: t points. */
  commitments: z.array(hexBytes(32, 33)).min(2).max(50),
  /** Hash of the whole key generation as this party saw it. */
  transcript: hexBytes(32),
});
export type KeyResult = z.infer<typeof keyResultSchema>;

/** Why a party will never sign a request. It refuses only for what cannot change. */
export const refusalCodeSchema = z.enum([
  'not_authorised', // the evidence itself forbids it: policy, membership of keys, payload
  'expired',
  'run_lost', // a key generation completed elsewhere while this party has no share of it
]);
export type RefusalCode = z.infer<typeof refusalCodeSchema>;

const schema = z.strictObject({
  networkId: networkIdSchema,
  /** Id of the request. */
  subject: recordIdSchema,
  keyringId: recordIdSchema,
  epoch: epochSchema,
  party: ed25519CredentialSchema,
  result: z.discriminatedUnion('kind', [
    /** One signature an item, in the request's order. */
    z.strictObject({ kind: z.literal('signatures'), signatures: z.array(hexBytes(64, 72)).min(1).max(50) }),
    keyResultSchema,
    z.strictObject({ kind: z.literal('refusal'), code: refusalCodeSchema, reason: z.string().max(500) }),
  ]),
});
export type PartyResult = z.infer<typeof schema>;

export const partyResult: RecordType<PartyResult> = {
  type: 'party.result',
  schema,
  signers: (result) => [result.party],
};
