// The types of records that owners sign, and so those that wallets and passkeys are asked to sign.
import { decision } from './decision.ts';
import { type Envelope, RecordError, type RecordType } from './envelope.ts';
import { request } from './request.ts';
import { workspaceChange } from './workspace-change.ts';
import { workspaceGenesis } from './workspace-genesis.ts';

type OwnerRecord = RecordType<{ networkId: string }>;

const ownerRecords = [
  workspaceGenesis,
  workspaceChange,
  request,
  decision,
] as readonly unknown[] as readonly OwnerRecord[];

/** What an envelope says it is, if owners sign such records. Throws RecordError `malformed`. */
export function ownerRecordOf(envelope: Envelope): OwnerRecord {
  const kind = ownerRecords.find(({ type }) => type === envelope.type);
  if (kind !== undefined) return kind;
  const types = ownerRecords.map(({ type }) => type).join(', ');
  throw new RecordError('malformed', envelope.type, `owners do not sign such records, but ${types}`);
}
