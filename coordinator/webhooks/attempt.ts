// One attempt to deliver one message: signed with the time of the attempt, cut off when it takes too long.
import { anySignal } from 'any-signal';
import { webhookHeaders, webhookSignature } from '../../protocol/webhook.ts';
import type { Message } from './message.ts';
import type { Post } from './post.ts';
import type { Schedule } from './schedule.ts';

export interface Receiver {
  readonly url: string;
  /** One or two. */
  readonly secrets: readonly Uint8Array[];
}

export interface AttemptOptions {
  readonly post: Post;
  readonly schedule: Schedule;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly signal: AbortSignal;
}

export type Attempted =
  | { readonly outcome: 'delivered' | 'gone' }
  | { readonly outcome: 'refused'; readonly status: number; readonly waitMs: number }
  /** `code` of the system or of TLS; messages may show the URL. */
  | { readonly outcome: 'timeout' | 'unreachable'; readonly code: string };

/** Headers of an attempt at `now`. */
function headersOf(
  { id, body }: Message,
  secrets: readonly Uint8Array[],
  now: number,
): Record<string, string> {
  const timestamp = Math.floor(now / 1000);
  return {
    'content-type': 'application/json',
    'user-agent': 'countersign-webhooks',
    [webhookHeaders.id]: id,
    [webhookHeaders.timestamp]: String(timestamp),
    [webhookHeaders.signature]: secrets
      .map((secret) => webhookSignature(secret, id, timestamp, body))
      .join(' '),
  };
}

/** Only an answer of 2xx means that the message was taken. Throws the signal's reason, and nothing else. */
export async function attempt(
  message: Message,
  { url, secrets }: Receiver,
  { post, schedule, now, signal }: AttemptOptions,
): Promise<Attempted> {
  const cut = new AbortController();
  const over = new AbortController();
  const untilOver = anySignal([over.signal, signal]);
  const timer = schedule.sleep(schedule.attemptMs, untilOver).then(
    () => cut.abort(),
    () => undefined,
  );
  const untilCut = anySignal([cut.signal, signal]);
  try {
    const headers = headersOf(message, secrets, now());
    const { status, waitMs } = await post(url, { headers, body: message.body, signal: untilCut });
    if (status >= 200 && status < 300) return { outcome: 'delivered' };
    return status === 410 ? { outcome: 'gone' } : { outcome: 'refused', status, waitMs };
  } catch (error) {
    signal.throwIfAborted();
    if (cut.signal.aborted) return { outcome: 'timeout', code: 'timeout' };
    const { code } = error as NodeJS.ErrnoException;
    return { outcome: 'unreachable', code: typeof code === 'string' ? code : 'unknown' };
  } finally {
    over.abort();
    await timer;
    untilOver.clear();
    untilCut.clear();
  }
}
