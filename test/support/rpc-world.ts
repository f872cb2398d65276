// A coordinator's RPC server over real sockets, with a service that does next to nothing and a store in memory.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { RpcError } from '../../coordinator/rpc/error.ts';
import type { Caller, CoordinatorService, Handlers, StreamName } from '../../coordinator/rpc/handlers.ts';
import { defaultLimits, type RpcLimits } from '../../coordinator/rpc/limits.ts';
import { createRpcServer, type RpcServer, type RpcServerOptions } from '../../coordinator/rpc/server.ts';
import { MemoryStore } from '../../coordinator/store/memory.ts';
import { toHex } from '../../protocol/hex.ts';
import { connectorGrant } from '../../protocol/records/connector-grant.ts';
import { createRecord, ed25519Signer, type Envelope, type Signer } from '../../protocol/records/envelope.ts';
import { timestamp } from '../../protocol/records/fields.ts';
import { errorCodes, methods, type RpcErrorData, type RpcErrorName } from '../../protocol/rpc.ts';
import { signHttp } from '../../protocol/signed-http.ts';

export const networkId = 'local-00000001';
export const start = Date.parse('2030-01-31T12:00:00.000Z');
export const owner = ed25519Signer(new Uint8Array(32).fill(1));
export const connector = ed25519Signer(new Uint8Array(32).fill(2));
export const party = ed25519Signer(new Uint8Array(32).fill(3));
export const keyringId = toHex(new Uint8Array(32).fill(7));
export const workspaceId = toHex(new Uint8Array(32).fill(8));
export const unknownId = toHex(new Uint8Array(32).fill(9));

export interface Answer {
  jsonrpc: '2.0';
  id: string | number | null;
  result?: unknown;
  error?: { code: number; message: string; data: RpcErrorData };
}

export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) assert.fail(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export class FakeService implements CoordinatorService {
  readonly calls: { method: string; params: unknown; caller: Caller }[] = [];
  waiting = 0;
  aborted = 0;
  readerMayRead = true;
  readonly handlers: Handlers;

  constructor() {
    const handlers = Object.keys(methods).map((method) => [
      method,
      (params: unknown, caller: Caller, signal: AbortSignal) => this.#handle(method, params, caller, signal),
    ]);
    this.handlers = Object.fromEntries(handlers) as Handlers;
  }

  async #handle(method: string, params: unknown, caller: Caller, signal: AbortSignal): Promise<unknown> {
    this.calls.push({ method, params, caller });
    if (method === 'keyring_get') throw new RpcError('not_found', 'no such keyring', 'create it');
    if (method === 'keyring_list') throw new Error('the passphrase is swordfish');
    if (method === 'sign_wait') {
      this.waiting += 1;
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      this.aborted += 1;
      throw signal.reason;
    }
    return { method };
  }

  async mayRead({ id }: StreamName, caller: Caller): Promise<void> {
    if (id === unknownId) throw new RpcError('not_found', `there is no ${id}`, 'check the id');
    const allowed =
      caller.grant?.keyringId === id || (id === workspaceId && caller.credential === owner.credential);
    if (!allowed || !this.readerMayRead) throw new RpcError('forbidden', 'this is not yours', 'ask an owner');
  }
}

export class World {
  now = start;
  url = '';
  readonly service = new FakeService();
  readonly store = new MemoryStore();
  readonly logged: { event: string; fields: Record<string, unknown> }[] = [];
  #server: RpcServer | undefined;

  async open(limits: Partial<RpcLimits> = {}, more: Partial<RpcServerOptions> = {}): Promise<this> {
    // A second server would outlive the first's `close`, and the process with it.
    assert(this.#server === undefined, 'this world is open');
    this.#server = createRpcServer({
      networkId,
      service: this.service,
      store: this.store,
      now: () => this.now,
      log: (event, fields) => void this.logged.push({ event, fields }),
      host: '127.0.0.1',
      port: 0,
      limits: { ...defaultLimits, ...limits },
      ...more,
    });
    this.url = (await this.#server.listen()).url;
    return this;
  }

