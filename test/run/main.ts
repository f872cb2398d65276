// npm test: every test, in several runs of mocha of which as many are under way at once as the machine has cores
// (TEST_JOBS=N: as many as N). Most of what a test takes is waiting, for processes that start and deadlines that pass.
// Arguments are those of mocha; files among them are run instead of all.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Job, jobsOf } from './jobs.ts';
import { failuresIn, sumOf, type Totals, totalsIn, totalsLine } from './totals.ts';

const lanes = Number(process.env['TEST_JOBS'] ?? Math.max(2, availableParallelism()));
if (!Number.isSafeInteger(lanes) || lanes < 1) throw new RangeError('TEST_JOBS: expected a number above 0');

interface Ended {
  readonly name: string;
  readonly output: string;
  /** None when mocha did not get as far. */
  readonly totals?: Totals | undefined;
  readonly succeeded: boolean;
}

const running = new Set<ChildProcess>();
const outputs = mkdtempSync(join(tmpdir(), 'countersign-tests-'));
const print = (text: string): void => void process.stdout.write(`${text}\n`);

/** Runs mocha over the files of a job; what it prints is kept apart from what the others print meanwhile. */
async function run({ name, files }: Job, options: readonly string[]): Promise<Ended> {
  const file = join(outputs, name);
  const descriptor = openSync(file, 'w');
  // A group of its own: nothing of it stays when it is ended.
  const child = spawn(process.execPath, ['node_modules/mocha/bin/mocha.js', ...options, ...files], {
    detached: true,
    stdio: ['ignore', descriptor, descriptor],
  });
  closeSync(descriptor);
  running.add(child);
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  running.delete(child);
  const output = readFileSync(file, 'utf8');
  const totals = totalsIn(output);
  return { name, output, totals, succeeded: code === 0 && totals !== undefined && totals.failed === 0 };
}

async function runAll(jobs: readonly Job[], options: readonly string[]): Promise<Ended[]> {
  const queue = jobs.values();
  const ended: Ended[] = [];
  const lane = async (): Promise<void> => {
    // One iterator for all lanes: each takes the next job.
    for (const job of queue) {
      const result = await run(job, options);
      ended.push(result);
      print(`\n${job.name} (${ended.length} of ${jobs.length} runs)\n${result.output}`);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return ended;
}

function interrupt(): void {
  for (const child of running) {
    try {
      process.kill(-child.pid!, 'SIGTERM');
    } catch {
      // It has ended.
    }
  }
  process.exit(130);
}

process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
process.once('exit', () => rmSync(outputs, { recursive: true, force: true }));

const given = process.argv.slice(2);
const named = given.filter((argument) => argument.endsWith('.test.ts'));
const options = given.filter((argument) => !named.includes(argument));
if (process.stdout.isTTY) options.push('--color');
const found = readdirSync('test', { recursive: true, encoding: 'utf8' }).filter((path) =>
  path.endsWith('.test.ts'),
);
const jobs =
  named.length > 0 ? [{ name: 'tests', files: named }] : jobsOf(found.map((path) => `test/${path}`));

const ended = await runAll(jobs, options);
const failed = ended.filter(({ succeeded }) => !succeeded);
for (const { name, output } of failed) {
  const accounts = failuresIn(output);
  print(accounts === '' ? `${name}: mocha did not end as it should, see above` : `${name}:\n${accounts}`);
}
const totals = sumOf(ended.flatMap((each) => each.totals ?? []));
if (totals.passed === 0) print('no test ran');
print(totalsLine(totals));
process.exitCode = failed.length > 0 || totals.passed === 0 ? 1 : 0;
