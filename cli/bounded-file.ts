// Reading a file that can only be so large: a larger one is something else, and is not read.
import { open } from 'node:fs/promises';
import { CliError } from './errors.ts';

/** The bytes of a file. `what`: what it should hold, in words. Throws CliError `usage`; the system's errors. */
export async function readBounded(path: string, limit: number, what: string): Promise<Uint8Array> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    if (size > limit)
      throw new CliError('usage', `${path} has ${size} bytes, ${what} at most ${limit}`, 'name another file');
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}
