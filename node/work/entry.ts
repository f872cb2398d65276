// Starts a worker thread on a file of this package: compiled, or as source under tsx, which on Node 20 takes effect in
// the main thread only, so that a worker on source must register it by itself.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';

/** What a worker runs: beside this file, in whichever language this file is. */
export const workerEntry = new URL(
  `./worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`,
  import.meta.url,
);

export function startThread(entry: URL): Worker {
  const name = 'countersign-worker';
  if (!entry.pathname.endsWith('.ts')) return new Worker(entry, { name });
  // The ES module beside what is resolved: the CommonJS one does not find its own hooks.
  const tsx = new URL('index.mjs', pathToFileURL(createRequire(import.meta.url).resolve('tsx/esm/api')));
  const [api, file] = [tsx, entry].map(({ href }) => JSON.stringify(href));
  const code = `import(${api}).then(({ register }) => { register(); return import(${file}); });`;
  return new Worker(code, { name, eval: true, execArgv: [] });
}
