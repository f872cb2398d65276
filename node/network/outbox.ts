// Messages for one peer until it acknowledges them: numbered in order, resent after a reconnect, bounded.
import { messageOverhead } from './limits.ts';
import { NetworkError } from './network-error.ts';

export class Outbox {
  readonly #maxBytes: number;
  #messages: Uint8Array[] = [];
  #bytes = 0;
  /** Sequence number of the last message acknowledged; the message after it is #messages[0]. */
  #acknowledged = 0;
  /** Sequence number of the last message handed out since the last rewind. */
  #handedOut = 0;
  /** The highest #handedOut ever, which a peer cannot acknowledge beyond. */
  #sent = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes waiting, each message counted with its overhead. */
  get queuedBytes(): number {
    return this.#bytes;
  }

  /**
   * Appends a copy of a message.
   *
   * @throws {NetworkError} `outbox_full`
   */
  push(bytes: Uint8Array): void {
    const cost = bytes.length + messageOverhead;
    if (this.#bytes + cost > this.#maxBytes) {
      throw new NetworkError(
        'outbox_full',
        `${this.#bytes} bytes wait for this peer and the limit is ${this.#maxBytes}: it is away or too slow`,
        { queuedBytes: this.#bytes, limit: this.#maxBytes },
      );
    }
    // A Buffer's slice() shares memory with it; this copies either way.
    this.#messages.push(new Uint8Array(bytes));
    this.#bytes += cost;
  }

  /** The next message to put on the stream, if there is one. */
  next(): { sequence: number; bytes: Uint8Array } | undefined {
    const bytes = this.#messages[this.#handedOut - this.#acknowledged];
    if (bytes === undefined) return undefined;
    this.#handedOut += 1;
    this.#sent = Math.max(this.#sent, this.#handedOut);
    return { sequence: this.#handedOut, bytes };
  }

  /**
   * Forgets everything up to `sequence`; an older acknowledgement than the last changes nothing.
   *
   * @throws {NetworkError} `protocol` when the peer acknowledges what was never sent
   */
  acknowledge(sequence: number): void {
    if (sequence > this.#sent) {
      throw new NetworkError(
        'protocol',
        `the peer acknowledges message ${sequence}, the last sent is ${this.#sent}`,
      );
    }
    if (sequence <= this.#acknowledged) return;
    for (const bytes of this.#messages.splice(0, sequence - this.#acknowledged)) {
      this.#bytes -= bytes.length + messageOverhead;
    }
    this.#acknowledged = sequence;
    this.#handedOut = Math.max(this.#handedOut, sequence);
  }

  /** Everything not acknowledged will be handed out again: a new stream begins. */
  rewind(): void {
    this.#handedOut = this.#acknowledged;
  }

  /** Drops everything and numbers from 1 again: the peer restarted, and what was meant for its last life is void. */
  clear(): void {
    this.#messages = [];
    this.#bytes = 0;
    this.#acknowledged = 0;
    this.#handedOut = 0;
    this.#sent = 0;
  }
}
