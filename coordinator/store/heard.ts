// A store that tells which streams have grown, once that is durable: everything else is the store's own.
import { Conflict, type Store } from './store.ts';

/** `onAppend` must neither throw nor wait. */
export function heardStore(store: Store, onAppend: (stream: string) => void): Store {
  return {
    commit: async (commit) => {
      const outcome = await store.commit(commit);
      if (!(outcome instanceof Conflict)) for (const { stream } of commit.append ?? []) onAppend(stream);
      return outcome;
    },
    trim: (stream, before) => store.trim(stream, before),
    get: (key) => store.get(key),
    scan: (prefix, after, limit) => store.scan(prefix, after, limit),
    read: (stream, after, limit) => store.read(stream, after, limit),
    last: (stream) => store.last(stream),
    watch: (stream, options) => store.watch(stream, options),
    close: () => store.close(),
  };
}
