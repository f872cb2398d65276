// Where the coordinator's things stand in the store, and how a transition is committed: read, apply, compare-and-set,
// again on conflict.
import type { Hex } from '../protocol/hex.ts';
import { type Envelope, readContent } from '../protocol/records/envelope.ts';
import { originOf, request as requestRecord } from '../protocol/records/request.ts';
import { isFinal, keyEntry, type Outcome, type RequestContext, type StoredRequest } from './state/request.ts';
import { StateError } from './state/error.ts';
import { expire } from './state/transitions.ts';
import { type Commit, Conflict, type Entry, type JsonValue, type Store } from './store/store.ts';

const maxAttempts = 100;

export interface StoredWorkspace {
  readonly log: readonly Envelope[];
  readonly created: number;
}
export interface StoredKeyring {
  readonly roster: Envelope;
  readonly created: number;
}

export const keyringStream = (id: Hex): string => `keyrings/${id}`;
export const workspaceStream = (id: Hex): string => `workspaces/${id}`;

/** Begins the keys of all workspaces; their ids follow. */
export const workspacePrefix = 'workspace/';

const workspaceKey = (id: Hex): string => `${workspacePrefix}${id}`;
const keyringKey = (id: Hex): string => `keyring/${id}`;
const requestKey = (id: Hex): string => `request/${id}`;
const ownerKey = (credential: string, id: Hex): string => `owner/${credential}/${id}`;
const openKey = (keyringId: Hex, id: Hex): string => `open/${keyringId}/${id}`;
const sortable = (milliseconds: number): string => String(milliseconds).padStart(15, '0');
const endKey = (request: StoredRequest): string => `ends/${sortable(request.expires)}/${request.requestId}`;
const historyKey = (request: StoredRequest): string =>
  `history/${request.workspaceId}/${sortable(request.created)}/${request.requestId}`;
const actionKey = (request: StoredRequest): string =>
  `action/${request.workspaceId}/${sortable(request.created)}/${request.requestId}`;
const keyOfKey = (request: StoredRequest): string =>
  `keys/${request.workspaceId}/${sortable(request.created)}/${request.requestId}`;

/** A page of ids in the order of an index, with the cursor of the next one. */
export interface Page {
  readonly ids: readonly Hex[];
  readonly next?: string;
}

export class Repository {
  readonly #store: Store;
  readonly #networkId: string;
  readonly #committed: (outcome: Outcome, before: StoredRequest | undefined) => void;
  /** The last change of each request that is being changed. */
  readonly #turns = new Map<Hex, Promise<void>>();

  /** `committed` hears of every change of a request once it is stored; `before`: what it was, if it is not new. */
  constructor(
    store: Store,
    networkId: string,
    committed: (outcome: Outcome, before: StoredRequest | undefined) => void,
  ) {
    this.#store = store;
    this.#networkId = networkId;
    this.#committed = committed;
  }

  async workspace(id: Hex): Promise<StoredWorkspace> {
    return (await this.#existing(workspaceKey(id), `workspace ${id}`)).value as unknown as StoredWorkspace;
  }

  async keyring(id: Hex): Promise<StoredKeyring> {
    return (await this.#existing(keyringKey(id), `keyring ${id}`)).value as unknown as StoredKeyring;
  }

  async request(id: Hex): Promise<StoredRequest> {
    return (await this.#existing(requestKey(id), `request ${id}`)).value as unknown as StoredRequest;
  }

  async find(id: Hex): Promise<StoredRequest | undefined> {
    return (await this.#store.get(requestKey(id)))?.value as unknown as StoredRequest | undefined;
  }

  async #existing(key: string, what: string): Promise<Entry> {
    const entry = await this.#store.get(key);
    if (entry === undefined)
      throw new StateError('not_found', `there is no ${what} here`, 'check the id and the coordinator');
    return entry;
  }

  /** Adds a workspace or finds it there. Returns whether it is new. */
  async addWorkspace(
    id: Hex,
    log: readonly Envelope[],
    credentials: readonly string[],
    now: number,
  ): Promise<boolean> {
    return this.#add(
      'workspace',
      workspaceKey(id),
      { log, created: now },
      credentials.map((credential) => ownerKey(credential, id)),
    );
  }

  /** Adds a keyring or finds it there. Returns whether it is new. */
  async addKeyring(id: Hex, roster: Envelope, now: number): Promise<boolean> {
    return this.#add('keyring', keyringKey(id), { roster, created: now }, []);
  }

  async #add(what: string, key: string, value: unknown, index: readonly string[]): Promise<boolean> {
    const put = [{ key, value: value as JsonValue }, ...index.map((entry) => ({ key: entry, value: true }))];
    const result = await this.#store.commit({ what, expect: [{ key, version: 0 }], put });
    return !(result instanceof Conflict);
  }

  /** Adds a request or finds it there. */
  async addRequest(outcome: Outcome): Promise<{ request: StoredRequest; added: boolean }> {
    const { requestId } = outcome.request;
    if (await this.#commit('request', outcome, undefined, 0))
      return { request: outcome.request, added: true };
    return { request: await this.request(requestId), added: false };
  }

  /**
   * Applies a transition to a request, first ending it when its time is over. Returns what the transition returned.
   * Within this process one at a time: many who change one request at once would otherwise each verify again and again.
   */
  async change<Result extends Outcome>(
    what: 'decision' | 'result' | 'expiry',
    id: Hex,
    now: () => number,
    transition: (request: StoredRequest, at: number) => Result,
  ): Promise<Result> {
    const turn = (this.#turns.get(id) ?? Promise.resolve()).then(() =>
      this.#change(what, id, now, transition),
    );
    const over = turn.then(
      () => undefined,
      () => undefined,
    );
    this.#turns.set(id, over);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(id) === over) this.#turns.delete(id);
    }
  }

  async #change<Result extends Outcome>(
    what: string,
    id: Hex,
    now: () => number,
    transition: (request: StoredRequest, at: number) => Result,
  ): Promise<Result> {
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const entry = await this.#existing(requestKey(id), `request ${id}`);
      const stored = entry.value as unknown as StoredRequest;
      const at = now();
      const ended = expire(stored, at);
      // The end is committed on its own, so that a transition that is then refused does not undo it.
      if (ended.request !== stored) {
        await this.#commit('expiry', ended, stored, entry.version);
        continue;
      }
      const outcome = transition(stored, at);
      if (outcome.request === stored) return outcome;
      if (await this.#commit(what, outcome, stored, entry.version)) return outcome;
    }
    throw new StateError('wrong_state', `request ${id} is being changed by too many at once`, 'try again');
  }

