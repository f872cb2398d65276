// `countersign doctor` at folders of nodes, connectors and coordinators: every finding that needs no running network is
// brought about for real, where this machine lets a test do that. test/integration/doctor.test.ts has the others.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  chmod,
  chown,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Code, catalog } from '../../cli/doctor/catalog.ts';
import { examineConnector } from '../../cli/doctor/connector.ts';
import { checkDisk } from '../../cli/doctor/disk.ts';
import { Findings } from '../../cli/doctor/findings.ts';
import {
  checkMemory,
  checkRuntime,
  isSupportedRuntime,
  type Machine,
  thisMachine,
} from '../../cli/doctor/machine.ts';
import { examineNode } from '../../cli/doctor/node.ts';
import { version } from '../../cli/version.ts';
import { parseCoordinatorConfig } from '../../coordinator/config.ts';
import { type RunningCoordinator, startCoordinator } from '../../coordinator/main.ts';
import { startControl } from '../../node/control.ts';
import { CliWorld, type Json } from '../support/cli-run.ts';
import { ofThisMachine } from '../support/machine-findings.ts';
import { mountMemory, type MemoryDisk, whyNoMount } from '../support/memory-disk.ts';

const networkId = 'doctor-network';

describe('countersign doctor', function () {
  this.timeout(60_000);
  let cli: CliWorld;
  let connectorKey: string;
  const coordinators: RunningCoordinator[] = [];
  const servers: Server[] = [];

  const dir = (name: string): string => cli.path(name);
  const nodeA = (...names: string[]): string => cli.path('node-a', ...names);
  const connectorA = (...names: string[]): string => cli.path('connector-a', ...names);

  /** The doctor's findings, from its command. */
  async function findings(...args: string[]): Promise<{ exitCode: number; result: Json; text: string }> {
    const { exitCode, stdout, stderr } = await cli.run(['doctor', ...args, '--json'], {
      passphrase: undefined,
    });
    return { exitCode, result: JSON.parse(stdout), text: stdout + stderr };
  }

  /** The codes of what is wrong, those of this machine left out; the exit code must fit them. */
  async function codes(...args: string[]): Promise<string[]> {
    const { exitCode, result, text } = await findings(...args);
    assert.equal(exitCode, result.failures === 0 ? 0 : 1, text);
    for (const finding of result.findings) {
      if (finding.code === 'ok') assert.equal(finding.level, 'ok');
      else {
        assert.equal(finding.level, catalog[finding.code as Code].level);
        assert(finding.remedy.length > 5 && finding.found.length > 5, JSON.stringify(finding));
      }
    }
    // Said once for the machine when nothing that was looked at told the time.
    const unchecked = (finding: Json): boolean =>
      finding.subject === 'machine' && finding.code === 'clock_unchecked';
    const timeless = !result.findings.some(
      (finding: Json) => finding.check === 'clock' && !unchecked(finding),
    );
    assert.equal(result.findings.filter(unchecked).length, timeless ? 1 : 0, text);
    return wrong(result.findings.filter((finding: Json) => !unchecked(finding)));
  }

  function wrong(all: readonly { code: string }[]): string[] {
    const found = all.map(({ code }) => code).filter((code) => code !== 'ok' && !ofThisMachine.has(code));
    return [...new Set(found)].toSorted();
  }

  function machine(more: Partial<Machine> = {}): Machine {
    const { signal } = new AbortController();
    const environment = { TMPDIR: cli.folder };
    const own = thisMachine({ environment, now: Date.now, signal, version: version() });
    return { ...own, patienceMs: 2000, ...more };
  }

  async function listening(port: number, host: string): Promise<number> {
    const server = createServer();
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(port, host, resolve));
    return (server.address() as { port: number }).port;
  }

  async function coordinator(
    name: string,
    more: { now?: () => number; version?: string; network?: string } = {},
  ) {
    const started = await startCoordinator({
      config: parseCoordinatorConfig({
        networkId: more.network ?? networkId,
        dir: dir(name),
        listen: { port: 0 },
        create: 'open',
      }),
      log: () => undefined,
      version: more.version ?? version(),
      ...(more.now && { now: more.now }),
    });
    coordinators.push(started);
    return started;
  }

  /** Replaces text in a file while `work` runs. */
  async function altered(
    path: string,
    change: (text: string) => string,
    work: () => Promise<void>,
  ): Promise<void> {
    const before = await readFile(path, 'utf8');
    await writeFile(path, change(before));
    try {
      await work();
    } finally {
      await writeFile(path, before);
    }
  }

  /** Points the connector at a coordinator while `work` runs. */
  const withCoordinator = (url: string, work: () => Promise<void>): Promise<void> =>
    altered(
      connectorA('config.yaml'),
      (text) => text.replace(/^coordinator: .*$/m, `coordinator: ${url}`),
      work,
    );

  async function withMode(path: string, mode: number, work: () => Promise<void>): Promise<void> {
    const before = (await stat(path)).mode & 0o777;
    await chmod(path, mode);
    try {
      await work();
    } finally {
      await chmod(path, before);
    }
  }

  /** Two nodes and a connector, made; and a roster that nobody but its admin has signed. */
  async function beginning(): Promise<void> {
    const init = async (party: string): Promise<Json> =>
      await cli.json([
        'node',
        'init',
        '--dir',
        dir(`node-${party}`),
        '--name',
        party,
        '--network',
        networkId,
        '--listen',
        '/ip4/127.0.0.1/tcp/0',
        '--announce',
        '/ip4/127.0.0.1/tcp/9',
      ]);
    const { peerId } = await init('a');
    await init('b');
    await cli.json(['identity', 'new', 'alice']);
    await cli.json(['profile', 'set', 'identity', 'alice']);
    await cli.json(['profile', 'set', 'networkId', networkId]);
    const introductions = [nodeA('party.json'), cli.path('node-b', 'party.json')];
    const draft = ['--name', 'main', '--threshold', '2', '--admin', 'alice', '--out', dir('roster.json')];
    await cli.json(['keyring', 'draft', ...introductions, ...draft]);
    const made = await cli.json([
      'connector',
      'init',
      '--dir',
      connectorA(),
      '--network',
      networkId,
      '--coordinator',
      'http://127.0.0.1:1',
      '--node',
      `/ip4/127.0.0.1/tcp/9/p2p/${peerId}`,
    ]);
    connectorKey = made.credential;
  }

  const signAs = {
    first: () =>
      cli.json(['node', 'join', dir('roster.json'), '--dir', nodeA(), '--yes', '--out', dir('a.json')]),
    second: () =>
      cli.json(['node', 'join', dir('a.json'), '--dir', dir('node-b'), '--yes', '--out', dir('ab.json')]),
    taken: () => cli.json(['node', 'join', dir('ab.json'), '--dir', nodeA()]),
  };
  async function allow(...more: string[]): Promise<void> {
    const args = ['node', 'allow-connector', connectorKey, '--dir', nodeA(), ...more];
    await cli.json([...args, '--out', connectorA('grant.json')]);
  }

  before(async () => {
    cli = await CliWorld.make();
    await beginning();
    for (const step of [signAs.first, signAs.second, signAs.taken, allow]) await step();
  });

  afterEach(async () => {
    for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
    for (const started of coordinators.splice(0)) await started.stop();
  });

  after(async () => {
    await cli?.remove();
  });

  it('wants something to look at', async () => {
    const { exitCode, error } = await cli.run(['doctor']);
    assert.equal(exitCode, 2);
    assert.match(error, /nothing to look at: use --node DIR/);
  });

  it('follows a new party from init to its roster and grant', async () => {
    const shared = cli;
    const sharedKey = connectorKey;
    cli = await CliWorld.make();
    try {
      await beginning();
      const stopped = ['daemon_stopped', 'no_connector'];
      assert.deepEqual(await codes('--node', nodeA()), [...stopped, 'roster_missing']);
      await signAs.first();
      assert.deepEqual(await codes('--node', nodeA()), [...stopped, 'roster_incomplete']);
      await signAs.second();
      await signAs.taken();
      assert.deepEqual(await codes('--node', nodeA()), [...stopped, 'peer_unreachable', 'peers_too_few']);

      const away = ['coordinator_unreachable', 'daemon_stopped'];
      assert.deepEqual(await codes('--connector', connectorA()), [...away, 'grant_missing'].toSorted());
      await allow('--expires', '10d');
      const soon = [...away, 'grant_expires', 'node_unreachable'].toSorted();
      assert.deepEqual(await codes('--connector', connectorA()), soon);
      await rm(connectorA('grant.json'));
      await allow();
      assert.deepEqual(await codes('--connector', connectorA()), [...away, 'node_unreachable'].toSorted());
      const alone = ['daemon_stopped', 'peer_unreachable', 'peers_too_few'];
      assert.deepEqual(await codes('--node', nodeA()), alone);
    } finally {
      await cli.remove();
      cli = shared;
      connectorKey = sharedKey;
    }
  });

  it('prints for people what is wrong with what to do, and changes nothing', async () => {
    const listed = async (): Promise<string> =>
      JSON.stringify(
        await Promise.all(
          (await readdir(cli.folder, { recursive: true }))
            .filter((name) => /^(node|connector)-/.test(name))
            .toSorted()
            .map(async (name) => [name, (await stat(dir(name))).mtimeMs, (await stat(dir(name))).mode]),
        ),
      );
    const before = await listed();
    const passphrase = ['--passphrase-file', dir('passphrase')];
    const args = ['doctor', '--node', nodeA(), '--connector', connectorA(), ...passphrase];
    const { stdout, exitCode, error } = await cli.run(args, { passphrase: undefined });
    assert.equal(exitCode, 1);
    assert.match(
      stdout,
      /^FAILURE +node +peer +peers_too_few: 1 of 2 parties are here.*\n +-> nothing can be/m,
    );
    assert.match(stdout, /^WARNING +node +process +daemon_stopped: no node runs/m);
    assert.match(stdout, /^ok +node +passphrase +it opens/m);
    assert.match(stdout, /\d+ checks: \d+ failures?, \d+ warnings?\.\n$/);
    assert.match(error, /\d+ of \d+ checks failed: do what is said beside each/);
    assert(!stdout.includes('right'), 'the passphrase is printed');
    assert.equal(await listed(), before);
  });

  it('finds configurations and folders that are not as they must be', async () => {
    const first = async (...args: string[]): Promise<Json> => {
      const { result } = await findings(...args);
      return result.findings.find(({ code }: Json) => code === 'config_invalid');
    };
    await altered(
      nodeA('config.yaml'),
      (text) => `${text}lisen: []\n`,
      async () => {
        assert.match((await first('--node', nodeA())).found, /config\.yaml.*unknown key "lisen"/);
      },
    );
    await altered(
      connectorA('config.yaml'),
      (text) => `${text}secret: 1\n`,
      async () => {
        assert.match((await first('--connector', connectorA())).found, /unknown key "secret"/);
      },
    );
    const path = await cli.write('bad.yaml', 'networkId: my-network\ndir: ./x\nlisten: { port: 70000 }\n');
    assert.match((await first('--coordinator', path)).found, /listen\.port/);
    assert.deepEqual(await codes('--coordinator', dir('none.yaml')), ['config_invalid']);
    assert.deepEqual(await codes('--node', dir('nowhere')), ['folder_missing']);
    await altered(
      nodeA('party.json'),
      (text) => text.replace('"a"', '"z"'),
      async () => {
        assert.deepEqual(await codes('--node', nodeA()), ['daemon_stopped', 'folder_damaged']);
      },
    );
    // Of a node that has made keys, with neither storage key nor journal.
    await mkdir(nodeA('epochs'), { mode: 0o700 });
    try {
      assert(!(await codes('--node', nodeA())).includes('shares_lost'), 'no key was made yet');
      await writeFile(nodeA('epochs', '0x00-1.0.key'), '{}', { mode: 0o600 });
      const { result } = await findings('--node', nodeA());
      const lost = result.findings.filter(({ code }: Json) => code === 'shares_lost');
      assert.deepEqual(
        lost.map(({ found }: Json) => /(storage\.key|CURRENT) is missing/.exec(found)?.[1]),
        ['storage.key', 'CURRENT'],
      );
    } finally {
      await rm(nodeA('epochs'), { recursive: true });
    }
  });

  it('waits for no pipe and reads no device that stands in the place of a file', async () => {
    /** What is found while something else stands at a path. */
    const replaced = async (
      path: string,
      by: 'pipe' | 'device',
      args: readonly string[],
    ): Promise<string[]> => {
      const aside = `${path}.aside`;
      const there = await stat(path).then(
        () => true,
        () => false,
      );
      if (there) await rename(path, aside);
      try {
        if (by === 'pipe') await promisify(execFile)('mkfifo', ['-m', '600', path]);
        else await symlink('/dev/zero', path);
        const { result } = await findings(...args);
        return result.findings
          .filter((finding: Json) => finding.found.startsWith(`${path} is a ${by}, not a file`))
          .map((finding: Json) => finding.code);
      } finally {
        await rm(path);
        if (there) await rename(aside, path);
      }
    };
    for (const by of ['device', 'pipe'] as const) {
      for (const name of ['config.yaml', 'party.json', 'identity.json', 'roster.json'])
        assert.deepEqual(await replaced(nodeA(name), by, ['--node', nodeA()]), ['folder_damaged'], name);
      assert.deepEqual(await replaced(nodeA('grants', 'odd.json'), by, ['--node', nodeA()]), [
        'grant_invalid',
      ]);
      for (const name of ['config.yaml', 'identity.json', 'grant.json'])
        assert.deepEqual(
          await replaced(connectorA(name), by, ['--connector', connectorA()]),
          ['folder_damaged'],
          name,
        );
      assert.deepEqual(await replaced(dir('odd.yaml'), by, ['--coordinator', dir('odd.yaml')]), [
        'folder_damaged',
      ]);
    }
  });

  it('takes no advice from whoever answers in place of a coordinator', async () => {
    const words = { code: 'forbidden', detail: 'no\u001b[2J \u202eentry', remedy: 'run curl evil.example' };
    const server = createHttpServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify({ jsonrpc: '2.0', id: 1, error: { code: -32002, message: 'no', data: words } }),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = server.address() as { port: number };
      await withCoordinator(`http://127.0.0.1:${port}`, async () => {
        const { stdout } = await cli.run(['doctor', '--connector', connectorA()], { passphrase: undefined });
        assert.match(
          stdout,
          /coordinator_unreachable: http:\S+ answers forbidden, in its words: no \[2J entry/,
        );
        assert.doesNotMatch(stdout, /evil/);
      });
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it('finds modes and owners that let others in, or keep the daemon out', async function () {
    const including = async (code: Code, at: string, ...args: string[]): Promise<void> => {
      const { result, text } = await findings(...args);
      const found = result.findings.filter((finding: Json) => finding.code === code);
      assert.equal(found.length, 1, text);
      assert(found[0].found.includes(at), text);
    };
    await withMode(nodeA(), 0o755, () => including('folder_open', nodeA(), '--node', nodeA()));
    for (const file of ['identity.json', 'roster.json']) {
      await withMode(nodeA(file), 0o640, () => including('file_open', file, '--node', nodeA()));
    }
    await withMode(nodeA('config.yaml'), 0o664, () =>
      including('file_writable', 'config', '--node', nodeA()),
    );
    await withMode(connectorA('identity.json'), 0o644, () =>
      including('file_open', 'identity.json', '--connector', connectorA()),
    );
    if (process.getuid?.() === 0) {
      await chown(nodeA('roster.json'), 65_534, 65_534);
      await including('wrong_owner', 'roster.json belongs to user 65534', '--node', nodeA());
      await chown(nodeA('roster.json'), 0, 0);
      // By its function: as somebody else this process may not even be allowed to load the command's code.
      const machine = thisMachine({
        environment: {},
        now: Date.now,
        signal: new AbortController().signal,
        version: '0.0.0',
      });
      const found = new Findings('node');
      process.seteuid?.(65_534);
      try {
        await examineNode(found, machine, { dir: nodeA(), passphraseFile: undefined });
      } finally {
        process.seteuid?.(0);
      }
      assert.deepEqual(
        found.all.map(({ code }) => code),
        ['not_accessible'],
      );
      assert(found.all[0]!.found.includes(nodeA()));
    } else {
      process.stdout.write('      not as root: a file of another user is not tried\n');
      await withMode(nodeA(), 0, () => including('not_accessible', nodeA(), '--node', nodeA()));
    }
  });

  it('tries the passphrase that it is given', async () => {
    const away = ['daemon_stopped', 'peer_unreachable', 'peers_too_few'];
    const look = (file: string): Promise<string[]> => codes('--node', nodeA(), '--passphrase-file', file);
    assert.deepEqual(await look(dir('passphrase')), away);
    assert.deepEqual(await look(dir('no-such')), [...away, 'passphrase_missing'].toSorted());
    const open = await cli.write('open', 'right\n', 0o644);
    assert.deepEqual(await look(open), [...away, 'passphrase_open'].toSorted());
    const other = await cli.write('other', 'wrong\n', 0o600);
    assert.deepEqual(await look(other), [...away, 'passphrase_wrong'].toSorted());
  });

  it('finds rosters and grants that do not fit', async () => {
    await altered(
      nodeA('roster.json'),
      (text) => text.replace(/"bytes": "..../, '"bytes": "AAAA'),
      async () => {
        assert((await codes('--node', nodeA())).includes('roster_invalid'));
      },
    );
    // A whole roster of two other nodes.
    for (const party of ['c', 'd'])
      await cli.json(['node', 'init', '--dir', dir(party), '--name', party, '--network', networkId]);
    const introductions = ['c', 'd'].map((party) => cli.path(party, 'party.json'));
    const draft = ['--name', 'other', '--threshold', '2', '--admin', 'alice', '--out', dir('cd.json')];
    await cli.json(['keyring', 'draft', ...introductions, ...draft]);
    await cli.json(['node', 'join', dir('cd.json'), '--dir', dir('c'), '--yes', '--out', dir('cd-c.json')]);
    await cli.json([
      'node',
      'join',
      dir('cd-c.json'),
      '--dir',
      dir('d'),
      '--yes',
      '--out',
      dir('cd-cd.json'),
    ]);
    const other = await readFile(dir('cd-cd.json'), 'utf8');
    await altered(
      nodeA('roster.json'),
      () => other,
      async () => {
        assert((await codes('--node', nodeA())).includes('roster_foreign'));
      },
    );
    await altered(
      connectorA('grant.json'),
      (text) => text.replace('connector.grant', 'keyring.roster'),
      async () => {
        assert((await codes('--connector', connectorA())).includes('grant_invalid'));
      },
    );
    const later = machine({ now: () => Date.now() + 366 * 86_400_000 });
    const both = new Findings('node');
    await examineNode(both, later, { dir: nodeA(), passphraseFile: undefined });
    await examineConnector(both, later, { dir: connectorA(), passphraseFile: undefined });
    assert.equal(both.all.filter(({ code }) => code === 'grant_expired').length, 2);
    // The address of another node than the one whose party made the grant.
    const elsewhere = '12D3KooWBhMbLvQKgVBTHnkqAkBvtdMCQwzhQ3L4UpKgvTzWUJCP';
    await altered(
      connectorA('config.yaml'),
      (text) => text.replace(/p2p\/\w+/, `p2p/${elsewhere}`),
      async () => {
        assert((await codes('--connector', connectorA())).includes('node_differs'));
      },
    );
  });

  it('finds ports that are taken, or that are not this machine’s', async () => {
    const port = await listening(0, '127.0.0.1');
    const nodeOn = (address: string) => (text: string) => text.replace('/ip4/127.0.0.1/tcp/0', address);
    await altered(nodeA('config.yaml'), nodeOn(`/ip4/127.0.0.1/tcp/${port}`), async () => {
      assert((await codes('--node', nodeA())).includes('port_taken'));
    });
    await altered(nodeA('config.yaml'), nodeOn('/ip4/192.0.2.1/tcp/4151'), async () => {
      assert((await codes('--node', nodeA())).includes('port_unavailable'));
    });
    const listen = `networkId: ${networkId}\ndir: ./data\nlisten: { host: 127.0.0.1, port: ${port} }\n`;
    const path = await cli.write('taken.yaml', listen);
    assert.deepEqual(await codes('--coordinator', path), ['daemon_stopped', 'port_taken']);
    const open = await cli.write('open.yaml', listen.replace('127.0.0.1', '0.0.0.0').replace(`${port}`, '0'));
    assert.deepEqual(await codes('--coordinator', open), ['daemon_stopped', 'listen_plain']);
  });

  it('looks at a running coordinator from both sides, and at clocks', async () => {
    const away = ['daemon_stopped', 'keyring_unregistered', 'node_unreachable'];
    const good = await coordinator('coordinator-1');
    await withCoordinator(good.url, async () => {
      assert.deepEqual(await codes('--connector', connectorA()), away);
    });
    const own = await cli.write(
      'own.yaml',
      `networkId: ${networkId}\ndir: ./coordinator-1\nlisten: { port: 0 }\n`,
    );
    assert.deepEqual(await codes('--coordinator', own), []);
    const hooked = await cli.write(
      'hooked.yaml',
      `networkId: ${networkId}\ndir: ./coordinator-1\nlisten: { port: 0 }\nwebhooks:\n  - { name: a, url: https://a.example/, secretFile: ./hook.secret }\n`,
    );
    await writeFile(dir('hook.secret'), 'x', { mode: 0o644 });
    assert.deepEqual(await codes('--coordinator', hooked), ['file_open']);
    await chmod(dir('hook.secret'), 0o600);
    assert.deepEqual(await codes('--coordinator', hooked), []);
    // Its ready.json is gone: it has the folder, and nobody knows where it listens.
    await rename(dir('coordinator-1/ready.json'), dir('ready.json'));
    assert.deepEqual(await codes('--coordinator', own), ['daemon_silent']);
    await rename(dir('ready.json'), dir('coordinator-1/ready.json'));

    const cases: readonly [string, Parameters<typeof coordinator>[1], Code][] = [
      ['coordinator-2', { now: () => Date.now() + 45_000 }, 'clock_differs'],
      ['coordinator-3', { now: () => Date.now() - 120_000 }, 'clock_wrong'],
      ['coordinator-4', { version: '0.0.9' }, 'coordinator_version'],
    ];
    for (const [name, more, code] of cases) {
      await withCoordinator((await coordinator(name, more)).url, async () => {
        assert.deepEqual(await codes('--connector', connectorA()), [...away, code].toSorted());
      });
    }
    const foreign = await coordinator('coordinator-5', { network: 'another-network' });
    await withCoordinator(foreign.url, async () => {
      const expected = ['coordinator_wrong_network', 'daemon_stopped', 'node_unreachable'];
      assert.deepEqual(await codes('--connector', connectorA()), expected);
    });
    await withCoordinator('http://coordinator.invalid:7000', async () => {
      const found = await codes('--connector', connectorA());
      assert(
        found.includes('coordinator_insecure') && found.includes('coordinator_unreachable'),
        String(found),
      );
    });
  });

  it('reads what a running node says, and bears what is no status', async () => {
    let status: Json = { pid: process.pid, state: 'running' };
    const environment = { TMPDIR: cli.folder };
    const control = await startControl({
      dir: nodeA(),
      handlers: { status: async () => status },
      log: () => undefined,
      environment,
    });
    try {
      assert.deepEqual(await codes('--node', nodeA()), [
        'daemon_silent',
        'peer_unreachable',
        'peers_too_few',
      ]);
      const { parties } = await cli.json(['node', 'join', dir('ab.json'), '--dir', nodeA()]);
      const [{ key }] = parties.filter(({ name }: Json) => name === 'b');
      status = {
        pid: process.pid,
        state: 'paused',
        addresses: ['/ip4/127.0.0.1/tcp/9'],
        version: '0.0.9',
        blame: 2,
        paused: { since: '2031-01-01T00:00:00Z', reason: 'a new disk' },
        peers: [
          {
            name: 'b',
            key,
            up: true,
            wentBack: true,
            bootCounter: 2,
            highestBoot: 5,
            clock: { aheadMs: -90_000, roundTripMs: 20 },
          },
        ],
      };
      assert.deepEqual(await codes('--node', nodeA()), [
        'announced_unreachable',
        'blame_recorded',
        'clock_peer_differs',
        'daemon_outdated',
        'paused',
        'peer_one_way',
        'peer_went_back',
      ]);
    } finally {
      await control.stop();
    }
  });

  it('knows which runtimes are supported, as package.json says', async () => {
    const { engines } = JSON.parse(
      await readFile(new URL('../../package.json', import.meta.url), 'utf8'),
    ) as Json;
    assert.equal(engines.node, '^20.19.0 || >=22.12.0');
    const yes = ['20.19.0', '20.20.2', '22.12.0', '22.99.1', '23.0.0', '24.1.0'];
    const no = ['18.20.0', '20.18.9', '21.7.0', '22.11.0'];
    assert.deepEqual([...yes, ...no].filter(isSupportedRuntime), yes);
    const found = new Findings('machine');
    checkRuntime(found, machine({ runtime: '20.18.3' }));
    checkRuntime(found, machine());
    assert.deepEqual(
      found.all.map(({ code }) => code),
      ['runtime_unsupported', 'ok'],
    );
  });

  it('sees whether key material can come onto a disk', async () => {
    const proc = dir('proc');
    const cgroups = dir('cgroups');
    await mkdir(join(proc, '7'), { recursive: true });
    await mkdir(join(cgroups, 'system.slice/node.service'), { recursive: true });
    const limits = (core: string): Promise<void> =>
      writeFile(
        join(proc, '7/limits'),
        `Limit  Soft Limit\nMax core file size        ${core}            unlimited   bytes\n`,
      );
    const swaps = (text: string): Promise<void> =>
      writeFile(join(proc, 'swaps'), `Filename\tType\tSize\tUsed\tPriority\n${text}`);
    const look = async (): Promise<string[]> => {
      const found = new Findings('node');
      await checkMemory(found, machine({ proc, cgroups }), 7);
      return found.all.map(({ code }) => code);
    };
    assert.deepEqual(await look(), ['memory_unchecked']);
    await limits('0');
    await swaps('');
    assert.deepEqual(await look(), ['ok', 'ok']);
    await limits('unlimited');
    await swaps('/dev/sda2 partition 1000 0 -2\n');
    await writeFile(join(proc, '7/status'), 'Name:\tnode\nVmLck:\t       0 kB\nVmSwap:\t       0 kB\n');
    assert.deepEqual(await look(), ['core_dumps', 'swap_on']);
    await writeFile(join(proc, '7/status'), 'Name:\tnode\nVmSwap:\t     128 kB\n');
    assert.deepEqual(await look(), ['core_dumps', 'memory_swapped']);
    await writeFile(join(proc, '7/status'), 'VmSwap:\t       0 kB\n');
    await writeFile(join(proc, '7/cgroup'), '0::/system.slice/node.service\n');
    await writeFile(join(cgroups, 'system.slice/node.service/memory.swap.max'), 'max\n');
    assert.deepEqual(await look(), ['core_dumps', 'swap_on']);
    await writeFile(join(cgroups, 'system.slice/memory.swap.max'), '0\n');
    assert.deepEqual(await look(), ['core_dumps', 'ok']);
  });

  it('finds disks that are full, nearly full, read-only, or none', async function () {
    const look = async (folder: string, more: Partial<Machine> = {}): Promise<string[]> => {
      const found = new Findings('node');
      await checkDisk(found, machine(more), folder);
      return found.all.map(({ code }) => code);
    };
    const kind = { type: 0x6969, bsize: 4096, blocks: 2 ** 30, bavail: 2 ** 29 };
    assert.deepEqual(await look(cli.folder, { statfs: async () => kind }), ['disk_network']);
    const ext4 = { ...kind, type: 0xef53 };
    // The file or its folder: both must be durable.
    for (const failing of [true, false]) {
      const sync: Machine['sync'] = async (handle) => {
        if ((await handle.stat()).isFile() === failing)
          throw Object.assign(new Error('fsync'), { code: 'EIO' });
      };
      assert.deepEqual(await look(cli.folder, { statfs: async () => ext4, sync }), ['disk_unsynced']);
    }
    assert.deepEqual(await look(cli.folder, { statfs: async () => ext4 }), ['ok']);

    const reason = await whyNoMount(dir('mount'));
    if (reason !== undefined) {
      process.stdout.write(`      ${reason}: full and read-only disks are not tried\n`);
      return;
    }
    let disk: MemoryDisk | undefined = await mountMemory(dir('mount'), 'size=200m');
    try {
      assert.deepEqual(await look(disk.folder), ['disk_volatile', 'disk_low']);
      await disk.remount('ro');
      assert.deepEqual(await look(disk.folder), ['disk_volatile', 'disk_unwritable']);
      await disk.remove();
      disk = undefined;
      disk = await mountMemory(dir('mount'), 'size=40k');
      const full = await look(disk.folder);
      assert.deepEqual(full, ['disk_volatile', 'disk_full']);
      assert.deepEqual(await readdir(disk.folder), []);
    } finally {
      await disk?.remove();
    }
  });

  it('has every code tried by name', async () => {
    const here = await readFile(new URL(import.meta.url), 'utf8');
    const there = await readFile(new URL('../integration/doctor.test.ts', import.meta.url), 'utf8');
    const untried = Object.keys(catalog).filter(
      (code) => !here.includes(`'${code}'`) && !there.includes(`'${code}'`),
    );
    assert.deepEqual(untried, []);
  });
});
