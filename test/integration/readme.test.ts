// The README's commands are run as they stand there: the tour by hand, against a test network that stays up.
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from '../support/until.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

describe('README.md', function () {
  this.timeout(900_000);
  let readme: string;
  let scratch: string;
  let testnet: ChildProcess | undefined;

  before(async () => {
    readme = await readFile(join(root, 'README.md'), 'utf8');
    scratch = await mkdtemp(join(tmpdir(), 'countersign-readme-'));
  });

  after(async () => {
    if (testnet && testnet.exitCode === null) {
      const ended = new Promise((resolve) => testnet?.once('exit', resolve));
      testnet.kill('SIGINT');
      await ended;
    }
    await rm(scratch, { recursive: true, force: true });
  });

  it('names the two commands that are all one needs', () => {
    assert.match(readme.slice(0, 1500), /npm ci && npm run testnet -- --once/);
    assert.match(readme.slice(0, 1500), /npm ci && npm test/);
  });

  it('has a first tour that works as it is written', async () => {
    const folder = join(scratch, 'tour');
    const blocks = [...readme.matchAll(/^```sh tour\n([\s\S]*?)^```$/gm)].map((block) => block[1] ?? '');
    assert.equal(blocks.length, 6);
    assert.match(readme, /npm run testnet -- --dir \/tmp\/tour\n/);
    let printed = '';
    testnet = spawn(process.execPath, ['dist/cli/main.js', 'testnet', '--dir', folder], { cwd: root });
    testnet.stdout?.on('data', (text: Buffer) => (printed += text.toString()));
    testnet.stderr?.on('data', (text: Buffer) => (printed += text.toString()));
    await until(
      () => printed.includes('export COUNTERSIGN_HOME=') || testnet?.exitCode !== null,
      () => printed,
      240_000,
    );
    assert(printed.includes(`${folder}/home`), printed);
    const script = `set -euo pipefail\n${blocks.join('\n').replaceAll('/tmp/tour', folder)}`;
    const [code, output] = await new Promise<[number, string]>((resolve) => {
      const env = { ...process.env, npm_config_update_notifier: 'false' };
      execFile('bash', ['-c', script], { cwd: root, env, timeout: 420_000 }, (error, stdout, stderr) => {
        // One that was ended for its time has no code.
        resolve([error === null ? 0 : Number(error.code ?? -1), stdout + stderr]);
      });
    });
    assert.equal(code, 0, output);
    assert.match(output, /we met on Tuesday/);
    assert.match(output, /fulfilled/);
  });
});
