// `countersign coordinator start`: runs a coordinator until it is told to stop.
import { Command } from 'commander';
import type { CommandFactory } from '../command.ts';
import { type CoordinatorFlags, readCoordinatorConfig } from '../coordinator-config.ts';
import {
  type LogOption,
  type MetricsOption,
  type ParentOption,
  withExample,
  withLogLevel,
  withMetrics,
  withParent,
} from '../options.ts';

interface Options extends LogOption, ParentOption, MetricsOption, CoordinatorFlags {
  readonly config: string;
}

export const coordinatorStart: CommandFactory = (context) =>
  withExample(
    withMetrics(withParent(withLogLevel(new Command('start'))), 'COUNTERSIGN_COORDINATOR_METRICS_LISTEN')
      .description('Run a coordinator. Its log, a JSON object a line, goes to standard output.')
      .requiredOption('--config <file>', 'its configuration')
      .option('--dir <dir>', 'folder of its data, instead of the configuration (COUNTERSIGN_COORDINATOR_DIR)')
      .option('--host <host>', 'address to listen at (COUNTERSIGN_COORDINATOR_HOST)')
      .option('--port <port>', 'port to listen at, 0 for a free one (COUNTERSIGN_COORDINATOR_PORT)')
      .action(async (options: Options) => {
        const config = await readCoordinatorConfig(options.config, context.environment, options);
        const [{ startCoordinator }, { createLog }, { runDaemon }, { version }] = await Promise.all([
          import('../../coordinator/main.ts'),
          import('../log.ts'),
          import('../daemon.ts'),
          import('../version.ts'),
        ]);
        const log = createLog(options.logLevel);
        await runDaemon(context, {
          log,
          stopWithParent: options.stopWithParent,
          start: async ({ started }) => {
            const coordinator = await startCoordinator({ config, log, version: version() });
            started('coordinator', () => coordinator.stop());
          },
        });
      }),
    'countersign coordinator start --config /etc/countersign/coordinator.yaml',
  );
