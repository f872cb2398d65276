// Taking in requests with their evidence, from the connector or a peer: judged by this node itself, stored durably, and
// released to the sessions once they are authorised.
import {
  authorize,
  type Evidence,
  evidenceSchema,
  type Trust,
  type Verdict,
} from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import { envelopeId } from '../../protocol/records/envelope.ts';
import { SessionError } from './error.ts';
import { describe, type Job, mergeEvidence, newJob, refusalCode } from './job.ts';
import type { Leading } from './leading.ts';
import type { Membership } from './membership.ts';
import type { Outcomes } from './outcomes.ts';
import type { SessionState } from './state.ts';
import { type Body, parseJson } from './wire.ts';

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

const maxOpenJobs = 10_000;

export class Intake {
  readonly #state: SessionState;
  readonly #outcomes: Outcomes;
  readonly #membership: Membership;
  readonly #leading: Leading;

  constructor(state: SessionState, outcomes: Outcomes, membership: Membership, leading: Leading) {
    this.#state = state;
    this.#outcomes = outcomes;
    this.#membership = membership;
    this.#leading = leading;
  }

  /** Within the request's queue. Throws EvidenceError when this node will do nothing with it. */
  async take(requestId: Hex, received: Evidence): Promise<IntakeResult> {
    const { store, networkId, keyring, clock, log } = this.#state.context;
    if (await store.resultOf(requestId)) {
      await this.#outcomes.confirmations.offerCertificates(received.keys);
      return { requestId, state: 'done', detail: '' };
    }
    const held = this.#state.jobs.get(requestId);
    const stored = held?.evidence ?? (await store.job(requestId))?.evidence;
    const trust = { networkId, now: clock.now(), keyringId: keyring.id };
    const evidence = stored === undefined ? received : this.#merge(stored, received, trust);
    const verdict = authorize(evidence, trust);
    if (verdict.verdict === 'refused') return this.#refused(requestId, held, evidence, verdict, trust);
    if (held === undefined && this.#state.jobs.size >= maxOpenJobs) {
      throw new EvidenceError('busy', `${this.#state.jobs.size} requests are open on this node`, true);
    }
    const { workspace, request } = verdict.authorisation;
    await store.rememberHead(workspace.id, workspace.head, workspace.log);
    const merged = mergeEvidence(evidence, evidence, verdict.authorisation, networkId);
    const sound = { ...merged, roster: keyring.envelope };
    await store.putJob(requestId, sound);
    await this.#outcomes.confirmations.offerCertificates(evidence.keys);
    const job = held ?? newJob(requestId, sound, verdict);
    const before = held?.authorised ?? false;
    job.authorisation = verdict.authorisation;
    this.#stand(job, sound, verdict.verdict === 'authorised', describe(verdict));
    this.#state.jobs.set(requestId, job);
    if (!before && job.authorised) {
      log('request.authorised', { requestId, kind: request.kind, decisions: evidence.decisions.length });
      await this.#released(job);
    } else if (!job.authorised) this.#leading.rest(job);
    return { requestId, state: job.authorised ? 'authorised' : 'waiting', detail: job.detail };
  }

  /** What a refusal leaves behind: this party's own, when nothing can change it, or the rejections, lest a crash forgets them. */
  async #refused(
    requestId: Hex,
    held: Job | undefined,
    evidence: Evidence,
    verdict: Extract<Verdict, { verdict: 'refused' }>,
    trust: Trust,
  ): Promise<IntakeResult> {
    const { store } = this.#state.context;
    if (held) this.#stand(held, evidence, false, describe(verdict));
    const isKnown = verdict.requestId === requestId;
    const isRejected = verdict.reason === 'approvers' || verdict.reason === 'cancelled';
    if (isKnown && (verdict.final || isRejected)) await store.putJob(requestId, evidence);
    // A rejected request ends too.
    const bare = isRejected ? authorize({ ...evidence, decisions: [] }, trust) : verdict;
    if (isKnown && bare.verdict === 'refused' && bare.final) {
      const reason = describe(bare).slice(0, 500);
      await this.#outcomes.finish(requestId, { kind: 'refusal', code: refusalCode(bare.reason), reason });
      return { requestId, state: 'done', detail: describe(bare) };
    }
    if (held) this.#leading.rest(held);
    throw new EvidenceError(verdict.reason, describe(verdict), verdict.reason === 'too_early');
  }

  #merge(first: Evidence, received: Evidence, trust: Trust): Evidence {
    // The request's standing does not matter here, only what it is: its decisions may all have run out.
    const base = authorize({ ...first, decisions: [] }, trust);
    if (base.verdict === 'refused') return first;
    return mergeEvidence(first, received, base.authorisation, trust.networkId);
  }

  #stand(job: Job, evidence: Evidence, authorised: boolean, detail: string): void {
    job.evidence = evidence;
    job.authorised = authorised;
    job.detail = detail;
    if (!authorised) this.#state.settle(job);
  }

  /** A request has just become authorised: what came too early is taken up, then this party waits for its turn. */
  async #released(job: Job): Promise<void> {
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
      await this.take(requestId, parsed.data);
    } finally {
      this.#outcomes.reportUnauthorised(requestId, from);
    }
  }
}
