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
    const usable = mutations.filter((mutation) => !broken.has(mutation));
    let caught = 0;
    const limits: Limits = { limitMs: options.limitMs, signal };
    await shared(copies, usable, async (copy, mutation) => {
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

/** Runs the named tests without any mutation. Returns the mutations whose test does not pass, or matches nothing. */
async function runUnmutated(
  copies: readonly Copy[],
  { mutations, unmutatedLimitMs: limitMs, signal, print }: RunAllOptions,
): Promise<ReadonlySet<Mutation>> {
  const groups: Group[] = [...new Set(mutations.map(({ test }) => test))].map((test) => ({
    test,
    mutations: mutations.filter((mutation) => mutation.test === test),
  }));
  print(`${groups.length} test files without mutation`);
  const broken = new Set<Mutation>();
  await shared(copies, groups, async (copy, { test, mutations: named }) => {
    const greps = named.map(({ grep }) => grep);
    const all = greps.includes(undefined)
      ? undefined
      : [...new Set(greps)].map((grep) => `(?:${grep})`).join('|');
    const run = await copy.run(test, all, false, { limitMs, signal });
    for (const mutation of named) {
      const why = whatIsWrong(mutation, run);
      if (why === undefined) continue;
      broken.add(mutation);
      print(`${'UNUSABLE'.padEnd(16)} ${nameOf(mutation)}: without mutation, ${why}`);
    }
  });
  return broken;
}

function whatIsWrong({ test, grep }: Mutation, run: Run): string | undefined {
  const matches = ({ fullTitle }: { fullTitle: string }): boolean =>
    grep === undefined || new RegExp(grep).test(fullTitle);
  if (run.kind === 'report') {
    const failure = run.report.failures.find(matches);
    if (failure !== undefined) return `"${failure.fullTitle}" of ${test} fails: ${failure.err.message}`;
    return run.report.passes.some(matches) ? undefined : `no test of ${test} that passes matches ${grep}`;
  }
  return `${test} ${run.kind === 'hang' ? 'hangs' : `does not load: ${run.output.trim()}`}`;
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
