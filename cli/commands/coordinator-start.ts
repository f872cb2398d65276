// `countersign coordinator start`: runs a coordinator until it is told to stop.
import { resolve } from 'node:path';
import { Command } from 'commander';
import type { CommandFactory } from '../command.ts';
import { checkConfig, given, readConfigFile } from '../config-file.ts';
import {
  type LogOption,
  type MetricsOption,
  type ParentOption,
  withExample,
  withLogLevel,
  withMetrics,
  withParent,
} from '../options.ts';

interface Options extends LogOption, ParentOption, MetricsOption {
  readonly config: string;
  readonly dir?: string;
  readonly host?: string;
  readonly port?: string;
}

/** A number where the text is one, so that the schema complains about the rest. */
function number(text: string | undefined): number | string | undefined {
  return text !== undefined && /^[0-9]+$/.test(text) ? Number(text) : text;
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
        const { environment } = context;
        const file = await readConfigFile(options.config);
        const listen = given({
          host: options.host ?? environment.COUNTERSIGN_COORDINATOR_HOST,
          port: number(options.port ?? environment.COUNTERSIGN_COORDINATOR_PORT),
        });
        const metricsListen = options.metricsListen ?? environment.COUNTERSIGN_COORDINATOR_METRICS_LISTEN;
        const overrides = given({
          dir: options.dir ?? environment.COUNTERSIGN_COORDINATOR_DIR,
          listen: Object.keys(listen).length > 0 ? listen : undefined,
          metrics: metricsListen ? { listen: metricsListen } : undefined,
        });
        const [{ parseCoordinatorConfig }, { startCoordinator }, { createLog }, { runDaemon }, { version }] =
          await Promise.all([
            import('../../coordinator/config.ts'),
            import('../../coordinator/main.ts'),
            import('../log.ts'),
            import('../daemon.ts'),
            import('../version.ts'),
          ]);
        const config = checkConfig(file, overrides, () =>
          parseCoordinatorConfig({
            ...file.values,
            ...overrides,
            ...(overrides.listen !== undefined && {
              listen: { ...(file.values.listen as object), ...listen },
            }),
          }),
        );
        // What the file says is relative to the file, what was typed is relative to where it was typed.
        const dir = resolve(overrides.dir === undefined ? file.folder : '.', config.dir);
        const log = createLog(options.logLevel);
        await runDaemon(context, {
          log,
          stopWithParent: options.stopWithParent,
          start: async ({ started }) => {
            const coordinator = await startCoordinator({
              config: { ...config, dir },
              log,
              version: version(),
            });
            started('coordinator', () => coordinator.stop());
          },
        });
      }),
    'countersign coordinator start --config /etc/countersign/coordinator.yaml',
  );
