// The coordinator's HTTP server: JSON-RPC by POST to `/v1/rpc`, `/rpc` or `/`, event streams, health. Every answer that
// is an error is a JSON-RPC error object; the HTTP status is 200 whenever a call was answered, even with an error.
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { RpcObserver } from '../observer.ts';
import type { Store } from '../store/store.ts';
import { Authenticator } from './authenticate.ts';
import { Bodies, type HeldBody } from './bodies.ts';
import { Connections } from './connections.ts';
import { allowOrigin, type CorsOptions } from './cors.ts';
import { RpcError } from './error.ts';
import { EventStreams } from './events.ts';
import type { Caller, CoordinatorService } from './handlers.ts';
import { Readiness } from './health.ts';
import { httpError, onClientError, onExpectation, refuse } from './http-error.ts';
import { answerBody, type Log, needsSignature, readBody } from './json-rpc.ts';
import { addressKey, defaultLimits, Quota, RateLimit, type RpcLimits } from './limits.ts';
import { listenError, urlOf } from './listen.ts';

/** Milliseconds. */
export interface RpcTiming {
  /** For a request's head, and for a whole request, to arrive. */
  readonly headMs: number;
  readonly requestMs: number;
  /** Until a connection on which nothing moves is cut, waiting calls (at most 60 s) and streams included. */
  readonly idleMs: number;
  readonly heartbeatMs: number;
  /** For the reader of a stream to take what was written, before it is dropped. */
  readonly drainMs: number;
  readonly pollMs: number;
  /** For the store to answer a health check. */
  readonly healthMs: number;
  /** For what is being answered to end when the server closes. */
  readonly closeMs: number;
}

export const defaultTiming: RpcTiming = {
  headMs: 10_000,
  requestMs: 30_000,
  idleMs: 120_000,
  heartbeatMs: 15_000,
  drainMs: 30_000,
  pollMs: 3000,
  healthMs: 2000,
  closeMs: 2000,
};

const maxHeaderBytes = 16 * 1024;

export interface RpcServerOptions {
  readonly networkId: string;
  readonly service: CoordinatorService;
  readonly store: Pick<Store, 'get' | 'read' | 'watch'>;
  /** The clock, milliseconds since 1970. */
  readonly now: () => number;
  readonly log: Log;
  /** `localhost` or an IP address. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly limits?: RpcLimits;
  /** Default: no page of another origin. */
  readonly cors?: CorsOptions;
  readonly timing?: Partial<RpcTiming>;
  readonly observer?: RpcObserver;
}

/** What a server holds at the moment. */
export interface RpcLoad {
  readonly connections: number;
  readonly answering: number;
  readonly streams: number;
  readonly bodyBytes: number;
}

export interface RpcServer {
  /** Throws ListenError. */
  listen(): Promise<{ readonly host: string; readonly port: number; readonly url: string }>;
  load(): RpcLoad;
  /** Ends streams and waiting calls, answers what it can, and returns when every connection is closed. */
  close(): Promise<void>;
}

const closing = (): RpcError =>
  new RpcError('unavailable', 'the coordinator is closing', 'send it again in a few seconds', {
    retryAfterMs: 2000,
  });

class HttpServer implements RpcServer {
  readonly #options: RpcServerOptions;
  readonly #limits: RpcLimits;
  readonly #cors: CorsOptions;
  readonly #timing: RpcTiming;
  readonly #app: FastifyInstance;
  readonly #authenticator: Authenticator;
  readonly #addressRate: RateLimit;
  readonly #connections: Connections;
  readonly #bodies: Bodies;
  readonly #bodyOf = new WeakMap<FastifyRequest, HeldBody>();
  readonly #answering: Quota;
  /** One for each request being answered; all abort when the server closes. */
  readonly #live = new Set<AbortController>();
  #streams: EventStreams | undefined;
  #closed: Promise<void> | undefined;

  constructor(options: RpcServerOptions) {
    const limits = options.limits ?? defaultLimits;
    this.#options = options;
    this.#limits = limits;
    this.#cors = options.cors ?? { origins: [] };
    this.#timing = { ...defaultTiming, ...options.timing };
    this.#authenticator = new Authenticator({ networkId: options.networkId, now: options.now, limits });
    this.#addressRate = new RateLimit(limits.addressRate, 'address');
    this.#connections = new Connections(limits, () => options.observer?.connectionRefused());
    this.#bodies = new Bodies(limits);
    this.#answering = new Quota(limits.requestsPerAddress, Infinity);
    this.#app = this.#createApp();
  }

