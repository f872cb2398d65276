// A coordinator's configuration as its commands read it: the file, then the environment, then flags.
import { resolve } from 'node:path';
import type { CoordinatorConfig } from '../coordinator/config.ts';
import { checkConfig, given, readConfigFile } from './config-file.ts';
import type { CommandContext } from './context.ts';

/** What was typed, as it was typed. */
export interface CoordinatorFlags {
  readonly dir?: string;
  readonly host?: string;
  readonly port?: string;
  readonly metricsListen?: string;
}

/** A number where the text is one, so that the schema complains about the rest. */
function number(text: string | undefined): number | string | undefined {
  return text !== undefined && /^[0-9]+$/.test(text) ? Number(text) : text;
}

/**
 * The configuration in `path`, with absolute paths: what the file says is relative to the file, what was typed is relative to
 * where it was typed. Throws CliError.
 */
export async function readCoordinatorConfig(
  path: string,
  environment: CommandContext['environment'],
  flags: CoordinatorFlags = {},
): Promise<CoordinatorConfig> {
  const { parseCoordinatorConfig } = await import('../coordinator/config.ts');
  const file = await readConfigFile(path);
  const listen = given({
    host: flags.host ?? environment.COUNTERSIGN_COORDINATOR_HOST,
    port: number(flags.port ?? environment.COUNTERSIGN_COORDINATOR_PORT),
  });
  const metricsListen = flags.metricsListen ?? environment.COUNTERSIGN_COORDINATOR_METRICS_LISTEN;
  const overrides = given({
    dir: flags.dir ?? environment.COUNTERSIGN_COORDINATOR_DIR,
    listen: Object.keys(listen).length > 0 ? listen : undefined,
    metrics: metricsListen ? { listen: metricsListen } : undefined,
  });
  const config = checkConfig(file, overrides, () =>
    parseCoordinatorConfig({
      ...file.values,
      ...overrides,
      ...(overrides.listen !== undefined && { listen: { ...(file.values.listen as object), ...listen } }),
    }),
  );
  return {
    ...config,
    dir: resolve(overrides.dir === undefined ? file.folder : '.', config.dir),
    ...(config.webhooks && {
      webhooks: config.webhooks.map((webhook) => ({
        ...webhook,
        secretFile: resolve(file.folder, webhook.secretFile),
      })),
    }),
  };
}
