// Why a call to a coordinator did not succeed. A coordinator's words are hostile until shown otherwise: they are cut and
// made safe to print on one line before they become part of an error.
import * as z from 'zod';
import { errorCodes, type RpcErrorData, errorDataSchema, type RpcErrorName } from '../protocol/rpc.ts';
import { timestampTolerance } from '../protocol/signed-http.ts';

/**
 * The coordinator's own error names, and what can go wrong before it answers: `unreachable` (no connection, or it
 * broke), `timeout` (no answer in time), `bad_response` (an answer that no coordinator of this version gives).
 */
export type RpcClientErrorCode = RpcErrorName | 'unreachable' | 'bad_response' | 'timeout';

export class RpcClientError extends Error {
  override readonly name = 'RpcClientError';
  readonly code: RpcClientErrorCode;
  /** What was wrong: one line, safe to print. */
  readonly detail: string;
  /** What to do about it: one line, safe to print. */
  readonly remedy: string;
  /** Milliseconds after which to try again, where the coordinator said so. */
  readonly retryAfterMs?: number;
  /** The coordinator's clock (RFC 3339), where a difference between clocks may be the cause. */
  readonly serverTime?: string;

  constructor(
    code: RpcClientErrorCode,
    detail: string,
    remedy: string,
    more: { readonly retryAfterMs?: number; readonly serverTime?: string; readonly cause?: unknown } = {},
  ) {
    super(`${detail}: ${remedy}`, more.cause === undefined ? {} : { cause: more.cause });
    this.code = code;
    this.detail = detail;
    this.remedy = remedy;
    if (more.retryAfterMs !== undefined) this.retryAfterMs = more.retryAfterMs;
    if (more.serverTime !== undefined) this.serverTime = more.serverTime;
  }
}

const maxWords = 500;

/** Text of a peer as one bounded line without characters that a terminal acts on, hides or reorders. */
export function oneLine(text: string): string {
  const cut = text.length > maxWords ? `${text.slice(0, maxWords)}...` : text;
  return cut
    .toWellFormed()
    .replace(/[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\s]+/gu, ' ')
    .trim();
}

/** An answer that no coordinator of this version gives. */
export function badResponse(where: string, what: string): RpcClientError {
  return new RpcClientError(
    'bad_response',
    `the answer of ${where} ${oneLine(what)}`,
    'check that the address is a Countersign coordinator of a version that fits this client',
  );
}

/** The error of `data` as the coordinator described it. `now` is this machine's clock, milliseconds since 1970. */
function describedError(data: RpcErrorData, now: number): RpcClientError {
  const { code, retryAfterMs, serverTime } = data;
  const more = {
    ...(retryAfterMs !== undefined && { retryAfterMs: Math.max(0, retryAfterMs) }),
    ...(serverTime !== undefined && { serverTime }),
  };
  const ahead = serverTime === undefined ? 0 : now - Date.parse(serverTime);
  if (code === 'unauthenticated' && serverTime !== undefined && Math.abs(ahead) > timestampTolerance) {
    const seconds = Math.round(Math.abs(ahead) / 1000);
    const here = new Date(now).toISOString();
    return new RpcClientError(
      code,
      `the clocks differ: the coordinator's says ${serverTime}, this machine's ${here}, ${seconds} s ${ahead > 0 ? 'ahead' : 'behind'}`,
      'set the clock that is wrong; signed calls need both within a minute of each other',
      more,
    );
  }
  return new RpcClientError(
    code,
    oneLine(data.detail) || code,
    oneLine(data.remedy) || 'ask the operator',
    more,
  );
}

const nameOfNumber = new Map<number, RpcErrorName>(
  Object.entries(errorCodes).map(([name, number]) => [number, name as RpcErrorName]),
);

/** A JSON-RPC error object, or the data of one: both are understood. */
const errorObjectSchema = z.object({ code: z.int(), message: z.string(), data: z.unknown().optional() });

/** The error that a JSON value describes, or undefined when it describes none. */
export function errorOfValue(value: unknown, now: number): RpcClientError | undefined {
  const plain = errorDataSchema.safeParse(value);
  if (plain.success) return describedError(plain.data, now);
  const object = errorObjectSchema.safeParse(value);
  if (!object.success) return undefined;
  const data = errorDataSchema.safeParse(object.data.data);
  if (data.success) return describedError(data.data, now);
  const name = nameOfNumber.get(object.data.code);
  if (name === undefined) return undefined;
  return new RpcClientError(name, oneLine(object.data.message) || name, 'the coordinator gave no advice');
}

const nameOfStatus = new Map<number, RpcErrorName>([
  [401, 'unauthenticated'],
  [403, 'forbidden'],
  [410, 'cursor_too_old'],
  [413, 'too_large'],
  [429, 'rate_limited'],
  [502, 'unavailable'],
  [503, 'unavailable'],
  [504, 'unavailable'],
]);

/** The error that an HTTP status alone tells, as from a proxy in front of the coordinator. */
export function errorOfStatus(where: string, status: number, retryAfter: string | null): RpcClientError {
  const name = nameOfStatus.get(status);
  if (name === undefined) return badResponse(where, `has HTTP status ${status} and does not say why`);
  const seconds = retryAfter !== null && /^[0-9]{1,6}$/.test(retryAfter) ? Number(retryAfter) : undefined;
  return new RpcClientError(
    name,
    `${where} answered with HTTP status ${status}`,
    name === 'unavailable' || name === 'rate_limited'
      ? 'try again later'
      : 'ask the operator of the coordinator why',
    seconds === undefined ? {} : { retryAfterMs: seconds * 1000 },
  );
}
