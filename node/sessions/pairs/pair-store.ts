// What the ban gate keeps of each pair of parties, and what it demands of whoever keeps it. On a node that is the node's store
// (node/store/pairs.ts); in tests it is memory.

/** What one pair setup is: mpc.md, "Pair setup". */
export interface PairSecrets {
  /** 32 bytes, public, equal on both sides. */
  readonly id: Uint8Array;
  /** SECRET, in a buffer of its own. */
  readonly secrets: Uint8Array;
}

export interface PairBan {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** The code of the failed check, `incidents`, or `restored`. */
  readonly code: string;
  /** One line for the operator, nothing secret. */
  readonly detail: string;
}

/** A pair as it was left by the last run. `party` is the other party's credential. */
export interface StoredPair {
  readonly party: string;
  /** Of the keyring and epoch that the gate is for. */
  readonly setup?: PairSecrets | undefined;
  /** A setup is on record whose secrets are not there: the folder was restored from a backup, which has none. */
  readonly setupLost: boolean;
  readonly ban?: PairBan | undefined;
  /** A check had begun, and its verdict was not known when the last run ended. */
  readonly checking: boolean;
  /** When the last incidents were, in milliseconds since 1970, in the order in which they happened. */
  readonly incidents: readonly number[];
}

/**
 * Keeps pairs. Each method's effect is durable, whole, when its promise resolves; the outcome is unknown when it rejects.
 * The gate never has two calls about one pair under way.
 */
export interface PairStore {
  load(): Promise<readonly StoredPair[]>;
  /** Takes the place of an older setup of the same keyring and epoch, which is erased. */
  adopt(party: string, setup: PairSecrets): Promise<void>;
  /** A check begins. */
  mark(party: string): Promise<void>;
  /** No check is under way. */
  clear(party: string): Promise<void>;
  /** Erases the setup with this id, if it is the one that is kept, and notes the incidents. */
  drop(party: string, id: Uint8Array, incidents: readonly number[]): Promise<void>;
  /** In one batch with the removal of all setups of the pair, of every keyring and epoch. A ban that stands stays. */
  ban(party: string, ban: PairBan, incidents: readonly number[]): Promise<void>;
  /** Forgets ban and incidents, and erases all setups of the pair. */
  lift(party: string): Promise<void>;
}
