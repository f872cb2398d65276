// The machine as far as a daemon's safety depends on it: the runtime's version, and whether key material in memory can reach
// a disk. What is looked at is handed in, so that tests can show a machine that is wrong.
import { type FileHandle, readFile, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Findings } from './findings.ts';

export interface FileSystem {
  /** Magic number of its kind: statfs(2). */
  readonly type: number;
  readonly bsize: number;
  readonly blocks: number;
  /** Blocks that are free for this user. */
  readonly bavail: number;
}

export interface Machine {
  /** Of Node.js, like `20.19.0`. */
  readonly runtime: string;
  /** Of this package. */
  readonly version: string;
  /** Where the kernel tells of processes. */
  readonly proc: string;
  /** Where the kernel tells of control groups. */
  readonly cgroups: string;
  readonly statfs: (path: string) => Promise<FileSystem>;
  /** Makes what was written durable. */
  readonly sync: (handle: FileHandle) => Promise<void>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly signal: AbortSignal;
  /** Milliseconds for an answer from elsewhere. */
  readonly patienceMs: number;
}

export type MachineOptions = Pick<Machine, 'environment' | 'now' | 'signal' | 'version'>;

/** The machine that this process runs on. */
export function thisMachine(options: MachineOptions): Machine {
  return {
    runtime: process.versions.node,
    proc: '/proc',
    cgroups: '/sys/fs/cgroup',
    statfs: (path) => statfs(path),
    sync: (handle) => handle.sync(),
    patienceMs: 5000,
    ...options,
  };
}

/** As package.json's `engines` has it: ^20.19.0 || >=22.12.0. */
export function isSupportedRuntime(runtime: string): boolean {
  const [major = 0, minor = 0] = runtime.split('.').map(Number);
  return (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22;
}

export function checkRuntime(findings: Findings, { runtime, version }: Machine): void {
  const found = `Node.js ${runtime}, countersign ${version}`;
  if (isSupportedRuntime(runtime)) findings.ok('version', found);
  else findings.wrong('runtime_unsupported', found);
}

/** A file that the kernel makes; undefined where there is none. */
async function kernelText(path: string): Promise<string | undefined> {
  return await readFile(path, 'utf8').catch(() => undefined);
}

/** Whether the control group of a process, or one around it, forbids swap. */
async function swapForbidden({ proc, cgroups }: Machine, process: string): Promise<boolean> {
  const group = /^0::(\/.*)$/m.exec((await kernelText(join(proc, process, 'cgroup'))) ?? '')?.[1];
  if (group === undefined) return false;
  const parts = group.split('/').filter((part) => part !== '');
  for (let length = parts.length; length > 0; length -= 1) {
    const limit = await kernelText(join(cgroups, ...parts.slice(0, length), 'memory.swap.max'));
    if (limit?.trim() === '0') return true;
  }
  return false;
}

/** Whether what a process holds in memory can come onto a disk. `pid`: the running daemon's; without one, this process. */
export async function checkMemory(
  findings: Findings,
  machine: Machine,
  pid: number | undefined,
): Promise<void> {
  const { proc } = machine;
  const process = pid === undefined ? 'self' : String(pid);
  const whose = pid === undefined ? 'of this shell, since the daemon does not run' : `of process ${pid}`;
  const limits = await kernelText(join(proc, process, 'limits'));
  const swaps = await kernelText(join(proc, 'swaps'));
  if (limits === undefined || swaps === undefined) {
    findings.wrong('memory_unchecked', `${proc} does not tell about swap and core dumps ${whose}`);
    return;
  }
  const core = /^Max core file size +(\S+)/m.exec(limits)?.[1] ?? 'unknown';
  if (core === '0') findings.ok('memory', `no core dumps ${whose}`);
  else findings.wrong('core_dumps', `the largest core dump ${whose} is ${core}`);

  const status = (await kernelText(join(proc, process, 'status'))) ?? '';
  const swapped = Number(/^VmSwap:\s+(\d+) kB/m.exec(status)?.[1] ?? 0);
  const locked = Number(/^VmLck:\s+(\d+) kB/m.exec(status)?.[1] ?? 0);
  const devices = swaps
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(/\s+/)[0]!);
  if (pid !== undefined && swapped > 0) {
    findings.wrong('memory_swapped', `${swapped} KiB of process ${pid} are in swap`);
  } else if (devices.length === 0) findings.ok('memory', 'no swap');
  else if (pid !== undefined && (await swapForbidden(machine, process))) {
    findings.ok('memory', `swap is forbidden to process ${pid}`);
  } else findings.wrong('swap_on', `swap on ${devices.join(', ')}, ${locked} KiB are locked in memory`);
}

/**
 * The process that holds the lock file of a database folder, as the kernel's list of locks has it; undefined when nobody
 * does, or the system does not tell. The folder is not touched.
 */
export async function lockHolder({ proc }: Machine, database: string): Promise<number | undefined> {
  const inode = await stat(join(database, 'LOCK')).then(
    ({ ino }) => ino,
    () => undefined,
  );
  if (inode === undefined) return undefined;
  for (const line of ((await kernelText(join(proc, 'locks'))) ?? '').split('\n')) {
    // 1: POSIX  ADVISORY  WRITE 4711 fd:01:1234567 0 EOF
    const [, , , , pid, file] = line.trim().split(/\s+/);
    if (file?.split(':')[2] === String(inode) && Number(pid) > 0) return Number(pid);
  }
  return undefined;
}
