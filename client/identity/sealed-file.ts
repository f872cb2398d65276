// Files for their owner's eyes: written whole or not at all, mode 0600, refused when others may read them.
import { type FileHandle, open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { makeFolder, writeAtomically } from '../../storage/atomic-file.ts';
import { IdentityError } from './error.ts';
import { parseSealed, seal, type Sealed, type SealOptions, unseal } from './seal.ts';

const maxFileBytes = 256 * 1024;
const groupAndOthers = 0o077;

function reasonOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? (error as Error).message;
}

export interface PrivateFileOptions {
  /** Whether an existing file is replaced; default: it is left alone. */
  readonly replace?: boolean;
  /** What is written: names the write's crash points. */
  readonly name?: string;
}

/**
 * Writes a file of mode 0600 durably and atomically, in a folder made with 0700 when missing. Without `replace`, a file
 * that exists is left alone. Throws IdentityError `exists` or `unwritable`.
 */
export async function writePrivateFile(
  path: string,
  contents: string | Uint8Array,
  { replace = false, name = 'private-file' }: PrivateFileOptions = {},
): Promise<void> {
  const unwritable = (error: unknown): never => {
    const message = `cannot write ${path} (${reasonOf(error)}): check folder and disk`;
    throw new IdentityError('unwritable', message, error);
  };
  await makeFolder(dirname(resolve(path))).catch(unwritable);
  try {
    await writeAtomically(path, contents, { name, replace });
  } catch (error) {
    if (replace || reasonOf(error) !== 'EEXIST') return unwritable(error);
    const advice = 'choose another name, or remove it first';
    throw new IdentityError('exists', `${path} already exists: ${advice}`, error);
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

/** Seals bytes into a new file; `name` as of writePrivateFile. Throws IdentityError `bad_passphrase`, `exists` or `unwritable`. */
export async function createSealedFile(
  path: string,
  plaintext: Uint8Array,
  { name, ...options }: SealOptions & { readonly name: string },
): Promise<void> {
  const sealed = await seal(plaintext, options);
  await writePrivateFile(path, `${JSON.stringify(sealed, undefined, 2)}\n`, { name });
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
