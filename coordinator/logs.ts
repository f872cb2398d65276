// Logs of workspaces, for owners and for nodes.
import type { Hex } from '../protocol/hex.ts';
import { logAt, openWorkspace } from '../protocol/records/workspace.ts';
import type { Params, Result } from '../protocol/rpc.ts';
import type { Access } from './access.ts';
import type { Page } from './index-keys.ts';
import type { Caller } from './rpc/handlers.ts';
import { StateError } from './state/error.ts';
import type { Workspaces } from './workspaces.ts';

/** Logs are large: fewer a page than of other things. */
const defaultLimit = 20;

export class Logs {
  readonly #workspaces: Workspaces;
  readonly #access: Access;
  readonly #networkId: string;

  constructor(workspaces: Workspaces, access: Access, networkId: string) {
    this.#workspaces = workspaces;
    this.#access = access;
    this.#networkId = networkId;
  }

  /** Entries after the one with this seq. */
  async after(
    { workspaceId, after }: Params<'workspace_log'>,
    caller: Caller,
  ): Promise<Result<'workspace_log'>> {
    await this.#access.mayReadWorkspace(workspaceId, caller);
    const { log } = await this.#workspaces.get(workspaceId);
    const { head, chain } = openWorkspace(log, this.#networkId);
    if (after === undefined) return { workspaceId, head, log: [...log] };
    const id = chain[after];
    if (id === undefined) {
      const remedy = 'your log is longer than the one here: keep yours, and tell its operator';
      throw new StateError('invalid_params', `the log ends at entry ${head.seq}, before ${after}`, remedy);
    }
    const before = logAt(log, { seq: after, id }, this.#networkId);
    return { workspaceId, head, log: log.slice(before.length) };
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
