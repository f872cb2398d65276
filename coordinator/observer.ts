// What the coordinator tells whoever counts. No method may throw, nor wait.
import type { StoredRequest } from './state/request.ts';

export interface ServiceObserver {
  /** A request was stored; `before`: what it was, undefined when it is new. */
  changed(request: StoredRequest, before: StoredRequest | undefined): void;
  /** A sweep of ended requests and old events is over. */
  swept(outcome: 'done' | 'failed', ms: number): void;
}

export interface RpcObserver {
  /** A call was answered: with the name of its error, or `ok`. */
  called(method: string, code: string, ms: number): void;
  /** An HTTP request was answered with this error before it was a call. */
  refused(code: string): void;
  /** A connection was closed because there are too many. */
  connectionRefused(): void;
}

/** What became of an attempt to deliver a webhook's message, or of events that will not be sent. */
export type WebhookOutcome =
  'delivered' | 'refused' | 'timeout' | 'unreachable' | 'gone' | 'dropped' | 'lost';

export interface WebhookObserver {
  attempted(webhook: string, outcome: WebhookOutcome): void;
}
