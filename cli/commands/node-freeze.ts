// `countersign node freeze` and `node unfreeze`: an operator has this node sign nothing for one workspace, whatever its owners
// or a coordinator say.
import { Command } from 'commander';
import * as z from 'zod';
import type { CommandFactory } from '../command.ts';
import { askNode } from '../node-control.ts';
import { type JsonOption, withExample, withJson } from '../options.ts';
import { printResult } from '../output.ts';

interface Options extends JsonOption {
  readonly dir: string;
}

const frozenSchema = z.object({ changed: z.boolean() });
const unfrozenSchema = z.object({ changed: z.boolean(), frozenSince: z.string().exactOptional() });

export const nodeFreeze: CommandFactory = (context) =>
  withExample(
    withJson(new Command('freeze'))
      .description(
        'Have a running node sign nothing and make no key for one workspace until countersign node unfreeze, over restarts ' +
          'too. Its owners need not agree, and other nodes are not told: give them the same command.',
      )
      .argument('<workspace>', "the workspace's id")
      .requiredOption('--dir <dir>', "the node's folder")
      .option('--reason <text>', 'why, for whoever looks at the status: at most 200 characters')
      .action(async (workspaceId: string, options: Options & { readonly reason?: string }) => {
        const { dir, reason } = options;
        const params = { workspaceId, ...(reason !== undefined && { reason }) };
        const { changed } = await askNode(context, dir, 'freeze', params, frozenSchema);
        printResult(context, options, { workspaceId, state: 'frozen', changed }, () =>
          changed
            ? [
                'Frozen: this node signs nothing for that workspace.',
                `Next: countersign node unfreeze ${workspaceId} --dir ${dir}`,
              ]
            : ['Nothing changed: that workspace is frozen on this node already.'],
        );
      }),
    'countersign node freeze 0x4be1... --dir /var/lib/countersign/node --reason "an owner lost a key"',
  );

export const nodeUnfreeze: CommandFactory = (context) =>
  withExample(
    withJson(new Command('unfreeze'))
      .description('Let a node sign for a workspace again. It takes up its open requests at once.')
      .argument('<workspace>', "the workspace's id")
      .requiredOption('--dir <dir>', "the node's folder")
      .action(async (workspaceId: string, options: Options) => {
        const answer = await askNode(context, options.dir, 'unfreeze', { workspaceId }, unfrozenSchema);
        const { changed, frozenSince } = answer;
        printResult(context, options, { workspaceId, state: 'unfrozen', ...answer }, () => [
          changed
            ? `Unfrozen: this node signs for that workspace again. It was frozen since ${frozenSince}.`
            : 'Nothing changed: that workspace is not frozen on this node.',
        ]);
      }),
    'countersign node unfreeze 0x4be1... --dir /var/lib/countersign/node',
  );
