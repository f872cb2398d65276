// Brings a network up from nothing: identities, party keys, a roster that every operator signs, the daemons, the
// keyring and the workspace. Each step is the command that an operator would run.
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { stringify } from 'yaml';
import { readPublicIdentity } from '../../client/identity/identity.ts';
import { type NodeConfigInput, nodePaths } from '../../node/config.ts';
import { peerIdOfCredential } from '../../node/network/peer-identity.ts';
import { NodeStore } from '../../node/store/node-store.ts';
import type { Hex } from '../../protocol/hex.ts';
import { type Policy, transactionKinds } from '../../protocol/policy/schema.ts';
import { recordIdSchema } from '../../protocol/records/fields.ts';
import { keyringRoster } from '../../protocol/records/keyring-roster.ts';
import { connectorInit } from '../commands/connector-init.ts';
import { identityShow } from '../commands/identity-list.ts';
import { identityNew } from '../commands/identity-new.ts';
import { keyringCreate } from '../commands/keyring-create.ts';
import { keyringDraft } from '../commands/keyring-draft.ts';
import { nodeAllowConnector } from '../commands/node-allow-connector.ts';
import { nodeInit } from '../commands/node-init.ts';
import { nodeJoin } from '../commands/node-join.ts';
import { profileSet } from '../commands/profile.ts';
import { workspaceCreate } from '../commands/workspace-create.ts';
import { readConnectorConfig } from '../connector-folder.ts';
import type { CommandContext } from '../context.ts';
import { CliError } from '../errors.ts';
import { identityPath } from '../identities.ts';
import { readNodeFolder } from '../node-folder.ts';
import { readProfileFile } from '../profile.ts';
import { readRecord, writeOut } from '../record-file.ts';
import type { Layout, PartyPlace } from './layout.ts';
import { command, testnetOnlyScryptCost } from './operators.ts';
import type { Daemon, DaemonSpec, Processes } from './processes.ts';

export const owners = ['alice', 'bob', 'carol'] as const;
const admin = 'admin';
const keyringName = 'main';
const workspaceName = 'treasury';

/** Two of the three owners for whatever is signed, any one for a key. */
const signPolicy: Policy = {
  version: 1,
  rules: [
    {
      id: 'two-owners',
      effect: 'allow',
      when: { kind: [...transactionKinds, 'message', 'evm.message', 'evm.typedData'] },
      require: { k: 2, of: 'owners' },
    },
    { id: 'new-keys', effect: 'allow', when: { kind: ['key.request'] }, require: { k: 1, of: 'owners' } },
  ],
};

export interface BootstrapOptions {
  readonly people: CommandContext;
  readonly layout: Layout;
  readonly threshold: number;
  readonly processes: Processes;
  /** Of every node, beside what finds the others. */
  readonly settings?: NodeSettings;
  /** Ends what is under way: the signal of `people` aborts. */
  readonly abort: (error: unknown) => void;
  /** Told of each daemon once it listens. */
  readonly onStarted: (daemon: Daemon) => Promise<void>;
}

export type NodeSettings = Pick<NodeConfigInput, 'presignatures' | 'timing' | 'workers'>;

export interface Member extends PartyPlace {
  /** The party key. */
  readonly key: string;
}

export interface TestNetwork {
  readonly networkId: string;
  readonly coordinator: string;
  readonly keyringId: Hex;
  readonly workspaceId: Hex;
  readonly members: readonly Member[];
}

export function newNetworkId(): string {
  return `local-${randomBytes(4).toString('hex')}`;
}

function idIn(printed: Record<string, unknown>, field: string): Hex {
  return recordIdSchema.parse(printed[field]);
}

/** Whether a file holds a roster: a run that was killed may have left an empty one. */
async function isRoster(path: string): Promise<boolean> {
  return await readRecord(path, keyringRoster.type).then(
    () => true,
    () => false,
  );
}

/** A party's folder, made unless it is there; the party key. What a killed run left half made is made anew. */
async function nodeFolder(
  people: CommandContext,
  { nodeDir, name }: PartyPlace,
  networkId: string,
): Promise<string> {
  const paths = nodePaths(nodeDir);
  try {
    return (await readNodeFolder(nodeDir, {})).party.key;
  } catch (error) {
    // With a roster signed by that key, a new one would be another party.
    if (existsSync(paths.roster)) throw error;
  }
  await rm(nodeDir, { recursive: true, force: true });
  const listen = ['--listen', '/ip4/127.0.0.1/tcp/0'];
  const named = ['--dir', nodeDir, '--name', name, '--network', networkId];
  return String((await command(people, nodeInit, ...named, ...listen)).key);
}

