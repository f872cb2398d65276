// Event streams over server-sent events (WHATWG HTML, section 9.2): `GET /v1/keyrings/<id>/events` and
// `GET /v1/workspaces/<id>/events`, signed, resumed with `Last-Event-ID` or `?after=`. The id of an event is its
// sequence in the stream. The store decides what was appended; its hints only save waiting for the next poll.
import type { ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod';
import type { Hex } from '../../protocol/hex.ts';
import { recordIdSchema, timestamp } from '../../protocol/records/fields.ts';
import { type Store, StoreError, type StreamEvent } from '../store/store.ts';
import type { Authenticator, Authenticated } from './authenticate.ts';
import { errorObject, RpcError } from './error.ts';
import type { CoordinatorService, StreamName } from './handlers.ts';
import { type Log, toRpcError } from './json-rpc.ts';
import { Quota, type RpcLimits } from './limits.ts';

export interface EventStreamsOptions {
  readonly store: Pick<Store, 'read' | 'watch'>;
  readonly service: Pick<CoordinatorService, 'mayRead'>;
  readonly authenticator: Authenticator;
  readonly now: () => number;
  readonly log: Log;
  readonly limits: RpcLimits;
  /** Milliseconds between comments on a silent stream, and between looks at whether its reader may still read. */
  readonly heartbeatMs: number;
  /** Milliseconds for a reader to take what was written. */
  readonly drainMs: number;
  /** Milliseconds after which the store is read without a hint. */
  readonly pollMs: number;
}

const pageSize = 100;
const cursorSchema = z
  .string()
  .regex(/^\d{1,16}$/, 'expected the sequence of an event')
  .transform(Number)
  .refine(Number.isSafeInteger, 'expected the sequence of an event');
const querySchema = z.strictObject({ after: cursorSchema.optional() });

/** Rings at most once between two waits, so that nothing that rang during a read is missed. */
class Bell {
  #rung = false;
  #wake: () => void = () => undefined;

  ring = (): void => {
    this.#rung = true;
    this.#wake();
  };

  /** Returns at the next ring, at once when it rang since the last wait, or after `milliseconds`. */
  async wait(milliseconds: number): Promise<void> {
    if (!this.#rung) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, milliseconds);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#rung = false;
  }
}

function frame({ sequence, event }: StreamEvent): string {
  const type = (event as { type?: unknown } | null)?.type;
  const name = typeof type === 'string' && /^[a-z.]{1,40}$/.test(type) ? type : 'message';
  return `id: ${sequence}\nevent: ${name}\ndata: ${JSON.stringify(event)}\n\n`;
}

/**
 * Writes, and returns when the socket has taken it: nothing is read from the store for a reader who does not read, and one
 * who has not taken it after `drainMs` is dropped.
 */
async function write(
  response: ServerResponse,
  text: string,
  { signal, drainMs }: { readonly signal: AbortSignal; readonly drainMs: number },
): Promise<void> {
  if (signal.aborted || response.write(text)) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      response.off('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(() => {
      response.destroy();
      done();
    }, drainMs);
    response.on('drain', done);
    signal.addEventListener('abort', done);
  });
}

export class EventStreams {
  readonly #options: EventStreamsOptions;
  readonly #quota: Quota;

  constructor(options: EventStreamsOptions) {
    this.#options = options;
    this.#quota = new Quota(options.limits.streamsPerCredential, options.limits.streams);
  }

  /** Streams that are open. */
  get open(): number {
    return this.#quota.sum;
  }

