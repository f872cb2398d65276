// The operator's pause over the life of a node's folder.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OperatorPause, type Pause } from '../../node/pause.ts';
import { NodeStore } from '../../node/store/node-store.ts';
import { openOptions } from './node-store.case.ts';

const now = Date.parse('2030-01-01T00:00:00.000Z');

describe('the pause of a node', () => {
  let dir: string;
  let store: NodeStore;
  let acts: string[];

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'countersign-pause-'));
    store = await NodeStore.open(openOptions(dir));
    acts = [];
  });

  afterEach(async () => {
    await store.close();
    await rm(dir, { recursive: true });
  });

  /** As a run of the node has it. */
  async function open(held: { setPause(pause: Pause | undefined): Promise<void> } = store) {
    const pause = new OperatorPause({
      store: { pause: () => store.pause(), setPause: (value) => held.setPause(value) },
      sessions: { pause: () => acts.push('pause'), resume: () => acts.push('resume') },
      now: () => now,
      log: (event) => acts.push(event),
    });
    await pause.open();
    return pause;
  }

  it('stands over restarts until it is ended, with since when and why', async () => {
    const first = await open();
    assert.equal(first.current, undefined);
    const stands = { since: '2030-01-01T00:00:00.000Z', reason: 'a new disk' };
    assert.deepEqual(await first.pause({ reason: 'a new disk' }), { changed: true, pause: stands });
    await store.close();
    store = await NodeStore.open(openOptions(dir));
    acts = [];
    const second = await open();
    assert.deepEqual(second.current, stands);
    assert.deepEqual(acts, ['pause', 'node.paused']);
    assert.deepEqual(await second.resume(), { changed: true, pause: stands });
    assert.deepEqual(acts.slice(2), ['node.resumed', 'resume']);
    assert.equal((await open()).current, undefined);
  });

  it('is not begun twice, nor ended twice', async () => {
    const pause = await open();
    assert.deepEqual(await pause.resume(), { changed: false });
    const [one, two] = await Promise.all([pause.pause({ reason: 'one' }), pause.pause({ reason: 'two' })]);
    assert.equal(one.changed, true);
    assert.deepEqual(two, { changed: false, pause: one.pause });
    assert.equal(pause.current?.reason, 'one');
    assert.deepEqual(
      [await pause.resume(), await pause.resume()].map(({ changed }) => changed),
      [true, false],
    );
    assert.deepEqual(
      acts.filter((act) => act === 'pause' || act === 'resume'),
      ['pause', 'resume'],
    );
  });

  it('stops the sessions even when it cannot be stored, and says that it could not', async () => {
    const full = { setPause: () => Promise.reject(new Error('no space')) };
    const pause = await open(full);
    await assert.rejects(pause.pause(undefined), /no space/);
    assert.deepEqual(acts, ['pause', 'node.paused']);
    assert(pause.current !== undefined);
  });

  it('is stored by the next call when the disk had no room', async () => {
    let room = false;
    const pause = await open({
      setPause: async (value) => {
        if (!room) throw new Error('no space');
        await store.setPause(value);
      },
    });
    await assert.rejects(pause.pause({ reason: 'first' }), /no space/);
    await assert.rejects(pause.pause(undefined), /no space/, 'it says again that it could not');
    room = true;
    assert.equal((await pause.pause({ reason: 'second' })).changed, false);
    assert.equal((await open()).current?.reason, 'first');
  });

  it('goes on when its end cannot be stored', async () => {
    await (await open()).pause(undefined);
    acts = [];
    const pause = await open({ setPause: () => Promise.reject(new Error('no space')) });
    await assert.rejects(pause.resume(), /no space/);
    assert(!acts.includes('resume'));
    assert(pause.current !== undefined);
  });

  it('takes one line of text as its reason', async () => {
    const pause = await open();
    const refused = [
      { reason: '' },
      { reason: 'a\nb' },
      { reason: 'x'.repeat(201) },
      { reason: 1 },
      { why: '' },
      'no',
    ];
    for (const params of refused) {
      await assert.rejects(pause.pause(params), { name: 'PauseError', code: 'invalid_params' });
    }
    assert.deepEqual(acts, []);
    assert.equal((await pause.pause({ reason: 'x'.repeat(200) })).changed, true);
  });
});
