// One stream of what happens in a testnet: the daemons' logs as they grow, and what coordinators answered to clients.
import { setTimeout as delay } from 'node:timers/promises';
import { type LogTails, type Observation } from './log-tail.ts';

const pollMs = 25;

export type Listener = (observation: Observation) => void;

export class EventFeed {
  readonly #tails: LogTails;
  readonly #listeners = new Set<Listener>();
  #reading: Promise<void> = Promise.resolve();

  constructor(tails: LogTails) {
    this.#tails = tails;
  }

  /** Calls for every observation from now on, until the returned function is called. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Adds what a client was answered. */
  push(observation: Observation): void {
    for (const listener of this.#listeners) listener(observation);
  }

  /** Reads what the logs hold by now. */
  async poll(): Promise<void> {
    const read = this.#reading.then(async () => {
      for (const observation of await this.#tails.read()) this.push(observation);
    });
    this.#reading = read.catch(() => undefined);
    await read;
  }

  /**
   * Reads on until `condition` holds, at most so many milliseconds, and returns whether it does. Throws the signal's
   * reason.
   */
  async until(condition: () => boolean, withinMs: number, signal: AbortSignal): Promise<boolean> {
    const end = performance.now() + withinMs;
    for (;;) {
      await this.poll();
      if (condition()) return true;
      if (performance.now() > end) return false;
      await delay(pollMs, undefined, { signal });
    }
  }
}
