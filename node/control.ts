// Local control of a running node: newline-delimited JSON over a Unix socket that only the node's own user can open. One
// request and one response a line: {method, params?} -> {ok: true, result} | {ok: false, error: {code, message}}.
import { chmod, lstat, rm, stat } from 'node:fs/promises';
import { type Server, type Socket, connect, createServer } from 'node:net';
import * as z from 'zod';
import { ControlError, chooseControlPath, possibleControlPaths } from './control-path.ts';

export { ControlError, type ControlErrorCode } from './control-path.ts';

/** A workspace's log is the longest that an operator hands in. */
const maxRequestBytes = 2 * 1024 * 1024;
const maxResponseBytes = 4 * 1024 * 1024;
const maxConnections = 16;
const defaultDeadlineMs = 10_000;
/** For a caller to take the last answer. */
const lingerMs = 1000;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const requestSchema = z.strictObject({ method: z.string().max(100), params: z.unknown().optional() });
const responseSchema = z.discriminatedUnion('ok', [
  z.strictObject({ ok: z.literal(true), result: z.unknown().optional() }),
  z.strictObject({ ok: z.literal(false), error: z.strictObject({ code: z.string(), message: z.string() }) }),
]);
type Response = z.infer<typeof responseSchema>;

/** Answers a method; what it throws is told to the caller by its message, and by its `code` if it has one. */
export type ControlHandler = (params: unknown) => Promise<unknown>;

export interface ControlOptions {
  /** The node's data folder, which must exist. */
  readonly dir: string;
  readonly handlers: Readonly<Record<string, ControlHandler>>;
  readonly log: (event: string, fields: Record<string, unknown>) => void;
  /** How long a connection may take over one request, its answer included; in milliseconds. Default 10 s. */
  readonly deadlineMs?: number;
  /** Default: process.env. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

export interface Control {
  readonly path: string;
  stop(): Promise<void>;
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

function failure(code: string, message: string): Response {
  return { ok: false, error: { code, message: oneLine(message) } };
}

async function answer(line: Uint8Array, options: ControlOptions): Promise<Response> {
  let value: unknown;
  try {
    value = JSON.parse(utf8.decode(line));
  } catch {
    return failure('malformed', 'the request is not JSON in UTF-8');
  }
  const parsed = requestSchema.safeParse(value);
  if (!parsed.success) return failure('malformed', 'a request is {"method": string, "params"?: any}');
  const { method, params } = parsed.data;
  const known = Object.keys(options.handlers);
  const handler = known.includes(method) ? options.handlers[method] : undefined;
  if (handler === undefined)
    return failure('unknown_method', `no such method: use one of ${known.join(', ')}`);
  try {
    return { ok: true, result: await handler(params) };
  } catch (error) {
    const { code, message } = error as { code?: unknown; message?: unknown };
    options.log('control.failed', { method, reason: oneLine(String(message)) });
    return failure(typeof code === 'string' ? code : 'failed', String(message));
  }
}

/** Returns when the caller has taken what was written, or is gone: nothing more is done for one who does not read. */
async function write(socket: Socket, response: Response): Promise<void> {
  if (socket.write(`${JSON.stringify(response)}\n`) || socket.destroyed) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      socket.off('drain', done).off('close', done);
      resolve();
    };
    socket.on('drain', done).on('close', done);
  });
}

/** Answers the requests of one connection, one after the other. Nothing that arrives can make it throw. */
function serve(socket: Socket, options: ControlOptions): void {
  const { deadlineMs = defaultDeadlineMs } = options;
  let received = Buffer.alloc(0);
  let busy = false;
  let half = false;
  let ended = false;
  let timer: NodeJS.Timeout | undefined;
  const restart = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => end(failure('deadline', `not done within ${deadlineMs} ms`)), deadlineMs);
  };
  const end = (response: Response): void => {
    ended = true;
    received = Buffer.alloc(0);
    clearTimeout(timer);
    // A caller who does not read would keep its place for ever.
    timer = setTimeout(() => socket.destroy(), lingerMs);
    socket.end(`${JSON.stringify(response)}\n`, () => socket.destroy());
  };
  const work = async (): Promise<void> => {
    while (!ended && !socket.destroyed) {
      const lineEnd = received.indexOf(0x0a);
      if (lineEnd > maxRequestBytes || (lineEnd < 0 && received.length > maxRequestBytes)) {
        end(failure('too_large', `a request has at most ${maxRequestBytes} bytes`));
        return;
      }
      if (lineEnd < 0) {
        if (half) socket.end();
        return;
      }
      const line = received.subarray(0, lineEnd);
      received = received.subarray(lineEnd + 1);
      const response = await answer(line, options);
      if (ended) return;
      await write(socket, response);
      if (!ended) restart();
    }
  };
  const onward = (): void => {
    if (busy) return;
    busy = true;
    socket.pause();
    work()
      .catch((error: unknown) => {
        options.log('control.failed', { reason: oneLine(String(error)) });
        socket.destroy();
      })
      .finally(() => {
        busy = false;
        if (!socket.destroyed) socket.resume();
      });
  };
  socket.on('error', () => socket.destroy());
  socket.on('close', () => clearTimeout(timer));
  socket.on('data', (chunk) => {
    if (ended) return;
    received = Buffer.concat([received, chunk]);
    onward();
  });
  // A caller may close its side after its last request and still read the answer.
  socket.on('end', () => {
    half = true;
    onward();
  });
  restart();
}

