// What the coordinator refuses, in the words of protocol/rpc.ts: a stable name, what was wrong, what to do about it.
// Errors that are not an RpcError are ours: they are logged, and a caller learns nothing of them but a reference.
import type { RecordError } from '../../protocol/records/envelope.ts';
import { errorCodes, type RpcErrorData, type RpcErrorName } from '../../protocol/rpc.ts';

export class RpcError extends Error {
  override readonly name: RpcErrorName;
  readonly detail: string;
  readonly remedy: string;
  /** When to try again, where that is known. */
  readonly retryAfterMs?: number;
  /** RFC 3339: the server's clock, where a difference between clocks may be the cause. */
  readonly serverTime?: string;

  constructor(
    name: RpcErrorName,
    detail: string,
    remedy: string,
    more: { readonly retryAfterMs?: number; readonly serverTime?: string } = {},
  ) {
    super(detail);
    this.name = name;
    this.detail = detail;
    this.remedy = remedy;
    if (more.retryAfterMs !== undefined) this.retryAfterMs = more.retryAfterMs;
    if (more.serverTime !== undefined) this.serverTime = more.serverTime;
  }
}

/** The error object of JSON-RPC 2.0, section 5.1. */
export interface RpcErrorObject {
  readonly code: number;
  readonly message: string;
  readonly data: RpcErrorData;
}

/** Longest part of an error, in characters: parts of it may be the caller's own words. */
const maxWords = 1000;

/** One line of at most a thousand characters: an answer is never much larger than what it answers. */
function brief(words: string): string {
  const line = words.replaceAll(/\s+/g, ' ').trim();
  return line.length > maxWords ? `${line.slice(0, maxWords)}...` : line;
}

export function errorObject(error: RpcError): RpcErrorObject {
  const { name, retryAfterMs, serverTime } = error;
  const detail = brief(error.detail);
  const remedy = brief(error.remedy);
  return {
    code: errorCodes[name],
    message: detail,
    data: {
      code: name,
      detail,
      remedy,
      ...(retryAfterMs !== undefined && { retryAfterMs }),
      ...(serverTime !== undefined && { serverTime }),
    },
  };
}

/** What a caller hears when a record that it sent does not verify. */
export function recordRefused(error: RecordError): RpcError {
  switch (error.code) {
    case 'malformed':
    case 'wrong_network':
      return new RpcError(
        'invalid_params',
        error.message,
        'make the record for this network with a current client',
      );
    case 'bad_key':
    case 'bad_signature':
    case 'missing_signature':
    case 'wrong_about':
      return new RpcError(
        'bad_signature',
        error.message,
        'sign the record again with every key that must sign it',
      );
  }
}

/** The one answer to a fault of our own; `reference` finds the cause in the coordinator's log. */
export function internalError(reference: string): RpcError {
  return new RpcError(
    'internal_error',
    'the coordinator failed at this call',
    `send it again: the same bytes have the same effect; if it fails again, give its operator the reference ${reference}`,
  );
}

/** HTTP status where an error answers an HTTP request and not a JSON-RPC call. */
export const httpStatusOf: Readonly<Record<RpcErrorName, number>> = {
  parse_error: 400,
  invalid_request: 400,
  method_not_found: 404,
  invalid_params: 400,
  internal_error: 500,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  wrong_state: 409,
  stale_log_head: 409,
  expired: 403,
  idempotency_mismatch: 409,
  bad_signature: 403,
  policy_denied: 403,
  rate_limited: 429,
  cursor_too_old: 410,
  too_large: 413,
  conflicting_result: 409,
  unavailable: 503,
};
