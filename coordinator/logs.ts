// Logs of workspaces, for owners and for nodes.
import type { Hex } from '../protocol/hex.ts';
import type { Envelope } from '../protocol/records/envelope.ts';
import { groupsOf } from '../protocol/records/log-relation.ts';
import { logAt, openWorkspace, ownerOf, type Workspace } from '../protocol/records/workspace.ts';
import type { Params, Result } from '../protocol/rpc.ts';
import { type Access, known } from './access.ts';
import type { ChangeRepository } from './change-repository.ts';
import type { Page } from './index-keys.ts';
import type { Caller } from './rpc/handlers.ts';
import { StateError } from './state/error.ts';
import type { LogCommitted, Workspaces } from './workspaces.ts';

/** Decisions that count for nothing are kept in a log all the same: nobody fills one with them. Throws StateError. */
function requireSpare(brought: readonly Envelope[], workspaces: readonly Workspace[]): void {
  const most = Math.max(...workspaces.map(({ owners }) => owners.length));
  // An owner may have been removed since.
  const bound = Math.max(most, 1) + 16;
  const padded = groupsOf(brought).find((group) => group.length - 1 > bound);
  if (padded === undefined) return;
  const message = `an entry has ${padded.length - 1} decisions, of which ${bound} could count`;
  throw new StateError('invalid_params', message, 'leave out the decisions that do not count');
}

/** Logs are large: fewer a page than of other things. */
const defaultLimit = 20;

export class Logs {
  readonly #workspaces: Workspaces;
  readonly #access: Access;
  readonly #networkId: string;
  readonly #now: () => number;
  readonly #changes: Pick<ChangeRepository, 'find'>;
  readonly #committed: (committed: LogCommitted) => void;

  /** `committed` hears of every log that was taken once it is stored. */
  constructor(
    workspaces: Workspaces,
    access: Access,
    changes: Pick<ChangeRepository, 'find'>,
    { networkId, now }: { readonly networkId: string; readonly now: () => number },
    committed: (committed: LogCommitted) => void,
  ) {
    this.#workspaces = workspaces;
    this.#access = access;
    this.#changes = changes;
    this.#networkId = networkId;
    this.#now = now;
    this.#committed = committed;
  }

  /** Entries after the one with this seq. */
  async after(
    { workspaceId, after }: Params<'workspace_log'>,
    caller: Caller,
  ): Promise<Result<'workspace_log'>> {
    await this.#access.mayReadWorkspace(workspaceId, caller);
    const { log } = await this.#workspaces.get(workspaceId);
    const workspace = openWorkspace(log, this.#networkId);
    const { head } = workspace;
    if (after === undefined) return { workspaceId, head, log: [...log] };
    return { workspaceId, head, log: log.slice(this.#upTo(workspace, after).length) };
  }

  /** Throws StateError when the log is not as long. */
  #upTo({ head, chain, log }: Workspace, seq: number): readonly Envelope[] {
    const id = chain[seq];
    if (id !== undefined) return logAt(log, { seq, id }, this.#networkId);
    const remedy = 'your log is longer than the one here: keep yours, and tell its operator';
    throw new StateError('invalid_params', `the log ends at entry ${head.seq}, before ${seq}`, remedy);
  }

  /** Entries that are brought by hand. Throws RecordError when they do not stand, StateError. */
  async import(
    { workspaceId, after, log: brought }: Params<'workspace_import'>,
    caller: Caller,
  ): Promise<Result<'workspace_import'>['outcome']> {
    const credential = known(caller);
    const own = await this.#workspaces.open(workspaceId);
    const received = openWorkspace([...this.#upTo(own, after), ...brought], this.#networkId);
    requireSpare(brought, [own, received]);
    const { outcome, committed } = await this.#workspaces.adopt(
      received,
      this.#now(),
      async (had, joined) => {
        // Not of the log that is brought: whoever was an owner once has one in which they still are.
        if (ownerOf(joined, credential) === undefined) {
          const remedy = 'sign with a credential of somebody who is an owner';
          throw new StateError('forbidden', `${credential} is no owner of workspace ${workspaceId}`, remedy);
        }
        await this.#requireUndecided(had, joined);
      },
    );
    if (committed) this.#committed(committed);
    return outcome;
  }

  /**
   * Entries that are proposed here are decided here: a log could be made of approvals that were taken back since, or that have
   * run out. What a majority has said stands is another matter.
   */
  async #requireUndecided(had: Workspace, joined: Workspace): Promise<void> {
    const said = new Set(joined.resolved.values());
    for (const id of joined.chain.filter((entry) => !had.chain.includes(entry) && !said.has(entry))) {
      const change = await this.#changes.find(id);
      if (change === undefined || change.state === 'fulfilled' || change.reason?.code === 'superseded')
        continue;
      const state = change.reason === undefined ? change.state : `${change.state} (${change.reason.code})`;
      const remedy = 'decide on it here, or propose it anew';
      throw new StateError('wrong_state', `change ${id} is known here, and is ${state}`, remedy);
    }
  }

  async forConnector(params: Params<'connector_logs'>, caller: Caller): Promise<Result<'connector_logs'>> {
    const { keyringId, workspaceIds, after, limit } = params;
    await this.#access.connectorOf(keyringId, caller);
    const page: Page = workspaceIds
      ? { ids: [...new Set(workspaceIds)] }
      : await this.#workspaces.ofKeyring(keyringId, after, limit ?? defaultLimit);
    const items = [];
    for (const id of page.ids) items.push(...(await this.#itemOf(keyringId, id)));
    return page.next === undefined ? { items } : { items, next: page.next };
  }

  async #itemOf(keyringId: Hex, workspaceId: Hex): Promise<Result<'connector_logs'>['items']> {
    const found = await this.#workspaces.logFor(keyringId, workspaceId);
    if (found === undefined) return [];
    const { head, log, parentLog } = found;
    return [{ workspaceId, head, log: [...log], ...(parentLog && { parentLog: [...parentLog] }) }];
  }
}
