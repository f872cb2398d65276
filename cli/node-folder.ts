// A node's folder as its operator's commands make and read it; the running node reads the same files.
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { readPublicIdentity } from '../client/identity/identity.ts';
import { writePrivateFile } from '../client/identity/sealed-file.ts';
import {
  addressSchema,
  ConfigError,
  type NodeConfig,
  type NodePaths,
  nodePaths,
  resolveNodeConfig,
} from '../node/config.ts';
import { type Envelope } from '../protocol/records/envelope.ts';
import { keyringRoster, type Party, partySchema } from '../protocol/records/keyring-roster.ts';
import { makeFolder } from '../storage/atomic-file.ts';
import { checkConfig, readConfigFile } from './config-file.ts';
import { CliError } from './errors.ts';
import { createOrTakeUp, exists } from './interrupted-init.ts';
import { jsonText, readJson, readRecord, writeOut } from './record-file.ts';

export interface NewNode {
  readonly dir: string;
  readonly name: string;
  readonly networkId: string;
  /** Multiaddresses. */
  readonly listen: readonly string[];
  /** Multiaddresses under which other parties reach it; default: those of `listen` that name a host and a port. */
  readonly announce?: readonly string[] | undefined;
  readonly passphrase: string;
  readonly testOnlyScryptCost?: number;
}

/** Whether an address means something to others: neither every interface nor a port chosen at start. */
export function isReachable(address: string): boolean {
  return !/^\/(ip4\/0\.0\.0\.0|ip6\/(::|0(:0){7}))\/|\/tcp\/0(\/|$)/.test(address);
}

/** Throws CliError `failed` when the folder holds a node already: a whole one, with its configuration. */
export async function refuseOverwrite(dir: string): Promise<void> {
  const { config } = nodePaths(dir);
  if (!(await exists(config))) return;
  throw new CliError(
    'failed',
    `${config} already exists`,
    'choose another folder: a party key is never replaced',
  );
}

/** Throws CliError `usage` that names the option and its value. */
function checkOptions(
  config: { networkId: string; name: string; listen: readonly string[] },
  folder: string,
): void {
  try {
    resolveNodeConfig({ file: config, folder });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const [key, index] = error.path.split('.');
    const why = error.message.replace(/^configuration, [^:]*: /, '');
    const given: Readonly<Record<string, string | undefined>> = {
      networkId: `--network ${JSON.stringify(config.networkId)}`,
      name: `--name ${JSON.stringify(config.name)}`,
      listen: `--listen ${JSON.stringify(config.listen[Number(index ?? 0)])}`,
    };
    const option = given[key ?? ''];
    if (option === undefined) throw error;
    throw new CliError('usage', `${option}: ${why}`, 'correct it', { cause: error });
  }
}

/**
 * Makes a node's folder: sealed party key, party.json, config.yaml, in this order; completes one that was interrupted. Throws CliError `failed` when there is one already,
 * ConfigError or RecordError for values that cannot be, IdentityError.
 */
export async function createNodeFolder(options: NewNode): Promise<Party> {
  const { name, networkId, listen, passphrase, testOnlyScryptCost } = options;
  const dir = resolve(options.dir);
  const paths = nodePaths(dir);
  await refuseOverwrite(dir);
  const config = { networkId, name, listen: [...listen] };
  // Everything that can be wrong is found before a key is made.
  checkOptions(config, dir);
  const addresses = [...(options.announce ?? listen.filter(isReachable))];
  const wrong = addresses.find(
    (address) => !addressSchema.safeParse(address).success || !isReachable(address),
  );
  if (wrong !== undefined) {
    const remedy = 'give what the other parties reach this machine by, like /dns4/node.example/tcp/4151';
    throw new CliError('usage', `--announce ${JSON.stringify(wrong)} leads nobody to this node`, remedy);
  }
  const parsed = partySchema.shape.addresses.safeParse(addresses);
  if (!parsed.success)
    throw new CliError('usage', `--announce: ${parsed.error.issues[0]!.message}`, 'correct it');
  await makeFolder(dir);
  const sealing = { passphrase, ...(testOnlyScryptCost !== undefined && { testOnlyScryptCost }) };
  const identity = await createOrTakeUp({ name, path: paths.identity, ...sealing });
  identity.seed.fill(0);
  const party: Party = { name, key: identity.credential, addresses };
  await writeOut(paths.party, jsonText(party), { replace: true });
  await writeOut(paths.config, `# Configuration of this Countersign node.\n${stringify(config)}`);
  return party;
}

export interface NodeFolder {
  readonly config: NodeConfig;
  readonly paths: NodePaths;
  readonly party: Party;
}

export interface NodeFlags {
  readonly listen?: readonly string[] | undefined;
  readonly logLevel?: string | undefined;
  readonly metrics?: { readonly listen: string } | undefined;
}

/** Reads a node's configuration and party. Throws CliError `usage` when the folder is not as `node init` makes it. */
export async function readNodeFolder(
  dir: string,
  environment: Readonly<Record<string, string | undefined>>,
  flags: NodeFlags = {},
): Promise<NodeFolder> {
  const file = await readConfigFile(nodePaths(dir).config);
  const config = checkConfig(file, flags as Record<string, unknown>, () =>
    resolveNodeConfig({ file: file.values, folder: file.folder, environment, flags }),
  );
  const paths = nodePaths(config.dir);
  const party = await readJson(paths.party, partySchema, 'the party.json of a node');
  const { credential } = await readPublicIdentity(paths.identity);
  if (credential !== party.key || party.name !== config.name) {
    throw new CliError(
      'usage',
      `${paths.party} says ${party.name} with ${party.key}, the folder's node is ${config.name} with ${credential}`,
      'restore the files of one node',
    );
  }
  return { config, paths, party };
}

/** The roster that this folder's operator signed, if there is one. Throws CliError `usage` when it is none. */
export async function storedRoster(paths: NodePaths): Promise<Envelope | undefined> {
  if (!(await exists(paths.roster))) return undefined;
  return await readRecord(paths.roster, keyringRoster.type);
}

/** Makes a roster the node's own, durably. */
export async function storeRoster(paths: NodePaths, roster: Envelope): Promise<void> {
  await writePrivateFile(paths.roster, jsonText(roster), { replace: true, name: 'node.roster' });
}

/** Keeps a grant for the node to find: one file a connector, the latest grant counts. Returns its path. */
export async function storeGrant(paths: NodePaths, connector: string, grant: Envelope): Promise<string> {
  const path = join(paths.grants, `${connector.slice('ed25519:0x'.length)}.json`);
  await writePrivateFile(path, jsonText(grant), { replace: true, name: 'node.grant' });
  return path;
}
