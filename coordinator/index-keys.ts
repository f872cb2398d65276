// Under which keys the coordinator's things stand in the store, and pages of the indexes among them. An index entry's last part
// is the id of what it names.
import type { Hex } from '../protocol/hex.ts';
import { StateError } from './state/error.ts';
import type { Store } from './store/store.ts';

export const keyringStream = (id: Hex): string => `keyrings/${id}`;
export const workspaceStream = (id: Hex): string => `workspaces/${id}`;

/** Begins the keys of all workspaces; their ids follow. */
export const workspacePrefix = 'workspace/';

/** A time, in milliseconds since 1970, as it sorts. */
export const sortable = (milliseconds: number): string => String(milliseconds).padStart(15, '0');

export const keys = {
  workspace: (id: Hex) => `${workspacePrefix}${id}`,
  /** A log that was left for another by what its owners said, by its last entry: what was made in it is read by it. */
  leftLog: (id: Hex, entryId: Hex) => `left/${id}/${entryId}`,
  /** Head of a workspace's log. Its version rises with every entry: whatever was judged by it is committed against it. */
  head: (id: Hex) => `head/${id}`,
  keyring: (id: Hex) => `keyring/${id}`,
  request: (id: Hex) => `request/${id}`,
  change: (id: Hex) => `change/${id}`,
  /** Workspaces of an owner's credential. */
  owner: (credential: string, id: Hex) => `owner/${credential}/${id}`,
  /** Workspaces whose logs the nodes of a keyring need. */
  uses: (keyringId: Hex, id: Hex) => `uses/${keyringId}/${id}`,
  /** Requests that the parties of a keyring may act on, or are told of. */
  open: (keyringId: Hex, id: Hex) => `open/${keyringId}/${id}`,
  /** What ends at a time. */
  ends: (at: number, id: Hex) => `ends/${sortable(at)}/${id}`,
  /** Requests whose state time may change before they end. */
  due: (at: number, id: Hex) => `due/${sortable(at)}/${id}`,
  history: (workspaceId: Hex, created: number, id: Hex) =>
    `history/${workspaceId}/${sortable(created)}/${id}`,
  /** Requests and changes that are not final. */
  action: (workspaceId: Hex, created: number, id: Hex) => `action/${workspaceId}/${sortable(created)}/${id}`,
  keyOf: (workspaceId: Hex, created: number, id: Hex) => `keys/${workspaceId}/${sortable(created)}/${id}`,
  changeOf: (workspaceId: Hex, created: number, id: Hex) =>
    `changes/${workspaceId}/${sortable(created)}/${id}`,
  /** Changes of an initiator that are not final. */
  proposed: (workspaceId: Hex, initiator: string, id: Hex) => `proposed/${workspaceId}/${initiator}/${id}`,
  /** A workspace whose open actions were made before this entry of its log or its parent's, and are to be ended. */
  stale: (workspaceId: Hex, entryId: Hex) => `stale/${workspaceId}/${entryId}`,
  /** What requests took from a workspace's limits. */
  debit: (workspaceId: Hex, at: number, id: Hex) => `debit/${workspaceId}/${sortable(at)}/${id}`,
  /** Its version rises with every debit that was judged against the others. */
  limits: (workspaceId: Hex) => `limits/${workspaceId}`,
} as const;

/** A page of ids in the order of an index, with the cursor of the next one. */
export interface Page {
  readonly ids: readonly Hex[];
  readonly next?: string;
}

/** At most `limit` ids of an index after the cursor. Throws StateError for a cursor that is none. */
export async function pageOfIndex(
  store: Pick<Store, 'scan'>,
  prefix: string,
  after: string | undefined,
  limit: number,
): Promise<Page> {
  const from = after === undefined ? undefined : prefix + readCursor(after);
  const entries = await store.scan(prefix, from, limit);
  const last = entries.at(-1);
  const ids = entries.map((entry) => idOf(entry.key));
  const more = entries.length === limit && last !== undefined;
  return more ? { ids, next: writeCursor(last.key.slice(prefix.length)) } : { ids };
}

/** Ids of an index over time that stand at `now` or before it. */
export async function until(
  store: Pick<Store, 'scan'>,
  prefix: 'ends/' | 'due/',
  now: number,
  limit: number,
): Promise<readonly Hex[]> {
  const entries = await store.scan(prefix, undefined, limit);
  const past = entries.filter((entry) => entry.key < `${prefix}${sortable(now + 1)}`);
  return past.map((entry) => idOf(entry.key));
}

/** The last part of an index key. */
export function idOf(key: string): Hex {
  return key.slice(key.lastIndexOf('/') + 1) as Hex;
}

/** Cursors are opaque to clients: base64url of the index key's rest. */
function writeCursor(rest: string): string {
  return Buffer.from(rest).toString('base64url');
}

function readCursor(cursor: string): string {
  const rest = Buffer.from(cursor, 'base64url').toString();
  if (!/^[a-z0-9/:._-]{1,300}$/.test(rest)) {
    throw new StateError(
      'invalid_params',
      '`after` is not a cursor of this list',
      'use `next` of the page before',
    );
  }
  return rest;
}
