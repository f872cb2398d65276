// Keeps count of the requests that are on their way to the node. Each is worked on by itself, so that one which does not
// get through keeps no other waiting; together they tell up to which event everything has arrived.
import type { Hex } from '../protocol/hex.ts';
import { type Backoff, delayAfter } from './retry.ts';

/** `settled`: stored by the node, or nothing is left to do. `later`: try again, after as long as a peer asks for. */
export type AttemptOutcome =
  { readonly outcome: 'settled' } | { readonly outcome: 'later'; readonly askedMs: number };

/** Brings what a snapshot shows. */
export type Bring = () => Promise<AttemptOutcome>;

export interface DeliveriesOptions {
  readonly backoff: Backoff;
  readonly signal: AbortSignal;
  /** Tries once, by `bring` or, without it, with what the coordinator has now. Throws only what is fatal. */
  readonly attempt: (requestId: Hex, bring?: Bring) => Promise<AttemptOutcome>;
  /** Every event up to `position` has arrived. The latest call counts; its promise covers those before it. */
  readonly onProgress: (position: number) => Promise<void>;
  /** Something that ends the connector. */
  readonly onFatal: (error: unknown) => void;
}

interface Delivery {
  /** First event that this delivery still owes the node; `fromSnapshot` when it owes a part of a snapshot. */
  owes: number;
  /** First event that came after the attempt under way began. */
  again: number | undefined;
  wake: () => void;
  done: Promise<void>;
}

const fromSnapshot = -Infinity;
/** Attempts at one time: below what a node's door admits, with room for the other questions to it. */
const maxAttempts = 8;
const maxDeliveries = 1000;

/** Lets so many at a time through, first come first served. */
class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];
  constructor(count: number) {
    this.#free = count;
  }
  async run<Value>(work: () => Promise<Value>): Promise<Value> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }
}

export class Deliveries {
  readonly #options: DeliveriesOptions;
  readonly #slots = new Slots(maxAttempts);
  readonly #open = new Map<Hex, Delivery>();
  readonly #room = new Set<() => void>();
  #position: number | undefined;
  #reported: number | undefined;
  #progress: Promise<void> = Promise.resolve();

  constructor(options: DeliveriesOptions) {
    this.#options = options;
    options.signal.addEventListener('abort', () => this.#makeRoom(), { once: true });
  }

  /** Requests on their way, and the last event that was read; undefined before there was one. */
  get state(): { readonly open: number; readonly position: number | undefined } {
    return { open: this.#open.size, position: this.#position };
  }

  /** A request of a snapshot, or a workspace. Returns after the first attempt for it. */
  async addFromSnapshot(requestId: Hex, bring: Bring): Promise<void> {
    await this.#waitForRoom(requestId);
    await this.#add(requestId, fromSnapshot, bring);
  }

  /** The snapshot is complete, and events come after `position`. */
  endSnapshot(position: number): void {
    this.#position = position;
    this.#report();
  }

  /** An event was read; `requestId` when the node must hear of it. Waits while too many requests are on their way. */
  async addEvent(sequence: number, requestId: Hex | undefined): Promise<void> {
    if (requestId !== undefined) {
      await this.#waitForRoom(requestId);
      void this.#add(requestId, sequence);
    }
    this.#position = sequence;
    this.#report();
  }

  /** Returns when nothing is under way any more; for use after the signal has aborted. */
  async ended(): Promise<void> {
    await Promise.all([...this.#open.values()].map((delivery) => delivery.done));
    await this.#progress;
  }

  #add(requestId: Hex, sequence: number, bring?: Bring): Promise<void> {
    const running = this.#open.get(requestId);
    if (running) {
      // The attempt under way may have read older evidence: one more will follow.
      running.again = Math.min(running.again ?? Infinity, sequence);
      running.wake();
      return Promise.resolve();
    }
    return new Promise((tried) => {
      const delivery: Delivery = {
        owes: sequence,
        again: undefined,
        wake: () => undefined,
        done: Promise.resolve(),
      };
      this.#open.set(requestId, delivery);
      delivery.done = this.#work(requestId, delivery, bring, tried)
        .catch((error: unknown) => {
          if (!this.#options.signal.aborted) this.#options.onFatal(error);
        })
        .finally(tried);
    });
  }

  async #work(
    requestId: Hex,
    delivery: Delivery,
    first: Bring | undefined,
    tried: () => void,
  ): Promise<void> {
    const { backoff, signal, attempt } = this.#options;
    let bring = first;
    for (let failures = 0; ;) {
      const result = await this.#slots.run(async () => {
        signal.throwIfAborted();
        // An event has come since the snapshot was read, which shows what is older.
        if (delivery.again !== undefined) {
          delivery.owes = Math.min(delivery.owes, delivery.again);
          bring = undefined;
        }
        // What comes from here on may be newer than what this attempt brings.
        delivery.again = undefined;
        return attempt(requestId, bring);
      });
      bring = undefined;
      tried();
      if (result.outcome === 'settled') {
        if (delivery.again === undefined) break;
        delivery.owes = delivery.again;
        failures = 0;
        this.#report();
        continue;
      }
      if (delivery.again === undefined) {
        await this.#pause(delivery, delayAfter(backoff, failures, result.askedMs));
      }
      failures += 1;
    }
    this.#open.delete(requestId);
    this.#report();
    this.#makeRoom();
  }

  /** Waits, unless an event about the request comes first. */
  async #pause(delivery: Delivery, milliseconds: number): Promise<void> {
    const { backoff, signal } = this.#options;
    const over = new AbortController();
    const stop = () => over.abort(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    delivery.wake = () => over.abort();
    try {
      await backoff.sleep(milliseconds, over.signal);
    } catch (error) {
      if (!over.signal.aborted) throw error;
    } finally {
      signal.removeEventListener('abort', stop);
      delivery.wake = () => undefined;
    }
    signal.throwIfAborted();
  }

  #report(): void {
    if (this.#position === undefined) return;
    const owed = Math.min(...[...this.#open.values()].map((delivery) => delivery.owes));
    const position = Math.min(this.#position, owed - 1);
    if (position === -Infinity || position === this.#reported) return;
    this.#reported = position;
    this.#progress = this.#options
      .onProgress(position)
      .catch((error: unknown) => this.#options.onFatal(error));
  }

  async #waitForRoom(requestId: Hex): Promise<void> {
    while (this.#open.size >= maxDeliveries && !this.#open.has(requestId)) {
      this.#options.signal.throwIfAborted();
      await new Promise<void>((resolve) => this.#room.add(resolve));
    }
    this.#options.signal.throwIfAborted();
  }

  #makeRoom(): void {
    for (const resolve of this.#room) resolve();
    this.#room.clear();
  }
}
