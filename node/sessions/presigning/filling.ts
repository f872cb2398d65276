// Keeps pools of presignatures for the keys and sets in use, while nothing more urgent is under way: for each key that was
// signed with of late, up to the target, made with the set that this party would lead. And takes part in what other
// owners make for theirs.
import type { Hex } from '../../../protocol/hex.ts';
import { toHex } from '../../../protocol/hex.ts';
import type { PartyIndex } from '../../mpc/machine.ts';
import { partyIndex } from '../../../protocol/records/keyring-roster.ts';
import { partiesAt, setName } from '../attempt.ts';
import { type EcdsaParts, presigningId, presignPurpose } from '../ecdsa-purpose.ts';
import type { Failure } from '../failure.ts';
import type { OfflineAttempts, OfflineTask } from '../offline-attempts.ts';
import type { RunOutput } from '../purpose.ts';
import type { SigningKeys } from '../signing-keys.ts';
import type { SessionState } from '../state.ts';
import { type Body, maxPooledItems, type Propose } from '../wire.ts';
import { burn, maxPooled } from './pool.ts';

/** Milliseconds: how long nothing must have been under way, after a failure, and how long a key counts as in use. */
const idle = 250;
const pause = 15_000;
const inUse = 3600_000;
/**
 * Milliseconds for which presignatures wait. Where one side alone has them, an attempt having failed at its very end, they would
 * take their owner's room for ever. Their owner burns them first, lest it name what the others have not.
 */
const kept = 3600_000;
const ownKept = kept - 600_000;
/** Keys that pools are kept for: the last ones used. */
const maxKeys = 64;
/** Presignings of one owner that this party takes part in at a time. */
const maxLedBy = 2;

interface Used {
  readonly at: number;
  /** The set that this party led last, itself included. */
  readonly members?: readonly string[] | undefined;
}

export class Presigning {
  readonly #state: SessionState;
  readonly #parts: EcdsaParts;
  readonly #keys: SigningKeys;
  readonly #offline: OfflineAttempts;
  /** Presignatures of this party to keep for a key and set. */
  readonly #target: number;
  readonly #used = new Map<Hex, Used>();
  #cancel: (() => void) | undefined;

  constructor(
    state: SessionState,
    parts: EcdsaParts,
    keys: SigningKeys,
    offline: OfflineAttempts,
    target: number,
  ) {
    this.#state = state;
    this.#parts = parts;
    this.#keys = keys;
    this.#offline = offline;
    this.#target = Math.min(target, maxPooled);
  }

