// Where a node keeps its proofs: private, whole, bounded for each accused party, and never a reason to stop.
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BlameFolder } from '../../node/blame-folder.ts';
import type { BlameFile } from '../../node/sessions/context.ts';
import { seedOf, signerOf } from '../support/fixture.ts';

describe('blame: the folder', () => {
  let dir: string;
  const logged: { event: string; fields: Record<string, unknown> }[] = [];
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'countersign-blame-'));
    logged.length = 0;
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  const folderAt = async (folder = join(dir, 'blame')): Promise<BlameFolder> => {
    const made = new BlameFolder({ folder, log: (event, fields) => logged.push({ event, fields }) });
    await made.load();
    return made;
  };
  const bundle = (index: number, accused = signerOf('one').credential, bytes = 10): BlameFile => ({
    id: Buffer.from(seedOf('bundle', accused, index)).toString('hex'),
    accused,
    code: 'invalid_share',
    requestId: '0x00',
    attemptId: '00',
    bytes: new Uint8Array(bytes).fill(index),
  });

  it('writes a file that only its owner can read, and logs id, fault, culprit and path', async () => {
    const folder = await folderAt();
    const file = bundle(1);
    await folder.keep(file);
    const [name] = await readdir(join(dir, 'blame'));
    assert(name);
    const path = join(dir, 'blame', name);
    assert.match(name, /^[0-9a-f]{16}-[0-9a-f]{32}\.json$/);
    assert.deepEqual(new Uint8Array(await readFile(path)), file.bytes);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.equal((await stat(join(dir, 'blame'))).mode & 0o777, 0o700);
    const { id, code, accused, requestId, attemptId } = file;
    assert.deepEqual(logged, [
      { event: 'blame.recorded', fields: { id, code, culprit: accused, requestId, attemptId, path } },
    ]);
    assert.equal(folder.size, 1);
  });

  it('keeps the first 16 about each party, across restarts: nobody pushes out the proofs against another', async () => {
    const folder = await folderAt();
    const [one, other] = [signerOf('one').credential, signerOf('other').credential];
    await folder.keep(bundle(0, other));
    await Promise.all(Array.from({ length: 40 }, (_, index) => folder.keep(bundle(index, one))));
    assert.equal(folder.size, 17);
    assert.equal((await readdir(join(dir, 'blame'))).length, 17);
    assert.deepEqual([folder.wants(one), folder.wants(other)], [false, true]);
    assert.equal(logged.filter(({ event }) => event === 'blame.dropped').length, 24);
    const again = await folderAt();
    assert.deepEqual([again.size, again.wants(one), again.wants(other)], [17, false, true]);
  });

  it('bounds the bytes about each party', async () => {
    const folder = await folderAt();
    const mebibytes = 6 * 1024 * 1024;
    for (let index = 0; index < 4; index++) await folder.keep(bundle(index, undefined, mebibytes));
    assert.equal(folder.size, 3);
    assert.equal(folder.wants(bundle(0).accused), false);
  });

  it('that cannot be written is logged, and nothing throws or is counted', async () => {
    await writeFile(join(dir, 'blame'), 'a file where the folder should be');
    const folder = await folderAt();
    await folder.keep(bundle(1));
    assert.deepEqual(
      logged.map(({ event }) => event),
      ['blame.failed', 'blame.failed'],
    );
    assert.equal(folder.size, 0);
    assert.equal(folder.wants(bundle(1).accused), true, 'later there may be room');
  });

  it('removes what a crash left half written, and leaves other files alone', async () => {
    const folder = await folderAt();
    await folder.keep(bundle(1));
    const [name] = await readdir(join(dir, 'blame'));
    await writeFile(join(dir, 'blame', `.${name}.${'0a'.repeat(8)}.tmp`), 'half');
    await writeFile(join(dir, 'blame', 'notes.txt'), "the operator's own");
    const again = await folderAt();
    assert.deepEqual((await readdir(join(dir, 'blame'))).toSorted(), [name, 'notes.txt']);
    assert.equal(again.size, 1);
  });
});
