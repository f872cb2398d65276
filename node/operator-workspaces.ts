// What an operator does about workspaces on a running node, over the control socket: hand it what owners decided, look at the
// logs that it knows, and freeze a workspace on this node alone.
import * as z from 'zod';
import { handedSchema } from '../protocol/handed.ts';
import { recordIdSchema, timestamp } from '../protocol/records/fields.ts';
import type { Sessions, TakenDecision, TakenLog, WorkspaceStatus } from './sessions/sessions.ts';
import { pauseReasonSchema } from './store/pause.ts';

export class OperatorWorkspacesError extends Error {
  override readonly name = 'OperatorWorkspacesError';
  readonly code = 'invalid_params';
}

const freezeSchema = z.strictObject({
  workspaceId: recordIdSchema,
  reason: pauseReasonSchema.optional(),
});
const oneSchema = z.strictObject({ workspaceId: recordIdSchema });
const showSchema = z.strictObject({ workspaceId: recordIdSchema.optional() }).optional();

function checked<Value>(schema: z.ZodType<Value>, params: unknown, takes: string): Value {
  const parsed = schema.safeParse(params);
  if (!parsed.success) throw new OperatorWorkspacesError(`takes ${takes}`);
  return parsed.data;
}

export interface Imported {
  readonly logs: readonly TakenLog[];
  readonly decisions: readonly TakenDecision[];
}

export class OperatorWorkspaces {
  readonly #sessions: Sessions;
  readonly #now: () => number;

  /** `now`: milliseconds since 1970. */
  constructor(sessions: Sessions, now: () => number) {
    this.#sessions = sessions;
    this.#now = now;
  }

  /** Durable when it resolves, and told to the peers. Throws OperatorWorkspacesError; EvidenceError for what does not stand. */
  async import(params: unknown): Promise<Imported> {
    const handed = checked(handedSchema, params, 'what countersign exports: a log, or decisions');
    if (handed.type === 'countersign.log')
      return { logs: await this.#sessions.importLog(handed.log, handed.parentLog), decisions: [] };
    return { logs: [], decisions: await this.#sessions.importDecisions(handed.decisions) };
  }

  async show(params: unknown): Promise<{ readonly workspaces: readonly WorkspaceStatus[] }> {
    const wanted = checked(showSchema, params, '{workspaceId?}')?.workspaceId;
    const workspaces = this.#sessions.workspaces();
    return {
      workspaces:
        wanted === undefined ? workspaces : workspaces.filter(({ workspaceId }) => workspaceId === wanted),
    };
  }

  /** Nothing leaves any more from the moment of the call; durable when it resolves. */
  async freeze(params: unknown): Promise<{ readonly changed: boolean }> {
    const { workspaceId, reason } = checked(freezeSchema, params, '{workspaceId, reason?}');
    const since = timestamp(this.#now());
    const freeze = { workspaceId, since, ...(reason !== undefined && { reason }) };
    return { changed: await this.#sessions.freeze(freeze) };
  }

  async unfreeze(params: unknown): Promise<{ readonly changed: boolean; readonly frozenSince?: string }> {
    const { workspaceId } = checked(oneSchema, params, '{workspaceId}');
    const ended = await this.#sessions.unfreeze(workspaceId);
    return { changed: ended !== undefined, ...(ended && { frozenSince: ended.since }) };
  }

  /** For `node status`: those of which nothing is signed. */
  blocked(): readonly WorkspaceStatus[] {
    return this.#sessions
      .workspaces()
      .filter(({ fork, frozen }) => fork !== undefined || frozen !== undefined);
  }
}