  /** A root key was signed with; `members`: by a set that this party led. */
  used(keyId: Hex, members?: readonly string[]): void {
    const before = this.#used.get(keyId);
    this.#used.delete(keyId);
    this.#used.set(keyId, { at: this.#state.context.clock.now(), members: members ?? before?.members });
    const [oldest] = this.#used.keys();
    if (this.#used.size > maxKeys && oldest !== undefined) this.#used.delete(oldest);
    this.attend();
  }

  /** Fills a pool when nothing is under way, now or later. */
  attend(wait = idle): void {
    if (this.#state.stopped || this.#target === 0 || this.#cancel !== undefined) return;
    if (this.#used.size === 0) return;
    this.#cancel = this.#state.context.clock.after(wait, () => {
      this.#cancel = undefined;
      void this.#fill().catch((error: unknown) => this.#state.reject(this.#state.self, error));
    });
  }

  stop(): void {
    this.#cancel?.();
    this.#parts.pool.clear();
  }

  /** Whether somebody waits for this node: then pools wait. */
  get #isBusy(): boolean {
    return [...this.#state.jobs.values()].some(({ live }) => live.size > 0);
  }

  async #fill(): Promise<void> {
    const { stopped, paused, self, context } = this.#state;
    if (stopped || paused) return;
    const now = context.clock.now();
    for (const [keyId, { at }] of this.#used) if (now - at > inUse) this.#used.delete(keyId);
    this.#expire();
    const leads = this.#offline.live('presign').some(({ leader }) => leader === self);
    if (leads) return;
    if (this.#isBusy) return this.attend();
    const room = this.#makeRoom();
    for (const [keyId, { members }] of [...this.#used].toReversed()) {
      const set = this.#setFor(members);
      if (set === undefined) continue;
      const wanted = Math.min(maxPooledItems, this.#target - this.#have(keyId, set), room);
      if (wanted <= 0) continue;
      const task = await this.#task(keyId, set, wanted);
      // While the key was read, something may have begun.
      if (task === undefined || this.#state.stopped || this.#state.paused) continue;
      if (this.#isBusy) return this.attend();
      return this.#offline.lead(task);
    }
  }

  #expire(): void {
    const { self, context } = this.#state;
    const now = context.clock.now();
    this.#parts.pool.burnIf(({ owner, madeAt }) => now - madeAt > (owner === self ? ownKept : kept));
  }

  /** Without room for more, this party's presignatures of keys and sets that it no longer fills pools for are burnt. */
  #makeRoom(): number {
    const { self } = this.#state;
    const { pool } = this.#parts;
    const name = (keyId: Hex, set: readonly string[]): string => `${keyId} ${setName(set)}`;
    if (pool.ofOwner(self).length + maxPooledItems > maxPooled) {
      const filled = new Set(
        [...this.#used].map(([keyId, { members }]) => name(keyId, this.#setFor(members) ?? [])),
      );
      pool.burnIf(({ owner, keyId, members }) => owner === self && !filled.has(name(keyId, members)));
    }
    return maxPooled - pool.ofOwner(self).length;
  }

  #have(keyId: Hex, set: readonly string[]): number {
    const own = this.#parts.pool.ofOwner(this.#state.self);
    return own.filter((each) => each.keyId === keyId && setName(each.members) === setName(set)).length;
  }

  /** The set that this party led last, as far as its members are here and their setups ready, or the next best. */
  #setFor(last: readonly string[] | undefined): readonly string[] | undefined {
    const { self, others, context } = this.#state;
    const up = context.transport.up();
    const isReady = (party: string): boolean =>
      party === self ||
      (up.has(party) && this.#parts.gate.state(party) === 'ready' && !this.#parts.isRenewing(party));
    if (last?.every(isReady)) return last;
    const ready = others.filter(isReady);
    const wanted = context.keyring.roster.threshold - 1;
    return ready.length < wanted ? undefined : [self, ...ready.slice(0, wanted)];
  }

  async #task(keyId: Hex, set: readonly string[], count: number): Promise<OfflineTask | undefined> {
    const signer = await this.#keys.ecdsa(keyId);
    if (signer === undefined || signer.rootId !== keyId) return undefined;
    const { context } = this.#state;
    const { roster } = context.keyring;
    const members: PartyIndex[] = set.map((party) => partyIndex(roster, party)).toSorted((a, b) => a - b);
    const parties = partiesAt(members, context.keyring);
    return {
      requestId: presigningId(context, keyId, parties),
      purpose: presignPurpose({ keyId, key: signer.key, members, count }, this.#parts.gate, context),
      members: parties,
      onEnd: (result, leader) => this.#ended(keyId, parties, leader, result),
    };
  }

  #ended(
    keyId: Hex,
    members: readonly string[],
    owner: string,
    result: { readonly output: RunOutput } | { readonly failure: Failure },
  ): void {
    // What another owner's came to says nothing of this party's own.
    if ('failure' in result) return owner === this.#state.self ? this.attend(pause) : undefined;
    const { output } = result;
    if (output.kind !== 'presignatures') return;
    const { setups } = output;
    const about = { owner, keyId, members, setups, madeAt: this.#state.context.clock.now() };
    const made = output.presignatures.map((presignature) => ({ presignature, ...about }));
    // Between the gate and here a setup can have gone, and with it what was in the pool then.
    if (!this.#parts.gate.holds(setups)) {
      for (const pooled of made) burn(pooled);
      return this.attend(pause);
    }
    for (const pooled of made) this.#parts.pool.put(pooled);
    const ids = output.presignatures.map(({ id }) => toHex(id));
    this.#state.context.log('presign.done', { keyId, peer: owner, set: members, presignatures: ids.length });
    if (owner === this.#state.self) this.attend(0);
  }

  /** This party's side of a presigning that `from` proposes, or why it takes no part. */
  async decide(
    from: string,
    { keyId, members, digests }: Propose,
  ): Promise<OfflineTask | Body<'decline'>['reason']> {
    const { context, self } = this.#state;
    if (keyId === undefined || members === undefined) return 'digests';
    this.#expire();
    const parties = partiesAt(members, context.keyring);
    if (parties.some((party) => party !== self && this.#parts.gate.state(party) !== 'ready')) return 'banned';
    if (parties.some((party) => this.#parts.isRenewing(party))) return 'busy';
    const led = this.#offline.live('presign').filter(({ leader }) => leader === from).length;
    if (led >= maxLedBy) return 'busy';
    return (await this.#task(keyId, parties, digests.length)) ?? 'no_share';
  }
}
