// Whose turn it is: parties lead attempts in an order that is the same for all, each for a limited time. When it is this
// party's turn, it proposes and gathers ACCEPTs.
import { utf8ToBytes } from '@noble/hashes/utils.js';
import type { Hex } from '../../protocol/hex.ts';
import type { DerivedKey } from '../../protocol/key-proofs.ts';
import { leaderOrder, setSize } from './attempt.ts';
import { SessionError } from './error.ts';
import type { Job } from './job.ts';
import type { Membership } from './membership.ts';
import type { Outcomes } from './outcomes.ts';
import { Proposal } from './proposal.ts';
import type { SessionState } from './state.ts';
import { type Body, decodeFrame, type FrameOf } from './wire.ts';

/** Attempts this party leads at a time: far fewer than others let a leader have, since they end elsewhere at other times. */
const maxLeading = 64;

/** A timer's number of milliseconds ends at 2^31: one that runs for a day is set again. */
const longestWait = 24 * 3600_000;

/** When a time ends: as it was set, or after `ms` from now. A clock that was set back does not make it longer than `most`. */
function untilAtMost(now: number, ms: number, set: number | undefined, most = ms): number {
  return set === undefined || set - now > most ? now + ms : set;
}

export class Leading {
  readonly #state: SessionState;
  readonly #membership: Membership;
  readonly #outcomes: Outcomes;
  #counter = 0;

  constructor(state: SessionState, membership: Membership, outcomes: Outcomes) {
    this.#state = state;
    this.#membership = membership;
    this.#outcomes = outcomes;
  }

