// The client as a page gets it: bundled by esbuild from the built package, by the name that users import.
import { builtinModules } from 'node:module';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** Sets the global `countersignScenario`. */
const scenarioEntry = `
import * as client from 'countersign/client';
import { scenario } from './scenario.ts';
globalThis.countersignScenario = (settings) => scenario(client, settings);
`;

/** Everything the package exports, as a page that uses all of it would have it. */
const packageEntry = `export * from 'countersign/client';`;

export interface Bundle {
  readonly text: string;
  /** Modules of Node in it, those that a package declares as empty for browsers included. */
  readonly builtins: readonly string[];
  /** Files of this package in it. */
  readonly own: readonly string[];
}

const root = fileURLToPath(new URL('../../', import.meta.url));

export async function bundle(what: 'scenario' | 'package', minify: boolean): Promise<Bundle> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    stdin: {
      contents: what === 'scenario' ? scenarioEntry : packageEntry,
      resolveDir: fileURLToPath(new URL('./', import.meta.url)),
      loader: 'ts',
    },
    bundle: true,
    platform: 'browser',
    format: 'esm',
    target: 'es2022',
    minify,
    write: false,
    metafile: true,
    logLevel: 'silent',
    // Left as imports, so that they can be named all at once.
    external: builtinModules.flatMap((name) => [name, `node:${name}`]),
  });
  const imports = Object.values(metafile.outputs).flatMap((output) => output.imports.map(({ path }) => path));
  const inputs = Object.keys(metafile.inputs);
  return {
    text: outputFiles[0]!.text,
    builtins: [...imports, ...inputs.filter((name) => name.startsWith('(disabled):'))],
    own: inputs.filter((name) => name.startsWith('dist/')),
  };
}
