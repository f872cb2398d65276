// Proposed changes in the store. One that is decided enters the workspace's log in the same commit, against the head that it
// follows: of two that are decided at once one enters, and the other finds its place taken.
import type { Hex } from '../protocol/hex.ts';
import type { Envelope } from '../protocol/records/envelope.ts';
import { appendChange } from '../protocol/records/workspace.ts';
import { maxAttempts, tooMany } from './attempts.ts';
import { keys, type Page, pageOfIndex, workspaceStream } from './index-keys.ts';
import { StateError } from './state/error.ts';
import {
  changeContent,
  type ChangeContext,
  type ChangeOutcome,
  headBefore,
  lapseChange,
  type StoredChange,
} from './state/changes.ts';
import { Conflict, type JsonValue, type Store } from './store/store.ts';
import { Turns } from './turns.ts';
import { committedOf, type Expect, type LogCommitted, type Workspaces } from './workspaces.ts';

/** Changes of one owner that can be open in a workspace. */
export const maxOpenChanges = 20;

export class ChangeRepository {
  readonly #store: Store;
  readonly #networkId: string;
  readonly #workspaces: Workspaces;
  readonly #committed: (committed: LogCommitted) => void;
  readonly #turns = new Turns();

  /** `committed` hears of every change of a change once it is stored. */
  constructor(
    store: Store,
    networkId: string,
    workspaces: Workspaces,
    committed: (committed: LogCommitted) => void,
  ) {
    this.#store = store;
    this.#networkId = networkId;
    this.#workspaces = workspaces;
    this.#committed = committed;
  }

  async find(id: Hex): Promise<StoredChange | undefined> {
    return (await this.#store.get(keys.change(id)))?.value as unknown as StoredChange | undefined;
  }

  async get(id: Hex): Promise<StoredChange> {
    return (await this.#existing(id)).change;
  }

  async #existing(id: Hex): Promise<{ change: StoredChange; version: number }> {
    const entry = await this.#store.get(keys.change(id));
    if (entry === undefined)
      throw new StateError('not_found', `there is no change ${id} here`, 'check the id and the coordinator');
    return { change: entry.value as unknown as StoredChange, version: entry.version };
  }

  /** The log that a stored change follows. */
  async contextOf(change: StoredChange): Promise<ChangeContext> {
    const head = headBefore(changeContent(change, this.#networkId));
    return { networkId: this.#networkId, log: await this.#workspaces.logUpTo(change.workspaceId, head) };
  }

  /** Adds a change, as `propose` makes it in the present state of the workspace, or finds it there. */
  async add(
    id: Hex,
    workspaceId: Hex,
    now: () => number,
    propose: (context: ChangeContext, at: number) => ChangeOutcome,
  ): Promise<{ readonly change: StoredChange; readonly added: boolean }> {
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      // The head first: what enters the log after it is found when this is committed.
      const { expect } = await this.#workspaces.heads(workspaceId);
      const { log } = await this.#workspaces.get(workspaceId);
      const at = now();
      const context = { networkId: this.#networkId, log };
      const outcome = propose(context, at);
      await this.#checkRoom(workspaceId, changeContent(outcome.change, this.#networkId).initiator);
      const conflict = await this.#commit('change', outcome, 0, { at, log, expect });
      if (conflict === undefined) return { change: outcome.change, added: true };
      if (conflict.key === keys.change(id)) return { change: await this.get(id), added: false };
    }
    throw tooMany(`workspace ${workspaceId}`);
  }

  async #checkRoom(workspaceId: Hex, initiator: string): Promise<void> {
    const open = await this.#store.scan(`proposed/${workspaceId}/${initiator}/`, undefined, maxOpenChanges);
    if (open.length < maxOpenChanges) return;
    const message = `${initiator} has proposed ${maxOpenChanges} changes that are not decided`;
    throw new StateError('wrong_state', message, 'cancel one of them, or wait until one is decided');
  }

  /** Applies a transition to a change, first ending it when its time is over or its place taken. */
  change(
    id: Hex,
    now: () => number,
    transition: (change: StoredChange, context: ChangeContext, at: number) => ChangeOutcome,
  ): Promise<StoredChange> {
    return this.#turns.take(id, () => this.#change(id, now, transition));
  }

  async #change(
    id: Hex,
    now: () => number,
    transition: (change: StoredChange, context: ChangeContext, at: number) => ChangeOutcome,
  ): Promise<StoredChange> {
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const { change, version } = await this.#existing(id);
      const at = now();
      const { heads, expect } = await this.#workspaces.heads(change.workspaceId);
      const ended = lapseChange(change, heads.log, this.#networkId, at);
      if (ended.change !== change) {
        await this.#commit('change-expiry', ended, version, { at, log: [], expect: [] });
        continue;
      }
      const context = await this.contextOf(change);
      const outcome = transition(change, context, at);
      if (outcome.change === change) return change;
      const against = { at, log: context.log, expect };
      if ((await this.#commit('change-decision', outcome, version, against)) === undefined)
        return outcome.change;
    }
    throw tooMany(`change ${id}`);
  }

  /** Whether the time of a change is over at `at`, or its place taken. */
  async hasLapsed(change: StoredChange, at: number): Promise<boolean> {
    if (change.state !== 'partial') return false;
    const { heads } = await this.#workspaces.heads(change.workspaceId);
    return lapseChange(change, heads.log, this.#networkId, at).change !== change;
  }

  async #commit(
    what: string,
    outcome: ChangeOutcome,
    version: number,
    against: { readonly at: number; readonly log: readonly Envelope[]; readonly expect: Expect },
  ): Promise<Conflict | undefined> {
    const { change, events, entered } = outcome;
    const { changeId, workspaceId, created, expires, envelope } = change;
    const key = keys.change(changeId);
    const { initiator } = changeContent(change, this.#networkId);
    const open = [
      keys.action(workspaceId, created, changeId),
      keys.ends(expires, changeId),
      keys.proposed(workspaceId, initiator, changeId),
    ];
    const final = change.state !== 'partial';
    const made = version === 0 ? [keys.changeOf(workspaceId, created, changeId)] : [];
    const entry =
      entered === undefined
        ? { put: [], del: [], append: [] }
        : await this.#workspaces.entryWrites(
            workspaceId,
            against.log,
            appendChange(against.log, envelope, entered),
            against.at,
          );
    const stream = workspaceStream(workspaceId);
    const own = events.map((event) => ({ stream, event: event as unknown as JsonValue }));
    const result = await this.#store.commit({
      what,
      expect: [{ key, version }, ...against.expect],
      put: [
        { key, value: change as unknown as JsonValue },
        ...[...made, ...(final ? [] : open)].map((each) => ({ key: each, value: true })),
        ...entry.put,
      ],
      del: [...(final ? open : []), ...entry.del],
      append: [...own, ...entry.append],
    });
    if (result instanceof Conflict) return result;
    const head = committedOf(entry);
    this.#committed({ events: [...events, ...head.events], streams: [stream, ...head.streams] });
    return undefined;
  }

  ofWorkspace(workspaceId: Hex, after: string | undefined, limit: number): Promise<Page> {
    return pageOfIndex(this.#store, `changes/${workspaceId}/`, after, limit);
  }
}
