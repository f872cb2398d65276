// Runs mutations: every named test without any first, then each mutation with its test, in a few copies at once.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Copy, type Limits } from './copy.ts';
import { type Mutation, nameOf } from './entries.ts';
import { judge, type Run } from './mocha-run.ts';

export interface RunAllOptions {
  /** Root of the tree. It is only read. */
  readonly source: string;
  readonly mutations: readonly Mutation[];
  /** Copies worked on at once. */
  readonly jobs: number;
  /** Milliseconds for one test with a mutation; without one it may take `unmutatedLimitMs`. */
  readonly limitMs: number;
  readonly unmutatedLimitMs: number;
  readonly signal: AbortSignal;
  readonly print: (line: string) => void;
}

/** Tests of one file that mutations name. */
interface Group {
  readonly test: string;
  readonly mutations: readonly Mutation[];
}

/** Whether every mutation was caught. Rejects when aborted; nothing is left behind then either. */
export async function runAll(options: RunAllOptions): Promise<boolean> {
  const { source, mutations, jobs, signal, print } = options;
  // Short, because tests bind sockets in it, whose paths are bounded.
  const folder = mkdtempSync(join(tmpdir(), 'mut-'));
  try {
    const count = Math.max(1, Math.min(jobs, mutations.length));
    const copies = Array.from(
      { length: count },
      (_, index) => new Copy(source, join(folder, `${index}`), join(folder, `t${index}`)),
    );
    const broken = await runUnmutated(copies, options);
    if (broken.length > 0) {
      for (const line of broken) print(line);
      print('nothing was mutated: the tests must pass first');
      return false;
    }
    let caught = 0;
    const limits: Limits = { limitMs: options.limitMs, signal };
    await shared(copies, mutations, async (copy, mutation) => {
      const verdict = judge(await copy.tryOut(mutation, limits));
      if (verdict.verdict === 'caught') {
        caught++;
        print(`caught           ${nameOf(mutation)}: "${verdict.by}"`);
      } else {
        const { test, grep } = mutation;
        const where = grep === undefined ? test : `${test} --grep ${JSON.stringify(grep)}`;
        print(`${verdict.verdict.toUpperCase().padEnd(16)} ${nameOf(mutation)}: ${where}: ${verdict.why}`);
      }
    });
    print(`${caught} of ${mutations.length} caught`);
    return caught === mutations.length && mutations.length > 0;
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

/** Runs the named tests without any mutation: each must pass, and each grep must match something. */
async function runUnmutated(
  copies: readonly Copy[],
  { mutations, unmutatedLimitMs: limitMs, signal, print }: RunAllOptions,
): Promise<readonly string[]> {
  const groups: Group[] = [...new Set(mutations.map(({ test }) => test))].map((test) => ({
    test,
    mutations: mutations.filter((mutation) => mutation.test === test),
  }));
  print(`${groups.length} test files without mutation`);
  const broken: string[] = [];
  await shared(copies, groups, async (copy, { test, mutations: named }) => {
    const greps = named.map(({ grep }) => grep);
    const all = greps.includes(undefined)
      ? undefined
      : [...new Set(greps)].map((grep) => `(?:${grep})`).join('|');
    const run = await copy.run(test, all, false, { limitMs, signal });
    broken.push(...whatIsWrong(test, named, run));
  });
  return broken;
}

function whatIsWrong(test: string, named: readonly Mutation[], run: Run): readonly string[] {
  const verdict = judge(run);
  if (run.kind !== 'report' || run.report.failures.length > 0) {
    const why = verdict.verdict === 'caught' ? `"${verdict.by}" fails` : verdict.why;
    return [`${test} fails without mutation: ${why}`];
  }
  const titles = run.report.passes.map(({ fullTitle }) => fullTitle);
  return named
    .filter(({ grep }) => !titles.some((title) => grep === undefined || new RegExp(grep).test(title)))
    .map((mutation) => `${nameOf(mutation)}: no test of ${test} that passes matches ${mutation.grep}`);
}

/** Each item is worked on by whichever copy is free. */
async function shared<Item>(
  copies: readonly Copy[],
  items: readonly Item[],
  work: (copy: Copy, item: Item) => Promise<void>,
): Promise<void> {
  const queue = items[Symbol.iterator]();
  const results = await Promise.allSettled(
    copies.map(async (copy) => {
      for (const item of queue) await work(copy, item);
    }),
  );
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
