// Pairs of this party with the others as an operator sees and orders them: `node status`, and `node pair-setup`, which alone
// lifts a ban.
import * as z from 'zod';
import { timestamp } from '../protocol/records/fields.ts';
import type { Sessions } from './sessions/sessions.ts';
import type { PairGate, PairState } from './sessions/pairs/gate.ts';
import type { PairBan } from './sessions/pairs/pair-store.ts';

/** How far a pair setup has come. */
export interface PairProgress {
  readonly done: number;
  readonly of: number;
}

/** Times are RFC 3339, UTC. */
export interface NodePair {
  readonly name: string;
  /** The other party's credential. */
  readonly key: string;
  /** `running`: its setup is being made. */
  readonly state: PairState | 'running';
  readonly progress?: PairProgress;
  readonly ban?: { readonly since: string; readonly code: string; readonly detail: string };
  /** Setups that were destroyed within 24 hours because the verdict of a check was lost. */
  readonly incidents: number;
}

/** Presignatures in memory for one set of parties and one key. */
export interface PresignaturePool {
  readonly keyId: string;
  /** Credentials. */
  readonly set: readonly string[];
  readonly ready: number;
  readonly target: number;
}

/** What the sessions tell of work on pairs. */
export interface PairReports {
  /** By party, of the setups that are being made. */
  progress(): ReadonlyMap<string, PairProgress>;
  presignatures(): readonly PresignaturePool[];
}

/** `self`: this party's credential; only what it owns is counted. `target`: presignatures for a key and set. */
export function pairReports(
  sessions: Pick<Sessions, 'pairSetupsUnderway' | 'presignatures'>,
  self: string,
  target: number,
): PairReports {
  return {
    progress: () => new Map(sessions.pairSetupsUnderway.map((party) => [party, { done: 0, of: 1 }])),
    presignatures: () =>
      sessions
        .presignatures()
        .filter(({ owner }) => owner === self)
        .map(({ keyId, members, size }) => ({ keyId, set: members, ready: size, target })),
  };
}

interface Party {
  readonly key: string;
  readonly name: string;
}

export class PairControlError extends Error {
  override readonly name = 'PairControlError';
  readonly code: 'invalid_params' | 'unknown_peer';
  constructor(code: PairControlError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

function banFields({ at, code, detail }: PairBan): NonNullable<NodePair['ban']> {
  return { since: timestamp(at), code, detail };
}

/** The pairs with `peers`, in their order. */
export function nodePairs(
  gate: Pick<PairGate, 'state' | 'states'>,
  peers: readonly Party[],
  progress: ReadonlyMap<string, PairProgress> = new Map(),
): readonly NodePair[] {
  const known = gate.states();
  return peers.map(({ key, name }) => {
    const { ban, incidents = 0 } = known.get(key) ?? {};
    const state = gate.state(key);
    const made = state === 'banned' ? undefined : progress.get(key);
    return {
      name,
      key,
      state: made ? 'running' : state,
      ...(made && { progress: made }),
      ...(ban && { ban: banFields(ban) }),
      incidents,
    };
  });
}

/** What `node pair-setup` changed: how the pair stood before. */
export interface PairLift {
  readonly name: string;
  readonly key: string;
  readonly was: PairState;
  readonly ban?: NonNullable<NodePair['ban']>;
}

const paramsSchema = z.strictObject({ peer: z.string().min(1).max(200) });

/** Carries out the operator's command, as it comes from the control socket: `{peer}`, a party's name or credential. */
export class OperatorPairs {
  readonly #gate: Pick<PairGate, 'state' | 'states' | 'lift'>;
  readonly #peers: readonly Party[];

  constructor(gate: Pick<PairGate, 'state' | 'states' | 'lift'>, peers: readonly Party[]) {
    this.#gate = gate;
    this.#peers = peers;
  }

  /** Durable when it resolves. Throws PairControlError, and what the gate throws. */
  async lift(params: unknown): Promise<PairLift> {
    const parsed = paramsSchema.safeParse(params);
    if (!parsed.success) throw new PairControlError('invalid_params', 'pair-setup takes {peer}');
    const { peer } = parsed.data;
    const found = this.#peers.find(({ key, name }) => key === peer || name === peer);
    if (found === undefined) {
      const names = this.#peers.map(({ name }) => name).join(', ');
      throw new PairControlError(
        'unknown_peer',
        `${JSON.stringify(peer)} is no other party of this keyring: use one of ${names}`,
      );
    }
    const was = this.#gate.state(found.key);
    const ban = this.#gate.states().get(found.key)?.ban;
    await this.#gate.lift(found.key);
    return { name: found.name, key: found.key, was, ...(ban && { ban: banFields(ban) }) };
  }
}
