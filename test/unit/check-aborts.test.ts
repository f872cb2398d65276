// The check that no abort code is a dead letter, on a tree of a few lines.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { membersOf, missingOf } from '../mutations/abort-codes.ts';
import type { CodeUnion } from '../mutations/code-unions.ts';
import { readUnion, withoutComments } from '../mutations/unions.ts';

const union: CodeUnion = {
  name: 'FaultCode',
  file: 'node/mpc/fault.ts',
  begins: 'export type FaultCode =',
  ends: ';',
  production: ['node/mpc'],
  raised: [/\bnew Fault\(\s*'(\w+)'/g],
  asserted: /^fault/,
  reviews: [{ file: 'review.md', heading: '## Faults' }],
};

const sound = {
  'node/mpc/fault.ts': `export type FaultCode =
  // one; and 'quoted' in a comment
  | 'late' // after "the" end; really
  | 'bad_share';
export class Fault extends Error {}
`,
  'node/mpc/run.ts': `throw new Fault(\n  'late', 'x'); /* new Fault('other') */ throw new Fault('bad_share', "it's");`,
  'test/unit/fault.test.ts': `throwsFault('late'); it('refuses a bad one: bad_share', () => {});`,
  'test/unit/other.test.ts': '',
  'review.md':
    '## Faults (`node/mpc`)\n\n| code | x |\n| --- | --- |\n| late | |\n| `bad_share` | |\n\n## More\n| other | |\n',
};

describe('the check of abort codes', () => {
  let root = '';
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'check-aborts-'));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  function missing(changes: Partial<Record<keyof typeof sound, string>>): readonly string[] {
    for (const [path, text] of Object.entries({ ...sound, ...changes })) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    return missingOf(root, union);
  }

  it('finds nothing where each code is raised, asserted and reviewed', () => {
    assert.deepEqual(missing({}), []);
    assert.deepEqual(membersOf(root, union), ['late', 'bad_share']);
  });

  for (const [name, path, from, to, found] of [
    ['raised nowhere', 'node/mpc/run.ts', "'late'", "'later'", /late: nothing in node\/mpc raises it/],
    [
      'raised in a comment only',
      'node/mpc/run.ts',
      "throw new Fault('bad_share'",
      "// new Fault('bad_share'",
      /bad_share: nothing/,
    ],
    ['asserted nowhere', 'test/unit/fault.test.ts', "'late'", "'late_1'", /late: no test asserts it/],
    [
      'named in a comment of a test',
      'test/unit/fault.test.ts',
      "throwsFault('late')",
      "// 'late'\n",
      /late: no test/,
    ],
    ['part of another title', 'test/unit/fault.test.ts', 'bad_share', 'bad_shares', /bad_share: no test/],
    ['not reviewed', 'review.md', '| late |', '| later |', /late: no row under "## Faults" of review\.md/],
    [
      'reviewed under another heading',
      'review.md',
      '| `bad_share` | |',
      '## X\n| bad_share | |',
      /bad_share: no row/,
    ],
  ] as const) {
    it(`finds a code that is ${name}`, () => {
      const changed = sound[path].replace(from, () => to);
      assert.notEqual(changed, sound[path]);
      const lines = missing({ [path]: changed });
      assert.equal(lines.length, 1, lines.join('\n'));
      assert.match(lines[0] ?? '', found);
    });
  }

  it('finds a code that only the declaration knows', () => {
    const lines = missing({
      'node/mpc/fault.ts': sound['node/mpc/fault.ts'].replace("| 'late'", "| 'lost'\n  | 'late'"),
    });
    assert.deepEqual(
      lines.map((line) => line.slice(0, 'FaultCode lost: n'.length)),
      ['FaultCode lost: n', 'FaultCode lost: n', 'FaultCode lost: n'],
    );
  });

  it('takes an assertion from the named test files only', () => {
    const lines = missing({ 'test/unit/fault.test.ts': '', 'test/unit/other.test.ts': "'late' 'bad_share'" });
    assert.equal(lines.length, 2);
  });

  it('does not mistake where a union stands', () => {
    const declaration = { file: 'x.ts', begins: 'type A =', ends: ';' };
    assert.throws(() => readUnion('type B = 1;', declaration), /no "type A ="/);
    assert.throws(() => readUnion("type A = 'a'; type A = 'a';", declaration), /more than once/);
    assert.throws(() => readUnion('type A = string;', declaration), /no members/);
    assert.throws(() => readUnion("type A = 'a' | 'a';", declaration), /repeats/);
    assert.equal(withoutComments("'//' /* ' */ \"/*\" `//` // x"), '\'//\'         "/*" `//`     ');
  });
});
