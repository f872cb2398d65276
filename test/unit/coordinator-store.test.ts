// One conformance suite for every store of the coordinator, and what only a store on disk can get wrong.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import fc from 'fast-check';
import { Level } from 'level';
import { LevelDatabase } from '../../storage/level-database.ts';
import { LevelStore } from '../../coordinator/store/level.ts';
import { MemoryStore } from '../../coordinator/store/memory.ts';
import {
  type Commit,
  Conflict,
  type JsonValue,
  type Store,
  StoreError,
} from '../../coordinator/store/store.ts';

const hasCode = (code: StoreError['code']) => (error: unknown) =>
  error instanceof StoreError && error.code === code;

async function committed(store: Store, commit: Commit): Promise<readonly number[]> {
  const outcome = await store.commit(commit);
  assert.ok(!(outcome instanceof Conflict), `unexpected conflict on ${JSON.stringify(outcome)}`);
  return outcome;
}

async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-store-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Opens a fresh store for one case and leaves nothing behind. */
type WithStore = (work: (store: Store) => Promise<void>) => Promise<void>;

const stores: Record<string, WithStore> = {
  memory: async (work) => {
    const store = new MemoryStore();
    try {
      await work(store);
    } finally {
      await store.close();
    }
  },
  level: (work) =>
    withFolder(async (folder) => {
      const store = await LevelStore.open({ folder });
      try {
        await work(store);
      } finally {
        await store.close();
      }
    }),
};

