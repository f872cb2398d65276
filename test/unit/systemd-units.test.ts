// configs/systemd/: the units are what systemd accepts and hardens, and the commands in them are those there are.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CliWorld } from '../support/cli-run.ts';

const folder = fileURLToPath(new URL('../../configs/systemd/', import.meta.url));
const daemons = ['coordinator', 'node', 'connector'] as const;

interface Ended {
  readonly code: number;
  readonly output: string;
}

async function systemd(...args: string[]): Promise<Ended | undefined> {
  return await new Promise((resolve) => {
    execFile('systemd-analyze', args, { timeout: 60_000 }, (error, stdout, stderr) => {
      if ((error as NodeJS.ErrnoException | null)?.code === 'ENOENT') return resolve(undefined);
      resolve({ code: error === null ? 0 : Number(error.code), output: stdout + stderr });
    });
  });
}

/** Settings of a unit, `[Section] Key` with every value it is given, in order. */
function settingsOf(text: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  let section = '';
  for (const [index, line] of text.split('\n').entries()) {
    if (line === '' || line.startsWith('#')) continue;
    const title = /^\[(\w+)\]$/.exec(line)?.[1];
    if (title !== undefined) {
      section = title;
      continue;
    }
    const [, key, value] = /^(\w+)=(.*)$/.exec(line) ?? [];
    assert(key !== undefined && value !== undefined && section !== '', `line ${index + 1}: ${line}`);
    const name = `${section} ${key}`;
    found.set(name, [...(found.get(name) ?? []), value]);
  }
  return found;
}

