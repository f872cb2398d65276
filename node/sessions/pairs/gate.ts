// The ban gate (mpc.md): one per node, for every pair of this party with another one, across workers, keys and sessions. A
// failed check of a peer's message costs the peer its one try; parallel or repeated tries would leak Delta bit by bit. So:
// - a failed check bans at once in memory, then durably; nothing of the pair is released from that moment on;
// - a result waits until every check of its pairs that was under way when it was found good has its verdict too. Whatever
//   runs in parallel, what leaves is then what would have left had the checks been made one after the other;
// - a check whose verdict is lost (a throw, a lost worker, a crash) destroys the setup: a fresh Delta makes that safe.
// What happens to a pair in memory happens at once; what is written of it is written in order, one thing after the other.
import { type Hex, toHex } from '../../../protocol/hex.ts';
import { GateError } from './gate-error.ts';
import {
  type DestroyedBy,
  type DestroyedListener,
  type GateOptions,
  incidentWindow,
  maxIncidents,
  type PairState,
  type PairView,
  restored,
} from './gate-options.ts';
import { Pair, type Check } from './pair.ts';
import type { PairBan, PairSecrets } from './pair-store.ts';
import { type GuardOptions, type Verdict, verdictOf } from './verdict.ts';

export type { GuardOptions } from './verdict.ts';

export * from './gate-options.ts';

/** Milliseconds in which the other party of a setup adopts it too. */
const settling = 5000;
export class PairGate {
  readonly #options: GateOptions;
  readonly #pairs = new Map<string, Pair>();
  readonly #listeners = new Set<DestroyedListener>();
  #stopped = false;

  private constructor(options: GateOptions) {
    this.#options = options;
    if (options.onDestroyed) this.listen(options.onDestroyed);
  }

  /**
   * Takes up what the last run left. A check that was under way then is an incident. Durable when it resolves; throws
   * what the store throws, and nothing may run then.
   */
  static async open(options: GateOptions): Promise<PairGate> {
    const gate = new PairGate(options);
    for (const stored of await options.store.load())
      await gate.#takeUp(new Pair(stored.party, stored), stored);
    return gate;
  }

