// Runs the bundle in a page of a real browser, which is what it is for.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Outcome, Settings } from './scenario.ts';

export const chromium = '/usr/bin/chromium';
export const chromiumFlags = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--no-first-run',
];

const page = `<!doctype html><meta charset="utf-8"><title>page</title><script type="module">
import '/bundle.js';
const report = (value) => fetch('/outcome', { method: 'POST', body: JSON.stringify(value) });
try {
  const settings = await (await fetch('/settings')).json();
  await report({ outcome: await globalThis.countersignScenario(settings) });
} catch (error) {
  await report({ failure: String(error?.stack ?? error) });
}
</script>`;

/** Serves a page that runs the scenario and reports what came of it. */
export class PageServer {
  readonly #server: Server;
  readonly #bundle: string;
  settings: Settings | undefined;
  readonly outcome: Promise<Outcome>;

  constructor(bundle: string) {
    this.#bundle = bundle;
    let resolve: (outcome: Outcome) => void = () => undefined;
    let reject: (failure: Error) => void = () => undefined;
    this.outcome = new Promise((told, failed) => {
      resolve = told;
      reject = failed;
    });
    // Whoever waits hears of it; whoever does not must not end the process.
    this.outcome.catch(() => undefined);
    this.#server = createServer((request, response) => {
      if (request.method === 'POST') {
        let body = '';
        request.setEncoding('utf8').on('data', (part: string) => (body += part));
        request.on('end', () => {
          response.end();
          const { outcome, failure } = JSON.parse(body) as { outcome?: Outcome; failure?: string };
          if (outcome !== undefined) resolve(outcome);
          else reject(new Error(`in the page: ${failure}`));
        });
        return;
      }
      const [type, content] =
        request.url === '/bundle.js'
          ? ['text/javascript', this.#bundle]
          : request.url === '/settings'
            ? ['application/json', JSON.stringify(this.settings)]
            : ['text/html', page];
      response.writeHead(200, { 'content-type': `${type}; charset=utf-8` }).end(content);
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** Opens the page in headless Chromium, and ends Chromium when the page has reported. */
export async function visit(
  url: string,
  outcome: Promise<Outcome>,
  program: string = chromium,
): Promise<Outcome> {
  const profile = await mkdtemp(join(tmpdir(), 'countersign-chromium-'));
  const browser = spawn(program, [...chromiumFlags, `--user-data-dir=${profile}`, url], {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  });
  let said = '';
  browser.stderr.setEncoding('utf8').on('data', (part: string) => (said += part));
  const ended = new Promise<never>((_, reject) => {
    browser.once('error', reject);
    browser.once('exit', (code) => reject(new Error(`${program} ended with ${code}: ${said.slice(-2000)}`)));
  });
  ended.catch(() => undefined);
  let late: NodeJS.Timeout | undefined;
  // A page whose script cannot be parsed reports nothing; the browser must not outlive its test.
  const silent = new Promise<never>((_, reject) => {
    late = setTimeout(() => reject(new Error(`the page reported nothing: ${said.slice(-2000)}`)), 60_000);
  });
  try {
    return await Promise.race([outcome, ended, silent]);
  } finally {
    clearTimeout(late);
    try {
      // Its own group: Chromium has children.
      process.kill(-browser.pid!, 'SIGKILL');
    } catch {
      // It is gone already.
    }
    await ended.catch(() => undefined);
    await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}
