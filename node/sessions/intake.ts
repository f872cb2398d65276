// Taking in requests with their evidence, from the connector or a peer: judged by this node itself, stored durably, and
// released to the sessions once they are authorised.
import {
  type Authorisation,
  type Evidence,
  evidenceSchema,
  reconsider,
  type Verdict,
} from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import { type Envelope, envelopeId } from '../../protocol/records/envelope.ts';
import type { Workspace } from '../../protocol/records/workspace.ts';
import { WorkError } from '../work/error.ts';
import {
  type EvidenceTask,
  holdsAllOf,
  isRejected,
  type Judgement,
  newDecisions,
  sameDecisions,
} from '../work/evidence.ts';
import { SessionError } from './error.ts';
import { connector, type HeldDecisions, takesBack } from './held-decisions.ts';
import { describe, describeJob, type Job, newJob, refusalCode } from './job.ts';
import type { Leading } from './leading.ts';
import type { Membership } from './membership.ts';
import type { Outcomes } from './outcomes.ts';
import { SeenEvidence } from './seen-evidence.ts';
import type { StoredJob } from './context.ts';
import type { SessionState } from './state.ts';
import { type Body, parseJson } from './wire.ts';
import { type LogOutcome, workspacesOf } from './workspaces.ts';

/** What became of evidence that was handed in. */
export interface IntakeResult {
  readonly requestId: Hex;
  readonly state: 'waiting' | 'authorised' | 'done';
  readonly detail: string;
}

/** Evidence that this node will do nothing with. `retry`: later evidence or another time may change it. */
export class EvidenceError extends Error {
  override readonly name = 'EvidenceError';
  readonly code: string;
  readonly retry: boolean;
  constructor(code: string, message: string, retry: boolean) {
    super(message);
    this.code = code;
    this.retry = retry;
  }
}

/** Requests without a result, in all and of one workspace: its owners can fill their own room, not the others'. */
export const maxOpenJobs = 10_000;
export const maxOpenJobsPerWorkspace = 1000;

/** Who hears of what evidence brings beside the request. */
export interface IntakeObservers {
  /** A verified log. Durable when it resolves. */
  readonly onLog: (workspace: Workspace, source: string) => Promise<LogOutcome>;
  /** A request of this workspace, or of a child of it, is held. Durable when it resolves. */
  readonly onHeld: (workspace: Workspace, source: string) => Promise<void>;
  /** Decisions that take something back, and were not known here. */
  readonly onTakenBack: (requestId: Hex, decisions: readonly Envelope[]) => void;
}

function standing({ requestId, authorised, detail }: Job): IntakeResult {
  return { requestId, state: authorised ? 'authorised' : 'waiting', detail };
}

export class Intake {
  readonly #state: SessionState;
  readonly #outcomes: Outcomes;
  readonly #membership: Membership;
  readonly #leading: Leading;
  readonly #held: HeldDecisions;
  readonly #observers: IntakeObservers;
  readonly #seen = new SeenEvidence<EvidenceError>();

  constructor(
    state: SessionState,
    outcomes: Outcomes,
    membership: Membership,
    leading: Leading,
    held: HeldDecisions,
    observers: IntakeObservers,
  ) {
    this.#state = state;
    this.#outcomes = outcomes;
    this.#membership = membership;
    this.#leading = leading;
    this.#held = held;
    this.#observers = observers;
  }