/** A connector's folder, made unless it is there, with the addresses that hold now; its credential. */
async function connectorFolder(people: CommandContext, dir: string, node: string): Promise<string> {
  const path = join(dir, 'config.yaml');
  try {
    const { networkId, coordinator: before, node: nodeBefore, key } = await readConnectorConfig(path, {}, {});
    const { credential } = await readPublicIdentity(key);
    const coordinator = (await readProfileFile(people)).coordinator ?? before;
    if (coordinator !== before || node !== nodeBefore) {
      const settings = { networkId, coordinator, node, dir: '.', key: basename(key), grant: 'grant.json' };
      await writeOut(path, stringify(settings), { replace: true });
    }
    return credential;
  } catch {
    await rm(dir, { recursive: true, force: true });
    return String((await command(people, connectorInit, '--dir', dir, '--node', node)).credential);
  }
}

/** Makes keys and folders of everybody, and the roster with everybody's signature. Nothing runs yet. */
async function prepare(options: BootstrapOptions, networkId: string): Promise<Member[]> {
  const { people, layout, threshold } = options;
  const { parties, passphrase, roster, signedRoster } = layout;
  const identities = [...owners, admin].filter((name) => !existsSync(identityPath(people, name)));
  await Promise.all(identities.map((name) => command(people, identityNew, name)));
  await command(people, profileSet, 'networkId', networkId);
  const members = await Promise.all(
    parties.map(async (place): Promise<Member> => {
      const key = await nodeFolder(people, place, networkId);
      // The node itself would seal its storage key at full cost when it first starts.
      const sealing = { passphrase, networkId, testOnlyScryptCost: testnetOnlyScryptCost };
      if (!existsSync(join(place.nodeDir, 'storage.key')))
        await (await NodeStore.open({ dir: place.nodeDir, ...sealing })).close();
      return { ...place, key };
    }),
  );
  const introductions = members.map(({ nodeDir }) => nodePaths(nodeDir).party);
  const draft = ['--name', keyringName, '--threshold', String(threshold), '--admin', admin, '--out', roster];
  if (!(await isRoster(roster))) {
    const joined = members.find(({ nodeDir }) => existsSync(nodePaths(nodeDir).roster));
    if (joined !== undefined) {
      const what = `${roster} is missing or damaged, and ${joined.name} has signed another`;
      throw new CliError('failed', what, 'name a new folder with --dir');
    }
    await rm(roster, { force: true });
    await command(people, keyringDraft, ...introductions, ...draft);
  }
  // From operator to operator, then back to each with the signatures of all.
  if (!(await isRoster(signedRoster))) await rm(signedRoster, { force: true });
  for (const { nodeDir } of members) {
    const handed = existsSync(signedRoster) ? signedRoster : roster;
    await command(people, nodeJoin, handed, '--dir', nodeDir, '--yes');
  }
  for (const { nodeDir } of members) await command(people, nodeJoin, signedRoster, '--dir', nodeDir);
  return members;
}

async function startCoordinator(options: BootstrapOptions, networkId: string): Promise<string> {
  const { people, layout } = options;
  await mkdir(layout.coordinatorDir, { recursive: true, mode: 0o700 });
  const config = { networkId, dir: '.', listen: { host: '127.0.0.1', port: 0 }, create: 'open' };
  await writeOut(
    layout.coordinatorConfig,
    `# A test network's: anybody may register keyrings and workspaces.\n${stringify(config)}`,
    { replace: true },
  );
  const { url } = await start(options, {
    name: 'coordinator',
    kind: 'coordinator',
    arguments: ['coordinator', 'start', '--config', layout.coordinatorConfig],
    log: layout.logOf('coordinator'),
    ready: join(layout.coordinatorDir, 'ready.json'),
  });
  await command(people, profileSet, 'coordinator', String(url));
  return String(url);
}

async function start(
  options: BootstrapOptions,
  spec: DaemonSpec,
): Promise<Readonly<Record<string, unknown>>> {
  const { processes, people, onStarted } = options;
  const { daemon, ready } = await processes.start(spec, people.signal);
  await onStarted(daemon);
  return ready;
}

/** Writes under which addresses the other parties are found. */
async function writePeers(
  member: Member,
  networkId: string,
  addresses: ReadonlyMap<string, readonly string[]>,
  settings: NodeSettings = {},
): Promise<void> {
  const others = [...addresses].filter(([name]) => name !== member.name);
  const config = {
    networkId,
    name: member.name,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    peers: Object.fromEntries(others.map(([name, known]) => [name, [...known]])),
    ...settings,
  };
  const text = `# Configuration of this Countersign node.\n${stringify(config)}`;
  await writeOut(nodePaths(member.nodeDir).config, text, { replace: true });
}

