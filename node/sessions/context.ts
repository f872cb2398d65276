// What the sessions of a node work with. Clock, randomness, network and store are parameters, so that a whole network
// can run in one process on virtual time.
import type { Evidence } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { Envelope, Signer } from '../../protocol/records/envelope.ts';
import type { Epoch } from '../../protocol/records/fields.ts';
import type { Keyring } from '../../protocol/records/keyring-roster.ts';
import type { Origin } from '../../protocol/records/request.ts';
import type { WholeLog } from '../../protocol/records/log-relation.ts';
import type { KeyShare } from '../mpc/dkg/key-share.ts';
import type { StoredKey } from '../mpc/frost/key-package.ts';
import type { RandomBytes } from '../mpc/machine.ts';
import type { Freeze } from '../store/freezes.ts';
import type { ForkProof, HeadMove, StrangeLog } from '../store/heads.ts';
import type { HeldDecisions } from '../store/held-decisions.ts';
import type { Debits } from '../store/ledger.ts';
import type { Work } from '../work/work.ts';
import type { AdmissionLimits } from './admission.ts';
import type { RootKey } from './derived.ts';
import type { TimerClock } from '../late-timer.ts';
import type { PairGate } from './pairs/gate.ts';
import type { PurposeKind } from './wire.ts';
import type { KnownLog } from './workspaces.ts';

export interface Clock extends TimerClock {
  /** Milliseconds since 1970. */
  now(): number;
}

/** The keyring's network as sessions see it. Parties are named by their credentials. */
export interface Transport {
  /** Reliable and in order, while the peer's process lives. Throws when its outbox is full. */
  send(party: string, bytes: Uint8Array): void;
  /** To all, best effort. */
  publish(bytes: Uint8Array): void;
  /** Parties with a live channel. */
  up(): ReadonlySet<string>;
}

export interface StoredJob {
  readonly requestId: Hex;
  readonly evidence: Evidence;
  /** When it was first stored, in milliseconds since 1970; of what was stored by an older version it is not known. */
  readonly seen?: number | undefined;
}

export interface LoadedKey {
  readonly share: StoredKey;
  readonly certificate: readonly Envelope[];
  /** Of a derived key: where it comes from. */
  readonly root?: RootKey;
}

/** What sessions keep. Every method is durable when its promise resolves. */
export interface SessionStore {
  /** `seen`, milliseconds since 1970, counts from the first call: delays are counted from it. */
  putJob(requestId: Hex, evidence: Evidence, seen: number): Promise<void>;
  job(requestId: Hex): Promise<StoredJob | undefined>;
  /** Jobs without a result. */
  openJobs(): Promise<readonly StoredJob[]>;
  /** Before the first message of the signing rounds leaves; with it what the request takes from limits, in one write. */
  markStarted(requestId: Hex, debits?: Debits): Promise<void>;
  /** The node's own result, its place in the queue for the connector, and what it takes from limits, in one write. */
  finishJob(requestId: Hex, result: Envelope, debits?: Debits): Promise<void>;
  /**
   * The node's refusal of a request of which nothing is stored, in the queue for the connector: with its acknowledgement it is
   * forgotten. False when too many results wait there.
   */
  passRefusal(requestId: Hex, result: Envelope): Promise<boolean>;
  resultOf(requestId: Hex): Promise<Envelope | undefined>;
  /** A share that waits for the other parties' confirmations, with its own: the only one ever for this request. */
  putPendingShare(pending: {
    requestId: Hex;
    keyringId: Hex;
    epoch: Epoch;
    share: KeyShare;
    confirmation: Envelope;
    keyRequest: Envelope;
  }): Promise<void>;
  /** This party's confirmation of a derived key: the only one ever for this request. Its parent is active here. */
  putPendingDerived(pending: {
    requestId: Hex;
    keyringId: Hex;
    epoch: Epoch;
    origin: Origin;
    confirmation: Envelope;
    keyRequest: Envelope;
  }): Promise<void>;
  /** This party's confirmation of a key request, pending or active. */
  confirmationOf(requestId: Hex): Promise<Envelope | undefined>;
  /** Key requests whose share is pending. */
  pendingKeys(): Promise<readonly Hex[]>;
  activateKey(requestId: Hex, certificate: readonly Envelope[]): Promise<void>;
  /** An active key with this party's share. */
  keyOf(keyId: Hex): Promise<LoadedKey | undefined>;
  /**
   * Newest state of a workspace's log; never goes back unless it `leaves` entries that were known: then its owners have said
   * that others stand. `ends`: so they have of its fork.
   */
  rememberHead(log: WholeLog, because: HeadMove): Promise<void>;
  /** The newest log of each workspace, by its chain. */
  heads(): Promise<readonly KnownLog[]>;
  logOf(workspaceId: Hex): Promise<readonly Envelope[] | undefined>;
  /** Both logs of a fork. */
  rememberFork(proof: ForkProof): Promise<void>;
  forks(): Promise<readonly ForkProof[]>;
  /** Logs of workspaces for which this node has never begun anything, and who is charged for them. */
  strangeLogs(): Promise<readonly StrangeLog[]>;
  chargeLog(log: StrangeLog): Promise<void>;
  /** It is kept for good. */
  claimLog(workspaceId: Hex): Promise<void>;
  /** A log that was charged, and its fork. */
  forgetLog(workspaceId: Hex): Promise<void>;
  freezes(): Promise<readonly Freeze[]>;
  setFreeze(workspaceId: Hex, freeze: Freeze | undefined): Promise<void>;
  /** Decisions on requests that have not come. */
  heldDecisions(): Promise<readonly HeldDecisions[]>;
  setHeldDecisions(
    changed: readonly { requestId: Hex; decisions: HeldDecisions['decisions'] }[],
  ): Promise<void>;
  /** What was taken from limits, as far as any counts it at `now`. */
  debits(now: number): Promise<readonly Debits[]>;
  /** What a request takes that others have signed. */
  noteDebits(debits: Debits): Promise<void>;
  forgetDebits(requestIds: readonly string[], now: number): Promise<void>;
  /** When debits may have been forgotten last. */
  debitsForgotten(): Promise<number | undefined>;
}

