// The pair setups of this party: made with every other party of the keyring as soon as both are up, and again where one was
// lost or destroyed. The one that stands first in the roster leads; the other waits, and leads when nothing comes, because it
// may be the only one that misses the setup.
import { timestamp } from '../../../protocol/records/fields.ts';
import { partyIndex } from '../../../protocol/records/keyring-roster.ts';
import { pairSetupId, pairSetupPurpose } from '../ecdsa-purpose.ts';
import type { OfflineAttempts, OfflineTask } from '../offline-attempts.ts';
import type { RunOutput } from '../purpose.ts';
import type { SessionState } from '../state.ts';
import type { Body } from '../wire.ts';
import type { PairGate } from './gate.ts';

/** Rounds of a pair setup. */
const setupRounds = 4;
/** Milliseconds: how long the second of a pair waits for the first, and between attempts, growing up to the longest. */
const grace = 5000;
const firstPause = 1500;
const longestPause = 300_000;
/** Least time between two setups that a peer asks for although there is one. */
const renewalSpacing = 30_000;

export class PairSetups {
  readonly #state: SessionState;
  readonly #gate: PairGate;
  readonly #offline: OfflineAttempts;
  /** Called when a pair is ready. */
  readonly #onReady: (party: string) => void;
  readonly #timers = new Map<string, () => void>();
  /** Attempts in a row that came to nothing. */
  readonly #tries = new Map<string, number>();
  readonly #madeAt = new Map<string, number>();
  /** Whose new setup is being written down. */
  readonly #adopting = new Set<string>();

  constructor(
    state: SessionState,
    gate: PairGate,
    offline: OfflineAttempts,
    onReady: (party: string) => void,
  ) {
    this.#state = state;
    this.#gate = gate;
    this.#offline = offline;
    this.#onReady = onReady;
  }

  /** Looks at every pair: what is missing is begun or waited for. */
  attend(): void {
    for (const party of this.#state.others) this.#attend(party, this.#leads(party) ? 0 : grace);
  }

  /** A pair's setup is gone: it is made anew. */
  again(party: string): void {
    this.#tries.delete(party);
    this.#timers.get(party)?.();
    this.#timers.delete(party);
    this.#attend(party, this.#leads(party) ? firstPause : grace);
  }

  /** The setups that are being made, by party: rounds that this party has done. */
  progress(): ReadonlyMap<string, { readonly done: number; readonly of: number }> {
    const { self } = this.#state;
    const live = this.#offline.live('pair-setup');
    return new Map(
      live.flatMap(({ members, rounds }) => {
        const others = members.filter((party) => party !== self);
        return others.map((party) => [party, { done: rounds, of: setupRounds }] as const);
      }),
    );
  }

  /** A setup with a party is being made, or kept. */
  isRenewing(party: string): boolean {
    return this.#adopting.has(party) || this.progress().has(party);
  }

  stop(): void {
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
  }

  #leads(party: string): boolean {
    const { roster } = this.#state.context.keyring;
    return partyIndex(roster, this.#state.self) < partyIndex(roster, party);
  }

  #attend(party: string, wait: number): void {
    if (this.#timers.has(party) || !this.#isWanted(party)) return;
    this.#timers.set(
      party,
      this.#state.context.clock.after(wait, () => {
        this.#timers.delete(party);
        if (this.#isWanted(party)) this.#offline.lead(this.#task(party));
      }),
    );
  }

  #isWanted(party: string): boolean {
    const { stopped, paused, context } = this.#state;
    if (stopped || paused || this.#gate.state(party) !== 'missing') return false;
    return context.transport.up().has(party) && !this.isRenewing(party);
  }

  #task(party: string): OfflineTask {
    const { context, self } = this.#state;
    const members = [self, party];
    return {
      requestId: pairSetupId(context, members),
      purpose: pairSetupPurpose(party, context),
      members,
      onEnd: (result) => {
        if ('output' in result) void this.#adopt(party, result.output);
        else this.#retry(party);
      },
    };
  }

  #retry(party: string): void {
    const tries = (this.#tries.get(party) ?? 0) + 1;
    this.#tries.set(party, tries);
    const pause = Math.min(firstPause * 1.5 ** tries, longestPause);
    this.#attend(party, this.#leads(party) ? pause : pause + grace);
  }

  async #adopt(party: string, output: RunOutput): Promise<void> {
    if (output.kind !== 'pair-setup') return;
    const { log, clock } = this.#state.context;
    this.#adopting.add(party);
    let failure: Error | undefined;
    try {
      await this.#gate.adopt(party, output.setup);
    } catch (error) {
      failure = error as Error;
    }
    this.#adopting.delete(party);
    if (failure !== undefined) {
      log('pair.setup.failed', { peer: party, message: failure.message });
      return this.#retry(party);
    }
    this.#tries.delete(party);
    this.#madeAt.set(party, clock.now());
    const { others } = this.#state;
    const ready = others.filter((other) => this.#gate.state(other) === 'ready').length;
    log('pair.setup.ready', { peer: party, at: timestamp(clock.now()), ready, of: others.length });
    this.#onReady(party);
  }

  /** This party's side of a setup that `from` proposes, or why it takes no part. */
  decide(from: string): OfflineTask | Body<'decline'>['reason'] {
    if (this.#gate.state(from) === 'banned') return 'banned';
    if (this.isRenewing(from)) return 'busy';
    const since = this.#state.context.clock.now() - (this.#madeAt.get(from) ?? -Infinity);
    // A clock that was set back must not keep a peer from a setup that it alone has lost.
    if (this.#gate.state(from) === 'ready' && since >= 0 && since < renewalSpacing) return 'busy';
    this.#timers.get(from)?.();
    this.#timers.delete(from);
    return this.#task(from);
  }
}
