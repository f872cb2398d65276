// The doctor at a node: its folder, its keyring, and, over its control socket, the process itself if it runs.
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { multiaddr } from '@multiformats/multiaddr';
import { callControl, ControlError } from '../../node/control.ts';
import { nodePaths } from '../../node/config.ts';
import { envelopeSchema, RecordError } from '../../protocol/records/envelope.ts';
import { type Keyring, openKeyring, partyIndex } from '../../protocol/records/keyring-roster.ts';
import { CliError } from '../errors.ts';
import { type NodeFolder, readNodeFolder } from '../node-folder.ts';
import { openDraft, unsigned } from '../roster.ts';
import { checkDisk } from './disk.ts';
import { checkFiles } from './files.ts';
import type { Findings } from './findings.ts';
import { checkGrants } from './grants.ts';
import { checkMemory, lockHolder, type Machine } from './machine.ts';
import { checkPassphrase } from './passphrase.ts';
import { checkPeers, type Running, runningSchema } from './peers.ts';
import { checkFolder, checkPermissions } from './permissions.ts';
import { checkPort } from './port.ts';
import { errorWords } from './words.ts';

export interface NodeCheck {
  readonly dir: string;
  readonly passphraseFile: string | undefined;
}

/** What is wrong with a node of folder `dir`; nothing is changed. */
export async function examineNode(findings: Findings, machine: Machine, check: NodeCheck): Promise<void> {
  const { dir } = check;
  if (!(await checkFolder(findings, dir))) return;
  const paths = nodePaths(dir);
  await checkPermissions(findings, {
    folder: dir,
    private: [
      dir,
      paths.epochs,
      paths.pairs,
      paths.grants,
      paths.identity,
      join(dir, 'storage.key'),
      paths.roster,
    ],
    unwritable: [paths.config, paths.party],
  });
  await checkDisk(findings, machine, dir);
  await checkShares(findings, dir);
  const readable = await checkFiles(findings, [paths.config, paths.party, paths.identity, paths.roster]);
  const folder = readable ? await readFolder(findings, machine, dir) : undefined;
  const holder = await lockHolder(machine, paths.db);
  const running = await askNode(findings, machine, dir, holder);
  await checkMemory(findings, machine, running?.pid);
  if (folder === undefined) return;
  await checkPassphrase(findings, machine, { path: paths.identity, passphraseFile: check.passphraseFile });
  // A node that runs and cannot be asked has its ports, and nobody is to stop it for that.
  if (running === undefined) {
    if (holder === undefined)
      for (const address of folder.config.listen) await checkListen(findings, address);
  } else findings.ok('port', `it listens at ${running.addresses.join(' ')}`);
  const keyring = await readKeyring(findings, folder);
  await checkGrants(findings, machine, {
    folder: paths.grants,
    networkId: folder.config.networkId,
    party: folder.party.key,
    keyringId: keyring?.id,
  });
  if (keyring === undefined) return;
  await checkPeers(findings, machine, {
    parties: keyring.roster.parties,
    self: folder.party.key,
    threshold: keyring.roster.threshold,
    configured: folder.config.peers,
    running,
  });
}

/** Whether all three are there that a share takes; says which of them is gone from the folder of a node that has made keys. */
async function checkShares(findings: Findings, dir: string): Promise<void> {
  const { epochs, db } = nodePaths(dir);
  const names = await readdir(epochs).catch(() => []);
  if (!names.some((name) => name.endsWith('.key'))) return;
  for (const path of [join(dir, 'storage.key'), join(db, 'CURRENT')]) {
    const gone = await stat(path).then(
      () => false,
      (error: NodeJS.ErrnoException) => error.code === 'ENOENT',
    );
    if (gone) findings.wrong('shares_lost', `${path} is missing, and this node has made keys`);
  }
}

async function readFolder(
  findings: Findings,
  machine: Machine,
  dir: string,
): Promise<NodeFolder | undefined> {
  try {
    const folder = await readNodeFolder(dir, machine.environment);
    findings.ok(
      'config',
      `${folder.paths.config} is valid: ${folder.party.name} of ${folder.config.networkId}`,
    );
    return folder;
  } catch (error) {
    const { name, words, remedy } = errorWords(error);
    // Said by the look at permissions already.
    if (name === 'readable_by_others') return undefined;
    // A configuration that is wrong, or files that do not belong together.
    const config = error instanceof CliError && !words.includes('party.json');
    if (name === 'EACCES') findings.wrong('not_accessible', words);
    else findings.wrong(config ? 'config_invalid' : 'folder_damaged', words, remedy);
    return undefined;
  }
}