  async listen(): Promise<{ host: string; port: number; url: string }> {
    const { port } = this.#options;
    // Fastify would listen on both addresses of the name, with limits on one of them.
    const host = this.#options.host === 'localhost' ? '127.0.0.1' : this.#options.host;
    try {
      await this.#app.listen({ host, port });
    } catch (error) {
      throw listenError(error, host, port);
    }
    const bound = this.#app.server.address() as AddressInfo;
    return { host, port: bound.port, url: urlOf(host, bound.port) };
  }

  load(): RpcLoad {
    return {
      connections: this.#connections.open,
      answering: this.#answering.sum,
      streams: this.#streams?.open ?? 0,
      bodyBytes: this.#bodies.heldBytes,
    };
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    for (const controller of this.#live) controller.abort(closing());
    const timer = setTimeout(() => this.#app.server.closeAllConnections(), this.#timing.closeMs);
    try {
      await this.#app.close();
    } finally {
      clearTimeout(timer);
    }
  }

  #createServer(handler: Parameters<typeof createServer>[1]): Server {
    const { headMs, requestMs, idleMs } = this.#timing;
    const server = createServer(
      {
        maxHeaderSize: maxHeaderBytes,
        requireHostHeader: false, // Refused below, in the words of JSON-RPC.
        headersTimeout: headMs,
        requestTimeout: requestMs,
        keepAliveTimeout: idleMs,
        connectionsCheckingInterval: Math.min(headMs, 2000),
      },
      handler,
    );
    server.setTimeout(idleMs);
    server.on('connection', (socket: Socket) => this.#connections.admit(socket));
    server.on('checkExpectation', onExpectation);
    return server;
  }

  #createApp(): FastifyInstance {
    const limits = this.#limits;
    const { service, store, now, log } = this.#options;
    const { heartbeatMs, drainMs, pollMs } = this.#timing;
    const app = Fastify({
      serverFactory: (handler) => this.#createServer(handler),
      logger: false,
      bodyLimit: limits.bodyBytes,
      exposeHeadRoutes: false,
      return503OnClosing: false, // Refused below, in the words of JSON-RPC.
      clientErrorHandler: (error, socket) =>
        onClientError(error, socket, this.#connections.isAnswering(socket)),
      // Before any hook: a path that cannot be read counts as a request all the same.
      frameworkErrors: (error, request, reply) => void this.#onUnreadable(error, request, reply),
    });
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('application/json', async (request: FastifyRequest) =>
      this.#bodyOf.get(request)?.read(),
    );
    app.setErrorHandler((error: Error, _request, reply) => this.#onError(error, reply));
    app.setNotFoundHandler(async (_request, reply) => {
      const remedy =
        'give clients the address as the coordinator has it, mostly without a path; or POST to /v1/rpc, GET ' +
        '/v1/keyrings/<id>/events, /v1/workspaces/<id>/events, /health/live or /health/ready';
      this.#options.observer?.refused('not_found');
      await refuse(reply, new RpcError('not_found', 'nothing is served here', remedy));
    });
    app.addHook('onRequest', async (request, reply) => {
      // First of all: a page must be able to read why it was refused.
      const preflight = allowOrigin(this.#cors, request.raw, reply.raw);
      await this.#admit(request, reply);
      if (preflight) await reply.code(204).send();
    });
    app.addHook('onSend', async (_request, reply) => {
      reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff');
      if (this.#closed) reply.header('connection', 'close');
    });
    const answer = (request: FastifyRequest, reply: FastifyReply): Promise<void> =>
      this.#answer(request, reply);
    for (const path of ['/', '/rpc', '/v1/rpc']) app.post(path, answer);
    const streams = new EventStreams({
      store,
      service,
      authenticator: this.#authenticator,
      now,
      log,
      limits,
      heartbeatMs,
      drainMs,
      pollMs,
    });
    this.#streams = streams;
    for (const kind of ['keyring', 'workspace'] as const) {
      app.get(`/v1/${kind}s/:id/events`, (request, reply) =>
        this.#whileHeard(request, reply, (signal) =>
          streams.serve(kind, request, reply, { address: addressKey(request.ip), signal }),
        ),
      );
    }
    const readiness = new Readiness(store, this.#timing.healthMs);
    app.get('/health/live', async () => ({ status: 'live' }));
    app.get('/health/ready', async (_request, reply) => {
      if (await readiness.check()) return { status: 'ready' };
      return reply.code(503).send({ status: 'unavailable' });
    });
    return app;
  }

  async #onError(error: Error, reply: FastifyReply): Promise<void> {
    const refused = httpError(error, this.#limits.bodyBytes, this.#options.log);
    this.#options.observer?.refused(refused.error.name);
    await refuse(reply, refused.error, refused.status);
  }

  async #onUnreadable(error: Error, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    allowOrigin(this.#cors, request.raw, reply.raw);
    try {
      await this.#addressRate.spend(addressKey(request.ip));
      await this.#onError(error, reply);
    } catch (refused) {
      await this.#onError(refused as Error, reply);
    }
  }

  /** Before the body is read. */
  async #admit(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    if (this.#closed) throw closing();
    const key = addressKey(request.ip);
    await this.#addressRate.spend(key);
    if (request.raw.headers.host === undefined && request.raw.httpVersion === '1.1') {
      throw new RpcError('invalid_request', 'the header Host is missing', 'send the HTTP request with it');
    }
    if (!this.#answering.take(key)) {
      const detail = 'too many requests from this address are being answered';
      throw new RpcError('rate_limited', detail, 'wait for some of them, then send it again', {
        retryAfterMs: 1000,
      });
    }
    this.#connections.whenOver(request.raw, reply.raw, () => this.#answering.release(key));
    const body = this.#bodies.of(request.raw, key);
    this.#bodyOf.set(request, body);
    this.#connections.whenOver(request.raw, reply.raw, () => body.release());
  }

  /** Runs `work` with a signal that aborts when the caller hangs up or the server closes. */
  async #whileHeard<Value>(
    request: FastifyRequest,
    reply: FastifyReply,
    work: (signal: AbortSignal) => Promise<Value>,
  ): Promise<Value> {
    const controller = new AbortController();
    const hangUp = (): void => controller.abort();
    this.#live.add(controller);
    if (this.#closed) controller.abort(closing());
    const callOff = this.#connections.whenOver(request.raw, reply.raw, hangUp);
    try {
      return await work(controller.signal);
    } finally {
      this.#live.delete(controller);
      callOff();
    }
  }

  async #answer(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const bytes = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    const address = addressKey(request.ip);
    let body;
    try {
      body = readBody(bytes, this.#limits.batchCalls);
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      this.#options.observer?.refused(error.name);
      return refuse(reply, error, 200);
    }
    const calls = body.calls.length;
    if (calls > 1) await this.#addressRate.spend(address, calls - 1);
    const caller = needsSignature(body) ? await this.#caller(request, bytes, address, calls) : {};
    const { service, log, observer } = this.#options;
    const onCall = observer && observer.called.bind(observer);
    const answers = await this.#whileHeard(request, reply, (signal) =>
      answerBody(body, { handlers: service.handlers, caller, signal, log, onCall }),
    );
    if (answers === undefined) await reply.code(204).send();
    else await reply.type('application/json').send(JSON.stringify(answers));
  }

  /** The caller, or why nobody is: an open call of the same batch is answered anyway. Throws only `rate_limited`. */
  async #caller(
    request: FastifyRequest,
    body: Uint8Array,
    address: string,
    calls: number,
  ): Promise<Caller | RpcError> {
    const { method, url: path = '' } = request.raw;
    try {
      const parts = { method: method ?? '', path, body, headers: request.headers, address, calls };
      return (await this.#authenticator.authenticate(parts)).caller;
    } catch (error) {
      if (error instanceof RpcError && error.name !== 'rate_limited') return error;
      throw error;
    }
  }
}

/** A server that is not listening yet. */
export function createRpcServer(options: RpcServerOptions): RpcServer {
  return new HttpServer(options);
}
