// How far each webhook has told of each workspace, in the store: `webhook/<name>` says for which workspaces it began, and
// `webhook/<name>/<workspace>` holds the sequence of the last event that was taken, or that it does not tell of.
import type { Hex } from '../../protocol/hex.ts';
import { workspacePrefix, workspaceStream } from '../index-keys.ts';
import type { JsonValue, Store } from '../store/store.ts';

const pageSize = 200;
const everything = 'all';

type CursorStore = Pick<Store, 'commit' | 'get' | 'last' | 'scan'>;

/** All workspaces of the store, page by page. */
export async function* workspacesOf(store: Pick<Store, 'scan'>): AsyncGenerator<readonly Hex[]> {
  let after: string | undefined;
  do {
    const page = await store.scan(workspacePrefix, after, pageSize);
    yield page.map(({ key }) => key.slice(workspacePrefix.length) as Hex);
    after = page.length < pageSize ? undefined : page.at(-1)?.key;
  } while (after !== undefined);
}

export class Cursors {
  readonly #store: CursorStore;
  readonly #name: string;

  constructor(store: CursorStore, name: string) {
    this.#store = store;
    this.#name = name;
  }

  #key(workspaceId: Hex): string {
    return `webhook/${this.#name}/${workspaceId}`;
  }

  /**
   * Called before anything can change. A webhook that is new, or has other `workspaces` than before, begins with what happens
   * from now on; any workspace without a cursor after that is a new one, and told of from its beginning. Throws StoreError.
   */
  async begin(workspaces: readonly Hex[] | undefined): Promise<void> {
    const marker = `webhook/${this.#name}`;
    const wanted = workspaces === undefined ? everything : workspaces.toSorted().join(' ');
    const known = (await this.#store.get(marker))?.value;
    if (known === wanted) return;
    if (workspaces === undefined) for await (const page of workspacesOf(this.#store)) await this.#skip(page);
    else await this.#skip(workspaces);
    await this.#commit('webhook', [{ key: marker, value: wanted }]);
  }

  /** Lets workspaces without a cursor begin at the end of what they have. */
  async #skip(workspaces: readonly Hex[]): Promise<void> {
    const put: { key: string; value: JsonValue }[] = [];
    for (const workspaceId of new Set(workspaces)) {
      const key = this.#key(workspaceId);
      if ((await this.#store.get(key)) !== undefined) continue;
      put.push({ key, value: await this.#store.last(workspaceStream(workspaceId)) });
    }
    if (put.length > 0) await this.#commit('webhook', put);
  }

  /** Throws StoreError. */
  async read(workspaceId: Hex): Promise<number> {
    const value = (await this.#store.get(this.#key(workspaceId)))?.value;
    return typeof value === 'number' ? value : 0;
  }

  /** Events up to this sequence are not sent again. Throws StoreError. */
  async write(workspaceId: Hex, sequence: number): Promise<void> {
    await this.#commit('webhook', [{ key: this.#key(workspaceId), value: sequence }]);
  }

  async #commit(what: string, put: readonly { key: string; value: JsonValue }[]): Promise<void> {
    await this.#store.commit({ what, put });
  }
}
