// Finds requests that the node holds open and that have ended, so that it can be told how: those of which the coordinator
// has nothing open any more. Whoever signed while the node was away told it to a process that is gone. The node is asked
// which requests it holds open, once at the start and whenever everything is looked at again, and otherwise only about those
// of which a delivery found that they have ended; only what both answers leave is fetched.
import { maxOpenPage } from '../protocol/door-messages.ts';
import type { Hex } from '../protocol/hex.ts';
import { askNode, type Door, type NodeAnswer, NodeError } from './node-door.ts';
import type { Outage } from './outage.ts';
import { type Backoff, retry } from './retry.ts';

export interface EndsOptions {
  readonly door: Door;
  readonly node: Outage;
  readonly backoff: Backoff;
  readonly signal: AbortSignal;
  /** Brings the node what the coordinator has of such a request. Returns after the first attempt. */
  readonly bring: (requestId: Hex) => Promise<void>;
}

/** Requests about which the node is yet to be asked: of more, the next look at everything tells. */
const maxSuspected = maxOpenPage;

export class Ends {
  readonly #options: EndsOptions;
  /** What the coordinator has open, when everything is to be compared. */
  #listed: ReadonlySet<Hex> | undefined;
  /** Ended, as the coordinator says; whether the node holds them open is not known. */
  #suspected = new Set<Hex>();
  /** Open on the node, and ended: to be told. */
  readonly #wanted = new Set<Hex>();
  /** Told, though the node holds them open until their time is over: what owners rejected, for one. */
  readonly #told = new Set<Hex>();
  #wake: () => void = () => undefined;

  constructor(options: EndsOptions) {
    this.#options = options;
  }

  /** All that the coordinator has open was looked at: whatever else is open on the node has ended. */
  compare(listed: ReadonlySet<Hex>): void {
    this.#listed = listed;
    this.#wake();
  }

  /** The coordinator says that a request has ended, and the node was not told how. */
  suspect(requestId: Hex): void {
    if (this.#suspected.size >= maxSuspected) return;
    this.#suspected.add(requestId);
    this.#wake();
  }

  /** Whether the node waits to hear how this request has ended. */
  wants(requestId: Hex): boolean {
    return this.#wanted.has(requestId);
  }

  /** The node knows as much of its end as can be known: it is not told again. */
  told(requestId: Hex): void {
    this.#told.add(requestId);
  }

  /** Nothing more is to be done for the request, until everything is looked at again. */
  settle(requestId: Hex): void {
    this.#wanted.delete(requestId);
  }

  /** Runs until the signal aborts, and throws its reason then. */
  async run(): Promise<never> {
    const { signal } = this.#options;
    for (;;) {
      signal.throwIfAborted();
      if (this.#listed !== undefined) await this.#compareAll(this.#listed);
      else if (this.#suspected.size > 0) await this.#askAboutSuspected();
      else await this.#woken();
    }
  }

  async #compareAll(listed: ReadonlySet<Hex>): Promise<void> {
    const open = new Set<Hex>();
    let after: Hex | undefined;
    do {
      const page: NodeAnswer<'open'> = await this.#ask(after === undefined ? {} : { after });
      for (const id of page.requestIds) open.add(id);
      after = page.more ? page.requestIds.at(-1) : undefined;
    } while (after !== undefined);
    // What it was compared with may be newer by now: then everything is compared once more.
    if (this.#listed === listed) this.#listed = undefined;
    for (const id of this.#told) if (!open.has(id)) this.#told.delete(id);
    await this.#bring([...open].filter((id) => !listed.has(id)));
  }

  async #askAboutSuspected(): Promise<void> {
    const requestIds = [...this.#suspected];
    const { requestIds: open } = await this.#ask({ requestIds });
    for (const id of requestIds) this.#suspected.delete(id);
    await this.#bring(open.filter((id) => requestIds.includes(id)));
  }

  async #bring(ids: readonly Hex[]): Promise<void> {
    const news = ids.filter((id) => !this.#told.has(id));
    for (const id of news) this.#wanted.add(id);
    await Promise.all(news.map((id) => this.#options.bring(id)));
  }

  /** Asks until the node answers. */
  #ask(about: { readonly after?: Hex; readonly requestIds?: Hex[] }): Promise<NodeAnswer<'open'>> {
    const { door, node, backoff, signal } = this.#options;
    return retry(
      async () => {
        const answer = await askNode(door, { method: 'open', ...about }, signal);
        const { requestIds, more } = answer;
        const rises = requestIds.every((id, index) => id > (requestIds[index - 1] ?? about.after ?? ''));
        if (more && !(rises && requestIds.length > 0))
          throw new NodeError('bad_response', "the node's open requests do not rise", true);
        node.worked('open');
        return answer;
      },
      {
        backoff,
        signal,
        onFailure: (error) => {
          if (!(error instanceof NodeError)) throw error;
          node.failed('open', { code: error.reason, detail: error.message });
          return 0;
        },
      },
    );
  }

  #woken(): Promise<void> {
    const { signal } = this.#options;
    return new Promise((resolve) => {
      const done = (): void => {
        signal.removeEventListener('abort', done);
        this.#wake = () => undefined;
        resolve();
      };
      this.#wake = done;
      signal.addEventListener('abort', done, { once: true });
    });
  }
}