  /**
   * As `take`. Evidence that this source has handed in before, byte for byte, is not verified again while it must come to
   * the same.
   */
  async takeOnce(
    source: string,
    requestId: Hex,
    bytes: Uint8Array,
    received: Evidence,
  ): Promise<IntakeResult> {
    const { clock } = this.#state.context;
    const digest = this.#seen.digest(bytes);
    const held = this.#state.jobs.get(requestId);
    const seen = this.#seen.find(source, digest, held, clock.now());
    if (seen?.failure) throw seen.failure;
    if (seen && held && this.#state.standsUnchanged(held)) return standing(held);
    try {
      const result = await this.take(requestId, received, source);
      this.#seen.remember(source, digest, this.#state.jobs.get(requestId), clock.now());
      return result;
    } catch (error) {
      if (error instanceof EvidenceError && !error.retry)
        this.#seen.remember(source, digest, this.#state.jobs.get(requestId), clock.now(), error);
      throw error;
    }
  }

  /**
   * Takes in what `source`, a party, has brought. It is judged beside the request's queue, where it may have to wait for
   * others' evidence, and applied within: to the time it is then, and only if nothing else was taken in meanwhile. Throws
   * EvidenceError when this node will do nothing with it.
   */
  async take(requestId: Hex, received: Evidence, source: string): Promise<IntakeResult> {
    const known = this.#state.jobs.get(requestId);
    // Copies come from every peer that proposes: they cost next to nothing.
    if (known && !known.unsaved && holdsAllOf(known.evidence, received)) return this.#nothingNew(known);
    for (;;) {
      const held = await this.#evidenceOf(requestId);
      if (held === 'finished')
        return this.#state.serial(requestId, () => this.#finished(requestId, received));
      // What came against the request before it counts as if it had come with it.
      const heldState = this.#held.state(requestId);
      const early = this.#held.about(requestId);
      const all =
        early.length === 0 ? received : { ...received, decisions: [...received.decisions, ...early] };
      const judgement = await this.#judge({ held, received: all, trust: this.#state.trust }, source);
      const result = await this.#state.serial(requestId, async () => {
        if (this.#state.stopped) throw new EvidenceError('busy', 'the node stops', true);
        const current = await this.#evidenceOf(requestId);
        if (current === 'finished') return this.#finished(requestId, received);
        // Decisions of owners came in between, so this ends: nobody else can add any.
        const isCurrent = sameDecisions(held, current) && this.#held.state(requestId) === heldState;
        return isCurrent ? this.#apply(requestId, judgement, source) : undefined;
      });
      if (result) return result;
    }
  }

