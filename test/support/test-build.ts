// The built program as tests start it by the hundred: dist/ with its libraries in few files, which takes a third of the
// time to load, and with a module that can be made to die at a crash point. The program as it is installed has no such
// switch.
import { copyFile, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build, type Plugin } from 'esbuild';

const root = fileURLToPath(new URL('../../', import.meta.url));
const dist = join(root, 'dist');
const armed = fileURLToPath(new URL('armed-crash-point.mjs', import.meta.url));

/** Modules of dist/ that processes start from. */
const entries = [
  'cli/main.js',
  'cli/node-folder.js',
  'client/identity/sealed-file.js',
  'coordinator/service.js',
  'coordinator/store/level.js',
  'node/blame-folder.js',
  'node/runtime.js',
  'node/store/node-store.js',
];

export interface TestBuild {
  /** Path of the command. */
  readonly command: string;
  /** One of its entries, by its path in dist/. */
  module(path: string): string;
  remove(): Promise<void>;
}

/** Puts the armed crash point in, and lets modules find the files beside them where they are: in dist/. */
const plugin: Plugin = {
  name: 'test build',
  setup({ onLoad }) {
    onLoad({ filter: /\/dist\/.*\.js$/ }, async ({ path }) => {
      if (!path.startsWith(dist)) return undefined;
      const source = path === join(dist, 'storage/crash-point.js') ? armed : path;
      const text = await readFile(source, 'utf8');
      return { contents: text.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href)) };
    });
  },
};

export async function makeTestBuild(): Promise<TestBuild> {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-test-build-'));
  const remove = async (): Promise<void> => rm(folder, { recursive: true, force: true });
  const out = join(folder, 'dist');
  try {
    await build({
      entryPoints: entries.map((path) => join(dist, path)),
      outbase: dist,
      outdir: out,
      bundle: true,
      splitting: true,
      format: 'esm',
      platform: 'node',
      target: 'node20.19',
      plugins: [plugin],
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
  } catch (error) {
    await remove();
    throw error;
  }
  const module = (path: string): string => {
    if (!entries.includes(path)) throw new RangeError(`${path} is no entry of the test build`);
    return join(out, path);
  };
  return { command: module('cli/main.js'), module, remove };
}
