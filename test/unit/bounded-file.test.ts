// Files of which only so much is read: what is larger is refused, whether or not it says how large it is.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBounded } from '../../cli/bounded-file.ts';
import { CliError } from '../../cli/errors.ts';

const limit = 100_000;

describe('a bounded file', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'countersign-bounded-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const bytesOf = (length: number): Uint8Array => Uint8Array.from({ length }, (_, at) => at % 251);
  const file = async (length: number): Promise<string> => {
    const path = join(folder, `file-${length}`);
    await writeFile(path, bytesOf(length));
    return path;
  };
  /** What a reader gets of a pipe into which this many bytes are written. */
  async function throughPipe(length: number): Promise<Uint8Array> {
    const path = join(folder, `pipe-${length}`);
    execFileSync('mkfifo', [path]);
    const reading = readBounded(path, limit, 'a thing');
    const writer = await open(path, 'w');
    // A reader that has enough goes away, and what is written then is lost.
    const write = async (): Promise<void> => {
      try {
        await writer.writeFile(bytesOf(length));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
      } finally {
        await writer.close();
      }
    };
    const writing = write();
    try {
      return await reading;
    } finally {
      await writing;
    }
  }
  const tooLarge = (words: RegExp) => (error: unknown) => {
    assert.ok(error instanceof CliError, String(error));
    assert.equal(error.code, 'usage');
    assert.match(error.message, words);
    return true;
  };

  it('is read whole up to its limit', async () => {
    for (const length of [0, 1, 65_536, limit])
      await assert.doesNotReject(async () => {
        const read = await readBounded(await file(length), limit, 'a thing');
        assert.deepEqual(new Uint8Array(read), bytesOf(length));
      });
    for (const length of [0, limit])
      await assert.doesNotReject(async () =>
        assert.deepEqual(new Uint8Array(await throughPipe(length)), bytesOf(length)),
      );
  });

  it('is refused above it, with its size where it has one', async () => {
    await assert.rejects(
      readBounded(await file(limit + 1), limit, 'a thing'),
      tooLarge(/has 100001 bytes, a thing at most 100000/),
    );
    await assert.rejects(throughPipe(limit + 1), tooLarge(/has more bytes, a thing at most 100000/));
    await assert.rejects(readBounded('/dev/zero', limit, 'a thing'), tooLarge(/has more bytes/));
  });

  it('is closed, however reading ended', async () => {
    const count = async (): Promise<number> => (await readdir('/dev/fd')).length;
    const [small, large] = [await file(1), await file(limit + 1)];
    await readBounded(small, limit, 'a thing');
    const before = await count();
    for (let turn = 0; turn < 5; turn += 1) {
      await readBounded(small, limit, 'a thing');
      await assert.rejects(readBounded(large, limit, 'a thing'));
      await assert.rejects(readBounded('/dev/zero', limit, 'a thing'));
      await assert.rejects(readBounded(folder, limit, 'a thing'), { code: 'EISDIR' });
    }
    assert.equal(await count(), before);
  });
});