  async #takeUp(
    pair: Pair,
    { checking, setupLost }: { checking: boolean; setupLost: boolean },
  ): Promise<void> {
    this.#pairs.set(pair.party, pair);
    const { clock, store } = this.#options;
    if (pair.ban !== undefined) pair.erase();
    else if (setupLost) this.#ban(pair, { at: clock.now(), ...restored });
    else if (checking && pair.setup) this.#incident(pair, 'a check was under way when the node ended');
    await pair.written();
    if (checking) await pair.inTurn(() => store.clear(pair.party));
  }

  /** One more who is told when a setup is gone; returns what ends that. */
  listen(listener: DestroyedListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  state(party: string): PairState {
    const pair = this.#pairs.get(party);
    if (pair?.ban) return 'banned';
    return pair?.setup ? 'ready' : 'missing';
  }

  /** Whether these setups (by party `toHex(id)`) are the ones in use. */
  holds(setups: ReadonlyMap<string, Hex>): boolean {
    return [...setups].every(([party, id]) => {
      const pair = this.#pairs.get(party);
      return pair?.ban === undefined && pair?.setup?.hexId === id;
    });
  }

  /** Of every pair of which anything is known. */
  states(): ReadonlyMap<string, PairView> {
    return new Map(
      [...this.#pairs].map(([party, pair]) => [
        party,
        { state: this.state(party), ban: pair.ban, incidents: this.#recent(pair).length },
      ]),
    );
  }

  /** Parties that are banned. */
  bans(): readonly string[] {
    return [...this.#pairs.values()].flatMap(({ party, ban }) => (ban ? [party] : []));
  }

  /**
   * A copy of the pair's setup, its secrets in a buffer of its own: to be moved to a worker, and erased there. Throws
   * GateError `banned`, `no_setup`.
   */
  setupOf(party: string): PairSecrets {
    const { setup } = this.#open(party);
    return { id: setup.id.slice(), secrets: setup.secrets.slice() };
  }

  /**
   * Keeps a new setup in place of an older one; ready when it resolves, and durable. Takes over `setup.secrets`, and erases
   * them if it throws: GateError `banned`, or what the store throws.
   */
  async adopt(party: string, { id, secrets }: PairSecrets): Promise<void> {
    const pair = this.#pair(party);
    try {
      await pair.inTurn(async () => {
        if (pair.ban) throw bannedError(party);
        await pair.settle();
        if (pair.setup?.hexId === toHex(id)) return void secrets.fill(0);
        await this.#options.store.adopt(party, { id, secrets });
        // A ban that came meanwhile is written next, and takes the setup with it.
        if (pair.ban) throw bannedError(party);
        const replaced = pair.replace({ id, secrets });
        pair.adoptedAt = this.#options.clock.now();
        this.#options.log('pair.ready', { peer: party, setupId: toHex(id) });
        if (replaced) this.#destroyed(party, 'replaced');
      });
    } catch (error) {
      secrets.fill(0);
      throw error;
    }
  }

  /**
   * Runs one step of a machine that may check messages of these parties against their setups, and passes its result on if
   * the gate is still open then. What the step throws is passed on too if no check failed, or if it is the failed check that
   * closes the gate; its verdict counts whoever still waits for it.
   *
   * Throws GateError `banned`, `no_setup`, `stopped`, `unmarked` before the step was begun, `closed` before or after: the
   * value has then been erased.
   */
  async guard<T>(options: GuardOptions<T>, step: (begin: () => void) => Promise<T>): Promise<T> {
    const parties = [...new Set(options.parties)];
    const pairs = parties.map((party) => this.#held(party, options.setups));
    const check = this.#begin(pairs, options.waits !== true);
    const begin = (): void => {
      for (const pair of pairs) this.#requireSame(pair, options.setups);
      this.#requireRunning(pairs);
      check.begun = true;
    };
    let verdict: Verdict<T>;
    try {
      await this.#mark(pairs);
      for (const pair of pairs) this.#requireSame(pair, options.setups);
      verdict = await verdictOf(options, () => step(begin));
      this.#judge(verdict, pairs, options.setups);
    } finally {
      this.#end(check, pairs);
    }
    // Sequentially the first: what it tells is the one try that a cheater has.
    if (verdict.kind === 'failed_check' || verdict.kind === 'lost') throw verdict.error;
    const before = pairs.flatMap((pair) => [...pair.checks].filter(({ begun }) => begun));
    await Promise.all(before.map(({ ended }) => ended));
    try {
      for (const pair of pairs) this.#requireSame(pair, options.setups);
    } catch (error) {
      if (verdict.kind === 'value') options.erase(verdict.value);
      throw error;
    }
    if (verdict.kind === 'harmless') throw verdict.error;
    return verdict.value;
  }

  /**
   * The other party has named another setup, before any check: the two make a new one. One that was adopted just now stays
   * until it is named again: the other party may not have adopted it yet.
   *
   * @param why One line for the log.
   */
  async mismatch(party: string, why: string): Promise<void> {
    const { clock, log } = this.#options;
    const age = clock.now() - (this.#pair(party).adoptedAt ?? -Infinity);
    if (age < 0 || age >= settling) return await this.destroy(party, why);
    log('pair.mismatch', { peer: party, detail: why });
  }

  /**
   * Destroys the pair's setup, if there is one, as an incident. Gone at once in memory, durably when it resolves.
   *
   * @param why One line for the log.
   */
  async destroy(party: string, why: string): Promise<void> {
    const pair = this.#pair(party);
    if (pair.setup) this.#incident(pair, why);
    await pair.written();
  }

  /**
   * By the operator alone: forgets ban and incidents and drops the setup, so that it is made anew. Waits for checks that are
   * under way: their verdicts count before. Durable when it resolves.
   */
  async lift(party: string): Promise<void> {
    const { store, log } = this.#options;
    const pair = this.#pair(party);
    const { setup, incidents } = pair;
    if (setup) {
      pair.erase();
      // Written by itself, and first: the verdict of a check under way may be lost, and then only this tells.
      this.#write(pair, 'drop', () => store.drop(party, setup.id, incidents));
      this.#destroyed(party, 'operator');
    }
    await pair.idle();
    await pair.inTurn(async () => {
      const { ban } = pair;
      await store.lift(party);
      // A setup can have been adopted, used and abused meanwhile: that ban is another one, and is written next.
      if (pair.ban !== ban) throw bannedError(party);
      pair.lift();
      log('pair.lifted', { level: 'warn', peer: party });
    });
    this.#destroyed(party, 'operator');
  }

  /**
   * Lets no more checks begin; returns when those under way have their verdicts, and what follows from them is written. The
   * setups' secrets are overwritten in memory then.
   */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const pair of this.#pairs.values()) {
      await pair.idle();
      // A last try of what could not be written; it was logged then.
      await pair.written().catch(() => undefined);
      pair.erase();
    }
  }

  #pair(party: string): Pair {
    const known = this.#pairs.get(party);
    if (known) return known;
    const pair = new Pair(party);
    this.#pairs.set(party, pair);
    return pair;
  }

  /** A pair that is not banned and has a setup. */
  #open(party: string): Pair & { readonly setup: PairSecrets } {
    const pair = this.#pairs.get(party);
    if (pair?.ban) throw bannedError(party);
    if (pair?.setup === undefined) {
      throw new GateError('no_setup', party, `there is no pair setup with ${party}: it must be run first`);
    }
    return pair as Pair & { readonly setup: PairSecrets };
  }

  /** A pair with the setup that the work holds. */
  #held(party: string, setups: ReadonlyMap<string, Hex>): Pair {
    const pair = this.#open(party);
    this.#requireSame(pair, setups);
    return pair;
  }

  #requireSame(pair: Pair, setups: ReadonlyMap<string, Hex>): void {
    if (pair.ban === undefined && pair.setup && pair.setup.hexId === setups.get(pair.party)) return;
    const message = `the pair setup with ${pair.party} that this was made with is not the one in use`;
    throw new GateError('closed', pair.party, message);
  }

  #requireRunning([first]: readonly Pair[]): void {
    if (this.#stopped && first) throw new GateError('stopped', first.party, 'the node stops');
  }

  #begin(pairs: readonly Pair[], begun: boolean): Check {
    this.#requireRunning(pairs);
    let end = (): void => undefined;
    const ended = new Promise<void>((resolve) => (end = resolve));
    const check = { begun, ended, end };
    for (const pair of pairs) pair.checks.add(check);
    return check;
  }

  /** Makes it durable that checks of these pairs are under way. */
  async #mark(pairs: readonly Pair[]): Promise<void> {
    const mark = async (pair: Pair): Promise<void> => {
      if (pair.marked) return;
      await pair.settle();
      await this.#options.store.mark(pair.party);
      pair.marked = true;
    };
    // All are waited for, so that none is written after the check has ended.
    const marked = await Promise.allSettled(pairs.map((pair) => pair.inTurn(() => mark(pair))));
    for (const [index, outcome] of marked.entries()) {
      if (outcome.status === 'fulfilled') continue;
      const { party } = pairs[index] as Pair;
      this.#storeFailed(party, 'mark', outcome.reason);
      const message = `it could not be written down that a check of ${party} begins, so none was begun`;
      throw new GateError('unmarked', party, message, outcome.reason);
    }
  }

  #end(check: Check, pairs: readonly Pair[]): void {
    for (const pair of pairs) pair.checks.delete(check);
    check.end();
    for (const pair of pairs) this.#clear(pair);
  }

  /** Not waited for: a mark that is still there after a crash costs a setup, nothing else. */
  #clear(pair: Pair): void {
    const clear = async (): Promise<void> => {
      // What is to be destroyed and is not yet keeps its mark.
      if (pair.checks.size > 0 || !pair.marked || pair.unwritten) return;
      // Before it is written: should that fail, nobody knows what stands there.
      pair.marked = false;
      await this.#options.store.clear(pair.party);
    };
    pair.inTurn(clear).catch((error: unknown) => this.#storeFailed(pair.party, 'clear', error));
  }

  /**
   * Draws the consequences in memory, at once. Throws GateError `closed` when the gate was closed before: which of the
   * later checks fail must not show.
   */
  #judge<T>(verdict: Verdict<T>, pairs: readonly Pair[], setups: ReadonlyMap<string, Hex>): void {
    const closed = pairs.find((pair) => pair.ban || pair.setup?.hexId !== setups.get(pair.party));
    if (verdict.kind === 'failed_check') {
      const pair = pairs.find(({ party }) => party === verdict.culprit) as Pair;
      const { code, message } = verdict.error;
      this.#ban(pair, { at: this.#options.clock.now(), code, detail: message });
    }
    if (verdict.kind === 'lost') {
      for (const pair of pairs) {
        const own = pair.setup?.hexId === setups.get(pair.party);
        if (own && pair.setup) this.#incident(pair, 'the verdict of a check was lost');
      }
    }
    if (closed === undefined || verdict.kind === 'value' || verdict.kind === 'harmless') return;
    this.#requireSame(closed, setups);
  }

  #ban(pair: Pair, ban: PairBan): void {
    if (pair.ban) return;
    const { store, log } = this.#options;
    const { party, incidents } = pair;
    pair.ban = ban;
    pair.erase();
    this.#write(pair, 'ban', () => store.ban(party, ban, incidents));
    this.#destroyed(party, 'ban');
    log('pair.banned', { level: 'error', peer: party, code: ban.code, detail: ban.detail });
  }

  /** Nothing happens without a setup: it was destroyed before, and that was counted. */
  #incident(pair: Pair, detail: string): void {
    const { clock, store, log } = this.#options;
    const { party, setup } = pair;
    if (setup === undefined) return;
    const { id } = setup;
    // Ever later ones count as long as they are in the window, whichever way the clock was moved meanwhile.
    pair.incidents = [...pair.incidents, clock.now()].slice(-(maxIncidents + 1));
    const count = this.#recent(pair).length;
    if (count > maxIncidents) {
      const many = `more than ${maxIncidents} incidents within 24 hours, the last: ${detail}`;
      return this.#ban(pair, { at: clock.now(), code: 'incidents', detail: many });
    }
    const { incidents } = pair;
    pair.erase();
    this.#write(pair, 'drop', () => store.drop(party, id, incidents));
    this.#destroyed(party, 'incident');
    log('pair.destroyed', { level: 'warn', peer: party, detail, incidents: count });
  }

  /** What a listener does wrong must not keep the gate from what it does next. */
  #destroyed(party: string, why: DestroyedBy): void {
    for (const listener of this.#listeners) {
      try {
        listener(party, why);
      } catch (error) {
        const { name } = error as Error;
        this.#options.log('pair.listener_failed', { level: 'error', peer: party, why, error: name });
      }
    }
  }

  /** Incidents in the window. One of the future counts: the clock was moved back since. */
  #recent({ incidents }: Pair): readonly number[] {
    const since = this.#options.clock.now() - incidentWindow;
    return incidents.filter((at) => at > since);
  }

  #write(pair: Pair, what: string, write: () => Promise<void>): void {
    pair.write(write).catch((error: unknown) => this.#storeFailed(pair.party, what, error));
  }

  #storeFailed(party: string, what: string, error: unknown): void {
    const { message } = error as Error;
    this.#options.log('pair.store_failed', { level: 'error', peer: party, what, message });
  }
}

function bannedError(party: string): GateError {
  const message = `the pair with ${party} is banned: only countersign node pair-setup runs it again`;
  return new GateError('banned', party, message);
}
