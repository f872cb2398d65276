// A coordinator that lies to whoever looks at it through this view: the real one stands behind it, and calls and events
// pass through as they are until a test says what is shown instead. Each connector or owner gets a view of its own, so
// that two of them can be told two things. Speaks the coordinator's own HTTP, JSON-RPC and server-sent events.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { type CoordinatorEvent, errorCodes, type RpcErrorName } from '../../protocol/rpc.ts';
import type { Json } from './cli-run.ts';
import { until } from './until.ts';

export interface Call {
  readonly method: string;
  readonly params: Json;
}

/**
 * What a caller is told instead. `honest` asks the real coordinator, which then has heard the call; without it the call
 * never reaches it. Throwing a Refusal answers with an error.
 */
export type Answer = (call: Call, honest: () => Promise<Json>) => unknown;

/** An error of the coordinator's own kind. */
export class Refusal extends Error {
  readonly code: RpcErrorName;
  constructor(code: RpcErrorName) {
    super(code);
    this.code = code;
  }
}

/** The real coordinator's error, passed on. */
class HonestError extends Error {
  readonly error: unknown;
  constructor(error: unknown) {
    super('the real coordinator refused');
    this.error = error;
  }
}

interface Frame {
  readonly sequence: number;
  readonly text: string;
}

const skippedHeaders = new Set(['host', 'connection', 'content-length', 'transfer-encoding']);

function headersOf(request: IncomingMessage): Record<string, string> {
  const kept = Object.entries(request.headers).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string' && !skippedHeaders.has(entry[0]),
  );
  return Object.fromEntries(kept);
}

/** An event as the real coordinator writes it. */
export function frameOf(sequence: number | string, event: unknown): string {
  const type = (event as { type?: string } | null)?.type ?? 'message';
  return `id: ${sequence}\nevent: ${type}\ndata: ${JSON.stringify(event)}\n\n`;
}

export class LyingView {
  /** Undefined: answers pass through. */
  answer: Answer | undefined;
  /** Calls that arrived, in order. */
  readonly calls: Call[] = [];
  /** `Last-Event-ID` of every stream that was asked for. */
  readonly cursors: number[] = [];
  readonly #target: () => string;
  readonly #server: Server;
  readonly #streams = new Set<ServerResponse>();
  readonly #stopping = new AbortController();
  /** Undefined: events pass through. */
  #script: Frame[] | undefined;
  #last = 0;

  private constructor(target: () => string) {
    this.#target = target;
    this.#server = createServer((request, response) => {
      const work = request.method === 'GET' ? this.#watch(request, response) : this.#call(request, response);
      work.catch((error: unknown) => response.destroy(error as Error));
    });
  }

  /** A view of the coordinator at `target`, listening on a port of its own. */
  static async open(target: () => string): Promise<LyingView> {
    const view = new LyingView(target);
    // Not between two calls of a machine that stood still.
    view.#server.keepAliveTimeout = 60_000;
    view.#server.listen(0, '127.0.0.1');
    await once(view.#server, 'listening');
    return view;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /**
   * From now on the events are those that the test tells, numbered on from what the reader has seen. Returns when the
   * reader, which is cut off, has come back.
   */
  async takeOver(): Promise<void> {
    const before = this.cursors.length;
    this.#script = [];
    this.cut();
    await until(() => this.cursors.length > before && this.#streams.size > 0, 'the reader came back');
    this.#last = this.cursors.at(-1)!;
  }

  /** Tells the truth again, as a coordinator does that was put right: whoever watched is cut off. */
  beHonest(): void {
    this.answer = undefined;
    this.#script = undefined;
    this.cut();
  }

  /** Number of the last event that was told. */
  get last(): number {
    return this.#last;
  }

  /** Streams that are open now. */
  get watchers(): number {
    return this.#streams.size;
  }

  /** Tells an event; whoever connects later is told it too. */
  tell(event: CoordinatorEvent): void {
    const frame = { sequence: ++this.#last, text: frameOf(this.#last, event) };
    this.#scripted().push(frame);
    this.write(frame.text);
  }

  /** Writes whatever it is to the streams that are open. */
  write(text: string | Uint8Array): void {
    for (const stream of this.#streams) stream.write(text);
  }

  /** Ends the streams that are open. */
  cut(): void {
    for (const stream of this.#streams) stream.destroy();
    this.#streams.clear();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #scripted(): Frame[] {
    if (this.#script === undefined) throw new TypeError('events pass through: take over first');
    return this.#script;
  }

  async #watch(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const after = Number(request.headers['last-event-id'] ?? '0');
    this.cursors.push(after);
    this.#streams.add(response);
    response.on('close', () => this.#streams.delete(response));
    response.on('error', () => undefined); // Cut here or there: the close follows.
    if (this.#script !== undefined) {
      response.writeHead(200, { 'content-type': 'text/event-stream', connection: 'close' });
      response.write(': open\n\n');
      for (const { sequence, text } of this.#script) if (sequence > after) response.write(text);
      return;
    }
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    const signal = AbortSignal.any([gone.signal, this.#stopping.signal]);
    try {
      const inner = await fetch(new URL(request.url ?? '/', this.#target()), {
        headers: headersOf(request),
        signal,
      });
      response.writeHead(inner.status, { 'content-type': inner.headers.get('content-type') ?? '' });
      if (inner.body === null) response.end();
      else for await (const chunk of Readable.fromWeb(inner.body as never)) response.write(chunk);
      response.end();
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async #call(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const call = JSON.parse(body.toString()) as Call & { id: unknown };
    this.calls.push({ method: call.method, params: call.params });
    const pass = async (): Promise<{ status: number; value: { result?: unknown; error?: unknown } }> => {
      const headers = headersOf(request);
      const inner = await fetch(new URL(request.url ?? '/', this.#target()), {
        method: 'POST',
        headers,
        body,
      });
      return { status: inner.status, value: (await inner.json()) as { result?: unknown } };
    };
    const send = (status: number, value: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    };
    if (this.answer === undefined) {
      const { status, value } = await pass();
      return send(status, value);
    }
    const honest = async (): Promise<Json> => {
      const { value } = await pass();
      if (value.error !== undefined) throw new HonestError(value.error);
      return value.result as Json;
    };
    const told = { jsonrpc: '2.0', id: call.id };
    try {
      send(200, { ...told, result: await this.answer(call, honest) });
    } catch (error) {
      if (error instanceof HonestError) return send(200, { ...told, error: error.error });
      if (!(error instanceof Refusal)) throw error;
      const data = { code: error.code, detail: 'so it says', remedy: 'none' };
      send(200, { ...told, error: { code: errorCodes[error.code], message: error.code, data } });
    }
  }
}
