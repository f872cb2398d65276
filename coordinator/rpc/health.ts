// Whether the coordinator can serve: its store answers.
import type { Store } from '../store/store.ts';

export class Readiness {
  readonly #store: Pick<Store, 'get'>;
  readonly #timeoutMs: number;
  #probe: Promise<boolean> | undefined;

  constructor(store: Pick<Store, 'get'>, timeoutMs: number) {
    this.#store = store;
    this.#timeoutMs = timeoutMs;
  }

  /** Whether the store answers in time; probes that come meanwhile share the one under way. */
  check(): Promise<boolean> {
    this.#probe ??= this.#ask().finally(() => {
      this.#probe = undefined;
    });
    return this.#probe;
  }

  #ask(): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), this.#timeoutMs);
      const answer = (ready: boolean): void => {
        clearTimeout(timer);
        resolve(ready);
      };
      this.#store.get('health').then(
        () => answer(true),
        () => answer(false),
      );
    });
  }
}
