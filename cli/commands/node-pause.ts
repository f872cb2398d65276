// `countersign node pause` and `node resume`: an operator takes a running node out of signing, and lets it in again.
import { Command } from 'commander';
import * as z from 'zod';
import type { CommandFactory } from '../command.ts';
import { askNode } from '../node-control.ts';
import { type JsonOption, withExample, withJson } from '../options.ts';
import { printResult } from '../output.ts';

interface Options extends JsonOption {
  readonly dir: string;
}

const changeSchema = z.object({
  changed: z.boolean(),
  pause: z.object({ since: z.string(), reason: z.string().exactOptional() }).exactOptional(),
});

function describe(pause: { since: string; reason?: string } | undefined): string {
  return `since ${pause?.since ?? 'unknown'}${pause?.reason === undefined ? '' : ` (${pause.reason})`}`;
}

export const nodePause: CommandFactory = (context) =>
  withExample(
    withJson(new Command('pause'))
      .description(
        'Take a running node out of signing until countersign node resume, over restarts too. It stays connected and ' +
          'stores what comes in, but leaves every attempt and joins none: no share of it takes part in anything.',
      )
      .requiredOption('--dir <dir>', "the node's folder")
      .option('--reason <text>', 'why, for whoever looks at the status: at most 200 characters')
      .action(async (options: Options & { readonly reason?: string }) => {
        const { dir, reason } = options;
        const params = reason === undefined ? undefined : { reason };
        const { changed, pause } = await askNode(context, dir, 'pause', params, changeSchema);
        const value = { state: 'paused', changed, ...pause };
        printResult(context, options, value, () =>
          changed
            ? [
                'Paused: this node signs nothing and makes no key.',
                `Next: countersign node resume --dir ${dir}`,
              ]
            : [`Nothing changed: this node is paused already, ${describe(pause)}.`],
        );
      }),
    'countersign node pause --dir /var/lib/countersign/node --reason "moving to another rack"',
  );

export const nodeResume: CommandFactory = (context) =>
  withExample(
    withJson(new Command('resume'))
      .description('Let a paused node take part again. It takes up every open request at once.')
      .requiredOption('--dir <dir>', "the node's folder")
      .action(async (options: Options) => {
        const { changed, pause } = await askNode(context, options.dir, 'resume', undefined, changeSchema);
        const value = { state: 'running', changed, ...(pause && { pausedSince: pause.since }) };
        printResult(context, options, value, () => [
          changed
            ? `Resumed: this node takes part again. It was paused ${describe(pause)}.`
            : 'Nothing changed: this node is not paused.',
        ]);
      }),
    'countersign node resume --dir /var/lib/countersign/node',
  );