  async close(): Promise<void> {
    await this.#server?.close();
    await this.store.close();
  }

  headers(
    method: string,
    path: string,
    body: string,
    options: { signer?: Signer; grant?: Envelope; at?: number; nonce?: Uint8Array; networkId?: string } = {},
  ): Record<string, string> {
    const { signer = owner, grant, at = this.now, nonce = randomBytes(16) } = options;
    const parts = {
      networkId: options.networkId ?? networkId,
      method,
      path,
      body: new TextEncoder().encode(body),
    };
    return signHttp(parts, signer, at, nonce, grant);
  }

  async post(body: string, headers: Record<string, string> = {}, path = '/rpc'): Promise<Response> {
    return await fetch(this.url + path, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json', ...headers },
    });
  }

  /** One call, signed when `options` are given. */
  async call(
    method: string,
    params: unknown = {},
    options?: Parameters<World['headers']>[3],
  ): Promise<Answer> {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
    const response = await this.post(body, options && this.headers('POST', '/rpc', body, options));
    return (await response.json()) as Answer;
  }

  async append(stream: string, ...numbers: number[]): Promise<void> {
    await this.store.commit({
      append: numbers.map((number) => ({ stream, event: { type: 'request.state', number } })),
    });
  }

  async stream(
    path: string,
    options: Parameters<World['headers']>[3] & { lastEventId?: string; signal?: AbortSignal } = {},
  ): Promise<Response> {
    return await fetch(this.url + path, {
      headers: {
        ...this.headers('GET', path, '', options),
        ...(options.lastEventId !== undefined && { 'last-event-id': options.lastEventId }),
      },
      ...(options.signal && { signal: options.signal }),
    });
  }
}

export function grant(
  content: { connector?: string; expires?: number; network?: string } = {},
  signer = party,
): Envelope {
  return createRecord(
    connectorGrant,
    {
      networkId: content.network ?? networkId,
      keyringId,
      party: party.credential,
      connector: content.connector ?? connector.credential,
      expires: timestamp(content.expires ?? start + 3600_000),
    },
    signer,
  );
}

export function assertError(answer: Answer, name: RpcErrorName, detail?: RegExp): RpcErrorData {
  assert.equal(answer.error?.data.code, name, JSON.stringify(answer));
  assert.equal(answer.error.code, errorCodes[name]);
  assert.ok(answer.error.data.remedy.length > 0);
  if (detail) assert.match(answer.error.data.detail, detail);
  return answer.error.data;
}

/** Reads a stream of events piece by piece. */
export class Reader {
  text = '';
  done = false;
  readonly #reader;
  constructor(response: Response) {
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('content-type'), 'text/event-stream');
    this.#reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  }
  async until(pattern: RegExp): Promise<string> {
    const signal = AbortSignal.timeout(10_000);
    while (!pattern.test(this.text)) {
      assert.ok(!this.done, `the stream ended without ${pattern}: ${this.text}`);
      assert.ok(!signal.aborted, `never: ${pattern} in ${this.text}`);
      const { value, done } = await this.#reader.read();
      this.text += value ?? '';
      this.done = done;
    }
    return this.text;
  }
  async end(): Promise<string> {
    while (!this.done) {
      const { value, done } = await this.#reader.read();
      this.text += value ?? '';
      this.done = done;
    }
    return this.text;
  }
  get ids(): number[] {
    return [...this.text.matchAll(/^id: (\d+)$/gm)].map((match) => Number(match[1]));
  }
}

/** Sends bytes over a socket of its own and collects what comes back until it closes. */
export async function raw(url: string, bytes: string | Uint8Array): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  let received = '';
  socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')));
  socket.on('error', () => undefined);
  socket.write(bytes);
  await new Promise((resolve) => socket.once('close', resolve));
  return received;
}
