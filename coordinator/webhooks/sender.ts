// Delivers to one receiver what happens in its workspaces: each workspace in order, one message at a time, at least once. A
// workspace whose message is not taken waits, and others go on; what waits is a position in a stream, so that a receiver that
// is dead for days costs a few numbers for each workspace, and never more than `maxAtOnce` connections.
import { setMaxListeners } from 'node:events';
import type { Hex } from '../../protocol/hex.ts';
import type { WebhookObserver } from '../observer.ts';
import { workspaceStream } from '../index-keys.ts';
import { type Store, StoreError, type StreamEvent } from '../store/store.ts';
import { attempt, type Attempted, type Receiver } from './attempt.ts';
import { Cursors } from './cursors.ts';
import { type Message, messageOf } from './message.ts';
import type { Post } from './post.ts';
import { delayAfter, type Schedule } from './schedule.ts';

export interface Webhook extends Receiver {
  readonly name: string;
  readonly workspaces?: readonly Hex[] | undefined;
  readonly events?: readonly string[] | undefined;
}

export interface SenderOptions {
  readonly store: Store;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly log: (event: string, fields: Record<string, unknown>) => void;
  readonly post: Post;
  readonly schedule: Schedule;
  readonly observer?: WebhookObserver | undefined;
}

/** Connections to one receiver at a time. */
const maxAtOnce = 4;
/** Events of one workspace that are read at a time; then others have their turn. */
const pageSize = 50;
/** Events that are passed over, before that is written down: they are read again after a restart. */
const maxUnwritten = 20;

/** A workspace of which there may be something to tell. */
interface Turn {
  /** Sequence of the last event that is done with; undefined until it was read. */
  after: number | undefined;
  /** The same, as it stands in the store. */
  written: number;
  /** In a row. */
  failures: number;
  /** When the event happened that comes next, as far as that is known, in milliseconds since 1970. */
  since: number;
  /** Whether something was added meanwhile. */
  again: boolean;
}

/** What comes next for a workspace: nothing, its further events, or another attempt after so many milliseconds. */
type Next = 'nothing' | 'more' | number;

export class WebhookSender {
  readonly name: string;
  readonly #webhook: Webhook;
  readonly #options: SenderOptions;
  readonly #cursors: Cursors;
  readonly #wanted: ReadonlySet<Hex> | undefined;
  readonly #turns = new Map<Hex, Turn>();
  /** Those whose turn may come now, in order. */
  readonly #ready = new Set<Hex>();
  readonly #running = new Set<Promise<void>>();
  readonly #ended = new AbortController();
  #sending = 0;
  /** Workspaces that wait after a failure. */
  #failing = 0;

  constructor(webhook: Webhook, options: SenderOptions) {
    this.name = webhook.name;
    this.#webhook = webhook;
    this.#options = options;
    this.#cursors = new Cursors(options.store, webhook.name);
    this.#wanted = webhook.workspaces && new Set(webhook.workspaces);
    // As many may wait as there are workspaces.
    setMaxListeners(0, this.#ended.signal);
  }

  /** Called before anything can change. Throws StoreError. */
  async begin(): Promise<void> {
    await this.#cursors.begin(this.#webhook.workspaces);
  }

  /** Something may have happened in this workspace. */
  notice(workspaceId: Hex): void {
    if (this.#ended.signal.aborted || this.#wanted?.has(workspaceId) === false) return;
    const known = this.#turns.get(workspaceId);
    if (known) {
      known.again = true;
      return;
    }
    const since = this.#options.now();
    this.#turns.set(workspaceId, { after: undefined, written: 0, failures: 0, since, again: false });
    this.#ready.add(workspaceId);
    this.#go();
  }

  /** Age of the oldest event that was not taken yet, as far as it is known, in milliseconds; 0 when there is none. */
  backlogMs(): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const { since } of this.#turns.values()) oldest = Math.min(oldest, since);
    return Math.max(0, this.#options.now() - oldest);
  }

  /** Cuts off what is under way. Returns when nothing runs any more; it is sent again by the next run. */
  async stop(): Promise<void> {
    this.#ended.abort();
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #track(work: Promise<void>): void {
    const tracked = work.finally(() => this.#running.delete(tracked));
    this.#running.add(tracked);
  }

  #go(): void {
    for (const workspaceId of this.#ready) {
      if (this.#sending >= maxAtOnce || this.#ended.signal.aborted) return;
      const turn = this.#turns.get(workspaceId);
      this.#ready.delete(workspaceId);
      if (turn) this.#track(this.#take(workspaceId, turn));
    }
  }

  async #take(workspaceId: Hex, turn: Turn): Promise<void> {
    this.#sending += 1;
    turn.again = false;
    let next: Next;
    try {
      next = await this.#advance(workspaceId, turn);
    } catch (error) {
      // The store's, or of the end; the webhook's own place in the store is all that may be behind.
      next = this.#ended.signal.aborted ? 'nothing' : this.#failed(turn, this.#storeCode(error));
    } finally {
      this.#sending -= 1;
    }
    if (this.#ended.signal.aborted) return;
    if (next === 'nothing' && !turn.again) this.#forget(workspaceId, turn);
    else if (typeof next === 'number') this.#track(this.#wait(workspaceId, next));
    else this.#ready.add(workspaceId);
    this.#go();
  }

  #forget(workspaceId: Hex, { failures }: Turn): void {
    // The last one was given up, or there was none after all.
    if (failures > 0) this.#failing -= 1;
    this.#turns.delete(workspaceId);
  }

  #storeCode(error: unknown): string {
    return error instanceof StoreError ? `store_${error.code}` : String((error as Error).message);
  }

  async #wait(workspaceId: Hex, milliseconds: number): Promise<void> {
    await this.#options.schedule.sleep(milliseconds, this.#ended.signal).catch(() => undefined);
    this.#ready.add(workspaceId);
    this.#go();
  }

