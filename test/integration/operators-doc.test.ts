// docs/operators.md, followed to the letter: an admin, a coordinator and three operators, each a user of their own, who
// exchange the files that the guide says are exchanged, up to a signature by their nodes.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { catalog } from '../../cli/doctor/catalog.ts';
import { section, stepsOf } from '../support/guide.ts';
import { GuidedNetwork, guidedParties } from '../support/guided-network.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const command = join(root, 'dist', 'cli', 'main.js');

describe('docs/operators.md', function () {
  this.timeout(600_000);
  let guide: string;
  let network: GuidedNetwork | undefined;

  before(async () => {
    guide = await readFile(join(root, 'docs', 'operators.md'), 'utf8');
  });

  after(() => network?.leave());

  it('takes an operator ten commands', async () => {
    const typed = stepsOf(section(guide, 'Ten commands')).flatMap((step) =>
      step.kind === 'run' && ['install', 'operator'].includes(step.role) ? step.script.split('\n') : [],
    );
    const commands = typed.filter((line) => /^(until )?(countersign|npm) /.test(line));
    assert.equal(commands.length, 10, commands.join('\n'));
    // Installing is the one that is not run: the command comes from this checkout instead.
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
    assert.equal(commands[0], `npm install --global ./countersign-${version}.tgz`);
  });

  it('works as it is written, by people who share nothing but what it says', async () => {
    network = await GuidedNetwork.arrive({ guide, node: process.execPath, main: command, users: true });
    const { sameUser } = network;
    if (sameUser !== undefined)
      process.stdout.write(`      one user for all, in separate folders: ${sameUser}\n`);
    await network.follow('Ten commands');
    await network.follow('Daily');

    const admin = network.said('admin');
    assert.match(admin, /equal results of all 3 parties: acme, blue, core/);
    assert.match(admin, /fulfilled/);
    for (const name of guidedParties) {
      const said = network.said(name);
      assert.match(said, /checks: 0 failures/);
      assert.match(said, /^PAUSED +since .*: new disk$/m);
      for (const other of guidedParties.filter((candidate) => candidate !== name))
        assert.match(said, new RegExp(`${other} up since`));
    }
    if (sameUser === undefined) {
      const peeking = network.people.get('blue')!.type('! cat ../acme/node/party.json ../acme/passphrase\n');
      assert.match(await peeking, /Permission denied[\s\S]*Permission denied/);
    }
    const folders = ['admin', ...guidedParties].map((name) => network!.folder(name));
    const passphrases = await Promise.all(
      folders.map((folder) => readFile(join(folder, 'passphrase'), 'utf8')),
    );
    assert.equal(new Set(passphrases).size, passphrases.length);
    for (const { said } of network.people.values()) {
      for (const passphrase of passphrases)
        assert(!said.includes(passphrase.trim()), 'a passphrase was printed');
    }
  });

  it('names every finding of the doctor with its level, and no other', () => {
    const rows = [...section(guide, 'What doctor finds').matchAll(/^\| `(\w+)` +\| (\w+) +\| \S/gm)];
    const listed = rows.map(([, code, level]) => `${code} ${level}`);
    const there = Object.entries(catalog).map(([code, { level }]) => `${code} ${level}`);
    assert.deepEqual(listed.toSorted(), there.toSorted());
  });

  it('names events that the processes log', async () => {
    const rows = [...section(guide, 'Daily').matchAll(/^\| (`[^|]+) \|/gm)].map(([, cell]) => cell ?? '');
    const named = rows.flatMap((cell) =>
      [...cell.matchAll(/`([a-z_]+(?:\.[a-z_]+)+)`/g)].map(([, event]) => event ?? ''),
    );
    assert(named.length > 25, String(named));
    const sources = await Promise.all(
      ['node', 'connector', 'coordinator', 'cli'].map(async (folder) => {
        const files = await readdir(join(root, folder), { recursive: true });
        const code = files.filter((file) => file.endsWith('.ts'));
        return (await Promise.all(code.map((file) => readFile(join(root, folder, file), 'utf8')))).join('\n');
      }),
    );
    const code = sources.join('\n');
    // Said of two peers by one piece of code (connector/outage.ts).
    const composed = /^(coordinator|node)\.(refused|unreachable|reached)$/;
    const unknown = named.filter((event) => !composed.test(event) && !code.includes(`'${event}'`));
    assert.deepEqual(unknown, []);
  });

  it('has service commands that are shell, about files that are there', async () => {
    const blocks = stepsOf(section(guide, 'Services')).map((step) =>
      step.kind === 'run' ? step.script : '',
    );
    assert.equal(blocks.length, 3);
    for (const block of blocks) await promisify(execFile)('bash', ['-n', '-c', block]);
    const paths = blocks.join('\n').matchAll(/(?:countersign\/)?(configs\/[\w./-]+)/g);
    for (const [, path] of paths) {
      const whole = path!.replace(/countersign-$/, 'countersign-node.service');
      assert(existsSync(join(root, whole)), `${path} is not there`);
    }
  });
});
