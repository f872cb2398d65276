// Taking part in attempts, one's own included: PROPOSE -> ACCEPT, START -> rounds, and what follows when one fails.
import type { Authorisation } from '../../protocol/authorize.ts';
import { type Hex, toHex } from '../../protocol/hex.ts';
import { isEcdsa } from '../mpc/dkls23/key.ts';
import type { KeyPackage } from '../mpc/frost/key-package.ts';
import { NonceStore } from '../mpc/frost/nonces.ts';
import { attemptIdOf, checkPropose, same } from './attempt.ts';
import { Accuser } from './blame/accuser.ts';
import { SessionError } from './error.ts';
import { sameLogHead, timestamp } from '../../protocol/records/fields.ts';
import { type HeldProposal, isRepeated, type Job, noteFailure, rememberAnswered } from './job.ts';
import { BoundedMaps } from './bounded-map.ts';
import { EarlyBudget } from './early-budget.ts';
import type { Ecdsa } from './ecdsa.ts';
import { ecdsaSignPurpose } from './ecdsa-purpose.ts';
import type { Failure } from './failure.ts';
import { LiveAttempt } from './live-attempt.ts';
import type { Notices } from './notices.ts';
import type { Outcomes } from './outcomes.ts';
import { generatePurpose, type Prepared, type Purpose, type RunOutput, signPurpose } from './purpose.ts';
import { acceptFrame, type Proposal } from './proposal.ts';
import type { EcdsaSigner, SigningKeys } from './signing-keys.ts';
import type { SessionState } from './state.ts';
import { type Body, type FrameOf, type Propose, verifyFrame } from './wire.ts';
import { workspacesOf } from './workspaces.ts';

/** Proposals of one leader that wait for their requests; they are of use for seconds only. */
const maxHeld = 256;
/** Attempts of one leader that this party takes part in at a time; an honest one leads fewer, see Leading. */
export const maxLedBy = 256;

/** Tells a leader what it may not know of the workspace or the request that it proposes. */
export type MembershipNotices = Pick<Notices, 'tellHead' | 'tellAgainst'>;

export class Membership {
  readonly #state: SessionState;
  readonly #outcomes: Outcomes;
  /** Called when attempts at a request began, or came to nothing. */
  readonly #onChange: (job: Job) => void;
  readonly #notices: MembershipNotices;
  readonly #nonces: NonceStore;
  readonly #keys: SigningKeys;
  /** Without it, this party has no part in signing by ECDSA. */
  readonly #ecdsa: Ecdsa | undefined;
  readonly #accuser: Accuser;
  /** Proposals for requests that are not here, or not authorised, by leader and request, until their evidence comes. */
  readonly #held = new BoundedMaps<string, Hex, HeldProposal>(maxHeld);
  readonly #early = new EarlyBudget();

  constructor(
    state: SessionState,
    outcomes: Outcomes,
    keys: SigningKeys,
    ecdsa: Ecdsa | undefined,
    onChange: (job: Job) => void,
    notices: MembershipNotices,
  ) {
    this.#state = state;
    this.#notices = notices;
    this.#outcomes = outcomes;
    this.#keys = keys;
    this.#ecdsa = ecdsa;
    this.#onChange = onChange;
    this.#nonces = new NonceStore(state.context.random);
    this.#accuser = new Accuser(state);
  }

  /** Burns nonces. */
  destroy(): void {
    this.#nonces.clear();
  }

