// A copy of the tree in which one mutation after the other is tried.
import { chmodSync, cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, sep } from 'node:path';
import { format } from 'prettier';
import type { Mutation } from './entries.ts';
import { mutate } from './mutate.ts';
import { type Run, runBounded, runMocha } from './mocha-run.ts';

const leftOut = new Set(['node_modules', 'dist', '.git', 'coverage']);

/** Whether a test, or something of test/ that it imports, runs the built command: the copy is built for it. */
function runsBuilt(root: string, test: string): boolean {
  const source = readFileSync(join(root, test), 'utf8');
  if (source.includes('dist/')) return true;
  const imports = [...source.matchAll(/ from '(\.[^']+)'/g)].map(([, path]) =>
    join(dirname(test), path as string),
  );
  return imports.some((path) => path.startsWith(`test${sep}`) && runsBuilt(root, path));
}

/** Milliseconds that building may take. */
const buildLimitMs = 300_000;

export interface Limits {
  /** Milliseconds for one run of mocha. */
  readonly limitMs: number;
  readonly signal: AbortSignal;
}

export class Copy {
  readonly #root: string;
  readonly #temporary: string;
  /** Whether `dist/` is what the sources say. */
  #built = false;

  /** `temporary`: shared by all copies, so that what tsx compiled for one serves all. */
  constructor(source: string, root: string, temporary: string) {
    this.#root = root;
    this.#temporary = temporary;
    mkdirSync(temporary, { recursive: true });
    cpSync(source, root, {
      recursive: true,
      filter: (path) => dirname(path) !== source || !leftOut.has(basename(path)),
    });
    symlinkSync(join(source, 'node_modules'), join(root, 'node_modules'));
  }

  /** Runs tests of one file as the tree stands. */
  async run(test: string, grep: string | undefined, bail: boolean, limits: Limits): Promise<Run> {
    if (!this.#built && runsBuilt(this.#root, test)) await this.#build(limits.signal);
    return runMocha({ root: this.#root, temporary: this.#temporary, test, grep, bail, ...limits });
  }

  /** Runs a mutation's test with the mutation in place, and puts the file back. */
  async tryOut({ file, text, replacement, test, grep }: Mutation, limits: Limits): Promise<Run> {
    const path = join(this.#root, file);
    const original = readFileSync(path, 'utf8');
    const mutated = mutate(original, text, replacement);
    try {
      await format(mutated, { filepath: path });
    } catch (error) {
      return { kind: 'no report', output: `not even syntax: ${(error as Error).message}` };
    }
    writeFileSync(path, mutated);
    this.#built = false;
    try {
      return await this.run(test, grep, true, limits);
    } finally {
      writeFileSync(path, original);
      this.#built = false;
    }
  }

  /** Compiles what changed. Types that do not fit do not matter: the code is written all the same. */
  async #build(signal: AbortSignal): Promise<void> {
    const bounds = { root: this.#root, temporary: this.#temporary, limitMs: buildLimitMs, signal };
    const compiler = join('node_modules', 'typescript', 'bin', 'tsc');
    await runBounded(process.execPath, [compiler, '-p', 'tsconfig.build.json'], bounds);
    chmodSync(join(this.#root, 'dist', 'cli', 'main.js'), 0o755);
    this.#built = true;
  }
}
