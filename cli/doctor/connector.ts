// The doctor at a connector: its folder, its grant, the node at its door, and the coordinator.
import { dirname, join } from 'node:path';
import { multiaddr } from '@multiformats/multiaddr';
import { openGrant, type ConnectorConfig, type OpenedGrant } from '../../connector/config.ts';
import { ConnectorError } from '../../connector/connector-error.ts';
import { createDoorClient, DoorClientError } from '../../connector/door-client.ts';
import { askNode, NodeError } from '../../connector/node-door.ts';
import { IdentityError } from '../../client/identity/error.ts';
import { readPublicIdentity } from '../../client/identity/identity.ts';
import { NetworkError } from '../../node/network/network-error.ts';
import { probePeer } from '../../node/network/probe.ts';
import type { Credential } from '../../protocol/records/fields.ts';
import { readConnectorConfig } from '../connector-folder.ts';
import { exists } from '../interrupted-init.ts';
import { checkDisk } from './disk.ts';
import { checkFiles } from './files.ts';
import type { Findings } from './findings.ts';
import { tellExpiry } from './grants.ts';
import { checkMemory, lockHolder, type Machine } from './machine.ts';
import { checkPassphrase } from './passphrase.ts';
import { checkFolder, checkPermissions } from './permissions.ts';
import { checkCoordinator } from './remote.ts';
import { errorWords } from './words.ts';

export interface ConnectorCheck {
  readonly dir: string;
  readonly passphraseFile: string | undefined;
}

/** What is wrong with the connector of folder `dir`; nothing is changed. */
export async function examineConnector(
  findings: Findings,
  machine: Machine,
  { dir, passphraseFile }: ConnectorCheck,
): Promise<void> {
  if (!(await checkFolder(findings, dir))) return;
  const path = join(dir, 'config.yaml');
  if (!(await checkFiles(findings, [path]))) return;
  let config: ConnectorConfig;
  try {
    config = await readConnectorConfig(path, machine.environment, {});
    findings.ok('config', `${path} is valid`);
  } catch (error) {
    const { name, words, remedy } = errorWords(error);
    findings.wrong(name === 'EACCES' ? 'not_accessible' : 'config_invalid', words, remedy);
    return;
  }
  if (!(await checkFolder(findings, config.dir))) return;
  await checkPermissions(findings, {
    folder: config.dir,
    private: [config.dir, dirname(config.key), config.key],
    unwritable: [path, config.grant],
  });
  await checkDisk(findings, machine, config.dir);
  const pid = await lockHolder(machine, join(config.dir, 'lock'));
  if (pid === undefined) {
    findings.wrong(
      'daemon_stopped',
      `no connector runs on ${config.dir}`,
      `countersign connector start --dir ${dir}`,
    );
  } else findings.ok('process', `it runs, process ${pid}`);
  await checkMemory(findings, machine, pid);
  if (!(await checkFiles(findings, [config.key, config.grant]))) return;
  const grant = await readGrant(findings, machine, config);
  let asked = false;
  await checkPassphrase(findings, machine, { path: config.key, passphraseFile }, async (seed) => {
    asked = true;
    await checkDoor(findings, machine, { config, grant, seed });
  });
  // Without its key: only who is there, not whether the connector would be let in.
  if (!asked) await checkNodeKey(findings, machine, config, grant);
  const { coordinator: url, networkId } = config;
  await checkCoordinator(findings, machine, { url, networkId, keyringId: grant?.content.keyringId });
}

/** The grant, if it is one for this connector's key; whether it has ended is told apart. */
async function readGrant(
  findings: Findings,
  machine: Machine,
  { key, grant: path, networkId }: ConnectorConfig,
): Promise<OpenedGrant | undefined> {
  let credential: Credential;
  try {
    ({ credential } = await readPublicIdentity(key));
  } catch (error) {
    if (!(error instanceof IdentityError)) throw error;
    if (error.code !== 'readable_by_others') findings.wrong('folder_damaged', error.message);
    return undefined;
  }
  if (!(await exists(path))) {
    const remedy = `countersign node allow-connector ${credential} --dir NODE_DIR --out ${path}`;
    findings.wrong('grant_missing', `there is no ${path}`, remedy);
    return undefined;
  }
  try {
    // At the beginning of time no grant has ended.
    const grant = await openGrant(path, credential, networkId, 0);
    tellExpiry(findings, machine.now(), 'its grant', grant.content.expires);
    return grant;
  } catch (error) {
    if (!(error instanceof ConnectorError)) throw error;
    findings.wrong('grant_invalid', error.message);
    return undefined;
  }
}

interface Doorstep {
  readonly config: ConnectorConfig;
  readonly grant: OpenedGrant | undefined;
  readonly seed: Uint8Array;
}

const doorCodes = { wrong_node: 'node_wrong_identity', not_admitted: 'node_not_admitted' } as const;

/** Asks the node as the connector does. */
async function checkDoor(
  findings: Findings,
  { signal, patienceMs: deadlineMs }: Machine,
  { config, grant, seed }: Doorstep,
): Promise<void> {
  const door = createDoorClient({ privateSeed: seed, nodeAddress: config.node, deadlineMs });
  try {
    await door.start();
    const status = await askNode(door, { method: 'status' }, signal);
    const wrong = (['networkId', 'keyringId', 'party'] as const).find(
      (field) => grant !== undefined && status[field] !== grant.content[field],
    );
    if (wrong === undefined)
      findings.ok('node', `the node answers at ${config.node} and admits this connector`);
    else
      findings.wrong(
        'node_differs',
        `the node's ${wrong} is ${status[wrong]}, the grant's ${grant?.content[wrong]}`,
      );
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof NodeError || error instanceof DoorClientError)) throw error;
    const reason = error instanceof NodeError ? error.reason : error.code;
    findings.wrong(doorCodes[reason as keyof typeof doorCodes] ?? 'node_unreachable', error.message);
  } finally {
    await door.stop();
  }
}

/** Asks who is at the node's address. */
async function checkNodeKey(
  findings: Findings,
  { signal, patienceMs: timeoutMs }: Machine,
  { node }: ConnectorConfig,
  grant: OpenedGrant | undefined,
): Promise<void> {
  if (grant === undefined) return;
  try {
    const named = multiaddr(node).getComponents().at(-1)?.value;
    const outcome = await probePeer({ address: node, credential: grant.content.party, timeoutMs, signal });
    if (outcome.is === 'proven')
      findings.ok('node', `the node answers at ${node} with the key of the grant's party`);
    else if (outcome.is === 'unreachable') findings.wrong('node_unreachable', `${node}: ${outcome.reason}`);
    else findings.wrong('node_wrong_identity', `at ${node} answers ${outcome.peerId}, not ${named}`);
  } catch (error) {
    if (!(error instanceof NetworkError)) throw error;
    findings.wrong('node_differs', error.message);
  }
}
