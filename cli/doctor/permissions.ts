// Owners and modes of a daemon's folder: what others could read or exchange, and what the daemon's own user could not open.
import type { Stats } from 'node:fs';
import { lstat, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Code } from './catalog.ts';
import type { Findings } from './findings.ts';

const groupAndOthers = 0o077;
const writable = 0o022;
/** Entries looked at, at most; a node's folder has few, its journal some hundred. */
const maxEntries = 5000;
const maxDepth = 3;
const shown = 5;

export interface Expected {
  /** The daemon's folder. Whoever owns it is taken for the daemon's user. */
  readonly folder: string;
  /** Absolute paths that only the owner may enter or read, where they exist. */
  readonly private: readonly string[];
  /** Absolute paths that only the owner may write, where they exist. */
  readonly unwritable: readonly string[];
}

function mode(status: Stats): string {
  return (status.mode & 0o777).toString(8).padStart(4, '0');
}

async function statusOf(path: string): Promise<Stats | undefined> {
  return await stat(path).catch(() => undefined);
}

/** Everything in a folder, to some depth; what cannot be listed is left out. */
async function entriesBelow(folder: string, depth = 0): Promise<string[]> {
  const names = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const found: string[] = [];
  for (const entry of names) {
    if (found.length >= maxEntries) break;
    const path = join(folder, entry.name);
    found.push(path);
    if (entry.isDirectory() && depth + 1 < maxDepth) found.push(...(await entriesBelow(path, depth + 1)));
  }
  return found;
}

function tell(findings: Findings, code: Code, wrong: readonly string[]): void {
  if (wrong.length === 0) return;
  const more = wrong.length > shown ? ` and ${wrong.length - shown} more` : '';
  findings.wrong(code, `${wrong.slice(0, shown).join(', ')}${more}`);
}

/** Whether the folder is there and may be entered; says what is wrong otherwise. */
export async function checkFolder(findings: Findings, folder: string): Promise<boolean> {
  try {
    if (!(await stat(folder)).isDirectory()) {
      findings.wrong('folder_missing', `${folder} is not a folder`);
      return false;
    }
    await readdir(folder);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR')
      findings.wrong('folder_missing', `there is no folder ${folder}`);
    else findings.wrong('not_accessible', `${folder} cannot be entered (${code})`);
    return false;
  }
}

/** The folder must exist. */
export async function checkPermissions(findings: Findings, expected: Expected): Promise<void> {
  const before = findings.all.length;
  const { uid } = await stat(expected.folder);
  const openFolders: string[] = [];
  const openFiles: string[] = [];
  for (const path of expected.private) {
    const status = await statusOf(path);
    if (status === undefined || (status.mode & groupAndOthers) === 0) continue;
    (status.isDirectory() ? openFolders : openFiles).push(`${path} has mode ${mode(status)}`);
  }
  const exchangeable: string[] = [];
  for (const path of expected.unwritable) {
    const status = await statusOf(path);
    if (status !== undefined && (status.mode & writable) !== 0)
      exchangeable.push(`${path} has mode ${mode(status)}`);
  }
  const foreign: string[] = [];
  for (const path of await entriesBelow(expected.folder)) {
    const status = await lstat(path).catch(() => undefined); // A journal's files come and go.
    if (status !== undefined && status.uid !== uid) foreign.push(`${path} belongs to user ${status.uid}`);
  }
  tell(findings, 'folder_open', openFolders);
  tell(findings, 'file_open', openFiles);
  tell(findings, 'file_writable', exchangeable);
  tell(
    findings,
    'wrong_owner',
    foreign.map((text) => `${text}, the folder to ${uid}`),
  );
  const own = process.getuid?.();
  if (own !== undefined && own !== 0 && own !== uid) {
    findings.wrong('not_accessible', `${expected.folder} belongs to user ${uid}, this runs as user ${own}`);
  }
  findings.okUnless(
    before,
    'permissions',
    `${expected.folder} and what is in it belong to user ${uid} alone`,
  );
}
