// `countersign action list` and `show`: what awaits decisions. `show` prints what the signed bytes say, judged here.
import { Command } from 'commander';
import type { RequestView } from '../../protocol/rpc.ts';
import type { Workspace } from '../../protocol/records/workspace.ts';
import { actionJson, actionLines, actionWarnings, approvable, fetchAction } from '../action.ts';
import type { CommandFactory } from '../command.ts';
import { allPages } from '../ids.ts';
import { type SessionOptions, withExample, withWorkspace } from '../options.ts';
import { printResult, shortId, table } from '../output.ts';
import { findRequest, proveRequest } from '../requests.ts';
import { inWorkspace, trustedWorkspace } from '../session.ts';

interface Listed {
  readonly requestId: string;
  readonly what: string;
  readonly initiator: string;
  readonly created: string;
  readonly waitsFor: readonly string[];
}

/** An action from its signed request; what the policy still wants is the coordinator's summary, `show` judges it. */
function listed(view: RequestView, workspace: Workspace, networkId: string): Listed {
  const waitsFor = [...new Set((view.missing ?? []).flatMap((missing) => missing.from))];
  try {
    const { id, content } = proveRequest(view, view.requestId, workspace, networkId);
    const what =
      content.kind === 'key'
        ? `key "${content.label}"`
        : content.items.map((item) => item.payload.kind).join(', ');
    return { requestId: id, what, initiator: content.initiator, created: content.created, waitsFor };
  } catch (error) {
    const what = `does not verify: ${(error as Error).message}`;
    return { requestId: view.requestId, what, initiator: '', created: '', waitsFor };
  }
}

export const actionList: CommandFactory = (context) =>
  withExample(
    withWorkspace(new Command('list'))
      .description('List what awaits the decisions of approvers.')
      .action(async (options: SessionOptions) => {
        await inWorkspace(context, options, async (session) => {
          const { client, networkId, workspaceId } = session;
          const workspace = await trustedWorkspace(context, session);
          const views = await allPages((after) =>
            client.call(
              'action_list',
              { workspaceId, limit: 200, ...(after !== undefined && { after }) },
              { signal: context.signal },
            ),
          );
          const requests = views.flatMap((view) => (view.kind === 'change' ? [] : [view]));
          const actions = requests.map((view) => listed(view, workspace, networkId));
          printResult(context, options, actions, () =>
            actions.length === 0
              ? ['nothing awaits a decision']
              : table(
                  ['id', 'what', 'asked by', 'created', 'waits for'],
                  actions.map((action) => [
                    shortId(action.requestId),
                    action.what,
                    action.initiator,
                    action.created,
                    action.waitsFor.join(' '),
                  ]),
                ),
          );
        });
      }),
    'countersign action list',
  );

export const actionShow: CommandFactory = (context) =>
  withExample(
    withWorkspace(new Command('show'))
      .description(
        'Show an action as the signed bytes tell it, verified on this machine against the trusted workspace.',
      )
      .argument('<id>', "the request's id, or the beginning of it")
      .action(async (text: string, options: SessionOptions) => {
        await inWorkspace(context, options, async (session) => {
          const action = await fetchAction(context, session, await findRequest(context, session, text));
          const authorisation = approvable(action);
          const warnings = await actionWarnings(context, session, action, authorisation);
          printResult(context, options, actionJson(action, authorisation, warnings), () =>
            actionLines(action, authorisation, session.networkId, warnings),
          );
        });
      }),
    'countersign action show 0x7be2a1',
  );
