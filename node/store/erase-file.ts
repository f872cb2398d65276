// Removing a file so that little is left of it: overwritten, then removed. Best effort on disks that keep old blocks.
import { open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crashPoint } from '../../storage/crash-point.ts';
import { syncFolder } from '../../storage/atomic-file.ts';
import type { RandomBytes } from '../mpc/machine.ts';
import { NodeStoreError } from './error.ts';

/**
 * Durable when it resolves; a file that is not there is no error. `point` names its crash points: `<point>:before`,
 * `:overwritten`, `:after`. Throws `unavailable`.
 */
export async function eraseFile(path: string, random: RandomBytes, point: string): Promise<void> {
  try {
    crashPoint(`${point}:before`);
    const file = await open(path, 'r+');
    try {
      const { size } = await file.stat();
      await file.write(random(size), 0, size, 0);
      await file.sync();
    } finally {
      await file.close();
    }
    crashPoint(`${point}:overwritten`);
    await rm(path);
    await syncFolder(dirname(path));
    crashPoint(`${point}:after`);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return;
    const advice = 'remove it by hand';
    throw new NodeStoreError('unavailable', `cannot erase ${path} (${code ?? message}): ${advice}`, error);
  }
}
