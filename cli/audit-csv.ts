// Requests of an audit as rows for a spreadsheet, by RFC 4180. Cells come from what others wrote: none of them is computed.
import { base58 } from '@scure/base';
import type { AuditedRequest } from '../protocol/audit-check.ts';
import { fromHex } from '../protocol/hex.ts';
import { addressesOf } from '../protocol/keys/key-type.ts';
import { type Assembled, assembleAll } from '../protocol/payloads/payload.ts';
import { policyFacts } from '../protocol/policy/facts.ts';
import { readContent } from '../protocol/records/envelope.ts';
import { partyResult } from '../protocol/records/party-result.ts';

const columns = [
  'request id',
  'kind',
  'created',
  'ended',
  'state',
  'reason',
  'initiator',
  'approved by',
  'key label',
  'address',
  'payload kind',
  'chain',
  'asset',
  'to',
  'amount (base units)',
  'fee (base units)',
  'signature',
  'transaction id',
] as const;
type Row = Partial<Record<(typeof columns)[number], string>>;

/** What spreadsheets take for the beginning of a formula. */
const computed = /^[=+\-@\t\r]/;

/** A cell as it stands in the file. */
export function cell(text: string): string {
  const inert = computed.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
}

function line(cells: readonly string[]): string {
  return `${cells.map(cell).join(',')}\r\n`;
}

export const csvHeader: string = line(columns);

/** The rows of a request: one for each item, one for a request for a key. */
export function csvRows(audited: AuditedRequest): string[] {
  const { entry, authorisation, approvedBy } = audited;
  const { request, requestId } = authorisation;
  const base: Row = {
    'request id': requestId,
    kind: request.kind,
    created: request.created,
    ended: entry.at,
    state: entry.state,
    ...(entry.reason && { reason: `${entry.reason.code}: ${entry.reason.detail}` }),
    initiator: request.initiator,
    'approved by': approvedBy.join('; '),
  };
  const rows = request.kind === 'key' ? [keyRow(audited)] : itemRows(audited);
  return rows
    .map((row): Row => ({ ...base, ...row }))
    .map((row) => line(columns.map((column) => row[column] ?? '')));
}

function addressText(keyType: Parameters<typeof addressesOf>[0], publicKey: string): string {
  return addressesOf(keyType, fromHex(publicKey))
    .map(({ address }) => address)
    .join('; ');
}

function keyRow({ entry, authorisation: { request } }: AuditedRequest): Row {
  if (request.kind !== 'key') return {};
  const row: Row = { 'key label': request.label, 'payload kind': 'key.request' };
  if (entry.state !== 'fulfilled') return row;
  const { networkId } = request;
  const results = entry.results.map((result) => readContent(partyResult, result, networkId).content.result);
  const made = results.find((result) => result.kind === 'key');
  return made === undefined ? row : { ...row, address: addressText(made.keyType, made.publicKey) };
}

function itemRows({ entry, authorisation }: AuditedRequest): Row[] {
  const assembled = assembledOf(entry, authorisation);
  return authorisation.items.map(({ key, payload }, index): Row => {
    const { chain, movements, fee } = policyFacts(payload.facts);
    const each = (of: (movement: (typeof movements)[number]) => string): string =>
      movements.map(of).join('; ');
    return {
      'key label': key.label,
      address: addressText(key.keyType, key.publicKey),
      'payload kind': payload.kind,
      ...(chain !== undefined && { chain }),
      asset: each(({ address }) => address),
      to: each(({ to }) => to[0] ?? ''),
      'amount (base units)': each(({ amount }) => String(amount)),
      ...(fee !== undefined && { 'fee (base units)': String(fee) }),
      signature: entry.signatures?.[index] ?? '',
      'transaction id': transactionId(payload, assembled?.[index], entry.signatures?.[index]),
    };
  });
}

type Entry = AuditedRequest['entry'];
type Authorised = AuditedRequest['authorisation'];

/** The signed forms of the items; undefined of what was not signed. */
function assembledOf(
  { state, signatures }: Entry,
  { request, items }: Authorised,
): readonly Assembled[] | undefined {
  if (state !== 'fulfilled' || request.kind !== 'sign' || signatures === undefined) return undefined;
  return assembleAll(
    items.map(({ key, payload: decoded }, index) => ({
      payload: request.items[index]!.payload,
      key: { keyType: key.keyType, publicKey: fromHex(key.publicKey) },
      signature: fromHex(signatures[index]!),
      decoded,
    })),
  );
}

/** By which the chain names what was signed, where that is known; empty elsewhere. */
function transactionId(
  { facts }: Authorised['items'][number]['payload'],
  assembled: Assembled | undefined,
  signature: string | undefined,
): string {
  if (assembled === undefined || signature === undefined) return '';
  if (facts.kind === 'evm.transaction') return assembled.transactionHash ?? '';
  if (facts.kind === 'bitcoin.psbt') return facts.txid?.slice(2) ?? '';
  // A Solana transaction is named by its fee payer's signature.
  const alone = facts.kind === 'solana.transaction' && facts.requiredSigners.length === 1;
  return alone ? base58.encode(fromHex(signature)) : '';
}
