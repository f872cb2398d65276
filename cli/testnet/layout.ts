// The folder of a local testnet: what stands where.
import { randomBytes } from 'node:crypto';
import { access, chmod, mkdir, mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { writePrivateFile } from '../../client/identity/sealed-file.ts';
import { CliError } from '../errors.ts';

/** A party with its two processes. */
export interface PartyPlace {
  /** As the roster calls it. */
  readonly name: string;
  /** Names of its processes. */
  readonly node: string;
  readonly connector: string;
  readonly nodeDir: string;
  readonly connectorDir: string;
}

export interface Layout {
  readonly root: string;
  /** Whether this run made the folder for itself, and so removes it. */
  readonly temporary: boolean;
  /** Of every key in this folder: they are worth nothing. */
  readonly passphraseFile: string;
  readonly passphrase: string;
  /** COUNTERSIGN_HOME of the owners and the admin. */
  readonly home: string;
  readonly coordinatorDir: string;
  readonly coordinatorConfig: string;
  readonly policy: string;
  readonly roster: string;
  /** The roster on its way from operator to operator. */
  readonly signedRoster: string;
  /** An unsigned transfer, for whoever tries the network by hand. */
  readonly transfer: string;
  /** The same on Ethereum: an unsigned transaction in hex. */
  readonly rawTransfer: string;
  /** The same on Bitcoin: an unsigned PSBT. */
  readonly spend: string;
  /** Files with the numbers of its processes. */
  readonly pidFolder: string;
  readonly parties: readonly PartyPlace[];
  /** The log of a process. */
  logOf(process: string): string;
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

/** The passphrase of a folder's keys, made when there is none yet. Throws CliError `failed` when it was lost. */
async function passphraseIn(root: string, path: string): Promise<string> {
  if (await exists(path)) return (await readFile(path, 'utf8')).trim();
  if (await exists(join(root, 'home'))) {
    throw new CliError(
      'failed',
      `${path} is missing, and nothing opens the keys in ${root}`,
      'name a new folder',
    );
  }
  const passphrase = randomBytes(16).toString('hex');
  await writePrivateFile(path, `${passphrase}\n`);
  return passphrase;
}

/**
 * The folder of a testnet with its passphrase: a new temporary one when none is named, else one that is this run's alone.
 * Throws CliError `failed`.
 */
export async function createLayout(dir: string | undefined, parties: number): Promise<Layout> {
  const root = dir === undefined ? await mkdtemp(join(tmpdir(), 'countersign-testnet-')) : resolve(dir);
  const at = (...names: readonly string[]): string => join(root, ...names);
  for (const folder of [root, at('logs'), at('pids')]) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await chmod(folder, 0o700);
  }
  const passphraseFile = at('passphrase');
  const passphrase = await passphraseIn(root, passphraseFile);
  const party = (number: number): PartyPlace => ({
    name: `party-${number}`,
    node: `node-${number}`,
    connector: `connector-${number}`,
    nodeDir: at('nodes', `party-${number}`),
    connectorDir: at('connectors', `party-${number}`),
  });
  return {
    root,
    temporary: dir === undefined,
    passphraseFile,
    passphrase,
    home: at('home'),
    coordinatorDir: at('coordinator'),
    coordinatorConfig: at('coordinator', 'config.yaml'),
    policy: at('policy.yaml'),
    roster: at('roster.json'),
    signedRoster: at('roster.signed.json'),
    transfer: at('transfer.json'),
    rawTransfer: at('transfer.hex'),
    spend: at('spend.psbt'),
    pidFolder: at('pids'),
    parties: Array.from({ length: parties }, (_, index) => party(index + 1)),
    logOf: (process) => at('logs', `${process}.log`),
  };
}
