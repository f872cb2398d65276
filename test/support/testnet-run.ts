// A `countersign testnet` in a process of its own, with everything it prints; for tests that end it in every way.
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { setTimeout as wait } from 'node:timers/promises';

export const command = resolve('dist/cli/main.js');

/** An event of `--json`. */
export type Event = Readonly<Record<string, unknown>> & { readonly event: string };

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Generous: a machine may be slow and busy. */
const deadlineMs = 240_000;

/** Whether a process runs: one that ended and was not collected yet does not. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return process.platform !== 'linux';
  }
}

/** Waits for a condition, at most `withinMs`. */
export async function eventually(
  condition: () => boolean,
  what: () => string,
  withinMs = deadlineMs,
): Promise<void> {
  const end = performance.now() + withinMs;
  while (!condition()) {
    if (performance.now() > end) assert.fail(`never happened: ${what()}`);
    await wait(20);
  }
}

export class TestnetRun {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  readonly lines: string[] = [];
  stderr = '';
  #over = false;

  constructor(...args: readonly string[]) {
    this.child = spawn(process.execPath, [command, 'testnet', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const { stdout, stderr } = this.child;
    const read = createInterface({ input: stdout! }).on('line', (line) => this.lines.push(line));
    const all = new Promise((done) => read.once('close', done));
    stderr!.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    const exited = new Promise<Ended>((done) => {
      this.child.once('exit', (code, signal) => {
        this.#over = true;
        done({ code, signal });
      });
    });
    // What it wrote before its end is read first.
    this.ended = Promise.all([exited, all]).then(([ended]) => ended);
  }

  get events(): Event[] {
    return this.lines.map((line) => JSON.parse(line) as Event);
  }

  all(event: string): Event[] {
    return this.events.filter((candidate) => candidate.event === event);
  }

  /** The first event of a kind, once it has come. */
  async first(event: string): Promise<Event> {
    await eventually(
      () => this.#over || this.lines.some((line) => line.startsWith(`{"event":"${event}"`)),
      () => `${event}: ${this.stderr}`,
    );
    const [found] = this.all(event);
    if (found === undefined) throw new Error(`it ended without ${event}: ${this.stderr}`);
    return found;
  }

  /** Process ids of its daemons. */
  get pids(): number[] {
    return this.all('process').map(({ pid }) => Number(pid));
  }

  get folder(): string {
    return String(this.all('testnet')[0]?.folder);
  }

  /** For the end of a test that failed: nothing of it goes on. */
  async destroy(): Promise<void> {
    if (!this.#over) this.child.kill('SIGTERM');
    await this.ended;
  }
}

/** Runs the command once more, as the people of a testnet do. */
export async function countersign(
  environment: Readonly<Record<string, string>>,
  args: readonly string[],
): Promise<string> {
  const options = { env: { ...process.env, ...environment } };
  return (await promisify(execFile)(process.execPath, [command, ...args], options)).stdout;
}
