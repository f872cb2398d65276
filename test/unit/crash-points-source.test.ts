// Every durable write has its crash points, and the program as it is installed cannot be made to die at one: read from the
// source, because a write that nobody thought of is reached by no test.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  commandPoints,
  firstStartPoints,
  keyPoints,
  rarePoints,
  registrationPoints,
  signPoints,
  startPoints,
} from '../support/crash-points.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const folders = ['node', 'connector', 'coordinator', 'storage', 'client', 'cli', 'protocol'];

const sources = folders.flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => {
      const path = join(folder, file);
      return { path, text: readFileSync(join(root, path), 'utf8') };
    }),
);

/** Paths of the sources that match. */
const matching = (pattern: RegExp): string[] =>
  sources.filter(({ text }) => pattern.test(text)).map(({ path }) => path);

/** Functions of node:fs and node:fs/promises that change what a folder or a file holds. */
const writing =
  /\b(appendFile|copyFile|cp|createWriteStream|link|open|rename|symlink|truncate|utimes|write|writev|writeFile)(Sync)?\b/;

/** Who may use them, and for what. */
const mayWrite: Readonly<Record<string, string>> = {
  'storage/atomic-file.ts': 'the one way to write a file',
  'node/store/erase-file.ts': 'overwrites a file before it is removed, between crash points',
  'client/identity/sealed-file.ts': 'opens files to read them',
  'coordinator/webhooks/secret-file.ts': 'opens files to read them',
  'cli/bounded-file.ts': 'opens files to read them',
  'cli/doctor/disk.ts': 'tries to write, to a file that nobody keeps',
  'cli/payload-file.ts': 'opens files to read them',
  'cli/testnet/processes.ts': 'opens the logs of daemons',
  'cli/testnet/log-tail.ts': 'opens logs to read them',
};

describe('crash points', () => {
  it('are nothing in the program as it is installed', () => {
    const { text } = sources.find(({ path }) => path === join('storage', 'crash-point.ts'))!;
    const code = text.replace(/^\s*(\/\/|\/\*\*).*$/gm, '').trim();
    assert.equal(code, 'export function crashPoint(_name: string): void {}');
    assert.deepEqual(matching(/CRASH_POINT/), []);
    const armed = readFileSync(join(root, 'test/support/armed-crash-point.mjs'), 'utf8');
    const variable = /COUNTERSIGN_TEST_[A-Z_]+/.exec(armed)?.[0] ?? '';
    assert.notEqual(variable, '');
    assert.deepEqual(matching(new RegExp(variable)), []);
  });

  it('surround everything that is written to a file', () => {
    const users = sources.filter(({ text }) =>
      [...text.matchAll(/import \{([^}]*)\} from 'node:fs(?:\/promises)?'/g)].some(([, names = '']) =>
        names.split(',').some((name) => !/^\s*type /.test(name) && writing.test(name)),
      ),
    );
    assert.deepEqual(users.map(({ path }) => path).toSorted(), Object.keys(mayWrite).toSorted());
    assert.deepEqual(matching(/import (\* as )?\w+ from 'node:fs|import\('node:fs|require\(/), []);
  });

  it('surround everything that is written to a database', () => {
    assert.deepEqual(matching(/\bfrom 'level'/).toSorted(), [
      join('connector', 'lock.ts'),
      join('storage', 'level-database.ts'),
    ]);
    // The connector's lock is a database that stays empty.
    const lock = sources.find(({ path }) => path === join('connector', 'lock.ts'))!;
    assert.doesNotMatch(lock.text, /\.(put|del|batch|clear)\(/);
    const database = sources.find(({ path }) => path === join('storage', 'level-database.ts'))!;
    assert.equal(database.text.match(/#level\.(put|del|batch|clear)\(/g)?.length, 1);
  });

  it('are those that the tests kill at', () => {
    const named = (pattern: RegExp, prefix = '', within = sources): string[] =>
      within.flatMap(({ text }) => [...text.matchAll(pattern)].map(([, name]) => prefix + name));
    const store = sources.filter(({ path }) => path.startsWith(join('node', 'store')));
    const files = sources.filter(({ text }) =>
      /from '.*\/(atomic-file|sealed-file|node-store)\.ts'/.test(text),
    );
    const databases = named(/LevelDatabase\.open\(\{ name: '(\w+)'/g);
    const inSource = [
      ...databases.flatMap((name) => [`${name}.database`, `${name}.schema`]),
      ...named(/\.change\(\s*'([^']+)'/g, 'node.', store),
      ...named(/(?:#commit|#repository\.change|#add)\(\s*'([^']+)'/g, 'coordinator.commit.'),
      ...named(/#database\.transact\(\s*'([^']+)'/g, 'coordinator.'),
      ...named(/crashPoint\('([^']+):before'\)/g),
      ...named(/const point = '([^']+)'/g),
      ...named(/\bname(?::| =) '([a-z]+[.-][a-z.-]+|identity)'/g, '', files).filter(
        (name) => !databases.includes(name),
      ),
      ...named(/writeJson\([^,]+, '([^']+)'/g),
      ...['events', 'results'].flatMap((of) =>
        named(/name: `(connector\.cursor\.)\$\{of\}`/g).map((name) => name + of),
      ),
    ];
    const known = [
      ...startPoints,
      ...keyPoints,
      ...signPoints,
      ...registrationPoints,
      ...firstStartPoints,
      ...rarePoints,
      ...commandPoints,
    ];
    assert.equal(new Set(known).size, known.length, 'each is named once');
    const names = new Set(known.map((point) => point.replace(/:\w+$/, '')));
    assert.deepEqual([...new Set(inSource)].toSorted(), [...names].toSorted());
    // A name that is put together elsewhere would be missed above.
    for (const computed of matching(/\bcrashPoint\(`/)) {
      const expected = ['storage/atomic-file.ts', 'storage/level-database.ts', 'node/store/erase-file.ts'];
      assert.ok(expected.map((path) => join(path)).includes(computed), computed);
    }
  });
});
