// Runs the `countersign` command in this process, with its own home, streams and environment.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { CommandContext } from '../../cli/context.ts';
import { run } from '../../cli/program.ts';

/** Parsed JSON, whose form the tests assert. */
// oxlint-disable-next-line no-explicit-any -- a type of its own for each command's output would assert nothing.
export type Json = any;

export interface CliResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The last line of standard error: what a failed command says. */
  readonly error: string;
}

/** Asserts that a command failed in this way, and said so in one line. */
export function fails(result: CliResult, exitCode: number, words: RegExp): void {
  assert.equal(result.exitCode, exitCode, result.stdout + result.stderr);
  assert.match(result.error, /^countersign: .+: .+/);
  assert.match(result.error, words);
}

export interface CliOptions {
  /** What is typed at a terminal; without it there is no terminal. */
  readonly typed?: string;
  readonly environment?: Record<string, string>;
  /** Default: the right passphrase, from the environment's file. `undefined` has none. */
  readonly passphrase?: string | undefined;
  readonly signal?: AbortSignal;
}

export class CliWorld {
  readonly folder: string;
  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(): Promise<CliWorld> {
    const world = new CliWorld(await mkdtemp(join(tmpdir(), 'countersign-cli-')));
    await world.write('passphrase', 'right\n', 0o600);
    return world;
  }

  path(...names: string[]): string {
    return join(this.folder, ...names);
  }

  async write(name: string, contents: string | Uint8Array, mode = 0o644): Promise<string> {
    await writeFile(this.path(name), contents, { mode });
    return this.path(name);
  }

  async run(argv: readonly string[], options: CliOptions = {}): Promise<CliResult> {
    const stdin = Object.assign(new PassThrough(), { isTTY: options.typed !== undefined });
    if (options.typed !== undefined) stdin.write(options.typed);
    const printed = { stdout: '', stderr: '' };
    const file = 'passphrase' in options ? options.passphrase : this.path('passphrase');
    const context: CommandContext = {
      environment: {
        COUNTERSIGN_HOME: this.path('home'),
        // Where control sockets would stand.
        TMPDIR: this.folder,
        ...(file !== undefined && { COUNTERSIGN_PASSPHRASE_FILE: file }),
        ...options.environment,
      },
      stdin,
      stdout: { write: (text) => (printed.stdout += text) },
      stderr: { write: (text) => (printed.stderr += text) },
      now: Date.now,
      signal: options.signal ?? new AbortController().signal,
      testOnlyScryptCost: 2 ** 10,
    };
    const exitCode = await run(argv, context);
    stdin.destroy();
    return { exitCode, ...printed, error: /countersign: .*$/.exec(printed.stderr.trimEnd())?.[0] ?? '' };
  }

  /** Runs a command that must succeed, and returns what it prints as JSON. */
  async json(argv: readonly string[], options: CliOptions = {}): Promise<Json> {
    const result = await this.run([...argv, '--json'], options);
    if (result.exitCode !== 0) throw new Error(`${argv.join(' ')}: ${result.exitCode}: ${result.stderr}`);
    return JSON.parse(result.stdout);
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}