describe('configs/systemd', function () {
  this.timeout(60_000);
  const units = new Map<string, Map<string, string[]>>();
  const texts = new Map<string, string>();

  before(async () => {
    for (const daemon of daemons) {
      const text = await readFile(join(folder, `countersign-${daemon}.service`), 'utf8');
      texts.set(daemon, text);
      units.set(daemon, settingsOf(text));
    }
  });

  const one = (daemon: string, key: string): string => {
    const values = units.get(daemon)?.get(`Service ${key}`);
    assert.equal(values?.length, 1, `${daemon}: ${key} is set once`);
    return values[0]!;
  };

  it('has a unit for each daemon, and users for them', async () => {
    const files = (await readdir(folder)).toSorted();
    const names = daemons.map((daemon) => `countersign-${daemon}.service`);
    assert.deepEqual(files, [...names, 'countersign.sysusers'].toSorted());
    const users = await readFile(join(folder, 'countersign.sysusers'), 'utf8');
    const made = [...users.matchAll(/^u (\S+) +- +"[^"]+" +(\S+) +-$/gm)].map(
      ([, user, home]) => `${user} ${home}`,
    );
    assert.deepEqual(
      made.toSorted(),
      daemons.map((daemon) => `countersign-${daemon} /var/lib/countersign-${daemon}`).toSorted(),
    );
  });

  for (const daemon of daemons) {
    it(`${daemon}: hardened, without capabilities, swap and core dumps`, () => {
      const yes = [
        'NoNewPrivileges',
        'ProtectHome',
        'PrivateTmp',
        'PrivateDevices',
        'PrivateUsers',
        'PrivateIPC',
        'ProtectClock',
        'ProtectHostname',
        'ProtectKernelLogs',
        'ProtectKernelModules',
        'ProtectKernelTunables',
        'ProtectControlGroups',
        'RestrictNamespaces',
        'RestrictRealtime',
        'RestrictSUIDSGID',
        'LockPersonality',
        'RemoveIPC',
      ];
      for (const key of yes) assert.equal(one(daemon, key), 'yes', key);
      const exact: Record<string, string> = {
        User: `countersign-${daemon}`,
        Group: `countersign-${daemon}`,
        StateDirectory: `countersign-${daemon}`,
        StateDirectoryMode: '0700',
        UMask: '0077',
        ProtectSystem: 'strict',
        CapabilityBoundingSet: '',
        AmbientCapabilities: '',
        LimitCORE: '0',
        MemorySwapMax: '0',
        Restart: 'on-failure',
        RestartPreventExitStatus: '2',
        KillSignal: 'SIGTERM',
        RestrictAddressFamilies: 'AF_INET AF_INET6 AF_UNIX AF_NETLINK',
        SystemCallArchitectures: 'native',
        // V8 needs it, and the unit says so.
        MemoryDenyWriteExecute: 'no',
      };
      for (const [key, value] of Object.entries(exact)) assert.equal(one(daemon, key), value, key);
      const filters = units.get(daemon)?.get('Service SystemCallFilter');
      assert.deepEqual(filters, ['@system-service', '~@privileged @resources']);
      // A daemon takes 10 s to stop, at most.
      assert(Number(one(daemon, 'TimeoutStopSec')) > 10);
      assert.doesNotMatch(texts.get(daemon)!, /DynamicUser=/);
    });

    it(`${daemon}: starts a command that there is`, async () => {
      const cli = await CliWorld.make();
      try {
        const [program, command, ...args] = one(daemon, 'ExecStart').split(' ');
        assert.deepEqual([program, command], ['/usr/bin/env', 'countersign']);
        // Folders of this machine in place of those of the service, where nothing is: it gets as far as looking for them.
        const here = args.map((word) => word.replace(/^\/(var\/lib|etc)/, cli.folder));
        const { exitCode, error } = await cli.run(here);
        assert.equal(exitCode, 2);
        assert.match(error, /there is no configuration .*countersign.*: name one with --config or --dir/);
      } finally {
        await cli.remove();
      }
    });
  }

  it('gives passphrases as the credential that the command looks for', async () => {
    const cli = await CliWorld.make();
    try {
      await cli.json(['node', 'init', '--dir', cli.path('n'), '--name', 'a', '--network', 'my-network']);
      for (const daemon of ['node', 'connector']) {
        const [name = '', path] = one(daemon, 'LoadCredentialEncrypted').split(':');
        assert.equal(path, `/etc/countersign/credentials/${daemon}`);
        // As systemd makes it: read by an ACL, whose mask shows as the group's bits.
        await rm(cli.path('credentials'), { recursive: true, force: true });
        await cli.write('passphrase-of-service', 'right\n', 0o600);
        const credentials = await mkdtemp(cli.path('credentials-'));
        await writeFile(join(credentials, name), 'right\n', { mode: 0o440 });
        const environment = { CREDENTIALS_DIRECTORY: credentials };
        const args = ['doctor', '--node', cli.path('n'), '--json'];
        const { stdout } = await cli.run(args, { passphrase: undefined, environment });
        assert.match(stdout, /"check": "passphrase",\s+"level": "ok"/);
      }
      assert.equal(units.get('coordinator')?.has('Service LoadCredentialEncrypted'), false);
    } finally {
      await cli.remove();
    }
  });

  it('finds the node’s socket where its unit puts it', () => {
    assert.equal(one('node', 'RuntimeDirectory'), 'countersign-node');
    assert.equal(one('node', 'RuntimeDirectoryMode'), '0700');
    assert.equal(one('node', 'Environment'), 'XDG_RUNTIME_DIR=/run/countersign-node');
  });

  it('passes systemd’s own check', async () => {
    const files = daemons.map((daemon) => join(folder, `countersign-${daemon}.service`));
    const verified = await systemd('verify', ...files);
    if (verified === undefined) {
      process.stdout.write('      no systemd-analyze here: units were only parsed\n');
      return;
    }
    assert.deepEqual(verified, { code: 0, output: '' });
    // The check can fail.
    const scratch = await mkdtemp(join(tmpdir(), 'countersign-units-'));
    try {
      const wrong = join(scratch, 'countersign-node.service');
      await writeFile(wrong, texts.get('node')!.replace('ProtectSystem=strict', 'ProtectSystem=perhaps'));
      assert.match((await systemd('verify', wrong))!.output, /protect ?system/i);
      await writeFile(wrong, texts.get('node')!.replace(/^(Protect|Restrict|Private|SystemCall).*$/gm, ''));
      const exposed = (path: string): Promise<Ended | undefined> =>
        systemd('security', '--offline=true', '--threshold=15', path);
      assert.notEqual((await exposed(wrong))!.code, 0);
      const probe = await exposed(files[0]!);
      if (/unrecognized option/.test(probe!.output)) {
        process.stdout.write('      this systemd-analyze cannot judge units that are not loaded\n');
        return;
      }
      for (const file of files) assert.equal((await exposed(file))!.code, 0, file);
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  });
});
