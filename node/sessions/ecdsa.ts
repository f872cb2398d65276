// Threshold ECDSA in this node's sessions, beside the requests themselves: pair setups, pools of presignatures, and what
// happens to both when the ban gate closes on a party.
import type { EcdsaParts } from './ecdsa-purpose.ts';
import { OfflineAttempts } from './offline-attempts.ts';
import type { DestroyedBy, PairGate } from './pairs/gate.ts';
import { PairSetups } from './pairs/pair-setups.ts';
import { Presigning } from './presigning/filling.ts';
import { PresignaturePool } from './presigning/pool.ts';
import type { SigningKeys } from './signing-keys.ts';
import type { SessionState } from './state.ts';
import type { Frame, FrameOf } from './wire.ts';

export class Ecdsa {
  readonly gate: PairGate;
  readonly pool = new PresignaturePool();
  readonly offline: OfflineAttempts;
  readonly setups: PairSetups;
  readonly presigning: Presigning;
  readonly #state: SessionState;

  /** `onReady`: called when a pair setup is there. */
  constructor(
    state: SessionState,
    gate: PairGate,
    keys: SigningKeys,
    onReady: () => void,
    presignatures: number,
  ) {
    this.#state = state;
    this.gate = gate;
    this.offline = new OfflineAttempts(state);
    this.setups = new PairSetups(state, gate, this.offline, () => {
      onReady();
      this.presigning.attend();
    });
    this.presigning = new Presigning(state, this.parts, keys, this.offline, presignatures);
  }

  get parts(): EcdsaParts {
    return {
      gate: this.gate,
      pool: this.pool,
      used: (keyId, members) => this.presigning.used(keyId, members),
      isRenewing: (party) => this.setups.isRenewing(party),
    };
  }

  /** A peer came up, or this node was resumed. */
  attend(): void {
    this.setups.attend();
    this.presigning.attend();
  }

  /** A process that restarted has lost its presignatures, and its side of every attempt. */
  restarted(party: string): void {
    this.pool.purge(party);
    this.offline.end('peer_restarted', `${party} restarted`, party);
  }

  /** The pair setup with a party is gone: all that depends on it goes with it. */
  destroyed(party: string, why: DestroyedBy): void {
    const burnt = this.pool.purge(party);
    if (burnt > 0) this.#state.context.log('presign.burnt', { peer: party, why, presignatures: burnt });
    // After an incident a new setup is what is wanted: one that is under way goes on.
    const ends = why === 'incident' ? 'presign' : undefined;
    if (why !== 'replaced')
      this.offline.end('pair_destroyed', `the pair setup with ${party} is gone: ${why}`, party, ends);
    if (why !== 'ban' && why !== 'replaced') this.setups.again(party);
  }

  /** The operator has paused this node. */
  withdraw(): void {
    this.offline.end('paused', 'the operator of this party has paused it');
  }

  /** Takes a frame that is about an attempt of no request. Returns whether it was one. */
  async take(from: string, frame: Exclude<Frame, { type: 'round' | 'evidence' }>): Promise<boolean> {
    const { offline } = this;
    switch (frame.type) {
      case 'propose':
        if (frame.content.purpose === 'pair-setup') {
          await offline.onPropose(from, frame, async () => this.setups.decide(from));
          return true;
        }
        if (frame.content.purpose !== 'presign') return false;
        await offline.onPropose(from, frame, (propose) => this.presigning.decide(from, propose));
        return true;
      case 'accept':
        return this.#if(frame.content.attemptId, () => offline.onAccept(from, frame));
      case 'decline':
        return this.#if(frame.content.attemptId, () => offline.onDecline(from, frame.content));
      case 'abort':
        return this.#if(frame.content.attemptId, () => offline.onAbort(from, frame.content));
      // A START is looked at by `takeStart`; the others are of requests only.
      case 'start':
      case 'done':
      case 'wait':
      case 'want':
      case 'confirm':
      case 'exhibit':
      case 'reached':
      case 'heads':
      case 'want_log':
      case 'log':
      case 'decisions':
        return false;
    }
  }

  /** As `take`, at once. */
  takeRound(from: string, frame: FrameOf<'round'>): boolean {
    return this.#if(frame.content.attemptId, () => this.offline.onRound(from, frame));
  }

  /** A START whose PROPOSE has this attempt's id. Returns whether it is about one of these. */
  takeStart(from: string, attemptId: string, frame: FrameOf<'start'>): boolean {
    return this.#if(attemptId, () => this.offline.onStart(from, attemptId, frame));
  }

  #if(attemptId: string, take: () => void): boolean {
    if (!this.offline.has(attemptId)) return false;
    take();
    return true;
  }

  stop(): void {
    this.setups.stop();
    this.offline.stop();
    this.presigning.stop();
  }
}
