// The file system under a daemon's folder: room, writing, durability, and whether it is a disk at all.
import { constants } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Findings } from './findings.ts';
import type { Machine } from './machine.ts';

const mebibyte = 1024 * 1024;
/** A journal of a day fits easily. */
const lowBytes = 1024 * mebibyte;
const fullBytes = 32 * mebibyte;
/** More than a small file that the file system could keep in its own tables. */
const probeBytes = 64 * 1024;

/** Magic numbers of statfs(2), from Linux's include/uapi/linux/magic.h and the file systems' own sources. */
const networkKinds: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
  [0x01021997, '9p'],
  [0x65735546, 'FUSE'],
  [0x00c36400, 'Ceph'],
  [0x5346414f, 'AFS'],
  [0x01161970, 'GFS2'],
  [0x7461636f, 'OCFS2'],
  [0x0bd00bd0, 'Lustre'],
]);
const volatileKinds: ReadonlyMap<number, string> = new Map([
  [0x01021994, 'tmpfs'],
  [0x858458f6, 'ramfs'],
]);

/** Opens a file that has no name, so that nothing can be left behind; one with a name where there is no such thing. */
async function openProbe(folder: string): Promise<{ handle: FileHandle; path?: string }> {
  if (process.platform === 'linux') {
    try {
      // O_TMPFILE of open(2), which Node.js does not name.
      const unnamed = 0o20000000 | constants.O_DIRECTORY | constants.O_RDWR;
      return { handle: await open(folder, unnamed, 0o600) };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'EOPNOTSUPP' && code !== 'EISDIR' && code !== 'EINVAL') throw error;
    }
  }
  const path = join(folder, `.doctor.${randomBytes(8).toString('hex')}.tmp`);
  return { handle: await open(path, 'wx', 0o600), path };
}

/** What failed while some bytes were written and synced: the system's code; undefined when all went well. */
async function tryWriting(
  folder: string,
  sync: Machine['sync'],
): Promise<{ step: 'write' | 'sync'; code: string } | undefined> {
  let step: 'write' | 'sync' = 'write';
  let probe: Awaited<ReturnType<typeof openProbe>> | undefined;
  try {
    probe = await openProbe(folder);
    await probe.handle.writeFile(randomBytes(probeBytes));
    step = 'sync';
    await sync(probe.handle);
    const self = await open(folder, 'r');
    try {
      await sync(self);
    } finally {
      await self.close();
    }
    return undefined;
  } catch (error) {
    return { step, code: (error as NodeJS.ErrnoException).code ?? 'unknown error' };
  } finally {
    await probe?.handle.close().catch(() => undefined);
    if (probe?.path !== undefined) await rm(probe.path, { force: true }).catch(() => undefined);
  }
}

/** `folder` must exist. */
export async function checkDisk(findings: Findings, machine: Machine, folder: string): Promise<void> {
  const before = findings.all.length;
  const { type, bsize, blocks, bavail } = await machine.statfs(folder);
  // Signed on some systems, unsigned on others.
  const kind = type >>> 0;
  const free = bavail * bsize;
  const room = `${Math.floor(free / mebibyte)} MiB of ${Math.floor((blocks * bsize) / mebibyte)} MiB free at ${folder}`;
  const network = networkKinds.get(kind);
  if (network !== undefined) findings.wrong('disk_network', `${folder} is on ${network}`);
  const memory = volatileKinds.get(kind);
  if (memory !== undefined) findings.wrong('disk_volatile', `${folder} is on ${memory}`);
  const failed = await tryWriting(folder, machine.sync);
  if (failed?.code === 'ENOSPC' || failed?.code === 'EDQUOT' || (failed === undefined && free < fullBytes)) {
    findings.wrong('disk_full', failed === undefined ? room : `${room}; writing failed (${failed.code})`);
  } else if (failed?.step === 'write') {
    findings.wrong('disk_unwritable', `cannot write in ${folder} (${failed.code})`);
  } else if (failed?.step === 'sync')
    findings.wrong('disk_unsynced', `fsync fails in ${folder} (${failed.code})`);
  else if (free < lowBytes) findings.wrong('disk_low', room);
  findings.okUnless(before, 'disk', `${room}, written and synced`);
}
