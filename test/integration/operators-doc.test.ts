// docs/operators.md, followed to the letter: an admin, a coordinator and three operators, each a user of their own, who
// exchange the files that the guide says are exchanged, up to a signature by their nodes.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { catalog } from '../../cli/doctor/catalog.ts';
import { section, type Step, stepsOf } from '../support/guide.ts';
import { Person, whyNoUsers } from '../support/person.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const command = join(root, 'dist', 'cli', 'main.js');
const operators = ['acme', 'blue', 'core'];

/** An address of this machine's own network that no other test uses, where there are more than one. */
function ownHost(): string {
  if (process.platform !== 'linux') return '127.0.0.1';
  return `127.${randomInt(1, 255)}.${randomInt(1, 255)}.${randomInt(1, 255)}`;
}

describe('docs/operators.md', function () {
  this.timeout(300_000);
  let guide: string;
  let steps: Step[];
  let scratch: string;
  const people = new Map<string, Person>();

  before(async () => {
    guide = await readFile(join(root, 'docs', 'operators.md'), 'utf8');
    steps = stepsOf(section(guide, 'Ten commands'));
    scratch = await mkdtemp(join(tmpdir(), 'cs-'));
    await chmod(scratch, 0o711);
  });

  after(async () => {
    await Promise.all([...people.values()].map((person) => person.leave()));
    await rm(scratch, { recursive: true, force: true });
  });

  it('takes an operator ten commands', async () => {
    const typed = steps.flatMap((step) =>
      step.kind === 'run' && ['install', 'operator'].includes(step.role) ? step.script.split('\n') : [],
    );
    const commands = typed.filter((line) => /^(until )?(countersign|npm) /.test(line));
    assert.equal(commands.length, 10, commands.join('\n'));
    // Installing is the one that is not run: the command comes from this checkout instead.
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
    assert.equal(commands[0], `npm install --global ./countersign-${version}.tgz`);
  });

  it('works as it is written, by people who share nothing but what it says', async () => {
    const bin = join(scratch, 'bin');
    await mkdir(bin, { mode: 0o755 });
    const shim = `#!/bin/sh\nexec ${process.execPath} ${command} "$@"\n`;
    await writeFile(join(bin, 'countersign'), shim, { mode: 0o755 });
    const firstUser = 200_000 + randomInt(0, 50_000) * 10;
    const reason = await whyNoUsers(firstUser, command);
    if (reason !== undefined)
      process.stdout.write(`      one user for all, in separate folders: ${reason}\n`);
    for (const [index, name] of ['admin', 'coordinator', ...operators].entries()) {
      const user = reason === undefined ? firstUser + index : undefined;
      people.set(name, await Person.arrive({ name, within: scratch, user, path: bin }));
    }
    const inRole = (role: string): Person[] =>
      (role === 'operator' ? operators : [role]).map((name) => {
        const person = people.get(name);
        assert(person, `${role} is nobody`);
        return person;
      });

    const coordinatorHost = ownHost();
    const hosts = new Map(operators.map((name) => [name, `/ip4/${ownHost()}/tcp/4151`]));
    const shown = (name: string, what: RegExp): string => {
      const found = what.exec(people.get(name)?.said ?? '')?.[1];
      assert(found, `${name} was not shown ${String(what)}:\n${people.get(name)?.said}`);
      return found;
    };
    /** What each person reads off a screen, hears, or has agreed on. */
    const known: Readonly<Record<string, (person: string) => string>> = {
      PARTY: (person) => person,
      NETWORK: () => 'operators-network',
      LISTEN: (person) => hosts.get(person)!,
      ANNOUNCE: (person) => hosts.get(person)!,
      COORDINATOR: () => `http://${coordinatorHost}:7000`,
      HOST: () => coordinatorHost,
      PORT: () => '7000',
      FINGERPRINT: () => shown('admin', /^fingerprint +(.+)$/m),
      PEER: (person) => shown(person, /^peer id +(\S+)$/m),
      NODE: (person) => `${hosts.get(person)}/p2p/${shown(person, /^peer id +(\S+)$/m)}`,
      CONNECTOR: (person) => shown(person, /^connector key +(\S+)$/m),
      KEYRING: () => shown('admin', /^id +(0x\S+)$/m),
    };
    for (const step of [...steps, ...stepsOf(section(guide, 'Daily'))]) {
      if (step.kind === 'send') {
        for (const from of inRole(step.from)) {
          const as = step.as.replace('$PARTY', from.name);
          for (const to of inRole(step.to)) await to.take(join(from.folder, step.file), as);
        }
        continue;
      }
      if (step.role === 'install') continue;
      const typing = inRole(step.role).map(async (person) => {
        if (step.kind === 'run') return await person.type(step.script);
        const values = step.names.map((name) => {
          const value = known[name]?.(person.name);
          assert(value, `nobody knows ${name}`);
          return `${name}='${value}'`;
        });
        return await person.type(`${values.join('\n')}\n`);
      });
      await Promise.all(typing);
    }

    const admin = people.get('admin')!.said;
    assert.match(admin, /equal results of all 3 parties: acme, blue, core/);
    assert.match(admin, /fulfilled/);
    for (const name of operators) {
      const { said } = people.get(name)!;
      assert.match(said, /checks: 0 failures/);
      assert.match(said, /^PAUSED +since .*: new disk$/m);
      for (const other of operators.filter((candidate) => candidate !== name))
        assert.match(said, new RegExp(`${other} up since`));
    }
    if (reason === undefined) {
      const peeking = people.get('blue')!.type('! cat ../acme/node/party.json ../acme/passphrase\n');
      assert.match(await peeking, /Permission denied[\s\S]*Permission denied/);
    }
    const passphrases = await Promise.all(
      ['admin', ...operators].map((name) => readFile(join(scratch, name, 'passphrase'), 'utf8')),
    );
    assert.equal(new Set(passphrases).size, passphrases.length);
    for (const { said } of people.values()) {
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