  /**
   * What attempts at a request are for; undefined when this party has no share of one of its keys, and for a derived key:
   * what is derived is never generated.
   */
  async purposeOf(job: Job): Promise<Purpose | undefined> {
    const { authorisation } = job;
    if (authorisation.derived !== undefined) return undefined;
    if (authorisation.request.kind === 'key') return generatePurpose(authorisation, this.#state.context);
    return authorisation.items.some(({ key }) => isEcdsa(key.keyType))
      ? this.#ecdsaPurpose(authorisation)
      : this.#frostPurpose(authorisation);
  }

  async #frostPurpose(authorisation: Authorisation): Promise<Purpose | undefined> {
    const keys: KeyPackage[] = [];
    for (const { key, payload } of authorisation.items) {
      const loaded = await this.#keys.frost(key.id, payload.tweak);
      if (loaded === undefined) return undefined;
      keys.push(loaded);
    }
    return signPurpose(authorisation, keys, this.#nonces, this.#state.context);
  }

  async #ecdsaPurpose(authorisation: Authorisation): Promise<Purpose | undefined> {
    if (this.#ecdsa === undefined) return undefined;
    const signers: EcdsaSigner[] = [];
    for (const { key } of authorisation.items) {
      const signer = await this.#keys.ecdsa(key.id);
      if (signer === undefined) return undefined;
      signers.push(signer);
    }
    return ecdsaSignPurpose(authorisation, signers, this.#ecdsa.parts, this.#state.context);
  }

  async onPropose(from: string, frame: FrameOf<'propose'>): Promise<void> {
    const { networkId, keyring, clock } = this.#state.context;
    const { content: propose } = frame;
    if (propose.leader !== from) throw new SessionError('wrong_sender', `a PROPOSE of ${propose.leader}`);
    const { requestId } = propose;
    const attemptId = attemptIdOf(propose, networkId);
    const job = this.#state.jobs.get(requestId);
    const live = job?.live.get(attemptId);
    if (live !== undefined) return live.proposedAgain(frame);
    checkPropose(frame, keyring, this.#state.wire);
    if (await this.#outcomes.answerFinished(from, attemptId, requestId)) return;
    if (this.#state.paused)
      return this.#state.send(from, 'decline', { attemptId, requestId, reason: 'paused' });
    // The second copy, or one of long ago.
    if (job !== undefined && isRepeated(job, propose)) return;
    // Before anything costly: a leader may have one attempt at a time.
    if (job !== undefined && this.#isBusy(job, from)) return this.#decline(job, attemptId, propose, 'busy');
    if (job === undefined || !this.#state.authorisedNow(job)) {
      const reason = job && this.#obstructed(from, job);
      if (job !== undefined && reason !== undefined) return this.#decline(job, attemptId, propose, reason);
      // Owners' rejections, of which the leader has not heard.
      this.#notices.tellAgainst(from, requestId);
      this.#held.set(from, requestId, { frame, at: clock.now() });
      this.#state.send(from, 'wait', { attemptId, requestId });
      return;
    }
    const purpose = await this.purposeOf(job);
    const reason = this.#reasonToDecline(job, attemptId, propose, purpose);
    if (purpose === undefined || reason !== undefined) {
      return this.#decline(job, attemptId, propose, reason ?? 'no_share');
    }
    // Durable before the ACCEPT, the first message of the signing rounds, leaves. When it is not authorised any more, the
    // leader hears nothing, and asks again.
    if (!(await this.#state.begin(job))) return;
    // The operator may have paused this node meanwhile.
    if (this.#state.paused) return this.#decline(job, attemptId, propose, 'paused');
    rememberAnswered(job, propose);
    job.lastAccepted.set(from, clock.now());
    const prepared = purpose.prepare(propose);
    const accept = acceptFrame(attemptId, prepared, job.authorisation.workspace.head, this.#state.context);
    this.join(job, attemptId, frame, prepared, accept);
    this.#state.sendBytes(from, accept);
  }

  /** What of the workspace is in the way may be news to the leader too: it hears where this node stands. */
  #obstructed(from: string, { obstacle, authorisation }: Job): Body<'decline'>['reason'] | undefined {
    if (obstacle === undefined) return undefined;
    if (obstacle.code === 'frozen_here') return 'paused';
    for (const { id } of workspacesOf(authorisation)) this.#notices.tellHead(from, id);
    return 'log_head';
  }

  #decline(job: Job, attemptId: string, propose: Propose, reason: Body<'decline'>['reason']): void {
    const { requestId, leader } = propose;
    rememberAnswered(job, propose);
    this.#state.send(leader, 'decline', { attemptId, requestId, reason });
  }

  /**
   * One attempt a leader and request at a time, and not too often. For a key, one attempt at all: of two at once some
   * parties could confirm the one, some the other, and no key would ever be complete.
   */
  #isBusy(job: Job, leader: string): boolean {
    const { clock, timing } = this.#state.context;
    const isKey = job.authorisation.request.kind === 'key';
    if ([...job.live.values()].some((attempt) => isKey || attempt.leader === leader)) return true;
    if (this.ledBy(leader) >= maxLedBy) return true;
    // A clock that was set back since makes nobody busy.
    const since = clock.now() - (job.lastAccepted.get(leader) ?? 0);
    return since >= 0 && since < timing.proposalSpacing / 2;
  }

  /** Attempts under way that a party leads. */
  ledBy(leader: string): number {
    let count = 0;
    for (const { live } of this.#state.jobs.values()) {
      for (const attempt of live.values()) if (attempt.leader === leader) count += 1;
    }
    return count;
  }

  #reasonToDecline(
    job: Job,
    attemptId: string,
    propose: Propose,
    purpose: Purpose | undefined,
  ): Body<'decline'>['reason'] | undefined {
    const { leader, logHead, digests } = propose;
    if (purpose === undefined) return 'no_share';
    const { head } = job.authorisation.workspace;
    if (!sameLogHead(logHead, head)) return 'log_head';
    const agreed =
      purpose.kind === propose.purpose &&
      (purpose.named !== undefined) === (propose.sets !== undefined) &&
      purpose.digests.length === digests.length &&
      purpose.digests.every((digest, index) => same(digest, digests[index] as Uint8Array));
    if (agreed) return undefined;
    this.#state.context.log('session.incident', {
      requestId: job.requestId,
      attemptId,
      code: 'digests',
      culprit: leader,
    });
    return 'digests';
  }

  /** Takes up proposals that came before the request was authorised here, as far as their leaders still wait. */
  async takeHeldProposals(job: Job): Promise<void> {
    const { clock, timing } = this.#state.context;
    for (const { frame, at } of this.#held.takeAll(job.requestId)) {
      if (clock.now() >= at + timing.acceptDeadline || !this.#state.isOpen(job)) continue;
      const { leader } = frame.content;
      await this.onPropose(leader, frame).catch((error: unknown) => this.#state.reject(leader, error));
    }
  }

  /** Enters an attempt that this party has accepted. */
  join(
    job: Job,
    attemptId: string,
    proposed: FrameOf<'propose'>,
    prepared: Prepared,
    ownAccept: Uint8Array,
  ): void {
    const { requestId } = job;
    const { leader } = proposed.content;
    const attempt = new LiveAttempt(
      attemptId,
      proposed,
      prepared,
      ownAccept,
      this.#state.context,
      this.#early,
      {
        onStarted: (_, started) => {
          const set = [...started.accepts.keys()];
          const sessionId = toHex(started.sid);
          this.#state.context.log('session.started', { requestId, attemptId, sessionId, leader, set });
          this.#state.reached(job, attemptId, 'started');
        },
        mayRelease: (running) => this.mayStart(job, running),
        onOutput: (ended, output) => {
          // Live until its output is stored: a peer's confirmation may stand before it in the queue, and without a live
          // attempt it would be taken for one of a run that this party has lost.
          this.#state.background(job, async () => {
            try {
              if (this.#mayConfirm(job, ended, output)) await this.#outcomes.complete(job, ended, output);
            } finally {
              job.live.delete(attemptId);
              if (this.#state.isOpen(job)) await this.#proceed(job);
            }
          });
        },
        onFailure: (ended, failure, tell) => this.#failed(job, ended, failure, tell),
      },
    );
    job.live.set(attemptId, attempt);
    this.#state.reached(job, attemptId, 'accepted');
    this.#onChange(job);
  }

  /** A share is confirmed only for a request that is still authorised; signatures are out already. */
  #mayConfirm(job: Job, attempt: LiveAttempt, output: RunOutput): boolean {
    if (output.kind !== 'share' || !this.#state.isOpen(job) || this.#state.authorisedNow(job)) return true;
    output.share.signingShare.fill(0);
    const { requestId, detail } = job;
    this.#state.context.log('session.not_confirmed', { requestId, attemptId: attempt.id, detail });
    return false;
  }

  async #proceed(job: Job): Promise<void> {
    if (!(await this.#outcomes.lostRun(job))) this.#onChange(job);
  }

  /** Whether the evidence still authorises what an attempt is about: it runs out, and is added to. Withdraws otherwise. */
  mayStart(job: Job, attempt: LiveAttempt): boolean {
    if (this.#state.authorisedNow(job)) return true;
    const message = `no longer authorised here: ${job.detail}`;
    attempt.fail({ code: 'not_authorised', message, awaited: [] }, true);
    return false;
  }

  #failed(job: Job, attempt: LiveAttempt, failure: Failure, tell: boolean): void {
    job.live.delete(attempt.id);
    if (job.proposal?.attemptId === attempt.id) {
      job.proposal.cancel();
      job.proposal = undefined;
    }
    const { requestId } = job;
    const { log, transport, clock } = this.#state.context;
    const { id: attemptId, sessionId } = attempt;
    const { accused, ...about } = failure;
    const peer = accused && { peer: accused };
    log('session.aborted', { requestId, attemptId, ...(sessionId && { sessionId }), ...about, ...peer });
    const { unattributed: _, ...told } = about;
    job.lastAbort = { at: timestamp(clock.now()), attemptId: attempt.id, ...told };
    noteFailure(job, failure, attempt.members, this.#state.self);
    this.#accuser.failed(job, attempt, failure);
    if (tell && !this.#state.stopped) {
      const { code, culprit } = failure;
      const content: Body<'abort'> = {
        attemptId: attempt.id,
        requestId,
        code,
        awaited: [...failure.awaited],
      };
      const frame = this.#state.encode('abort', culprit ? { ...content, culprit } : content);
      for (const party of this.#state.others) this.#state.sendBytes(party, frame);
      transport.publish(frame);
    }
    this.#state.background(job, () => this.#proceed(job));
  }

  /** `requestId`, `attemptId`: of the PROPOSE in it. */
  async onStart(from: string, requestId: Hex, attemptId: string, frame: FrameOf<'start'>): Promise<void> {
    const job = this.#state.jobs.get(requestId);
    const attempt = job?.live.get(attemptId);
    // A member may show its START to whoever speaks of another one: the signature in it is the leader's.
    if (job === undefined || attempt === undefined || attempt.leader === this.#state.self) return;
    if (from !== attempt.leader && !attempt.members.includes(from)) return;
    // With the START this party's share leaves.
    if (attempt.started || this.mayStart(job, attempt)) attempt.start(frame);
  }

  /** Commitments of a key generation as another party has them. */
  async onExhibit(from: string, content: Body<'exhibit'>): Promise<void> {
    this.#accuser.exhibited(from, content);
  }

  /** An ACCEPT that its party signed, and that cannot stand: it is left out of what this party leads. */
  onBadAccept(job: Job, proposal: Proposal, frame: FrameOf<'accept'>, error: unknown): void {
    this.#accuser.badAccept(job, proposal, frame, error);
  }

  onRound(from: string, frame: FrameOf<'round'>): void {
    for (const job of this.#state.jobs.values()) {
      const attempt = job.live.get(frame.content.attemptId);
      if (attempt === undefined) continue;
      verifyFrame(frame, from, this.#state.wire);
      attempt.round(from, frame);
      return;
    }
  }

  async onAbort(
    from: string,
    { attemptId, requestId, code, awaited, culprit }: Body<'abort'>,
  ): Promise<void> {
    const attempt = this.#state.jobs.get(requestId)?.live.get(attemptId);
    // Only a member can know that an attempt is over; the claim about others is noted, not believed.
    if (attempt === undefined || !attempt.members.includes(from)) return;
    if (code === 'paused') {
      // What a party says of itself can be held against itself alone. It may have spoken before the START reached the
      // others, to whom it was no member then: of the leader they believe it.
      const paused = { code: 'peer_paused', message: `${from} is paused`, awaited: [from] };
      return attempt.fail(paused, attempt.leader === this.#state.self);
    }
    const blamed = culprit ? `, it blames ${culprit}` : '';
    const awaits = awaited.length > 0 ? `, it awaited ${awaited.join(', ')}` : '';
    attempt.fail(
      {
        code: 'aborted_by_peer',
        message: `${from}: ${code}${awaits}${blamed}`,
        awaited: [],
        unattributed: true,
      },
      false,
    );
  }

  /** Ends this party's part in every attempt under way: nothing of it leaves any more. */
  withdraw(): void {
    const failure = { code: 'paused', message: 'the operator of this party has paused it', awaited: [] };
    for (const job of this.#state.jobs.values()) {
      for (const attempt of job.live.values()) this.#leave(job, attempt, failure, 'paused');
    }
  }

  /** The pair setup with a party is gone: what depends on it ends here, and what it has named is burnt. */
  pairDestroyed(party: string): void {
    const message = `the pair setup with ${party} is gone`;
    const failure = { code: 'pair_destroyed', message, awaited: [] };
    for (const job of this.#state.jobs.values()) {
      for (const attempt of job.live.values()) {
        const { propose, started, members } = attempt;
        const isAffected = propose.sets !== undefined && (!started || members.includes(party));
        if (isAffected) this.#leave(job, attempt, failure, 'banned');
      }
    }
  }

  /**
   * Ends this party's part in an attempt. To a leader that still gathers ACCEPTs it is no member whose ABORT counts: that one
   * learns from a DECLINE that this party no longer takes part, and goes on with others at once.
   */
  #leave(job: Job, attempt: LiveAttempt, failure: Failure, reason: Body<'decline'>['reason']): void {
    const { id: attemptId, leader, started } = attempt;
    attempt.fail(failure, true);
    if (started || leader === this.#state.self) return;
    this.#state.send(leader, 'decline', { attemptId, requestId: job.requestId, reason });
  }

  /** A process that restarted has lost its sessions: what it took part in cannot end. */
  restarted(party: string): void {
    for (const job of this.#state.jobs.values()) {
      for (const attempt of job.live.values()) {
        if (!attempt.members.includes(party)) continue;
        attempt.fail({ code: 'peer_restarted', message: `${party} restarted`, awaited: [party] }, true);
      }
    }
  }
}
