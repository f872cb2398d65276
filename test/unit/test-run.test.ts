// The runner of all tests: it forgets no file, no failure, and no run of mocha that ended before it had said anything.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { jobsOf } from '../run/jobs.ts';
import { failuresIn, sumOf, totalsIn, totalsLine } from '../run/totals.ts';

const repository = realpathSync('.');

describe('the runner of tests', () => {
  let folder = '';
  beforeEach(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'test-run-')));
    symlinkSync(join(repository, 'node_modules'), join(folder, 'node_modules'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** What it says of a project of these files, and its exit code. */
  function run(files: Readonly<Record<string, string>>, ...args: readonly string[]) {
    const all = {
      'package.json': '{ "type": "module" }',
      '.mocharc.json': '{ "forbidOnly": true }',
      ...files,
    };
    for (const [path, text] of Object.entries(all)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    const command = ['--import=tsx', join(repository, 'test/run/main.ts'), ...args];
    const { status, stdout, stderr } = spawnSync(process.execPath, command, {
      cwd: folder,
      encoding: 'utf8',
      env: { ...process.env, FORCE_COLOR: '0', NO_COLOR: '1', TEST_JOBS: '2' },
    });
    return { status, output: stdout + stderr, last: stdout.trimEnd().split('\n').at(-1) };
  }
  const passes = `it('passes', () => undefined);`;

  it('runs every test file of the tree once, but for those of the package', () => {
    const files = readdirSync('test', { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.test.ts'))
      .map((path) => `test/${path}`);
    const ran = jobsOf(files).flatMap((job) => job.files);
    const expected = files.filter((path) => path !== 'test/package/package.test.ts');
    assert.ok(expected.length > 150);
    assert.deepEqual(ran.toSorted(), expected.toSorted());
  });

  it('knows every folder with tests', () => {
    assert.throws(() => jobsOf(['test/other/a.test.ts']), {
      name: 'RangeError',
      message: /other\/a\.test\.ts/,
    });
  });

  it('deals files out, and has no job without any', () => {
    const files = ['test/a/3.test.ts', 'test/a/1.test.ts', 'test/a/2.test.ts', 'test/b/1.test.ts'];
    assert.deepEqual(jobsOf(files, { a: 2, b: 3, c: 1 }), [
      { name: 'a 1 of 2', files: ['test/a/1.test.ts', 'test/a/3.test.ts'] },
      { name: 'a 2 of 2', files: ['test/a/2.test.ts'] },
      { name: 'b', files: ['test/b/1.test.ts'] },
    ]);
  });

  it('reads the last totals of an output, in colours too', () => {
    const printed =
      '  5 passing (1ms)\n\u001b[92m \u001b[0m\u001b[32m 12 passing\u001b[0m (3s)\n  2 pending\n  1 failing\n\n  1) why';
    assert.deepEqual(totalsIn(printed), { passed: 12, failed: 1, skipped: 2 });
    assert.equal(failuresIn(printed), '\n  1) why');
    assert.equal(totalsIn('Error: no such module'), undefined);
    assert.equal(failuresIn('  1 passing (1ms)'), '');
    const sum = sumOf([
      { passed: 12, failed: 1, skipped: 2 },
      { passed: 3, failed: 0, skipped: 0 },
    ]);
    assert.equal(totalsLine(sum), '2 skipped\n15 passed, 1 failed');
  });

  it('adds up what all runs say', () => {
    const { status, last } = run({ 'test/unit/a.test.ts': passes, 'test/vectors/b.test.ts': passes });
    assert.deepEqual({ status, last }, { status: 0, last: '2 passed, 0 failed' });
  });

  it('fails with one failure, and repeats why at the end', () => {
    const fails = `it('fails', () => { throw new Error('the reason'); });`;
    const { status, last, output } = run({ 'test/unit/a.test.ts': passes, 'test/vectors/b.test.ts': fails });
    assert.deepEqual({ status, last }, { status: 1, last: '1 passed, 1 failed' });
    assert.ok(output.lastIndexOf('the reason') > output.lastIndexOf('failing'));
    assert.equal(output.match(/^ +1 failing/gm)?.length, 1);
  });

  for (const [what, text] of [
    ['loads no tests', `import './missing.ts';`],
    ['may run one test alone', `it.only('passes', () => undefined);`],
    ['ends before its tests do', `it('ends', () => process.exit(0));`],
    [
      'is killed after its tests',
      `${passes} process.on('beforeExit', () => process.kill(process.pid, 'SIGKILL'));`,
    ],
  ] as const) {
    it(`fails with a run that ${what}`, () => {
      const { status, output } = run({ 'test/unit/a.test.ts': passes, 'test/vectors/b.test.ts': text });
      assert.equal(status, 1);
      assert.match(output, /^vectors: mocha did not end as it should/m);
    });
  }

  it('fails when no test ran', () => {
    const { status, last } = run({ 'test/unit/a.test.ts': passes }, '--grep', 'nothing');
    assert.deepEqual({ status, last }, { status: 1, last: '0 passed, 0 failed' });
  });

  it('runs only the files that are named', () => {
    const files = {
      'test/unit/a.test.ts': passes,
      'test/unit/b.test.ts': passes,
      'test/vectors/c.test.ts': passes,
    };
    const { status, last } = run(files, 'test/unit/b.test.ts');
    assert.deepEqual({ status, last }, { status: 0, last: '1 passed, 0 failed' });
  });
});
