// The client as a package: found by its name, and bundled for browsers, where it does its work without anything of Node's.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { webcrypto } from 'node:crypto';
import { access, constants, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createContext, Script } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { Transaction } from '@scure/btc-signer';
import { build } from 'esbuild';
import * as source from '../../client/mod.ts';
import { fromHex, toHex } from '../../protocol/hex.ts';
import { verify } from '../../protocol/keys/ed25519.ts';
import { outputKeyOf } from '../../protocol/keys/taproot.ts';
import { taprootScript } from '../../protocol/payloads/bitcoin-transaction.ts';
import { type Bundle, bundle } from '../browser/bundle.ts';
import { chromium, PageServer, visit } from '../browser/chromium.ts';
import type { Outcome, Settings } from '../browser/scenario.ts';
import { runNetwork, type RunningNetwork } from '../support/acting-parties.ts';
import { pageFetch } from '../support/page-fetch.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const origin = 'https://app.example';

/** A spend of a Taproot key, as a wallet makes it. */
function spend(): Pick<Settings, 'psbt' | 'taprootKey'> {
  // x of the generator and of its double.
  const taprootKey = '0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798';
  const script = taprootScript(outputKeyOf(fromHex(taprootKey)));
  const transaction = new Transaction();
  transaction.addInput({
    txid: new Uint8Array(32).fill(1),
    index: 0,
    witnessUtxo: { script, amount: 150_000n },
  });
  const other = '0xc6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5';
  transaction.addOutput({ script: taprootScript(fromHex(other)), amount: 7000n });
  transaction.addOutput({ script, amount: 140_000n });
  return { psbt: toHex(transaction.toPSBT()), taprootKey };
}

/** What a page has, as far as it is no part of the language; `fetch` holds to the rules of browsers. */
function webGlobals(fetchOfPage: typeof fetch): Record<string, unknown> {
  return {
    fetch: fetchOfPage,
    crypto: webcrypto,
    TextEncoder,
    TextDecoder,
    URL,
    URLSearchParams,
    AbortController,
    AbortSignal,
    Event,
    EventTarget,
    DOMException,
    Headers,
    Request,
    Response,
    ReadableStream,
    setTimeout,
    clearTimeout,
    queueMicrotask,
    atob,
    btoa,
  };
}

function assertOutcome(outcome: Outcome): void {
  assert.match(outcome.credential, /^ed25519:0x[0-9a-f]{64}$/);
  assert.equal(outcome.keyState, 'fulfilled');
  assert.deepEqual(
    outcome.events.filter((event) => event === 'fulfilled'),
    ['fulfilled', 'fulfilled'],
  );
  assert.ok(outcome.events.includes('request.result'));
  assert.equal(source.addressesOf('ed25519', fromHex(outcome.publicKey))[0]?.address, outcome.address);
  // By Node's own cryptography.
  assert.ok(verify(fromHex(outcome.publicKey), fromHex(outcome.message), fromHex(outcome.signature)));
  assert.match(new TextDecoder().decode(fromHex(outcome.message)), /signed for a page$/);
  assert.deepEqual(outcome.approvedBy, ['alice']);
  assert.equal(outcome.parties.length, 2);
  assert.equal(outcome.altered, 'results');
  assert.match(outcome.psbt.join('\n'), /\b0\.0001|140000|10000\b/);
}

describe('the client as a package', function () {
  this.timeout(120_000);
  let scenario: Bundle;
  let network: RunningNetwork;
  let settings: Settings;

  before(async () => {
    scenario = await bundle('scenario', false);
    network = await runNetwork({ origins: [origin] });
    const { url, networkId, keyringId } = network;
    settings = { url, networkId, keyringId, ...spend() };
  });
  after(async () => {
    await network.stop();
  });

  it('is found by its name in Node, with its types', async () => {
    const program = `import * as client from 'countersign/client'; console.log(Object.keys(client).join(' '));`;
    const { stdout, stderr } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '-e', program],
      { cwd: root },
    );
    assert.equal(stderr, '');
    assert.deepEqual(stdout.trim().split(' '), Object.keys(source).toSorted());
    const manifest = JSON.parse(await readFile(`${root}package.json`, 'utf8')) as {
      exports: { './client': { types: string } };
    };
    assert.match(await readFile(root + manifest.exports['./client'].types, 'utf8'), /createClient/);
  });

  it('has nothing of Node when bundled for browsers', async function () {
    const whole = await bundle('package', true);
    for (const { builtins, own } of [scenario, whole]) {
      assert.deepEqual(builtins, []);
      for (const name of ['ed25519', 'p256']) {
        assert.ok(own.includes(`dist/protocol/keys/${name}.browser.js`), own.join(' '));
        assert.ok(!own.includes(`dist/protocol/keys/${name}.js`));
      }
    }
    const kilobytes = (bytes: number): string => `${Math.round(bytes / 1024)} KiB`;
    const bytes = Buffer.from(whole.text);
    const size = `${kilobytes(bytes.length)} minified, ${kilobytes(gzipSync(bytes, { level: 9 }).length)} gzip`;
    this.test!.title += ` (${size})`;
  });

  it('finds what is of Node', async () => {
    // The check above can fail: the command's identities, which are for Node alone.
    const building = build({
      stdin: { contents: `export * from './dist/client/identity/seal.js';`, resolveDir: root },
      bundle: true,
      platform: 'browser',
      write: false,
      logLevel: 'silent',
    });
    await assert.rejects(building, /Could not resolve "node:crypto"/);
  });

  /** Runs the scenario in a realm of its own, with these web globals. */
  async function inRealm(fetchOfPage: typeof fetch): Promise<Outcome> {
    const realm = createContext({ ...webGlobals(fetchOfPage) });
    new Script(scenario.text, { filename: 'bundle.js' }).runInContext(realm);
    const run = (realm as { countersignScenario?: (settings: Settings) => Promise<Outcome> })
      .countersignScenario;
    assert.ok(run !== undefined);
    // Only JSON leaves the realm.
    return JSON.parse(JSON.stringify(await run(settings))) as Outcome;
  }

  it('does its work where there are only web globals, from a page of another origin', async () => {
    const page = pageFetch(origin);
    const outcome = await inRealm(page);
    assert.deepEqual(outcome.nodes, []);
    assertOutcome(outcome);
    assert.ok(page.preflights > 5, `${page.preflights} preflights`);
  });

  it('cannot, from a page whose origin the coordinator does not list', async () => {
    await assert.rejects(inRealm(pageFetch('https://other.example')), { code: 'unreachable' });
  });

  it('does its work in Chromium', async function () {
    try {
      await access(chromium, constants.X_OK);
    } catch {
      this.test!.title += ` (skipped: there is no ${chromium})`;
      this.skip();
    }
    const server = new PageServer(scenario.text);
    const url = await server.listen();
    const other = await runNetwork({ origins: [url] });
    try {
      server.settings = { ...settings, url: other.url, keyringId: other.keyringId };
      const outcome = await visit(url, server.outcome);
      assert.deepEqual(outcome.nodes, []);
      assertOutcome(outcome);
    } finally {
      await other.stop();
      await server.close();
    }
  });
});
