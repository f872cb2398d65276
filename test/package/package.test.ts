// The package as its users get it: packed from the sources, installed from the registry into an empty folder, and a whole
// network brought up from there with every runtime that package.json promises. Takes minutes, and the registry; run by
// `npm run test:package` and by .ci/run, where nothing of it may be skipped.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { GuidedNetwork, guidedParties } from '../support/guided-network.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const minutes = 60_000;

/** Majors of Node that the package is for. */
const majors = ['20', '22', '24', '26'];
/** Whether what cannot be had is a failure: in CI everything can. */
const strict = process.env['CI'] !== undefined && process.env['CI'] !== '';

/** The environment without what `npm run` adds: it would tell npm inside of it to work elsewhere. */
const environment = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) => !/^npm_(package|lifecycle|command|config_(local_)?prefix)/i.test(name) && name !== 'INIT_CWD',
  ),
);

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(program: string, args: readonly string[], cwd: string, more = {}): Promise<Ran> {
  const options = {
    cwd,
    env: { ...environment, ...more },
    timeout: 5 * minutes,
    maxBuffer: 64 * 1024 * 1024,
  };
  return await promisify(execFile)(program, args, options).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: Error & { code?: number; stdout?: string; stderr?: string }) => ({
      code: typeof error.code === 'number' ? error.code : -1,
      stdout: error.stdout ?? '',
      stderr: error.stderr ?? error.message,
    }),
  );
}

