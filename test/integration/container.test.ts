// configs/Containerfile: built where a container tool works; otherwise its steps are checked one by one, and the image that
// it makes is put together here as far as that goes without one, and entered.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const user = '10001';

interface Ended {
  readonly code: number;
  readonly output: string;
}

async function run(command: string, args: readonly string[], more: object = {}): Promise<Ended> {
  return await new Promise((resolve) => {
    execFile(command, args, { timeout: 120_000, cwd: root, ...more }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, output: `${stdout}${stderr}${code === -1 ? error?.message : ''}` });
    });
  });
}

/** A tool that can build, or why there is none. */
async function builder(): Promise<{ tool: string } | { reason: string }> {
  const reasons: string[] = [];
  for (const tool of ['podman', 'docker']) {
    const { code, output } = await run(tool, ['info'], { timeout: 20_000 });
    if (code === 0) return { tool };
    reasons.push(`${tool}: ${output.trim().split('\n').at(-1)?.slice(0, 80)}`);
  }
  return { reason: reasons.join('; ') };
}

/** Instructions with their arguments, lines that go on joined. */
function instructionsOf(text: string): [string, string][] {
  const lines = text.replaceAll(/\\\n/g, ' ').split('\n');
  return lines
    .filter((line) => line.trim() !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, name = '', rest = ''] = /^([A-Z]+) +(.*)$/.exec(line) ?? [];
      assert(name !== '', line);
      return [name, rest.replaceAll(/\s+/g, ' ')];
    });
}

