// What a node must still know after any crash, and what nobody may read from its disk.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { crc32 } from 'node:zlib';
import { Level } from 'level';
import { IdentityError } from '../../client/identity/error.ts';
import { EpochKeys } from '../../node/store/epoch-keys.ts';
import { NodeStoreError } from '../../node/store/error.ts';
import { maxPassing } from '../../node/store/jobs.ts';
import { NodeStore } from '../../node/store/node-store.ts';
import { RecordError } from '../../protocol/records/envelope.ts';
import { epoch, id, keyCase, keyResult, keyringId, openOptions, resultRecord } from './node-store.case.ts';

const fails =
  (code: NodeStoreError['code'], pattern = /./) =>
  (error: unknown) => {
    assert.ok(error instanceof NodeStoreError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, pattern);
    return true;
  };

async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** Rewrites one value of a closed journal, with a checksum that fits. */
async function rewrite(dir: string, key: string, edit: (text: string) => string): Promise<void> {
  const raw = new Level(join(dir, 'db'));
  const text = edit(((await raw.get(key)) ?? '').slice(8));
  await raw.put(key, crc32(`${key}\n${text}`).toString(16).padStart(8, '0') + text);
  await raw.close();
}

describe('node store', () => {
  let dir: string;
  let opened: NodeStore[];
  const open = async (options = {}) => {
    const store = await NodeStore.open({ ...openOptions(dir), ...options });
    opened.push(store);
    return store;
  };
  const reopen = async () => {
    await Promise.all(opened.map((store) => store.close()));
    return await open();
  };
  beforeEach(async () => {
    dir = join(await mkdtemp(join(tmpdir(), 'countersign-node-')), 'data');
    opened = [];
  });
  afterEach(async () => {
    await Promise.all(opened.map((store) => store.close()));
    await rm(join(dir, '..'), { recursive: true, force: true });
  });

  describe('opening', () => {
    it('counts boots across restarts and concurrent calls', async () => {
      const store = await open();
      assert.deepEqual(await Promise.all([store.nextBoot(), store.nextBoot()]), [1, 2]);
      assert.equal(await (await reopen()).nextBoot(), 3);
    });

    it('refuses a wrong passphrase in one line, and goes on with the right one', async () => {
      await (await open()).close();
      await assert.rejects(open({ passphrase: 'wrong' }), (error) => {
        assert.ok(error instanceof IdentityError);
        assert.equal(error.code, 'wrong_passphrase');
        assert.equal(error.message, `wrong passphrase for ${join(dir, 'storage.key')}`);
        return true;
      });
      assert.equal(await (await open()).nextBoot(), 1);
    });

    it('refuses a second opening in one line', async () => {
      const store = await open();
      await assert.rejects(
        open(),
        fails('locked', /^[^\n]*already in use: stop the process that uses it[^\n]*$/),
      );
      assert.equal(await store.nextBoot(), 1);
    });

    it('refuses the folder of another network, and one that has lost its storage key', async () => {
      await (await open()).close();
      await assert.rejects(open({ networkId: 'mainnet' }), fails('wrong_network', /local-00000001.*mainnet/));
      await rm(join(dir, 'storage.key'));
      await assert.rejects(open(), fails('storage_key_missing', /restore it from a backup/));
      assert.ok(!(await filesUnder(dir)).includes(join(dir, 'storage.key')), 'no new one was made');
    });

    it('refuses a folder that has lost its journal after a key was made, and goes on with it restored', async () => {
      // A first start that was killed between storage key and journal's first record: nothing is lost.
      await (await open()).close();
      await rm(join(dir, 'db'), { recursive: true });
      const store = await open();
      await store.putPendingShare(keyCase(1).pending);
      assert.equal(await store.nextBoot(), 1);
      await store.close();
      await rename(join(dir, 'db'), join(dir, 'kept'));
      await assert.rejects(open(), fails('journal_missing', /db is missing.*restore the whole folder/));
      assert.ok(!(await readdir(dir)).includes('db'), 'no empty one was made');
      // An empty one, as an older start may have left it.
      const empty = new Level(join(dir, 'db'));
      await empty.open();
      await empty.close();
      await assert.rejects(open(), fails('journal_missing'));
      await rm(join(dir, 'db'), { recursive: true });
      await rename(join(dir, 'kept'), join(dir, 'db'));
      assert.equal(await (await open()).nextBoot(), 2);
    });

    it('refuses a folder that has lost the key of an epoch, and makes no other one', async () => {
      const store = await open();
      await store.putPendingShare(keyCase(1).pending);
      await store.close();
      const path = join(dir, 'epochs', `${keyringId}-1.0.key`);
      const text = await readFile(path);
      await rm(path);
      await assert.rejects(
        open(),
        fails('corrupt', /1\.0\.key: it is missing: restore the node from a backup/),
      );
      assert.deepEqual(await readdir(join(dir, 'epochs')), []);
      await writeFile(path, text, { mode: 0o600 });
      await (await open()).putPendingShare(keyCase(2).pending);
    });

    it('keeps folders at 0700 and its own files at 0600', async () => {
      await mkdir(dir, { mode: 0o755 });
      const store = await open();
      await store.putPendingShare(keyCase(1).pending);
      for (const folder of ['.', 'db', 'epochs']) {
        assert.equal((await stat(join(dir, folder))).mode & 0o777, 0o700, folder);
      }
      const own = (await filesUnder(dir)).filter((file) => file.endsWith('.key'));
      assert.equal(own.length, 2);
      for (const file of own) assert.equal((await stat(file)).mode & 0o777, 0o600, file);
      await store.close();
      await chmod(join(dir, 'storage.key'), 0o640);
      await assert.rejects(
        open(),
        (error) => error instanceof IdentityError && error.code === 'readable_by_others',
      );
    });

    it('removes what a killed process had half written, and nothing else', async () => {
      const store = await open();
      await store.putPendingShare(keyCase(1).pending);
      await store.close();
      const [epochFile] = await readdir(join(dir, 'epochs'));
      const left = [join(dir, '.storage.key.0123456789abcdef.tmp')];
      left.push(join(dir, 'epochs', `.${epochFile}.0123456789abcdef.tmp`));
      // Of an epoch key that never got its name.
      left.push(join(dir, 'epochs', '.0x00-1.1.key.0123456789abcdef.tmp'));
      const kept = join(dir, '.roster.json.0123456789abcdef.tmp');
      for (const file of [...left, kept]) await writeFile(file, 'x');
      await open();
      const files = await filesUnder(dir);
      assert.deepEqual(
        files.filter((file) => file.endsWith('.tmp')),
        [kept],
      );
    });

    it('refuses everything after close', async () => {
      const store = await open();
      await store.close();
      await store.close();
      await assert.rejects(store.nextBoot(), fails('closed'));
      await assert.rejects(store.keyOf(id('key')), fails('closed'));
    });
  });

  describe('shares', () => {
    it('are pending with their confirmation, then active with the certificate, across restarts', async () => {
      const { pending, certificate } = keyCase(1);
      const { requestId, share, confirmation, keyRequest } = pending;
      const store = await open();
      assert.equal(await store.confirmationOf(requestId), undefined);
      await assert.rejects(store.activateKey(requestId, certificate), fails('unknown_request'));
      await store.putPendingShare(pending);
      const pendingAgain = await reopen();
      assert.deepEqual(await pendingAgain.confirmationOf(requestId), confirmation);
      assert.equal(await pendingAgain.keyOf(requestId), undefined);
      const stored = { keyId: requestId, keyringId, epoch, keyRequest, confirmation };
      assert.deepEqual(await pendingAgain.keys(), [stored]);
      await assert.rejects(pendingAgain.activateKey(requestId, []), fails('invalid'));
      await pendingAgain.activateKey(requestId, certificate);
      await pendingAgain.activateKey(requestId, [...certificate, ...certificate]);
      const active = await reopen();
      assert.deepEqual(await active.keyOf(requestId), { ...stored, certificate, share });
      assert.deepEqual(await active.keys(), [{ ...stored, certificate }]);
      assert.deepEqual(await active.confirmationOf(requestId), confirmation);
      assert.equal(await active.keyOf(id('another')), undefined);
    });

    it('have one confirmation per key request, ever', async () => {
      const { pending, certificate } = keyCase(1);
      const { requestId } = pending;
      const others = Array.from({ length: 8 }, (_, index) => ({
        ...pending,
        share: { secret: new Uint8Array(32).fill(index) },
        confirmation: resultRecord(requestId, keyResult(`other run ${index}`)),
      }));
      const store = await open();
      const outcomes = await Promise.allSettled(
        [pending, ...others].map((each) => store.putPendingShare(each)),
      );
      const kept = outcomes.flatMap(({ status }, index) => (status === 'fulfilled' ? [index] : []));
      assert.equal(kept.length, 1);
      for (const outcome of outcomes)
        if (outcome.status === 'rejected') fails('already_confirmed')(outcome.reason);
      const winner = [pending, ...others][kept[0] ?? -1];
      assert.deepEqual(await store.confirmationOf(requestId), winner?.confirmation);
      await assert.rejects(
        (await reopen()).putPendingShare(others[1] ?? pending),
        fails('already_confirmed'),
      );
      const again = await reopen();
      await again.activateKey(requestId, certificate);
      await assert.rejects(again.putPendingShare(pending), fails('already_confirmed'));
      assert.deepEqual((await again.keyOf(requestId))?.share, winner?.share);
    });

    it('are refused with records of something else', async () => {
      const { pending } = keyCase(1);
      const other = keyCase(2).pending;
      const { requestId } = pending;
      const refusal = resultRecord(requestId, { kind: 'refusal', code: 'expired', reason: 'too late' });
      const store = await open();
      for (const change of [
        { confirmation: other.confirmation },
        { confirmation: refusal },
        { confirmation: resultRecord(requestId, keyResult('x'), { keyringId: id('other keyring') }) },
        { confirmation: resultRecord(requestId, keyResult('x'), { epoch: { roster: 1, run: 1 } }) },
        { keyRequest: other.keyRequest },
        { keyRequest: pending.confirmation },
        { epoch: { roster: 2, run: 0 } },
        { keyringId: '../../escape' },
        { share: { secret: 1.5 } },
      ]) {
        await assert.rejects(store.putPendingShare({ ...pending, ...change }), fails('invalid'));
      }
      const foreign = resultRecord(requestId, keyResult('x'), { networkId: 'mainnet' });
      await assert.rejects(store.putPendingShare({ ...pending, confirmation: foreign }), RecordError);
      assert.deepEqual(await store.keys(), []);
      assert.equal(await store.confirmationOf(requestId), undefined);
    });

    it('are on the disk only sealed', async () => {
      const { pending, certificate } = keyCase(1);
      const secret = Buffer.from(pending.share.secret as Uint8Array);
      const store = await open();
      await store.putPendingShare(pending);
      await store.activateKey(pending.requestId, certificate);
      await store.keyOf(pending.requestId);
      await reopen();
      const needles = [
        secret,
        ...['hex', 'base64', 'base64url'].map((as) => secret.toString(as as BufferEncoding)),
      ];
      const files = await filesUnder(dir);
      const found = await Promise.all(
        files.map(async (file) => {
          const contents = await readFile(file);
          return (
            needles.some((needle) => contents.includes(needle)) ||
            contents.includes(JSON.stringify([...secret]))
          );
        }),
      );
      assert.ok(files.some((file) => file.endsWith('.ldb')) || files.some((file) => file.endsWith('.log')));
      assert.deepEqual(
        found,
        files.map(() => false),
      );
      // The search itself finds what is stored in the clear.
      const all = Buffer.concat(await Promise.all(files.map((file) => readFile(file))));
      assert.ok(all.includes(pending.requestId.slice(0, 20)));
    });

    it('open for their key, keyring and epoch only', async () => {
      const keys = new EpochKeys(dir, new Uint8Array(32).fill(1), (length) => new Uint8Array(length).fill(2));
      const context = { keyId: id('key'), keyringId, epoch };
      // Even under one and the same epoch key: the context is authenticated.
      const others = [
        { ...context, keyId: id('other key') },
        { ...context, keyringId: id('other keyring') },
        { ...context, epoch: { roster: 1, run: 1 } },
        { ...context, epoch: { roster: 2, run: 0 } },
      ];
      for (const each of [context, ...others]) await keys.ensure(each);
      const sealed = keys.sealShare(context, Uint8Array.of(1, 2, 3));
      assert.deepEqual(keys.openShare(context, sealed), Uint8Array.of(1, 2, 3));
      for (const each of others)
        assert.throws(() => keys.openShare(each, sealed), fails('corrupt', /does not open/));
      await keys.close();
    });

    it('cannot be exchanged between keys on the disk', async () => {
      const [one, two] = [keyCase(1), keyCase(2)];
      const store = await open();
      for (const { pending, certificate } of [one, two]) {
        await store.putPendingShare(pending);
        await store.activateKey(pending.requestId, certificate);
      }
      await store.close();
      let stolen: unknown;
      await rewrite(dir, `key!${two.pending.requestId}`, (text) => {
        stolen = (JSON.parse(text) as { sealed: unknown }).sealed;
        return text;
      });
      await rewrite(dir, `key!${one.pending.requestId}`, (text) =>
        JSON.stringify({ ...(JSON.parse(text) as object), sealed: stolen }),
      );
      const again = await open();
      await assert.rejects(again.keyOf(one.pending.requestId), fails('corrupt', /does not open/));
      assert.deepEqual((await again.keyOf(two.pending.requestId))?.share, two.pending.share);
    });

    it('are gone when their epoch is erased, and so is the epoch', async () => {
      const { pending, certificate } = keyCase(1);
      const later = { roster: 1, run: 1 };
      const kept = keyCase(2).pending;
      const inLater = { ...kept, epoch: later };
      inLater.confirmation = resultRecord(kept.requestId, keyResult('later'), { epoch: later });
      const store = await open();
      await store.putPendingShare(pending);
      await store.activateKey(pending.requestId, certificate);
      await store.putPendingShare(inLater);
      await store.activateKey(kept.requestId, [inLater.confirmation]);
      const path = join(dir, 'epochs', `${keyringId}-1.0.key`);
      const copy = await readFile(path);
      await store.eraseEpoch(keyringId, epoch);
      assert.deepEqual(await readdir(join(dir, 'epochs')), [`${keyringId}-1.1.key`]);
      await assert.rejects(store.keyOf(pending.requestId), fails('epoch_erased'));
      await assert.rejects(store.putPendingShare(keyCase(3).pending), fails('epoch_erased'));
      assert.deepEqual((await store.keyOf(kept.requestId))?.share, kept.share);
      await store.eraseEpoch(keyringId, epoch);
      await store.close();
      // A crash between the mark and the destruction: the next start completes it.
      await writeFile(path, copy, { mode: 0o600 });
      const again = await open();
      assert.deepEqual(await readdir(join(dir, 'epochs')), [`${keyringId}-1.1.key`]);
      await assert.rejects(again.keyOf(pending.requestId), fails('epoch_erased'));
      assert.deepEqual((await again.keyOf(kept.requestId))?.share, kept.share);
      assert.equal((await again.keys()).length, 2);
    });

    it('are never sealed after an erasure that runs beside', async () => {
      const store = await open();
      const cases = Array.from({ length: 6 }, (_, index) => keyCase(index));
      const outcomes = await Promise.allSettled([
        ...cases.slice(0, 3).map(({ pending }) => store.putPendingShare(pending)),
        store.eraseEpoch(keyringId, epoch),
        ...cases.slice(3).map(({ pending }) => store.putPendingShare(pending)),
      ]);
      for (const outcome of outcomes)
        if (outcome.status === 'rejected') fails('epoch_erased')(outcome.reason);
      for (const { keyId } of await store.keys()) {
        await store.activateKey(keyId, keyCase(0).certificate);
        await assert.rejects(store.keyOf(keyId), fails('epoch_erased'));
      }
      await reopen();
      assert.deepEqual(await readdir(join(dir, 'epochs')), []);
    });

    it('are reported damaged when the epoch key is missing or changed', async () => {
      const { pending, certificate } = keyCase(1);
      const store = await open();
      await store.putPendingShare(pending);
      await store.activateKey(pending.requestId, certificate);
      const path = join(dir, 'epochs', `${keyringId}-1.0.key`);
      const text = await readFile(path, 'utf8');
      const another = join(dir, 'epochs', `${keyringId}-1.1.key`);
      for (const contents of [text.replace('"run":0', '"run":1'), text.slice(0, -9), '{}']) {
        await writeFile(path, contents);
        await assert.rejects(reopen(), fails('corrupt', /1\.0\.key/));
      }
      await cp(path, another);
      await rm(path);
      await assert.rejects(reopen(), fails('corrupt', /missing/));
      await writeFile(path, text, { mode: 0o644 });
      await chmod(path, 0o644);
      await assert.rejects(reopen(), fails('unavailable', /chmod 600/));
    });
  });

  describe('jobs', () => {
    const requestId = id('request');
    const signatures = resultRecord(requestId, { kind: 'signatures', signatures: [`0x${'11'.repeat(64)}`] });
    const otherSignatures = resultRecord(requestId, {
      kind: 'signatures',
      signatures: [`0x${'22'.repeat(64)}`],
    });
    const refusal = resultRecord(requestId, { kind: 'refusal', code: 'expired', reason: 'too late' });

    it('go from stored to started to done, across restarts', async () => {
      let store = await open();
      assert.equal(await store.job(requestId), undefined);
      await assert.rejects(store.markStarted(requestId), fails('unknown_request'));
      await assert.rejects(store.finishJob(requestId, signatures), fails('unknown_request'));
      assert.equal(await store.putJob(requestId, { decisions: [1] }, 1000), 'stored');
      assert.equal(await store.putJob(requestId, { decisions: [1, 2] }, 2000), 'stored');
      store = await reopen();
      const job = { requestId, state: 'stored', evidence: { decisions: [1, 2] }, seen: 1000 };
      assert.deepEqual(await store.job(requestId), job);
      assert.deepEqual(await store.openJobs(), [job]);
      await store.markStarted(requestId);
      store = await reopen();
      await store.markStarted(requestId);
      assert.equal(await store.putJob(requestId, { decisions: [3] }), 'started');
      assert.deepEqual(await store.openJobs(), [{ ...job, state: 'started', evidence: { decisions: [3] } }]);
      await store.finishJob(requestId, signatures);
      store = await reopen();
      assert.deepEqual(await store.openJobs(), []);
      assert.equal((await store.job(requestId))?.state, 'done');
      assert.equal(await store.putJob(requestId, { decisions: [] }), 'done');
      assert.deepEqual((await store.job(requestId))?.evidence, { decisions: [3] });
      await assert.rejects(store.markStarted(requestId), fails('wrong_state'));
      assert.deepEqual(await store.resultOf(requestId), signatures);
    });

    it('have one result: signatures replace a refusal, never the reverse', async () => {
      const store = await open();
      await store.putJob(requestId, null);
      await store.finishJob(requestId, refusal);
      await store.finishJob(requestId, refusal);
      assert.deepEqual(await store.resultOf(requestId), refusal);
      const later = resultRecord(requestId, { kind: 'refusal', code: 'not_authorised', reason: 'other' });
      await assert.rejects(store.finishJob(requestId, later), fails('conflicting_result'));
      const outcomes = await Promise.allSettled([
        store.finishJob(requestId, signatures),
        store.finishJob(requestId, otherSignatures),
      ]);
      assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
      const stands = await store.resultOf(requestId);
      for (const each of [refusal, later, keyCase(1).pending.confirmation]) {
        await assert.rejects(store.finishJob(requestId, each), (error) =>
          fails(each === refusal || each === later ? 'conflicting_result' : 'invalid')(error),
        );
      }
      assert.deepEqual(await store.resultOf(requestId), stands);
      assert.deepEqual(await store.results(0, 10), [
        { sequence: 1, requestId, result: refusal },
        { sequence: 2, requestId, result: stands },
      ]);
    });

    it('of keys end with the stored confirmation and with no other', async () => {
      const { pending } = keyCase(1);
      const store = await open();
      await store.putJob(pending.requestId, null);
      await assert.rejects(
        store.finishJob(pending.requestId, pending.confirmation),
        fails('conflicting_result'),
      );
      await store.putPendingShare(pending);
      const other = resultRecord(pending.requestId, keyResult('other run'));
      await assert.rejects(store.finishJob(pending.requestId, other), fails('conflicting_result'));
      assert.deepEqual(await store.results(0, 10), []);
      await store.finishJob(pending.requestId, pending.confirmation);
      assert.equal((await store.results(0, 10)).length, 1);
    });

    it('refuse records that are no results and ids that are none', async () => {
      const store = await open();
      await store.putJob(requestId, null);
      await assert.rejects(store.finishJob(requestId, keyCase(1).pending.keyRequest), RecordError);
      await assert.rejects(store.putJob('nonsense', null), fails('invalid'));
      await assert.rejects(store.putJob(id('x'), undefined as never), fails('invalid'));
      await assert.rejects(store.putJob(id('x'), 1, -1), fails('invalid'));
      assert.equal(await store.job(id('x')), undefined);
      assert.equal((await store.openJobs()).length, 1);
    });

    it('queue their results without gaps until they are acknowledged', async () => {
      let store = await open();
      const results = Array.from({ length: 12 }, (_, index) =>
        resultRecord(id(`r${index}`), { kind: 'refusal', code: 'expired', reason: String(index) }),
      );
      await Promise.all(
        results.map(async (result, index) => {
          await store.putJob(id(`r${index}`), index);
          await store.markStarted(id(`r${index}`));
          await store.finishJob(id(`r${index}`), result);
        }),
      );
      const sequences = async (after: number, limit = 100) =>
        (await store.results(after, limit)).map(({ sequence }) => sequence);
      assert.deepEqual(await sequences(0), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
      assert.deepEqual(await sequences(9, 2), [10, 11]);
      await assert.rejects(store.acknowledgeResults(13), fails('invalid'));
      await assert.rejects(store.acknowledgeResults(0.5), fails('invalid'));
      await assert.rejects(store.results(-1, 1), fails('invalid'));
      await assert.rejects(store.results(0, 0), fails('invalid'));
      await store.acknowledgeResults(10);
      await store.acknowledgeResults(3);
      store = await reopen();
      assert.deepEqual(await sequences(0), [11, 12]);
      await store.acknowledgeResults(12);
      assert.deepEqual(await sequences(0), []);
      assert.deepEqual(await store.resultOf(id('r0')), results[0], 'still known after it left the queue');
      await store.putJob(requestId, null);
      await store.finishJob(requestId, signatures);
      assert.deepEqual(await store.results(0, 10), [{ sequence: 13, requestId, result: signatures }]);
    });
  });

  describe('refusals that pass', () => {
    const refusal = (name: string) =>
      resultRecord(id(name), { kind: 'refusal', code: 'not_authorised', reason: name });

    it('are forgotten with their acknowledgement, and too many wait for none', async () => {
      let store = await open();
      await assert.rejects(store.passRefusal(id('r'), refusal('other')), fails('invalid'));
      assert.equal(await store.passRefusal(id('r'), refusal('r')), true);
      assert.equal(await store.passRefusal(id('r'), refusal('r')), true, 'and the same again is nothing');
      store = await reopen();
      assert.deepEqual(
        (await store.results(0, 10)).map(({ result }) => result),
        [refusal('r')],
      );
      assert.deepEqual(await store.resultOf(id('r')), refusal('r'));
      assert.equal(await store.job(id('r')), undefined, 'nothing else of it is here');
      assert.deepEqual(await store.openJobs(), []);
      await store.acknowledgeResults(1);
      assert.equal(await store.resultOf(id('r')), undefined);
      const many = Array.from({ length: maxPassing }, (_, index) => `r${index}`);
      await Promise.all(many.map((name) => store.passRefusal(id(name), refusal(name))));
      assert.equal((await store.results(0, maxPassing + 1)).length, maxPassing);
      assert.equal(await store.passRefusal(id('more'), refusal('more')), false);
      await store.putJob(id('held'), {});
      await store.finishJob(id('held'), refusal('held'));
      assert.deepEqual(
        await store.resultOf(id('held')),
        refusal('held'),
        'of what was promised there is room',
      );
    });

    it('take nothing from what was begun: all of it stays, and only of what was not it goes', async () => {
      const store = await open();
      const lost = resultRecord(id('lost'), { kind: 'refusal', code: 'run_lost', reason: 'lost' });
      for (const name of ['begun', 'waiting', 'lost']) await store.putJob(id(name), { of: name });
      await store.markStarted(id('begun'));
      for (const name of ['begun', 'waiting']) await store.finishJob(id(name), refusal(name));
      await store.finishJob(id('lost'), lost);
      assert.deepEqual((await store.job(id('begun')))?.evidence, { of: 'begun' });
      assert.equal(await store.job(id('waiting')), undefined);
      assert.equal(await store.putJob(id('waiting'), {}), 'done', 'that it has ended is known');
      await store.acknowledgeResults(3);
      assert.deepEqual(await store.resultOf(id('begun')), refusal('begun'));
      assert.deepEqual(await store.resultOf(id('lost')), lost, 'its request may still be good');
      assert.equal(await store.resultOf(id('waiting')), undefined, 'it would be refused the same way again');
    });

    it('of a key that was begun, and of which nothing is here, take its evidence', async () => {
      const store = await open();
      const { pending } = keyCase(3);
      const { requestId: asked, keyRequest } = pending;
      await store.putJob(asked, { request: keyRequest } as never);
      await store.markStarted(asked);
      const result = resultRecord(asked, { kind: 'refusal', code: 'expired', reason: 'late' });
      await store.finishJob(asked, result);
      assert.equal(await store.job(asked), undefined);
      await store.acknowledgeResults(1);
      assert.deepEqual(await store.resultOf(asked), result);
    });
  });

  describe('strange logs', () => {
    const charged = { workspaceId: id('w'), source: 'somebody', length: 5, proof: 0, at: 1 };

    it('are charged until they are claimed, and only then can be forgotten no more', async () => {
      let store = await open();
      await store.rememberHead(id('w'), { seq: 0, id: id('w'), log: [0] });
      await store.chargeLog(charged);
      store = await reopen();
      assert.deepEqual(await store.strangeLogs(), [charged]);
      await store.claimLog(id('w'));
      await store.forgetLog(id('w'));
      assert.equal((await store.head(id('w')))?.seq, 0);
      await store.chargeLog(charged);
      await store.forgetLog(id('w'));
      store = await reopen();
      assert.deepEqual([await store.head(id('w')), await store.strangeLogs()], [undefined, []]);
    });
  });

  describe('limits', () => {
    it('keep what others have signed', async () => {
      const store = await open();
      const requestId = id('signed');
      const debit = { keyId: id('a key'), chain: 'solana', address: 'native', amount: 5n };
      const noted = { requestId, workspaceId: id('w'), at: 1, debits: [debit], signed: true as const };
      await store.noteDebits(noted);
      assert.deepEqual(await (await reopen()).debits(2), [noted]);
    });

    const keyId = id('a key');
    const debits = (requestId: string, at: number) => ({
      requestId,
      workspaceId: id('workspace'),
      at,
      debits: [{ keyId, chain: 'solana', address: 'native', amount: 2n ** 90n }],
    });
    const day = 86_400_000;

    it('keep what a request takes with the mark that it was started, once for each', async () => {
      const store = await open();
      const requestId = id('one');
      await store.putJob(requestId, { some: 'evidence' });
      await assert.rejects(store.markStarted(id('none'), debits(id('none'), 1)), fails('unknown_request'));
      await store.markStarted(requestId, debits(requestId, 5));
      await store.markStarted(requestId, debits(requestId, 7));
      assert.deepEqual(await (await reopen()).debits(8), [debits(requestId, 7)]);
    });

    it('forget what no limit counts any more, and nothing else', async () => {
      const store = await open();
      for (const [name, at] of [
        ['old', 0],
        ['new', day],
      ] as const) {
        await store.putJob(id(name), {});
        await store.markStarted(id(name), debits(id(name), at));
      }
      await store.forgetDebits([id('old'), id('new')], 31 * day - 1);
      assert.equal((await store.debits(31 * day - 1)).length, 2);
      assert.deepEqual(await store.debits(31 * day), [debits(id('new'), day)]);
      assert.deepEqual(await store.debits(0), [debits(id('new'), day)], 'the other one is gone');
    });

    it('count as forgotten where the folder was restored, and nowhere else', async () => {
      let store = await open();
      const mark = join(dir, 'pairs', 'last-start');
      for (const now of [1, 2, 3]) {
        await store.nextBoot(now);
        assert.equal(store.restored, false);
        store = await reopen();
      }
      await rm(mark);
      await store.nextBoot(4);
      assert.equal(store.restored, true, 'no backup has the mark');
      assert.equal(await store.debitsForgotten(), 4);
      store = await reopen();
      await store.nextBoot(5);
      assert.equal(store.restored, false);
      assert.equal(await store.debitsForgotten(), 4);
      store = await reopen();
      await writeFile(mark, '99\n');
      await store.nextBoot(6);
      assert.equal(store.restored, true, 'the journal is older than what is beside it');
      assert.equal(await store.debitsForgotten(), 6);
    });
  });

  describe('workspace heads', () => {
    it('never go back and never change', async () => {
      const workspaceId = id('workspace');
      let store = await open();
      assert.equal(await store.head(workspaceId), undefined);
      await store.rememberHead(workspaceId, { seq: 0, id: workspaceId, log: [0] });
      await store.rememberHead(workspaceId, { seq: 3, id: id('three'), log: [0, 1, 2, 3] });
      store = await reopen();
      await assert.rejects(
        store.rememberHead(workspaceId, { seq: 2, id: id('two'), log: [] }),
        fails('head_behind'),
      );
      await assert.rejects(
        store.rememberHead(workspaceId, { seq: 3, id: id('other'), log: [] }),
        fails('fork'),
      );
      await store.rememberHead(workspaceId, { seq: 3, id: id('three'), log: [] });
      await assert.rejects(
        store.rememberHead(workspaceId, { seq: NaN, id: id('x'), log: [] }),
        fails('invalid'),
      );
      await assert.rejects(
        store.rememberHead('nonsense', { seq: 0, id: id('x'), log: [] }),
        fails('invalid'),
      );
      assert.deepEqual(await store.head(workspaceId), { seq: 3, id: id('three'), log: [0, 1, 2, 3] });
      const racing = [5, 4, 6, 5].map((seq) =>
        store.rememberHead(workspaceId, { seq, id: id(`${seq}`), log: [] }),
      );
      await Promise.allSettled(racing);
      assert.equal((await store.head(workspaceId))?.seq, 6);
      assert.equal(await store.head(id('another')), undefined);
    });
  });

  describe('forks of a workspace log', () => {
    it('stay open until the owners have said which entry stands, whatever else they say', async () => {
      const store = await open();
      const [workspaceId, known, received] = [id('workspace'), id('known'), id('received')];
      const common = { seq: 0, id: workspaceId };
      await store.rememberHead(workspaceId, { seq: 1, id: known, log: [] });
      await store.rememberFork({ workspaceId, at: 1, common, known, received, logs: [[], []], open: true });
      const other = { seq: 1, id: id('other'), log: [] };
      await store.rememberHead(workspaceId, other, { leaves: true, ends: false });
      assert.equal((await store.forks())[0]?.open, true);
      await assert.rejects(
        store.rememberHead(workspaceId, { seq: 1, id: known, log: [] }, { leaves: false, ends: true }),
        fails('fork'),
      );
      await store.rememberHead(
        workspaceId,
        { ...other, resolved: [[workspaceId, id('other')]] },
        { leaves: false, ends: true },
      );
      assert.equal((await (await reopen()).forks())[0]?.open, false);
    });
  });

  describe('on a damaged disk', () => {
    it('names the record whose value is not what it should be', async () => {
      const { pending } = keyCase(1);
      const workspaceId = id('workspace');
      const store = await open();
      await store.nextBoot();
      await store.putPendingShare(pending);
      await store.putJob(id('request'), { evidence: 1 });
      await store.rememberHead(workspaceId, { seq: 0, id: workspaceId, log: [] });
      await store.close();
      const cases: [string, (text: string) => string, (store: NodeStore) => Promise<unknown>][] = [
        ['boot!this', () => '{"count":"1"}', (each) => each.nextBoot()],
        ['boot!this', () => '{"count":1,"more":1}', (each) => each.nextBoot()],
        ['boot!this', () => '{', (each) => each.nextBoot()],
        [`evidence!${id('request')}`, () => '{}', (each) => each.openJobs()],
        [
          `job!${id('request')}`,
          (text) => text.replace('stored', 'lost'),
          (each) => each.markStarted(id('request')),
        ],
        [
          `head!${workspaceId}`,
          (text) => text.replace('"seq":0', '"seq":-1'),
          (each) => each.head(workspaceId),
        ],
        // The last: it refuses every start from then on, since the epochs of all keys are looked at.
        [`key!${pending.requestId}`, (text) => text.replace('"epoch"', '"era"'), (each) => each.keys()],
      ];
      for (const [key, edit, use] of cases) {
        await rewrite(dir, key, edit);
        await assert.rejects(open().then(use), fails('corrupt', new RegExp(`^the record ${key} is damaged`)));
        await Promise.all(opened.map((each) => each.close()));
      }
    });

    it('notices a changed value that would still pass for one', async () => {
      await (await open()).nextBoot();
      await reopen();
      await Promise.all(opened.map((store) => store.close()));
      const raw = new Level(join(dir, 'db'));
      await raw.put('boot!this', ((await raw.get('boot!this')) ?? '').replace('"count":1', '"count":2'));
      await raw.close();
      await assert.rejects((await open()).nextBoot(), fails('corrupt', /boot!this/));
    });
  });

  it('has every acknowledged write after kill -9', async () => {
    const child = spawn(process.execPath, ['--import', 'tsx', 'test/unit/node-store.child.ts', dir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    let acknowledged = 0;
    try {
      for await (const line of createInterface({ input: child.stdout })) {
        acknowledged = Number(line);
        if (acknowledged >= 40) child.kill('SIGKILL');
      }
    } finally {
      child.kill('SIGKILL');
      await ended;
    }
    assert.ok(acknowledged >= 40, `the child stopped after ${acknowledged} jobs`);
    const store = await open();
    for (let number = 1; number <= acknowledged; number++) {
      const { pending, certificate } = keyCase(number);
      const key = await store.keyOf(pending.requestId);
      assert.deepEqual(key?.share, pending.share);
      assert.deepEqual(key?.certificate, certificate);
      assert.equal((await store.job(pending.requestId))?.state, 'done');
      assert.deepEqual(await store.resultOf(pending.requestId), pending.confirmation);
    }
    const results = await store.results(0, 100_000);
    assert.ok(results.length >= acknowledged);
    assert.deepEqual(
      results.map(({ sequence }) => sequence),
      results.map((_, index) => index + 1),
    );
    assert.equal(await store.nextBoot(), 2);
  });
});
