// Why a command changes nothing.
import { RecordError } from '../../protocol/records/envelope.ts';
import type { RpcErrorName } from '../../protocol/rpc.ts';

export type StateErrorCode = Extract<
  RpcErrorName,
  | 'invalid_params'
  | 'forbidden'
  | 'not_found'
  | 'wrong_state'
  | 'stale_log_head'
  | 'expired'
  | 'bad_signature'
  | 'policy_denied'
  | 'conflicting_result'
>;

export class StateError extends Error {
  override readonly name = 'StateError';
  readonly code: StateErrorCode;
  /** What the caller can do about it. */
  readonly remedy: string;
  constructor(code: StateErrorCode, message: string, remedy: string) {
    super(message);
    this.code = code;
    this.remedy = remedy;
  }
}

/** The record's error as the coordinator tells it. */
export function recordError(error: unknown): StateError {
  const form = error instanceof RecordError && (error.code === 'malformed' || error.code === 'wrong_network');
  const code = form ? 'invalid_params' : 'bad_signature';
  return new StateError(code, (error as Error).message, 'send a record made and signed for this network');
}