describe('configs/Containerfile', function () {
  this.timeout(300_000);
  let instructions: [string, string][];
  let scratch: string;

  before(async () => {
    instructions = instructionsOf(await readFile(join(root, 'configs/Containerfile'), 'utf8'));
    scratch = await mkdtemp(join(tmpdir(), 'cs-image-'));
    await chmod(scratch, 0o755);
  });

  after(async () => {
    await rm(scratch, { recursive: true, force: true });
  });

  const all = (name: string): string[] =>
    instructions.filter(([found]) => found === name).map(([, rest]) => rest);

  it('ends in a stage without a shell, not as root, with a volume, a health check and the command', () => {
    const last = instructions.findLastIndex(([name]) => name === 'FROM');
    assert.equal(instructions[last]![1], 'scratch');
    const stage = instructions.slice(last);
    const only = (name: string): string => {
      const [found, ...more] = stage.filter(([other]) => other === name);
      assert(found !== undefined && more.length === 0, name);
      return found[1];
    };
    assert.equal(only('USER'), `${user}:${user}`);
    assert.equal(only('VOLUME'), '["/data"]');
    assert.equal(only('STOPSIGNAL'), 'SIGTERM');
    assert.deepEqual(JSON.parse(only('ENTRYPOINT')), ['countersign']);
    const health = JSON.parse(only('HEALTHCHECK').replace(/^.*? CMD /, '')) as string[];
    assert.equal(health[0], 'node');
    assert(existsSync(join(root, health[1]!.replace('/opt/countersign/', ''))), health[1]);
    assert.deepEqual(
      stage.filter(([name]) => name === 'RUN'),
      [],
      'there is no shell to run anything',
    );
  });

  it('copies what npm pack packs, and links the command that npm would', async () => {
    const packed = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
      files: string[];
      bin: Record<string, string>;
    };
    const assemble = all('RUN').find((script) => script.includes('/image/opt/countersign'))!;
    const copied = /cp -r (.*?) \/image\/opt\/countersign\//.exec(assemble)![1]!.split(' ');
    const whole = packed.files.filter((path) => !path.startsWith('!'));
    assert.deepEqual(copied.toSorted(), [...whole, 'package.json', 'node_modules'].toSorted());
    // What is not packed the image has no use for either.
    const left = packed.files.filter((path) => path.startsWith('!'));
    assert.deepEqual(left, ['!dist/**/*.map', '!dist/.tsbuildinfo']);
    for (const pattern of ["'*.map'", '.tsbuildinfo']) assert(assemble.includes(pattern), pattern);
    for (const path of copied) assert(existsSync(join(root, path)), path);
    const [, target, name] = /ln -s (\S+) \/image\/usr\/local\/bin\/(\S+)/.exec(assemble) ?? [];
    assert.deepEqual(packed.bin, { [name!]: target!.replace('/opt/countersign/', '') });
    const ignored = (await readFile(join(root, '.containerignore'), 'utf8')).split('\n');
    for (const path of ['node_modules', 'dist', '.git']) assert(ignored.includes(path), path);
    // What the build reads is not left out.
    const needed = [
      'package-lock.json',
      'tsconfig.json',
      'tsconfig.build.json',
      'cli',
      'configs',
      'docs',
      '.npmrc',
    ];
    for (const path of needed) assert(!ignored.includes(path) && existsSync(join(root, path)), path);
  });

  it('builds, or is put together here, and runs', async () => {
    const found = await builder();
    if ('tool' in found) {
      const tag = 'countersign-test';
      const built = await run(found.tool, ['build', '--file', 'configs/Containerfile', '--tag', tag, '.']);
      assert.equal(built.code, 0, built.output);
      const ran = await run(found.tool, [
        'run',
        '--rm',
        '--read-only',
        '--cap-drop',
        'all',
        tag,
        '--version',
      ]);
      assert.match(ran.output, /^\d+\.\d+\.\d+\n$/);
      return;
    }
    process.stdout.write(`      no image is built (${found.reason}): its steps are checked instead\n`);
    if (process.platform !== 'linux' || process.getuid?.() !== 0) {
      process.stdout.write('      and the result is not entered: not root on Linux\n');
      return;
    }
    // The second RUN, with its image in a folder of the test's and the installed packages, which are large, linked.
    const image = join(scratch, 'image');
    const source = join(scratch, 'src');
    await mkdir(source);
    for (const name of [
      'dist',
      'configs',
      'docs',
      'package.json',
      'README.md',
      'CHANGELOG.md',
      'SECURITY.md',
      'LICENSE',
    ])
      await cp(join(root, name), join(source, name), { recursive: true });
    await symlink(join(root, 'node_modules'), join(source, 'node_modules'));
    const assemble = all('RUN').find((script) => script.includes('/image/opt/countersign'))!;
    const script = `set -eu\n${assemble.replaceAll('/image', image)}`.replaceAll(`-s ${image}`, '-s ');
    const env = { PATH: `${join(process.execPath, '..')}:/usr/local/bin:/usr/bin:/bin` };
    const made = await run('bash', ['-c', script], { cwd: source, env });
    assert.equal(made.code, 0, made.output);
    await chmod(image, 0o755);
    await chown(join(image, 'data'), Number(user), Number(user));
    for (const shell of ['bin/sh', 'bin/bash', 'usr/bin/sh', 'usr/bin/bash'])
      assert(!existsSync(join(image, shell)), shell);

    const packages = join(image, 'opt/countersign/node_modules');
    await rm(packages, { recursive: true, force: true });
    await mkdir(packages);
    // As every container tool has it.
    await mkdir(join(image, 'dev'));
    // Mounts of a namespace of their own: gone with the process, whatever becomes of the test.
    const mounts = [
      `mount --bind ${image} ${image}`,
      `mount --bind "$(readlink -f ${join(root, 'node_modules')})" ${packages}`,
      `mount --bind ${join(image, 'data')} ${join(image, 'data')}`,
      `mount --bind /dev ${join(image, 'dev')}`,
      `mount -o remount,bind,ro ${image}`,
    ];
    const inside = async (...args: string[]): Promise<Ended> => {
      const settings = [
        `PATH=${join(process.execPath, '..')}:/usr/local/bin:/usr/bin:/bin`,
        'TMPDIR=/data/tmp',
        'COUNTERSIGN_HOME=/data/home',
      ];
      const chroot = '$(PATH=$PATH:/usr/sbin:/sbin command -v chroot)';
      const enter = `exec env -i ${settings.join(' ')} ${chroot} --userspec=${user}:${user} ${image} "$@"`;
      const all = `${mounts.join(' && ')} || exit 99; ${enter}`;
      return await run('unshare', ['--mount', 'bash', '-c', all, 'bash', ...args]);
    };
    const version = await inside('countersign', '--version');
    if (version.code === 99) {
      process.stdout.write(
        `      and the result is not entered: ${version.output.trim().split('\n').at(-1)}\n`,
      );
      return;
    }
    assert.match(version.output, /^\d+\.\d+\.\d+\n$/);
    const written = await inside('node', '-e', 'fs.writeFileSync("/etc-not-writable", "")');
    assert.match(written.output, /EROFS/);
    const passphrase = 'fs.writeFileSync("/data/passphrase", "right", { mode: 0o600 })';
    assert.equal((await inside('node', '-e', passphrase)).code, 0);
    const init = ['node', 'init', '--dir', '/data/node', '--name', 'acme', '--network', 'my-network'];
    const initialised = await inside('countersign', ...init, '--passphrase-file', '/data/passphrase');
    assert.equal(initialised.code, 0, initialised.output);
    // A coordinator, with its database, its HTTP server and the health check beside it.
    const daemon = `
      fs.writeFileSync('/data/c.yaml', 'networkId: my-network\\ndir: ./data\\nlisten: { host: 127.0.0.1, port: 0 }\\n');
      const { spawn, spawnSync } = require('node:child_process');
      const check = () => spawnSync('node', ['/opt/countersign/configs/container-health.mjs', '/data'], { encoding: 'utf8' });
      const before = check();
      const child = spawn('countersign', ['coordinator', 'start', '--config', '/data/c.yaml'], { stdio: ['ignore', 'pipe', 'inherit'] });
      let said = '';
      child.stdout.on('data', (text) => {
        said += text;
        if (!said.includes('coordinator.ready') || child.killed) return;
        const during = check();
        child.once('exit', (code) => {
          const after = check();
          console.log(JSON.stringify([before.status, during.status, code, after.status, during.stderr]));
        });
        child.kill('SIGTERM');
      });
      setTimeout(() => { console.log(said); process.exit(7); }, 60000).unref();`;
    const served = await inside('node', '-e', daemon);
    assert.equal(served.output.trim().split('\n').at(-1), '[1,0,0,1,""]', served.output);
  });
});