  #later(job: Job, ms: number): void {
    job.cancelTimer();
    if (!this.#state.isOpen(job)) return;
    job.cancelTimer = this.#state.context.clock.after(Math.min(ms, longestWait), () =>
      this.#state.background(job, async () => this.drive(job)),
    );
  }

  /** In the request's queue. When it fails, the request is taken up again later. */
  #attend(job: Job, work: () => Promise<void>): void {
    this.#state.background(job, async () => {
      try {
        await work();
      } catch (error) {
        this.#later(job, this.#state.context.timing.maxProposalDeadline);
        throw error;
      }
    });
  }

  /** A peer came up, or this node was resumed: what waits for parties is tried at once. The time of a leader goes on. */
  retryAll(): void {
    for (const job of this.#state.jobs.values()) {
      job.tries = 0;
      if (job.authorised && job.live.size === 0) this.#later(job, 0);
    }
  }

  /** Nothing to do until other evidence comes, time alone may have authorised it, or the request ends. */
  rest(job: Job): void {
    const { expires } = job.authorisation;
    const until = job.authorised ? expires : Math.min(expires, job.until ?? expires);
    this.#later(job, Math.max(1, until - this.#state.context.clock.now()));
  }

  /** Something happened to its workspace: what is no longer authorised ends at once, what is again is taken up. */
  review(job: Job): void {
    if (!this.#state.isOpen(job) || this.#state.authorisedNow(job)) return;
    this.#state.settle(job);
    this.rest(job);
  }

  /** After attempts began or ended: the next leader's turn, as soon as nothing is under way. */
  next(job: Job): void {
    if (!this.#state.isOpen(job) || this.#isHeld(job)) return;
    job.turn += 1;
    job.turnEnds = undefined;
    job.tries += 1;
    this.#later(job, 0);
  }

  /**
   * Whether attempts under way keep this party from leading one. Those of others do, but not for ever: leaders that never
   * finish what they begin would silence it in turns. Attempts to sign may run side by side; for a key all parties must
   * be in the same one.
   */
  #isHeld(job: Job): boolean {
    const { clock, timing } = this.#state.context;
    const attempts = [...job.live.values()];
    if (attempts.length === 0) return false;
    if (
      job.authorisation.request.kind === 'key' ||
      attempts.some(({ leader }) => leader === this.#state.self)
    ) {
      // When it ends, it is the next leader's turn.
      job.cancelTimer();
      return true;
    }
    const patience = 2 * timing.acceptDeadline + timing.roundDeadline;
    job.patience = untilAtMost(clock.now(), patience, job.patience);
    const left = job.patience - clock.now();
    if (left > 0) this.#later(job, left);
    return left > 0;
  }

  /** Proposes when it is this party's turn, else waits until the leader had its time. */
  drive(job: Job): void {
    if (!this.#state.isOpen(job) || this.#isHeld(job)) return;
    const { clock, timing, keyring, transport, log } = this.#state.context;
    const { expires, request } = job.authorisation;
    const untilEnd = expires - clock.now();
    if (untilEnd <= 0) return this.#attend(job, () => this.#expire(job));
    if (this.#state.paused) return this.rest(job);
    const before = job.authorised;
    if (!this.#state.authorisedNow(job)) return this.rest(job);
    // Taken up by itself, with what came too early.
    if (!before) return;
    const idle = Math.min(timing.maxProposalDeadline, untilEnd);
    const { derived } = job.authorisation;
    if (derived !== undefined) return this.#attend(job, () => this.#derive(job, derived, idle));
    const needed = setSize(request.kind === 'key' ? 'generate' : 'sign', keyring);
    const { self } = this.#state;
    const missing = this.#state.missing(job);
    if (keyring.roster.parties.length - missing.length < needed) {
      log('session.awaits_parties', { requestId: job.requestId, needed, awaited: missing });
      job.turnEnds = undefined;
      return this.#later(job, idle);
    }
    const order = this.#order(job);
    const up = transport.up();
    const present = (party: string | undefined): boolean => party === self || up.has(party ?? '');
    // A leader without a live channel is passed over at once.
    while (!present(order[job.turn % order.length])) {
      job.turn += 1;
      job.turnEnds = undefined;
    }
    // With attempts under way, patience is over: whoever's turn it is.
    if (job.live.size > 0 || order[job.turn % order.length] === self) {
      const wait = job.lastProposed + timing.proposalSpacing - clock.now();
      if (wait > 0 && wait <= timing.proposalSpacing) return this.#later(job, wait);
      // What is led already comes first: beyond that the others would say `busy`.
      if (this.#membership.ledBy(self) >= maxLeading) return this.#later(job, timing.proposalSpacing);
      return this.#attend(job, () => this.#propose(job));
    }
    const turn = Math.min(timing.proposalDeadline * 1.15 ** job.tries, idle);
    job.turnEnds = untilAtMost(clock.now(), turn, job.turnEnds, idle);
    job.cancelTimer();
    job.cancelTimer = clock.after(Math.max(0, job.turnEnds - clock.now()), () => this.next(job));
  }

  /** What each party does for itself: no attempt, no leader, no other party that must be here. */
  async #derive(job: Job, derived: DerivedKey, idle: number): Promise<void> {
    if (!this.#state.isOpen(job) || this.#state.paused) return;
    if (!this.#state.authorisedNow(job)) return this.rest(job);
    if (await this.#outcomes.derive(job, derived)) return;
    // The evidence has the parent's whole certificate, this party's own confirmation in it: its share of it was lost.
    this.#state.context.log('session.awaits_parent', {
      requestId: job.requestId,
      parent: derived.parent.key.id,
    });
    this.#later(job, idle);
  }

  #order(job: Job): readonly string[] {
    return leaderOrder([this.#state.self, ...this.#state.others], job.requestId);
  }

  async #expire(job: Job): Promise<void> {
    if (!this.#state.isOpen(job)) return;
    const reason = `ended at ${new Date(job.authorisation.expires).toISOString()}`;
    await this.#outcomes.finish(job.requestId, { kind: 'refusal', code: 'expired', reason });
  }

  async #propose(job: Job): Promise<void> {
    if (!this.#state.isOpen(job) || this.#isHeld(job)) return;
    const { clock, timing, log } = this.#state.context;
    const { requestId } = job;
    const purpose = await this.#membership.purposeOf(job);
    if (purpose === undefined) {
      log('session.no_share', { requestId });
      job.turn += 1;
      return this.#later(job, timing.proposalDeadline);
    }
    // Durable before anything of the signing rounds leaves: a PROPOSE commits to this party's ACCEPT.
    if (!(await this.#state.begin(job))) return this.rest(job);
    if (this.#state.paused) return;
    job.lastProposed = clock.now();
    job.patience = undefined;
    job.evidenceSent.clear();
    const proposal: Proposal = new Proposal(
      {
        requestId,
        logHead: job.authorisation.workspace.head,
        purpose,
        order: this.#preference(job),
        failed: new Set(job.failures.keys()),
        failedSets: new Set(job.failedSets),
        counter: ++this.#counter,
      },
      this.#state.context,
      {
        onStart: (frame) => {
          job.proposal = undefined;
          const attempt = job.live.get(proposal.attemptId);
          if (attempt === undefined || !this.#membership.mayStart(job, attempt)) return;
          this.#state.toAll(frame.bytes);
          this.#state.background(job, async () => attempt.start(frame));
        },
        onFailure: (failure) => {
          job.proposal = undefined;
          job.live.get(proposal.attemptId)?.fail(failure, true);
        },
      },
    );
    job.proposal = proposal;
    const proposed = decodeFrame(proposal.frame) as FrameOf<'propose'>;
    this.#membership.join(job, proposal.attemptId, proposed, proposal.prepared, proposal.ownAccept);
    log('session.proposed', { requestId, attemptId: proposal.attemptId });
    this.#state.toAll(proposal.frame);
    proposal.open();
  }

  /** Parties that are here and have failed least come first. */
  #preference(job: Job): readonly string[] {
    const up = this.#state.context.transport.up();
    const cost = (party: string): number => (job.failures.get(party) ?? 0) + (up.has(party) ? 0 : 1000);
    return this.#order(job).toSorted((a, b) => cost(a) - cost(b));
  }

  async onAccept(from: string, frame: FrameOf<'accept'>): Promise<void> {
    if (frame.content.party !== from)
      throw new SessionError('wrong_sender', `an ACCEPT of ${frame.content.party}`);
    for (const job of this.#state.jobs.values()) {
      const { proposal } = job;
      if (proposal?.attemptId !== frame.content.attemptId) continue;
      try {
        proposal.accept(frame);
      } catch (error) {
        this.#membership.onBadAccept(job, proposal, frame, error);
        throw error;
      }
    }
  }

  /** A party that lacks the request, or decisions on it, gets the evidence: once an attempt. */
  async onWait(from: string, { attemptId, requestId }: Body<'wait'>): Promise<void> {
    const job = this.#state.jobs.get(requestId);
    const mark = `${attemptId}/${from}`;
    if (job?.proposal?.attemptId !== attemptId || job.evidenceSent.has(mark)) return;
    job.evidenceSent.add(mark);
    await this.sendEvidence(from, requestId);
  }

  /** Returns how many bytes it was. */
  async sendEvidence(to: string, requestId: Hex): Promise<number> {
    const { store } = this.#state.context;
    const held = this.#state.jobs.get(requestId)?.evidence ?? (await store.job(requestId))?.evidence;
    if (held === undefined) return 0;
    const evidence = utf8ToBytes(JSON.stringify(held));
    this.#state.send(to, 'evidence', { requestId, evidence });
    return evidence.length;
  }

  async onDecline(from: string, { attemptId, requestId, reason }: Body<'decline'>): Promise<void> {
    const job = this.#state.jobs.get(requestId);
    if (job?.proposal?.attemptId !== attemptId) return;
    this.#state.context.log('session.declined', { requestId, attemptId, peer: from, reason });
    job.proposal.decline(from);
  }
}