async function checkListen(findings: Findings, address: string): Promise<void> {
  const [host, tcp] = multiaddr(address).getComponents();
  if (host?.value !== undefined) await checkPort(findings, host.value, Number(tcp?.value));
}

/** What the running node says; undefined when none can be asked. `holder`: the process that has the folder's journal. */
async function askNode(
  findings: Findings,
  machine: Machine,
  dir: string,
  holder: number | undefined,
): Promise<Running | undefined> {
  const { environment, signal, patienceMs: timeoutMs, version } = machine;
  let answer: unknown;
  try {
    answer = await callControl(dir, 'status', undefined, { environment, signal, timeoutMs });
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof ControlError)) throw error;
    tellSilence(findings, dir, error, holder);
    return undefined;
  }
  const parsed = runningSchema.safeParse(answer);
  if (!parsed.success) {
    findings.wrong('daemon_silent', 'the running node gives a status of another version', 'restart it');
    return undefined;
  }
  const running = parsed.data;
  findings.ok('process', `it runs, process ${running.pid}`);
  if (running.version === version) findings.ok('version', `it runs ${version}`);
  else
    findings.wrong(
      'daemon_outdated',
      `it runs ${running.version ?? 'an older version'}, installed is ${version}`,
    );
  if (running.paused !== undefined) {
    const { since, reason } = running.paused;
    findings.wrong('paused', `paused since ${since}${reason === undefined ? '' : `: ${reason}`}`);
  }
  if (running.blame !== undefined && running.blame > 0) {
    findings.wrong(
      'blame_recorded',
      `${running.blame} proofs of other parties' faults in ${nodePaths(dir).blame}`,
    );
  }
  return running;
}

function tellSilence(findings: Findings, dir: string, error: ControlError, holder: number | undefined): void {
  if (error.code !== 'not_running') {
    findings.wrong('daemon_silent', error.message);
    return;
  }
  if (holder === undefined)
    findings.wrong('daemon_stopped', `no node runs on ${dir}`, `countersign node start --dir ${dir}`);
  else
    findings.wrong(
      'control_unreachable',
      `process ${holder} uses ${dir}, and its control socket is not found from here`,
    );
}

/** Who has not signed a roster that openKeyring read and refused for that. */
function absent(text: string, networkId: string, source: string): string {
  try {
    const names = unsigned(openDraft(envelopeSchema.parse(JSON.parse(text)), networkId, source));
    return `${names.join(', ')} ${names.length === 1 ? 'has' : 'have'} not signed`;
  } catch (error) {
    return errorWords(error).words; // No admin has, or somebody who is none of them.
  }
}

/** The keyring, when all parties have signed its roster and this node is one of them. */
async function readKeyring(
  findings: Findings,
  { config, paths, party }: NodeFolder,
): Promise<Keyring | undefined> {
  let text: string;
  try {
    text = await readFile(paths.roster, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') findings.wrong('roster_missing', `there is no ${paths.roster}`);
    else findings.wrong('not_accessible', `${paths.roster} cannot be read (${code})`);
    return undefined;
  }
  try {
    const keyring = openKeyring(envelopeSchema.parse(JSON.parse(text)), config.networkId);
    const { name, parties, threshold } = keyring.roster;
    if (partyIndex(keyring.roster, party.key) === 0) {
      findings.wrong('roster_foreign', `${paths.roster} does not list this node's party key ${party.key}`);
      return undefined;
    }
    findings.ok(
      'roster',
      `keyring ${name} (${keyring.id.slice(0, 14)}), ${threshold} of ${parties.length}, signed by all`,
    );
    return keyring;
  } catch (error) {
    const incomplete = error instanceof RecordError && error.code === 'missing_signature';
    const why = incomplete
      ? absent(text, config.networkId, paths.roster)
      : error instanceof RecordError
        ? error.message
        : 'it is no record';
    findings.wrong(incomplete ? 'roster_incomplete' : 'roster_invalid', `${paths.roster}: ${why}`);
    return undefined;
  }
}