  /** Tells of the next events of a workspace, up to the first that is not taken. Throws StoreError. */
  async #advance(workspaceId: Hex, turn: Turn): Promise<Next> {
    if (turn.after === undefined) turn.after = turn.written = await this.#cursors.read(workspaceId);
    const events = await this.#read(workspaceId, turn, turn.after);
    for (const event of events) {
      const message = messageOf(workspaceId, event);
      if (message === undefined || this.#webhook.events?.includes(message.type) === false) {
        turn.after = event.sequence;
        continue;
      }
      turn.since = message.at;
      const attempted = await this.#attempt(message);
      if (attempted.outcome === 'gone') {
        this.#end();
        return 'nothing';
      }
      if (attempted.outcome !== 'delivered') {
        if (this.#options.now() - message.at >= this.#options.schedule.giveUpMs)
          await this.#drop(workspaceId, turn, event, message);
        return this.#failed(turn, attempted);
      }
      await this.#pass(workspaceId, turn, event.sequence);
      this.#delivered(turn);
    }
    if (turn.after - turn.written >= maxUnwritten) await this.#pass(workspaceId, turn, turn.after);
    return events.length < pageSize ? 'nothing' : 'more';
  }

  /** The next events; when those were forgotten meanwhile, the oldest that there are. */
  async #read(workspaceId: Hex, turn: Turn, after: number): Promise<readonly StreamEvent[]> {
    const stream = workspaceStream(workspaceId);
    try {
      return await this.#options.store.read(stream, after, pageSize);
    } catch (error) {
      if (!(error instanceof StoreError) || error.held === undefined) throw error;
      const { first, last } = error.held;
      const next = error.code === 'cursor_too_old' ? first - 1 : last;
      const { log, observer } = this.#options;
      log('webhook.events_lost', { level: 'warn', webhook: this.name, workspaceId, had: after, has: next });
      observer?.attempted(this.name, 'lost');
      await this.#pass(workspaceId, turn, next);
      return this.#options.store.read(stream, next, pageSize);
    }
  }

  async #attempt(message: Message): Promise<Attempted> {
    const { post, schedule, now, observer } = this.#options;
    const { signal } = this.#ended;
    const attempted = await attempt(message, this.#webhook, { post, schedule, now, signal });
    observer?.attempted(this.name, attempted.outcome);
    return attempted;
  }

  /** An event is done with: durably, before the next one is sent. */
  async #pass(workspaceId: Hex, turn: Turn, sequence: number): Promise<void> {
    await this.#cursors.write(workspaceId, sequence);
    turn.after = turn.written = sequence;
  }

  async #drop(workspaceId: Hex, turn: Turn, { sequence }: StreamEvent, message: Message): Promise<void> {
    const { log, observer } = this.#options;
    log('webhook.dropped', {
      level: 'warn',
      webhook: this.name,
      workspaceId,
      sequence,
      webhookId: message.id,
      type: message.type,
    });
    observer?.attempted(this.name, 'dropped');
    await this.#pass(workspaceId, turn, sequence);
  }

  #delivered(turn: Turn): void {
    turn.since = this.#options.now();
    if (turn.failures === 0) return;
    turn.failures = 0;
    this.#failing -= 1;
    if (this.#failing === 0) this.#options.log('webhook.recovered', { webhook: this.name });
  }

  /** Says so once until all goes well again. Returns after how many milliseconds to try again. */
  #failed(turn: Turn, what: Attempted | string): number {
    const { log, schedule } = this.#options;
    turn.failures += 1;
    if (turn.failures === 1) {
      this.#failing += 1;
      if (this.#failing === 1) {
        const origin = new URL(this.#webhook.url).origin;
        log('webhook.failing', { level: 'warn', webhook: this.name, origin, reason: reasonOf(what) });
      }
    }
    return delayAfter(
      schedule,
      turn.failures,
      typeof what === 'object' && 'waitMs' in what ? what.waitMs : 0,
    );
  }

  /** The receiver wants no more: until the next start nothing is sent to it. */
  #end(): void {
    const { origin } = new URL(this.#webhook.url);
    this.#options.log('webhook.gone', { level: 'warn', webhook: this.name, origin });
    this.#ended.abort();
    this.#turns.clear();
    this.#ready.clear();
  }
}

function reasonOf(what: Attempted | string): string {
  if (typeof what === 'string') return what;
  if ('status' in what) return `status ${what.status}`;
  return 'code' in what ? what.code : what.outcome;
}
