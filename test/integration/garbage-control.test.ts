// Garbage on a node's control socket: a real node in a process of its own, thousands of malformed inputs from a printed seed
// (GARBAGE=100000 for more, RANDOM_SEED to have the same again), and its operator beside them who must not notice.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { nodePaths, resolveNodeConfig } from '../../node/config.ts';
import { callControl } from '../../node/control.ts';
import { createWorld, networkId, seedOf } from '../support/fixture.ts';
import { type Garbage, garbageCount, printedSeed, Random } from '../support/garbage.ts';
import { controlGarbage } from '../support/garbage-control.ts';
import { mebibytes, type Outcome, pour, RunningTarget } from '../support/garbage-target.ts';
import { until } from '../support/until.ts';

const answerSchema = z.union([
  z.strictObject({ ok: z.literal(true), result: z.unknown() }),
  z.strictObject({
    ok: z.literal(false),
    error: z.strictObject({
      code: z.enum(['malformed', 'unknown_method', 'too_large', 'deadline']),
      message: z.string().max(500),
    }),
  }),
]);
const maxRssGrowth = 96 * 1024 * 1024;
const maxHeapGrowth = 24 * 1024 * 1024;

function judge(input: Garbage, { received }: Outcome): void {
  const text = received.toString();
  // The last line may be cut when the connection was.
  for (const line of text.split('\n').slice(0, -1)) {
    const parsed = answerSchema.safeParse(JSON.parse(line));
    assert.ok(parsed.success, `${input.kind}: ${line.slice(0, 500)}`);
  }
}

describe('garbage on the control socket of a node', function () {
  this.timeout(90_000 + garbageCount * 30);
  let root: string;
  let target: RunningTarget | undefined;

  afterEach(async () => {
    await target?.stop();
    await rm(root, { recursive: true, force: true });
  });

  it('answers or closes, changes nothing, keeps its memory, and obeys its operator meanwhile', async () => {
    // Short, because the socket's whole path must fit into 107 bytes.
    root = await mkdtemp('/tmp/cs-garbage-');
    const dir = join(root, 'data');
    const environment = { XDG_RUNTIME_DIR: join(root, 'run'), TMPDIR: root };
    await mkdir(dir, { mode: 0o700 });
    await mkdir(environment.XDG_RUNTIME_DIR, { mode: 0o700 });
    const world = createWorld({ name: 'garbage' });
    await writeFile(nodePaths(dir).roster, JSON.stringify(world.keyring.envelope));
    const file = { networkId, dir, name: 'party-1', listen: ['/ip4/127.0.0.1/tcp/0'] };
    const config = resolveNodeConfig({ file, folder: dir });
    const seed = Buffer.from(seedOf('garbage', 'party', 0)).toString('hex');
    const passphrase = 'a passphrase of a test';
    target = await RunningTarget.start({ role: 'node', config, seed, passphrase }, environment);
    const status = async (): Promise<unknown> => {
      const answer = await callControl(dir, 'status', undefined, { environment });
      const { peers, ...rest } = answer as { peers: readonly Record<string, unknown>[] };
      // The node goes on dialling its peers.
      return { ...rest, peers: peers.map((peer) => ({ ...peer, lastDial: undefined })) };
    };
    const expected = await status();
    const files = await readdir(dir);
    const atFirst = await target.measure();
    const random = new Random(printedSeed('control'));
    const began = performance.now();
    let answered = 0;
    let pouring = true;
    const operator = (async () => {
      while (pouring) {
        assert.deepEqual(await status(), expected);
        answered += 1;
        if (answered % 20 === 0) assert.deepEqual((await target!.measure()).unhandled, []);
      }
    })();
    let kinds;
    try {
      kinds = await pour(garbageCount, 12, () => controlGarbage(random), { path: target.at }, judge, 40_000);
    } finally {
      pouring = false;
      await operator;
    }
    const seconds = (performance.now() - began) / 1000;
    const pipes = async (): Promise<number> => (await target!.measure()).resources.PipeWrap ?? 0;
    const atRest = atFirst.resources.PipeWrap ?? 0;
    await until(async () => (await pipes()) <= atRest, 'all connections are closed', 30_000);
    const atLast = await target.measure();
    assert.deepEqual(atLast.unhandled, []);
    assert.deepEqual(atLast.faults, []);
    const { rss, heap } = target.largest;
    const counts = [...kinds].map(([kind, count]) => `${kind} ${count}`);
    process.stdout.write(
      `      ${counts.toSorted((one, other) => one.localeCompare(other)).join(', ')}\n` +
        `      ${garbageCount} inputs in ${seconds.toFixed(1)} s, the operator answered ${answered} times; resident ` +
        `${mebibytes(atFirst.rss)} before, ${mebibytes(rss)} at most, heap ${mebibytes(atFirst.heap)} before, ` +
        `${mebibytes(heap)} at most\n`,
    );
    assert.ok(answered > 10);
    assert.ok(rss - atFirst.rss < maxRssGrowth, `resident memory grew by ${mebibytes(rss - atFirst.rss)}`);
    assert.ok(heap - atFirst.heap < maxHeapGrowth, `the heap grew by ${mebibytes(heap - atFirst.heap)}`);
    assert.deepEqual(await status(), expected);
    assert.deepEqual(await readdir(dir), files);
  });
});
