// Files that are whole or not there: written beside, synced, renamed into place, and the folder synced.
import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ConnectorError } from './connector-error.ts';

/** After it returns, `text` survives a loss of power; before, the old file does. Throws ConnectorError `storage`. */
export async function writeAtomically(path: string, text: string): Promise<void> {
  const beside = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const file = await open(beside, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
    const folder = await open(dirname(path), 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch (error) {
    await rm(beside, { force: true }).catch(() => undefined);
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new ConnectorError(
      'storage',
      `cannot write ${path} (${code}): check space and rights of the folder`,
      error,
    );
  }
}
