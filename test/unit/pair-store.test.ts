// Pairs on a real disk: what is kept over restarts and epochs, what is sealed, what is erased, and what a folder that was
// restored from a backup has of it.
import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PairGate } from '../../node/sessions/pairs/gate.ts';
import { NodeStoreError, type NodeStoreErrorCode } from '../../node/store/error.ts';
import { NodeStore } from '../../node/store/node-store.ts';
import type { Pairs } from '../../node/store/pairs.ts';
import { toHex } from '../../protocol/hex.ts';
import { alice, bob, failedCheck, hexId } from '../support/pair-gate-rig.ts';
import { epoch, keyringId, openOptions, party } from './node-store.case.ts';

const fails = (code: NodeStoreErrorCode) => (error: unknown) => {
  assert.ok(error instanceof NodeStoreError, String(error));
  assert.equal(error.code, code, error.message);
  return true;
};
const ban = { at: 7, code: 'transfer_check', detail: 'a check failed' };
const secrets = (label: string): Uint8Array => new TextEncoder().encode(`${label} secret `.repeat(50));
const setup = (id: number) => ({ id: new Uint8Array(32).fill(id), secrets: secrets(`setup ${id}`) });

describe('the store of pairs', function () {
  this.timeout(60_000);
  let root: string;
  let dir: string;
  let store: NodeStore;

  const pairs = (of = epoch, keyring: string = keyringId, self = party.credential): Pairs =>
    store.pairs(self, keyring, of);
  const reopen = async (folder = dir): Promise<void> => {
    await store.close();
    store = await NodeStore.open(openOptions(folder));
  };
  const entry = async (who = alice, of = pairs()) =>
    (await of.load()).find(({ party: other }) => other === who);
  const setupFiles = () => readdir(join(dir, 'pairs'));

  /** Everything that stands in the folder, as text. */
  async function wholeDisk(): Promise<string> {
    const files = await readdir(dir, { recursive: true, withFileTypes: true });
    const texts = files
      .filter((file) => file.isFile())
      .map((file) => readFile(join(file.parentPath, file.name), 'latin1'));
    return (await Promise.all(texts)).join('\n');
  }

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'countersign-pairs-'));
    dir = join(root, 'node');
    store = await NodeStore.open(openOptions(dir));
  });
  afterEach(async () => {
    await store.close();
    await rm(root, { recursive: true });
  });

  it('knows nothing of a new pair', async () => {
    assert.deepEqual(await pairs().load(), []);
    assert.deepEqual(await setupFiles(), []);
    assert.equal((await stat(join(dir, 'pairs'))).mode & 0o777, 0o700);
  });

  it('keeps a setup, sealed, over restarts', async () => {
    await pairs().adopt(alice, setup(1));
    await reopen();
    const expected = {
      party: alice,
      setup: setup(1),
      setupLost: false,
      ban: undefined,
      checking: false,
      incidents: [],
    };
    assert.deepEqual(await pairs().load(), [expected]);
    const disk = await wholeDisk();
    assert.doesNotMatch(disk, /setup 1 secret/);
    assert.ok(!disk.includes(toHex(secrets('setup 1')).slice(2, 66)));
  });

  it('opens a setup for its pair, keyring and epoch only', async () => {
    await pairs().adopt(alice, setup(1));
    await pairs().adopt(bob, setup(2));
    await store.close();
    const file = (id: number): string => join(dir, 'pairs', `${hexId(id).slice(2)}.setup`);
    const [one, two] = [await readFile(file(1)), await readFile(file(2))];
    await writeFile(file(1), two);
    await writeFile(file(2), one);
    store = await NodeStore.open(openOptions(dir));
    for (const who of [alice, bob]) {
      const found = await entry(who);
      assert.deepEqual([found?.setup, found?.setupLost], [undefined, true]);
    }
  });

  it('keeps one setup of a pair in each keyring and epoch, and erases what is replaced', async () => {
    const later = { roster: 1, run: 1 };
    await pairs().adopt(alice, setup(1));
    await pairs().adopt(alice, setup(2));
    await pairs(later).adopt(alice, setup(3));
    assert.deepEqual(
      (await setupFiles()).toSorted(),
      [2, 3].map((id) => `${hexId(id).slice(2)}.setup`),
    );
    assert.deepEqual((await entry())?.setup, setup(2));
    assert.deepEqual((await entry(alice, pairs(later)))?.setup, setup(3));
    await store.eraseEpoch(keyringId, epoch);
    assert.deepEqual(await setupFiles(), [`${hexId(3).slice(2)}.setup`]);
    assert.equal((await entry())?.setup, undefined);
    assert.equal((await entry())?.setupLost, false);
  });

  it('keeps bans, marks and incidents over restarts and epochs, and forgets none in another keyring', async () => {
    await pairs().mark(alice);
    await pairs().drop(alice, setup(1).id, [1, 2, 3]);
    await pairs().ban(bob, ban, [4]);
    await reopen();
    const later = pairs({ roster: 2, run: 0 }, hexId(9));
    const [one, two] = [await entry(alice, later), await entry(bob, later)];
    assert.deepEqual([one?.checking, one?.incidents, one?.ban], [true, [1, 2, 3], undefined]);
    assert.deepEqual([two?.checking, two?.incidents, two?.ban], [false, [4], ban]);
    await later.clear(alice);
    assert.equal((await entry())?.checking, false);
  });

  it('is of the two party keys', async () => {
    await pairs().ban(bob, ban, []);
    assert.deepEqual(await pairs(epoch, keyringId, alice).load(), []);
  });

  it('takes all setups of the pair with a ban, the first one standing', async () => {
    await pairs().adopt(alice, setup(1));
    await pairs({ roster: 1, run: 1 }).adopt(alice, setup(2));
    await pairs().adopt(bob, setup(3));
    await pairs().mark(alice);
    await pairs().ban(alice, ban, [1]);
    await pairs().ban(alice, { ...ban, code: 'incidents' }, [1, 2]);
    await reopen();
    const { setup: kept, checking, ban: stands, incidents } = (await entry())!;
    assert.deepEqual([kept, checking, stands, incidents], [undefined, false, ban, [1, 2]]);
    assert.equal((await entry())?.setupLost, false, 'no record names what is erased');
    assert.deepEqual(await setupFiles(), [`${hexId(3).slice(2)}.setup`]);
    await assert.rejects(pairs().adopt(alice, setup(4)), fails('wrong_state'));
  });

  it('erases what could not be erased before, when it is tried again', async () => {
    const kept = join(dir, 'kept');
    const own = pairs();
    for (const again of [() => own.ban(alice, ban, []), () => own.lift(alice)]) {
      await own.lift(alice);
      await own.adopt(alice, setup(1));
      const file = join(dir, 'pairs', `${hexId(1).slice(2)}.setup`);
      await rename(file, kept);
      await mkdir(file);
      await assert.rejects(again(), fails('unavailable'));
      await rmdir(file);
      await rename(kept, file);
      await again();
      assert.deepEqual(await setupFiles(), []);
    }
  });

  it('drops the setup that is meant, and no later one', async () => {
    await pairs().adopt(alice, setup(1));
    await pairs().adopt(alice, setup(2));
    await pairs().drop(alice, setup(1).id, [5]);
    const { setup: kept, incidents } = (await entry())!;
    assert.deepEqual([kept, incidents], [setup(2), [5]]);
    await pairs().drop(alice, setup(2).id, [5, 6]);
    assert.equal((await entry())?.setup, undefined);
    assert.deepEqual(await setupFiles(), []);
  });

  it('forgets ban, incidents and setups when the operator lifts, and the mark when its check has ended', async () => {
    await pairs().ban(alice, ban, [1, 2]);
    await pairs().mark(alice);
    await pairs().lift(alice);
    const { ban: stands, incidents, checking } = (await entry())!;
    assert.deepEqual([stands, incidents, checking], [undefined, [], true]);
    await pairs().adopt(alice, setup(2));
    await pairs().lift(alice);
    assert.deepEqual([(await entry())?.setup, await setupFiles()], [undefined, []]);
  });

  it('refuses ids that are none', async () => {
    await assert.rejects(
      pairs().adopt(alice, { id: new Uint8Array(31), secrets: secrets('x') }),
      fails('invalid'),
    );
    assert.throws(() => pairs(epoch, 'no id'), fails('invalid'));
    assert.throws(() => pairs(epoch, keyringId, 'nobody'), fails('invalid'));
  });

  it('erases what no record names: what a killed process left', async () => {
    await pairs().adopt(alice, setup(1));
    await store.close();
    await cp(
      join(dir, 'pairs', `${hexId(1).slice(2)}.setup`),
      join(dir, 'pairs', `${hexId(2).slice(2)}.setup`),
    );
    await writeFile(join(dir, 'pairs', `.${hexId(3).slice(2)}.setup.${'0'.repeat(16)}.tmp`), 'half');
    store = await NodeStore.open(openOptions(dir));
    assert.deepEqual(await setupFiles(), [`${hexId(1).slice(2)}.setup`]);
  });

  describe('with the gate', () => {
    const open = (told: string[] = []): Promise<PairGate> =>
      PairGate.open({
        store: pairs(),
        clock: { now: () => 1000, after: () => () => undefined },
        log: () => undefined,
        onDestroyed: (who, why) => void told.push(`${who === alice ? 'alice' : 'bob'} ${why}`),
      });
    const guarded = (gate: PairGate, step: () => Promise<unknown>): Promise<unknown> =>
      gate.guard(
        {
          parties: [alice],
          setups: new Map([[alice, hexId(1)]]),
          culprit: () => alice,
          erase: () => undefined,
        },
        step,
      );

    it('a restored folder has no setup, and makes none until the operator says so', async () => {
      await (await open()).adopt(alice, setup(1));
      await (await open()).adopt(bob, setup(2));
      await pairs().ban(bob, ban, []);
      await store.close();
      // The backup of docs/operators.md: everything but `pairs`.
      const restored = join(root, 'restored');
      await cp(dir, restored, { recursive: true, filter: (source) => source !== join(dir, 'pairs') });
      store = await NodeStore.open(openOptions(restored));
      const gate = await open();
      assert.throws(() => gate.setupOf(alice), { code: 'banned' });
      assert.equal(gate.states().get(alice)?.ban?.code, 'restored');
      assert.deepEqual(gate.states().get(bob)?.ban, ban, 'a ban is in the backup');
      await reopen(restored);
      const next = await open();
      assert.equal(next.state(alice), 'banned', 'durably');
      await next.lift(alice);
      await next.adopt(alice, setup(3));
      assert.deepEqual(next.setupOf(alice), setup(3));
    });

    it('a ban survives restart and a new epoch', async () => {
      const gate = await open();
      await gate.adopt(alice, setup(1));
      await assert.rejects(guarded(gate, () => Promise.reject(failedCheck())));
      await gate.stop();
      assert.deepEqual(await setupFiles(), []);
      await reopen();
      const later = await PairGate.open({
        store: pairs({ roster: 2, run: 0 }),
        clock: { now: () => 1000, after: () => () => undefined },
        log: () => undefined,
        onDestroyed: () => undefined,
      });
      assert.deepEqual(later.bans(), [alice]);
    });

    it('a run that ends during a check spends the setup', async () => {
      const gate = await open();
      await gate.adopt(alice, setup(1));
      let ended = (): void => undefined;
      const begun = new Promise<void>((begin) => {
        void guarded(gate, () => {
          begin();
          return new Promise<void>((resolve) => (ended = resolve));
        });
      });
      await begun;
      await reopen();
      const next = await open();
      assert.equal(next.state(alice), 'missing');
      assert.equal(next.states().get(alice)?.incidents, 1);
      assert.deepEqual(await setupFiles(), []);
      ended();
    });

    it('a disk that takes nothing more begins no check, and brings no setup back', async () => {
      const gate = await open();
      await gate.adopt(alice, setup(1));
      await assert.rejects(
        guarded(gate, async () => {
          await store.close();
          throw failedCheck();
        }),
        { code: 'invalid_share' },
      );
      await gate.stop();
      assert.equal(gate.state(alice), 'banned');
      store = await NodeStore.open(openOptions(dir));
      const next = await open();
      assert.equal(next.state(alice), 'missing');
      await next.adopt(alice, setup(1));
      await store.close();
      await assert.rejects(
        guarded(next, async () => assert.fail('it runs')),
        { code: 'unmarked' },
      );
      store = await NodeStore.open(openOptions(dir));
      assert.equal((await open()).state(alice), 'ready');
    });
  });
});
