// One HTTP exchange with a coordinator: signed where the method asks for it, never redirected, and read no further than
// its limit. Web standards only, so that it runs in browsers too.
import type { Envelope, Signer } from '../protocol/records/envelope.ts';
import type { Access } from '../protocol/rpc.ts';
import { signHttp } from '../protocol/signed-http.ts';
import { badResponse, errorOfStatus, errorOfValue, RpcClientError } from './rpc-error.ts';

export interface HttpSettings {
  /** The coordinator's address; methods and streams are below it. */
  readonly base: URL;
  readonly networkId: string;
  readonly signer?: Signer;
  readonly grant?: Envelope;
  readonly fetch: typeof fetch;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface Exchange {
  readonly method: 'GET' | 'POST';
  /** Below the base address, without a leading slash. */
  readonly path: string;
  readonly access: Access;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** Its reason is what is thrown when it aborts. */
  readonly signal: AbortSignal;
}

/**
 * The address of a coordinator, in a form to which paths can be appended.
 *
 * @throws {RpcClientError} `unreachable` when it is not an http or https address without credentials and query
 */
export function readAddress(text: string): URL {
  const remedy = 'give an address like https://coordinator.example:7000';
  const base = URL.canParse(text) ? new URL(text) : undefined;
  if (base === undefined || !/^https?:$/.test(base.protocol)) {
    throw new RpcClientError('unreachable', 'the coordinator address is not an http or https URL', remedy);
  }
  if (base.username !== '' || base.password !== '' || base.search !== '' || base.hash !== '') {
    throw new RpcClientError(
      'unreachable',
      'the coordinator address has a user, password, query or fragment',
      remedy,
    );
  }
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  return base;
}

function signatureHeaders(settings: HttpSettings, exchange: Exchange, url: URL): Record<string, string> {
  const { access, method } = exchange;
  if (access === 'open') return {};
  const { signer, grant, networkId } = settings;
  if (signer === undefined) {
    throw new RpcClientError('unauthenticated', 'this call must be signed', 'give the client a signer');
  }
  if (access === 'connector' && grant === undefined) {
    throw new RpcClientError(
      'forbidden',
      'this call is for connectors',
      "give the client its party's connector.grant",
    );
  }
  const parts = {
    networkId,
    method,
    path: url.pathname + url.search,
    body: exchange.body ?? new Uint8Array(0),
  };
  const nonce = crypto.getRandomValues(new Uint8Array(16));
  return signHttp(parts, signer, settings.now(), nonce, grant);
}

/** Why a connection failed, in the runtime's own short code (`ECONNREFUSED`), where it tells one. */
function reasonOf(error: unknown): string {
  const code = (error as { cause?: { code?: unknown } }).cause?.code;
  return typeof code === 'string' && /^[A-Z0-9_]{1,40}$/.test(code) ? ` (${code})` : '';
}

/** The error for a connection that cannot be made, or that broke. */
export function unreachable(where: string, error: unknown): RpcClientError {
  const reason = reasonOf(error);
  if (reason.includes('ERR_SSL')) {
    return new RpcClientError(
      'unreachable',
      `what answers at ${where} speaks no TLS that this end understands${reason}`,
      'check whether its address begins with http:// or https://, and the port',
    );
  }
  return new RpcClientError(
    'unreachable',
    `cannot reach the coordinator at ${where}${reason}`,
    'check the address, the network, and that the coordinator runs there',
    { cause: error },
  );
}

/** Sends a request; the answer's status and body are still unread. Throws RpcClientError, or the signal's reason. */
export async function send(settings: HttpSettings, exchange: Exchange): Promise<Response> {
  const { method, body, signal } = exchange;
  const url = new URL(exchange.path, settings.base);
  const headers = { ...exchange.headers, ...signatureHeaders(settings, exchange, url) };
  let response: Response;
  try {
    response = await settings.fetch(url.href, {
      method,
      headers,
      signal,
      redirect: 'manual',
      credentials: 'omit',
      ...(body && { body: new Uint8Array(body) }),
    });
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw unreachable(settings.base.href, error);
  }
  if (response.type === 'opaqueredirect' || (response.status >= 300 && response.status < 400)) {
    await discard(response);
    throw badResponse(
      settings.base.href,
      'is a redirect, which is not followed: use the address it leads to',
    );
  }
  return response;
}

/** Closes the connection of an answer that will not be read. */
export async function discard(response: Response): Promise<void> {
  try {
    await response.body?.cancel();
  } catch {
    // The connection was broken already.
  }
}

/**
 * The body of an answer, at most `maxBytes` long: what is larger is not read to its end.
 *
 * @throws {RpcClientError} `bad_response` when it is larger, `unreachable` when the connection breaks; or the reason of
 * the signal
 */
export async function readBody(
  response: Response,
  maxBytes: number,
  where: string,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (response.body === null) return new Uint8Array(0);
  const reader = response.body.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      length += value.length;
      if (length > maxBytes) throw badResponse(where, `has more than ${maxBytes} bytes`);
      chunks.push(value);
    }
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw error instanceof RpcClientError ? error : unreachable(where, error);
  } finally {
    // Also after an error: what is left of the answer is not wanted.
    await reader.cancel().catch(() => undefined);
  }
  const body = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    body.set(chunk, offset);
    offset += chunk.length;
  }
  return body;
}

/**
 * Records are long strings, so honest answers have few values for their size. Validating millions of tiny ones would
 * cost a hundred times the memory that the answer itself took.
 */
const maxValues = 400_000;

function fewValues(value: unknown): boolean {
  const open: unknown[] = [value];
  let count = 1;
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (typeof next !== 'object' || next === null) continue;
    for (const child of Object.values(next)) {
      count += 1;
      if (count > maxValues) return false;
      open.push(child);
    }
  }
  return true;
}

/** The JSON value of a body, or undefined when it is none or has too many parts. */
export function parseJson(body: Uint8Array): unknown {
  try {
    const value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body)) as unknown;
    return fewValues(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const maxErrorBytes = 64 * 1024;

/** The error that an answer other than success is: as its body describes it, else as its status does. */
export async function readError(
  response: Response,
  where: string,
  now: number,
  signal: AbortSignal,
): Promise<RpcClientError> {
  const value = parseJson(await readBody(response, maxErrorBytes, where, signal));
  const inner = (value as { error?: unknown } | null | undefined)?.error;
  return (
    errorOfValue(inner, now) ??
    errorOfValue(value, now) ??
    errorOfStatus(where, response.status, response.headers.get('retry-after'))
  );
}
