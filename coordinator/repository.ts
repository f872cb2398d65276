// Where requests and keyrings stand in the store, and how a transition is committed: read, apply, compare-and-set, again on
// conflict. Workspaces and changes have files of their own.
import type { Hex } from '../protocol/hex.ts';
import type { Ledger } from '../protocol/policy/judge.ts';
import { longestWindow } from '../protocol/policy/schema.ts';
import type { Envelope } from '../protocol/records/envelope.ts';
import { originOf, type Request } from '../protocol/records/request.ts';
import { maxAttempts, tooMany } from './attempts.ts';
import { keyringStream, keys, type Page, pageOfIndex, until, workspaceStream } from './index-keys.ts';
import { pastDebits, readLedger, storedDebits } from './ledger.ts';
import {
  contentOf,
  isFinal,
  keyEntry,
  type Outcome,
  type RequestContext,
  type StoredRequest,
} from './state/request.ts';
import { StateError } from './state/error.ts';
import { lapse } from './state/transitions.ts';
import { type Commit, Conflict, type Entry, type JsonValue, type Store } from './store/store.ts';
import { Turns } from './turns.ts';
import { type Expect, type StoredWorkspace, Workspaces } from './workspaces.ts';

export interface StoredKeyring {
  readonly roster: Envelope;
  readonly created: number;
}

/** What is known around a request, and the versions of what of it can change. */
interface Loaded {
  readonly context: RequestContext;
  readonly expect: Expect;
}

export class Repository {
  readonly workspaces: Workspaces;
  readonly #store: Store;
  readonly #networkId: string;
  readonly #committed: (outcome: Outcome, before: StoredRequest | undefined) => void;
  readonly #turns = new Turns();

  /** `committed` hears of every change of a request once it is stored; `before`: what it was, if it is not new. */
  constructor(
    store: Store,
    networkId: string,
    committed: (outcome: Outcome, before: StoredRequest | undefined) => void,
  ) {
    this.#store = store;
    this.#networkId = networkId;
    this.#committed = committed;
    this.workspaces = new Workspaces(store, networkId);
  }

  workspace(id: Hex): Promise<StoredWorkspace> {
    return this.workspaces.get(id);
  }

  async keyring(id: Hex): Promise<StoredKeyring> {
    return (await this.#existing(keys.keyring(id), `keyring ${id}`)).value as unknown as StoredKeyring;
  }

  async request(id: Hex): Promise<StoredRequest> {
    return (await this.#existing(keys.request(id), `request ${id}`)).value as unknown as StoredRequest;
  }

  async find(id: Hex): Promise<StoredRequest | undefined> {
    return (await this.#store.get(keys.request(id)))?.value as unknown as StoredRequest | undefined;
  }

  async #existing(key: string, what: string): Promise<Entry> {
    const entry = await this.#store.get(key);
    if (entry === undefined)
      throw new StateError('not_found', `there is no ${what} here`, 'check the id and the coordinator');
    return entry;
  }

  /** Adds a keyring or finds it there. Returns whether it is new. */
  async addKeyring(id: Hex, roster: Envelope, now: number): Promise<boolean> {
    return this.#add('keyring', keys.keyring(id), { roster, created: now });
  }

  async #add(what: string, key: string, value: unknown): Promise<boolean> {
    const put = [{ key, value: value as JsonValue }];
    const result = await this.#store.commit({ what, expect: [{ key, version: 0 }], put });
    return !(result instanceof Conflict);
  }

  /** Adds a request, as `submit` makes it in the present state of its workspace, or finds it there. */
  async addRequest(
    id: Hex,
    about: { readonly content: Request; readonly keyringId: Hex; readonly keyIds: readonly Hex[] },
    now: () => number,
    submit: (context: RequestContext, at: number) => Outcome,
  ): Promise<{ readonly request: StoredRequest; readonly context: RequestContext; readonly added: boolean }> {
    const { content, keyringId, keyIds } = about;
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      let loaded = await this.#context(content, keyringId, keyIds);
      const at = now();
      let outcome = submit(loaded.context, at);
      const { windowMs, workspaceId } = outcome.request;
      if (windowMs !== undefined) {
        loaded = await this.#withLedger(loaded, workspaceId, windowMs, at);
        outcome = submit(loaded.context, at);
      }
      const conflict = await this.#commit('request', outcome, undefined, 0, loaded.expect);
      if (conflict === undefined) return { request: outcome.request, context: loaded.context, added: true };
      if (conflict.key === keys.request(id))
        return { request: await this.request(id), context: loaded.context, added: false };
    }
    throw tooMany(`workspace ${content.workspaceId}`);
  }

