// `keyring.roster`: the signed list of a keyring's parties with their threshold. The first roster's record id is the
// keyring's id; an admin and every party sign it.
import * as z from 'zod';
import { type Hex } from '../hex.ts';
import {
  type Envelope,
  RecordError,
  type RecordType,
  type VerifiedRecord,
  verifyRecord,
} from './envelope.ts';
import {
  ed25519CredentialSchema,
  distinct,
  type Epoch,
  labelSchema,
  nameSchema,
  networkIdSchema,
  nonceSchema,
  recordIdSchema,
  timestampSchema,
} from './fields.ts';

/** What a multiaddress can hold: people see it in a terminal before they sign. */
const addressSchema = z
  .string()
  .regex(/^\/[!-~]{1,199}$/, 'an address is a multiaddress like /ip4/10.0.0.1/tcp/4001');

/** A member as its operator introduces it: `party.json`, and an entry of the roster. */
export const partySchema = z.strictObject({
  name: nameSchema,
  /** The party key: signs results, and is the node's libp2p identity. */
  key: ed25519CredentialSchema,
  /** Multiaddresses; hints, which a node's own configuration overrides. */
  addresses: z.array(addressSchema).max(8),
});
export type Party = z.infer<typeof partySchema>;

const schema = z
  .strictObject({
    networkId: networkIdSchema,
    name: labelSchema,
    admins: z.array(ed25519CredentialSchema).min(1).max(10),
    parties: z.array(partySchema).min(2).max(50),
    threshold: z.int().min(2),
    /** The roster's number. Successors of a first roster are a later protocol version's matter. */
    epoch: z.literal(1),
    serves: z.union([z.literal('open'), z.array(recordIdSchema).min(1).max(100)]),
    created: timestampSchema,
    nonce: nonceSchema,
  })
  .refine(
    (roster) => roster.threshold <= roster.parties.length,
    'the threshold is larger than the number of parties',
  )
  .refine((roster) => distinct(roster.parties.map((party) => party.name)), 'party names must be distinct')
  .refine((roster) => distinct(roster.parties.map((party) => party.key)), 'party keys must be distinct')
  .refine((roster) => distinct(roster.admins), 'admins must be distinct');
export type KeyringRoster = z.infer<typeof schema>;

export const keyringRoster: RecordType<KeyringRoster> = {
  type: 'keyring.roster',
  schema,
  introduces: (roster) => [...roster.admins, ...roster.parties.map((party) => party.key)],
  signers: (roster) => roster.parties.map((party) => party.key),
};

/** A keyring as everybody may rely on it, from a roster that an admin and all its parties signed. */
export interface Keyring {
  readonly id: Hex;
  readonly epoch: Epoch;
  readonly roster: KeyringRoster;
  readonly envelope: Envelope;
}

/** Checks a first roster: form, keys, signatures of every party and of an admin. Throws RecordError. */
export function openKeyring(envelope: Envelope, networkId: string): Keyring {
  const record: VerifiedRecord<KeyringRoster> = verifyRecord(keyringRoster, envelope, networkId);
  if (!record.content.admins.some((admin) => record.signedBy.includes(admin))) {
    throw new RecordError(
      'missing_signature',
      'keyring.roster',
      'no admin has signed: an admin of it must sign too',
    );
  }
  return { id: record.id, epoch: { roster: record.content.epoch, run: 0 }, roster: record.content, envelope };
}

/** 1-based position of a party in the roster: its identifier in every threshold protocol; 0 when it is no member. */
export function partyIndex(roster: KeyringRoster, key: string): number {
  return roster.parties.findIndex((party) => party.key === key) + 1;
}

/** The part of a keyring's id that people compare over the telephone: four groups of four hex digits. */
export function fingerprint(id: Hex): string {
  return (id.slice(2, 18).match(/.{4}/g) ?? []).join(' ');
}
