// Serves one process's metrics, and nothing else: GET /metrics on a port of its own. Small and bounded, so that whoever reaches it can
// neither learn more nor cost more than a scrape.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { parseMetricsAddress } from './listen.ts';

export interface MetricsServerOptions {
  /** `host:port`. */
  readonly listen: string;
  /** All metrics in Prometheus' text format. */
  readonly text: () => Promise<string>;
}

export interface MetricsServer {
  /** With the port that it listens on: `http://127.0.0.1:9464/metrics`. */
  readonly url: string;
  /** Closes every connection, and returns when all are closed. */
  stop(): Promise<void>;
}

export class MetricsError extends Error {
  override readonly name = 'MetricsError';
  readonly code: 'bad_address' | 'not_listening';
  constructor(code: MetricsError['code'], message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.code = code;
  }
}

/** Prometheus keeps one connection, or two when it is doubled. */
export const maxConnections = 16;
const timeouts = { headersTimeout: 5000, requestTimeout: 5000, connectionsCheckingInterval: 1000 };
/** A scraper comes again every 15 s or so: its connection may stay open. */
const keepAliveMs = 65_000;
const maxHeaderBytes = 8 * 1024;

const contentType = 'text/plain; version=0.0.4; charset=utf-8';

/** Starts to listen. Throws MetricsError in one line that says what to do. */
export async function startMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  const address = parseMetricsAddress(options.listen);
  if (address === undefined)
    throw new MetricsError('bad_address', `${options.listen} is no address like 127.0.0.1:9464`);
  /** The scrape under way: those who come meanwhile get the same text. */
  let scrape: Promise<string> | undefined;
  const text = (): Promise<string> => (scrape ??= options.text().finally(() => (scrape = undefined)));

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const plain = (status: number, words: string, headers: Record<string, string> = {}): void => {
      response.writeHead(status, {
        'content-type': 'text/plain; charset=utf-8',
        'content-length': Buffer.byteLength(words),
        'x-content-type-options': 'nosniff',
        connection: 'close',
        ...headers,
      });
      response.end(words);
    };
    if (request.url?.split('?', 1)[0] !== '/metrics') return plain(404, 'only GET /metrics is served here\n');
    if (request.method !== 'GET') return plain(405, 'only GET is served here\n', { allow: 'GET' });
    try {
      const body = await text();
      plain(200, body, {
        'content-type': contentType,
        connection: 'keep-alive',
        'cache-control': 'no-store',
      });
    } catch {
      plain(500, 'the metrics could not be read\n');
    }
  };
  /** Connections on which an answer is under way. */
  const answering = new WeakSet<Socket>();
  const server = createServer({ ...timeouts, maxHeaderSize: maxHeaderBytes }, (request, response) => {
    const { socket } = request;
    // No scraper asks before it has its answer. Whoever does would have thousands of answers in memory that it never reads.
    if (answering.has(socket)) return void socket.destroy();
    answering.add(socket);
    response.once('close', () => answering.delete(socket));
    request.resume(); // A body is not looked at.
    response.on('error', () => undefined);
    void answer(request, response).catch(() => response.destroy());
  });
  server.maxConnections = maxConnections;
  server.keepAliveTimeout = keepAliveMs;
  server.setTimeout(keepAliveMs);
  // Who was turned away comes again: a scrape does not stay locked out by connections on which nothing is asked.
  server.on('drop', () => server.closeIdleConnections());
  server.on('clientError', (_error, socket) => socket.destroy());
  const { host, port } = address;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code ?? error.message;
      const remedy = 'configure another address under metrics.listen';
      reject(
        new MetricsError(
          'not_listening',
          `cannot serve metrics at ${options.listen} (${why}): ${remedy}`,
          error,
        ),
      );
    });
    server.listen({ host, port }, resolve);
  });
  server.on('error', () => undefined);
  const bound = server.address() as AddressInfo;
  const name = host.includes(':') ? `[${host}]` : host;
  return {
    url: `http://${name}:${bound.port}/metrics`,
    stop: async () => {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      server.closeAllConnections();
      await closed;
    },
  };
}

type Log = (event: string, fields: Record<string, unknown>) => void;

/**
 * As `startMetricsServer`, for a process that must run with metrics or without: why there are none is logged, and the
 * answer is undefined then.
 */
export async function serveMetrics(
  options: MetricsServerOptions & { readonly log: Log },
): Promise<MetricsServer | undefined> {
  const { log } = options;
  try {
    const server = await startMetricsServer(options);
    log('metrics.listening', { url: server.url });
    return server;
  } catch (error) {
    log('metrics.failed', { level: 'error', listen: options.listen, detail: (error as Error).message });
    return undefined;
  }
}
