// The built program as tests start it by the hundred: dist/ with its libraries in few files, which takes a third of the
// time to load, and with a module that can be made to die at a crash point. The program as it is installed has no such
// switch. What users run themselves (commands, the testnet, the package) is tested as it is built.
import { rmSync } from 'node:fs';
import { copyFile, mkdtemp, readFile, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build, type Plugin } from 'esbuild';

const root = fileURLToPath(new URL('../../', import.meta.url));
const dist = join(root, 'dist');
const armed = fileURLToPath(new URL('armed-crash-point.mjs', import.meta.url));

/** Modules of dist/ that processes start from. */
const entries = [
  'cli/main.js',
  'cli/decided-changes.js',
  'cli/node-folder.js',
  'client/identity/sealed-file.js',
  'coordinator/service.js',
  'coordinator/store/level.js',
  'coordinator/webhooks/webhooks.js',
  'node/blame-folder.js',
  'node/runtime.js',
  'node/store/node-store.js',
  'node/work/worker.js',
];

export interface TestBuild {
  /** Path of the command. */
  readonly command: string;
  /** One of its entries, by its path in dist/. */
  module(path: string): string;
}

/** Starts a worker that is an entry too; other modules that look for a file find it in dist/. */
const movesAlong = 'node/work/entry.js';

/** Puts the armed crash point in, and lets modules in new places find the files beside the old ones. */
const pluginOf = (out: string): Plugin => ({
  name: 'test build',
  setup(bundle) {
    bundle.onLoad({ filter: /\/dist\/.*\.js$/ }, async ({ path }) => {
      if (!path.startsWith(dist)) return undefined;
      const name = relative(dist, path);
      const text = await readFile(name === 'storage/crash-point.js' ? armed : path, 'utf8');
      const { href } = pathToFileURL(name === movesAlong ? join(out, name) : path);
      return { contents: text.replaceAll('import.meta.url', JSON.stringify(href)) };
    });
  },
});

async function make(): Promise<TestBuild> {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-test-build-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const out = join(folder, 'dist');
  await build({
    entryPoints: entries.map((path) => join(dist, path)),
    outbase: dist,
    outdir: out,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    plugins: [pluginOf(out)],
    // Native code, and what is for a demonstration only.
    external: ['classic-level', 'tsx', 'bitcore-lib', 'litesvm', '@foundry-rs/anvil'],
    // For libraries of the older kind of modules.
    banner: {
      js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);",
    },
    logLevel: 'silent',
  });
  await copyFile(join(root, 'package.json'), join(folder, 'package.json'));
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  const module = (path: string): string => {
    if (!entries.includes(path)) throw new RangeError(`${path} is no entry of the test build`);
    return join(out, path);
  };
  return { command: module('cli/main.js'), module };
}

let made: Promise<TestBuild> | undefined;

/** Of dist/ as it is now; one for all tests of this process, gone with it. */
export async function testBuild(): Promise<TestBuild> {
  return (made ??= make());
}
