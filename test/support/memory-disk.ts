// Small file systems in memory, for tests of disks that are full or read-only. Only root may mount.
import { execFile } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface MemoryDisk {
  readonly folder: string;
  /** Mounts it again with other options, like `ro`. */
  remount(options: string): Promise<void>;
  /** Unmounts it and removes its folder. */
  remove(): Promise<void>;
}

/** Mounts a tmpfs at a new folder, with options like `size=1m`. */
export async function mountMemory(folder: string, options: string): Promise<MemoryDisk> {
  await mkdir(folder);
  await run('mount', ['-t', 'tmpfs', '-o', `mode=0700,${options}`, 'tmpfs', folder]);
  return {
    folder,
    remount: async (more) => {
      await run('mount', ['-o', `remount,${more}`, folder]);
    },
    remove: async () => {
      await run('umount', [folder]);
      await rm(folder, { recursive: true });
    },
  };
}

/** Why no file system can be mounted here; undefined when one can. */
export async function whyNoMount(folder: string): Promise<string | undefined> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'not root on Linux';
  try {
    await (await mountMemory(folder, 'size=64k')).remove();
    return undefined;
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    return `no file system can be mounted (${(error as Error).message.split('\n')[0]})`;
  }
}
