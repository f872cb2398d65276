// Wakes the watchers of streams. A hint carries nothing: whoever gets one reads the stream.

interface Watcher {
  due: boolean;
  wake: () => void;
}

export class Hints {
  readonly #watchers = new Map<string, Set<Watcher>>();
  #closed = false;

  /** Hints all who watch one of `streams`. */
  notify(streams: Iterable<string>): void {
    for (const stream of new Set(streams)) {
      for (const watcher of this.#watchers.get(stream) ?? []) hint(watcher);
    }
  }

  /** Ends every iteration. */
  close(): void {
    this.#closed = true;
    for (const watchers of this.#watchers.values()) for (const watcher of watchers) watcher.wake();
  }

  async *watch(stream: string, signal: AbortSignal): AsyncGenerator<void> {
    // Due from the start: what came between the caller's last read and now would be missed otherwise.
    const watcher: Watcher = { due: true, wake: () => undefined };
    const onAbort = (): void => watcher.wake();
    const watchers = this.#watchers.get(stream) ?? new Set();
    this.#watchers.set(stream, watchers.add(watcher));
    signal.addEventListener('abort', onAbort);
    try {
      while (!signal.aborted && !this.#closed) {
        if (watcher.due) {
          watcher.due = false;
          yield;
        } else {
          await new Promise<void>((resolve) => {
            watcher.wake = resolve;
          });
        }
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      watchers.delete(watcher);
      if (watchers.size === 0 && this.#watchers.get(stream) === watchers) this.#watchers.delete(stream);
    }
  }
}

function hint(watcher: Watcher): void {
  watcher.due = true;
  watcher.wake();
}
