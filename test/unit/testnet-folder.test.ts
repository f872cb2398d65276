// Which folders a testnet takes for its own: new ones, and those of runs that ended at whatever moment.
import assert from 'node:assert/strict';
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lockTestnet, readMark, writeMark } from '../../cli/testnet/folder.ts';
import { writeAtomically } from '../../storage/atomic-file.ts';

describe('the folder of a testnet', () => {
  const mark = { networkId: 'local-0123456789', parties: 3, threshold: 2 };
  let root: string;
  const at = (name: string): string => join(root, name);

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'countersign-test-'));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  it('is new while its mark is being written, and has nothing of that afterwards', async () => {
    const unlock = await lockTestnet(at('net'));
    await unlock();
    // What is there in the midst of a write is what a kill leaves.
    const contents = async function* (): AsyncGenerator<string> {
      yield '{"version":1';
      await cp(at('net'), at('killed'), { recursive: true });
      yield '}';
    };
    await writeAtomically(join(at('net'), 'testnet.json'), contents(), { name: 'handed-out' });
    assert.equal((await readdir(at('killed'))).length, 2);
    await assert.doesNotReject(async () => assert.equal(await readMark(at('killed')), undefined));
    await writeMark(at('killed'), mark);
    assert.deepEqual((await readdir(at('killed'))).toSorted(), ['lock', 'testnet.json']);
    assert.equal((await readMark(at('killed')))?.networkId, mark.networkId);
  });

  it('is nobody else’s, whatever it is called', async () => {
    for (const name of ['.testnet.json.tmp', '.other.json.0123456789abcdef.tmp', 'lock.txt']) {
      await writeFile(at(name), '');
      await assert.rejects(readMark(root), /is not empty, and it holds no testnet/, name);
      await rm(at(name));
    }
  });
});
