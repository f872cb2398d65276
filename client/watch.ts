// Watches an event stream of a coordinator over one HTTP connection. It ends when the connection does: to go on after
// the last event that was handled is the caller's decision.
import * as z from 'zod';
import type { Hex } from '../protocol/hex.ts';
import { type CoordinatorEvent, eventSchema } from '../protocol/rpc.ts';
import { startDeadline } from './deadline.ts';
import { EventParser, EventStreamError, type ServerSentEvent } from './event-stream.ts';
import { discard, type HttpSettings, parseJson, readError, send, unreachable } from './http.ts';
import { badResponse, errorOfValue, RpcClientError } from './rpc-error.ts';

export interface EventStreamName {
  readonly kind: 'keyring' | 'workspace';
  readonly id: Hex;
}

export interface SequencedEvent {
  /** Gapless from 1 within a stream: the cursor from which to resume. */
  readonly sequence: number;
  readonly event: CoordinatorEvent;
}

export interface WatchOptions {
  readonly signal: AbortSignal;
  /** Called once the coordinator has accepted the watch, before the first event. */
  readonly onOpen?: () => void;
}

export interface WatchLimits {
  /** Milliseconds until the coordinator must have begun to answer. */
  readonly timeoutMs: number;
  /** Milliseconds of silence, comments included, after which the connection counts as broken. */
  readonly silenceMs: number;
}

/** Events are small: the largest holds a reason in words. */
const parserLimits = { maxLine: 64 * 1024, maxEvent: 64 * 1024 };

function readEvent(received: ServerSentEvent, previous: number, where: string, now: number): SequencedEvent {
  if (received.type === 'error') {
    // The coordinator's last word on a stream that it ends.
    const described = errorOfValue(parseJson(new TextEncoder().encode(received.data)), now);
    throw described ?? badResponse(where, 'ends with an error that does not say why');
  }
  const sequence = /^[0-9]{1,16}$/.test(received.id) ? Number(received.id) : NaN;
  if (sequence !== previous + 1) {
    throw badResponse(where, `has an event with id '${received.id}' after event ${previous}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(received.data);
  } catch {
    throw badResponse(where, `has an event ${sequence} that is not JSON`);
  }
  const event = eventSchema.safeParse(value);
  if (!event.success)
    throw badResponse(where, `has a malformed event ${sequence}: ${z.prettifyError(event.error)}`);
  return { sequence, event: event.data };
}

/**
 * Events of a stream after the sequence number `after`, as they happen. Returns when the coordinator ends the stream.
 *
 * @throws {RpcClientError} `cursor_too_old` when events after `after` are no longer kept, `timeout` after too long a
 * silence, `unreachable` when the connection breaks, `bad_response` for what is no event; or the reason of the signal
 */
export async function* watch(
  settings: HttpSettings,
  limits: WatchLimits,
  stream: EventStreamName,
  after: number,
  { signal: outer, onOpen }: WatchOptions,
): AsyncGenerator<SequencedEvent, void, undefined> {
  const where = settings.base.href;
  const silent = (milliseconds: number) => () =>
    new RpcClientError(
      'timeout',
      `${where} was silent for ${milliseconds} ms`,
      'connect again from the last event',
    );
  const opening = startDeadline(outer, limits.timeoutMs, silent(limits.timeoutMs));
  const reading = startDeadline(opening.signal, limits.silenceMs, silent(limits.silenceMs));
  reading.pause();
  const { signal } = reading;
  try {
    const response = await send(settings, {
      method: 'GET',
      path: `v1/${stream.kind}s/${stream.id}/events`,
      access: stream.kind === 'keyring' ? 'connector' : 'signed',
      headers: { accept: 'text/event-stream', 'last-event-id': String(after) },
      signal,
    });
    if (response.status !== 200) throw await readError(response, where, settings.now(), signal);
    const type = response.headers.get('content-type') ?? '';
    if (!/^text\/event-stream\b/i.test(type) || response.body === null) {
      await discard(response);
      throw badResponse(where, `is no event stream but '${type}'`);
    }
    opening.pause();
    onOpen?.();
    const reader: ReadableStreamDefaultReader<Uint8Array> = response.body.getReader();
    const parser = new EventParser(parserLimits);
    let previous = after;
    try {
      for (;;) {
        reading.restart();
        const { done, value } = await reader.read();
        // Only the coordinator's silence counts, not the time the caller takes.
        reading.pause();
        if (done) return;
        for (const received of parser.push(value)) {
          const next = readEvent(received, previous, where, settings.now());
          previous = next.sequence;
          yield next;
        }
      }
    } finally {
      await reader.cancel().catch(() => undefined);
    }
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof RpcClientError) throw error;
    if (error instanceof EventStreamError) throw badResponse(where, `cannot be read: ${error.message}`);
    throw unreachable(where, error);
  } finally {
    reading.end();
    opening.end();
  }
}
