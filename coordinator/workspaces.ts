// Workspaces in the store: their logs, what follows from a log in indexes, and how an entry is added. A log grows at its
// head, by one entry in one commit; only what a majority of its owners said of a fork takes it to another branch.
import { maxLogEnvelopes } from '../protocol/authorize.ts';
import type { Hex } from '../protocol/hex.ts';
import type { Envelope } from '../protocol/records/envelope.ts';
import { type LogHead, sameLogHead, timestamp } from '../protocol/records/fields.ts';
import { joinLogs, leavesEntries, weighLogs } from '../protocol/records/log-relation.ts';
import { logAt, openWorkspace, type Workspace } from '../protocol/records/workspace.ts';
import type { CoordinatorEvent } from '../protocol/rpc.ts';
import { maxAttempts, tooMany } from './attempts.ts';
import { keyringStream, keys, type Page, pageOfIndex, workspaceStream } from './index-keys.ts';
import { StateError } from './state/error.ts';
import type { Heads } from './state/transitions.ts';
import { type Commit, Conflict, type JsonValue, type Store } from './store/store.ts';

export interface StoredWorkspace {
  readonly log: readonly Envelope[];
  readonly created: number;
}

/** A workspace's head as it is stored by itself: it is read far more often than the log. */
interface StoredHead {
  readonly seq: number;
  readonly id: Hex;
  readonly parent?: Hex;
}

/** Versions against which what was judged by them is committed. */
export type Expect = NonNullable<Commit['expect']>;

export interface LoadedHeads {
  readonly heads: Heads;
  readonly expect: Expect;
}

export interface Logs {
  readonly log: readonly Envelope[];
  /** Of a child workspace whose parent is here. */
  readonly parentLog?: readonly Envelope[];
}

/** What was committed of a log: events, each once, and the streams that they were appended to. */
export interface LogCommitted {
  readonly events: readonly CoordinatorEvent[];
  readonly streams: readonly string[];
}

/** What entering a change into the log writes, beside the change itself. */
export type EntryWrites = Required<Pick<Commit, 'put' | 'del' | 'append'>>;

interface LeftLog {
  readonly log: readonly Envelope[];
}

/** Logs of a workspace that were left and are looked through for an entry. */
const maxLeftLogs = 16;

export class Workspaces {
  readonly #store: Store;
  readonly #networkId: string;

  constructor(store: Store, networkId: string) {
    this.#store = store;
    this.#networkId = networkId;
  }

  async get(id: Hex): Promise<StoredWorkspace> {
    const found = await this.find(id);
    if (found !== undefined) return found;
    throw new StateError('not_found', `there is no workspace ${id} here`, 'check the id and the coordinator');
  }

