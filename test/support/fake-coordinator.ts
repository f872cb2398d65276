// As much of a coordinator as a connector sees, over real HTTP, with switches for what can go wrong. It checks the
// signature and the grant of every request, as the real one does.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Evidence } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import { connectorGrant } from '../../protocol/records/connector-grant.ts';
import { type Envelope, verifyRecord } from '../../protocol/records/envelope.ts';
import type { Receipt } from '../../protocol/receipt.ts';
import {
  type CoordinatorEvent,
  errorCodes,
  type RequestStateName,
  type RpcErrorName,
} from '../../protocol/rpc.ts';
import { verifyHttp } from '../../protocol/signed-http.ts';

export interface FakeRequest {
  readonly requestId: Hex;
  state: RequestStateName;
  evidence: Evidence;
}

interface Call {
  readonly method: string;
  readonly params: {
    readonly requestIds?: readonly Hex[];
    readonly after?: string;
    readonly limit?: number;
    readonly result?: Envelope;
    readonly nodeUp?: boolean;
  };
}

const at = '2031-05-06T07:08:09.000Z';

/** Thrown by a switch: the call is answered with this error. */
export class Refusal extends Error {
  readonly code: RpcErrorName;
  constructor(code: RpcErrorName) {
    super(code);
    this.code = code;
  }
}

export class FakeCoordinator {
  readonly requests = new Map<Hex, FakeRequest>();
  readonly events: CoordinatorEvent[] = [];
  /** Events up to here are no longer kept. */
  forgotten = 0;
  readonly results: Envelope[] = [];
  readonly heartbeats: boolean[] = [];
  readonly calls: Call[] = [];
  /** `Last-Event-ID` of every stream that was opened or asked for. */
  readonly cursors: number[] = [];
  /** Largest page of a snapshot. */
  pageLimit = 100;
  /** Looked at before every call; may throw a Refusal. */
  onCall: (call: Call) => void | Promise<void> = () => undefined;
  readonly #options: { networkId: string; now: () => number };
  readonly #streams = new Set<ServerResponse>();
  #server: Server | undefined;
  #port = 0;

  constructor(options: { networkId: string; now: () => number }) {
    this.#options = options;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get watchers(): number {
    return this.#streams.size;
  }

  /** Listens, on the same port as before. */
  async start(): Promise<void> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => void this.#serve(request, response, Buffer.concat(chunks)));
    });
    // Not between two calls of a machine that stood still.
    server.keepAliveTimeout = 60_000;
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  /** Breaks every connection and is not reachable any more. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }

  /** Breaks the event streams only. */
  cutStreams(): void {
    for (const stream of this.#streams) stream.destroy();
  }

  /** Of fulfilled requests. */
  readonly receipts = new Map<Hex, Receipt>();

  /** Logs of workspaces as they are now. */
  readonly logs: { workspaceId: Hex; head: { seq: number; id: Hex }; log: Envelope[] }[] = [];

  /** Stores a request and tells of it. */
  add(requestId: Hex, evidence: Evidence, state: RequestStateName = 'pending'): void {
    this.requests.set(requestId, { requestId, state, evidence });
    this.tell({ type: 'request.state', requestId, kind: 'sign', state, at });
  }

  /** Changes a request's state and tells of it. */
  move(requestId: Hex, state: RequestStateName): void {
    const request = this.requests.get(requestId);
    if (request) request.state = state;
    this.tell({ type: 'request.state', requestId, kind: 'sign', state, at });
  }

  tell(event: CoordinatorEvent): void {
    this.events.push(event);
    for (const stream of this.#streams) stream.write(this.#frame(this.events.length));
  }

  #frame(sequence: number): string {
    return `id: ${sequence}\ndata: ${JSON.stringify(this.events[sequence - 1])}\n\n`;
  }

  async #serve(request: IncomingMessage, response: ServerResponse, body: Buffer): Promise<void> {
    const { networkId, now } = this.#options;
    const parts = { networkId, method: request.method ?? '', path: request.url ?? '', body };
    let id: unknown = null;
    const refuse = (error: unknown, status = 200) => {
      const code = error instanceof Refusal ? error.code : 'internal_error';
      const data = { code, detail: String(error), remedy: 'read the test' };
      const text = JSON.stringify({
        jsonrpc: '2.0',
        id,
        error: { code: errorCodes[code], message: code, data },
      });
      response.writeHead(status, { 'content-type': 'application/json' }).end(text);
    };
    try {
      const { grant, credential } = verifyHttp(parts, request.headers, now());
      if (!grant || verifyRecord(connectorGrant, grant, networkId).content.connector !== credential) {
        return refuse(new Refusal('forbidden'), 403);
      }
      if (request.method === 'GET') return this.#stream(request, response, refuse);
      const call = JSON.parse(body.toString()) as Call & { id: number };
      id = call.id;
      this.calls.push(call);
      await this.onCall(call);
      const text = JSON.stringify({ jsonrpc: '2.0', id, result: this.#answer(call) });
      response.writeHead(200, { 'content-type': 'application/json' }).end(text);
    } catch (error) {
      refuse(error);
    }
  }

  #stream(
    request: IncomingMessage,
    response: ServerResponse,
    refuse: (error: unknown, status: number) => void,
  ): void {
    const after = Number(request.headers['last-event-id']);
    this.cursors.push(after);
    if (after < this.forgotten || after > this.events.length)
      return refuse(new Refusal('cursor_too_old'), 410);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(': open\n\n');
    for (let sequence = after + 1; sequence <= this.events.length; sequence += 1)
      response.write(this.#frame(sequence));
    this.#streams.add(response);
    response.on('close', () => this.#streams.delete(response));
  }

  #answer({ method, params }: Call): unknown {
    switch (method) {
      case 'connector_pending':
        return this.#pending(params);
      case 'connector_submitResult': {
        const result = params.result as Envelope;
        const subject = (JSON.parse(Buffer.from(result.bytes, 'base64url').toString()) as { subject: Hex })
          .subject;
        this.results.push(result);
        return {
          requestId: subject,
          state: 'pending',
          votes: { have: 1, need: 2, refused: 0 },
          counted: true,
        };
      }
      case 'connector_logs': {
        const { workspaceIds } = params as { workspaceIds?: readonly Hex[] };
        return {
          items: this.logs.filter((item) => workspaceIds?.includes(item.workspaceId) ?? true),
        };
      }
      case 'receipt_get': {
        const receipt = this.receipts.get((params as { requestId?: Hex }).requestId as Hex);
        if (receipt === undefined) throw new Refusal('wrong_state');
        return { receipt };
      }
      case 'connector_heartbeat':
        this.heartbeats.push(params.nodeUp === true);
        return { time: at };
      default:
        throw new Refusal('method_not_found');
    }
  }

  #pending({ requestIds, after, limit = 50 }: Call['params']): unknown {
    const cursor = this.events.length;
    const all = [...this.requests.values()];
    if (requestIds) return { cursor, items: all.filter((item) => requestIds.includes(item.requestId)) };
    const open = all.filter((item) => item.state === 'partial' || item.state === 'pending');
    const start = Number(after ?? 0);
    const end = start + Math.min(limit, this.pageLimit);
    return { cursor, items: open.slice(start, end), ...(end < open.length && { next: String(end) }) };
  }
}
