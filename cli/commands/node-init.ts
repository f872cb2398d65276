// `countersign node init`: makes a node's folder, with its party key.
import { Command } from 'commander';
import type { CommandFactory } from '../command.ts';
import { askPassphrase } from '../identities.ts';
import { type JsonOption, type PassphraseOption, withExample, withJson, withPassphrase } from '../options.ts';
import { fields, printResult } from '../output.ts';
import { during } from '../progress.ts';

interface Options extends JsonOption, PassphraseOption {
  readonly dir: string;
  readonly name: string;
  readonly network: string;
  readonly listen?: string[];
  readonly announce?: string[];
}

export const nodeInit: CommandFactory = (context) =>
  withExample(
    withPassphrase(withJson(new Command('init')))
      .description(
        'Make the folder of a new node: its party key (sealed), config.yaml, and party.json for the admin of the keyring.',
      )
      .requiredOption('--dir <dir>', 'folder to make; nothing in it is overwritten')
      .requiredOption('--name <name>', "the party's name in its keyring")
      .requiredOption('--network <id>', 'network the node belongs to')
      .option('--listen <multiaddr...>', 'addresses to listen at (default: /ip4/0.0.0.0/tcp/4151)')
      .option('--announce <multiaddr...>', 'addresses under which the other parties reach it')
      .action(async (options: Options) => {
        const { dir, name, network, announce } = options;
        const { createNodeFolder, refuseOverwrite } = await import('../node-folder.ts');
        const { defaultListen, nodePaths } = await import('../../node/config.ts');
        const { peerIdOfCredential } = await import('../../node/network/peer-identity.ts');
        await refuseOverwrite(dir);
        const passphrase = await askPassphrase(context, options, `node ${name}`, { confirm: true });
        const { testOnlyScryptCost } = context;
        const party = await during(context, options, `sealing the key of node ${name}`, () =>
          createNodeFolder({
            dir,
            name,
            networkId: network,
            listen: options.listen ?? [defaultListen],
            announce,
            passphrase,
            ...(testOnlyScryptCost !== undefined && { testOnlyScryptCost }),
          }),
        );
        const peerId = peerIdOfCredential(party.key).toString();
        const paths = nodePaths(dir);
        printResult(context, options, { ...party, peerId, file: paths.party, config: paths.config }, () => [
          ...fields([
            ['party', party.name],
            ['party key', party.key],
            ['peer id', peerId],
            [
              'addresses',
              party.addresses.length > 0
                ? party.addresses
                : 'none announced: other parties need --announce or peers: in their configuration',
            ],
            ['configuration', paths.config],
          ]),
          '',
          `Next: give ${paths.party} to the admin of the keyring.`,
        ]);
      }),
    'countersign node init --dir /var/lib/countersign/node --name acme --network my-network \\',
    '      --announce /dns4/node.acme.example/tcp/4151',
  );
