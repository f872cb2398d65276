// The typed client of a coordinator's JSON-RPC. What comes back is held to the schema of its method and to a size; what
// it means is for the caller to verify from the records in it (verify.ts).
import * as z from 'zod';
import { networkIdSchema } from '../protocol/records/fields.ts';
import type { Envelope, Signer } from '../protocol/records/envelope.ts';
import { type MethodName, methods, type Params, type Result } from '../protocol/rpc.ts';
import { startDeadline } from './deadline.ts';
import { type HttpSettings, parseJson, readAddress, readBody, send } from './http.ts';
import { badResponse, errorOfStatus, errorOfValue, oneLine, RpcClientError } from './rpc-error.ts';
import { type EventStreamName, type SequencedEvent, watch, type WatchOptions } from './watch.ts';

export interface ClientOptions {
  /** The coordinator's address, http or https. */
  readonly url: string;
  readonly networkId: string;
  /** Signs the HTTP requests of methods that are not open. */
  readonly signer?: Signer;
  /** A connector's grant by its party, for every call that is signed: it may read what its keyring's requests are, too. */
  readonly grant?: Envelope;
  /** Default: the runtime's. */
  readonly fetch?: typeof fetch;
  /** Milliseconds since 1970; default: the machine's clock. */
  readonly now?: () => number;
  /** Milliseconds a call may take (`sign_wait`: beyond what it waits for); default 15 s. */
  readonly timeoutMs?: number;
  /** Milliseconds of silence after which an event stream counts as broken; default 60 s. */
  readonly silenceMs?: number;
  /** Largest answer in bytes; default 32 MiB. */
  readonly maxResponseBytes?: number;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
}

export interface Client {
  /** Calls a method. Throws RpcClientError, or the signal's reason when it aborts. */
  call<Name extends MethodName>(
    name: Name,
    params: Params<Name>,
    options?: CallOptions,
  ): Promise<Result<Name>>;
  /** Events of a stream after a sequence number, over one connection: see `watch`. */
  events(
    stream: EventStreamName,
    after: number,
    options: WatchOptions,
  ): AsyncGenerator<SequencedEvent, void, undefined>;
}

/** Where the JSON-RPC server listens, below the coordinator's address. */
export const rpcPath = 'rpc';

const answerSchema = z.union([
  z.object({
    jsonrpc: z.literal('2.0'),
    id: z.union([z.int(), z.null()]),
    error: z.unknown().refine((e) => e !== undefined),
  }),
  z.object({ jsonrpc: z.literal('2.0'), id: z.int(), result: z.unknown() }),
]);

/**
 * A client of one coordinator. It opens no connection until it is used and holds none that needs closing.
 *
 * @throws {RpcClientError} `unreachable` when the address is none, `invalid_params` for a malformed network id
 */
export function createClient(options: ClientOptions): Client {
  const network = networkIdSchema.safeParse(options.networkId);
  if (!network.success) {
    throw new RpcClientError(
      'invalid_params',
      'the network id is malformed',
      'a network id is 3 to 40 of a-z, 0-9 and -',
    );
  }
  const settings: HttpSettings = {
    base: readAddress(options.url),
    networkId: network.data,
    // Called unbound, as browsers demand.
    fetch: options.fetch ?? ((input, init) => fetch(input, init)),
    now: options.now ?? Date.now,
    ...(options.signer && { signer: options.signer }),
    ...(options.grant && { grant: options.grant }),
  };
  const { timeoutMs = 15_000, silenceMs = 60_000, maxResponseBytes = 32 * 1024 * 1024 } = options;
  const where = settings.base.href;
  let lastId = 0;

  async function call<Name extends MethodName>(
    name: Name,
    params: Params<Name>,
    { signal: outer }: CallOptions = {},
  ): Promise<Result<Name>> {
    const checked = methods[name].params.safeParse(params);
    if (!checked.success) {
      const detail = `${name}: ${oneLine(z.prettifyError(checked.error))}`;
      throw new RpcClientError('invalid_params', detail, 'correct the parameters');
    }
    const id = (lastId += 1);
    const wait = timeoutMs + (name === 'sign_wait' ? (params as Params<'sign_wait'>).timeoutMs : 0);
    const deadline = startDeadline(
      outer,
      wait,
      () =>
        new RpcClientError('timeout', `${where} did not answer ${name} within ${wait} ms`, 'try again later'),
    );
    try {
      const response = await send(settings, {
        method: 'POST',
        path: rpcPath,
        access: methods[name].access,
        headers: { 'content-type': 'application/json', accept: 'application/json' },
        body: new TextEncoder().encode(JSON.stringify({ jsonrpc: '2.0', id, method: name, params })),
        signal: deadline.signal,
      });
      const body = await readBody(response, maxResponseBytes, where, deadline.signal);
      return readAnswer(name, id, response, body);
    } finally {
      deadline.end();
    }
  }

  function readAnswer<Name extends MethodName>(
    name: Name,
    id: number,
    response: Response,
    body: Uint8Array,
  ): Result<Name> {
    const value = parseJson(body);
    const answer = answerSchema.safeParse(value);
    if (!answer.success) {
      // An error outside JSON-RPC: the server's HTTP layer, or a proxy in front of it.
      if (response.ok) throw badResponse(where, `to ${name} is not JSON-RPC 2.0`);
      const inner = (value as { error?: unknown } | null | undefined)?.error;
      const described = errorOfValue(inner, settings.now()) ?? errorOfValue(value, settings.now());
      throw described ?? errorOfStatus(where, response.status, response.headers.get('retry-after'));
    }
    if ('error' in answer.data) {
      const described = errorOfValue(answer.data.error, settings.now());
      throw described ?? badResponse(where, `to ${name} is an error without a known code`);
    }
    if (answer.data.id !== id) throw badResponse(where, `to ${name} belongs to another call`);
    const result = methods[name].result.safeParse(answer.data.result);
    if (!result.success)
      throw badResponse(where, `to ${name} is malformed: ${z.prettifyError(result.error)}`);
    return result.data as Result<Name>;
  }

  return {
    call,
    events: (stream, after, watchOptions) =>
      watch(settings, { timeoutMs, silenceMs }, stream, after, watchOptions),
  };
}
