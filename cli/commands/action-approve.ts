// `countersign action approve` and `reject`: an owner's signed decision on a request.
import { Command } from 'commander';
import { buildDecision } from '../../client/records.ts';
import type { BuiltRecord } from '../../client/records.ts';
import { labelSchema } from '../../protocol/records/fields.ts';
import { actionId } from '../../protocol/rpc.ts';
import { actionLines, actionWarnings, approvable, fetchAction, type JudgedAction } from '../action.ts';
import type { CommandFactory } from '../command.ts';
import { confirm } from '../confirm.ts';
import type { CommandContext } from '../context.ts';
import { parseDuration } from '../duration.ts';
import { CliError } from '../errors.ts';
import { type SessionOptions, withExample, withWorkspace } from '../options.ts';
import { fields, printNotes, printResult } from '../output.ts';
import { findRequest } from '../requests.ts';
import { inWorkspace, type WorkspaceSession } from '../session.ts';

/** What every decision on an action says alike. */
function decisionBase(context: CommandContext, { networkId }: WorkspaceSession, action: JudgedAction) {
  const { workspace, requestId, evidence } = action;
  return { networkId, workspace, subject: requestId, decisions: evidence.decisions, now: context.now() };
}

async function submit(
  context: CommandContext,
  { client }: WorkspaceSession,
  options: SessionOptions,
  { id, envelope }: BuiltRecord,
  decision: 'approved' | 'rejected',
): Promise<void> {
  const view = await client.call('action_decide', { decision: envelope }, { signal: context.signal });
  const requestId = actionId(view);
  const { state } = view;
  printResult(context, options, { requestId, decision, decisionId: id, state }, () =>
    fields([
      ['request', requestId],
      ['decision', decision],
      ['state', state],
    ]),
  );
}

interface ApproveOptions extends SessionOptions {
  readonly yes?: boolean;
  readonly expires?: number;
}

export const actionApprove: CommandFactory = (context) =>
  withExample(
    withWorkspace(new Command('approve'))
      .description('Approve an action, after it was shown and you confirmed.')
      .argument('<id>', "the request's id, or the beginning of it")
      .option('--yes', 'do not ask for confirmation')
      .option('--expires <duration>', 'how long the approval may be used (default: 1h)', parseDuration)
      .action(async (text: string, options: ApproveOptions) => {
        await inWorkspace(context, options, async (session) => {
          const action = await fetchAction(context, session, await findRequest(context, session, text));
          const authorisation = approvable(action);
          const warnings = await actionWarnings(context, session, action, authorisation);
          printNotes(context, actionLines(action, authorisation, session.networkId, warnings));
          await confirm(context, 'Approve this?', options);
          const built = buildDecision(
            {
              ...decisionBase(context, session, action),
              decision: 'approve',
              ...(options.expires !== undefined && { lifetimeMs: options.expires }),
            },
            session.signer,
          );
          await submit(context, session, options, built, 'approved');
        });
      }),
    'countersign action approve 0x7be2a1 --as bob',
    'countersign action approve 0x7be2a1 --as bob --yes --expires 10m',
  );

interface RejectOptions extends SessionOptions {
  readonly reason?: string;
}

export const actionReject: CommandFactory = (context) =>
  withExample(
    withWorkspace(new Command('reject'))
      .description('Reject an action; its initiator cancels it this way.')
      .argument('<id>', "the request's id, or the beginning of it")
      .option('--reason <text>', 'why, in one line')
      .action(async (text: string, options: RejectOptions) => {
        const { reason } = options;
        if (reason !== undefined && !labelSchema.safeParse(reason).success) {
          throw new CliError('usage', 'the reason is not one plain line', 'write 1 to 100 characters');
        }
        await inWorkspace(context, options, async (session) => {
          // A rejection cannot do harm, so it needs no evidence but the workspace's log.
          const action = await fetchAction(context, session, await findRequest(context, session, text));
          const built = buildDecision(
            {
              ...decisionBase(context, session, action),
              decision: 'reject',
              ...(reason !== undefined && { reason }),
            },
            session.signer,
          );
          await submit(context, session, options, built, 'rejected');
        });
      }),
    'countersign action reject 0x7be2a1 --as bob --reason "wrong recipient"',
  );
