// A real network that logs all it can, through key generation and signing with both key types, wrong passphrases, wrong
// requests and kill -9: nothing that any process says holds a secret of any.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { cleanEnvironment } from '../../cli/testnet/operators.ts';
import { buildKeyRequest, buildSignRequest } from '../../client/records.ts';
import { nodePaths } from '../../node/config.ts';
import { type Hex, toHex } from '../../protocol/hex.ts';
import { LocalNetwork } from '../support/local-network.ts';
import { secretsOf } from '../support/network-secrets.ts';
import { metricsOn, scrapeText } from '../support/scrape.ts';
import { findSecrets, type Secret } from '../support/secret-search.ts';

const command = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const recorder = pathToFileURL(fileURLToPath(new URL('../support/record-random.mjs', import.meta.url))).href;
const wrongPassphrase = 'not the passphrase of anything here';

describe('nothing that a network says', function () {
  this.timeout(300_000);
  let net: LocalNetwork;
  let drawn: string;
  /** What was said, by source. */
  const said = new Map<string, string>();
  const keys: Hex[] = [];
  let secrets: readonly Secret[] = [];

  const say = (source: string, text: string): void => void said.set(source, (said.get(source) ?? '') + text);

  /** Runs the built command, and keeps what it prints. Returns its exit code. */
  async function run(...args: string[]): Promise<number> {
    const environment = {
      ...cleanEnvironment(process.env),
      COUNTERSIGN_HOME: net.layout.home,
      COUNTERSIGN_DEBUG: '1',
      COUNTERSIGN_LOG_LEVEL: 'debug',
      COUNTERSIGN_NODE_LOG_LEVEL: 'debug',
    };
    return new Promise((resolve) => {
      const child = execFile(
        process.execPath,
        [command, ...args],
        { env: environment, timeout: 60_000 },
        (error, stdout, stderr) => {
          say(args.slice(0, 2).join(' '), stdout + stderr);
          resolve(error === null ? 0 : Number(error.code ?? 1));
        },
      );
      child.stdin?.end();
    });
  }

  async function sign(keyId: Hex, text: string): Promise<Hex> {
    const id = await net.requestSignature(keyId, text);
    await net.decide(id, 'bob', 'approve');
    return id;
  }

  async function scrapeAll(): Promise<void> {
    for (const name of net.names) if (net.runs(name)) say(`metrics of ${name}`, await scrapeText(net, name));
  }

  async function status(): Promise<void> {
    for (const { node, nodeDir } of net.layout.parties) {
      if (!net.runs(node)) continue;
      assert.equal(await run('node', 'status', '--dir', nodeDir), 0, said.get('node status'));
      assert.equal(await run('node', 'status', '--dir', nodeDir, '--json'), 0, said.get('node status'));
    }
  }

  before(async () => {
    drawn = await mkdtemp(join(tmpdir(), 'countersign-drawn-'));
    net = await LocalNetwork.start(3, 2, {
      environment: {
        ...metricsOn,
        NODE_OPTIONS: `--import ${recorder}`,
        COUNTERSIGN_TEST_RANDOM_FOLDER: drawn,
        COUNTERSIGN_LOG_LEVEL: 'debug',
        COUNTERSIGN_NODE_LOG_LEVEL: 'debug',
      },
    });
  });

  after(async () => {
    await net?.stop();
    await rm(drawn, { recursive: true, force: true });
  });

  it('makes keys of both types and signs with them', async () => {
    const { signer, client } = net.owners.alice;
    const { networkId, keyringId } = net.network;
    const { workspace } = net;
    for (const keyType of ['ed25519', 'taproot_secp256k1'] as const) {
      const asked = { networkId, workspace, keyringId, keyType, label: `treasury ${keyType}` };
      const { id, envelope } = buildKeyRequest(asked, signer);
      await client.call('key_request', { request: envelope });
      assert.equal((await net.final(id)).state, 'fulfilled');
      for (const { node } of net.layout.parties) await net.logged(node, 'key.active', id);
      keys.push(id);
    }
    for (const key of keys) assert.equal((await net.final(await sign(key, 'pay bob'))).state, 'fulfilled');
    await scrapeAll();
    await status();
  });

  it('is asked for what is wrong', async () => {
    const { signer, client } = net.owners.alice;
    const { networkId } = net.network;
    const [keyId] = keys as [Hex, Hex];
    const payload = { kind: 'message' as const, data: toHex(new TextEncoder().encode('no such key')) };
    const unknown = buildSignRequest(
      { networkId, workspace: net.workspace, items: [{ keyId: `0x${'cd'.repeat(32)}`, payload }] },
      signer,
    );
    const altered = buildSignRequest(
      { networkId, workspace: net.workspace, items: [{ keyId, payload }] },
      signer,
    );
    const [signature] = altered.envelope.signatures;
    const forged = {
      ...altered.envelope,
      signatures: [{ ...signature!, signature: `0x0000000000${signature!.signature.slice(12)}` as Hex }],
    };
    for (const request of [unknown.envelope, forged, { nonsense: true } as unknown as typeof forged]) {
      await assert.rejects(client.call('sign_request', { request }), (error: Error) => {
        say('answers', `${error.message} ${JSON.stringify(error)}\n`);
        return true;
      });
    }
    const rejected = await net.requestSignature(keyId, 'rejected');
    await net.decide(rejected, 'bob', 'reject');
    await net.decide(rejected, 'alice', 'reject').catch((error: Error) => say('answers', error.message));
    const response = await fetch(`${net.network.coordinator}/v1/rpc`, { method: 'POST', body: '{{{' });
    say('answers', await response.text());
  });

  it('is killed, and started with the wrong passphrase', async () => {
    const [, second, third] = net.layout.parties;
    const wrong = join(net.layout.root, 'wrong-passphrase');
    await writeFile(wrong, `${wrongPassphrase}\n`, { mode: 0o600 });
    const under = await sign(keys[0]!, 'signed while a node is killed');
    await net.kill('node-3');
    await net.kill('node-2');
    const refused = await run('node', 'start', '--dir', third!.nodeDir, '--passphrase-file', wrong);
    assert.notEqual(refused, 0);
    await net.kill('connector-2');
    assert.notEqual(
      await run('connector', 'start', '--dir', second!.connectorDir, '--passphrase-file', wrong),
      0,
    );
    assert.match(said.get('node start') ?? '', /passphrase/);
    for (const name of ['node-3', 'node-2', 'connector-2']) await net.restart(name);
    assert.equal((await net.final(under)).state, 'fulfilled');
    assert.equal((await net.final(await sign(keys[1]!, 'and again'))).state, 'fulfilled');
    await scrapeAll();
    await status();
  });

  it('holds none of their secrets', async () => {
    for (const { node, nodeDir } of net.layout.parties) {
      const { blame, ready } = nodePaths(nodeDir);
      say(`ready.json of ${node}`, await readFile(ready, 'utf8'));
      for (const file of await readdir(blame).catch(() => []))
        say(`blame of ${node}`, await readFile(join(blame, file), 'utf8'));
    }
    for (const name of net.names) await net.kill(name);
    for (const name of net.names) say(`log of ${name}`, await readFile(net.layout.logOf(name), 'utf8'));
    secrets = [
      ...(await secretsOf(net, keys, drawn)),
      { name: 'wrong passphrase', bytes: Buffer.from(wrongPassphrase) },
    ];
    // There is something to look for, and somewhere to look.
    const count = (name: RegExp): number => secrets.filter((secret) => name.test(secret.name)).length;
    assert.equal(count(/^share of \S+ at node-[123]$/), 6);
    assert.equal(count(/^storage key/), 3);
    assert.equal(count(/^epoch key/), 3);
    assert.ok(count(/^seed of/) >= 9, `${count(/^seed of/)} seeds`);
    assert.ok(count(/^random value/) >= 3 * 2 + 8, `${count(/^random value/)} random values`);
    assert.ok(count(/^coefficient/) >= 12 && count(/^nonce/) >= 12);
    // The recorder saw what the nodes drew: what they have sealed on their disks is among it.
    const drawnBytes = new Set(
      secrets.flatMap(({ name, bytes }) => (name.startsWith('random') ? [toHex(bytes)] : [])),
    );
    for (const { name, bytes } of secrets)
      if (name.startsWith('epoch key')) assert.ok(drawnBytes.has(toHex(bytes)), name);
    const text = [...said.values()].join('\n');
    for (const word of ['session.reached', '"level":"debug"', 'countersign_node_peer_up', keys[0]!])
      assert.ok(text.includes(word), `nothing says ${word}`);
    assert.deepEqual(findSecrets(secrets, said), []);
  });

  it('and one that is planted in it is found', () => {
    const forms: readonly ((bytes: Uint8Array) => string)[] = [
      (bytes) => Buffer.from(bytes).toString('hex'),
      (bytes) => Buffer.from(bytes).toString('base64'),
      (bytes) => Buffer.from(bytes).toString('base64url'),
      (bytes) => BigInt(`0x${Buffer.from(bytes).toString('hex')}`).toString(),
      (bytes) => JSON.stringify(bytes),
    ];
    const kinds = [
      /^share of/,
      /^storage key/,
      /^epoch key/,
      /^seed of/,
      /^passphrase/,
      /^nonce/,
      /^coefficient/,
    ];
    for (const kind of kinds) {
      const secret = secrets.find(({ name }) => kind.test(name));
      assert.ok(secret, String(kind));
      for (const [index, form] of forms.entries()) {
        const source = 'log of node-1';
        const line = `{"level":"info","event":"planted","value":${JSON.stringify(form(secret.bytes))}}\n`;
        const copy = new Map([[source, (said.get(source) ?? '') + line]]);
        const found = findSecrets([secret], copy);
        assert.ok(
          found.some((each) => each.source === source && each.secret === secret.name),
          `${secret.name}, form ${index}`,
        );
      }
    }
  });
});
