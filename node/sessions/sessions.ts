// The sessions of a node: requests come in with their evidence, parties agree on attempts and run the threshold protocols,
// and this party's own signed results come out. Messages about one request are handled one by one.
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import type { Evidence } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import { type Envelope, envelopeId } from '../../protocol/records/envelope.ts';
import type { Freeze } from '../store/freezes.ts';
import { Admission, costOfAnswer, costOfEvidence, costOfFrame, costOfReading } from './admission.ts';
import { attemptIdOf } from './attempt.ts';
import type { SessionContext } from './context.ts';
import { Ecdsa } from './ecdsa.ts';
import { Ends } from './ends.ts';
import { SessionError } from './error.ts';
import { connector, HeldDecisions, operator } from './held-decisions.ts';
import { EvidenceError, Intake, type IntakeResult } from './intake.ts';
import { Leading } from './leading.ts';
import { Membership } from './membership.ts';
import { Notices, type TakenDecision, type TakenLog } from './notices.ts';
import { Outcomes } from './outcomes.ts';
import { SessionState } from './state.ts';
import { requestStatus, type RequestStatus } from './status.ts';
import type { PoolSize } from './presigning/pool.ts';
import { SigningKeys } from './signing-keys.ts';
import type { DestroyedBy } from './pairs/gate.ts';
import { decodeFrame, type Frame, type FrameOf, proposeIn } from './wire.ts';
import type { WorkspaceStatus } from './workspaces.ts';

export { EvidenceError, type IntakeResult } from './intake.ts';
export type { TakenDecision, TakenLog } from './notices.ts';
export type { RequestStatus } from './status.ts';
export type { WorkspaceStatus } from './workspaces.ts';

/** All open requests are looked at when a peer comes up: at most this often for one peer, in milliseconds. */
const attendSpacing = 1000;

export class Sessions {
  /** What the connector is told of open requests, and brings of those that have ended elsewhere. */
  readonly ends: Ends;
  readonly #state: SessionState;
  readonly #outcomes: Outcomes;
  readonly #membership: Membership;
  readonly #leading: Leading;
  readonly #intake: Intake;
  readonly #held: HeldDecisions;
  readonly #notices: Notices;
  readonly #admission: Admission;
  readonly #keys: SigningKeys;
  /** Without a gate, this party has no part in signing by ECDSA. */
  readonly #ecdsa: Ecdsa | undefined;
  /** Boot id of each peer when it was last up. */
  readonly #boots = new Map<string, string>();
  /** When each peer that came up was last attended to, and what cancels the next time. */
  readonly #attended = new Map<string, number>();
  readonly #attending = new Map<string, () => void>();
  #opened: Promise<void> | undefined;

