// The open connections: how many, of which address, and what must end when one is gone. A pipelined request whose answer's
// turn never comes hears of its connection's end in no other way: node tells it only to the answer being written.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { addressKey, Quota, type RpcLimits } from './limits.ts';

export class Connections {
  readonly #quota: Quota;
  readonly #onRefused: () => void;
  /** For each open connection what to end with it, and the request that it belongs to. */
  readonly #underWay = new WeakMap<Socket, Map<() => void, IncomingMessage>>();

  /** `onRefused` is told of each connection that was closed because there are too many. */
  constructor(
    limits: Pick<RpcLimits, 'connections' | 'connectionsPerAddress'>,
    onRefused: () => void = () => undefined,
  ) {
    this.#onRefused = onRefused;
    this.#quota = new Quota(limits.connectionsPerAddress, limits.connections);
  }

  get open(): number {
    return this.#quota.sum;
  }

  /** Keeps a new connection, or closes it when there are too many. */
  admit(socket: Socket): void {
    const key = addressKey(socket.remoteAddress);
    if (!this.#quota.take(key)) {
      socket.destroy();
      this.#onRefused();
      return;
    }
    const ends = new Map<() => void, IncomingMessage>();
    this.#underWay.set(socket, ends);
    socket.once('close', () => {
      this.#underWay.delete(socket);
      this.#quota.release(key);
      for (const end of ends.keys()) end();
    });
  }

  /**
   * Calls `end` once: when the answer is complete, or at the latest when its connection is gone; at once when it is gone
   * already. The function that it returns calls it off.
   */
  whenOver(request: IncomingMessage, response: ServerResponse, end: () => void): () => void {
    const ends = this.#underWay.get(request.socket);
    if (ends === undefined) {
      end();
      return () => undefined;
    }
    const callOff = (): void => {
      response.off('close', over);
      ends.delete(over);
    };
    const over = (): void => {
      callOff();
      end();
    };
    response.once('close', over);
    ends.set(over, request);
    return callOff;
  }

  /** Whether a request that arrived whole on this connection is still being answered. */
  isAnswering(socket: Socket): boolean {
    return [...(this.#underWay.get(socket)?.values() ?? [])].some((request) => request.complete);
  }
}
