// What a ban gate is made with, and what it tells of pairs.
import type { Clock } from '../context.ts';
import type { PairBan, PairStore } from './pair-store.ts';

export type PairState = 'missing' | 'ready' | 'banned';

/** A pair for `node status` and metrics. */
export interface PairView {
  readonly state: PairState;
  readonly ban?: PairBan | undefined;
  /** In the last 24 hours. */
  readonly incidents: number;
}

/** Why a setup is gone, and with it everything that was made with it. */
export type DestroyedBy = 'ban' | 'incident' | 'replaced' | 'operator';

export interface GateOptions {
  readonly store: PairStore;
  readonly clock: Clock;
  readonly log: (event: string, fields: Record<string, unknown>) => void;
  readonly onDestroyed?: DestroyedListener;
}

/**
 * Called at once, before anything else can be released: drops the pair's presignatures and ends its sessions. After
 * `incident` and `operator` a pair setup is to be run. Must not throw.
 */
export type DestroyedListener = (party: string, why: DestroyedBy) => void;

/** More than these in `incidentWindow` are a ban. */
export const maxIncidents = 20;
/** Milliseconds. */
export const incidentWindow = 24 * 3600_000;
/** Of setups that a restored folder no longer has. */
export const restored = {
  code: 'restored',
  detail: "the pair setup's secrets are not here: the folder was restored from a backup, which has none",
};
