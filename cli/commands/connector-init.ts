// `countersign connector init`: makes a connector's folder, with the key that its node is to allow.
import { Command } from 'commander';
import type { CommandFactory } from '../command.ts';
import { askPassphrase } from '../identities.ts';
import {
  type JsonOption,
  type PassphraseOption,
  withExample,
  withJson,
  withNetwork,
  withPassphrase,
} from '../options.ts';
import { fields, printResult } from '../output.ts';
import type { ProfileFlags } from '../profile.ts';
import { during } from '../progress.ts';

interface Options extends JsonOption, PassphraseOption, ProfileFlags {
  readonly dir: string;
  readonly node?: string;
}

export const connectorInit: CommandFactory = (context) =>
  withExample(
    withPassphrase(withNetwork(withJson(new Command('init'))))
      .description(
        "Make the folder of a new connector: its key (sealed) and config.yaml. Prints the key for the node's operator.",
      )
      .requiredOption('--dir <dir>', 'folder to make; nothing in it is overwritten')
      .option('--coordinator <url>', "the coordinator's address, instead of the profile")
      .option('--node <multiaddr>', "the node's address, ending in /p2p/ and its peer id")
      .action(async (options: Options) => {
        const { createConnectorFolder, refuseOverwrite } = await import('../connector-folder.ts');
        const { resolveProfile } = await import('../profile.ts');
        await refuseOverwrite(options.dir);
        const { networkId, coordinator } = await resolveProfile(context, options);
        const passphrase = await askPassphrase(context, options, 'the connector', { confirm: true });
        const { testOnlyScryptCost } = context;
        const { credential, config, grant, unset } = await during(
          context,
          options,
          'sealing the key of the connector',
          () =>
            createConnectorFolder({
              dir: options.dir,
              settings: { networkId, coordinator, node: options.node },
              passphrase,
              ...(testOnlyScryptCost !== undefined && { testOnlyScryptCost }),
            }),
        );
        printResult(context, options, { credential, config, grant, unset }, () => [
          ...fields([
            ['connector key', credential],
            ['configuration', config],
            ['still to set', unset.length > 0 ? unset.join(', ') : undefined],
          ]),
          '',
          `Next: countersign node allow-connector ${credential} --dir NODE_DIR --out ${grant}`,
        ]);
      }),
    'countersign connector init --dir /var/lib/countersign/connector --network my-network \\',
    '      --coordinator https://coordinator.example:7000 --node /ip4/10.0.0.5/tcp/4151/p2p/12D3Koo...',
  );
