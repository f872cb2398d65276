// A small network of real hosts under load, its work on worker threads and, in the same run, on the main thread: with
// workers the main loop goes on turning and every channel lives.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { inlineWork } from '../../node/work/inline.ts';
import { ThreadedWork } from '../../node/work/threads.ts';
import type { Work } from '../../node/work/work.ts';
import type { Evidence } from '../../protocol/authorize.ts';
import { approve, createWorld, evidence, hour, idOf } from '../support/fixture.ts';
import { type Host, makeKey, messageRequest, startHosts, stopHosts } from '../support/session-hosts.ts';
import { until } from '../support/until.ts';

/** One request of 50 items and several of a few, all at once, at 2 of 3. */
async function load(
  hosts: readonly Host[],
  key: Evidence['keys'][number],
  world: ReturnType<typeof createWorld>,
) {
  const texts = (count: number, name: string): string[] =>
    Array.from({ length: count }, (_, item) => `${name} ${item}`);
  const requests = [messageRequest(world, key, ...texts(50, 'long'))];
  for (const name of ['a', 'b', 'c']) requests.push(messageRequest(world, key, ...texts(3, name)));
  const all = requests.map((request) => {
    const decisions = [approve(world, idOf(request), 'bob', { expires: Date.now() + hour })];
    return evidence(world, request, { keys: [key], decisions });
  });
  await Promise.all(hosts.flatMap(({ sessions }) => all.map((full) => sessions.submit(full))));
  const done = (): boolean =>
    hosts.every(({ store }) => requests.every((request) => store.finished.has(idOf(request))));
  await until(done, 'every party has every result', 90_000);
  for (const request of requests)
    assert.equal(hosts[0]?.store.kindOf(hosts[0].store.finished.get(idOf(request))!), 'signatures');
}

/** Work that can be done somewhere else from now on. */
function switched(first: Work): Work & { current: Work } {
  return {
    current: first,
    machine(order, source) {
      return this.current.machine(order, source);
    },
    judge(task, source, signal) {
      return this.current.judge(task, source, signal);
    },
    replay(task, source, signal) {
      return this.current.replay(task, source, signal);
    },
    status() {
      return this.current.status();
    },
  };
}

/** The longest that the main loop stood still while `work` was done, in milliseconds. */
async function standstill(work: () => Promise<void>): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  await work();
  delay.disable();
  return delay.max / 1e6;
}

describe('a network under load', function () {
  this.timeout(420_000);

  it('with worker threads the main loop turns on, and no channel goes down', async () => {
    const world = createWorld({ parties: 3, threshold: 2 });
    const work = switched(inlineWork((length) => new Uint8Array(randomBytes(length))));
    let down = 0;
    const hosts = await startHosts(world, {
      work,
      limits: { heartbeatMs: 250, heartbeatDeadlineMs: 5000 },
      onPeer: (up) => void (up || down++),
    });
    const threads = await ThreadedWork.start({ workers: 1, log: () => undefined });
    try {
      const key = await makeKey(world, hosts);
      const inline = await standstill(() => load(hosts, key, world));
      work.current = threads;
      down = 0;
      // Of three times the best: a machine that stands still looks like a loop that does.
      let threaded = Infinity;
      for (let time = 0; time < 3 && threaded >= inline / 2; time += 1)
        threaded = await standstill(() => load(hosts, key, world));
      const figures = `${threaded.toFixed(0)} ms with workers, ${inline.toFixed(0)} ms without`;
      assert.ok(threaded < inline / 2, `the longest standstill was ${figures}`);
      assert.equal(down, 0);
      assert.ok(hosts.every(({ network }) => network.peers().every(({ up }) => up)));
      await until(() => threads.status().busy === 0, 'the worker has done everything');
      const queued = { signing: 0, evidence: 0, 'key-generation': 0, presigning: 0 };
      assert.deepEqual(threads.status(), { workers: 1, busy: 0, queued });
    } finally {
      await stopHosts(hosts);
      await threads.stop();
    }
  });
});
