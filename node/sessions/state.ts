// What the parts of a node's sessions share: the open requests, one queue for each, and ways to send.
import type { Authorisation, Trust, Verdict } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { SessionContext } from './context.ts';
import { SessionError } from './error.ts';
import { isEcdsa } from '../mpc/dkls23/key.ts';
import { describeJob, type Job } from './job.ts';
import { PeerLog } from './peer-log.ts';
import { Spent } from './spent.ts';
import { StrangeLogs } from './strange-logs.ts';
import { Verdicts } from './verdicts.ts';
import { type Body, encodeFrame, type MessageType, type WireContext } from './wire.ts';
import { Workspaces, workspacesOf } from './workspaces.ts';

/** Pieces of work beside the queues, for messages of one party. */
const maxDetached = 16;

export class SessionState {
  readonly context: SessionContext;
  /** Requests without a result. */
  readonly jobs = new Map<Hex, Job>();
  readonly verdicts = new Verdicts();
  readonly workspaces: Workspaces;
  /** Of those, the ones that are kept as long as there is room. */
  readonly strange: StrangeLogs;
  readonly spent: Spent;
  readonly peerLog: PeerLog;
  /** Takes up a request that time, or what happened to its workspace, has made authorised. */
  release: (job: Job) => Promise<void> = async () => undefined;
  stopped = false;
  /** The operator has paused this node: it takes part in no attempt. */
  paused = false;
  readonly #queues = new Map<string, Promise<void>>();
  /** By party whose message it is about. */
  readonly #detached = new Map<string, Set<Promise<void>>>();
  /** Aborted when the sessions stop. */
  readonly stopping = new AbortController();

  constructor(context: SessionContext) {
    this.context = context;
    this.peerLog = new PeerLog(context.clock, context.log);
    this.workspaces = new Workspaces(context);
    this.strange = new StrangeLogs(context);
    this.spent = new Spent(context.store);
  }

  /** Takes up what the journal holds of workspaces. */
  async openLogs(): Promise<void> {
    await this.workspaces.open();
    await this.strange.open((id) => this.workspaces.known(id) !== undefined);
  }

  /** This party's credential. */
  get self(): string {
    return this.context.signer.credential;
  }

  get wire(): WireContext {
    return { networkId: this.context.networkId, keyringId: this.context.keyring.id };
  }

  get others(): readonly string[] {
    return this.context.keyring.roster.parties
      .map((party) => party.key)
      .filter((party) => party !== this.self);
  }

  /** Other parties that a request cannot be done with now: away, or, to sign by ECDSA, without a pair setup with this one. */
  missing({ authorisation }: Job): readonly string[] {
    const up = this.context.transport.up();
    const { pairs } = this.context;
    const isEcdsaSigning = authorisation.items.some(({ key }) => isEcdsa(key.keyType));
    const hasSetup = (party: string): boolean => !isEcdsaSigning || pairs?.state(party) === 'ready';
    return this.others.filter((party) => !up.has(party) || !hasSetup(party));
  }

  isOpen(job: Job): boolean {
    return !this.stopped && this.jobs.get(job.requestId) === job;
  }

  /** Runs `work` after everything before it about the same request. */
  async serial<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
    const before = this.#queues.get(key) ?? Promise.resolve();
    const result = before.then(work);
    const settled = result.then(
      () => undefined,
      () => undefined,
    );
    this.#queues.set(key, settled);
    try {
      return await result;
    } finally {
      if (this.#queues.get(key) === settled) this.#queues.delete(key);
    }
  }

  /** As `serial`, for work that nobody waits for: a failure is logged. */
  background(job: Job, work: () => Promise<void>): void {
    void this.serial(job.requestId, work).catch((error: unknown) => this.reject(this.self, error));
  }

  /**
   * Runs `work` beside everything else. A failure is logged as one of `from`'s message. Resolves when there is room for
   * more of the same party: fewer than the workers' queue takes of it, or what an honest burst brings would be refused.
   */
  async detach(from: string, work: () => Promise<void>): Promise<void> {
    const own = this.#detached.get(from) ?? new Set<Promise<void>>();
    this.#detached.set(from, own);
    const running = work()
      .catch((error: unknown) => this.reject(from, error))
      .finally(() => own.delete(running));
    own.add(running);
    while (own.size >= maxDetached) await Promise.race(own);
  }

