// The runner of mutations, on a project of a few lines: what it counts as caught, and what not.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gaps, misfits } from '../mutations/check.ts';
import { addMutations, type Mutation } from '../mutations/entries.ts';
import { mutate, occurrences } from '../mutations/mutate.ts';
import { runAll } from '../mutations/run.ts';
import { until } from '../support/until.ts';

const repository = realpathSync('.');

const files = {
  'package.json': '{ "type": "module" }',
  'test/setup.ts': '',
  'limit.ts': `export function check(value: number): void {
  if (value > 10) throw new RangeError('too large');
  if (value < -10) throw new RangeError('too small');
}
export function rounds(): number {
  let count = 0;
  while (count < 3) count++;
  return count;
}
`,
  'test/limit.test.ts': `import assert from 'node:assert/strict';
import { check, rounds } from '../limit.ts';
describe('limit', () => {
  it('refuses what is too large (above 10)', () => assert.throws(() => check(11), RangeError));
  it('counts', () => assert.equal(rounds(), 3));
  it('takes what is in between', () => check(0));
});
`,
  'test/broken.test.ts': `it('fails always', () => { throw new Error('no'); });`,
};

const base = { file: 'limit.ts', test: 'test/limit.test.ts' };
const caught: Mutation = { ...base, defence: 'a: caught', text: 'value > 10', replacement: 'value > 11' };
const survivor: Mutation = { ...base, defence: 'b: survivor', text: 'value < -10', replacement: 'false' };
const noSyntax: Mutation = { ...base, defence: 'c: no syntax', text: 'value > 10)', replacement: 'value >' };
const noName: Mutation = {
  ...base,
  defence: 'd: no such name',
  text: 'value > 10',
  replacement: 'valu > 10',
};
const thrown: Mutation = {
  ...base,
  defence: 'e: throws where it must not',
  text: 'value > 10',
  replacement: 'value > -1',
  grep: 'in between',
};
const endless: Mutation = {
  ...base,
  defence: 'f: endless',
  text: 'count < 3',
  replacement: 'count >= 0',
  grep: 'counts',
};

