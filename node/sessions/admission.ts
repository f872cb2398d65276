// How much of this node's time each party may take (design: "admission per peer"). Every message waits for its turn before
// anything is done with it. Parties take turns, so whoever sends much waits for itself only; and what one party makes this
// node compute is drawn from a budget of its own that fills at a fixed rate. Nothing is dropped for being too much: a
// message that waits holds back the ones behind it on its stream, down to the socket of its sender.
import type { Clock } from './context.ts';
import { SessionError } from './error.ts';
import type { Frame } from './wire.ts';

/** Work is counted in units of about 0.1 ms of one processor. */
export interface AdmissionLimits {
  /** What a source may use at once after a pause, in units. */
  readonly burst: number;
  /** What it may use in the long run, in units a second: 2,500 are a quarter of a processor. */
  readonly rate: number;
  /** Messages of one source that wait at most; a network that awaits each message stays far below. */
  readonly maxWaiting: number;
}

export const defaultAdmission: AdmissionLimits = { burst: 10_000, rate: 2_500, maxWaiting: 4096 };

/** Units done in one turn of the event loop before timers and sockets are looked at again. */
const unitsPerTick = 50;
/** Shortest pause of a source whose budget is used up, in milliseconds. */
const minRest = 10;

interface Lane {
  /** Below zero after a costly message: then the source rests until it is paid. */
  budget: number;
  filledAt: number;
  readonly waiting: { readonly cost: number; readonly go: () => void }[];
  cancelRest: (() => void) | undefined;
}

export class Admission {
  readonly #clock: Clock;
  readonly #limits: AdmissionLimits;
  /** One for each source that ever sent: parties of the roster, gossip of each, and the connector, so bounded. */
  readonly #lanes = new Map<string, Lane>();
  /** Lanes with messages whose source does not rest, the next one first. */
  #ready: Lane[] = [];
  #left = unitsPerTick;
  #scheduled = false;
  #stopped = false;

  constructor(clock: Clock, limits: AdmissionLimits = defaultAdmission) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Messages that wait for the budget of their source. */
  get resting(): number {
    const lanes = [...this.#lanes.values()].filter((lane) => lane.cancelRest !== undefined);
    return lanes.reduce((sum, lane) => sum + lane.waiting.length, 0);
  }

  /**
   * Resolves when a message of `source` may be worked on; messages of one source come in order. Throws SessionError
   * `flooded` when too many wait.
   */
  async turn(source: string, cost: number): Promise<void> {
    if (this.#stopped) return;
    const lane = this.#laneOf(source);
    if (lane.waiting.length === 0 && this.#ready.length === 0 && this.#left > 0 && lane.budget > 0) {
      this.#take(lane, cost);
      return;
    }
    if (lane.waiting.length >= this.#limits.maxWaiting) {
      throw new SessionError('flooded', `${lane.waiting.length} messages of ${source} wait already`);
    }
    await new Promise<void>((go) => {
      lane.waiting.push({ cost, go });
      if (lane.waiting.length === 1) this.#enqueue(lane);
    });
  }

  /** Adds to what a message costs its source, once that is known. */
  charge(source: string, cost: number): void {
    this.#take(this.#laneOf(source), cost);
  }

  /** Lets everything go: whoever waits finds the node stopped. */
  stop(): void {
    this.#stopped = true;
    this.#ready = [];
    for (const lane of this.#lanes.values()) {
      lane.cancelRest?.();
      lane.cancelRest = undefined;
      for (const { go } of lane.waiting.splice(0)) go();
    }
  }

  #laneOf(source: string): Lane {
    const known = this.#lanes.get(source);
    if (known !== undefined) {
      this.#fill(known);
      return known;
    }
    const filledAt = this.#clock.now();
    const lane: Lane = { budget: this.#limits.burst, filledAt, waiting: [], cancelRest: undefined };
    this.#lanes.set(source, lane);
    return lane;
  }

  /** A clock that was set back gives nothing, and takes nothing; one that was set forward gives a burst. */
  #fill(lane: Lane): void {
    const now = this.#clock.now();
    const elapsed = Math.max(0, now - lane.filledAt);
    lane.budget = Math.min(this.#limits.burst, lane.budget + (elapsed * this.#limits.rate) / 1000);
    lane.filledAt = now;
  }

  #take(lane: Lane, cost: number): void {
    lane.budget -= cost;
    this.#left -= cost;
    this.#schedule();
  }

  #enqueue(lane: Lane): void {
    if (lane.budget > 0) {
      this.#ready.push(lane);
      this.#schedule();
      return;
    }
    const ms = Math.max(minRest, Math.ceil((-lane.budget * 1000) / this.#limits.rate) + 1);
    lane.cancelRest = this.#clock.after(ms, () => {
      lane.cancelRest = undefined;
      this.#fill(lane);
      this.#enqueue(lane);
    });
  }

  #schedule(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#left = unitsPerTick;
      this.#next();
    });
  }

  /** One message of the lane whose turn it is; what it really costs is known only after it has begun. */
  #next(): void {
    const lane = this.#ready.shift();
    const message = lane?.waiting.shift();
    if (lane === undefined || message === undefined) return;
    this.#take(lane, message.cost);
    if (lane.waiting.length > 0) this.#enqueue(lane);
    message.go();
    if (this.#ready.length > 0) this.#schedule();
  }
}

/** What reading a message costs, whatever is in it. */
export function costOfReading(bytes: Uint8Array): number {
  return 1 + bytes.length / 4096;
}

/** What a message makes this node compute, at most, as far as its form tells. */
export function costOfFrame({ type, content }: Frame): number {
  switch (type) {
    case 'propose':
      return 5 + 5 * content.digests.length;
    case 'accept':
      return 3 + content.nonces.length;
    case 'start':
      return 5 + 5 * content.accepts.length;
    case 'round':
      // Its bytes were paid for when they were read. What a machine computes of them is bounded by its attempt, of which each
      // member's message counts once, and comes from a worker, after what is more urgent.
      return 5;
    case 'done':
      return 5 + 10 * content.signatures.length;
    case 'evidence':
      return costOfEvidence(content.evidence.length);
    case 'log':
      return costOfEvidence(content.log.length);
    case 'decisions':
      return costOfEvidence(content.decisions.length);
    case 'heads':
      return 1 + content.heads.length;
    case 'confirm':
      return 5 + 5 * content.confirmations.length + (content.want ? 5 : 0);
    case 'exhibit':
      return 5 + 5 * content.commitments.length;
    case 'want':
    case 'want_log':
    case 'wait':
      return 10;
    case 'abort':
    case 'decline':
    case 'reached':
      return 1;
  }
}

/** Evidence of so many bytes of JSON: at a signature every 250 bytes or so. */
export function costOfEvidence(length: number): number {
  return 5 + length / 200;
}

/** What it costs to write out so many bytes for whoever asked for them. */
export function costOfAnswer(length: number): number {
  return length / 4096;
}

/** What it costs to look up, or to list in order, so many requests. */
export function costOfListing(count: number): number {
  return 1 + count / 100;
}
