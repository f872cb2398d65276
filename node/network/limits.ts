// Every bound of the network in one place. All are per node; "peer" means one other party of the roster.
import { DOOR_DEADLINE_MS, DOOR_MAX_CONCURRENT } from '../../protocol/door.ts';
import { NetworkError } from './network-error.ts';

export interface NetworkLimits {
  /** Largest frame on a peer stream, its length prefix aside, in bytes. A message must be 64 bytes smaller. */
  maxFrameBytes: number;
  /** Messages not yet acknowledged by one peer: bytes, counting 64 more for each. */
  maxOutboxBytes: number;
  /** Messages received from one peer and not yet handled: beyond this the stream is paused. In bytes, as above. */
  maxInboxBytes: number;
  /** Largest gossiped message, in bytes. */
  maxGossipBytes: number;
  /** Gossip received from one author and not yet handled: beyond this it is dropped. In bytes, as above. */
  maxGossipQueueBytes: number;
  /** A ping leaves when nothing else did for this long, in milliseconds. */
  heartbeatMs: number;
  /** A peer that is not heard for this long is taken for dead, in milliseconds. */
  heartbeatDeadlineMs: number;
  /** How often a peer is asked for its clock, in milliseconds; in steps of `heartbeatMs`. */
  clockMs: number;
  /** A new connection or stream must have brought the peer's HELLO by then, in milliseconds. */
  helloDeadlineMs: number;
  /** How long one attempt to dial may take, in milliseconds. */
  dialDeadlineMs: number;
  /** How long the party with the higher peer id waits for the other to dial, in milliseconds. */
  dialBackMs: number;
  /** First and longest pause between two attempts to dial, before jitter, in milliseconds. There is no last attempt. */
  redialMinMs: number;
  redialMaxMs: number;
  /** Open connections of one remote key, beyond which further ones are refused. */
  maxConnectionsPerKey: number;
  /** Requests of one connector worked on at once. */
  maxDoorRequests: number;
  /** How long one request of a connector may take, in milliseconds. */
  doorDeadlineMs: number;
}

export const defaultLimits: NetworkLimits = {
  maxFrameBytes: 1024 * 1024,
  maxOutboxBytes: 16 * 1024 * 1024,
  maxInboxBytes: 4 * 1024 * 1024,
  maxGossipBytes: 256 * 1024,
  maxGossipQueueBytes: 2 * 1024 * 1024,
  heartbeatMs: 5_000,
  heartbeatDeadlineMs: 20_000,
  clockMs: 60_000,
  helloDeadlineMs: 10_000,
  dialDeadlineMs: 10_000,
  dialBackMs: 10_000,
  redialMinMs: 250,
  redialMaxMs: 30_000,
  maxConnectionsPerKey: 8,
  maxDoorRequests: DOOR_MAX_CONCURRENT,
  doorDeadlineMs: DOOR_DEADLINE_MS,
};

/** What a message costs in a queue besides its bytes, so that empty messages are bounded too. */
export const messageOverhead = 64;

/**
 * The defaults with `changes` applied.
 *
 * @throws {NetworkError} `bad_option` when one is not a positive integer, or two contradict each other
 */
export function resolveLimits(changes: Partial<NetworkLimits> = {}): NetworkLimits {
  const limits = { ...defaultLimits, ...changes };
  for (const [name, value] of Object.entries(limits)) {
    if (!Number.isSafeInteger(value) || value < 1 || value > 0x7fffffff) {
      throw new NetworkError(
        'bad_option',
        `limit ${name} must be a positive integer below 2^31, not ${String(value)}`,
      );
    }
  }
  if (limits.maxFrameBytes < 1024) {
    throw new NetworkError(
      'bad_option',
      `limit maxFrameBytes must be at least 1024, not ${limits.maxFrameBytes}`,
    );
  }
  if (limits.heartbeatDeadlineMs < 2 * limits.heartbeatMs) {
    throw new NetworkError('bad_option', 'limit heartbeatDeadlineMs must be at least twice heartbeatMs');
  }
  return limits;
}