describe('the runner of mutations', () => {
  let folder = '';
  let project = '';

  before(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'mutations-')));
    project = join(folder, 'project');
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(project, path)), { recursive: true });
      writeFileSync(join(project, path), text);
    }
    symlinkSync(join(repository, 'node_modules'), join(project, 'node_modules'));
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  async function run(
    mutations: readonly Mutation[],
    limitMs = 50_000,
  ): Promise<{ ok: boolean; lines: readonly string[] }> {
    const lines: string[] = [];
    const ok = await runAll({
      source: project,
      mutations,
      jobs: 2,
      limitMs,
      unmutatedLimitMs: 50_000,
      signal: new AbortController().signal,
      print: (line) => void lines.push(line),
    });
    for (const [path, text] of Object.entries(files)) {
      assert.equal(readFileSync(join(project, path), 'utf8'), text, `${path} was changed`);
    }
    return { ok, lines };
  }

  const lineOf = (lines: readonly string[], { defence }: Mutation): string =>
    lines.find((line) => line.includes(defence)) ?? `no line about ${defence}`;

  it('is content when every mutation is caught by an assertion', async () => {
    const { ok, lines } = await run([
      caught,
      { ...caught, replacement: 'false', grep: 'too large \\(above' },
    ]);
    assert.ok(ok, lines.join('\n'));
    assert.match(lineOf(lines, caught), /^caught .*limit\.ts.*"limit refuses what is too large/);
    assert.equal(lines.at(-1), '2 of 2 caught');
  });

  it('counts nothing else as caught, and uses no test that fails by itself or that no title matches', async () => {
    const broken = { ...caught, defence: 'x: broken', test: 'test/broken.test.ts' };
    const unmatched = { ...caught, defence: 'y: unmatched', grep: 'no such title' };
    const { ok, lines } = await run([caught, survivor, noSyntax, noName, thrown, broken, unmatched]);
    assert.ok(!ok);
    assert.match(lineOf(lines, caught), /^caught /);
    assert.match(lineOf(lines, survivor), /^SURVIVED .*test\/limit\.test\.ts: 3 tests passed/);
    assert.match(lineOf(lines, noSyntax), /^DOES NOT LOAD .*not even syntax/);
    assert.match(lineOf(lines, noName), /^FAILS OTHERWISE .*ReferenceError/s);
    assert.match(lineOf(lines, thrown), /^FAILS OTHERWISE .*--grep "in between".*RangeError/);
    assert.match(lineOf(lines, broken), /^UNUSABLE .*"fails always" of test\/broken\.test\.ts fails: no$/);
    assert.match(lineOf(lines, unmatched), /^UNUSABLE .*that passes matches no such title/);
    assert.equal(lines.at(-1), '1 of 7 caught');
  });

  it('ends a test that hangs', async () => {
    // However slow the machine: whether the loop or the start of mocha takes that long, it is killed.
    const { ok, lines } = await run([endless], 3000);
    assert.ok(!ok);
    assert.match(lineOf(lines, endless), /^HANGS .*killed after 3 s/);
  });

  it('says what does not fit the tree, without running anything', () => {
    const ambiguous = { ...caught, text: 'value' };
    const gone = { ...caught, text: 'value > 12' };
    const problems = misfits(project, [
      ambiguous,
      gone,
      { ...caught, defence: 'b', file: 'gone.ts' },
      { ...caught, defence: 'c', test: 'test/gone.test.ts' },
      { ...caught, defence: 'd', grep: 'refuses what is too smelly' },
      { ...caught, defence: 'e', grep: '(' },
      { ...caught, defence: 'f', replacement: caught.text },
    ]);
    const wanted = [
      /occurs 3 times/,
      /occurs 0 times/,
      /no such file/,
      /no test file/,
      /smelly/,
      /grep: Invalid/,
      /itself/,
    ];
    assert.equal(problems.length, wanted.length, problems.join('\n'));
    for (const [index, pattern] of wanted.entries()) assert.match(problems[index] ?? '', pattern);
    assert.deepEqual(misfits(project, [caught, survivor]), []);
    assert.match(gaps(repository, [survivor, caught]).join(), /not in order/);
    assert.doesNotMatch(gaps(repository, [caught, survivor]).join(), /not in order/);
    assert.match(misfits(project, [caught, caught]).join(), /twice/);
  });

  it('finds the words of titles in what a test imports of test/support', () => {
    const named = { ...caught, test: 'test/named.test.ts', grep: 'smelly' };
    const write = (name: string, text: string): void => {
      mkdirSync(dirname(join(project, name)), { recursive: true });
      writeFileSync(join(project, name), text);
    };
    write('test/support/words.ts', "export const title = 'smelly'; // of cheese");
    write('test/named.test.ts', "import { title } from './support/words.ts';\nit(title, () => undefined);\n");
    assert.deepEqual(misfits(project, [named]), []);
    assert.match(misfits(project, [{ ...named, grep: 'cheese' }]).join(), /cheese/);
    write('test/named.test.ts', "it('smells', () => undefined);\n");
    assert.match(misfits(project, [named]).join(), /smelly/);
  });

  it('wants an entry for every attack and code', () => {
    const none = gaps(repository, []);
    for (const key of [
      'attack: malformed share',
      'abort: set_size',
      'session: set_size',
      'refusal: expired',
    ]) {
      assert.ok(none.includes(`no entry for "${key}"`), key);
      const some = gaps(repository, [{ ...caught, defence: `${key}, at the door` }]);
      assert.deepEqual(
        some,
        none.filter((line) => !line.includes(`"${key}"`)),
      );
    }
    const [other] = gaps(repository, [{ ...caught, defence: 'abort: set_sized' }]).slice(-1);
    assert.match(other ?? '', /no such row or code/);
    const [later] = gaps(repository, [{ ...caught, defence: 'attack: reshare changes the key' }]).slice(-1);
    assert.match(later ?? '', /move this row/);
  });

  it('replaces one place, literally', () => {
    assert.equal(mutate('a + b', '+', '$& $1'), 'a $& $1 b');
    assert.equal(occurrences('aaa', 'aa'), 2);
    assert.throws(() => mutate('aaa', 'aa', 'b'), /2 times/);
  });

  it('adds entries of other lists once, in order', () => {
    const list = join(folder, 'list.json');
    const other = join(folder, 'other.json');
    writeFileSync(list, JSON.stringify([survivor]));
    writeFileSync(other, JSON.stringify([survivor, caught]));
    assert.equal(addMutations(list, [other, other]), 1);
    assert.deepEqual(JSON.parse(readFileSync(list, 'utf8')), [caught, survivor]);
    writeFileSync(other, JSON.stringify([{ ...caught, test: '/etc/passwd' }]));
    assert.throws(() => addMutations(list, [other]), /other\.json/);
  });

  it('interrupted, ends its tests and leaves nothing', async () => {
    const temporary = join(folder, 'tmp');
    mkdirSync(temporary);
    const list = join(folder, 'endless.json');
    writeFileSync(list, JSON.stringify([endless]));
    const main = join(repository, 'test', 'mutations', 'main.ts');
    const child: ChildProcess = spawn(
      process.execPath,
      ['--import', 'tsx', main, '--root', project, '--list', list, '--no-complete', '--jobs', '1'],
      { cwd: repository, env: { ...process.env, TMPDIR: temporary }, stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    // Once the copy's file holds the mutation, its test begins.
    const mutated = (): boolean =>
      readdirSync(temporary)
        .filter((name) => name.startsWith('mut-'))
        .some((name) => {
          try {
            return readFileSync(join(temporary, name, '0', 'limit.ts'), 'utf8').includes('count >= 0');
          } catch {
            return false;
          }
        });
    await until(mutated, 'the mutation', 40_000);
    child.kill('SIGINT');
    assert.equal(await ended, 1);
    assert.deepEqual(
      readdirSync(temporary).filter((name) => name.startsWith('mut-')),
      [],
    );
  });
});
