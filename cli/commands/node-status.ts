// `countersign node status`: what a running node says of itself over its control socket.
import { Command } from 'commander';
import type { CommandFactory } from '../command.ts';
import { type JsonOption, withExample, withJson } from '../options.ts';
import { printResult } from '../output.ts';

export const nodeStatus: CommandFactory = (context) =>
  withExample(
    withJson(new Command('status'))
      .description(
        'Show how a running node is: whether it is paused, clocks, peers, keys, and what every open request waits for. ' +
          'Exit code 3 when none runs.',
      )
      .requiredOption('--dir <dir>', "the node's folder")
      .action(async (options: JsonOption & { readonly dir: string }) => {
        const [{ callControl }, { statusLines }] = await Promise.all([
          import('../../node/control.ts'),
          import('../node-status-view.ts'),
        ]);
        const { environment, signal } = context;
        const status = await callControl(options.dir, 'status', undefined, { environment, signal });
        printResult(context, options, status, () => statusLines(status));
      }),
    'countersign node status --dir /var/lib/countersign/node',
  );
