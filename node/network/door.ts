// The connector's door, the node's side: answers short streams of granted connectors, within bounds of size, time and
// number. What a request means is the caller's.
import { setMaxListeners } from 'node:events';
import type { Connection, Stream } from '@libp2p/interface';
import { encode } from 'it-length-prefixed';
import {
  DOOR_MAX_MESSAGE_BYTES,
  DOOR_MAX_REPLY_BYTES,
  type DoorReply,
  encodeDoorReply,
} from '../../protocol/door.ts';
import { readRequest } from './door-request.ts';
import type { NetworkLimits } from './limits.ts';
import { reasonOf } from './network-error.ts';
import { credentialOfPeerId } from './peer-identity.ts';

export interface DoorOptions {
  isGranted: (connector: string) => boolean;
  onRequest: (connector: string, request: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>;
  limits: NetworkLimits;
  log: (event: string, fields: Record<string, unknown>) => void;
}

export class Door {
  readonly #options: DoorOptions;
  readonly #open = new Map<string, number>();
  readonly #stopped = new AbortController();

  constructor(options: DoorOptions) {
    this.#options = options;
    // One listener for each request that is answered.
    setMaxListeners(0, this.#stopped.signal);
  }

  /** The libp2p handler of the door protocol. Never throws. */
  readonly handle = (stream: Stream, connection: Connection): void => {
    this.#serve(stream, connection).catch((error: unknown) => {
      this.#options.log('door.stream.failed', {
        connector: connection.remotePeer.toString(),
        reason: reasonOf(error),
      });
      stream.abort(error instanceof Error ? error : new Error(reasonOf(error)));
    });
  };

  /** Aborts what is being answered. */
  stop(): void {
    this.#stopped.abort(new Error('this node stops'));
  }

  async #serve(stream: Stream, connection: Connection): Promise<void> {
    const { limits, isGranted, log } = this.#options;
    const connector = credentialOfPeerId(connection.remotePeer);
    const ended = new AbortController();
    const cut = (reason: string) => (): void => stream.abort(new Error(reason));
    const deadline = setTimeout(cut('the deadline of a door request is over'), limits.doorDeadlineMs);
    const onStop = cut('this node stops');
    this.#stopped.signal.addEventListener('abort', onStop, { once: true });
    const onClose = (): void => {
      clearTimeout(deadline);
      this.#stopped.signal.removeEventListener('abort', onStop);
      ended.abort(new Error('the connector went away, or the deadline is over'));
    };
    stream.addEventListener('close', onClose, { once: true });
    if (stream.status !== 'open') onClose();

    const open = this.#open.get(connector) ?? 0;
    if (!isGranted(connector)) {
      log('door.refused', { connector });
      return this.#refuse(stream, { status: 'not_admitted' });
    }
    if (open >= limits.maxDoorRequests) {
      log('door.busy', { connector, open });
      return this.#refuse(stream, { status: 'busy' });
    }
    this.#open.set(connector, open + 1);
    try {
      await this.#exchange(stream, (request) => this.#answer(connector, request, ended.signal));
    } finally {
      const left = (this.#open.get(connector) ?? 1) - 1;
      if (left === 0) this.#open.delete(connector);
      else this.#open.set(connector, left);
    }
  }

  /** Reads one request, writes one reply. */
  async #exchange(stream: Stream, answer: (request: Uint8Array) => Promise<DoorReply>): Promise<void> {
    await this.#reply(stream, await answer(await readRequest(stream, DOOR_MAX_MESSAGE_BYTES)));
  }

  /** Replies at once, and forgets what is still sent: whoever is refused gets no room here. */
  async #refuse(stream: Stream, reply: DoorReply): Promise<void> {
    stream.addEventListener('message', () => undefined);
    await this.#reply(stream, reply);
  }

  async #reply(stream: Stream, reply: DoorReply): Promise<void> {
    for (const part of encode([encodeDoorReply(reply)], { maxDataLength: DOOR_MAX_REPLY_BYTES })) {
      if (stream.writeStatus !== 'writable') throw new Error('the connector went away');
      stream.send(part);
    }
    await stream.close({ signal: this.#stopped.signal });
  }

  async #answer(connector: string, request: Uint8Array, signal: AbortSignal): Promise<DoorReply> {
    try {
      const body = await this.#options.onRequest(connector, request, signal);
      if (body.length > DOOR_MAX_MESSAGE_BYTES) {
        throw new Error(`the reply has ${body.length} bytes, the limit is ${DOOR_MAX_MESSAGE_BYTES}`);
      }
      return { status: 'answered', body };
    } catch (error) {
      this.#options.log('door.request.failed', { connector, reason: reasonOf(error) });
      return { status: 'failed' };
    }
  }
}
