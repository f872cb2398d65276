// Files that are whole or not there: what is left when a write fails, and when the writer was killed.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import {
  type FileHandle,
  type link,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeFolder, removeLeftovers, takeName, writeAtomically } from '../../storage/atomic-file.ts';

const name = 'test';
const hasCode = (code: string) => (error: unknown) => (error as NodeJS.ErrnoException).code === code;

describe('a file written whole', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'countersign-atomic-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('is its owner’s alone unless told otherwise, and replaces what was there', async () => {
    const path = join(folder, 'file');
    await writeAtomically(path, 'first', { name });
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    await writeAtomically(path, new Uint8Array([1, 2]), { name, mode: 0o644 });
    assert.deepEqual([...(await readFile(path))], [1, 2]);
    assert.equal((await stat(path)).mode & 0o777, 0o644 & ~process.umask());
    assert.deepEqual(await readdir(folder), ['file']);
  });

  it('is synced before it gets its name, and its folder after', async () => {
    const path = join(folder, 'file');
    const handle = await open(folder, 'r');
    const prototype = Object.getPrototypeOf(handle) as FileHandle;
    await handle.close();
    const sync = Reflect.get(prototype, 'sync') as (this: FileHandle) => Promise<void>;
    const synced: string[] = [];
    prototype.sync = async function (this: FileHandle): Promise<void> {
      const isFolder = (await this.stat()).isDirectory();
      synced.push(`${isFolder ? 'folder' : 'file'}, ${existsSync(path) ? 'named' : 'not named'}`);
      await sync.call(this);
    };
    try {
      for (const replace of [true, false]) {
        await rm(path, { force: true });
        await writeAtomically(path, 'x', { name, replace });
        assert.deepEqual(synced.splice(0), ['file, not named', 'folder, named']);
      }
      await makeFolder(join(folder, 'a', 'b'));
      assert.deepEqual(synced, ['folder, named', 'folder, named']);
    } finally {
      prototype.sync = sync;
    }
  });

  it('takes no name that is taken, when told not to', async () => {
    const path = join(folder, 'file');
    await writeAtomically(path, 'first', { name, replace: false });
    await assert.rejects(writeAtomically(path, 'second', { name, replace: false }), hasCode('EEXIST'));
    assert.equal(await readFile(path, 'utf8'), 'first');
    assert.deepEqual(await readdir(folder), ['file']);
  });

  it('leaves nothing when it cannot be written', async () => {
    await assert.rejects(writeAtomically(join(folder, 'none', 'file'), 'x', { name }), hasCode('ENOENT'));
    await mkdir(join(folder, 'taken', 'below'), { recursive: true });
    await assert.rejects(writeAtomically(join(folder, 'taken'), 'x', { name }));
    assert.deepEqual(await readdir(folder), ['taken']);
  });

  it('is named where there are no links too, by one of two writers', async () => {
    const refused = Object.assign(new Error('no links here'), { code: 'EPERM' });
    const noLink: typeof link = () => Promise.reject(refused);
    const [one, two] = [join(folder, 'one'), join(folder, 'two')];
    const target = join(folder, 'target');
    await Promise.all([writeFile(one, '1'), writeFile(two, '2')]);
    await takeName(one, target, noLink);
    await assert.rejects(takeName(two, target, noLink), hasCode('EEXIST'));
    assert.equal(await readFile(target, 'utf8'), '1');
    const full = Object.assign(new Error('full'), { code: 'ENOSPC' });
    await assert.rejects(
      takeName(two, join(folder, 'other'), () => Promise.reject(full)),
      hasCode('ENOSPC'),
    );
  });

  it('was beside its name under another when its writer was killed: that is removed, and nothing else', async () => {
    const kept = ['ready.json', '.other.json.0123456789abcdef.tmp', '.ready.json.0123.tmp', 'x.tmp'];
    const left = ['.ready.json.0123456789abcdef.tmp', '.bound.json.fedcba9876543210.tmp'];
    for (const file of [...kept, ...left]) await writeFile(join(folder, file), 'x');
    await removeLeftovers(folder, ['ready.json', 'bound.json']);
    assert.deepEqual((await readdir(folder)).toSorted(), kept.toSorted());
  });

  it('stands in folders that only their owner enters', async () => {
    const umask = process.umask(0);
    try {
      await makeFolder(join(folder, 'a', 'b'));
    } finally {
      process.umask(umask);
    }
    for (const made of ['a', 'a/b']) assert.equal((await stat(join(folder, made))).mode & 0o777, 0o700);
    await makeFolder(join(folder, 'a', 'b'));
    await writeFile(join(folder, 'file'), '');
    await assert.rejects(makeFolder(join(folder, 'file', 'below')));
  });
});