/** Listens, or says that the name is taken. */
async function listen(server: Server, path: string): Promise<boolean> {
  return await new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => {
      if (error.code === 'EADDRINUSE') resolve(false);
      else
        reject(
          new ControlError('no_answer', `cannot listen at ${path} (${error.code}): check its folder`, {
            cause: error,
          }),
        );
    };
    server.once('error', onError);
    server.listen(path, () => {
      server.off('error', onError);
      resolve(true);
    });
  });
}

/** Whether `path` is a socket at which nobody listens any more: what a killed process leaves behind. */
async function isStale(path: string): Promise<boolean> {
  try {
    if (!(await lstat(path)).isSocket()) return false;
  } catch {
    return true; // Gone meanwhile.
  }
  return await new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(false);
    });
    // Other errors, as of a full queue of connections, mean that somebody does listen.
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
}

/**
 * Opens the control socket of a data folder; one that a killed process left behind is replaced.
 *
 * @throws {ControlError} `no_folder`, `unsafe_folder`, `path_too_long`, `in_use`
 */
export async function startControl(options: ControlOptions): Promise<Control> {
  const path = await chooseControlPath(options.dir, options.environment);
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    serve(socket, options);
  });
  server.maxConnections = maxConnections;
  if (!(await listen(server, path))) {
    const stale = await isStale(path);
    if (stale) await rm(path, { force: true });
    if (!stale || !(await listen(server, path))) {
      throw new ControlError('in_use', `another process runs on ${options.dir}: stop it first`);
    }
  }
  await chmod(path, 0o600);
  server.on('error', (error) => options.log('control.failed', { reason: error.message }));
  const stop = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  return { path, stop };
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** In milliseconds. Default 15 s: more than the node itself allows a request. */
  readonly timeoutMs?: number;
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

function readResponse(line: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new ControlError(
      'malformed',
      'the node gave an answer that is not JSON: compare the versions of node and command',
    );
  }
  const parsed = responseSchema.safeParse(value);
  if (!parsed.success) {
    throw new ControlError(
      'malformed',
      'the node gave no answer of ours: compare the versions of node and command',
    );
  }
  if (parsed.data.ok) return parsed.data.result;
  const { code, message } = parsed.data.error;
  throw new ControlError('refused', message, { reason: code });
}

/** One exchange at one path; undefined when nobody listens there. Rejects with the signal's reason when it aborts. */
async function exchange(
  path: string,
  request: string,
  signal: AbortSignal,
): Promise<{ readonly line: string } | undefined> {
  return await new Promise((resolve, reject) => {
    let received = '';
    const socket = connect(path, () => socket.write(request));
    const finish = (settle: () => void): void => {
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      settle();
    };
    const fail = (message: string, cause?: unknown): void =>
      finish(() => reject(new ControlError('no_answer', message, { cause })));
    const onAbort = (): void => finish(() => reject(signal.reason as Error));
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      received += chunk;
      const lineEnd = received.indexOf('\n');
      if (lineEnd >= 0) finish(() => resolve({ line: received.slice(0, lineEnd) }));
      else if (received.length > maxResponseBytes) {
        fail(`the node's answer is longer than ${maxResponseBytes} bytes`);
      }
    });
    socket.on('end', () => fail('the node hung up: look at its log, then try again'));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const nobody = error.code === 'ENOENT' || error.code === 'ECONNREFUSED';
      if (nobody) finish(() => resolve(undefined));
      else fail(`no connection to the node (${error.code}): run this as the node's own user`, error);
    });
  });
}

/** Sockets of other users are not looked for: their node may well run. */
async function notRunning(dir: string): Promise<string> {
  const own = process.getuid?.();
  const owner = await stat(dir).then(
    ({ uid }) => uid,
    () => own,
  );
  if (owner === own) return `no node runs on ${dir}: start it with countersign node start --dir ${dir}`;
  return `no node of user ${own} runs on ${dir}, which belongs to user ${owner}: run this as that user, with its XDG_RUNTIME_DIR`;
}

/**
 * Calls a method of the node that runs on data folder `dir`, and returns its result as it came: the caller checks it.
 *
 * @throws {ControlError} `not_running`, `no_answer`, `malformed`, `refused`, and those of the socket's path; or the
 * reason of the signal
 */
export async function callControl(
  dir: string,
  method: string,
  params?: unknown,
  { signal, timeoutMs = 15_000, environment }: CallOptions = {},
): Promise<unknown> {
  const request = `${JSON.stringify({ method, ...(params !== undefined && { params }) })}\n`;
  const ended = new AbortController();
  const late = 'the node did not answer in time: look at its log, then try again';
  const timer = setTimeout(() => ended.abort(new ControlError('no_answer', late)), timeoutMs);
  const follow = (): void => ended.abort(signal?.reason);
  signal?.addEventListener('abort', follow, { once: true });
  if (signal?.aborted === true) follow();
  try {
    for (const path of await possibleControlPaths(dir, environment)) {
      const exchanged = await exchange(path, request, ended.signal);
      if (exchanged !== undefined) return readResponse(exchanged.line);
    }
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', follow);
  }
  throw new ControlError('not_running', await notRunning(dir));
}
