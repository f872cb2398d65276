// What nobody asks for and has to happen all the same: requests and changes whose time is over end, those that waited for their
// time go on, those of a workspace that changed end, and old events are forgotten. Whatever it finds to do is in the store: a
// coordinator that stopped half-way goes on where it was.
import type { Hex } from '../protocol/hex.ts';
import type { Actions } from './actions.ts';
import type { Repository } from './repository.ts';

/** Actions looked at in one go. */
const pageSize = 100;

export interface SweepOptions {
  readonly repository: Repository;
  readonly actions: Actions;
  readonly now: () => number;
  readonly log: (event: string, fields: Record<string, unknown>) => void;
  readonly stopped: AbortSignal;
}

export class Sweep {
  readonly #options: SweepOptions;

  constructor(options: SweepOptions) {
    this.#options = options;
  }

  /** Throws StoreError. What could not be done is done the next time. */
  async run(): Promise<void> {
    const { repository, now } = this.#options;
    await this.#settle(await repository.ended(now(), pageSize));
    await this.#settle(await repository.due(now(), pageSize));
    for (const { workspaceId, key } of await repository.workspaces.stale(pageSize)) {
      if (await this.#settleWorkspace(workspaceId)) await repository.workspaces.settled(key);
    }
  }

  /** Everything that is open in a workspace. Whether that could be done. */
  async #settleWorkspace(workspaceId: Hex): Promise<boolean> {
    const { repository, stopped } = this.#options;
    let all = true;
    let after: string | undefined;
    do {
      const page = await repository.actionsOf(workspaceId, after, pageSize);
      all = (await this.#settle(page.ids)) && all;
      after = page.next;
    } while (after !== undefined && !stopped.aborted);
    return all && !stopped.aborted;
  }

  /** Whether each of them could be settled. */
  async #settle(ids: readonly Hex[]): Promise<boolean> {
    const { actions, stopped, log } = this.#options;
    let all = true;
    for (const id of ids) {
      if (stopped.aborted) return false;
      // One that cannot be settled must not keep the others from it. Whoever reads it finds it ended all the same.
      await actions.settle(id).catch((error: unknown) => {
        all = false;
        log('sweep.failed', { requestId: id, message: (error as Error).message });
      });
    }
    return all;
  }
}
