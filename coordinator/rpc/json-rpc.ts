// JSON-RPC 2.0 (jsonrpc.org/specification) between the bytes of a body and the handlers of methods. Calls of a batch run
// concurrently, as section 6 allows: a call that needs another's effect belongs into a later request.
import { randomBytes } from 'node:crypto';
import * as z from 'zod';
import { type MethodName, methods } from '../../protocol/rpc.ts';
import { errorObject, internalError, RpcError, type RpcErrorObject } from './error.ts';
import type { Caller, Handler, Handlers } from './handlers.ts';

export type Log = (event: string, fields: Record<string, unknown>) => void;

type CallId = string | number | null;
export type RpcResponse =
  | { readonly jsonrpc: '2.0'; readonly id: CallId; readonly result: unknown }
  | { readonly jsonrpc: '2.0'; readonly id: CallId; readonly error: RpcErrorObject };

/** A call whose form is right; `id` is undefined for a notification, which is never answered. */
interface Call {
  readonly id: CallId | undefined;
  readonly method: string;
  readonly params: unknown;
}

/** What a body holds: calls, and answers to what is no call. */
export interface Body {
  readonly batch: boolean;
  readonly calls: readonly (Call | RpcResponse)[];
}

/** No call nests deeper than a third of this. */
const maxDepth = 16;
const maxMessage = 400;

const idSchema = z.union([z.string().max(200), z.int(), z.null()]);
const callSchema = z.strictObject({
  jsonrpc: z.literal('2.0'),
  id: idSchema.optional(),
  method: z.string().max(100),
  params: z.unknown().optional(),
});

export function errorResponse(error: RpcError, id: CallId = null): RpcResponse {
  return { jsonrpc: '2.0', id, error: errorObject(error) };
}

/** Whether JSON nests deeper than the limit, by its bytes alone: nothing recursive has seen it yet. */
function tooDeep(bytes: Uint8Array): boolean {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < bytes.length; index += 1) {
    const byte = bytes[index]!;
    if (inString) {
      if (byte === 0x5c) index += 1;
      else if (byte === 0x22) inString = false;
    } else if (byte === 0x22) inString = true;
    else if (byte === 0x7b || byte === 0x5b) {
      depth += 1;
      if (depth > maxDepth) return true;
    } else if (byte === 0x7d || byte === 0x5d) depth -= 1;
  }
  return false;
}

/** The first thing wrong, with its path, in at most 400 characters: parts of it may be the caller's own words. */
function describe(error: z.ZodError, root: string): string {
  const issue = error.issues[0];
  if (issue === undefined) return root;
  const path = issue.path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('');
  const text = `${root}${path}: ${issue.message}`;
  return text.length > maxMessage ? `${text.slice(0, maxMessage)}...` : text;
}

function parseJson(bytes: Uint8Array): unknown {
  if (tooDeep(bytes)) {
    throw new RpcError(
      'too_large',
      `the body nests deeper than ${maxDepth} levels`,
      'send calls as the methods describe',
    );
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    throw new RpcError(
      'parse_error',
      'the body is not JSON in UTF-8',
      'send one call or an array of calls as JSON',
    );
  }
}

function readCall(value: unknown): Call | RpcResponse {
  const parsed = callSchema.safeParse(value);
  if (parsed.success) {
    const { id, method, params } = parsed.data;
    return { id, method, params: params ?? {} };
  }
  const id = idSchema.safeParse((value as { id?: unknown } | null)?.id);
  const remedy = 'send {"jsonrpc": "2.0", "id", "method", "params": {...}}';
  const refused = new RpcError('invalid_request', describe(parsed.error, 'call'), remedy);
  return errorResponse(refused, id.success ? id.data : null);
}

/** Throws RpcError when the body as a whole is no request. */
export function readBody(bytes: Uint8Array, batchCalls: number): Body {
  const value = parseJson(bytes);
  if (!Array.isArray(value)) return { batch: false, calls: [readCall(value)] };
  if (value.length === 0)
    throw new RpcError('invalid_request', 'the batch is empty', 'send at least one call');
  if (value.length > batchCalls) {
    const detail = `a batch of ${value.length} calls: the limit is ${batchCalls}`;
    throw new RpcError('too_large', detail, `send at most ${batchCalls} calls at once`);
  }
  const calls = value.map(readCall);
  // A hundred kilobytes each: of small calls, a batch would make an answer out of all proportion.
  if (calls.filter((entry) => isCall(entry) && entry.method === 'rpc.discover').length > 1)
    throw new RpcError('too_large', 'rpc.discover more than once in a batch', 'call it once');
  return { batch: true, calls };
}

