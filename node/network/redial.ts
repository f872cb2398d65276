// The loop that keeps one peer connected, for ever: libp2p's own reconnecting gives up after a longer outage. The party
// with the lower peer id dials first; the other dials too when there was no channel for a while.
import { setTimeout as after } from 'node:timers/promises';

export interface RedialOptions {
  /** Dial at once, rather than after `dialBackMs` without a channel. */
  first: boolean;
  isUp: () => boolean;
  /** Resolves when the channel is up. */
  dial: (signal: AbortSignal) => Promise<void>;
  onFailure: (error: unknown, failures: number, retryMs: number) => void;
  dialBackMs: number;
  minMs: number;
  maxMs: number;
}

/** A channel that was up for less than this counts as a failed attempt, in milliseconds. */
const shortLivedMs = 5_000;

export class Redial {
  readonly #options: RedialOptions;
  readonly #stopped = new AbortController();
  #wake = Promise.withResolvers<void>();
  #kicked = false;
  #failures = 0;
  #done: Promise<void> | undefined;

  constructor(options: RedialOptions) {
    this.#options = options;
  }

  start(): void {
    this.#done ??= this.#run();
  }

  /** The channel came up or went down. */
  changed(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  /** Dial now, if there is no channel: an address changed. */
  kick(): void {
    this.#kicked = true;
    this.changed();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    this.changed();
    await this.#done;
  }

  async #run(): Promise<void> {
    const { first, isUp, dial, dialBackMs, minMs } = this.#options;
    const idlePause = (): number => (first ? jitter(minMs) : dialBackMs);
    const { signal } = this.#stopped;
    let pause = first ? 0 : dialBackMs;
    while (!signal.aborted) {
      if (isUp()) {
        const since = performance.now();
        while (isUp() && !signal.aborted) await this.#wake.promise;
        this.#failures = performance.now() - since < shortLivedMs ? this.#failures + 1 : 0;
        pause = this.#failures > 1 ? Math.max(idlePause(), this.#backoff()) : idlePause();
        this.#kicked = false;
        continue;
      }
      if (!(await this.#waitToDial(pause))) continue;
      try {
        await dial(signal);
      } catch (error) {
        if (signal.aborted) return;
        if (isUp()) continue; // The peer dialled at the same time, and its connection was kept.
        this.#failures += 1;
        pause = this.#backoff();
        this.#options.onFailure(error, this.#failures, pause);
      }
    }
  }

  /** True when it is time to dial; false when the channel came up meanwhile, or the loop stops. */
  async #waitToDial(pause: number): Promise<boolean> {
    const timer = new AbortController();
    const elapsed = after(pause, true, { signal: timer.signal }).catch(() => false);
    try {
      for (;;) {
        if (this.#options.isUp() || this.#stopped.signal.aborted) return false;
        if (this.#kicked) {
          this.#kicked = false;
          return true;
        }
        if (await Promise.race([elapsed, this.#wake.promise.then(() => false)])) return !this.#options.isUp();
      }
    } finally {
      timer.abort();
    }
  }

  #backoff(): number {
    const { minMs, maxMs } = this.#options;
    return jitter(Math.min(maxMs, minMs * 2 ** Math.min(this.#failures, 30)));
  }
}

/** Between half of `ms` and all of it, so that parties that failed together do not retry together. */
function jitter(ms: number): number {
  return Math.round(ms * (0.5 + Math.random() / 2));
}
