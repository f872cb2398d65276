// Rosters while they gather signatures: what may be trusted of a draft, and how copies that operators signed apart
// become one.
import { base64urlnopad } from '@scure/base';
import type { Hex } from '../protocol/hex.ts';
import { type Envelope, verifyRecord } from '../protocol/records/envelope.ts';
import { fingerprint, type KeyringRoster, keyringRoster } from '../protocol/records/keyring-roster.ts';
import { CliError } from './errors.ts';
import { fields, table } from './output.ts';

export interface RosterDraft {
  /** The keyring's id. */
  readonly id: Hex;
  readonly roster: KeyringRoster;
  readonly signedBy: readonly string[];
  readonly envelope: Envelope;
}

/**
 * A roster that perhaps not everybody has signed: form, keys, and every signature it has are checked, one of an admin
 * among them. `source` names it in errors.
 *
 * @throws {RecordError} when it is malformed or a signature does not verify
 * @throws {CliError} `failed` when an outsider signed it, or no admin did
 */
export function openDraft(envelope: Envelope, networkId: string, source: string): RosterDraft {
  const {
    id,
    content: roster,
    signedBy,
  } = verifyRecord({ ...keyringRoster, signers: () => [] }, envelope, networkId);
  const members = new Set([...roster.admins, ...roster.parties.map((party) => party.key)]);
  const outsider = signedBy.find((credential) => !members.has(credential));
  if (outsider !== undefined) {
    throw new CliError(
      'failed',
      `${source} is signed by ${outsider}, who is no admin and no party of it`,
      'ask its admin',
    );
  }
  if (!roster.admins.some((admin) => signedBy.includes(admin))) {
    throw new CliError(
      'failed',
      `${source} is not signed by an admin of it`,
      'ask for the draft its admin signed',
    );
  }
  return { id, roster, signedBy, envelope };
}

/** Names of the parties that have not signed. */
export function unsigned({ roster, signedBy }: RosterDraft): string[] {
  return roster.parties.filter((party) => !signedBy.includes(party.key)).map((party) => party.name);
}

/** Envelopes of equal bytes as one, with the signatures of all. Throws CliError `failed` when the bytes differ. */
export function mergeSignatures(
  copies: readonly [
    { readonly envelope: Envelope; readonly source: string },
    ...{ readonly envelope: Envelope; readonly source: string }[],
  ],
): Envelope {
  const [first, ...others] = copies;
  const signatures = new Map(first.envelope.signatures.map((entry) => [entry.credential, entry]));
  for (const { envelope, source } of others) {
    if (envelope.type !== first.envelope.type || !sameBytes(envelope, first.envelope)) {
      throw new CliError(
        'failed',
        `${source} is another roster than ${first.source}`,
        'name only copies of one draft',
      );
    }
    for (const entry of envelope.signatures) {
      if (!signatures.has(entry.credential)) signatures.set(entry.credential, entry);
    }
  }
  return { ...first.envelope, signatures: [...signatures.values()] };
}

/** Whether two envelopes hold the same record. base64url text of equal bytes may differ in unused bits, so bytes count. */
export function sameBytes(one: Envelope, other: Envelope): boolean {
  try {
    return Buffer.compare(base64urlnopad.decode(one.bytes), base64urlnopad.decode(other.bytes)) === 0;
  } catch {
    return false;
  }
}

/** What an operator compares before signing. `own` marks the operator's own party. */
export function describeRoster({ id, roster, signedBy }: RosterDraft, own?: string): string[] {
  const { name, threshold, parties, serves, admins, networkId } = roster;
  const summary = fields([
    ['keyring', name],
    ['id', id],
    ['fingerprint', fingerprint(id)],
    ['network', networkId],
    ['threshold', `${threshold} of ${parties.length} parties sign`],
    ['serves', serves === 'open' ? 'any workspace that names it' : [...serves]],
    ['admins', admins],
    ['created', roster.created],
  ]);
  const rows = parties.map((party) => [
    party.key === own ? `${party.name} (this node)` : party.name,
    signedBy.includes(party.key) ? 'yes' : 'no',
    party.key,
    party.addresses.join(' '),
  ]);
  return [...summary, '', ...table(['party', 'signed', 'key', 'addresses'], rows)];
}

/** The same for `--json`. */
export function rosterJson(draft: RosterDraft): Record<string, unknown> {
  const { id, roster, signedBy } = draft;
  const { name, threshold, admins, serves, networkId, created } = roster;
  return {
    keyringId: id,
    fingerprint: fingerprint(id),
    name,
    networkId,
    threshold,
    admins,
    serves,
    created,
    parties: roster.parties.map((party) => ({ ...party, signed: signedBy.includes(party.key) })),
    unsigned: unsigned(draft),
  };
}
