// A node's configuration: a closed schema, with file < environment < flags; and the names of what stands in its folder.
import { join, resolve } from 'node:path';
import { multiaddr } from '@multiformats/multiaddr';
import * as z from 'zod';
import { metricsSchema } from '../metrics/listen.ts';
import { ed25519CredentialSchema, nameSchema, networkIdSchema } from '../protocol/records/fields.ts';

/** Presignatures that one party keeps at most, and for a key and set when its configuration says nothing. */
export const maxPooled = 64;
export const defaultPresignatures = 4;

/** TCP port when `node init` is told nothing: a fixed one, because operators announce it and open it in firewalls. */
export const defaultListen = '/ip4/0.0.0.0/tcp/4151';

export const logLevels = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof logLevels)[number];

/** Names of a multiaddress's parts, in order, like `ip4`, `tcp`; undefined when the text is none. */
function partsOf(text: string): string[] | undefined {
  try {
    return multiaddr(text)
      .getComponents()
      .map((component) => component.name);
  } catch {
    return undefined;
  }
}

const hosts = ['ip4', 'ip6', 'dns', 'dns4', 'dns6'];

function isTcp(text: string, tail: readonly string[]): boolean {
  const [host, transport, ...rest] = partsOf(text) ?? [];
  if (host === undefined || !hosts.includes(host) || transport !== 'tcp') return false;
  return (
    rest.length === 0 || (rest.length === tail.length && rest.every((name, index) => name === tail[index]))
  );
}

/** An address to listen at. */
const listenSchema = z
  .string()
  .max(200)
  .refine((text) => isTcp(text, []), 'expected a TCP multiaddress like /ip4/0.0.0.0/tcp/4151');

/** An address under which a peer is reached. */
export const addressSchema = z
  .string()
  .max(200)
  .refine((text) => isTcp(text, ['p2p']), 'expected a TCP multiaddress like /dns4/node.example/tcp/4151');

const milliseconds = z.number().positive().max(3600_000);
const timingSchema = z.strictObject({
  proposalDeadlineMs: milliseconds.optional(),
  roundDeadlineMs: milliseconds.optional(),
});

const schema = z.strictObject({
  networkId: networkIdSchema,
  /** The data folder; default: the one in which the configuration stands. */
  dir: z.string().min(1).optional(),
  /** The party's name in its keyring. */
  name: nameSchema,
  listen: z.array(listenSchema).min(1).max(8).default([defaultListen]),
  /** Addresses by party name or party key; they replace those of the roster. */
  peers: z
    .record(z.union([nameSchema, ed25519CredentialSchema]), z.array(addressSchema).min(1).max(8))
    .default({}),
  timing: timingSchema.default({}),
  /** Worker threads for cryptography and for judging evidence; default: one fewer than there are processors. */
  workers: z.int().min(1).max(64).optional(),
  /** Presignatures to keep ready for each ECDSA key and set in use, in memory. */
  presignatures: z.int().min(0).max(maxPooled).default(defaultPresignatures),
  logLevel: z.enum(logLevels).default('info'),
  /** Where Prometheus may read this node's metrics; none are kept without it. */
  metrics: metricsSchema.optional(),
});

/** For tests that hold the documentation to it. */
export { schema as nodeConfigSchema };
/** `dir` is absolute. */
export type NodeConfig = z.output<typeof schema> & { readonly dir: string };
/** What a configuration file may leave out. */
export type NodeConfigInput = z.input<typeof schema>;

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code: 'unknown_key' | 'invalid';
  /** Where in the configuration, like `timing.roundDeadlineMs`. */
  readonly path: string;
  constructor(code: ConfigError['code'], path: string, message: string) {
    super(message);
    this.code = code;
    this.path = path;
  }
}

/** Keys that each part of the configuration may have. */
const allowedKeys: Readonly<Record<string, readonly string[]>> = {
  '': Object.keys(schema.shape),
  timing: Object.keys(timingSchema.shape),
  metrics: Object.keys(metricsSchema.shape),
};

