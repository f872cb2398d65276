// The pool of worker threads: what comes first, what becomes of work whose thread ends, and that nothing stays behind.
import assert from 'node:assert/strict';
import { WorkError, type WorkErrorCode } from '../../node/work/error.ts';
import type { WorkerTask } from '../../node/work/messages.ts';
import { type Host, type PoolOptions, type PoolTask, WorkerPool } from '../../node/work/pool.ts';
import { until } from '../support/until.ts';

const crashing = new URL('../support/crashing-worker.ts', import.meta.url);

/** Tasks of the worker under test/support: it answers `bytes` with their length, or does what they say. */
function task(what: string, more: Partial<PoolTask> = {}): PoolTask {
  const composed: WorkerTask = { task: 'receive', machine: 0, from: 1, bytes: Buffer.from(what) };
  return {
    workClass: 'evidence',
    source: 'alice',
    compose: () => ({ task: composed, transfer: [] }),
    ...more,
  };
}

const fails =
  (code: WorkErrorCode, words = /./, verdictLost?: boolean) =>
  (error: unknown) => {
    assert.ok(error instanceof WorkError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, words);
    if (verdictLost !== undefined) assert.equal(error.verdictLost, verdictLost);
    return true;
  };

/** What a task has come to so far: undefined while nothing. */
interface Outcome {
  code: string | undefined;
  verdictLost?: boolean;
}
function outcomeOf(result: Promise<unknown>): Outcome {
  const outcome: Outcome = { code: undefined };
  result.then(
    () => (outcome.code = 'done'),
    (error: unknown) => {
      const { code, verdictLost } = error as WorkError;
      Object.assign(outcome, { code, verdictLost });
    },
  );
  return outcome;
}

