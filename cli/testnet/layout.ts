// The folder of a local testnet: what stands where, and that nothing of another run is in it.
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir } from 'node:fs/promises';
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
  readonly parties: readonly PartyPlace[];
  /** The log of a process. */
  logOf(process: string): string;
}

async function entriesOf(dir: string): Promise<readonly string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return [];
    if (code !== 'ENOTDIR') throw error;
    throw new CliError('usage', `${dir} is not a folder`, 'name a new folder with --dir');
  }
}

/** Takes a folder for this run alone. Throws CliError `usage` when something is in it. */
async function takeFolder(dir: string): Promise<void> {
  const used = (await entriesOf(dir)).length > 0;
  if (!used) {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    await chmod(dir, 0o700);
  }
  try {
    // Of two runs that found it empty, one makes this.
    if (!used) return await mkdir(join(dir, 'logs'), { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  throw new CliError(
    'usage',
    `${dir} is not empty, and a testnet does not continue from another`,
    'name a new folder with --dir',
  );
}

/** Makes the folder of a testnet with its passphrase; a new temporary one when none is named. Throws CliError `usage`. */
export async function createLayout(dir: string | undefined, parties: number): Promise<Layout> {
  const root = dir === undefined ? await mkdtemp(join(tmpdir(), 'countersign-testnet-')) : resolve(dir);
  await takeFolder(root);
  const at = (...names: readonly string[]): string => join(root, ...names);
  const passphrase = randomBytes(16).toString('hex');
  const passphraseFile = at('passphrase');
  await writePrivateFile(passphraseFile, `${passphrase}\n`);
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
    parties: Array.from({ length: parties }, (_, index) => party(index + 1)),
    logOf: (process) => at('logs', `${process}.log`),
  };
}