function errorOf(issues: readonly z.core.$ZodIssue[]): ConfigError {
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0]!;
  const path = issue.path.map(String).join('.');
  const where = path === '' ? 'configuration' : `configuration, ${path}`;
  if (issue.code === 'unrecognized_keys') {
    const unknown = issue.keys.map((key) => JSON.stringify(key)).join(', ');
    const allowed = allowedKeys[path]?.join(', ') ?? 'none';
    return new ConfigError('unknown_key', path, `${where}: unknown key ${unknown}; allowed are: ${allowed}`);
  }
  const message = issue.code === 'invalid_key' ? 'expected a party name or party key' : issue.message;
  return new ConfigError('invalid', path, `${where}: ${message}`.replaceAll('\n', ' '));
}

/** What the environment says of a node: COUNTERSIGN_NODE_NETWORK_ID, _LISTEN (separated by commas), _LOG_LEVEL, _METRICS_LISTEN. */
function fromEnvironment(environment: Readonly<Record<string, string | undefined>>): Record<string, unknown> {
  const value = (name: string): string | undefined => environment[`COUNTERSIGN_NODE_${name}`] || undefined;
  const networkId = value('NETWORK_ID');
  const listen = value('LISTEN');
  const logLevel = value('LOG_LEVEL');
  const metricsListen = value('METRICS_LISTEN');
  return {
    ...(networkId !== undefined && { networkId }),
    ...(listen !== undefined && { listen: listen.split(',').map((address) => address.trim()) }),
    ...(logLevel !== undefined && { logLevel }),
    ...(metricsListen !== undefined && { metrics: { listen: metricsListen } }),
  };
}

export interface NodeConfigSources {
  /** The parsed configuration file. */
  readonly file: unknown;
  /** The folder in which the file stands: `dir` is relative to it, and defaults to it. */
  readonly folder: string;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly flags?: {
    readonly listen?: readonly string[] | undefined;
    readonly logLevel?: string | undefined;
    readonly metrics?: { readonly listen: string } | undefined;
  };
}

/**
 * A node's configuration from its file, then the environment, then flags, each replacing what came before. Throws
 * ConfigError with one line that names the key, what is wrong with it, and for an unknown key those that are allowed.
 */
export function resolveNodeConfig(sources: NodeConfigSources): NodeConfig {
  const { file, folder, environment = {}, flags = {} } = sources;
  if (typeof file !== 'object' || file === null || Array.isArray(file)) {
    throw new ConfigError(
      'invalid',
      '',
      `configuration: expected keys and values; allowed are: ${allowedKeys['']!.join(', ')}`,
    );
  }
  const given = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
  const parsed = schema.safeParse({ ...file, ...fromEnvironment(environment), ...given });
  if (!parsed.success) throw errorOf(parsed.error.issues);
  return { ...parsed.data, dir: resolve(folder, parsed.data.dir ?? '.') };
}

/** What stands in a node's folder. */
export interface NodePaths {
  readonly config: string;
  /** Name, party key and addresses, for the keyring's admin. */
  readonly party: string;
  /** The party key, sealed. */
  readonly identity: string;
  /** The node's keyring, as its operator signed it. */
  readonly roster: string;
  /** Folder of connector grants, one file each. */
  readonly grants: string;
  /** Folder of the journal. */
  readonly db: string;
  /** Folder of epoch keys. */
  readonly epochs: string;
  /** Folder of the secrets of pair setups: never part of a backup. */
  readonly pairs: string;
  /** Process id and bound addresses, while the node listens. */
  readonly ready: string;
  /** Folder of proofs of other parties' faults, one file each. */
  readonly blame: string;
}

export function nodePaths(dir: string): NodePaths {
  const at = (name: string): string => join(dir, name);
  return {
    config: at('config.yaml'),
    party: at('party.json'),
    identity: at('identity.json'),
    roster: at('roster.json'),
    grants: at('grants'),
    db: at('db'),
    epochs: at('epochs'),
    pairs: at('pairs'),
    ready: at('ready.json'),
    blame: at('blame'),
  };
}
