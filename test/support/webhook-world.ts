// Webhooks over a store, with receivers and a clock that obey the test: nothing here takes real time.
import { heardStore } from '../../coordinator/store/heard.ts';
import { MemoryStore } from '../../coordinator/store/memory.ts';
import type { JsonValue, Store } from '../../coordinator/store/store.ts';
import type { Answer, Post, PostOptions } from '../../coordinator/webhooks/post.ts';
import type { Webhook } from '../../coordinator/webhooks/sender.ts';
import { Webhooks, type WebhooksOptions } from '../../coordinator/webhooks/webhooks.ts';
import { type Hex, toHex } from '../../protocol/hex.ts';
import { until } from './until.ts';

export const webhookStart = Date.parse('2030-01-01T00:00:00.000Z');

/** `0x` and 32 bytes, for test number `index`. */
export const idOf = (index: number): Hex => toHex(new Uint8Array(32).fill(index));

/** A clock that stands still until it is told to go on. */
export class ObedientClock {
  now = webhookStart;
  #sleepers: { readonly at: number; readonly wake: () => void }[] = [];

  readonly sleep = (milliseconds: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const wake = (): void => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      const sleeper = { at: this.now + milliseconds, wake };
      const onAbort = (): void => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        reject(signal.reason as Error);
      };
      if (signal.aborted) return onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      this.#sleepers.push(sleeper);
    });

  /** Milliseconds until each sleeper wakes, shortest first. */
  get waits(): readonly number[] {
    return this.#sleepers.map(({ at }) => at - this.now).toSorted((one, other) => one - other);
  }

  /** Lets so much time pass, and wakes who is due. */
  pass(milliseconds: number): void {
    this.now += milliseconds;
    const due = this.#sleepers.filter(({ at }) => at <= this.now);
    this.#sleepers = this.#sleepers.filter(({ at }) => at > this.now);
    for (const { wake } of due) wake();
  }
}

export interface Received {
  readonly url: string;
  readonly headers: PostOptions['headers'];
  readonly text: string;
  readonly type: string;
  readonly requestId: Hex;
  readonly workspaceId: Hex;
  readonly at: number;
}

/** A status, an answer, or what the network throws; a promise of one is an answer that comes later. */
export type Reply = number | Answer | Error | Promise<number>;
export type Replies = (received: Received, signal: AbortSignal) => Reply;

export const webhook = (name: string, more: Partial<Webhook> = {}): Webhook => ({
  name,
  url: `https://${name}.example/hook?token=hidden`,
  secrets: [new Uint8Array(32).fill(7)],
  ...more,
});

export class WebhookWorld {
  readonly clock = new ObedientClock();
  readonly store: Store;
  readonly received: Received[] = [];
  readonly logged: { readonly event: string; readonly fields: Record<string, unknown> }[] = [];
  readonly outcomes: string[] = [];
  /** What receivers answer from now on. */
  reply: Replies = () => 204;
  webhooks: Webhooks;
  readonly #heard: Store;
  #requests = 0;

  /** Over a store of its own, or one that an earlier run has left. */
  constructor(
    webhooks: readonly Webhook[],
    store: Store = new MemoryStore(),
    seen: Partial<WebhooksOptions> = {},
  ) {
    this.store = store;
    this.webhooks = new Webhooks({
      webhooks,
      store,
      now: () => this.clock.now,
      log: (event, fields) => void this.logged.push({ event, fields }),
      post: this.#post,
      schedule: { sleep: this.clock.sleep, random: () => 1 },
      observer: { attempted: (name, outcome) => void this.outcomes.push(`${name} ${outcome}`) },
      ...seen,
    });
    this.#heard = heardStore(store, (stream) => this.webhooks.heard(stream));
  }

  readonly #post: Post = async (url, { headers, body, signal }) => {
    const text = new TextDecoder().decode(body);
    const { type, data } = JSON.parse(text) as {
      type: string;
      data: { requestId: Hex; workspaceId: Hex };
    };
    const received = { url, headers, text, type, at: this.clock.now, ...data };
    this.received.push(received);
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true });
    });
    const reply = await Promise.race([this.reply(received, signal), aborted]);
    if (reply instanceof Error) throw reply;
    return typeof reply === 'number' ? { status: reply, waitMs: 0 } : reply;
  };

  /** Registers a workspace, as the coordinator's registry does. */
  async workspace(workspaceId: Hex): Promise<void> {
    await this.#heard.commit({ put: [{ key: `workspace/${workspaceId}`, value: { log: [] } }] });
  }

  append(workspaceId: Hex, event: JsonValue): Promise<unknown> {
    return this.#heard.commit({ append: [{ stream: `workspaces/${workspaceId}`, event }] });
  }

  /** A new state of a request, a new one unless it is given. Returns the request's id. */
  async state(
    workspaceId: Hex,
    state = 'partial',
    requestId = idOf(100 + (this.#requests += 1)),
  ): Promise<Hex> {
    const at = new Date(this.clock.now).toISOString();
    await this.append(workspaceId, {
      type: 'request.state',
      requestId,
      kind: 'sign',
      state,
      at,
      ...(state === 'rejected' && { reason: { code: 'approvers', detail: 'bob: too much money' } }),
    });
    return requestId;
  }

  /** Requests of what was received, of one receiver if it is named. */
  requests(name = ''): readonly Hex[] {
    return this.received.filter(({ url }) => url.includes(name)).map(({ requestId }) => requestId);
  }

  async receives(count: number, name = ''): Promise<void> {
    await until(
      () => this.requests(name).length >= count,
      () => `${count} messages: ${this.requests(name).length} came`,
    );
  }

  /** Until a webhook's place in a workspace is written down. */
  async reaches(sequence: number, workspaceId: Hex, name: string): Promise<void> {
    const key = `webhook/${name}/${workspaceId}`;
    await until(async () => (await this.store.get(key))?.value === sequence, `${key} at ${sequence}`);
  }

  /** Until these are the times that are waited for: attempts under way are cut after ten seconds. */
  async waits(...milliseconds: readonly number[]): Promise<void> {
    await until(
      () => JSON.stringify(this.clock.waits) === JSON.stringify(milliseconds),
      () => `waits ${JSON.stringify(milliseconds)}: there are ${JSON.stringify(this.clock.waits)}`,
    );
  }

  events(): readonly string[] {
    return this.logged.map(({ event }) => event);
  }
}
