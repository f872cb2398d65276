// docs/commands.md: its tables name what there is, and the network by hand works as it is written.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { exitCodes } from '../../cli/errors.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** An address of this machine's own network that no other test uses, where there are more than one. */
function ownHost(): string {
  if (process.platform !== 'linux') return '127.0.0.1';
  return `127.${randomInt(1, 255)}.${randomInt(1, 255)}.${randomInt(1, 255)}`;
}

describe('docs/commands.md', function () {
  this.timeout(240_000);
  let document: string;
  let scratch: string;

  before(async () => {
    document = await readFile(join(root, 'docs', 'commands.md'), 'utf8');
    scratch = await mkdtemp(join(tmpdir(), 'countersign-hand-'));
  });

  after(async () => {
    await rm(scratch, { recursive: true, force: true });
  });

  it('lists the exit codes there are', () => {
    const listed = [...document.matchAll(/^\| ([0-9]) +\|/gm)].map((match) => Number(match[1]));
    assert.deepEqual(listed, Object.values(exitCodes));
  });

  it('brings up a network by hand', async () => {
    const blocks = [...document.matchAll(/^```sh hand\n([\s\S]*?)^```$/gm)].map((block) => block[1] ?? '');
    assert.equal(blocks.length, 8);
    const written = blocks.join('\n').replaceAll('/tmp/hand', scratch).replaceAll('127.0.0.1', ownHost());
    // Whatever happens, the daemons that the script started end with it: they are of its process group.
    const script = `set -euo pipefail\n${written}\nwait`;
    const [code, output] = await new Promise<[number | null, string]>((resolve) => {
      let said = '';
      const bash = spawn('bash', ['-c', script], { cwd: root, env: process.env, detached: true });
      const endGroup = (): void => {
        if (bash.pid === undefined) return;
        try {
          process.kill(-bash.pid, 'SIGKILL');
        } catch {
          // Nothing of it runs any more.
        }
      };
      const late = setTimeout(endGroup, 120_000);
      bash.stdout.on('data', (text: Buffer) => (said += text.toString()));
      bash.stderr.on('data', (text: Buffer) => (said += text.toString()));
      bash.once('exit', endGroup);
      bash.once('close', (exit) => {
        clearTimeout(late);
        resolve([exit, said]);
      });
    });
    assert.equal(code, 0, output);
    assert.match(output, /equal results of all 2 parties: party-a, party-b/);
    assert.match(output, /fulfilled/);
    assert.match(output, /party-b up/);
  });
});
