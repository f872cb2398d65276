// `countersign node pair-setup`: an operator lifts the ban of a pair, or has a pair's setup made anew.
import { Command } from 'commander';
import * as z from 'zod';
import type { CommandFactory } from '../command.ts';
import { confirm } from '../confirm.ts';
import { CliError } from '../errors.ts';
import { askNode } from '../node-control.ts';
import { type JsonOption, withExample, withJson } from '../options.ts';
import { fields, printResult } from '../output.ts';

interface Options extends JsonOption {
  readonly dir: string;
  readonly yes?: boolean;
}

const banSchema = z.object({ since: z.string(), code: z.string(), detail: z.string() });
const pairSchema = z.object({
  name: z.string(),
  key: z.string(),
  state: z.string(),
  ban: banSchema.exactOptional(),
});
const statusSchema = z.object({ pairs: z.array(pairSchema) });
const liftSchema = z.object({
  name: z.string(),
  key: z.string(),
  was: z.string(),
  ban: banSchema.exactOptional(),
});

function question({ name, state, ban }: z.output<typeof pairSchema>): string {
  if (ban === undefined) {
    return `The setup with ${name} (${state}) is destroyed and made anew; presignatures and sessions with it end. Do it?`;
  }
  const why =
    ban.code === 'restored'
      ? 'This folder was restored. If it had banned that party after the backup was made, it has forgotten it.'
      : 'A party that cheated gets one more try at your keys. Lift it only when you know what happened, and that it is over.';
  return `The pair with ${name} is banned since ${ban.since}: ${ban.code} (${ban.detail}). ${why} Lift the ban?`;
}

export const nodePairSetup: CommandFactory = (context) =>
  withExample(
    withJson(new Command('pair-setup'))
      .description(
        'Lift the ban of a running node and another party, and have their pair setup made anew, which ECDSA keys need. It ' +
          'destroys the present setup, its presignatures and the sessions that use it, and forgets incidents. Both ' +
          'nodes must be up for the new one. A lifted ban gives a cheater a new try.',
      )
      .argument('<peer>', 'the other party: its name in the roster, or its party key')
      .requiredOption('--dir <dir>', "the node's folder")
      .option('--yes', 'do not ask')
      .action(async (peer: string, options: Options) => {
        const { pairs } = await askNode(context, options.dir, 'status', undefined, statusSchema);
        const pair = pairs.find(({ name, key }) => name === peer || key === peer);
        if (pair === undefined) {
          const names = pairs.map(({ name }) => name).join(', ');
          throw new CliError(
            'usage',
            `${JSON.stringify(peer)} is no other party of this node's keyring`,
            `use one of ${names}`,
          );
        }
        await confirm(context, question(pair), options);
        const lifted = await askNode(context, options.dir, 'pair-setup', { peer: pair.key }, liftSchema);
        const { name, key, was, ban } = lifted;
        printResult(context, options, { name, key, was, ...(ban && { ban }) }, () => [
          ...fields([
            ['party', `${name} ${key}`],
            ['was', ban === undefined ? was : `banned since ${ban.since}: ${ban.code}`],
          ]),
          '',
          `The pair setup with ${name} is made anew as soon as both nodes are up.`,
          `Next: countersign node status --dir ${options.dir}`,
        ]);
      }),
    'countersign node pair-setup acme --dir /var/lib/countersign/node',
  );
