// The connector's door: the libp2p protocol on which a connector speaks to its node (design: "Transport", "Connector and
// node"). One short stream per request: the connector sends one length-prefixed message and closes its side, the node
// answers with one length-prefixed reply. This file is what both ends must agree on; it moves no bytes itself.

/** The libp2p protocol name. */
export const DOOR_PROTOCOL = '/countersign/connector/1';

/** The largest request and the largest reply body, in bytes. */
export const DOOR_MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** The largest reply on the wire: the body with its status byte. */
export const DOOR_MAX_REPLY_BYTES = DOOR_MAX_MESSAGE_BYTES + 1;

/** How long one exchange may take at either end, in milliseconds. */
export const DOOR_DEADLINE_MS = 30_000;

/** How many requests of one connector a node works on at once. */
export const DOOR_MAX_CONCURRENT = 16;

/**
 * How an exchange ended. `busy`: too many requests of this connector at once, ask again. `not_admitted`: the connector's
 * key has no grant, or no longer. `failed`: the node could not answer; its log says why, the wire does not.
 */
export type DoorStatus = 'answered' | 'busy' | 'not_admitted' | 'failed';

/** A reply's first byte is its status's position here. Only `answered` carries a body. */
const statuses = ['answered', 'busy', 'not_admitted', 'failed'] as const satisfies readonly DoorStatus[];

export class DoorReplyError extends Error {
  override readonly name = 'DoorReplyError';
  readonly code = 'malformed';
}

export type DoorReply =
  { status: 'answered'; body: Uint8Array } | { status: Exclude<DoorStatus, 'answered'> };

/** One status byte, then the body. */
export function encodeDoorReply(reply: DoorReply): Uint8Array {
  const body = reply.status === 'answered' ? reply.body : new Uint8Array(0);
  const bytes = new Uint8Array(1 + body.length);
  bytes[0] = statuses.indexOf(reply.status);
  bytes.set(body, 1);
  return bytes;
}

/**
 * The inverse of `encodeDoorReply`.
 *
 * @throws {DoorReplyError} for an empty reply, an unknown status, or a body that its status does not have
 */
export function decodeDoorReply(bytes: Uint8Array): DoorReply {
  const status = statuses[bytes[0] ?? -1];
  if (status === undefined) {
    throw new DoorReplyError(
      `not a reply of a node's door (first byte ${bytes[0] ?? 'missing'}): compare the versions of node and connector`,
    );
  }
  if (status === 'answered') return { status, body: new Uint8Array(bytes.subarray(1)) };
  if (bytes.length !== 1)
    throw new DoorReplyError(`a reply '${status}' carries ${bytes.length - 1} bytes and must carry none`);
  return { status };
}