async function startNode(options: BootstrapOptions, member: Member): Promise<string> {
  const { layout } = options;
  const { addresses } = await start(options, {
    name: member.node,
    kind: 'node',
    arguments: ['node', 'start', '--dir', member.nodeDir, '--passphrase-file', layout.passphraseFile],
    log: layout.logOf(member.node),
    ready: nodePaths(member.nodeDir).ready,
  });
  const [address] = addresses as string[];
  if (address === undefined) throw new TypeError(`${member.node} listens nowhere`);
  return address;
}

/** The connector is allowed while its node runs: the node admits it at once. */
async function startConnector(options: BootstrapOptions, member: Member, node: string): Promise<void> {
  const { people, layout } = options;
  const dir = member.connectorDir;
  const credential = await connectorFolder(people, dir, node);
  const grant = join(dir, 'grant.json');
  // Again after a restart: of two grants for one key the later one counts.
  await rm(grant, { force: true });
  await command(people, nodeAllowConnector, credential, '--dir', member.nodeDir, '--out', grant);
  await start(options, {
    name: member.connector,
    kind: 'connector',
    arguments: ['connector', 'start', '--dir', dir, '--passphrase-file', layout.passphraseFile],
    log: layout.logOf(member.connector),
    ready: join(dir, 'ready.json'),
  });
}

/**
 * Starts nodes and connectors. Every node takes a free port, so a node can only know the addresses of those that listen
 * already. Of two parties the one with the lower peer id dials: the highest starts first, and all dials are possible.
 */
async function startParties(
  options: BootstrapOptions,
  networkId: string,
  members: readonly Member[],
  registered: Promise<unknown>,
): Promise<void> {
  const addresses = new Map<string, readonly string[]>();
  const connectors: Promise<void>[] = [];
  const peerId = ({ key }: Member): string => peerIdOfCredential(key).toString();
  try {
    for (const member of members.toSorted((one, other) => (peerId(one) < peerId(other) ? 1 : -1))) {
      await writePeers(member, networkId, addresses, options.settings);
      const address = await startNode(options, member);
      addresses.set(member.name, [address]);
      await registered;
      connectors.push(startConnector(options, member, address));
    }
    await Promise.all(connectors);
  } catch (error) {
    // Nothing may be under way any more once this function has ended.
    options.abort(error);
    await Promise.allSettled(connectors);
    throw error;
  }
  // For whoever restarts a node by hand: it then takes the same port and finds everybody.
  for (const member of members) await writePeers(member, networkId, addresses, options.settings);
}

/** The owners' workspace, made unless the profile knows it from an earlier run. */
async function workspaceOf(people: CommandContext, layout: Layout, keyringId: Hex): Promise<Hex> {
  const known = (await readProfileFile(people)).workspaceId;
  if (known !== undefined) return recordIdSchema.parse(known);
  const listed = await Promise.all(
    owners.map(async (name) => `${name}=${String((await command(people, identityShow, name)).credential)}`),
  );
  const named = [
    '--name',
    workspaceName,
    '--keyring',
    keyringId,
    '--sign-policy',
    layout.policy,
    '--as',
    owners[0],
  ];
  const created = await command(
    people,
    workspaceCreate,
    ...named,
    ...listed.flatMap((owner) => ['--owner', owner]),
  );
  return idIn(created, 'workspaceId');
}

/**
 * Brings the whole network up, and continues what an earlier run on the folder has begun: every step leaves alone what is
 * there. Throws what a command throws, or CliError of a daemon that did not start.
 */
export async function bootstrap(options: BootstrapOptions, networkId: string): Promise<TestNetwork> {
  const { people, layout } = options;
  const members = await prepare(options, networkId);
  await writeOut(layout.policy, stringify(signPolicy), { replace: true });
  const coordinator = startCoordinator(options, networkId);
  const registered = coordinator.then(() => command(people, keyringCreate, layout.signedRoster));
  registered.catch(options.abort); // Awaited below, after the first node has started.
  try {
    await startParties(options, networkId, members, registered);
  } finally {
    await Promise.allSettled([registered]);
  }
  const keyringId = idIn(await registered, 'keyringId');
  const workspaceId = await workspaceOf(people, layout, keyringId);
  await command(people, profileSet, 'identity', owners[0]);
  return {
    networkId,
    coordinator: await coordinator,
    keyringId,
    workspaceId,
    members,
  };
}