  /** Whether the outcome was stored: not when somebody else changed the request meanwhile. */
  async #commit(
    what: string,
    outcome: Outcome,
    before: StoredRequest | undefined,
    version: number,
  ): Promise<boolean> {
    if ((await this.#store.commit({ what, ...this.#writes(outcome, version) })) instanceof Conflict)
      return false;
    this.#committed(outcome, before);
    return true;
  }

  #writes({ request, events }: Outcome, version: number): Commit {
    const key = requestKey(request.requestId);
    const put: { key: string; value: JsonValue }[] = [{ key, value: request as unknown as JsonValue }];
    const del: string[] = [];
    if (version === 0) {
      put.push({ key: historyKey(request), value: true });
      if (request.kind === 'key') put.push({ key: keyOfKey(request), value: true });
    }
    if (isFinal(request)) {
      del.push(actionKey(request), endKey(request), openKey(request.keyringId, request.requestId));
    } else {
      // A pending request stays listed: when approvals run out before the parties have signed, it awaits approvers again.
      put.push({ key: actionKey(request), value: true }, { key: endKey(request), value: true });
      if (request.state === 'pending')
        put.push({ key: openKey(request.keyringId, request.requestId), value: true });
    }
    const streams = [keyringStream(request.keyringId), workspaceStream(request.workspaceId)];
    const append = streams.flatMap((stream) =>
      events.map((event) => ({ stream, event: event as unknown as JsonValue })),
    );
    return { expect: [{ key, version }], put, del, append };
  }

  /** What is known around a request with these workspace, keyring and keys; parents of derived keys are added. */
  async context(workspaceId: Hex, keyringId: Hex, keyIds: readonly Hex[]): Promise<RequestContext> {
    const [workspace, keyring, keys] = await Promise.all([
      this.workspace(workspaceId),
      this.keyring(keyringId),
      this.#withParents(keyIds),
    ]);
    return {
      networkId: this.#networkId,
      log: workspace.log,
      roster: keyring.roster,
      keys: keys.map(keyEntry),
    };
  }

  /** These keys, each once, and after them the parents of derived ones: no derived key is proven without its parent. */
  async #withParents(keyIds: readonly Hex[]): Promise<StoredRequest[]> {
    const keys = await Promise.all([...new Set(keyIds)].map((keyId) => this.request(keyId)));
    const parents = keys.flatMap((key) => this.#parentOf(key) ?? []);
    const missing = [...new Set(parents)].filter((id) => !keyIds.includes(id));
    return [...keys, ...(await Promise.all(missing.map((id) => this.request(id))))];
  }

  #parentOf({ envelope }: StoredRequest): Hex | undefined {
    return originOf(readContent(requestRecord, envelope, this.#networkId).content)?.parent;
  }

  /** The key from which a derived key comes; undefined of any other. */
  async parentOf(key: StoredRequest): Promise<StoredRequest | undefined> {
    const parent = this.#parentOf(key);
    return parent === undefined ? undefined : this.find(parent);
  }

  contextOf(request: StoredRequest): Promise<RequestContext> {
    return this.context(request.workspaceId, request.keyringId, request.keyIds);
  }

  workspacesOf(credential: string, after: string | undefined, limit: number): Promise<Page> {
    return this.#page(`owner/${credential}/`, after, limit);
  }
  keyrings(after: string | undefined, limit: number): Promise<Page> {
    return this.#page('keyring/', after, limit);
  }
  requestsOf(workspaceId: Hex, after: string | undefined, limit: number): Promise<Page> {
    return this.#page(`history/${workspaceId}/`, after, limit);
  }
  keysOf(workspaceId: Hex, after: string | undefined, limit: number): Promise<Page> {
    return this.#page(`keys/${workspaceId}/`, after, limit);
  }
  actionsOf(workspaceId: Hex, after: string | undefined, limit: number): Promise<Page> {
    return this.#page(`action/${workspaceId}/`, after, limit);
  }
  openOf(keyringId: Hex, after: string | undefined, limit: number): Promise<Page> {
    return this.#page(`open/${keyringId}/`, after, limit);
  }

  /** Requests whose time was over at `now`. */
  async ended(now: number, limit: number): Promise<readonly Hex[]> {
    const entries = await this.#store.scan('ends/', undefined, limit);
    const due = entries.filter((entry) => entry.key < `ends/${sortable(now + 1)}`);
    return due.map((entry) => idOf(entry.key));
  }

  async #page(prefix: string, after: string | undefined, limit: number): Promise<Page> {
    const entries = await this.#store.scan(
      prefix,
      after === undefined ? undefined : prefix + readCursor(after),
      limit,
    );
    const last = entries.at(-1);
    const ids = entries.map((entry) => idOf(entry.key));
    const more = entries.length === limit && last !== undefined;
    return more ? { ids, next: writeCursor(last.key.slice(prefix.length)) } : { ids };
  }
}

function idOf(key: string): Hex {
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
