// Logs of workspaces for which this node has never begun anything, and which its operator did not bring. Anybody can make a
// workspace that names this keyring: what is kept of them is bounded for each who brings them, and none can push out what
// another one brought.
import type { Hex } from '../../protocol/hex.ts';
import type { StrangeLog } from '../store/heads.ts';
import type { SessionContext } from './context.ts';
import { connector } from './held-decisions.ts';

/** Of all sources together: each other party, and the connector, has an equal share. */
export const maxStrangeBytes = 64 * 1024 * 1024;
/** What a log counts at least, in bytes: a short one takes room too. */
export const leastCharge = 4096;

function chargeOf({ length, proof }: StrangeLog): number {
  return Math.max(length + proof, leastCharge);
}

export class StrangeLogs {
  readonly #context: SessionContext;
  readonly #share: number;
  /** By workspace, those that were brought first in front. */
  readonly #kept = new Map<Hex, StrangeLog>();

  constructor(context: SessionContext) {
    this.#context = context;
    // The other parties and the connector are as many as the parties.
    this.#share = Math.floor(maxStrangeBytes / context.keyring.roster.parties.length);
  }

  /** Takes up what the journal holds. `isKnown`: of a log that was charged and then not written nothing is kept. */
  async open(isKnown: (workspaceId: Hex) => boolean): Promise<void> {
    const charged = await this.#context.store.strangeLogs();
    for (const log of charged.toSorted((one, other) => one.at - other.at)) {
      const workspaceId = log.workspaceId as Hex;
      if (isKnown(workspaceId)) this.#kept.set(workspaceId, log);
      else await this.#context.store.forgetLog(workspaceId);
    }
  }

  has(workspaceId: Hex): boolean {
    return this.#kept.has(workspaceId);
  }

  /**
   * Charges a log: to who brought it first, and to the connector once that brings it, as what it brings is what this node is
   * there for. Counts at once; durable when it resolves.
   */
  async charge(workspaceId: Hex, source: string, length?: number): Promise<void> {
    const known = this.#kept.get(workspaceId);
    const payer = known === undefined || source === connector ? source : known.source;
    await this.#set(workspaceId, known, { source: payer, length: length ?? known?.length ?? 0 });
  }

  /** Charges what proves that a log has forked: this log, and the other one of this length. */
  async chargeFork(workspaceId: Hex, length: number): Promise<void> {
    const known = this.#kept.get(workspaceId);
    if (known) await this.#set(workspaceId, known, { proof: known.length + length });
  }

  async #set(
    workspaceId: Hex,
    known: StrangeLog | undefined,
    change: Partial<Pick<StrangeLog, 'source' | 'length' | 'proof'>>,
  ): Promise<void> {
    const before = known ?? { workspaceId, source: '', length: 0, proof: 0, at: this.#context.clock.now() };
    const log = { ...before, ...change };
    const { source, length, proof } = log;
    if (known?.source === source && known.length === length && known.proof === proof) return;
    this.#kept.set(workspaceId, log);
    await this.#written(workspaceId, known, this.#context.store.chargeLog(log));
  }

  /** This node has begun something for it, or its operator brought it: it is kept for good. Durable when it resolves. */
  async claim(workspaceId: Hex): Promise<void> {
    const known = this.#kept.get(workspaceId);
    if (this.#kept.delete(workspaceId))
      await this.#written(workspaceId, known, this.#context.store.claimLog(workspaceId));
  }

  /** After a write that failed all is as before, so that the next one writes it again. */
  async #written(workspaceId: Hex, before: StrangeLog | undefined, write: Promise<void>): Promise<void> {
    try {
      await write;
    } catch (error) {
      if (before === undefined) this.#kept.delete(workspaceId);
      else this.#kept.set(workspaceId, before);
      throw error;
    }
  }

  /** What goes, so that every source has no more than its share: its oldest, apart from those that must stay. */
  excess(stays: ReadonlySet<Hex>): readonly Hex[] {
    const taken = new Map<string, number>();
    for (const log of this.#kept.values())
      taken.set(log.source, (taken.get(log.source) ?? 0) + chargeOf(log));
    const goes: Hex[] = [];
    for (const [workspaceId, log] of this.#kept) {
      const left = taken.get(log.source) ?? 0;
      if (left <= this.#share || stays.has(workspaceId)) continue;
      taken.set(log.source, left - chargeOf(log));
      goes.push(workspaceId);
    }
    return goes;
  }

  /** It is not kept any more. Durable, with everything else about the log, when it resolves. */
  async forget(workspaceId: Hex): Promise<void> {
    this.#kept.delete(workspaceId);
    await this.#context.store.forgetLog(workspaceId);
  }
}
