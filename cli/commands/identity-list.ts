// `countersign identity list` and `show`: names and credentials as their files state them; nothing is opened.
import { Command } from 'commander';
import type { CommandFactory } from '../command.ts';
import { identityNames, readIdentityNamed } from '../identities.ts';
import { type JsonOption, withExample, withJson } from '../options.ts';
import { fields, printResult, table } from '../output.ts';

export const identityList: CommandFactory = (context) =>
  withExample(
    withJson(new Command('list'))
      .description('List your identities.')
      .action(async (options: JsonOption) => {
        const identities: { name: string; credential?: string; problem?: string }[] = [];
        for (const name of await identityNames(context)) {
          try {
            const { credential } = await readIdentityNamed(context, name);
            identities.push({ name, credential });
          } catch (error) {
            // One damaged file does not hide the others.
            identities.push({ name, problem: (error as Error).message });
          }
        }
        printResult(context, options, identities, () =>
          identities.length === 0
            ? ['no identities: make one with countersign identity new NAME']
            : table(
                ['name', 'credential'],
                identities.map(({ name, credential, problem }) => [name, credential ?? `(${problem})`]),
              ),
        );
      }),
    'countersign identity list',
  );

export const identityShow: CommandFactory = (context) =>
  withExample(
    withJson(new Command('show'))
      .description('Show the credential of an identity.')
      .argument('<identity>', 'its name')
      .action(async (name: string, options: JsonOption) => {
        const identity = await readIdentityNamed(context, name);
        printResult(context, options, identity, () =>
          fields([
            ['name', identity.name],
            ['credential', identity.credential],
            ['file', identity.path],
          ]),
        );
      }),
    'countersign identity show alice',
    'countersign identity show alice --json | jq -r .credential',
  );
