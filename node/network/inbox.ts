// Messages of one peer that wait for their handler: one at a time, in order, bounded. A handler that fails, now or
// later, costs its own message only; many messages leave room for everything else between them.
import { messageOverhead } from './limits.ts';

/** After this long at its messages the inbox lets timers and sockets have a turn, in milliseconds. */
const sliceMs = 10;

export interface InboxOptions {
  /** Beyond this many bytes, counted with their overhead, the inbox is full. */
  maxBytes: number;
  /** Awaited before the next message. */
  handle: (bytes: Uint8Array) => void | Promise<void>;
  onError: (error: unknown) => void;
  /** Called when a full inbox has half its room again. */
  onRoom?: () => void;
}

export class Inbox {
  readonly #options: InboxOptions;
  #waiting: Uint8Array[] = [];
  #bytes = 0;
  #running = false;
  #wasFull = false;
  /** Raised by clear(), so that a handler still running does not count against the new content. */
  #generation = 0;

  constructor(options: InboxOptions) {
    this.#options = options;
  }

  get full(): boolean {
    return this.#bytes >= this.#options.maxBytes;
  }

  /** Takes a message whether full or not: the caller stops its source while `full`. */
  push(bytes: Uint8Array): void {
    // A copy: what was cut out of a larger chunk would keep all of that in memory.
    this.#waiting.push(new Uint8Array(bytes));
    this.#bytes += bytes.length + messageOverhead;
    if (this.full) this.#wasFull = true;
    if (!this.#running) void this.#run();
  }

  /** Drops what waits. A handler that runs is left to end. */
  clear(): void {
    this.#generation += 1;
    this.#waiting = [];
    this.#bytes = 0;
    this.#makeRoom();
  }

  async #run(): Promise<void> {
    this.#running = true;
    let sliceEnds = performance.now() + sliceMs;
    for (;;) {
      if (performance.now() > sliceEnds) {
        await new Promise((resolve) => setImmediate(resolve));
        sliceEnds = performance.now() + sliceMs;
      }
      const bytes = this.#waiting.shift();
      if (bytes === undefined) break;
      const generation = this.#generation;
      try {
        // Only what has to be awaited is: a burst of messages with a synchronous handler takes one turn.
        const pending = this.#options.handle(bytes);
        if (pending !== undefined) await pending;
      } catch (error) {
        this.#options.onError(error);
      }
      if (generation === this.#generation) this.#bytes -= bytes.length + messageOverhead;
      this.#makeRoom();
    }
    this.#running = false;
  }

  #makeRoom(): void {
    if (!this.#wasFull || this.#bytes > this.#options.maxBytes / 2) return;
    this.#wasFull = false;
    this.#options.onRoom?.();
  }
}
