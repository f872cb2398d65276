// A connector's folder as its operator's commands make and read it.
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { type ConnectorConfig, connectorConfigSchema } from '../connector/config.ts';
import { makeFolder } from '../storage/atomic-file.ts';
import { given, readConfigFile } from './config-file.ts';
import { CliError } from './errors.ts';
import { createOrTakeUp, exists } from './interrupted-init.ts';
import { writeOut } from './record-file.ts';
import { complaint } from './yaml-file.ts';

const files = { config: 'config.yaml', key: 'identity.json', grant: 'grant.json' } as const;

/** Throws CliError `failed` when the folder holds a connector already: a whole one, with its configuration. */
export async function refuseOverwrite(dir: string): Promise<void> {
  const path = join(dir, files.config);
  if (await exists(path)) throw new CliError('failed', `${path} already exists`, 'choose another folder');
}

type Settings = Partial<Record<'networkId' | 'coordinator' | 'node', string | undefined>>;

export interface NewConnector {
  readonly dir: string;
  /** What is left out stands as a comment in the configuration, to be filled in. */
  readonly settings: Settings;
  readonly passphrase: string;
  readonly testOnlyScryptCost?: number;
}

const examples = {
  networkId: 'my-network',
  coordinator: 'https://coordinator.example:7000',
  node: '/ip4/10.0.0.5/tcp/4151/p2p/12D3Koo...',
} as const;

export interface CreatedConnector {
  readonly credential: string;
  /** Path of the configuration. */
  readonly config: string;
  /** Path where the configuration expects the grant. */
  readonly grant: string;
  /** Settings that are still to be filled in. */
  readonly unset: readonly string[];
}

/** Makes a connector's folder. Throws CliError `failed` when there is one already, `usage`; IdentityError. */
export async function createConnectorFolder(options: NewConnector): Promise<CreatedConnector> {
  const { settings, passphrase, testOnlyScryptCost } = options;
  const dir = resolve(options.dir);
  await refuseOverwrite(dir);
  const named = Object.keys(examples) as (keyof typeof examples)[];
  for (const key of named) {
    const value = settings[key];
    if (value === undefined) continue;
    const parsed = connectorConfigSchema.shape[key].safeParse(value);
    if (!parsed.success)
      throw new CliError('usage', `${value} cannot be ${key}`, parsed.error.issues[0]!.message);
  }
  await makeFolder(dir);
  const sealing = { passphrase, ...(testOnlyScryptCost !== undefined && { testOnlyScryptCost }) };
  const identity = await createOrTakeUp({ name: 'connector', path: join(dir, files.key), ...sealing });
  identity.seed.fill(0);
  const unset = named.filter((key) => settings[key] === undefined);
  const lines = [
    '# Configuration of this Countersign connector. Paths are relative to this file.',
    ...named.map((key) =>
      settings[key] === undefined ? `# ${key}: ${examples[key]}` : stringify({ [key]: settings[key] }).trim(),
    ),
    'dir: .',
    `key: ${files.key}`,
    `grant: ${files.grant}`,
  ];
  const config = join(dir, files.config);
  await writeOut(config, `${lines.join('\n')}\n`);
  return { credential: identity.credential, config, grant: join(dir, files.grant), unset };
}

/** A connector's configuration, its paths absolute. Throws CliError `usage` with file, line and column. */
export async function readConnectorConfig(
  path: string,
  environment: Readonly<Record<string, string | undefined>>,
  flags: { readonly coordinator?: string; readonly node?: string; readonly metricsListen?: string },
): Promise<ConnectorConfig> {
  const { file, folder, values } = await readConfigFile(path);
  const metricsListen = flags.metricsListen ?? environment.COUNTERSIGN_CONNECTOR_METRICS_LISTEN;
  const overrides = given({
    coordinator: flags.coordinator ?? environment.COUNTERSIGN_CONNECTOR_COORDINATOR,
    node: flags.node ?? environment.COUNTERSIGN_CONNECTOR_NODE,
    metrics: metricsListen ? { listen: metricsListen } : undefined,
  });
  const parsed = connectorConfigSchema.safeParse({ ...values, ...overrides });
  if (!parsed.success) {
    const { what, remedy } = complaint(file, parsed.error, Object.keys(connectorConfigSchema.shape));
    throw new CliError('usage', what, remedy);
  }
  const { dir, key, grant, ...rest } = parsed.data;
  const at = (relative: string): string => resolve(folder, relative);
  return { ...rest, dir: at(dir), key: at(key), grant: at(grant) };
}