describe('worker pool', function () {
  this.timeout(60_000);
  const pools: WorkerPool[] = [];
  const logged: { event: string; fields: Record<string, unknown> }[] = [];

  async function start(options: Partial<PoolOptions> = {}): Promise<WorkerPool> {
    const pool = await WorkerPool.start({
      workers: 1,
      entry: crashing,
      log: (event, fields) => logged.push({ event, fields }),
      ...options,
    });
    pools.push(pool);
    return pool;
  }

  afterEach(async () => {
    await Promise.all(pools.splice(0).map((pool) => pool.stop()));
    logged.length = 0;
  });

  it('answers, and says how it stands', async () => {
    const pool = await start({ workers: 2 });
    assert.equal(await pool.run(task('echo')), 'echo');
    const queued = { signing: 0, evidence: 0, 'key-generation': 0, presigning: 0 };
    assert.deepEqual(pool.status(), { workers: 2, busy: 0, queued });
  });

  it('does what is urgent first, whenever it came', async () => {
    const pool = await start();
    const order: string[] = [];
    const add = (name: string, workClass: PoolTask['workClass'], source = name): Promise<unknown> =>
      pool.run(task(name, { workClass, source })).then(() => order.push(name));
    const classes = ['presigning', 'key-generation', 'evidence', 'signing'] as const;
    // The first takes the worker at once; the rest waits for it.
    const all = [add('first', 'presigning')];
    for (const workClass of classes)
      all.push(add(`${workClass} 1`, workClass), add(`${workClass} 2`, workClass));
    const { queued, busy } = pool.status();
    assert.equal(busy, 1);
    assert.deepEqual(queued, { signing: 2, evidence: 2, 'key-generation': 2, presigning: 2 });
    await Promise.all(all);
    assert.deepEqual(order, [
      'first',
      'signing 1',
      'signing 2',
      'evidence 1',
      'key-generation 1',
      'evidence 2',
      'key-generation 2',
      'presigning 1',
      'presigning 2',
    ]);
  });

  it('a worker that exits fails its task and what it hosts, by name, and is replaced', async () => {
    const pool = await start();
    let host: Host | undefined;
    const compose = task('echo').compose;
    await pool.run(
      task('', {
        compose: (where) => {
          host = where;
          return compose(where);
        },
      }),
    );
    assert.equal(host?.lost, false);
    const lost = pool.run(task('exit'));
    // Waits for the same worker, because what it is about is hosted there.
    const hosted = outcomeOf(pool.run(task('echo', { host, source: 'bob' })));
    const other = pool.run(task('other', { source: 'carol' }));
    await assert.rejects(lost, fails('worker_lost'));
    assert.equal(await other, 'other', 'what was not begun there is done by the next worker');
    assert.equal(hosted.code, 'worker_lost');
    assert.equal(host?.lost, true);
    await assert.rejects(pool.run(task('echo', { host })), fails('worker_lost'));
    assert.equal(pool.status().workers, 1);
    assert.deepEqual(logged, [
      { event: 'work.worker_lost', fields: { exitCode: 7, cause: '', wasReady: true } },
    ]);
  });

  it('a worker that ends costs the verdict of what it had begun, and of nothing else that it hosts', async () => {
    const pool = await start();
    let host: Host | undefined;
    const { compose } = task('echo');
    const kept = (where: Host): ReturnType<typeof compose> => compose((host = where));
    await pool.run(task('', { compose: kept }));
    // Somebody's evidence, say, next to a machine that has a pair's setup and waits.
    const ends = outcomeOf(pool.run(task('exit')));
    const waits = outcomeOf(pool.run(task('echo', { host, source: 'bob' })));
    await until(() => waits.code !== undefined, 'its end');
    assert.deepEqual(ends, { code: 'worker_lost', verdictLost: true });
    assert.deepEqual(waits, { code: 'worker_lost', verdictLost: false });
    await assert.rejects(pool.run(task('echo', { host })), fails('worker_lost', /./, false));
  });

  it('a worker that throws outside of a task is lost too, and its message is not logged', async () => {
    const pool = await start();
    await assert.rejects(pool.run(task('throw')), fails('worker_lost'));
    assert.equal(await pool.run(task('echo')), 'echo');
    assert.deepEqual(
      logged.map(({ fields }) => fields['cause']),
      ['RangeError'],
    );
    assert.doesNotMatch(JSON.stringify(logged), /secret/);
  });

  it('a worker that does not answer is ended', async () => {
    const pool = await start({ taskDeadline: 1000 });
    const hanging = outcomeOf(pool.run(task('hang')));
    await until(() => hanging.code !== undefined, 'its end').catch(() => undefined);
    assert.equal(hanging.code, 'worker_lost');
    assert.equal(await pool.run(task('echo')), 'echo');
  });

  it('a worker that the system has no thread for is made when it has one again', async () => {
    const entry = new URL(crashing);
    const pool = await start({ entry });
    // Of what is no file no thread is made.
    entry.href = 'http://localhost/';
    await assert.rejects(pool.run(task('exit')), fails('worker_lost'));
    await until(() => logged.length >= 3, 'it is tried again');
    assert.equal(pool.status().workers, 0);
    assert.equal(logged.at(-1)?.fields['cause'], 'ERR_INVALID_URL_SCHEME');
    entry.href = crashing.href;
    assert.equal(await pool.run(task('echo')), 'echo');
  });

  it('a task that throws says only what class of error', async () => {
    const pool = await start();
    await assert.rejects(pool.run(task('fail')), fails('failed', /^a worker's task threw RangeError$/));
    assert.deepEqual(logged, []);
  });

  it('what nobody waits for any more is not done', async () => {
    const pool = await start();
    const cancel = new AbortController();
    const first = pool.run(task('first'));
    const unwanted = pool.run(task('exit', { source: 'bob' }), cancel.signal);
    cancel.abort();
    await assert.rejects(unwanted, fails('cancelled'));
    await assert.rejects(pool.run(task('exit'), cancel.signal), fails('cancelled'));
    assert.equal(await first, 'first');
    assert.equal(await pool.run(task('echo')), 'echo');
    assert.deepEqual(logged, [], 'it was never begun');
  });

  it('refuses a source that has enough waiting, and that one only', async () => {
    const pool = await start({ maxWaiting: 2 });
    const taken = pool.run(task('first'));
    const waiting = [pool.run(task('a')), pool.run(task('b'))];
    await assert.rejects(pool.run(task('c')), fails('busy', /alice has 2 tasks/));
    assert.equal(await pool.run(task('d', { source: 'bob' })), 'd');
    assert.deepEqual(await Promise.all([taken, ...waiting]), ['first', 'a', 'b']);
  });

  it('stop ends the task under way, rejects what waits, and leaves no thread', async () => {
    const pool = await start({ workers: 2 });
    const running = [pool.run(task('one')), pool.run(task('two', { source: 'bob' }))];
    const waiting = pool.run(task('three', { source: 'carol' }));
    const rejected = assert.rejects(waiting, fails('stopped'));
    await pool.stop();
    await rejected;
    assert.deepEqual(await Promise.all(running), ['one', 'two']);
    assert.equal(pool.status().workers, 0);
    await assert.rejects(pool.run(task('late')), fails('stopped'));
    await pool.stop();
    assert.deepEqual(logged, [], 'an end that was wanted is no loss');
  });

  it('stop does not wait for a worker that never answers', async () => {
    const pool = await start({ stopDeadline: 100 });
    const hanging = assert.rejects(pool.run(task('hang')), fails('worker_lost'));
    await pool.stop();
    await hanging;
    assert.equal(pool.status().workers, 0);
  });

  it('start fails when a worker does, and leaves nothing behind', async () => {
    const entry = new URL('../support/no-such-worker.ts', import.meta.url);
    await assert.rejects(start({ entry, workers: 2 }), fails('start_failed', /ended with code 1/));
  });

  it('goes on replacing after a loss, again and again', async () => {
    const pool = await start({ workers: 2 });
    for (let count = 0; count < 3; count++)
      await assert.rejects(pool.run(task('exit')), fails('worker_lost'));
    await until(() => pool.status().workers === 2, 'both are back');
    assert.equal(await pool.run(task('echo')), 'echo');
  });
});
