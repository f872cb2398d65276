// Taking a folder for a testnet: a new one, or one that an earlier run left, at whatever point that run was ended. Which
// network a folder holds stands in its testnet.json, the first thing that is made; anybody else's folder is left untouched.
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import { lockFolder } from '../../connector/lock.ts';
import { networkIdSchema } from '../../protocol/records/fields.ts';
import { isTemporaryOf, removeLeftovers } from '../../storage/atomic-file.ts';
import { CliError } from '../errors.ts';
import { jsonText, writeOut } from '../record-file.ts';
import type { Layout } from './layout.ts';

const version = 1;
const markFile = 'testnet.json';
/** Whether a run may leave something of this name that was ended before its mark was there. */
const isBeforeMark = (name: string): boolean => name === 'lock' || isTemporaryOf(markFile, name);

/** Which network a folder holds. */
export interface TestnetMark {
  readonly networkId: string;
  readonly parties: number;
  readonly threshold: number;
}

const markSchema = z.strictObject({
  version: z.literal(version),
  networkId: networkIdSchema,
  parties: z.int().min(2).max(9),
  threshold: z.int().min(2).max(9),
});

async function entriesOf(dir: string): Promise<readonly string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return [];
    if (code !== 'ENOTDIR') throw error;
    throw new CliError('usage', `${dir} is not a folder`, 'name a new folder with --dir');
  }
}

/**
 * The network that a folder holds; undefined when it is new. Nothing is changed. Throws CliError `usage` when something
 * else is in it, or the testnet of another version.
 */
export async function readMark(dir: string): Promise<TestnetMark | undefined> {
  const entries = await entriesOf(dir);
  const remedy = 'name a new folder with --dir';
  if (!entries.includes(markFile)) {
    if (entries.every(isBeforeMark)) return undefined;
    throw new CliError('usage', `${dir} is not empty, and it holds no testnet (no ${markFile})`, remedy);
  }
  let value: unknown;
  try {
    value = JSON.parse(await readFile(join(dir, markFile), 'utf8'));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  const parsed = markSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const other = z.object({ version: z.int() }).safeParse(value);
  const what =
    other.success && other.data.version !== version
      ? `${dir} holds a testnet of version ${other.data.version}, this command continues version ${version}`
      : `${join(dir, markFile)} does not describe a testnet`;
  throw new CliError('usage', what, remedy);
}

/** Throws CliError `usage` when a folder's network is not what was asked for. */
export function requireSame(
  dir: string,
  mark: TestnetMark,
  asked: { readonly parties?: number | undefined; readonly threshold?: number | undefined },
): void {
  for (const name of ['parties', 'threshold'] as const) {
    const wanted = asked[name];
    if (wanted === undefined || wanted === mark[name]) continue;
    throw new CliError(
      'usage',
      `${dir} holds a testnet with --${name} ${mark[name]}, not ${wanted}`,
      `leave --${name} out to continue it, or name a new folder with --dir`,
    );
  }
}

/** Takes a folder for this process alone, and returns what gives it back. Throws CliError `failed` when another run has it. */
export async function lockTestnet(dir: string): Promise<() => Promise<void>> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  try {
    return await lockFolder(dir);
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'locked') throw error;
    throw new CliError(
      'failed',
      `another testnet runs in ${resolve(dir)}`,
      'stop it first, or name a new folder with --dir',
      { cause: error },
    );
  }
}

/** Only for who has locked the folder. */
export async function writeMark(dir: string, mark: TestnetMark): Promise<void> {
  await removeLeftovers(dir, [markFile]);
  await writeOut(join(dir, markFile), jsonText({ version, ...mark }), { replace: true });
}

/** Milliseconds for the daemons of a run that was killed to notice it and end. */
const endWithinMs = 30_000;

interface Left {
  readonly name: string;
  readonly pid: number;
}

/** Whether a process lives and was started for something in this folder: its number may be another one's by now. */
async function livesIn(root: string, pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch {
    return false; // Gone, or of another user.
  }
  try {
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).includes(`${root}/`);
  } catch {
    return process.platform !== 'linux'; // Elsewhere nothing tells whose it is.
  }
}

/** Every process that an earlier run noted, by its pid file or its ready.json. */
async function noted({ pidFolder, root, parties }: Layout): Promise<readonly Left[]> {
  const pidFiles = (await entriesOf(pidFolder)).map((name) => [
    name.replace(/\.pid$/, ''),
    join(pidFolder, name),
  ]);
  const readyFiles = [
    ['coordinator', join(root, 'coordinator', 'ready.json')],
    ...parties.flatMap(({ node, nodeDir, connector, connectorDir }) => [
      [node, join(nodeDir, 'ready.json')],
      [connector, join(connectorDir, 'ready.json')],
    ]),
  ];
  const found = new Map<number, string>();
  for (const [name, path] of [...pidFiles, ...readyFiles] as [string, string][]) {
    const text = await readFile(path, 'utf8').catch(() => '');
    const pid = Number(/^\s*(?:\{.*"pid":)?\s*([1-9][0-9]{0,9})\b/s.exec(text)?.[1] ?? 0);
    if (pid > 0) found.set(pid, name);
  }
  return [...found].map(([pid, name]) => ({ pid, name }));
}

/**
 * Waits until no process of an earlier run uses the folder any more: they end by themselves once whoever started them is
 * gone. Throws CliError `failed` naming one that stays: ending it is for a person to decide.
 */
export async function requireNobodyLeft(
  layout: Layout,
  signal: AbortSignal,
  withinMs = endWithinMs,
): Promise<void> {
  const end = performance.now() + withinMs;
  for (;;) {
    const living: Left[] = [];
    for (const left of await noted(layout)) if (await livesIn(layout.root, left.pid)) living.push(left);
    if (living.length === 0) return;
    if (performance.now() > end) {
      const who = living.map(({ name, pid }) => `${name} (process ${pid})`).join(', ');
      throw new CliError(
        'failed',
        `${who} of an earlier run still uses ${layout.root}`,
        `end it with kill ${living.map(({ pid }) => pid).join(' ')}, then try again`,
      );
    }
    await delay(100, undefined, { signal });
  }
}