  /** `onResult` is called after a result was stored for the connector. */
  constructor(context: SessionContext, onResult: () => void) {
    this.#state = new SessionState(context);
    this.#admission = new Admission(context.clock, context.admission);
    this.#outcomes = new Outcomes(this.#state, onResult);
    this.#keys = new SigningKeys(context.store);
    this.#ecdsa =
      context.pairs &&
      new Ecdsa(
        this.#state,
        context.pairs,
        this.#keys,
        () => this.#leading.retryAll(),
        context.presignatures ?? 0,
      );
    this.#membership = new Membership(
      this.#state,
      this.#outcomes,
      this.#keys,
      this.#ecdsa,
      (job) => this.#leading.next(job),
      {
        tellHead: (party, workspaceId) => this.#notices.tellHead(party, workspaceId),
        tellAgainst: (party, requestId) => this.#notices.tellAgainst(party, requestId),
      },
    );
    context.pairs?.listen((party, why) => this.#pairDestroyed(party, why));
    this.#leading = new Leading(this.#state, this.#membership, this.#outcomes);
    this.#held = new HeldDecisions(context);
    this.#intake = new Intake(this.#state, this.#outcomes, this.#membership, this.#leading, this.#held, {
      onLog: (workspace, source) => this.#notices.observe(workspace, source),
      onHeld: (workspace, source) => this.#notices.adopt(workspace, source),
      onTakenBack: (requestId, decisions) => this.#notices.tell(requestId, decisions),
    });
    this.#notices = new Notices(this.#state, this.#intake, this.#held, (job) =>
      this.#state.background(job, async () => this.#leading.review(job)),
    );
    this.ends = new Ends(this.#state, this.#admission, this.#intake, this.#outcomes);
    this.#state.release = (job) => this.#intake.release(job);
  }

  /**
   * Reads what is in the way of signing: heads, forks, freezes, what limits have left, early rejections. Before any peer or
   * connector is heard: nothing may be judged without it.
   */
  async open(): Promise<void> {
    this.#opened ??= (async () => {
      await this.#state.openLogs();
      await this.#state.spent.open(this.#state.context.clock.now());
      await this.#held.open();
    })();
    await this.#opened;
  }

  /** Takes up again what the journal holds. */
  async start(): Promise<void> {
    const { store, log, transport } = this.#state.context;
    await this.open();
    for (const requestId of await store.pendingKeys()) {
      this.#outcomes.confirmations.askWhilePending(requestId);
      // A crash between the pending share and the result: the confirmation is the result.
      const confirmation = await store.confirmationOf(requestId);
      if (confirmation && !(await store.resultOf(requestId)))
        await this.#outcomes.store(requestId, confirmation);
    }
    for (const { requestId, evidence } of await store.openJobs()) {
      try {
        await this.#intake.take(requestId, evidence, this.#state.self);
      } catch (error) {
        log('request.refused', { requestId, message: (error as Error).message });
      }
    }
    if (this.#state.stopped) return;
    // Those that came up meanwhile were not told of what had not been read yet.
    const up = transport.up();
    for (const party of this.#attended.keys()) if (up.has(party)) this.#notices.attend(party);
  }

  async stop(): Promise<void> {
    this.#state.stopped = true;
    this.#state.stopping.abort();
    this.#admission.stop();
    for (const cancel of this.#attending.values()) cancel();
    this.#state.peerLog.stop();
    for (const job of this.#state.jobs.values()) this.#state.settle(job);
    this.#outcomes.confirmations.stop();
    this.#ecdsa?.stop();
    await this.#state.idle();
    await this.#state.context.pairs?.stop();
    this.#membership.destroy();
    this.#keys.destroy();
  }

  get paused(): boolean {
    return this.#state.paused;
  }

  /**
   * From now on this party proposes nothing and accepts nothing, and it leaves every attempt that is under way. Requests,
   * evidence, others' results and confirmations are taken in as before.
   */
  pause(): void {
    if (this.#state.paused) return;
    this.#state.paused = true;
    this.#membership.withdraw();
    this.#ecdsa?.withdraw();
  }

  /** Takes up every open request again, at once. */
  resume(): void {
    if (!this.#state.paused) return;
    this.#state.paused = false;
    this.#leading.retryAll();
    this.#ecdsa?.attend();
  }

  /** How many requests are open, and attempts at them under way. */
  counts(): { readonly authorised: number; readonly waiting: number; readonly attempts: number } {
    let [authorised, waiting, attempts] = [0, 0, 0];
    for (const job of this.#state.jobs.values()) {
      if (job.authorised) authorised += 1;
      else waiting += 1;
      attempts += job.live.size;
    }
    return { authorised, waiting, attempts };
  }

  status(): readonly RequestStatus[] {
    return [...this.#state.jobs.values()].map((job) => requestStatus(job, this.#state));
  }

  /**
   * Takes a request with its evidence. Resolves after it is durably stored. Throws EvidenceError when this node will do
   * nothing with it.
   */
  async submit(evidence: Evidence): Promise<IntakeResult> {
    const bytes = utf8ToBytes(JSON.stringify(evidence));
    await this.#admission.turn(connector, costOfEvidence(bytes.length));
    let requestId: Hex;
    try {
      requestId = envelopeId(evidence.request, this.#state.context.networkId);
    } catch (error) {
      throw new EvidenceError('bad_evidence', `bad_evidence: ${(error as Error).message}`, false);
    }
    return this.#intake.takeOnce(connector, requestId, bytes, evidence);
  }

  /**
   * Takes a workspace's log, and its parent's, from the connector. Throws EvidenceError as `submit`.
   */
  async submitLog(log: readonly Envelope[], parentLog?: readonly Envelope[]): Promise<readonly TakenLog[]> {
    const { length } = JSON.stringify([log, parentLog]);
    await this.#admission.turn(connector, costOfEvidence(length));
    return this.#notices.takeLogs(log, parentLog, connector);
  }

  /** As `submitLog`, from the operator. */
  importLog(log: readonly Envelope[], parentLog?: readonly Envelope[]): Promise<readonly TakenLog[]> {
    return this.#notices.takeLogs(log, parentLog, operator);
  }

  /** Takes decisions on any requests from the operator. Throws EvidenceError `bad_evidence`. */
  importDecisions(decisions: readonly Envelope[]): Promise<readonly TakenDecision[]> {
    return this.#notices.takeDecisions(decisions);
  }

  /** Of a workspace that this node knows of. */
  logsOf(workspaceId: Hex): ReturnType<SessionState['workspaces']['logsOf']> {
    return this.#state.workspaces.logsOf(workspaceId);
  }

  /** Of every workspace that this node knows of. */
  workspaces(): readonly WorkspaceStatus[] {
    return this.#state.workspaces.status();
  }

  /** From now on nothing is signed for this workspace. Durable when it resolves; false when it was so already. */
  async freeze(freeze: Freeze): Promise<boolean> {
    const workspaceId = freeze.workspaceId as Hex;
    if (this.#state.workspaces.isFrozen(workspaceId)) return false;
    const frozen = this.#state.workspaces.freeze(freeze);
    this.#notices.review(workspaceId);
    await frozen;
    return true;
  }

  /** Takes its requests up again. Returns the freeze that has ended. */
  async unfreeze(workspaceId: Hex): Promise<Freeze | undefined> {
    const ended = await this.#state.workspaces.unfreeze(workspaceId);
    if (ended) this.#notices.review(workspaceId);
    return ended;
  }

  /** When debits may have been forgotten last, in milliseconds since 1970. */
  get debitsForgotten(): number | undefined {
    return this.#state.spent.forgotten;
  }

  /** Messages that wait because their sender has used up its share of this node's time. */
  get resting(): number {
    return this.#admission.resting;
  }

  /**
   * A message of an authenticated roster party. Never throws: what is wrong with it is logged. Gossip has a budget of its
   * own: whoever passes it on can repeat what a party once said, and that must not use up what the party sends itself.
   */
  async receive(from: string, bytes: Uint8Array, via: 'stream' | 'gossip' = 'stream'): Promise<void> {
    if (this.#state.stopped || from === this.#state.self) return;
    let about: Readonly<Record<string, string>> = {};
    try {
      if (!this.#state.others.includes(from))
        throw new SessionError('stranger', `${from} is not in the roster`);
      const source = via === 'gossip' ? `gossip of ${from}` : from;
      await this.#admission.turn(source, costOfReading(bytes));
      const frame = decodeFrame(bytes);
      about = idsIn(frame);
      this.#admission.charge(source, costOfFrame(frame));
      // Neither waits in the request's queue, nor does what the same peer sends next wait for it: a round must not seem late
      // because this party is busy, and judging evidence takes its time.
      if (frame.type === 'round') {
        if (this.#ecdsa?.takeRound(from, frame)) return;
        return this.#membership.onRound(from, frame);
      }
      if (frame.type === 'evidence') {
        return this.#state.detach(from, () => this.#intake.onEvidence(from, frame.content));
      }
      if (frame.type === 'log')
        return this.#state.detach(from, () => this.#notices.onLog(from, frame.content));
      if (frame.type === 'decisions')
        return this.#state.detach(from, () => this.#notices.onDecisions(from, frame.content));
      await this.#state.serial(this.#queueOf(frame), () => this.#dispatch(from, frame));
    } catch (error) {
      this.#state.reject(from, error, about);
    }
  }

  /** A peer's channel came up or went down; `boot` names the run of its process. */
  peer(party: string, up: boolean, boot: string): void {
    if (!up || this.#state.stopped) return;
    const before = this.#boots.get(party);
    this.#boots.set(party, boot);
    if (before !== undefined && before !== boot) {
      this.#membership.restarted(party);
      this.#ecdsa?.restarted(party);
    }
    this.#attend(party);
  }

  /** The ban gate has closed on a party, or the pair setup with it is gone; called before anything else leaves. */
  #pairDestroyed(party: string, why: DestroyedBy): void {
    if (this.#state.stopped) return;
    if (why !== 'replaced') this.#membership.pairDestroyed(party);
    this.#ecdsa?.destroyed(party, why);
  }

  /** How far the pair setups are that are being made, by party: rounds done. */
  pairProgress(): ReadonlyMap<string, { readonly done: number; readonly of: number }> {
    return this.#ecdsa?.setups.progress() ?? new Map<string, never>();
  }

  /** Presignatures that wait here, of all owners. */
  presignatures(): readonly PoolSize[] {
    return this.#ecdsa?.pool.sizes() ?? [];
  }

  /** Tries what waits for parties, now that one came up; for a peer that comes and goes all the time, now and then. */
  #attend(party: string): void {
    const { clock } = this.#state.context;
    if (this.#attending.has(party)) return;
    const wait = (this.#attended.get(party) ?? -Infinity) + attendSpacing - clock.now();
    if (wait > 0 && wait <= attendSpacing) {
      this.#attending.set(
        party,
        clock.after(wait, () => {
          this.#attending.delete(party);
          this.#attend(party);
        }),
      );
      return;
    }
    this.#attended.set(party, clock.now());
    this.#leading.retryAll();
    this.#ecdsa?.attend();
    this.#notices.attend(party);
    void this.#outcomes.confirmations.ask(party).catch((error: unknown) => this.#state.reject(party, error));
  }

  /** What serialises a frame: its request, or for messages that only name an attempt, that attempt's request. */
  #queueOf(frame: Frame): string {
    // One after the other, or a leader's next would not be counted yet.
    if (frame.type === 'propose' && frame.content.members !== undefined) return `of ${frame.content.leader}`;
    if ('requestId' in frame.content) return frame.content.requestId;
    if (frame.type === 'start') return proposeIn(frame).content.requestId;
    if (frame.type === 'heads') return 'heads';
    if ('workspaceId' in frame.content) return `wanted ${frame.content.workspaceId}`;
    const { attemptId } = frame.content as { attemptId: string };
    for (const job of this.#state.jobs.values()) {
      if (job.live.has(attemptId) || job.proposal?.attemptId === attemptId) return job.requestId;
    }
    return attemptId;
  }

  async #onStart(from: string, frame: FrameOf<'start'>): Promise<void> {
    const { content: propose } = proposeIn(frame);
    const attemptId = attemptIdOf(propose, this.#state.context.networkId);
    if (this.#ecdsa?.takeStart(from, attemptId, frame)) return;
    return this.#membership.onStart(from, propose.requestId, attemptId, frame);
  }

  async #dispatch(
    from: string,
    frame: Exclude<Frame, { type: 'round' | 'evidence' | 'log' | 'decisions' }>,
  ): Promise<void> {
    if (this.#state.stopped || (await this.#ecdsa?.take(from, frame))) return;
    switch (frame.type) {
      case 'propose':
        return this.#membership.onPropose(from, frame);
      case 'accept':
        return this.#leading.onAccept(from, frame);
      case 'start':
        return this.#onStart(from, frame);
      case 'done':
        return this.#outcomes.onDone(from, frame);
      case 'wait':
        return this.#leading.onWait(from, frame.content);
      case 'decline':
        return this.#leading.onDecline(from, frame.content);
      case 'want':
        // A short question with a long answer: whoever asks pays for that too.
        return this.#admission.charge(
          from,
          costOfAnswer(await this.#leading.sendEvidence(from, frame.content.requestId)),
        );
      case 'heads':
        return this.#notices.onHeads(from, frame.content);
      case 'want_log':
        return this.#admission.charge(from, costOfAnswer(await this.#notices.onWantLog(from, frame.content)));
      case 'abort':
        return this.#membership.onAbort(from, frame.content);
      case 'confirm':
        return this.#outcomes.onConfirm(from, frame.content);
      case 'exhibit':
        return this.#membership.onExhibit(from, frame.content);
      case 'reached':
        this.#state.peerLog.write(from, 'session.reached', { peer: from, ...frame.content });
    }
  }
}

/** The ids that a frame names, for the log. */
function idsIn({ content }: Frame): Record<string, string> {
  const { requestId, attemptId } = content as { requestId?: string; attemptId?: string };
  return { ...(requestId !== undefined && { requestId }), ...(attemptId !== undefined && { attemptId }) };
}

/** Hex of 16 random bytes: the name of one run of this process. */
export function bootId(random: (length: number) => Uint8Array): string {
  return bytesToHex(random(16));
}
