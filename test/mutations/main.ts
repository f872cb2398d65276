// npm run test:mutations: takes one defence after the other out of a copy of the tree, and requires that the test named
// for it fails. A survivor is a defence that could be lost without anybody noticing.
import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { gaps, misfits } from './check.ts';
import { addMutations, nameOf, readMutations } from './entries.ts';
import { runAll } from './run.ts';

interface Options {
  readonly root: string;
  readonly list?: string;
  readonly only?: string;
  readonly jobs: number;
  readonly limit: number;
  readonly check?: true;
  readonly complete: boolean;
  readonly add?: true | readonly string[];
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('expected a number above 0');
  return value;
}

const command = new Command('test:mutations')
  .description('Takes defences out of the code, one at a time, and requires that a test notices each.')
  .option('--only <text>', 'entries whose defence, file or test contains this')
  .option('--check', 'run nothing: entries fit the tree, and every attack and code has one')
  .option('--add [files...]', 'add entries of these files to the list, and put it in order')
  .option('--jobs <n>', 'copies to work in at once', positive, 2)
  .option('--limit <seconds>', 'longest run of one test with a mutation', positive, 120)
  .option('--root <folder>', 'the tree', '.')
  .option('--list <file>', 'the list of mutations (default: test/mutations.json of the tree)')
  .option('--no-complete', 'do not require an entry for every attack and code');

/** Milliseconds the tests of one file may take without mutation. */
const unmutatedLimitMs = 600_000;

async function main(options: Options): Promise<boolean> {
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  const root = realpathSync(options.root);
  const list = options.list ?? join(root, 'test', 'mutations.json');
  if (options.add !== undefined) {
    print(`${addMutations(list, options.add === true ? [] : options.add)} entries added`);
    return true;
  }
  const all = readMutations(list);
  const { only } = options;
  const chosen =
    only === undefined
      ? all
      : all.filter((mutation) => `${nameOf(mutation)} ${mutation.test}`.includes(only));
  if (chosen.length === 0) throw new Error(`no entry contains ${JSON.stringify(only)}`);
  const unfit = misfits(root, chosen);
  const missing = options.complete && only === undefined ? gaps(root, all) : [];
  for (const problem of [...unfit, ...missing]) print(problem);
  if (options.check) {
    if (unfit.length + missing.length === 0) print(`${chosen.length} mutations fit the tree`);
    return unfit.length + missing.length === 0;
  }
  if (unfit.length > 0) {
    print('nothing was run: entries do not fit the tree');
    return false;
  }

  const stop = new AbortController();
  const interrupt = (): void => stop.abort(new Error('interrupted'));
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    const caught = await runAll({
      source: root,
      mutations: chosen,
      jobs: options.jobs,
      limitMs: options.limit * 1000,
      unmutatedLimitMs,
      signal: stop.signal,
      print,
    });
    return caught && missing.length === 0;
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

try {
  const options = command.parse().opts<Options>();
  if (!(await main(options))) process.exitCode = 1;
} catch (error) {
  process.stderr.write(`test:mutations: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
