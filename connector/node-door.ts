// The connector's questions to its node, over whatever carries bytes to the node's door.
import type * as z from 'zod';
import { DOOR_MAX_MESSAGE_BYTES } from '../protocol/door.ts';
import { doorErrorSchema, type DoorRequest, doorResponseSchemas } from '../protocol/door-messages.ts';

/** Carries one request to the node and its answer back. Bounds both, and the time; throws when there is no answer. */
export interface Door {
  start(): Promise<void>;
  stop(): Promise<void>;
  request(bytes: Uint8Array, options: { signal: AbortSignal }): Promise<Uint8Array>;
}

export type NodeErrorCode =
  | 'unreachable' // no answer: the node is away, busy, or does not admit this connector
  | 'bad_response' // an answer that no node of this version gives
  | 'refused' // the node's own error
  | 'too_large'; // larger than the door lets through

export class NodeError extends Error {
  override readonly name = 'NodeError';
  readonly code: NodeErrorCode;
  /** Whether the same question may succeed later. */
  readonly retry: boolean;
  /** What exactly it was: the node's own code, or the door's. */
  readonly reason: string;
  constructor(
    code: NodeErrorCode,
    message: string,
    retry: boolean,
    more: { reason?: string; cause?: unknown } = {},
  ) {
    super(message, more.cause === undefined ? {} : { cause: more.cause });
    this.code = code;
    this.retry = retry;
    this.reason = more.reason ?? code;
  }
}

type Method = DoorRequest['method'];
export type NodeAnswer<Name extends Method> = z.output<(typeof doorResponseSchemas)[Name]>;

/** Asks the node. Throws NodeError, or the signal's reason. */
export async function askNode<Name extends Method>(
  door: Door,
  request: Extract<DoorRequest, { method: Name }>,
  signal: AbortSignal,
): Promise<NodeAnswer<Name>> {
  const bytes = new TextEncoder().encode(JSON.stringify(request));
  if (bytes.length > DOOR_MAX_MESSAGE_BYTES) {
    const message = `the message has ${bytes.length} bytes, the node's door takes ${DOOR_MAX_MESSAGE_BYTES}`;
    throw new NodeError('too_large', message, false);
  }
  let answer: Uint8Array;
  try {
    answer = await door.request(bytes, { signal });
  } catch (cause) {
    signal.throwIfAborted();
    const { code, message } = cause as { code?: unknown; message?: unknown };
    const more = { cause, ...(typeof code === 'string' && { reason: code }) };
    throw new NodeError('unreachable', String(message), true, more);
  }
  return readAnswer(request.method as Name, answer);
}

function readAnswer<Name extends Method>(method: Name, bytes: Uint8Array): NodeAnswer<Name> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new NodeError(
      'bad_response',
      `the node's answer to ${method} is not JSON: compare the versions`,
      true,
    );
  }
  const refused = doorErrorSchema.safeParse(value);
  if (refused.success) {
    const { code, message, retry } = refused.data.error;
    throw new NodeError('refused', message, retry, { reason: code });
  }
  const parsed = doorResponseSchemas[method].safeParse(value);
  if (!parsed.success) {
    throw new NodeError(
      'bad_response',
      `the node's answer to ${method} is malformed: compare the versions`,
      true,
    );
  }
  return parsed.data as NodeAnswer<Name>;
}
