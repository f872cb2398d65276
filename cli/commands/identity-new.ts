// `countersign identity new`: makes a person's key, sealed under a passphrase.
import { Command } from 'commander';
import { createIdentity } from '../../client/identity/identity.ts';
import type { CommandFactory } from '../command.ts';
import { askPassphrase, identityPath } from '../identities.ts';
import { type JsonOption, type PassphraseOption, withExample, withJson, withPassphrase } from '../options.ts';
import { fields, printResult } from '../output.ts';
import { during } from '../progress.ts';

export const identityNew: CommandFactory = (context) =>
  withExample(
    withPassphrase(withJson(new Command('new')))
      .description('Make an identity: a key of yours, sealed under a passphrase. Prints its credential.')
      .argument('<name>', 'what you call it: a-z, 0-9, ".", "_" and "-"')
      .action(async (name: string, options: JsonOption & PassphraseOption) => {
        const path = identityPath(context, name);
        const passphrase = await askPassphrase(context, options, `identity ${name}`, { confirm: true });
        const { testOnlyScryptCost } = context;
        const identity = await during(context, options, `sealing the key of identity ${name}`, () =>
          createIdentity({
            name,
            path,
            passphrase,
            ...(testOnlyScryptCost !== undefined && { testOnlyScryptCost }),
          }),
        );
        identity.seed.fill(0);
        const { credential } = identity;
        printResult(context, options, { name, credential, path }, () =>
          fields([
            ['name', name],
            ['credential', credential],
            ['file', path],
          ]),
        );
      }),
    'countersign identity new alice',
  );
