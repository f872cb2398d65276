// A store whose writes are timed: everything else is the store's own.
import { type Commit, Conflict, type Store } from './store.ts';

/** `outcome`: `stored`, `conflict` (nothing was written), or `failed`. */
export type OnWrite = (what: string, outcome: 'stored' | 'conflict' | 'failed', ms: number) => void;

/** `onWrite` must not throw. */
export function timedStore(store: Store, onWrite: OnWrite): Store {
  const timed = async <Value>(what: string, write: () => Promise<Value>): Promise<Value> => {
    const began = performance.now();
    let outcome: 'stored' | 'conflict' | 'failed' = 'failed';
    try {
      const value = await write();
      outcome = value instanceof Conflict ? 'conflict' : 'stored';
      return value;
    } finally {
      onWrite(what, outcome, performance.now() - began);
    }
  };
  return {
    commit: (commit: Commit) => timed(commit.what ?? 'other', () => store.commit(commit)),
    trim: (stream, before) => timed('trim', () => store.trim(stream, before)),
    get: (key) => store.get(key),
    scan: (prefix, after, limit) => store.scan(prefix, after, limit),
    read: (stream, after, limit) => store.read(stream, after, limit),
    last: (stream) => store.last(stream),
    watch: (stream, options) => store.watch(stream, options),
    close: () => store.close(),
  };
}
