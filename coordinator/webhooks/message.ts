// What a webhook says of an event: ids and states, and nothing of what is asked for, approved or signed. Events that no
// webhook tells of, or that this version does not know, give no message.
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import * as z from 'zod';
import type { Hex } from '../../protocol/hex.ts';
import type { WebhookType } from '../../protocol/webhook.ts';
import { workspaceStream } from '../index-keys.ts';
import type { StreamEvent } from '../store/store.ts';

const told = { state: z.string(), at: z.string(), reason: z.object({ code: z.string() }).optional() };

/** As much of an event as is told of. */
const stateSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('request.state'), requestId: z.string(), kind: z.string(), ...told }),
  z.object({ type: z.literal('change.state'), changeId: z.string(), ...told }),
]);

const types: Readonly<Record<string, ReadonlyMap<string, WebhookType>>> = {
  'request.state': new Map([
    ['partial', 'action.created'],
    ['pending', 'request.pending'],
    ['fulfilled', 'request.fulfilled'],
    ['rejected', 'request.rejected'],
  ]),
  'change.state': new Map([
    ['partial', 'action.created'],
    ['fulfilled', 'change.fulfilled'],
    ['rejected', 'change.rejected'],
  ]),
};

export interface Message {
  /** The same for the same event, whenever and by whichever run of the coordinator it is sent. */
  readonly id: string;
  readonly type: WebhookType;
  /** When it happened, in milliseconds since 1970. */
  readonly at: number;
  readonly body: Uint8Array;
}

/** The message of an event of a workspace's stream; undefined when there is none. */
export function messageOf(workspaceId: Hex, { sequence, event }: StreamEvent): Message | undefined {
  const parsed = stateSchema.safeParse(event);
  if (!parsed.success) return undefined;
  const { state, at, reason } = parsed.data;
  const type = types[parsed.data.type]?.get(state);
  if (type === undefined) return undefined;
  const subject =
    parsed.data.type === 'change.state'
      ? { changeId: parsed.data.changeId, kind: 'change' }
      : { requestId: parsed.data.requestId, kind: parsed.data.kind };
  const data = { workspaceId, ...subject, state, ...(reason && { reason: reason.code }) };
  // What it is about is hashed too: in a store that was restored from a backup a sequence can come to mean another event.
  const id = subject.changeId ?? subject.requestId ?? '';
  const identity = [workspaceStream(workspaceId), sequence, id, state, at].join('\n');
  return {
    id: `evt_${bytesToHex(sha256(utf8ToBytes(identity))).slice(0, 40)}`,
    type,
    at: Date.parse(at),
    body: utf8ToBytes(JSON.stringify({ type, timestamp: at, data })),
  };
}
