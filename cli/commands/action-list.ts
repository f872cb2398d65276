// `countersign action list` and `show`: what awaits decisions. `show` prints what the signed bytes say, judged here.
import { Command } from 'commander';
import type { Hex } from '../../protocol/hex.ts';
import { verifyRecord } from '../../protocol/records/envelope.ts';
import { workspaceChange } from '../../protocol/records/workspace-change.ts';
import { ownerOf, type Workspace } from '../../protocol/records/workspace.ts';
import { actionId, type ActionView } from '../../protocol/rpc.ts';
import { actionJson, actionLines, actionWarnings, approvable, fetchAction } from '../action.ts';
import type { CommandFactory } from '../command.ts';
import { changeJson, changeLines, describeChange, fetchChange } from '../change.ts';
import { findAction } from '../find-action.ts';
import { allPages } from '../ids.ts';
import { type SessionOptions, withExample, withWorkspace } from '../options.ts';
import { printResult, shortId, table } from '../output.ts';
import { proveRequest } from '../requests.ts';
import { inWorkspace, trustedFamily } from '../session.ts';

interface Listed {
  readonly id: Hex;
  readonly kind: ActionView['kind'];
  /** The same id, by the name that other commands give it. */
  readonly requestId?: Hex;
  readonly changeId?: Hex;
  readonly what: string;
  readonly initiator: string;
  /** Whose decision is still missing. */
  readonly missing: readonly string[];
  /** Whether the identity that asks is among them. */
  readonly mine: boolean;
  /** What it waits for that nobody decides. */
  readonly holds: readonly string[];
  readonly expires: string;
}

/** What an action would do, from its signed bytes alone. */
function subjectOf(
  view: ActionView,
  workspace: Workspace,
  networkId: string,
): { what: string; initiator: string } {
  if (view.kind === 'change') {
    const { id, content, signedBy } = verifyRecord(workspaceChange, view.change, networkId);
    if (id !== view.changeId || content.workspaceId !== workspace.id)
      throw new TypeError('it is another change');
    const { initiator, change } = content;
    if (!signedBy.some((credential) => ownerOf(workspace, credential)?.name === initiator))
      throw new TypeError(`not signed by its initiator ${initiator}`);
    return { what: describeChange(change)[0] ?? change.kind, initiator };
  }
  const { content } = proveRequest(view, view.requestId, workspace, networkId);
  const what =
    content.kind === 'key'
      ? `key "${content.label}"`
      : content.items.map((item) => item.payload.kind).join(', ');
  return { what, initiator: content.initiator };
}

/** An action as its signed record tells it; what the policy still wants is the coordinator's summary, `show` judges it. */
function listed(view: ActionView, workspace: Workspace, networkId: string, own: string | undefined): Listed {
  const missing = [...new Set((view.missing ?? []).flatMap(({ from }) => from))];
  const base = {
    id: actionId(view),
    kind: view.kind,
    ...(view.kind === 'change' ? { changeId: view.changeId } : { requestId: view.requestId }),
    missing,
    mine: own !== undefined && missing.includes(own),
    holds: (view.holds ?? []).map(({ hold, until, detail }) =>
      until === undefined ? `${hold}: ${detail}` : `${hold} until ${until}`,
    ),
    expires: view.expires,
  };
  try {
    return { ...base, ...subjectOf(view, workspace, networkId) };
  } catch (error) {
    return { ...base, what: `does not verify: ${(error as Error).message}`, initiator: '' };
  }
}

interface ListOptions extends SessionOptions {
  readonly mine?: boolean;
}

export const actionList: CommandFactory = (context) =>
  withExample(
    withWorkspace(new Command('list'))
      .description('List what awaits decisions: requests and changes of the workspace, yours first.')
      .option('--mine', 'only what awaits your own decision')
      .action(async (options: ListOptions) => {
        await inWorkspace(context, options, async (session) => {
          const { client, networkId, workspaceId, signer } = session;
          const { workspace, parent } = await trustedFamily(context, session);
          const own = (
            ownerOf(workspace, signer.credential) ??
            (parent && ownerOf(parent, signer.credential))
          )?.name;
          const views = await allPages((page) =>
            client.call(
              'action_list',
              {
                workspaceId,
                ...page,
                ...(options.mine === true && { mine: true }),
              },
              { signal: context.signal },
            ),
          );
          const actions = views
            .map((view) => listed(view, workspace, networkId, own))
            .toSorted((one, other) => Number(other.mine) - Number(one.mine));
          printResult(context, options, actions, () =>
            actions.length === 0
              ? [options.mine === true ? 'nothing awaits your decision' : 'nothing awaits a decision']
              : table(
                  ['id', 'what', 'asked by', 'you', 'others', 'waits for', 'until'],
                  actions.map(({ id, what, initiator, mine, missing, holds, expires }) => [
                    shortId(id),
                    what,
                    initiator,
                    mine ? 'decide' : '',
                    missing.filter((name) => name !== own).join(' '),
                    holds.join('; '),
                    expires,
                  ]),
                ),
          );
        });
      }),
    'countersign action list',
    'countersign action list --mine --as bob',
  );

export const actionShow: CommandFactory = (context) =>
  withExample(
    withWorkspace(new Command('show'))
      .description(
        'Show an action as the signed bytes tell it, verified on this machine against the trusted workspace.',
      )
      .argument('<id>', "the action's id, or the beginning of it")
      .action(async (text: string, options: SessionOptions) => {
        await inWorkspace(context, options, async (session) => {
          const found = await findAction(context, session, text);
          if (found.kind === 'change') {
            const change = await fetchChange(context, session, found.id);
            return printResult(context, options, changeJson(change), () =>
              changeLines(change, session.networkId),
            );
          }
          const action = await fetchAction(context, session, found.id);
          const authorisation = approvable(action);
          const warnings = await actionWarnings(context, session, action, authorisation);
          printResult(context, options, actionJson(action, authorisation, warnings), () =>
            actionLines(action, authorisation, session.networkId, warnings),
          );
        });
      }),
    'countersign action show 0x7be2a1',
  );
