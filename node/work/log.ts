// Replaying a workspace's log, as one task. Pure: the same on a worker thread and on the main one.
import type { Envelope } from '../../protocol/records/envelope.ts';
import { openWorkspace, type Workspace } from '../../protocol/records/workspace.ts';

/** Plain data. */
export interface LogTask {
  readonly log: readonly Envelope[];
  readonly networkId: string;
}

/** `failure`: what is wrong with it, in words. */
export type Replayed = { readonly workspace: Workspace } | { readonly failure: string };

/** Never throws for anything that a log may hold. */
export function replayLog({ log, networkId }: LogTask): Replayed {
  try {
    return { workspace: openWorkspace(log, networkId) };
  } catch (error) {
    return { failure: (error as Error).message };
  }
}