const isCall = (entry: Call | RpcResponse): entry is Call => 'method' in entry;

const methodOf = (call: Call): MethodName | undefined =>
  Object.hasOwn(methods, call.method) ? (call.method as MethodName) : undefined;

/** Whether somebody must have signed the request for all its calls to be answered. */
export function needsSignature(body: Body): boolean {
  return body.calls.some((entry) => {
    const method = isCall(entry) ? methodOf(entry) : undefined;
    return method !== undefined && methods[method].access !== 'open';
  });
}

export interface CallContext {
  readonly handlers: Handlers;
  /** Who signed, or why nobody did; not looked at for open methods. */
  readonly caller: Caller | RpcError;
  readonly signal: AbortSignal;
  readonly log: Log;
  /** Told of each answered call, with the error's name or `ok`; must not throw. */
  readonly onCall?: ((method: string, code: string, ms: number) => void) | undefined;
}

function admit(method: MethodName, caller: Caller | RpcError): Caller {
  const { access } = methods[method];
  if (access === 'open') return {};
  if (caller instanceof RpcError) throw caller;
  if (access === 'connector' && caller.grant === undefined) {
    const remedy = 'present the connector.grant that the node made: countersign node allow-connector';
    throw new RpcError('unauthenticated', `${method} is for connectors with a party's grant`, remedy);
  }
  return caller;
}

async function run(call: Call, context: CallContext): Promise<unknown> {
  const method = methodOf(call);
  if (method === undefined) {
    const known = Object.keys(methods).join(', ');
    throw new RpcError(
      'method_not_found',
      `there is no method ${JSON.stringify(call.method)}`,
      `call one of ${known}`,
    );
  }
  const caller = admit(method, context.caller);
  const params = methods[method].params.safeParse(call.params);
  if (!params.success) {
    const remedy = `send what the schema of ${method} describes, by name and nothing else`;
    throw new RpcError('invalid_params', describe(params.error, 'params'), remedy);
  }
  const handler = context.handlers[method] as Handler<MethodName>;
  return await handler(params.data as never, caller, context.signal);
}

/** What a caller hears of an error; one that is no RpcError is logged, and named by a reference only. */
export function toRpcError(error: unknown, where: string, log: Log): RpcError {
  if (error instanceof RpcError) return error;
  const reference = randomBytes(6).toString('hex');
  log('rpc.internal_error', {
    where,
    reference,
    error: error instanceof Error ? (error.stack ?? error.message) : String(error),
  });
  return internalError(reference);
}

async function answer(entry: Call | RpcResponse, context: CallContext): Promise<RpcResponse | undefined> {
  if (!isCall(entry)) return entry;
  const { id } = entry;
  const began = performance.now();
  const called = (code: string): void =>
    context.onCall?.(methodOf(entry) ?? 'unknown', code, performance.now() - began);
  try {
    const result = await run(entry, context);
    called('ok');
    return id === undefined ? undefined : { jsonrpc: '2.0', id, result };
  } catch (error) {
    const refused = toRpcError(stopped(error, context.signal) ?? error, entry.method, context.log);
    called(refused.name);
    return id === undefined ? undefined : errorResponse(refused, id);
  }
}

/** A handler that threw what its signal told it has not failed. */
function stopped(error: unknown, signal: AbortSignal): RpcError | undefined {
  const told =
    signal.aborted && (error === signal.reason || (error as Error | undefined)?.name === 'AbortError');
  if (!told || error instanceof RpcError) return undefined;
  return new RpcError(
    'unavailable',
    'the call was cut short',
    'send it again: the same bytes have the same effect',
  );
}

/** The answer to a body; undefined when it holds notifications alone. */
export async function answerBody(
  body: Body,
  context: CallContext,
): Promise<RpcResponse | readonly RpcResponse[] | undefined> {
  const answers = await Promise.all(body.calls.map((entry) => answer(entry, context)));
  const given = answers.filter((entry) => entry !== undefined);
  return body.batch && given.length > 0 ? given : given[0];
}
