// The examples of the RPC's documentation: a small world with fixed seeds and a fixed clock calls every method of a real
// coordinator over HTTP, and what was sent and answered is kept. The same every time, to the byte.
import assert from 'node:assert/strict';
import { createRpcServer } from '../../coordinator/rpc/server.ts';
import { MemoryStore } from '../../coordinator/store/memory.ts';
import { toHex } from '../../protocol/hex.ts';
import type { Examples, Exchange } from '../../protocol/openrpc/document.ts';
import { type Envelope, readContent, type Signer } from '../../protocol/records/envelope.ts';
import { request as requestRecord } from '../../protocol/records/request.ts';
import { type MethodName, methods, type Params } from '../../protocol/rpc.ts';
import { signHttp } from '../../protocol/signed-http.ts';
import { payload } from '../support/coordinated.ts';
import { proposed } from '../support/changes.ts';
import {
  approve,
  createWorld,
  grantFor,
  idOf,
  keyRequest,
  networkId,
  seedOf,
  signerOf,
  signRequest,
} from '../support/fixture.ts';
import { ServiceWorld } from '../support/service-world.ts';
import { makeKey, signatureBy, signedBy } from '../support/world-key.ts';

export const rpcPath = '/v1/rpc';
const minute = 60_000;

interface As {
  readonly signer: Signer;
  readonly grant?: Envelope;
}

class Recorder {
  readonly examples: Examples = { methods: {}, others: {} };
  readonly #at: ServiceWorld;
  readonly #url: string;
  #nonces = 0;

  constructor(at: ServiceWorld, url: string) {
    this.#at = at;
    this.#url = url;
  }

