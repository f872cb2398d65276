// `countersign workspace show`: the trusted workspace, replayed from its log; or the ones there are to choose from.
import { Command } from 'commander';
import { openWorkspace } from '../../protocol/records/workspace.ts';
import type { CommandFactory } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { allPages } from '../ids.ts';
import { type SessionOptions, withExample, withWorkspace } from '../options.ts';
import { printNotes, printResult, table } from '../output.ts';
import { resolveProfile } from '../profile.ts';
import { inWorkspace, trustedWorkspace, withSigner } from '../session.ts';
import { workspaceJson, workspaceLines } from '../workspace-view.ts';

async function showAll(context: CommandContext, options: SessionOptions): Promise<void> {
  await withSigner(context, options, async ({ client, networkId }) => {
    const views = await allPages((page) =>
      client.call('workspace_list', { ...page }, { signal: context.signal }),
    );
    const workspaces = views.map((view) => openWorkspace(view.log, networkId));
    if (workspaces.length > 0) {
      printNotes(context, [
        'no workspace is trusted yet: compare an id with its other owners, then countersign profile set workspaceId ID',
      ]);
    }
    printResult(context, options, workspaces.map(workspaceJson), () =>
      table(
        ['id', 'name', 'owners'],
        workspaces.map(({ id, name, owners }) => [id, name, owners.map((owner) => owner.name).join(' ')]),
      ),
    );
  });
}

export const workspaceShow: CommandFactory = (context) =>
  withExample(
    withWorkspace(new Command('show'))
      .description(
        'Show the trusted workspace as its signed log tells it; without one, list those you are an owner of.',
      )
      .action(async (options: SessionOptions) => {
        const { workspaceId } = await resolveProfile(context, options);
        if (workspaceId === undefined) {
          await showAll(context, options);
          return;
        }
        await inWorkspace(context, options, async (session) => {
          const workspace = await trustedWorkspace(context, session);
          printResult(context, options, workspaceJson(workspace), () => workspaceLines(workspace));
        });
      }),
    'countersign workspace show',
  );
