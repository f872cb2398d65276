// Webhooks from a real coordinator to real receivers over sockets: the receiver of docs/webhooks.md among them, which looks at
// what it is told of and verifies it, and one that never answers, which keeps nobody from anything.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { type AddressInfo, createServer as createSocketServer, type Server as SocketServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  buildGenesis,
  buildKeyRequest,
  buildSignRequest,
  type Client,
  createClient,
  ed25519Signer,
  type Hex,
  messagePayload,
  openWorkspace,
  type Policy,
  verifyKeyView,
  type WebhookMessage,
} from '../../client/mod.ts';
import { webhookGuide } from '../documents/client-guide.ts';
import { look, receiver } from '../documents/webhook-receiver.ts';
import { runNetwork } from '../support/acting-parties.ts';
import { until } from '../support/until.ts';

const secretOf = (fill: number): string => `whsec_${Buffer.alloc(32, fill).toString('base64')}`;

async function listen(server: Server | SocketServer): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?token=hidden`;
}

const signPolicy: Policy = {
  version: 1,
  rules: [
    {
      id: 'all',
      effect: 'allow',
      when: { kind: ['key.request', 'message'] },
      require: { k: 1, of: 'owners' },
    },
  ],
};

describe('docs/webhooks.md', () => {
  it('shows the receiver as it is', async () => {
    const { file, text, blocks } = await webhookGuide();
    assert.equal(blocks, 2);
    assert.ok(
      (await readFile(file, 'utf8')) === text,
      `${file.pathname} is not up to date: run npm run docs:rpc`,
    );
  });
});

describe('webhooks of a running coordinator', () => {
  let folder: string;
  const servers: (Server | SocketServer)[] = [];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'countersign-webhooks-'));
  });
  afterEach(async () => {
    for (const server of servers.splice(0)) server.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function secretFile(name: string, ...secrets: readonly string[]): Promise<string> {
    const path = join(folder, `${name}.secret`);
    await writeFile(path, secrets.join('\n'), { mode: 0o600 });
    return path;
  }

  /** A workspace whose owner's requests are pending at once, and a key of it. */
  async function workspaceWithKey(url: string, networkId: string, keyringId: Hex) {
    const alice = ed25519Signer(new Uint8Array(32).fill(1));
    const client: Client = createClient({ url, networkId, signer: alice });
    const owners = [{ name: 'alice', credentials: [alice.credential] }];
    const genesis = buildGenesis(
      { networkId, name: 'Example', owners, keyrings: [keyringId], signPolicy },
      alice,
    );
    const { log } = await client.call('workspace_create', { genesis: genesis.envelope });
    const workspace = openWorkspace(log, networkId);
    const asked = buildKeyRequest(
      { networkId, workspace, keyringId, keyType: 'ed25519', label: 'treasury' },
      alice,
    );
    await client.call('key_request', { request: asked.envelope });
    await client.call('sign_wait', { requestId: asked.id, timeoutMs: 30_000 });
    const view = await client.call('key_get', { keyId: asked.id });
    const { key } = verifyKeyView(view, { networkId, workspaceId: workspace.id, keyringId });
    return { client, alice, workspace, key };
  }

  it('tell of a request until it is signed, and stop at once although a receiver hangs', async () => {
    const told: WebhookMessage[] = [];
    const take = async (message: WebhookMessage): Promise<void> => void told.push(message);
    const good = receiver(secretOf(1), take);
    const strict = receiver(secretOf(9), take);
    let hanging = 0;
    const hangs = createSocketServer((socket) => {
      hanging += 1;
      socket
        .on('close', () => (hanging -= 1))
        .on('error', () => undefined)
        .resume();
    });
    servers.push(good, strict, hangs);
    const hook = async (name: string, server: Server | SocketServer, ...secrets: readonly string[]) => ({
      name,
      url: await listen(server),
      secretFile: await secretFile(name, ...secrets),
      insecureLoopbackForTests: true,
    });
    const logged: { event: string; fields: Record<string, unknown> }[] = [];
    const network = await runNetwork({
      webhooks: [
        await hook('hangs', hangs, secretOf(3)),
        await hook('good', good, secretOf(2), secretOf(1)),
        // Signed with a secret that its receiver does not know.
        await hook('strict', strict, secretOf(1)),
      ],
      log: (event, fields) => void logged.push({ event, fields: { ...fields } }),
    });
    try {
      const { url, networkId, keyringId } = network;
      const { client, alice, workspace, key } = await workspaceWithKey(url, networkId, keyringId);
      const payload = messagePayload(new TextEncoder().encode('pay bob'));
      const request = buildSignRequest({ networkId, workspace, items: [{ keyId: key.id, payload }] }, alice);
      await client.call('sign_request', { request: request.envelope });
      await until(
        () => told.length >= 4,
        () => `four messages: ${JSON.stringify(told)}`,
      );
      assert.deepEqual(
        told.map(({ type, data }) => [type, data.requestId, data.workspaceId]),
        [
          ['request.pending', key.id, workspace.id],
          ['request.fulfilled', key.id, workspace.id],
          ['request.pending', request.id, workspace.id],
          ['request.fulfilled', request.id, workspace.id],
        ],
      );
      const trusted = { networkId, keys: [key] };
      const looked = await Promise.all(told.map((message) => look(message, client, trusted)));
      const view = await client.call('sign_get', { requestId: request.id });
      assert.deepEqual(looked, [undefined, undefined, undefined, view.signatures?.[0]]);
      await until(() => hanging > 0, 'the one that hangs is tried');
      const strictly = () =>
        logged.find(({ event, fields }) => event === 'webhook.failing' && fields['webhook'] === 'strict');
      await until(() => strictly() !== undefined, 'the one with another secret refuses');
      assert.equal(strictly()!.fields['reason'], 'status 400');
      assert.doesNotMatch(JSON.stringify(logged), /hidden|whsec/);
    } finally {
      // Ten seconds are the time of an attempt: it is not waited for, or the test's own time would end.
      await network.stop();
    }
    await until(() => hanging === 0, 'nothing is left open');
    assert.equal(told.length, 4);
  });

  it('are sent again after the receiver did not hear the coordinator out, and taken once', async () => {
    const told: WebhookMessage[] = [];
    let failures = 1;
    const server = receiver(secretOf(1), async (message) => {
      if ((failures -= 1) >= 0) throw new Error('the disk is full');
      told.push(message);
    });
    servers.push(server);
    const webhook = {
      name: 'one',
      url: await listen(server),
      secretFile: await secretFile('one', secretOf(1)),
      insecureLoopbackForTests: true,
      events: ['request.fulfilled' as const],
    };
    const network = await runNetwork({ webhooks: [webhook] });
    try {
      await workspaceWithKey(network.url, network.networkId, network.keyringId);
      await until(() => told.length === 1, 'it is told');
      assert.equal(told[0]?.type, 'request.fulfilled');
    } finally {
      await network.stop();
    }
  });
});