  /**
   * Answers a request with a stream that ends when `signal` aborts. Throws RpcError before the stream starts; after
   * that an error is the stream's last event, of type `error`.
   */
  async serve(
    kind: StreamName['kind'],
    request: FastifyRequest,
    reply: FastifyReply,
    context: { readonly address: string; readonly signal: AbortSignal },
  ): Promise<void> {
    const stream = { kind, id: readId(request) };
    const after = readCursor(request);
    const reader = await this.#options.authenticator.authenticate({
      method: 'GET',
      path: request.raw.url ?? '',
      body: new Uint8Array(0),
      headers: request.headers,
      address: context.address,
      calls: 1,
    });
    const { credential } = reader.caller;
    if (!this.#quota.take(credential)) {
      const detail = `${credential} has too many event streams open, or all have`;
      throw new RpcError('rate_limited', detail, 'close a stream, then try again', { retryAfterMs: 5000 });
    }
    try {
      await this.#options.service.mayRead(stream, reader.caller);
      const events = await this.#read(stream, after);
      reply.hijack();
      await this.#pump(reply.raw, { stream, reader, after, events, signal: context.signal });
    } finally {
      this.#quota.release(credential);
    }
  }

  async #pump(
    response: ServerResponse,
    start: {
      readonly stream: StreamName;
      readonly reader: Authenticated;
      readonly after: number;
      readonly events: readonly StreamEvent[];
      readonly signal: AbortSignal;
    },
  ): Promise<void> {
    const { stream, reader, signal } = start;
    const { heartbeatMs, drainMs, pollMs, log } = this.#options;
    const ended = new AbortController();
    const bell = new Bell();
    const paced = { signal: ended.signal, drainMs };
    const stop = (): void => {
      ended.abort();
      bell.ring();
    };
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop);
    response.on('error', stop);
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no', // nginx would hold events back
      'x-content-type-options': 'nosniff',
      connection: 'close',
    });
    const watching = this.#watch(stream, bell, ended.signal);
    try {
      await write(response, ': open\n\n', paced);
      let { after, events } = start;
      let beat = performance.now() + heartbeatMs;
      while (!ended.signal.aborted) {
        if (events.length > 0) {
          await write(response, events.map(frame).join(''), paced);
          after = events.at(-1)!.sequence;
        } else await bell.wait(Math.max(0, Math.min(pollMs, beat - performance.now())));
        if (performance.now() >= beat) {
          await this.#checkAgain(stream, reader);
          await write(response, ': beat\n\n', paced);
          beat = performance.now() + heartbeatMs;
        }
        if (!ended.signal.aborted) events = await this.#read(stream, after);
      }
    } catch (error) {
      const refused = toRpcError(error, `events of ${nameOf(stream)}`, log);
      await write(response, `event: error\ndata: ${JSON.stringify(errorObject(refused))}\n\n`, paced);
    } finally {
      signal.removeEventListener('abort', stop);
      ended.abort();
      response.end();
      await watching;
    }
  }

  /** Rights end: grants expire, owners leave. */
  async #checkAgain(stream: StreamName, { caller, grantExpires }: Authenticated): Promise<void> {
    const now = this.#options.now();
    if (grantExpires !== undefined && grantExpires <= now) {
      const detail = `the grant ended at ${timestamp(grantExpires)}`;
      throw new RpcError('expired', detail, 'let the node make a new grant', { serverTime: timestamp(now) });
    }
    await this.#options.service.mayRead(stream, caller);
  }

  async #watch(stream: StreamName, bell: Bell, signal: AbortSignal): Promise<void> {
    const { store, log } = this.#options;
    try {
      const hints = store.watch(nameOf(stream), { signal })[Symbol.asyncIterator]();
      while (!(await hints.next()).done) bell.ring();
    } catch (error) {
      log('rpc.watch_failed', { stream: nameOf(stream), error: String(error) }); // The poll goes on.
    }
  }

  async #read(stream: StreamName, after: number): Promise<readonly StreamEvent[]> {
    try {
      return await this.#options.store.read(nameOf(stream), after, pageSize);
    } catch (error) {
      if (error instanceof StoreError && (error.code === 'cursor_too_old' || error.code === 'cursor_ahead')) {
        const remedy = 'take a snapshot (connector_pending, or sign_list), then resume from its cursor';
        throw new RpcError('cursor_too_old', error.message, remedy);
      }
      if (error instanceof StoreError && error.code === 'closed') {
        throw new RpcError(
          'unavailable',
          'the coordinator is closing',
          'connect again with the last event id',
        );
      }
      throw error;
    }
  }
}

const nameOf = ({ kind, id }: StreamName): string => `${kind}s/${id}`;

function readId(request: FastifyRequest): Hex {
  const id = recordIdSchema.safeParse((request.params as { id?: unknown }).id);
  if (id.success) return id.data as Hex;
  throw new RpcError(
    'invalid_params',
    'the id in the path is not 0x and 64 hex digits',
    'name a keyring or workspace',
  );
}

/** A reader that connects again sends the header, with the query of its first request still in the address. */
function readCursor(request: FastifyRequest): number {
  const query = querySchema.safeParse({ ...(request.query as object) });
  const header = cursorSchema.optional().safeParse(request.headers['last-event-id']);
  if (query.success && header.success) return header.data ?? query.data.after ?? 0;
  const detail = query.success
    ? 'Last-Event-ID is no sequence of an event'
    : 'the query may only be ?after=<sequence>';
  throw new RpcError('invalid_params', detail, 'resume from the id of the last event, or from 0');
}
