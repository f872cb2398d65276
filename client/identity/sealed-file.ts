// Files for their owner's eyes: written whole or not at all, mode 0600, refused when others may read them.
import { randomBytes } from 'node:crypto';
import { type FileHandle, link, mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { IdentityError } from './error.ts';
import { parseSealed, seal, type Sealed, type SealOptions, unseal } from './seal.ts';

const maxFileBytes = 256 * 1024;
const groupAndOthers = 0o077;

function reasonOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? (error as Error).message;
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes `folder` and missing parents with mode 0700, durably. Existing folders stay as they are. */
async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let made = folder; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made));
}

/** Gives `from` the name `to` unless something has it, which a rename would replace. */
async function linkNew(from: string, to: string, shown: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (reasonOf(error) !== 'EEXIST') throw error;
    throw new IdentityError(
      'exists',
      `${shown} already exists: choose another name, or remove it first`,
      error,
    );
  }
}

/**
 * Writes a file of mode 0600 durably and atomically, in a folder made with 0700 when missing. Without `replace`, a file
 * that exists is left alone. Throws IdentityError `exists` or `unwritable`.
 */
export async function writePrivateFile(
  path: string,
  contents: string | Uint8Array,
  { replace = false }: { readonly replace?: boolean } = {},
): Promise<void> {
  const target = resolve(path);
  const folder = dirname(target);
  const temporary = join(folder, `.${basename(target)}.${randomBytes(8).toString('hex')}.tmp`);
  try {
    await makeFolder(folder);
    const handle = await open(temporary, 'wx', 0o600);
    try {
      await handle.writeFile(contents);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (replace) await rename(temporary, target);
    else await linkNew(temporary, target, path);
    await rm(temporary, { force: true });
    await syncFolder(folder);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    if (error instanceof IdentityError) throw error;
    throw new IdentityError(
      'unwritable',
      `cannot write ${path} (${reasonOf(error)}): check folder and disk`,
      error,
    );
  }
}

/**
 * Reads at most 256 KiB of a file that only its owner may read; `refusedMode` are the permission bits not tolerated.
 * Throws IdentityError `missing`, `readable_by_others` or `unreadable`.
 */
export async function readPrivateFile(path: string, refusedMode = groupAndOthers): Promise<Uint8Array> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (error) {
    if (reasonOf(error) === 'ENOENT') throw new IdentityError('missing', `${path} does not exist`, error);
    throw new IdentityError(
      'unreadable',
      `cannot read ${path} (${reasonOf(error)}): check its owner and mode`,
      error,
    );
  }
  try {
    // Asked of the open file, so that nobody can exchange it in between.
    const status = await handle.stat();
    if (!status.isFile()) throw new IdentityError('unreadable', `${path} is not a regular file`);
    if ((status.mode & refusedMode) !== 0) {
      const mode = (status.mode & 0o777).toString(8).padStart(4, '0');
      throw new IdentityError(
        'readable_by_others',
        `${path} has mode ${mode}, others may use it: chmod 600 ${path}`,
      );
    }
    if (status.size > maxFileBytes) {
      throw new IdentityError('unreadable', `${path} has ${status.size} bytes: the limit is ${maxFileBytes}`);
    }
    return await handle.readFile();
  } catch (error) {
    if (error instanceof IdentityError) throw error;
    throw new IdentityError('unreadable', `cannot read ${path} (${reasonOf(error)}): check the disk`, error);
  } finally {
    await handle.close();
  }
}

/** Seals bytes into a new file. Throws IdentityError `bad_passphrase`, `exists` or `unwritable`. */
export async function createSealedFile(
  path: string,
  plaintext: Uint8Array,
  options: SealOptions,
): Promise<void> {
  const sealed = await seal(plaintext, options);
  await writePrivateFile(path, `${JSON.stringify(sealed, undefined, 2)}\n`);
}

/** A sealed file, unopened: its public part is not yet authenticated. Throws like readPrivateFile and parseSealed. */
export async function readSealedFile(path: string): Promise<Sealed> {
  return parseSealed(new TextDecoder().decode(await readPrivateFile(path)), path);
}

/** Reads and opens a sealed file. Throws like readSealedFile and unseal. */
export async function openSealedFile(
  path: string,
  { kind, passphrase }: { readonly kind: string; readonly passphrase: string },
): Promise<{ readonly plaintext: Uint8Array; readonly sealed: Sealed }> {
  const sealed = await readSealedFile(path);
  return { plaintext: await unseal(sealed, { kind, passphrase, source: path }), sealed };
}