  #signed(method: string, path: string, body: string, as: As | undefined): Record<string, string> {
    if (as === undefined) return {};
    this.#nonces += 1;
    const nonce = seedOf('http nonce', this.#nonces).subarray(0, 16);
    const parts = { networkId, method, path, body: new TextEncoder().encode(body) };
    return signHttp(parts, as.signer, this.#at.now, nonce, as.grant);
  }

  /** Sends a body as it is to the RPC's path. */
  async post(request: unknown, as?: As): Promise<Exchange> {
    const body = JSON.stringify(request);
    const headers = {
      'content-type': 'application/json',
      ...this.#signed('POST', rpcPath, body, as),
    };
    const response = await fetch(this.#url + rpcPath, { method: 'POST', headers, body });
    const text = await response.text();
    const answer: unknown = text === '' ? '' : JSON.parse(text);
    return { method: 'POST', path: rpcPath, headers, request, status: response.status, answer };
  }

  async call<Name extends MethodName>(name: Name, params: Params<Name>, as?: As): Promise<Exchange> {
    const exchange = await this.post({ jsonrpc: '2.0', id: 1, method: name, params }, as);
    const { error, result } = exchange.answer as { error?: unknown; result?: unknown };
    assert.equal(error, undefined, `${name}: ${JSON.stringify(error)}`);
    methods[name].result.parse(result);
    return exchange;
  }

  /** A call that is the example of its method. */
  async example<Name extends MethodName>(name: Name, params: Params<Name>, as?: As): Promise<void> {
    assert.equal(this.examples.methods[name], undefined, `two examples of ${name}`);
    this.examples.methods[name] = await this.call(name, params, as);
  }

  async get(path: string): Promise<Exchange> {
    const response = await fetch(this.#url + path);
    return { method: 'GET', path, headers: {}, status: response.status, answer: await response.json() };
  }

  /** A stream from after an event until the event `last` has come. */
  async stream(path: string, after: number, last: number, as: As): Promise<Exchange> {
    const headers = { 'last-event-id': String(after), ...this.#signed('GET', path, '', as) };
    const response = await fetch(this.#url + path, { headers });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    const complete = new RegExp(`^[^]*\\nid: ${last}\\n[^]*?\\n\\n`);
    let text = '';
    while (!complete.test(text)) {
      const { value, done } = await reader.read();
      assert.ok(!done, `the stream ended without event ${last}: ${text}`);
      text += value;
    }
    await reader.cancel();
    const answerHeaders = { 'content-type': response.headers.get('content-type') ?? '' };
    const [answer] = complete.exec(text)!;
    return { method: 'GET', path, headers, status: response.status, answerHeaders, answer };
  }
}

/** What the document would repeat of itself is left out. */
function withoutItself(exchange: Exchange): Exchange {
  const answer = exchange.answer as { result: Record<string, unknown> };
  const { openrpc, info } = answer.result as { openrpc: string; info: Record<string, unknown> };
  const { title, version } = info;
  const result = { openrpc, info: { title, version }, methods: [], components: {} };
  return { ...exchange, answer: { ...answer, result } };
}

async function record(at: ServiceWorld, recorder: Recorder): Promise<void> {
  const { world } = at;
  const { example, call } = { example: recorder.example.bind(recorder), call: recorder.call.bind(recorder) };
  const { others } = recorder.examples;
  const [alice, bob] = ['alice', 'bob'].map((name) => ({ signer: world.owners[name]! })) as [As, As];
  const connectors = world.parties.map((party, index): As => {
    const signer = signerOf('connector', index);
    return { signer, grant: grantFor(world, party, signer) };
  });
  const nonce = (name: string) => toHex(seedOf('record nonce', name).subarray(0, 16));
  const workspaceId = world.workspace.id;
  const keyringId = world.keyring.id;

  await example('rpc.discover', {});
  recorder.examples.methods['rpc.discover'] = withoutItself(recorder.examples.methods['rpc.discover']!);
  await example('network_get', {});
  await example('keyring_create', { roster: world.keyring.envelope });
  await example('workspace_create', { genesis: world.genesis });
  await example('workspace_get', { workspaceId }, alice);
  await example('workspace_list', { limit: 10 }, alice);

  at.now += minute;
  await example('connector_heartbeat', { keyringId, nodeUp: true }, connectors[0]);
  await example('keyring_get', { keyringId });
  await example('keyring_list', { limit: 1 });

  at.now += minute;
  const asked = keyRequest(world, { label: 'treasury', created: at.now, nonce: nonce('key') });
  await example('key_request', { request: asked });
  const key = makeKey(world, 'treasury', asked);
  for (const [index, result] of key.certificate.entries())
    await call('connector_submitResult', { result }, connectors[index]);
  await example('key_get', { keyId: key.id }, alice);
  await example('key_list', { workspaceId }, alice);

  at.now += minute;
  const request = signRequest(world, [{ keyId: key.id, payload }], { created: at.now, nonce: nonce('sign') });
  const requestId = idOf(request);
  await example('sign_request', { request });
  others['again'] = await call('sign_request', { request });
  await example('action_list', { workspaceId }, bob);
  await example('action_get', { requestId }, bob);

  at.now += minute;
  await example('action_decide', { decision: approve(world, requestId, 'bob') });
  await example('connector_pending', { keyringId }, connectors[0]);

  at.now += minute;
  const results = world.parties.map((party) =>
    signedBy(world, party, requestId, [signatureBy(key, payload)]),
  );
  await example('connector_submitResult', { result: results[0]! }, connectors[0]);
  await call('connector_submitResult', { result: results[1]! }, connectors[1]);
  await example('sign_wait', { requestId, timeoutMs: 30_000 }, alice);
  await example('sign_get', { requestId }, alice);
  await example('sign_list', { workspaceId, state: 'fulfilled', limit: 1 }, alice);
  await example('receipt_get', { requestId }, alice);

  const path = `/v1/workspaces/${workspaceId}/events`;
  const last = await at.store.last(`workspaces/${workspaceId}`);
  others['stream'] = await recorder.stream(path, last - 2, last, alice);
  at.now += minute;
  const { content } = readContent(requestRecord, request, networkId);
  await example('policy_validate', {
    policy: { version: 1, rules: [{ id: 'pay', effect: 'allow', require: { k: 1, of: 'ops' } }] },
  });
  await example('policy_explain', { workspaceId }, alice);
  await example('policy_simulate', { workspaceId, request: { ...content } }, alice);
  const change = proposed(
    world,
    { kind: 'key.disable', keyId: key.id },
    { created: at.now, nonce: nonce('change') },
  );
  const changeId = idOf(change);
  await example('workspace_propose', { change });
  await example('change_get', { changeId }, bob);
  await call('action_decide', { decision: approve(world, changeId, 'bob') });
  await example('change_list', { workspaceId }, alice);
  await example('workspace_log', { workspaceId, after: 0 }, alice);
  const approval = approve(world, changeId, 'bob');
  await example('workspace_import', { workspaceId, after: 0, log: [change, approval] }, alice);
  await example('connector_logs', { keyringId }, connectors[0]);

  others['batch'] = await recorder.post([
    { jsonrpc: '2.0', id: 'a', method: 'network_get', params: {} },
    { jsonrpc: '2.0', id: 'b', method: 'keyring_get', params: { keyringId: workspaceId } },
    { jsonrpc: '2.0', id: 'c', method: 'workspace_get', params: { workspaceId } },
  ]);
  others['late'] = await recorder.post({
    jsonrpc: '2.0',
    id: 1,
    method: 'action_decide',
    params: { decision: approve(world, requestId, 'carol') },
  });
  others['live'] = await recorder.get('/health/live');
  others['ready'] = await recorder.get('/health/ready');
}

/** Runs every method and answers with the examples. */
export async function runExamples(): Promise<Examples> {
  const store = new MemoryStore();
  const at = new ServiceWorld(createWorld({ name: 'example' }), store, { version: '0.1.0' });
  const server = createRpcServer({
    networkId,
    service: at.service,
    store,
    now: () => at.now,
    log: (event, fields) => assert.ok(!event.endsWith('error'), JSON.stringify(fields)),
    host: '127.0.0.1',
    port: 0,
  });
  try {
    const { url } = await server.listen();
    const recorder = new Recorder(at, url);
    await record(at, recorder);
    return recorder.examples;
  } finally {
    await server.close();
    await at.service.stop();
    await store.close();
  }
}