  /**
   * Applies a transition to a request, first ending it when its time is over or its workspace has changed. Returns what the
   * transition returned. Within this process one at a time: many who change one request at once would otherwise each verify
   * again and again.
   */
  change<Result extends Outcome>(
    what: 'decision' | 'result' | 'expiry' | 'time',
    id: Hex,
    now: () => number,
    transition: (request: StoredRequest, context: RequestContext, at: number) => Result,
  ): Promise<Result> {
    return this.#turns.take(id, () => this.#change(what, id, now, transition));
  }

  async #change<Result extends Outcome>(
    what: string,
    id: Hex,
    now: () => number,
    transition: (request: StoredRequest, context: RequestContext, at: number) => Result,
  ): Promise<Result> {
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const entry = await this.#existing(keys.request(id), `request ${id}`);
      const stored = entry.value as unknown as StoredRequest;
      const at = now();
      // Read once: what lapses, and what is committed against, is judged by the same state of the log.
      const { heads, expect: seen } = await this.workspaces.heads(stored.workspaceId);
      const ended = this.#lapsedAt(stored, heads, at);
      // The end is committed on its own, so that a transition that is then refused does not undo it.
      if (ended.request !== stored) {
        await this.#commit('expiry', ended, stored, entry.version, []);
        continue;
      }
      const { context, expect } = await this.#loaded(stored, at, seen);
      const outcome = transition(stored, context, at);
      if (outcome.request === stored) return outcome;
      // What is final is about a state that is past: it may still get further results.
      const against = isFinal(stored) ? [] : expect;
      if ((await this.#commit(what, outcome, stored, entry.version, against)) === undefined) return outcome;
    }
    throw tooMany(`request ${id}`);
  }

  /** A request, ended when its time is over at `at` or its workspace has changed. */
  async lapsed(request: StoredRequest, at: number): Promise<Outcome> {
    if (isFinal(request)) return { request, events: [] };
    const { heads } = await this.workspaces.heads(request.workspaceId);
    return this.#lapsedAt(request, heads, at);
  }

  #lapsedAt(request: StoredRequest, heads: Parameters<typeof lapse>[1], at: number): Outcome {
    return isFinal(request) ? { request, events: [] } : lapse(request, heads, this.#networkId, at);
  }

  /** The conflict that kept the outcome from being stored: somebody else changed something meanwhile. */
  async #commit(
    what: string,
    outcome: Outcome,
    before: StoredRequest | undefined,
    version: number,
    against: Expect,
  ): Promise<Conflict | undefined> {
    const writes = await this.#writes(outcome, before, version, against);
    const result = await this.#store.commit({ what, ...writes });
    if (result instanceof Conflict) return result;
    this.#committed(outcome, before);
    return undefined;
  }

  async #writes(
    { request, events, debits }: Outcome,
    before: StoredRequest | undefined,
    version: number,
    against: Expect,
  ): Promise<Commit> {
    const { requestId, workspaceId, keyringId, created, expires, due } = request;
    const key = keys.request(requestId);
    const put: { key: string; value: JsonValue }[] = [{ key, value: request as unknown as JsonValue }];
    const del: string[] = [];
    const index = (entry: string): number => put.push({ key: entry, value: true });
    if (version === 0) {
      index(keys.history(workspaceId, created, requestId));
      if (request.kind === 'key') index(keys.keyOf(workspaceId, created, requestId));
    }
    if (before?.due !== undefined && before.due !== due) del.push(keys.due(before.due, requestId));
    const action = keys.action(workspaceId, created, requestId);
    const ends = keys.ends(expires, requestId);
    const open = keys.open(keyringId, requestId);
    if (isFinal(request)) del.push(action, ends, open);
    else {
      // A pending request stays listed: when approvals run out before the parties have signed, it awaits approvers again.
      index(action);
      index(ends);
      if (request.state === 'pending' || request.notice) index(open);
      if (due !== undefined) index(keys.due(due, requestId));
    }
    if (debits !== undefined) {
      put.push({ key: keys.debit(workspaceId, request.updated, requestId), value: storedDebits(debits) });
      del.push(...(await pastDebits(this.#store, workspaceId, request.updated)));
      // Whoever judged the ledger meanwhile, without this debit, judges it again.
      // Also by a request under no limit: what it takes counts in those of others.
      index(keys.limits(workspaceId));
    }
    const streams = [keyringStream(keyringId), workspaceStream(workspaceId)];
    const append = streams.flatMap((stream) =>
      events.map((event) => ({ stream, event: event as unknown as JsonValue })),
    );
    return { expect: [{ key, version }, ...against], put, del, append };
  }

  /** What is known around what is asked for; parents of derived keys are added. */
  async #context(content: Request, keyringId: Hex, keyIds: readonly Hex[]): Promise<Loaded> {
    const { workspaceId } = content;
    // Heads first: what changes after them is found when it is committed.
    const { expect } = await this.workspaces.heads(workspaceId);
    const [logs, keyring, entries] = await Promise.all([
      this.workspaces.logs(workspaceId),
      this.keyring(keyringId),
      this.withParents(keyIds),
    ]);
    const rest = { roster: keyring.roster, keys: entries.map(keyEntry) };
    return { context: { networkId: this.#networkId, ...logs, ...rest }, expect };
  }

  /** What is known around a stored request, with the logs as they were when it was made. */
  async #loaded(request: StoredRequest, now: number, seen?: Expect): Promise<Loaded> {
    const { workspaceId, keyringId, keyIds, windowMs } = request;
    const expect = seen ?? (await this.workspaces.heads(workspaceId)).expect;
    const { logHead, parentHead } = contentOf(request, this.#networkId);
    const made = { log: logHead, ...(parentHead && { parent: parentHead }) };
    const [logs, keyring, entries] = await Promise.all([
      this.workspaces.logsAt(workspaceId, made),
      this.keyring(keyringId),
      this.withParents(keyIds),
    ]);
    const rest = { roster: keyring.roster, keys: entries.map(keyEntry) };
    const loaded = { context: { networkId: this.#networkId, ...logs, ...rest }, expect };
    if (windowMs === undefined || isFinal(request)) return loaded;
    return this.#withLedger(loaded, workspaceId, windowMs, now);
  }

  async #withLedger(
    { context, expect }: Loaded,
    workspaceId: Hex,
    windowMs: number,
    now: number,
  ): Promise<Loaded> {
    const key = keys.limits(workspaceId);
    const version = (await this.#store.get(key))?.version ?? 0;
    const ledger = await readLedger(this.#store, workspaceId, windowMs, now);
    return { context: { ...context, ledger }, expect: [...expect, { key, version }] };
  }

  /** Everything that was taken from a workspace's limits and still counts in any. */
  wholeLedger(workspaceId: Hex, now: number): Promise<Ledger> {
    return readLedger(this.#store, workspaceId, longestWindow, now);
  }

  async contextOf(request: StoredRequest, now: number): Promise<RequestContext> {
    return (await this.#loaded(request, now)).context;
  }

  /** These keys, each once, and after them the parents of derived ones: no derived key is proven without its parent. */
  async withParents(keyIds: readonly Hex[]): Promise<StoredRequest[]> {
    const named = await Promise.all([...new Set(keyIds)].map((keyId) => this.request(keyId)));
    const parents = named.flatMap((key) => this.#parentOf(key) ?? []);
    const missing = [...new Set(parents)].filter((id) => !keyIds.includes(id));
    return [...named, ...(await Promise.all(missing.map((id) => this.request(id))))];
  }

  #parentOf(key: StoredRequest): Hex | undefined {
    return originOf(contentOf(key, this.#networkId))?.parent;
  }

  /** The key from which a derived key comes; undefined of any other. */
  async parentOf(key: StoredRequest): Promise<StoredRequest | undefined> {
    const parent = this.#parentOf(key);
    return parent === undefined ? undefined : this.find(parent);
  }

  keyrings(after: string | undefined, limit: number): Promise<Page> {
    return pageOfIndex(this.#store, 'keyring/', after, limit);
  }
  requestsOf(workspaceId: Hex, after: string | undefined, limit: number): Promise<Page> {
    return pageOfIndex(this.#store, `history/${workspaceId}/`, after, limit);
  }
  keysOf(workspaceId: Hex, after: string | undefined, limit: number): Promise<Page> {
    return pageOfIndex(this.#store, `keys/${workspaceId}/`, after, limit);
  }
  /** Requests and changes that are not final. */
  actionsOf(workspaceId: Hex, after: string | undefined, limit: number): Promise<Page> {
    return pageOfIndex(this.#store, `action/${workspaceId}/`, after, limit);
  }
  openOf(keyringId: Hex, after: string | undefined, limit: number): Promise<Page> {
    return pageOfIndex(this.#store, `open/${keyringId}/`, after, limit);
  }

  /** Requests and changes whose time was over at `now`. */
  ended(now: number, limit: number): Promise<readonly Hex[]> {
    return until(this.#store, 'ends/', now, limit);
  }
  /** Requests whose state time alone may have changed at `now`. */
  due(now: number, limit: number): Promise<readonly Hex[]> {
    return until(this.#store, 'due/', now, limit);
  }
}