  async find(id: Hex): Promise<StoredWorkspace | undefined> {
    return (await this.#store.get(keys.workspace(id)))?.value as unknown as StoredWorkspace | undefined;
  }

  /** A workspace as its log tells it. */
  async open(id: Hex): Promise<Workspace> {
    return openWorkspace((await this.get(id)).log, this.#networkId);
  }

  /** The parent of a child workspace, when it is here. */
  async parentOf({ parent }: Pick<Workspace, 'parent'>): Promise<Workspace | undefined> {
    const found = parent === undefined ? undefined : await this.find(parent);
    return found && openWorkspace(found.log, this.#networkId);
  }

  /** Log of a workspace, and of its parent. */
  async logs(id: Hex): Promise<Logs> {
    const { log } = await this.get(id);
    const { parent } = openWorkspace(log, this.#networkId);
    const above = parent === undefined ? undefined : await this.find(parent);
    return { log, ...(above && { parentLog: above.log }) };
  }

  /** The same, each up to the entry at which something was made. */
  async logsAt(id: Hex, at: Heads): Promise<Logs> {
    const { log, parentLog } = await this.logs(id);
    const above =
      parentLog &&
      (at.parent === undefined
        ? parentLog
        : await this.#cut(openWorkspace(log, this.#networkId).parent!, parentLog, at.parent));
    return { log: await this.#cut(id, log, at.log), ...(above && { parentLog: above }) };
  }

  /** A log without what came after `head`; as it is when it has no such entry, which whoever judges then finds. */
  async #cut(id: Hex, log: readonly Envelope[], head: LogHead): Promise<readonly Envelope[]> {
    return (await this.#upTo(id, log, head)) ?? log;
  }

  /** The workspace's log up to `head`, also where it was left since. Throws StateError when it was never here. */
  async logUpTo(id: Hex, head: LogHead): Promise<readonly Envelope[]> {
    const found = await this.#upTo(id, (await this.get(id)).log, head);
    if (found !== undefined) return found;
    const message = `entry ${head.seq} ${head.id} is not in the log of workspace ${id}`;
    throw new StateError('wrong_state', message, 'read the workspace again');
  }

  async #upTo(id: Hex, log: readonly Envelope[], head: LogHead): Promise<readonly Envelope[] | undefined> {
    const upTo = (one: readonly Envelope[]): readonly Envelope[] | undefined => {
      try {
        return logAt(one, head, this.#networkId);
      } catch {
        return undefined;
      }
    };
    const found = upTo(log);
    if (found !== undefined) return found;
    const left = await this.#store.scan(keys.leftLog(id, '' as Hex), undefined, maxLeftLogs);
    return left.map(({ value }) => upTo((value as unknown as LeftLog).log)).find((one) => one !== undefined);
  }

  /** Heads of a workspace and its parent. */
  async heads(id: Hex): Promise<LoadedHeads> {
    const own = await this.#head(id);
    const log = { seq: own.head.seq, id: own.head.id };
    if (own.head.parent === undefined) return { heads: { log }, expect: [own.expect] };
    const above = await this.#head(own.head.parent);
    const parent = { seq: above.head.seq, id: above.head.id };
    return { heads: { log, parent }, expect: [own.expect, above.expect] };
  }

  async #head(id: Hex): Promise<{ head: StoredHead; expect: Expect[number] }> {
    const key = keys.head(id);
    const entry = await this.#store.get(key);
    if (entry !== undefined)
      return {
        head: entry.value as unknown as StoredHead,
        expect: { key, version: entry.version },
      };
    // Stored by a version that kept no heads.
    const { log } = await this.get(id);
    return { head: headOf(openWorkspace(log, this.#networkId)), expect: { key, version: 0 } };
  }

  /** Adds a workspace or finds it there. Returns whether it is new. */
  async add(genesis: Envelope, now: number): Promise<boolean> {
    const workspace = openWorkspace([genesis], this.#networkId);
    const { id, owners, keyrings } = workspace;
    const credentials = owners.flatMap((owner) => owner.credentials);
    const above = await this.parentOf(workspace);
    const parents = above?.children.has(id) === true ? [above.id] : [];
    return this.#add('workspace', keys.workspace(id), { log: [genesis], created: now }, [
      { key: keys.head(id), value: headOf(workspace) },
      ...credentials.map((credential) => ({ key: keys.owner(credential, id), value: true })),
      ...[id, ...parents].flatMap((each) =>
        keyrings.map((keyring) => ({ key: keys.uses(keyring, each), value: true })),
      ),
    ]);
  }

  async #add(
    what: string,
    key: string,
    value: unknown,
    index: readonly { readonly key: string; readonly value: unknown }[],
  ): Promise<boolean> {
    const put = [{ key, value }, ...index] as NonNullable<Commit['put']>;
    const result = await this.#store.commit({ what, expect: [{ key, version: 0 }], put });
    return !(result instanceof Conflict);
  }

  /** What a further entry of the log changes: `log` before it, `longer` with it. Throws RecordError when it is none. */
  async entryWrites(
    id: Hex,
    log: readonly Envelope[],
    longer: readonly Envelope[],
    now: number,
  ): Promise<EntryWrites> {
    const before = openWorkspace(log, this.#networkId);
    const after = openWorkspace(longer, this.#networkId);
    const { created } = await this.get(id);
    const { head } = after;
    const children = [...new Set([...before.children, ...after.children])];
    const [concerned, still] = [await this.#concerned(before), await this.#concerned(after)];
    const had = credentialsOf(before);
    const has = credentialsOf(after);
    const own: readonly (readonly [string, unknown])[] = [
      [keys.workspace(id), { log: longer, created }],
      [keys.head(id), headOf(after)],
      ...[...has].filter((one) => !had.has(one)).map((one) => [keys.owner(one, id), true] as const),
      ...[id, ...children].map((each) => [keys.stale(each, head.id), true] as const),
      // Its nodes are to learn that it is no longer used, and nothing that comes later.
      ...[...concerned]
        .filter((keyring) => !still.has(keyring))
        .map((keyring) => [keys.uses(keyring, id), head] as const),
      ...[...still].map((keyring) => [keys.uses(keyring, id), true] as const),
      ...(await this.#parentUses(before, after)),
    ];
    const event: CoordinatorEvent = { type: 'workspace.head', workspaceId: id, head, at: timestamp(now) };
    const streams = [
      ...[id, ...children].map(workspaceStream),
      ...[...new Set([...concerned, ...still])].map(keyringStream),
    ];
    return {
      put: own.map(([key, value]) => ({ key, value: value as JsonValue })),
      del: [...had].filter((one) => !has.has(one)).map((one) => keys.owner(one, id)),
      append: streams.map((stream) => ({ stream, event: event as unknown as JsonValue })),
    };
  }

  /**
   * Takes a log, replayed and verified, that says what the one here does not. One that is left for it stays, for what was made
   * in it. `check` throws when the log as it would then be is not to be taken. Throws StateError when the two fork.
   */
  async adopt(
    received: Workspace,
    now: number,
    check: (own: Workspace, joined: Workspace) => Promise<void>,
  ): Promise<{ readonly outcome: 'newer' | 'same' | 'older'; readonly committed?: LogCommitted }> {
    const { id } = received;
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const { expect } = await this.heads(id);
      const { log } = await this.get(id);
      const own = openWorkspace(log, this.#networkId);
      const compared = weighLogs(own, received, this.#networkId);
      if (compared.relation === 'fork') {
        const message = `the log forks from the one here after entry ${compared.common.seq}`;
        const remedy = 'a majority of the owners must say which entry stands: countersign workspace resolve';
        throw new StateError('wrong_state', message, remedy);
      }
      if (compared.relation !== 'newer') {
        await check(own, own);
        return { outcome: compared.relation };
      }
      const [ahead, other] = compared.ahead === 'received' ? [received, own] : [own, received];
      const joined = joinLogs(ahead, other, this.#networkId);
      if (joined.log.length > maxLogEnvelopes) {
        const message = `the log would have ${joined.log.length} of at most ${maxLogEnvelopes} records`;
        throw new StateError(
          'wrong_state',
          message,
          'create a new workspace: this one can no longer be changed',
        );
      }
      await check(own, openWorkspace(joined.log, this.#networkId));
      const entry = await this.entryWrites(id, log, joined.log, now);
      const left = leavesEntries(own, joined)
        ? [{ key: keys.leftLog(id, own.head.id), value: { log } as unknown as JsonValue }]
        : [];
      const put = [...entry.put, ...left];
      const result = await this.#commit('import', { expect, ...entry, put });
      if (!(result instanceof Conflict)) return { outcome: 'newer', committed: committedOf(entry) };
    }
    throw tooMany(`workspace ${id}`);
  }

  /** Keyrings whose nodes need a workspace's log: its own, and those of its children. */
  async #concerned({ keyrings, children }: Workspace): Promise<ReadonlySet<Hex>> {
    const found = await Promise.all([...children].map((child) => this.find(child)));
    const theirs = found.flatMap((child) =>
      child === undefined ? [] : openWorkspace(child.log, this.#networkId).keyrings,
    );
    return new Set([...keyrings, ...theirs]);
  }

  /** A keyring that a child begins to use needs its parent's log too. */
  async #parentUses(before: Workspace, after: Workspace): Promise<(readonly [string, unknown])[]> {
    const { parent, keyrings } = after;
    const added = keyrings.filter((keyring) => !before.keyrings.includes(keyring));
    if (parent === undefined || added.length === 0) return [];
    const above = await this.parentOf(after);
    if (above?.children.has(after.id) !== true) return [];
    return added.map((keyring) => [keys.uses(keyring, parent), true] as const);
  }

  ofOwner(credential: string, after: string | undefined, limit: number): Promise<Page> {
    return pageOfIndex(this.#store, `owner/${credential}/`, after, limit);
  }

  ofKeyring(keyringId: Hex, after: string | undefined, limit: number): Promise<Page> {
    return pageOfIndex(this.#store, `uses/${keyringId}/`, after, limit);
  }

  /** What the nodes of a keyring may have of a workspace's log; undefined: nothing. */
  async logFor(keyringId: Hex, id: Hex): Promise<(Logs & { readonly head: LogHead }) | undefined> {
    const use = (await this.#store.get(keys.uses(keyringId, id)))?.value as unknown as
      true | LogHead | undefined;
    if (use === undefined) return undefined;
    const { log, parentLog } = await this.logs(id);
    const { head } = openWorkspace(log, this.#networkId);
    if (use === true || sameLogHead(use, head)) return { log, head, ...(parentLog && { parentLog }) };
    return { log: await this.#cut(id, log, use), head: use };
  }

  /** Marks of workspaces whose open actions are to be looked at, oldest keys first. */
  async stale(limit: number): Promise<readonly { readonly workspaceId: Hex; readonly key: string }[]> {
    const entries = await this.#store.scan('stale/', undefined, limit);
    return entries.map(({ key }) => ({ workspaceId: key.split('/')[1] as Hex, key }));
  }

  /** All actions of a mark are ended. */
  async settled(key: string): Promise<void> {
    await this.#commit('settled', { del: [key] });
  }

  #commit(what: string, commit: Commit): ReturnType<Store['commit']> {
    return this.#store.commit({ what, ...commit });
  }
}

/** Every stream has the same event of a log. */
export function committedOf({ append }: Pick<EntryWrites, 'append'>): LogCommitted {
  return {
    events: append.slice(0, 1).map(({ event }) => event as unknown as CoordinatorEvent),
    streams: append.map(({ stream }) => stream),
  };
}

function headOf({ head: { seq, id }, parent }: Workspace): StoredHead {
  return { seq, id, ...(parent !== undefined && { parent }) };
}

function credentialsOf({ owners }: Workspace): ReadonlySet<string> {
  return new Set(owners.flatMap((owner) => owner.credentials));
}
