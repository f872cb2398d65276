// Bodies of requests on their way into memory: each has a largest size, and all that are held at one time have one too, or
// a thousand connections that send slowly would hold a thousand times the largest body.
import type { IncomingMessage } from 'node:http';
import { RpcError } from './error.ts';
import { Quota, type RpcLimits } from './limits.ts';

/** What one request holds. */
export interface HeldBody {
  /** Called once, when the request is over. */
  release(): void;
  read(): Promise<Buffer>;
}

export class Bodies {
  readonly #largest: number;
  readonly #held: Quota;

  constructor(limits: Pick<RpcLimits, 'bodyBytes' | 'heldBytes' | 'heldBytesPerAddress'>) {
    this.#largest = limits.bodyBytes;
    this.#held = new Quota(limits.heldBytesPerAddress, limits.heldBytes);
  }

  /** Bytes of all bodies held now. */
  get heldBytes(): number {
    return this.#held.sum;
  }

  /**
   * The body of a request from an address. Reading it throws RpcError `too_large`, or `rate_limited` when bodies of this
   * address, or all, hold too much already.
   */
  of(payload: IncomingMessage, address: string): HeldBody {
    let size = 0;
    let over = false;
    const release = (): void => {
      if (!over && size > 0) this.#held.release(address, size);
      over = true;
    };
    const keep = (length: number): RpcError | undefined => {
      if (over) return this.#refusal(); // The connection is gone: nobody waits.
      if (size + length > this.#largest) return this.#tooLarge();
      if (!this.#held.take(address, length)) return this.#refusal();
      size += length;
      return undefined;
    };
    const read = (): Promise<Buffer> =>
      new Promise((resolve, reject) => {
        if (Number(payload.headers['content-length'] ?? 0) > this.#largest) {
          reject(this.#tooLarge());
          return;
        }
        const chunks: Buffer[] = [];
        const settle = (result: () => void): void => {
          payload.off('data', onData).off('end', onEnd).off('error', onBroken).off('close', onBroken);
          result();
        };
        const onData = (chunk: Buffer): void => {
          const refused = keep(chunk.length);
          if (refused === undefined) chunks.push(chunk);
          else settle(() => reject(refused));
        };
        const onEnd = (): void => settle(() => resolve(Buffer.concat(chunks)));
        // Whoever hung up in the middle is no fault of ours.
        const onBroken = (): void => {
          const detail = 'the connection ended before the body did';
          settle(() => reject(new RpcError('invalid_request', detail, 'send the whole request again')));
        };
        payload.on('data', onData).on('end', onEnd).on('error', onBroken).on('close', onBroken);
      });
    return { release, read };
  }

  #tooLarge(): RpcError {
    const detail = `the body is larger than ${this.#largest} bytes`;
    return new RpcError('too_large', detail, 'split the batch, or send fewer items');
  }

  #refusal(): RpcError {
    const detail = 'too much is being sent at the same time, by this address or by all';
    return new RpcError('rate_limited', detail, 'wait retryAfterMs, then send the request again', {
      retryAfterMs: 1000,
    });
  }
}
