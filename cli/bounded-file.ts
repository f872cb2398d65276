// Reading a file that can only be so large: a larger one is something else, and is not read.
import { open } from 'node:fs/promises';
import { CliError } from './errors.ts';

/** The bytes of a file. `what`: what it should hold, in words. Throws CliError `usage`; the system's errors. */
export async function readBounded(path: string, limit: number, what: string): Promise<Uint8Array> {
  const tooLarge = (bytes: string): CliError =>
    new CliError('usage', `${path} has ${bytes} bytes, ${what} at most ${limit}`, 'name another file');
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    if (size > limit) throw tooLarge(String(size));
    // A pipe or a device has no size: it is read no further than the limit either.
    const chunks: Uint8Array[] = [];
    for (let length = 0; ;) {
      const { bytesRead, buffer } = await handle.read(new Uint8Array(64 * 1024));
      if (bytesRead === 0) return Buffer.concat(chunks);
      chunks.push(buffer.subarray(0, bytesRead));
      length += bytesRead;
      if (length > limit) throw tooLarge('more');
    }
  } finally {
    await handle.close();
  }
}
