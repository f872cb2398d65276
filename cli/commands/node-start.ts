// `countersign node start`: runs a node until it is told to stop.
import { Command, Option } from 'commander';
import { openIdentity } from '../../client/identity/identity.ts';
import type { CommandFactory } from '../command.ts';
import { askPassphrase } from '../identities.ts';
import { logLevels } from '../log-level.ts';
import {
  type MetricsOption,
  type ParentOption,
  type PassphraseOption,
  withExample,
  withMetrics,
  withParent,
  withPassphrase,
} from '../options.ts';
import { during } from '../progress.ts';

interface Options extends ParentOption, PassphraseOption, MetricsOption {
  readonly dir: string;
  readonly listen?: string[];
  readonly logLevel?: string;
}

export const nodeStart: CommandFactory = (context) =>
  withExample(
    withMetrics(withParent(withPassphrase(new Command('start'))), 'COUNTERSIGN_NODE_METRICS_LISTEN')
      .description('Run a node. Its log, a JSON object a line, goes to standard output.')
      .requiredOption('--dir <dir>', "the node's folder")
      .option(
        '--listen <multiaddr...>',
        'addresses to listen at, instead of the configuration (COUNTERSIGN_NODE_LISTEN)',
      )
      .addOption(
        new Option('--log-level <level>', 'how much to log (COUNTERSIGN_NODE_LOG_LEVEL)').choices(logLevels),
      )
      .action(async (options: Options) => {
        const { dir, listen, logLevel, metricsListen } = options;
        const { readNodeFolder } = await import('../node-folder.ts');
        const flags = {
          ...(listen && { listen }),
          ...(logLevel !== undefined && { logLevel }),
          ...(metricsListen !== undefined && { metrics: { listen: metricsListen } }),
        };
        const { config, paths, party } = await readNodeFolder(dir, context.environment, flags);
        const passphrase = await askPassphrase(context, options, `node ${party.name}`);
        const { seed } = await during(context, {}, `opening the key of node ${party.name}`, () =>
          openIdentity(paths.identity, passphrase),
        );
        const [{ startNode }, { createLog }, { runDaemon }, { version }] = await Promise.all([
          import('../../node/main.ts'),
          import('../log.ts'),
          import('../daemon.ts'),
          import('../version.ts'),
        ]);
        const log = createLog(config.logLevel);
        try {
          await runDaemon(context, {
            log,
            stopWithParent: options.stopWithParent,
            start: async ({ started }) => {
              const node = await startNode({ config, seed, passphrase, log, version: version() });
              started('node', () => node.stop());
            },
          });
        } finally {
          seed.fill(0);
        }
      }),
    'countersign node start --dir /var/lib/countersign/node',
  );
