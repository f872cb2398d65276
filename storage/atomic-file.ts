// Files that are whole or not there, whatever ends the process or the machine: written beside under a hidden temporary
// name, synced, given their name, and the folder synced. What a kill leaves is a temporary file, never a part of a file.
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { crashPoint } from './crash-point.ts';

export interface AtomicFileOptions {
  /** What is written, for its crash points: `<name>:before`, `<name>:beside`, `<name>:after`. */
  readonly name: string;
  /** Permission bits; default 0600. */
  readonly mode?: number;
  /** Whether an existing file is replaced; if not, EEXIST is thrown. Default: true. */
  readonly replace?: boolean;
}

/** Codes with which file systems without hard links refuse one. */
const linkless: ReadonlySet<string | undefined> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);
const randomLength = 8;

/** Whether `file`, a name in a folder, is the temporary file of a write of `name` there. */
export function isTemporaryOf(name: string, file: string): boolean {
  const rest = file.startsWith(`.${name}.`) ? file.slice(name.length + 2) : '';
  return /^[0-9a-f]{16}\.tmp$/.test(rest);
}

/** Makes the names in a folder as durable as the files they name. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes `folder` and missing parents with mode 0700, durably. Existing folders stay as they are. */
export async function makeFolder(folder: string): Promise<void> {
  const path = resolve(folder);
  const first = await mkdir(path, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let made = path; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made));
}

/**
 * Gives `temporary` the name `target` unless something has it. A link does both at once; where there are none, as on
 * most memory sticks, the name is taken first, so that of two writers one learns that the other was first.
 */
export async function takeName(temporary: string, target: string, makeLink = link): Promise<void> {
  try {
    await makeLink(temporary, target);
  } catch (error) {
    if (!linkless.has((error as NodeJS.ErrnoException).code)) throw error;
    await (await open(target, 'wx')).close();
    await rename(temporary, target);
    return;
  }
  await rm(temporary, { force: true });
}

/**
 * Writes a file, whole: when it resolves, `contents` survive a loss of power; until then what was there does. Throws the
 * system's errors, EEXIST included, and what contents throw that come piece by piece; it leaves no temporary file then.
 */
export async function writeAtomically(
  path: string,
  contents: string | Uint8Array | AsyncIterable<string>,
  { name, mode = 0o600, replace = true }: AtomicFileOptions,
): Promise<void> {
  const target = resolve(path);
  const folder = dirname(target);
  const random = randomBytes(randomLength).toString('hex');
  const temporary = join(folder, `.${basename(target)}.${random}.tmp`);
  crashPoint(`${name}:before`);
  try {
    const handle = await open(temporary, 'wx', mode);
    try {
      await writeFile(handle, contents);
      await handle.sync();
    } finally {
      await handle.close();
    }
    crashPoint(`${name}:beside`);
    if (replace) await rename(temporary, target);
    else await takeName(temporary, target);
    await syncFolder(folder);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
  crashPoint(`${name}:after`);
}

/**
 * Removes what killed writers left of these files in a folder that is there. Only for a process that alone writes them:
 * it would take the temporary file from another's hands.
 */
export async function removeLeftovers(folder: string, names: readonly string[]): Promise<void> {
  const files = await readdir(folder);
  const left = files.filter((file) => names.some((name) => isTemporaryOf(name, file)));
  for (const file of left) await rm(join(folder, file), { force: true });
}