  /** How a request stands of which nothing was said that is not known here. */
  #nothingNew(job: Job): IntakeResult {
    const { requestId, authorisation } = job;
    const verdict = this.#state.verdictOn(job);
    if (verdict.verdict === 'refused') {
      throw new EvidenceError(verdict.reason, describe(verdict), verdict.reason === 'too_early');
    }
    const obstacle = this.#state.workspaces.obstacle(authorisation);
    const isAuthorised = verdict.verdict === 'authorised' && obstacle === undefined;
    return {
      requestId,
      state: isAuthorised ? 'authorised' : 'waiting',
      detail: describeJob(verdict, obstacle),
    };
  }

  async #evidenceOf(requestId: Hex): Promise<Evidence | 'finished' | undefined> {
    const { store } = this.#state.context;
    if (await store.resultOf(requestId)) return 'finished';
    return this.#state.jobs.get(requestId)?.evidence ?? (await store.job(requestId))?.evidence;
  }

  async #finished(requestId: Hex, received: Evidence): Promise<IntakeResult> {
    await this.#outcomes.confirmations.offerCertificates(received.keys);
    return { requestId, state: 'done', detail: '' };
  }

  async #judge(task: EvidenceTask, source: string): Promise<Judgement> {
    try {
      return await this.#state.context.work.judge(task, source, this.#state.stopping.signal);
    } catch (error) {
      if (!(error instanceof WorkError)) throw error;
      throw new EvidenceError('busy', `the evidence could not be judged now: ${error.message}`, true);
    }
  }

  /** Within the request's queue. */
  async #apply(
    requestId: Hex,
    { evidence, verdict: judged, bare, leftOut }: Judgement,
    source: string,
  ): Promise<IntakeResult> {
    const { store, keyring, clock } = this.#state.context;
    const held = this.#state.jobs.get(requestId);
    const established = judged.verdict === 'refused' ? bare : judged;
    const isElsewhere =
      established !== undefined &&
      established.verdict !== 'refused' &&
      (await this.#observeLogs(established.authorisation, source)).includes('fork');
    const stored = held === undefined ? await store.job(requestId) : undefined;
    const firstSeen = held?.firstSeen ?? stored?.seen ?? clock.now();
    // Time has passed since it was judged, and by whom it is judged nothing of limits and delays was known.
    const verdict =
      judged.verdict === 'refused'
        ? judged
        : reconsider(judged.authorisation, evidence, this.#state.trustFor(judged.authorisation, firstSeen));
    const refusal = verdict.verdict === 'refused' ? verdict.reason : '';
    this.#state.context.observer?.judged(source, verdict.verdict, refusal);
    if (verdict.verdict === 'refused')
      return this.#refused(requestId, { held, stored, firstSeen, source }, evidence, verdict, bare);
    const obstacle = this.#state.workspaces.obstacle(verdict.authorisation);
    // Of a request that this node has promised nothing about, nothing is kept that cannot be signed any more.
    if (
      obstacle &&
      held === undefined &&
      stored === undefined &&
      (isElsewhere || obstacle.code === 'stale_log_head')
    )
      throw new EvidenceError(obstacle.code, obstacle.message, obstacle.code === 'fork');
    const isAuthorised = verdict.verdict === 'authorised' && obstacle === undefined;
    const detail = [describeJob(verdict, obstacle), ...leftOut].filter((words) => words !== '').join('; ');
    if (held && sameDecisions(held.evidence, evidence) && held.authorised === isAuthorised) {
      held.obstacle = obstacle;
      await this.#hold(held, source);
      await this.#outcomes.confirmations.offerCertificates(evidence.keys);
      return isAuthorised ? standing(held) : { ...standing(held), detail };
    }
    // What the store holds had its room before.
    if (held === undefined && stored === undefined) this.#requireRoom(verdict.authorisation);
    const sound = { ...evidence, roster: keyring.envelope };
    await store.putJob(requestId, sound, firstSeen);
    await this.#settled(requestId, held?.evidence ?? stored?.evidence, sound);
    await this.#outcomes.confirmations.offerCertificates(evidence.keys);
    const job = held ?? newJob(requestId, sound, verdict, clock.now(), firstSeen);
    const before = held?.authorised ?? false;
    job.authorisation = verdict.authorisation;
    job.obstacle = obstacle;
    job.until = verdict.until;
    this.#stand(job, sound, isAuthorised, isAuthorised ? '' : detail);
    await this.#hold(job, source);
    if (!before && job.authorised) await this.release(job);
    else if (!job.authorised) {
      this.#leading.rest(job);
      // Something may have happened to its workspace while it was written.
      if (verdict.verdict === 'authorised') this.#state.authorisedNow(job);
    }
    return standing(job);
  }

  /**
   * The logs in evidence that was verified may be newer than those that are known. Of a workspace that is not known the log is
   * kept with the request, once that has its room.
   */
  async #observeLogs(authorisation: Authorisation, source: string): Promise<readonly LogOutcome[]> {
    const { workspaces } = this.#state;
    const known = workspacesOf(authorisation).filter(({ id }) => workspaces.known(id) !== undefined);
    const outcomes: LogOutcome[] = [];
    for (const one of known) outcomes.push(await this.#observers.onLog(one, source));
    return outcomes;
  }

  /** Takes a request up, with the logs it was made in. Whatever comes after it about them is about this request too. */
  async #hold(job: Job, source: string): Promise<void> {
    this.#state.jobs.set(job.requestId, job);
    job.unsaved = true;
    try {
      for (const one of workspacesOf(job.authorisation)) await this.#observers.onHeld(one, source);
    } catch (error) {
      this.#stand(job, job.evidence, false, 'the log of its workspace could not be stored');
      throw error;
    }
    job.unsaved = false;
  }

  /** Evidence is stored: what was held of the request beside it is in it, and others hear of what takes something back. */
  async #settled(requestId: Hex, before: Evidence | undefined, after: Evidence): Promise<void> {
    const { networkId } = this.#state.context;
    const news = newDecisions(before?.decisions ?? [], after.decisions).filter((envelope) =>
      takesBack(envelope, networkId),
    );
    if (news.length > 0) this.#observers.onTakenBack(requestId, news);
    await this.#held.drop(requestId);
  }

  /** Throws EvidenceError `busy` when no further request fits. */
  #requireRoom({ workspace: { id } }: Authorisation): void {
    const open = [...this.#state.jobs.values()];
    if (open.length >= maxOpenJobs) {
      throw new EvidenceError('busy', `${open.length} requests are open on this node`, true);
    }
    const own = open.filter(({ authorisation }) => authorisation.workspace.id === id).length;
    if (own >= maxOpenJobsPerWorkspace) {
      throw new EvidenceError('busy', `${own} requests of workspace ${id} are open on this node`, true);
    }
  }

  /** What a refusal leaves behind: this party's own, when nothing can change it, or the rejections, lest a crash forgets them. */
  async #refused(
    requestId: Hex,
    {
      held,
      stored,
      firstSeen,
      source,
    }: { held: Job | undefined; stored: StoredJob | undefined; firstSeen: number; source: string },
    evidence: Evidence,
    verdict: Extract<Verdict, { verdict: 'refused' }>,
    bare: Verdict = verdict,
  ): Promise<IntakeResult> {
    const { store, clock } = this.#state.context;
    const before = held?.evidence ?? stored?.evidence;
    const isKnown = verdict.requestId === requestId;
    const isFinal = isKnown && bare.verdict === 'refused' && bare.final;
    if (isFinal && before === undefined) return this.#refuseAtOnce(requestId, bare, source);
    if (held) this.#stand(held, evidence, false, describe(verdict));
    const isNew = held === undefined && bare.verdict !== 'refused';
    if (isNew && stored === undefined) {
      try {
        this.#requireRoom(bare.authorisation);
      } catch (error) {
        // The request may come again when there is room, without what speaks against it.
        await this.#keepAgainst(requestId, evidence, source);
        throw error;
      }
    }
    if (isKnown && (verdict.final || isRejected(verdict))) {
      if (held) held.unsaved = true;
      await store.putJob(requestId, evidence, firstSeen);
      if (held) held.unsaved = false;
      if (isRejected(verdict)) await this.#settled(requestId, before, evidence);
    }
    // A rejected request ends too.
    if (isFinal) {
      const reason = describe(bare).slice(0, 500);
      await this.#outcomes.finish(requestId, { kind: 'refusal', code: refusalCode(bare.reason), reason });
      await this.#held.drop(requestId);
      return { requestId, state: 'done', detail: describe(bare) };
    }
    // Also one that was rejected before this node had seen it: until then owners may decide otherwise.
    const job =
      held ?? (isNew && isKnown ? newJob(requestId, evidence, bare, clock.now(), firstSeen) : undefined);
    if (job) {
      this.#stand(job, evidence, false, describe(verdict));
      job.until = undefined;
      await this.#hold(job, source);
      this.#leading.rest(job);
    }
    throw new EvidenceError(verdict.reason, describe(verdict), verdict.reason === 'too_early');
  }

  /**
   * Nothing can change the refusal, and this party has promised nothing: whoever makes such requests fills no disk with them.
   * Only the connector has somebody to tell of it; of what peers bring it hears by itself.
   */
  async #refuseAtOnce(
    requestId: Hex,
    verdict: Extract<Verdict, { verdict: 'refused' }>,
    source: string,
  ): Promise<IntakeResult> {
    const detail = describe(verdict);
    if (source !== connector) throw new EvidenceError(verdict.reason, detail, false);
    if (!(await this.#outcomes.refuse(requestId, refusalCode(verdict.reason), detail.slice(0, 500))))
      throw new EvidenceError('busy', 'too many results wait for the connector', true);
    await this.#held.drop(requestId);
    return { requestId, state: 'done', detail };
  }

  /** Rejections and withdrawals for which there is no room with their request. */
  async #keepAgainst(requestId: Hex, evidence: Evidence, source: string): Promise<void> {
    const { networkId } = this.#state.context;
    const against = evidence.decisions.filter((envelope) => takesBack(envelope, networkId));
    if (against.length > 0) await this.#held.keep(requestId, against, source);
  }

  #stand(job: Job, evidence: Evidence, authorised: boolean, detail: string): void {
    job.evidence = evidence;
    job.authorised = authorised;
    job.detail = detail;
    if (!authorised) this.#state.settle(job);
  }

  /** A request has just become authorised: what came too early is taken up, then this party waits for its turn. */
  async release(job: Job): Promise<void> {
    if (!this.#state.isOpen(job) || !job.authorised) return;
    const { requestId, authorisation, evidence } = job;
    const { kind } = authorisation.request;
    this.#state.context.log('request.authorised', { requestId, kind, decisions: evidence.decisions.length });
    await this.#outcomes.takeHeldDone(job.requestId);
    if (this.#state.isOpen(job)) await this.#membership.takeHeldProposals(job);
    this.#leading.drive(job);
  }

  /** Evidence from a peer. Throws when it is none, or changes nothing. */
  async onEvidence(from: string, { requestId, evidence }: Body<'evidence'>): Promise<void> {
    const parsed = evidenceSchema.safeParse(parseJson(evidence));
    if (!parsed.success || envelopeId(parsed.data.request, this.#state.context.networkId) !== requestId) {
      throw new SessionError('malformed_message', `${from} sent evidence that is none for ${requestId}`);
    }
    try {
      await this.takeOnce(from, requestId, evidence, parsed.data);
    } finally {
      // Also without room for it here: what it authorised when it was made was signed in time, and counts.
      await this.#state.serial(requestId, () =>
        this.#outcomes.reportUnauthorised(requestId, from, parsed.data),
      );
    }
  }
}
