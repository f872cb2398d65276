// One run of mocha over one test file in a copy of the tree, and what it says about a mutation.
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';

const errorSchema = z.looseObject({
  message: z.string().optional(),
  stack: z.string().optional(),
  code: z.unknown().optional(),
  name: z.unknown().optional(),
  cause: z.unknown().optional(),
});
const testSchema = z.looseObject({ title: z.string(), fullTitle: z.string(), err: errorSchema });
const reportSchema = z.looseObject({ passes: z.array(testSchema), failures: z.array(testSchema) });
export type Report = z.infer<typeof reportSchema>;

/** How a run ended. Without report mocha never got as far as running tests. */
export type Run =
  | { readonly kind: 'report'; readonly report: Report }
  | { readonly kind: 'no report'; readonly output: string }
  | { readonly kind: 'hang'; readonly afterMs: number };

export interface RunOptions {
  /** Root of the copy. */
  readonly root: string;
  /** Temporary folder of the tests; whatever they leave there goes with it. */
  readonly temporary: string;
  readonly test: string;
  readonly grep?: string | undefined;
  /** Ends with the first failure. */
  readonly bail: boolean;
  /** Milliseconds after which the run is killed. */
  readonly limitMs: number;
  readonly signal: AbortSignal;
}

/** Longest output that is kept of a run that made no report. */
const maxOutput = 4000;

/** Runs `command` in a process group of its own, which is killed after `limitMs` or when `signal` aborts. */
export async function runBounded(
  command: string,
  args: readonly string[],
  { root, temporary, limitMs, signal }: Pick<RunOptions, 'root' | 'temporary' | 'limitMs' | 'signal'>,
): Promise<{ readonly output: string; readonly hung: boolean; readonly code: number | null }> {
  signal.throwIfAborted();
  const child = spawn(command, args, {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: temporary, FORCE_COLOR: '0', NO_COLOR: '1' },
  });
  let output = '';
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString('utf8')).slice(-maxOutput);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  let hung = false;
  const timer = setTimeout(() => {
    hung = true;
    killGroup(child);
  }, limitMs);
  const onAbort = (): void => killGroup(child);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', resolve);
    });
    return { output, hung, code };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    // Processes that the test started and did not end.
    killGroup(child);
    signal.throwIfAborted();
  }
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The whole group has ended.
  }
}

/** Runs the tests of one file whose full titles match `grep`. */
export async function runMocha(options: RunOptions): Promise<Run> {
  const { temporary, test, grep, bail, limitMs } = options;
  const reportFile = join(temporary, 'report.json');
  rmSync(reportFile, { force: true });
  const args = [
    join('node_modules', 'mocha', 'bin', 'mocha.js'),
    '--no-config',
    '--node-option=import=tsx',
    '--require=test/setup.ts',
    '--timeout=60000',
    // What a failed test leaves open must not be waited for.
    '--exit',
    '--reporter=json',
    `--reporter-option=output=${reportFile}`,
  ];
  if (bail) args.push('--bail');
  if (grep !== undefined) args.push('--grep', grep);
  args.push(test);
  const { output, hung } = await runBounded(process.execPath, args, options);
  if (hung) return { kind: 'hang', afterMs: limitMs };
  try {
    return { kind: 'report', report: reportSchema.parse(JSON.parse(readFileSync(reportFile, 'utf8'))) };
  } catch {
    return { kind: 'no report', output };
  }
}

/** What became of a mutation. Only `caught` is good. */
export type Verdict =
  | { readonly verdict: 'caught'; readonly by: string }
  | { readonly verdict: 'survived' | 'hangs' | 'does not load' | 'fails otherwise'; readonly why: string };

/**
 * `AssertionError`, or something that was caused by one (properties report their counterexample so); but not the
 * surprise of a test that a name in the mutated code means nothing.
 */
function isAssertion(error: z.infer<typeof errorSchema>): boolean {
  if (/\bReferenceError\b/.test(error.message ?? '')) return false;
  if (error.code === 'ERR_ASSERTION') return true;
  const cause = errorSchema.safeParse(error.cause);
  return cause.success && isAssertion(cause.data);
}

/** A mutation is caught when a test ran and an assertion in it failed. */
export function judge(run: Run): Verdict {
  if (run.kind === 'hang') return { verdict: 'hangs', why: `killed after ${run.afterMs / 1000} s` };
  if (run.kind === 'no report')
    return { verdict: 'does not load', why: run.output.trim() || 'mocha said nothing' };
  const { passes, failures } = run.report;
  const assertion = failures.find(({ err }) => isAssertion(err));
  if (assertion !== undefined) return { verdict: 'caught', by: assertion.fullTitle };
  const [failure] = failures;
  if (failure === undefined) return { verdict: 'survived', why: `${passes.length} tests passed` };
  const { code, stack, message } = failure.err;
  if (code === 'ERR_MOCHA_TIMEOUT') return { verdict: 'hangs', why: `${failure.fullTitle}: ${message}` };
  const what = (stack ?? message ?? 'no message').split('\n').slice(0, 3).join('\n');
  return { verdict: 'fails otherwise', why: `no assertion failed. ${failure.fullTitle}: ${what}` };
}
