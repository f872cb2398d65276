// A proven key for people and scripts.
import type { ProvenKey } from '../client/verify.ts';
import { fingerprint } from '../protocol/records/keyring-roster.ts';
import { fields } from './output.ts';

export function keyLines({ key, keyring, addresses }: ProvenKey): string[] {
  return fields([
    ['key', key.label],
    ['id', key.id],
    ['type', key.keyType],
    ['derived', key.origin && `${key.origin.path} of key ${key.origin.parent}`],
    ['public key', key.publicKey],
    ['address', addresses.map(({ chain, address }) => `${address} (${chain})`)],
    ['keyring', `${keyring.roster.name} ${keyring.id}`],
    ['fingerprint', fingerprint(keyring.id)],
    [
      'certificate',
      `equal results of all ${keyring.roster.parties.length} parties: ${keyring.roster.parties.map((party) => party.name).join(', ')}` +
        (key.origin ? "; it is what the parent's certificate and the path give" : ''),
    ],
  ]);
}

export function keyJson({ key, addresses }: ProvenKey): Record<string, unknown> {
  const { id, label, keyType, publicKey, workspaceId, keyringId, origin } = key;
  return {
    keyId: id,
    label,
    keyType,
    ...origin,
    publicKey,
    addresses,
    workspaceId,
    keyringId,
    verified: true,
  };
}