  /** Returns when nothing is under way. */
  async idle(): Promise<void> {
    for (const own of this.#detached.values()) await Promise.all(own);
    await Promise.all(this.#queues.values());
  }

  /** `about`: the ids in the message, as far as it could be read. */
  reject(from: string, error: unknown, about: Readonly<Record<string, string>> = {}): void {
    const code = error instanceof SessionError ? error.code : (error as { code?: unknown }).code;
    const { message } = error as Error;
    const culprit = error instanceof SessionError ? error.culprit : undefined;
    this.context.observer?.rejected(from, typeof code === 'string' ? code : 'internal');
    const fields = { peer: from, ...about, code: code ?? 'internal', message, ...(culprit && { culprit }) };
    this.peerLog.write(from, 'session.message_rejected', fields);
  }

  /** Whether what was last found of a request's evidence still is so now. */
  standsUnchanged(job: Job): boolean {
    return this.#isAuthorised(job) === job.authorised;
  }

  /** What this node judges evidence by, now, that says nothing of when it came, nor of limits. */
  get trust(): Trust {
    const { networkId, keyring, clock } = this.context;
    return { networkId, keyringId: keyring.id, now: clock.now() };
  }

  /** What this node judges a request by, now. `firstSeen`: when it was first stored here. */
  trustFor(authorisation: Authorisation, firstSeen: number): Trust {
    return { ...this.trust, firstSeen, ledger: this.spent.view(authorisation) };
  }

  /** What the evidence alone comes to now. */
  verdictOn({ authorisation, evidence, firstSeen }: Job): Verdict {
    const now = this.context.clock.now();
    const version = this.spent.version(authorisation);
    return this.verdicts.judge(authorisation, evidence, now, version, () =>
      this.trustFor(authorisation, firstSeen),
    );
  }

  #isAuthorised(job: Job): boolean {
    return (
      this.verdictOn(job).verdict === 'authorised' &&
      this.workspaces.obstacle(job.authorisation) === undefined
    );
  }

  /** Whether the request may be signed now: approvals and requests run out, logs grow, limits are used up. */
  authorisedNow(job: Job): boolean {
    const before = job.authorised;
    const verdict = this.verdictOn(job);
    job.obstacle = this.workspaces.obstacle(job.authorisation);
    job.authorised = verdict.verdict === 'authorised' && job.obstacle === undefined;
    job.detail = describeJob(verdict, job.obstacle);
    job.until = verdict.verdict === 'refused' ? undefined : verdict.until;
    if (job.authorised && !before && this.isOpen(job)) this.background(job, () => this.release(job));
    return job.authorised;
  }

  /**
   * Durable before the first message of the signing rounds leaves: that the request was started, and what it takes from
   * limits. Judging it and counting what it takes are one step, without anything between: of two requests that fit, but
   * not both, one starts. Returns false when the request is not authorised then, or no more afterwards.
   */
  async begin(job: Job): Promise<boolean> {
    const { store, clock } = this.context;
    const { authorisation, requestId } = job;
    if (!this.isOpen(job) || !this.authorisedNow(job) || !this.#hasLogs(authorisation)) return false;
    const debits = this.spent.debitsOf(authorisation, clock.now());
    // It counts also when the write fails: what became of that is not known.
    if (debits) this.spent.note(debits);
    // From now on there may be signatures by a key of it. Of a key that is to be made there is nothing before its share is.
    if (authorisation.request.kind === 'sign') await this.keepLogs(authorisation);
    await store.markStarted(requestId, debits);
    if (debits) await this.spent.prune(authorisation.workspace.id, clock.now());
    // Approvals may have run out meanwhile; a rejection or a newer log may have come.
    return this.isOpen(job) && this.authorisedNow(job);
  }

  /** Whether the logs by which it is judged are on the disk. */
  #hasLogs(authorisation: Authorisation): boolean {
    const { workspaces } = this;
    return workspacesOf(authorisation).every(
      ({ id }) => workspaces.saved(id) !== undefined && workspaces.isSaved(id),
    );
  }

  /** Keeps the logs of its workspaces for good. Durable when it resolves. */
  async keepLogs(authorisation: Authorisation): Promise<void> {
    for (const { id } of workspacesOf(authorisation)) await this.strange.claim(id);
  }

  /** Ends everything that is under way for a request. */
  settle(job: Job): void {
    job.cancelTimer();
    job.proposal?.cancel();
    job.proposal = undefined;
    for (const attempt of job.live.values()) attempt.cancel();
    job.live.clear();
  }

  encode<Type extends MessageType>(type: Type, content: Body<Type>): Uint8Array {
    return encodeFrame(type, content, this.wire, this.context.signer);
  }

  send<Type extends MessageType>(party: string, type: Type, content: Body<Type>): void {
    this.sendBytes(party, this.encode(type, content));
  }

  sendBytes(party: string, bytes: Uint8Array): void {
    try {
      this.context.transport.send(party, bytes);
    } catch (error) {
      this.context.log('session.send_failed', { peer: party, message: (error as Error).message });
    }
  }

  publish<Type extends MessageType>(type: Type, content: Body<Type>): void {
    this.context.transport.publish(this.encode(type, content));
  }

  /** By gossip and, as a rule, over each stream too: the first copy counts. */
  toAll(bytes: Uint8Array): void {
    this.context.transport.publish(bytes);
    if (this.context.streamCopies) for (const party of this.others) this.sendBytes(party, bytes);
  }

  /** Tells everybody how far an attempt has come. */
  reached(job: Job, attemptId: string, point: Body<'reached'>['point']): void {
    this.publish('reached', { attemptId, requestId: job.requestId, point });
  }
}
