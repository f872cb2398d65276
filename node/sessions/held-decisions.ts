// Rejections and withdrawals of requests that have not reached this node. They count when the request comes, whoever kept
// them back from it; of each source a bounded number, so that none can push out what another one brought.
import { maxClockAhead, maxRequestLifetime } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import { decision as decisionRecord } from '../../protocol/records/decision.ts';
import { type Envelope, readContent } from '../../protocol/records/envelope.ts';
import type { HeldDecisions as Stored } from '../store/held-decisions.ts';
import type { SessionContext } from './context.ts';

type Entry = Stored['decisions'][number];

/** As what this node's own operator brings things in. */
export const operator = 'operator';
/** As what this node's connector does, beside the parties. */
export const connector = 'connector';

/** Decisions that one source may have here, and of those about one request. */
export const maxHeldOfSource = 512;
export const maxHeldOfSourceAndRequest = 10;
/** No request that is made by now is open any longer. */
const lifetime = maxRequestLifetime + maxClockAhead;

/**
 * Whether two envelopes are one, signatures and all: anybody can sign the bytes of another's decision, and such a copy must
 * not be taken for the true one.
 */
export function sameEnvelope(one: Envelope, other: Envelope): boolean {
  return one.bytes === other.bytes && JSON.stringify(one.signatures) === JSON.stringify(other.signatures);
}

/** Whether a decision takes something back. */
export function takesBack(envelope: Envelope, networkId: string): boolean {
  try {
    return readContent(decisionRecord, envelope, networkId).content.decision !== 'approve';
  } catch {
    return false;
  }
}

export class HeldDecisions {
  readonly #context: SessionContext;
  /** By request, the oldest first. */
  readonly #held = new Map<Hex, readonly Entry[]>();
  /** Writes come one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(context: SessionContext) {
    this.#context = context;
  }

  async open(): Promise<void> {
    const now = this.#context.clock.now();
    const stored = await this.#context.store.heldDecisions();
    for (const { requestId, decisions } of stored) this.#held.set(requestId as Hex, decisions);
    await this.#write(this.#expired(now));
  }

  /** Decisions about a request, whoever brought them. */
  about(requestId: Hex): readonly Envelope[] {
    return (this.#held.get(requestId) ?? []).map(({ envelope }) => envelope);
  }

  /** What is held about a request: another object whenever it has changed. */
  state(requestId: Hex): unknown {
    return this.#held.get(requestId);
  }

  /** Those about a request that one source brought. */
  broughtBy(source: string, requestId: Hex): readonly Envelope[] {
    return (this.#held.get(requestId) ?? [])
      .filter((entry) => entry.source === source)
      .map(({ envelope }) => envelope);
  }

  requestIds(): Iterable<Hex> {
    return this.#held.keys();
  }

  /**
   * Keeps decisions whose form and signatures were checked. The oldest of the same source give way. Durable when it
   * resolves. Returns those that are new.
   */
  async keep(requestId: Hex, envelopes: readonly Envelope[], source: string): Promise<readonly Envelope[]> {
    const now = this.#context.clock.now();
    const known = this.#held.get(requestId) ?? [];
    const room = maxHeldOfSourceAndRequest - known.filter((entry) => entry.source === source).length;
    const fresh = envelopes
      .filter((envelope) => !known.some((entry) => sameEnvelope(entry.envelope, envelope)))
      .slice(0, Math.max(0, room));
    if (fresh.length === 0) return [];
    const changed = new Set([requestId, ...this.#expired(now), ...this.#makeRoom(source, fresh.length)]);
    const added = fresh.map((envelope) => ({ source, envelope, until: now + lifetime }));
    this.#held.set(requestId, [...(this.#held.get(requestId) ?? []), ...added]);
    await this.#write([...changed]);
    return fresh;
  }

  /** They are with the request's evidence now, or it has ended. */
  async drop(requestId: Hex): Promise<void> {
    if (this.#held.delete(requestId)) await this.#write([requestId]);
  }

  #expired(now: number): Hex[] {
    return this.#remove(({ until }) => until <= now);
  }

  #makeRoom(source: string, count: number): Hex[] {
    const own = [...this.#held.values()].flat().filter((entry) => entry.source === source);
    const excess = new Set(own.slice(0, Math.max(0, own.length + count - maxHeldOfSource)));
    return excess.size === 0 ? [] : this.#remove((entry) => excess.has(entry));
  }

  #remove(goes: (entry: Entry) => boolean): Hex[] {
    const changed: Hex[] = [];
    for (const [requestId, entries] of this.#held) {
      const left = entries.filter((entry) => !goes(entry));
      if (left.length === entries.length) continue;
      changed.push(requestId);
      if (left.length > 0) this.#held.set(requestId, left);
      else this.#held.delete(requestId);
    }
    return changed;
  }

  async #write(requestIds: readonly Hex[]): Promise<void> {
    if (requestIds.length === 0) return;
    const written = this.#turn.then(() =>
      this.#context.store.setHeldDecisions(
        requestIds.map((requestId) => ({ requestId, decisions: this.#held.get(requestId) ?? [] })),
      ),
    );
    this.#turn = written.catch(() => undefined);
    await written;
  }
}
