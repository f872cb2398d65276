// The operator's pause: durable, so that a node that restarts is still paused until its operator resumes it. What a paused
// node does and leaves is decided in its sessions.
import * as z from 'zod';
import { timestamp } from '../protocol/records/fields.ts';
import { type Pause, pauseReasonSchema } from './store/pause.ts';

export type { Pause } from './store/pause.ts';

export class PauseError extends Error {
  override readonly name = 'PauseError';
  readonly code = 'invalid_params';
}

/** `changed`: false when the node was so already. */
export interface PauseChange {
  readonly changed: boolean;
  /** The pause that stands now, or that has just ended; undefined when there was none to end. */
  readonly pause?: Pause | undefined;
}

export interface OperatorPauseOptions {
  readonly store: { pause(): Promise<Pause | undefined>; setPause(pause: Pause | undefined): Promise<void> };
  readonly sessions: { pause(): void; resume(): void };
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly log: (event: string, fields: Record<string, unknown>) => void;
}

const paramsSchema = z.strictObject({ reason: pauseReasonSchema.optional() }).optional();

export class OperatorPause {
  readonly #options: OperatorPauseOptions;
  #current: Pause | undefined;
  /** Whether the pause that stands is stored. */
  #durable = false;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: OperatorPauseOptions) {
    this.#options = options;
  }

  /** The pause that stands. */
  get current(): Pause | undefined {
    return this.#current;
  }

  /** Takes up the pause of an earlier run; before the sessions start. */
  async open(): Promise<void> {
    const { store, sessions, log } = this.#options;
    this.#current = await store.pause();
    if (this.#current === undefined) return;
    this.#durable = true;
    sessions.pause();
    log('node.paused', { level: 'warn', ...this.#current });
  }

  /**
   * `params`: `{reason?}`, as they come from the control socket. Nothing leaves any more from the moment of the call; it
   * is durable when the promise resolves. Throws PauseError for other params.
   */
  async pause(params: unknown): Promise<PauseChange> {
    const parsed = paramsSchema.safeParse(params);
    if (!parsed.success) {
      throw new PauseError('pause takes {reason?}: a text of 1 to 200 characters without control characters');
    }
    return this.#inTurn(async () => {
      const { sessions, now, log } = this.#options;
      if (this.#current !== undefined) {
        // It could not be stored when it began.
        if (!this.#durable) await this.#keep(this.#current);
        return { changed: false, pause: this.#current };
      }
      const { reason } = parsed.data ?? {};
      const pause: Pause = { since: timestamp(now()), ...(reason !== undefined && { reason }) };
      // At once: a disk that is full or slow must not keep this node signing.
      sessions.pause();
      this.#current = pause;
      log('node.paused', { level: 'warn', ...pause });
      await this.#keep(pause);
      return { changed: true, pause };
    });
  }

  /** Durable before anything is taken up again. */
  async resume(): Promise<PauseChange> {
    return this.#inTurn(async () => {
      const { store, sessions, log } = this.#options;
      const pause = this.#current;
      if (pause === undefined) return { changed: false };
      await store.setPause(undefined);
      this.#current = undefined;
      this.#durable = false;
      log('node.resumed', { level: 'warn', pausedSince: pause.since });
      sessions.resume();
      return { changed: true, pause };
    });
  }

  async #keep(pause: Pause): Promise<void> {
    await this.#options.store.setPause(pause);
    this.#durable = true;
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}
