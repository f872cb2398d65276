// What an operator does about workspaces on a running node, over the control socket: hand it what owners decided, look at the
// logs that it knows, and freeze a workspace on this node alone.
import * as z from 'zod';
import { type HandedFork, type HandedLog, handedSchema } from '../protocol/handed.ts';
import { type LogHead, recordIdSchema, timestamp } from '../protocol/records/fields.ts';
import { logAt } from '../protocol/records/workspace.ts';
import type { Sessions, TakenDecision, TakenLog, WorkspaceStatus } from './sessions/sessions.ts';
import { pauseReasonSchema } from './store/pause.ts';

export class OperatorWorkspacesError extends Error {
  override readonly name = 'OperatorWorkspacesError';
  readonly code: 'invalid_params' | 'unknown_workspace';

  constructor(code: 'invalid_params' | 'unknown_workspace', message: string) {
    super(message);
    this.code = code;
  }
}

const freezeSchema = z.strictObject({
  workspaceId: recordIdSchema,
  reason: pauseReasonSchema.optional(),
});
const oneSchema = z.strictObject({ workspaceId: recordIdSchema });
const showSchema = z.strictObject({ workspaceId: recordIdSchema.optional() }).optional();

function checked<Value>(schema: z.ZodType<Value>, params: unknown, takes: string): Value {
  const parsed = schema.safeParse(params);
  if (!parsed.success) throw new OperatorWorkspacesError('invalid_params', `takes ${takes}`);
  return parsed.data;
}

export interface Imported {
  readonly logs: readonly TakenLog[];
  readonly decisions: readonly TakenDecision[];
}

export class OperatorWorkspaces {
  readonly #sessions: Sessions;
  readonly #networkId: string;
  readonly #now: () => number;

  /** `now`: milliseconds since 1970. */
  constructor(sessions: Sessions, networkId: string, now: () => number) {
    this.#sessions = sessions;
    this.#networkId = networkId;
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

  /** What this node knows of a workspace's log, as a file to be handed on; of one that has forked, both logs. */
  async export(params: unknown): Promise<HandedLog | HandedFork> {
    const { workspaceId } = checked(oneSchema, params, '{workspaceId}');
    const known = await this.#sessions.logsOf(workspaceId);
    if (known === undefined)
      throw new OperatorWorkspacesError(
        'unknown_workspace',
        `this node knows no workspace ${workspaceId}: see countersign node log show`,
      );
    const log = [...known.log];
    if (known.fork === undefined) return { type: 'countersign.log', log };
    const { common, logs } = known.fork;
    const shared = logAt(logs[1], common as LogHead, this.#networkId);
    return { type: 'countersign.fork', log, after: common.seq, other: logs[1].slice(shared.length) };
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