/** Milliseconds. */
export interface Timing {
  /** How long a leader has to propose before the next does; grows by 15 % a try, up to `maxProposalDeadline`. */
  readonly proposalDeadline: number;
  readonly maxProposalDeadline: number;
  /** How long parties have to accept, and then to hear of a START. */
  readonly acceptDeadline: number;
  /** How long a leader that could start waits for a set it prefers. */
  readonly acceptGrace: number;
  /** How long a round may take. */
  readonly roundDeadline: number;
  /** Least time between two proposals of one leader for one request. */
  readonly proposalSpacing: number;
}

export const defaultTiming: Timing = {
  proposalDeadline: 1500,
  maxProposalDeadline: 30_000,
  acceptDeadline: 4000,
  acceptGrace: 100,
  roundDeadline: 15_000,
  proposalSpacing: 1500,
};

/**
 * Where proofs of other parties' faults are kept: evidence for people, never authority. Neither method throws: a full disk
 * must not stop a session.
 */
export interface BlameSink {
  /** Whether there is room for one more bundle about this party: nothing is computed for one that would not be kept. */
  wants(accused: string): boolean;
  /** `bytes`: a whole bundle, in its canonical form. */
  keep(bundle: BlameFile): Promise<void>;
}

export interface BlameFile {
  readonly id: string;
  readonly accused: string;
  readonly code: string;
  readonly requestId: Hex;
  readonly attemptId: string;
  readonly bytes: Uint8Array;
}

/** Hears what happens, to count it. No method may throw, nor wait. */
export interface SessionObserver {
  /** A message of a party was refused, whether or not it was logged. */
  rejected(party: string, code: string): void;
  /** Evidence that `source` brought (a party, or `connector`) was judged; `reason` of a refusal. */
  judged(source: string, verdict: 'authorised' | 'waiting' | 'refused', reason: string): void;
  /** A part of an attempt is over: `accept`, from joining it to its START, or a round from this party's messages to its end. */
  stepped(purpose: PurposeKind, step: string, ms: number): void;
}

export interface SessionContext {
  readonly networkId: string;
  readonly keyring: Keyring;
  /** This party's key. */
  readonly signer: Signer;
  /** Hex of 16 random bytes, new with every start of the process. */
  readonly boot: string;
  readonly transport: Transport;
  readonly store: SessionStore;
  readonly clock: Clock;
  readonly random: RandomBytes;
  /** Where what takes long is done. */
  readonly work: Work;
  readonly timing: Timing;
  readonly log: (event: string, fields: Record<string, unknown>) => void;
  /** Without one, faults are logged only. */
  readonly blame?: BlameSink;
  /** Whether PROPOSE, START and DONE also go over the streams; off only in tests, where gossip alone must carry them. */
  readonly streamCopies: boolean;
  readonly observer?: SessionObserver;
  /** Default: `defaultAdmission`. */
  readonly admission?: AdmissionLimits;
  /** Pair setups, behind the ban gate. Without it, this party has no part in signing by ECDSA. */
  readonly pairs?: PairGate;
  /** Presignatures to keep for each key and set in use. */
  readonly presignatures?: number;
}
