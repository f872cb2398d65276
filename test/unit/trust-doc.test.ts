// docs/trust.md claims nothing that no test shows: every file it names is there, and holds the words that it quotes.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

const root = new URL('../../', import.meta.url);

/** The tests that a row names: a file, then words of one or more of its tests. */
function namedTests(row: string): { file: string; words: string }[] {
  return row.split(/(?=`test\/)/).flatMap((part) => {
    const [, file] = /^`(test\/[a-z0-9/.-]+\.test\.ts)`/.exec(part) ?? [];
    return file === undefined
      ? []
      : [...part.matchAll(/"([^"]+)"/g)].map(([, words]) => ({ file, words: words! }));
  });
}

describe('docs/trust.md', () => {
  it('names, for every claim, tests that there are', async () => {
    const document = await readFile(new URL('docs/trust.md', root), 'utf8');
    const rows = document
      .split('\n')
      .filter((line) => line.startsWith('|') && !/^\| *(-|it cannot|they cannot|nobody can)/.test(line));
    assert.ok(rows.length >= 20, `${rows.length} claims`);
    for (const row of rows) {
      const tests = namedTests(row);
      assert.notEqual(tests.length, 0, `nothing shows: ${row}`);
      for (const { file, words } of tests) {
        const text = await readFile(new URL(file, root), 'utf8');
        const titles = [...text.matchAll(/\b(?:it|describe)\(\s*(['`])((?:\\.|(?!\1)[^])*)\1/g)].map(
          ([, , title]) => title,
        );
        assert.ok(
          titles.some((title) => title!.includes(words)),
          `no test "${words}" in ${file}`,
        );
      }
    }
  });
});
