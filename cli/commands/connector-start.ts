// `countersign connector start`: runs a connector until it is told to stop.
import { join } from 'node:path';
import { Command } from 'commander';
import type { CommandFactory } from '../command.ts';
import { CliError } from '../errors.ts';
import { openSealed } from '../identities.ts';
import {
  type LogOption,
  type MetricsOption,
  type ParentOption,
  type PassphraseOption,
  withExample,
  withLogLevel,
  withMetrics,
  withParent,
  withPassphrase,
} from '../options.ts';

interface Options extends LogOption, ParentOption, PassphraseOption, MetricsOption {
  readonly config?: string;
  readonly dir?: string;
  readonly coordinator?: string;
  readonly node?: string;
}

export const connectorStart: CommandFactory = (context) =>
  withExample(
    withMetrics(
      withParent(withLogLevel(withPassphrase(new Command('start')))),
      'COUNTERSIGN_CONNECTOR_METRICS_LISTEN',
    )
      .description('Run a connector. Its log, a JSON object a line, goes to standard output.')
      .option('--dir <dir>', 'its folder, with config.yaml in it')
      .option('--config <file>', 'its configuration, when that stands elsewhere')
      .option('--coordinator <url>', "the coordinator's address (COUNTERSIGN_CONNECTOR_COORDINATOR)")
      .option('--node <multiaddr>', "the node's address with its peer id (COUNTERSIGN_CONNECTOR_NODE)")
      .action(async (options: Options) => {
        const path =
          options.config ?? (options.dir === undefined ? undefined : join(options.dir, 'config.yaml'));
        if (path === undefined)
          throw new CliError('usage', 'no configuration is named', 'use --dir DIR or --config FILE');
        const { readConnectorConfig } = await import('../connector-folder.ts');
        const config = await readConnectorConfig(path, context.environment, options);
        const { seed } = await openSealed(context, options, config.key, 'the connector');
        const [{ startConnector }, { createLog }, { runDaemon }] = await Promise.all([
          import('../../connector/main.ts'),
          import('../log.ts'),
          import('../daemon.ts'),
        ]);
        const log = createLog(options.logLevel);
        try {
          await runDaemon(context, {
            log,
            stopWithParent: options.stopWithParent,
            start: async ({ started, failed }) => {
              const connector = await startConnector({ config, seed, log });
              started('connector', () => connector.stop());
              connector.finished.catch((error: unknown) => failed(error as Error));
            },
          });
        } finally {
          seed.fill(0);
        }
      }),
    'countersign connector start --dir /var/lib/countersign/connector',
  );