/** Runs what must succeed. */
async function succeed(program: string, args: readonly string[], cwd: string, more = {}): Promise<string> {
  const { code, stdout, stderr } = await run(program, args, cwd, more);
  assert.equal(code, 0, `${program} ${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** What npm says when there is no registry to ask. */
const noRegistry = /ENOTFOUND|ECONNREFUSED|EAI_AGAIN|ETIMEDOUT|ENETUNREACH|ECONNRESET|network request/;

/** Installs from the registry. Returns why that cannot be had. */
async function install(folder: string, ...packages: readonly string[]): Promise<string | undefined> {
  const args = ['install', '--prefix', folder, '--omit=dev', '--no-audit', '--no-fund', ...packages];
  const { code, stderr } = await run('npm', args, folder);
  if (code === 0) return undefined;
  if (!strict && noRegistry.test(stderr)) return 'the registry cannot be reached';
  throw new Error(stderr);
}

/** Files below a folder, by their paths from it. */
async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}

describe('the package', function () {
  this.timeout(10 * minutes);
  let scratch: string;
  /** Folder with a copy of the sources: built anew, so that nothing of an earlier build gets in. */
  let sources: string;
  let tarball: string;
  let packed: string[];
  /** Folder it is installed in. */
  let user: string;
  let missing: string | undefined;

  const installed = (...path: string[]): string => join(user, 'node_modules', 'countersign', ...path);

  before(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'countersign-package-'));
    sources = join(scratch, 'sources');
    user = join(scratch, 'user');
    await mkdir(user);
    const left = new Set(['node_modules', 'dist', '.git', 'coverage']);
    await cp(root, sources, { recursive: true, filter: (path) => !left.has(path.slice(root.length)) });
    await symlink(join(root, 'node_modules'), join(sources, 'node_modules'));
    const [made] = JSON.parse(
      await succeed('npm', ['pack', '--json', '--silent', '--pack-destination', scratch], sources),
    ) as { filename: string; size: number; unpackedSize: number; files: { path: string }[] }[];
    assert.ok(made);
    tarball = join(scratch, made.filename);
    packed = made.files.map(({ path }) => path);
    process.stdout.write(
      `      packed: ${packed.length} files, ${made.size} bytes, ${made.unpackedSize} unpacked\n`,
    );
    missing = await install(user, tarball);
    if (missing !== undefined) process.stdout.write(`      not installed: ${missing}\n`);
  });

  after(async () => {
    await rm(scratch, { recursive: true, force: true, maxRetries: 5 });
  });

  it('holds what users need, and nothing else', () => {
    const top = [...new Set(packed.map((path) => path.replace(/\/.*/, '/')))].toSorted();
    assert.deepEqual(top, [
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'SECURITY.md',
      'configs/',
      'dist/',
      'docs/',
      'package.json',
    ]);
    for (const needed of [
      'dist/cli/main.js',
      'dist/node/work/worker.js',
      'configs/node.yaml',
      'docs/operators.md',
    ])
      assert.ok(packed.includes(needed), needed);
    const other = packed.filter(
      (path) =>
        path.startsWith('dist/') &&
        !/^dist\/(node|connector|coordinator|protocol|storage|metrics|client|cli)\/.+\.(js|d\.ts)$/.test(
          path,
        ) &&
        // The examples in the description of the RPC.
        path !== 'dist/protocol/openrpc/examples.json',
    );
    assert.deepEqual(other, [], 'no tests, maps, caches or sources');
    const sourceFiles = packed.filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'));
    assert.deepEqual(sourceFiles, []);
  });

  it('says nothing of the machine that made it, nor of a registry, and has no switch of tests', async () => {
    const unpacked = join(scratch, 'unpacked');
    await mkdir(unpacked);
    await succeed('tar', ['-xzf', tarball, '-C', unpacked], scratch);
    const registry = new URL((await succeed('npm', ['config', 'get', 'registry'], scratch)).trim()).host;
    const private_ = [scratch, root.slice(0, -1), homedir() === '/' ? scratch : `${homedir()}/`, registry];
    for (const path of await filesIn(join(unpacked, 'package'))) {
      const text = await readFile(join(unpacked, 'package', path), 'utf8');
      for (const word of private_) assert.ok(!text.includes(word), `${path} holds ${word}`);
      assert.doesNotMatch(text, /file:\/\/\/|https?:\/\/registry|npmjs\.|yarnpkg|"resolved"/, path);
      if (path.startsWith('dist/')) {
        // What tests replace to make a process die, and every variable there is.
        assert.doesNotMatch(
          text,
          /COUNTERSIGN_(TEST|CRASH)|armed-crash-point|process\.kill\(process\.pid/,
          path,
        );
      }
    }
  });

  it('is described for those who install it', async () => {
    const described = JSON.parse(await readFile(join(sources, 'package.json'), 'utf8')) as Record<
      string,
      never
    >;
    assert.equal(described['type'], 'module');
    assert.equal(described['license'], 'Apache-2.0');
    assert.deepEqual(described['bin'], { countersign: 'dist/cli/main.js' });
    // No script runs at its users': neither does an installation build, nor does anything of the package run then.
    const scripts = Object.keys(described['scripts'] as unknown as object);
    assert.deepEqual(
      scripts.filter((name) => /^(pre|post)?install$/.test(name)),
      [],
    );
  });

  describe('installed in an empty folder', () => {
    before(function () {
      if (missing === undefined) return;
      process.stdout.write(`      skipped: ${missing}\n`);
      this.skip();
    });

    it('brings no development dependency, and says where it is newer than what is tested', async () => {
      const lock = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')) as {
        packages: Record<string, { version?: string; dev?: boolean }>;
      };
      const tested = new Map<string, { versions: Set<string>; production: boolean }>();
      for (const [path, { version, dev = false }] of Object.entries(lock.packages)) {
        if (path === '' || version === undefined) continue;
        const name = path.replace(/^.*node_modules\//, '');
        const { versions, production } = tested.get(name) ?? { versions: new Set(), production: false };
        tested.set(name, { versions: versions.add(version), production: production || !dev });
      }
      const found = await packagesIn(user);
      found.delete('countersign');
      const development = [...found.keys()].filter((name) => tested.get(name)?.production === false);
      assert.deepEqual(development, []);
      // Neither the lock file nor its overrides go with a package: the registry decides, within the ranges.
      const newer = [...found].flatMap(([name, versions]) =>
        [...versions]
          .filter((version) => !tested.get(name)?.versions.has(version))
          .map((version) => `${name} ${version}`),
      );
      const { stdout } = await run('du', ['-sk', join(user, 'node_modules')], scratch);
      process.stdout.write(`      installed: ${found.size} packages, ${stdout.split('\t')[0]} KiB\n`);
      process.stdout.write(`      other versions than in the lock file: ${newer.join(', ') || 'none'}\n`);
    });

    it('is run by npx, and tells its version', async () => {
      const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
        version: string;
      };
      const said = await succeed('npx', ['--no-install', 'countersign', '--version'], user);
      assert.equal(said, `${version}\n`);
      assert.match(await succeed('npx', ['--no-install', 'countersign', '--help'], user), /Exit codes:/);
    });

    it('says plainly what a demonstration needs that users do not have', async () => {
      for (const [demo, needed] of [
        ['solana', 'litesvm'],
        ['taproot', 'bitcore-lib'],
      ] as const) {
        const { code, stderr } = await run(
          process.execPath,
          [installed('dist/cli/main.js'), 'testnet', '--once', '--demo', demo],
          user,
        );
        assert.equal(code, 1, stderr);
        assert.match(stderr, /^countersign: [^\n]+\n$/);
        assert.ok(stderr.includes('is not installed') && stderr.includes(`npm install ${needed}`), stderr);
      }
    });

    for (const major of majors) {
      it(`runs a network and signs on Node ${major}`, async function () {
        const folder = join(scratch, `node-${major}`);
        await mkdir(folder);
        const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
        const reason = await install(folder, `${name}@${major}`);
        if (reason !== undefined) {
          process.stdout.write(`      skipped: no Node ${major}: ${reason}\n`);
          this.skip();
        }
        const bin = join(folder, 'node_modules', name, 'bin');
        const path = `${bin}:${environment['PATH'] ?? ''}`;
        const main = installed('dist/cli/main.js');
        const told = JSON.parse(
          await succeed(join(bin, 'node'), [main, 'version', '--json'], user, { PATH: path }),
        ) as { node: string };
        assert.equal(told.node.split('.')[0], `v${major}`);
        const network = await GuidedNetwork.arrive({
          guide: await readFile(installed('docs', 'operators.md'), 'utf8'),
          node: join(bin, 'node'),
          main,
          users: false,
        });
        try {
          await network.follow('Ten commands');
          const admin = network.said('admin');
          assert.match(admin, /equal results of all 3 parties: acme, blue, core/);
          assert.match(admin, /fulfilled/);
          for (const name of ['admin', ...guidedParties])
            assert.doesNotMatch(network.said(name), /ExperimentalWarning|DeprecationWarning/);
        } finally {
          await network.leave();
        }
        await rm(folder, { recursive: true, force: true });
      });
    }
  });
});

/** Versions of every package below a folder's node_modules. */
async function packagesIn(folder: string): Promise<Map<string, Set<string>>> {
  const lock = JSON.parse(await readFile(join(folder, 'node_modules', '.package-lock.json'), 'utf8')) as {
    packages: Record<string, { version: string }>;
  };
  const found = new Map<string, Set<string>>();
  for (const [path, { version }] of Object.entries(lock.packages)) {
    const name = path.replace(/^.*node_modules\//, '');
    found.set(name, (found.get(name) ?? new Set()).add(version));
  }
  return found;
}