for (const [name, withStore] of Object.entries(stores)) {
  describe(`coordinator store: ${name}`, () => {
    it('counts versions from 1 and starts again after a deletion', () =>
      withStore(async (store) => {
        assert.equal(await store.get('a/1'), undefined);
        await committed(store, {
          expect: [{ key: 'a/1', version: 0 }],
          put: [{ key: 'a/1', value: { n: 1 } }],
        });
        assert.deepEqual(await store.get('a/1'), { key: 'a/1', version: 1, value: { n: 1 } });
        await committed(store, {
          expect: [{ key: 'a/1', version: 1 }],
          put: [{ key: 'a/1', value: ['x', null] }],
        });
        assert.deepEqual(await store.get('a/1'), { key: 'a/1', version: 2, value: ['x', null] });
        await committed(store, { expect: [{ key: 'a/1', version: 2 }], del: ['a/1', 'never/there'] });
        assert.equal(await store.get('a/1'), undefined);
        await committed(store, { expect: [{ key: 'a/1', version: 0 }], put: [{ key: 'a/1', value: 1 }] });
        assert.equal((await store.get('a/1'))?.version, 1);
      }));

    it('writes nothing of a commit with a false expectation', () =>
      withStore(async (store) => {
        await committed(store, { put: [{ key: 'a', value: 1 }] });
        const outcome = await store.commit({
          expect: [
            { key: 'a', version: 1 },
            { key: 'b', version: 3 },
          ],
          put: [{ key: 'c', value: 1 }],
          del: ['a'],
          append: [{ stream: 's', event: 1 }],
        });
        assert.ok(outcome instanceof Conflict);
        assert.deepEqual([outcome.key, outcome.expected, outcome.found], ['b', 3, 0]);
        assert.equal(await store.get('c'), undefined);
        assert.equal((await store.get('a'))?.version, 1);
        assert.deepEqual(await store.read('s', 0, 10), []);
      }));

    it('lets exactly one of many concurrent conflicting commits win', () =>
      withStore(async (store) => {
        for (let version = 0; version < 5; version++) {
          const outcomes = await Promise.all(
            Array.from({ length: 40 }, (_, writer) =>
              store.commit({
                expect: [{ key: 'seat', version }],
                put: [{ key: 'seat', value: writer }],
                append: [{ stream: 'seats', event: writer }],
              }),
            ),
          );
          const winners = outcomes.flatMap((outcome, writer) =>
            outcome instanceof Conflict ? [] : [writer],
          );
          assert.equal(winners.length, 1);
          assert.deepEqual(await store.get('seat'), { key: 'seat', version: version + 1, value: winners[0] });
          assert.deepEqual(await store.read('seats', version, 10), [
            { sequence: version + 1, event: winners[0] },
          ]);
        }
      }));

    it('gives gapless sequences to concurrent appends of each stream', () =>
      withStore(async (store) => {
        const outcomes = await Promise.all(
          Array.from({ length: 60 }, (_, index) =>
            committed(store, {
              append: [
                { stream: 'a', event: index },
                { stream: `b${index % 2}`, event: index },
                { stream: 'a', event: -index },
              ],
            }),
          ),
        );
        const ofA = outcomes.flatMap(([first, , second]) => [first, second]);
        assert.deepEqual(
          ofA.toSorted((x, y) => (x ?? 0) - (y ?? 0)),
          Array.from({ length: 120 }, (_, index) => index + 1),
        );
        const events = await store.read('a', 0, 1000);
        for (const [index, [first, , second]] of outcomes.entries()) {
          assert.equal(events[(first ?? 0) - 1]?.event, index);
          assert.equal(second, (first ?? 0) + 1);
        }
        assert.equal((await store.read('b0', 0, 1000)).length, 30);
        assert.deepEqual(await store.read('b1', 28, 1), [{ sequence: 29, event: events.length / 2 - 3 }]);
      }));

    it('scans a prefix in key order, exclusively after a key, to the limit', () =>
      withStore(async (store) => {
        const keys = [
          'p',
          'p-',
          'p.x',
          'p/',
          'p/0',
          'p/1:a',
          'p/a',
          'p/a/b',
          'p/b',
          'p0',
          'p:',
          'p_',
          'q',
          'o/z',
        ];
        await committed(store, { put: keys.map((key) => ({ key, value: key })) });
        const scanned = async (prefix: string, after: string | undefined, limit: number) =>
          (await store.scan(prefix, after, limit)).map(({ key }) => key);
        assert.deepEqual(await scanned('p/', undefined, 100), ['p/', 'p/0', 'p/1:a', 'p/a', 'p/a/b', 'p/b']);
        assert.deepEqual(await scanned('p/', 'p/1:a', 2), ['p/a', 'p/a/b']);
        assert.deepEqual(await scanned('p/', 'p/a/b', 100), ['p/b']);
        assert.deepEqual(await scanned('p/', 'a', 1), ['p/']);
        assert.deepEqual(await scanned('p/', 'q', 100), []);
        assert.deepEqual(await scanned('p/', 'p/b', 100), []);
        assert.deepEqual(await scanned('', undefined, 100), keys.toSorted());
        assert.deepEqual(await scanned('zz', undefined, 100), []);
      }));

    it('tells a cursor that is too old or ahead from one that is up to date', () =>
      withStore(async (store) => {
        const append = Array.from({ length: 10 }, (_, index) => ({ stream: 's', event: index + 1 }));
        assert.deepEqual(await committed(store, { append }), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        await store.trim('s', 5);
        await store.trim('s', 3);
        await store.trim('other', 9);
        for (const after of [0, 3]) {
          await assert.rejects(store.read('s', after, 5), (error) => {
            assert.ok(hasCode('cursor_too_old')(error));
            assert.deepEqual((error as StoreError).held, { first: 5, last: 10 });
            return true;
          });
        }
        assert.deepEqual(
          (await store.read('s', 4, 2)).map(({ sequence }) => sequence),
          [5, 6],
        );
        await assert.rejects(store.read('s', 11, 5), hasCode('cursor_ahead'));
        await assert.rejects(store.read('other', 1, 5), hasCode('cursor_ahead'));
        await store.trim('s', 1_000_000);
        assert.deepEqual(await store.read('s', 10, 5), []);
        await assert.rejects(store.read('s', 9, 5), hasCode('cursor_too_old'));
        assert.deepEqual(await committed(store, { append: [{ stream: 's', event: 'next' }] }), [11]);
        assert.deepEqual(await store.read('s', 10, 5), [{ sequence: 11, event: 'next' }]);
      }));

    it('tells the last sequence of a stream, trimmed or not, and 0 of one that has none', () =>
      withStore(async (store) => {
        assert.equal(await store.last('s'), 0);
        await store.trim('s', 5);
        assert.equal(await store.last('s'), 0);
        await committed(store, { append: [1, 2, 3].map((event) => ({ stream: 's', event })) });
        await committed(store, { append: [{ stream: 's/other', event: 1 }] });
        assert.equal(await store.last('s'), 3);
        await store.trim('s', 2);
        assert.equal(await store.last('s'), 3);
        await store.trim('s', 1_000_000);
        assert.equal(await store.last('s'), 3);
        assert.deepEqual(await store.read('s', await store.last('s'), 10), []);
        await committed(store, { append: [{ stream: 's', event: 4 }] });
        assert.equal(await store.last('s'), 4);
        assert.deepEqual(await store.last('s/other'), 1);
      }));

    it('trims long streams and reads at the edge while it does', () =>
      withStore(async (store) => {
        const append = Array.from({ length: 2500 }, (_, index) => ({ stream: 's', event: index }));
        await committed(store, { append });
        const trimming = store.trim('s', 2400);
        const late = await store.read('s', 2450, 10_000);
        await trimming;
        assert.equal(late.length, 50);
        await assert.rejects(store.read('s', 2398, 1), hasCode('cursor_too_old'));
        assert.equal((await store.read('s', 2399, 10_000)).length, 101);
      }));

    it('keeps what it was given, not what the caller makes of it later', () =>
      withStore(async (store) => {
        const value: { list: JsonValue[] } = { list: [1] };
        const outcome = store.commit({ put: [{ key: 'a', value }], append: [{ stream: 's', event: value }] });
        value.list.push(2);
        await outcome;
        assert.deepEqual((await store.get('a'))?.value, { list: [1] });
        (await store.get('a').then((entry) => entry?.value as { list: JsonValue[] })).list.push(3);
        assert.deepEqual((await store.get('a'))?.value, { list: [1] });
        assert.deepEqual((await store.read('s', 0, 1))[0]?.event, { list: [1] });
      }));

    it('refuses what no store takes, and stores nothing of it', () =>
      withStore(async (store) => {
        const circular: Record<string, unknown> = {};
        circular.self = circular;
        const values = [undefined, NaN, Infinity, 1n, { a: undefined }, [() => 1], circular] as JsonValue[];
        const commits: Commit[] = [
          ...values.map((value) => ({
            put: [
              { key: 'ok', value: 1 },
              { key: 'bad', value },
            ],
          })),
          ...values.map((event) => ({ put: [{ key: 'ok', value: 1 }], append: [{ stream: 's', event }] })),
          ...['', 'A', 'a b', 'a!b', 'ä', 'a\n', 'x'.repeat(513)].map((key) => ({
            put: [{ key, value: 1 }],
          })),
          { expect: [{ key: 'ok', version: -1 }], del: ['ok'] },
          { expect: [{ key: 'ok', version: 0.5 }], del: ['ok'] },
          { put: [{ key: 'ok', value: 1 }], del: ['ok'] },
          {
            put: [
              { key: 'ok', value: 1 },
              { key: 'ok', value: 2 },
            ],
          },
          {
            expect: [
              { key: 'ok', version: 0 },
              { key: 'ok', version: 1 },
            ],
          },
          { append: [{ stream: 'S', event: 1 }] },
        ];
        for (const commit of commits) await assert.rejects(store.commit(commit), hasCode('invalid'));
        for (const limit of [0, -1, 1.5, 10_001, NaN]) {
          await assert.rejects(store.scan('', undefined, limit), hasCode('invalid'));
          await assert.rejects(store.read('s', 0, limit), hasCode('invalid'));
        }
        await assert.rejects(store.read('s', -1, 1), hasCode('invalid'));
        await assert.rejects(store.last('S'), hasCode('invalid'));
        await assert.rejects(store.trim('s', 0), hasCode('invalid'));
        await assert.rejects(store.get('A'), hasCode('invalid'));
        await assert.rejects(store.scan('A', undefined, 1), hasCode('invalid'));
        assert.throws(() => store.watch('A', { signal: AbortSignal.abort() }), hasCode('invalid'));
        assert.deepEqual(await store.scan('', undefined, 10), []);
      }));

    it('hints at once and after every growth, until aborted', () =>
      withStore(async (store) => {
        const stop = new AbortController();
        const seen: JsonValue[] = [];
        for await (const _ of store.watch('s', { signal: stop.signal })) {
          for (const { event } of await store.read('s', seen.length, 100)) seen.push(event);
          if (seen.length >= 6) stop.abort();
          else
            await Promise.all(
              [seen.length, -1].map((event) => committed(store, { append: [{ stream: 's', event }] })),
            );
          await committed(store, { append: [{ stream: 'elsewhere', event: 0 }] });
        }
        assert.deepEqual(seen, [0, -1, 2, -1, 4, -1]);
      }));

    it('wakes a waiting watcher on append, on abort and on close', () =>
      withStore(async (store) => {
        const stop = new AbortController();
        const waiting = async (signal: AbortSignal) => {
          const hints = store.watch('s', { signal })[Symbol.asyncIterator]();
          assert.deepEqual(await hints.next(), { done: false, value: undefined });
          return { next: hints.next() };
        };
        const appended = await waiting(new AbortController().signal);
        await committed(store, { append: [{ stream: 's', event: 1 }] });
        assert.equal((await appended.next).done, false);
        const aborted = await waiting(stop.signal);
        stop.abort();
        assert.equal((await aborted.next).done, true);
        const closed = await waiting(new AbortController().signal);
        await store.close();
        assert.equal((await closed.next).done, true);
      }));

    it('completes what it accepted before close, and refuses what comes after', () =>
      withStore(async (store) => {
        const accepted = Array.from({ length: 20 }, (_, index) =>
          store.commit({ append: [{ stream: 's', event: index }] }),
        );
        await store.close();
        assert.deepEqual(
          (await Promise.all(accepted)).flat(),
          Array.from({ length: 20 }, (_, index) => index + 1),
        );
        await assert.rejects(store.commit({ del: ['a'] }), hasCode('closed'));
        await assert.rejects(store.get('a'), hasCode('closed'));
        await assert.rejects(store.scan('', undefined, 1), hasCode('closed'));
        await assert.rejects(store.read('s', 0, 1), hasCode('closed'));
        await assert.rejects(store.last('s'), hasCode('closed'));
        await assert.rejects(store.trim('s', 2), hasCode('closed'));
        await store.close();
      }));

    it('agrees with a plain model on random commits', () =>
      withStore(async (store) => {
        let run = 0;
        await fc.assert(
          fc.asyncProperty(fc.array(groupOfSteps, { maxLength: 12 }), async (groups) => {
            run += 1;
            await compareWithModel(store, `run${run}/`, groups);
          }),
          { numRuns: 60 },
        );
      }));
  });
}

// The model: plain maps, commits one after the other. Steps of one group are issued together, without waiting.

const name = fc.constantFrom('a', 'a/b', 'a/c', 'b', 'b:0');
const json = fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<JsonValue>;
const step = fc.oneof(
  fc.record({
    expect: fc.uniqueArray(fc.record({ key: name, version: fc.integer({ min: 0, max: 3 }) }), {
      maxLength: 2,
      selector: ({ key }) => key,
    }),
    change: fc.uniqueArray(fc.record({ key: name, value: fc.option(json, { nil: undefined }) }), {
      maxLength: 3,
      selector: ({ key }) => key,
    }),
    append: fc.array(fc.record({ stream: name, event: json }), { maxLength: 3 }),
  }),
  fc.record({ trim: name, before: fc.integer({ min: 1, max: 6 }) }),
);
const groupOfSteps = fc.array(step, { minLength: 1, maxLength: 5 });
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

class Model {
  readonly entries = new Map<string, { version: number; value: JsonValue }>();
  readonly streams = new Map<string, { events: JsonValue[]; trimmed: number }>();

  commit({ expect = [], put = [], del = [], append = [] }: Commit): readonly number[] | 'conflict' {
    if (expect.some(({ key, version }) => (this.entries.get(key)?.version ?? 0) !== version))
      return 'conflict';
    for (const { key, value } of put) {
      this.entries.set(key, { version: (this.entries.get(key)?.version ?? 0) + 1, value });
    }
    for (const key of del) this.entries.delete(key);
    return append.map(({ stream, event }) => {
      const held = this.streams.get(stream) ?? { events: [], trimmed: 0 };
      this.streams.set(stream, held);
      return held.events.push(event);
    });
  }

  trim(stream: string, before: number): void {
    const held = this.streams.get(stream);
    if (held) held.trimmed = Math.max(held.trimmed, Math.min(before - 1, held.events.length));
  }
}

function plain(value: JsonValue): unknown {
  return JSON.parse(JSON.stringify(value));
}

async function compareWithModel(
  store: Store,
  root: string,
  groups: readonly (readonly Step[])[],
): Promise<void> {
  const model = new Model();
  for (const steps of groups) {
    const expected: unknown[] = [];
    const found = await Promise.all(
      steps.map(async (each) => {
        if ('trim' in each) {
          model.trim(root + each.trim, each.before);
          expected.push(undefined);
          return await store.trim(root + each.trim, each.before);
        }
        const commit: Commit = {
          expect: each.expect.map(({ key, version }) => ({ key: root + key, version })),
          put: each.change.flatMap(({ key, value }) =>
            value === undefined ? [] : [{ key: root + key, value }],
          ),
          del: each.change.flatMap(({ key, value }) => (value === undefined ? [root + key] : [])),
          append: each.append.map(({ stream, event }) => ({ stream: root + stream, event })),
        };
        expected.push(model.commit(commit));
        const outcome = await store.commit(commit);
        return outcome instanceof Conflict ? 'conflict' : outcome;
      }),
    );
    assert.deepEqual(found, expected);
  }
  const entries = [...model.entries].map(([key, { version, value }]) => ({
    key,
    version,
    value: plain(value),
  }));
  assert.deepEqual(
    await store.scan(root, undefined, 100),
    entries.toSorted((x, y) => (x.key < y.key ? -1 : 1)),
  );
  for (const [stream, { events, trimmed }] of model.streams) {
    const kept = events.map((event, index) => ({ sequence: index + 1, event: plain(event) })).slice(trimmed);
    assert.deepEqual(await store.read(stream, trimmed, 100), kept);
    assert.equal(await store.last(stream), events.length);
    if (trimmed > 0) await assert.rejects(store.read(stream, trimmed - 1, 1), hasCode('cursor_too_old'));
  }
}

describe('coordinator store: level on disk', () => {
  it('has every acknowledged commit after reopening', () =>
    withFolder(async (folder) => {
      const store = await LevelStore.open({ folder });
      await Promise.all(
        Array.from({ length: 50 }, (_, index) =>
          committed(store, {
            put: [{ key: `k/${index}`, value: index }],
            append: [{ stream: 's', event: index }],
          }),
        ),
      );
      await store.trim('s', 11);
      await store.close();
      const again = await LevelStore.open({ folder });
      assert.equal((await again.scan('k/', undefined, 100)).length, 50);
      assert.equal((await again.read('s', 10, 100)).length, 40);
      assert.equal(await again.last('s'), 50);
      assert.deepEqual(await committed(again, { append: [{ stream: 's', event: 0 }] }), [51]);
      await again.close();
    }));

  it('has every acknowledged commit after kill -9', () =>
    withFolder(async (folder) => {
      const child = spawn(
        process.execPath,
        ['--import', 'tsx', 'test/unit/coordinator-store.child.ts', folder],
        {
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      );
      const ended = new Promise((resolve) => child.once('exit', resolve));
      let acknowledged = 0;
      try {
        for await (const line of createInterface({ input: child.stdout })) {
          acknowledged = Number(line);
          if (acknowledged >= 200) child.kill('SIGKILL');
        }
      } finally {
        child.kill('SIGKILL');
        await ended;
      }
      assert.ok(acknowledged >= 200, `the child stopped after ${acknowledged} commits`);
      const store = await LevelStore.open({ folder });
      const events = await store.read('s', 0, 10_000);
      assert.ok(
        events.length >= acknowledged,
        `${events.length} of ${acknowledged} acknowledged commits are there`,
      );
      assert.equal((await store.scan('k/', undefined, 10_000)).length, events.length);
      await store.close();
    }));

  it('says that a write failed, writes nothing more, and has every acknowledged commit', () =>
    withFolder(async (folder) => {
      // A limit on file sizes stands for a full disk: it needs no rights.
      const command =
        'trap \'\' XFSZ; ulimit -f 40; exec "$0" --import tsx test/unit/coordinator-store.child.ts "$1"';
      const child = spawn('bash', ['-c', command, process.execPath, folder], {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { ...process.env, TSX_DISABLE_CACHE: '1' },
      });
      const ended = new Promise((resolve) => child.once('exit', resolve));
      const lines: string[] = [];
      for await (const line of createInterface({ input: child.stdout })) lines.push(line);
      assert.equal(await ended, 0);
      assert.equal(lines.pop(), 'write_failed write_failed none');
      const acknowledged = lines.length;
      assert.ok(acknowledged > 20 && acknowledged < 10_000, `${acknowledged} commits were acknowledged`);
      const store = await LevelStore.open({ folder });
      const events = await store.read('s', 0, 10_000);
      assert.ok(
        events.length >= acknowledged,
        `${events.length} of ${acknowledged} acknowledged commits are there`,
      );
      assert.deepEqual(await committed(store, { append: [{ stream: 's', event: 0 }] }), [events.length + 1]);
      await store.close();
    }));

  it('refuses a second owner, in this process and in another, and the first goes on', () =>
    withFolder(async (folder) => {
      const store = await LevelStore.open({ folder });
      for (const path of [folder, join(folder, '.')]) {
        await assert.rejects(LevelStore.open({ folder: path }), (error) => {
          assert.ok(hasCode('locked')(error));
          assert.match((error as Error).message, /already in use: stop the process that uses it/);
          assert.doesNotMatch((error as Error).message, /\n/);
          return true;
        });
      }
      // A refusal must not have let go of the lock that keeps other processes out.
      const code = `import('./coordinator/store/level.ts').then(({ LevelStore }) =>
        LevelStore.open({ folder: process.argv[1] })).then(() => console.log('opened'), (e) => console.log(e.code))`;
      const child = spawn(process.execPath, ['--import', 'tsx', '-e', code, folder], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const lines: string[] = [];
      for await (const line of createInterface({ input: child.stdout })) lines.push(line);
      assert.deepEqual(lines, ['locked']);
      await committed(store, { put: [{ key: 'a', value: 1 }] });
      await store.close();
      const again = await LevelStore.open({ folder });
      assert.equal((await again.get('a'))?.value, 1);
      await again.close();
    }));

  it('refuses folders of another version or another program, and leaves them as they are', () =>
    withFolder(async (root) => {
      const makeError = (code: StoreError['code'], message: string) => new StoreError(code, message);
      const newer = join(root, 'newer');
      await (
        await LevelDatabase.open({
          name: 'test',
          folder: newer,
          schema: 'countersign-coordinator/2',
          makeError,
        })
      ).close();
      await assert.rejects(LevelStore.open({ folder: newer }), (error) => {
        assert.ok(hasCode('unknown_schema')(error));
        assert.match(
          (error as Error).message,
          /countersign-coordinator\/2.*countersign-coordinator\/1.*run the version/,
        );
        return true;
      });
      const foreign = join(root, 'foreign');
      const other = new Level(foreign);
      await other.put('a', 'b');
      await other.close();
      await assert.rejects(LevelStore.open({ folder: foreign }), hasCode('unknown_schema'));
      await other.open();
      assert.deepEqual(await other.keys().all(), ['a']);
      await other.close();
      await writeFile(join(root, 'file'), '');
      await assert.rejects(LevelStore.open({ folder: join(root, 'file') }), hasCode('unavailable'));
    }));

  it('makes its folder for its owner alone', () =>
    withFolder(async (root) => {
      const folder = join(root, 'new', 'store');
      await (await LevelStore.open({ folder })).close();
      assert.equal((await stat(folder)).mode & 0o777, 0o700);
    }));

  it('says so when acknowledged commits vanished from the middle of the log', () =>
    withFolder(async (root) => {
      const folder = join(root, 'whole');
      const store = await LevelStore.open({ folder });
      for (let index = 0; index < 150; index++) {
        await committed(store, { put: [{ key: `k/${index}`, value: 'v'.repeat(600) }] });
      }
      await store.close();
      const log = (await readdir(folder)).find((file) => file.endsWith('.log')) ?? '';
      const bytes = await readFile(join(folder, log));
      const opened = async (copy: string, contents: Uint8Array) => {
        await mkdir(join(root, copy));
        await cp(folder, join(root, copy), { recursive: true });
        await writeFile(join(root, copy, log), contents);
        const damaged = await LevelStore.open({ folder: join(root, copy) });
        const kept = (await damaged.scan('k/', undefined, 1000)).length;
        await damaged.close();
        return kept;
      };
      const flipped = Uint8Array.from(bytes);
      flipped[40_000]! ^= 1;
      await assert.rejects(opened('flipped', flipped), hasCode('corrupt'));
      // LevelDB has meanwhile rewritten its log without the lost commits: the damage must still be seen.
      await assert.rejects(LevelStore.open({ folder: join(root, 'flipped') }), hasCode('corrupt'));
      // A torn last group was never acknowledged.
      assert.equal(await opened('torn', bytes.subarray(0, bytes.length - 50)), 149);
    }));

  it('says so when a manifest or a value is damaged', () =>
    withFolder(async (root) => {
      const folder = join(root, 'store');
      const store = await LevelStore.open({ folder });
      await committed(store, {
        put: [{ key: 'a', value: 1 }],
        append: [
          { stream: 's', event: 1 },
          { stream: 's', event: 2 },
        ],
      });
      await store.close();
      const raw = new Level(folder);
      const value = (await raw.get('k!a')) ?? '';
      await raw.put('k!a', value.replace(/1$/, '2'));
      await raw.del('e!s!0000000000000002');
      await raw.close();
      const damaged = await LevelStore.open({ folder });
      await assert.rejects(damaged.get('a'), hasCode('corrupt'));
      await assert.rejects(
        damaged.commit({ expect: [{ key: 'a', version: 1 }], del: ['a'] }),
        hasCode('corrupt'),
      );
      await assert.rejects(damaged.scan('', undefined, 10), hasCode('corrupt'));
      await assert.rejects(damaged.read('s', 0, 10), hasCode('corrupt'));
      await damaged.close();
      await writeFile(join(folder, 'CURRENT'), 'x');
      await assert.rejects(LevelStore.open({ folder }), (error) => {
        assert.ok(hasCode('corrupt')(error));
        assert.match((error as Error).message, /is damaged .*: restore it from a backup$/);
        return true;
      });
    }));
});
