// What a party does when a fault is proven to it: it keeps the proof. And what it does when two parties' words stand against
// each other in a key generation: it shows the others the commitments it was sent, so that a dealer that signed two
// different ones is proven guilty.
//
// That every honest party then learns both: whoever finds a differing echo sends all commitments it holds to everybody. The
// other half is held by whoever echoed it; holding both, it has the proof, and sends its half to everybody in turn.
// Only commitments travel: digests, which say nothing of a share.
import type { Hex } from '../../../protocol/hex.ts';
import { attemptIdOf, same } from '../attempt.ts';
import { BoundedMap } from '../bounded-map.ts';
import { SessionError } from '../error.ts';
import { type Job, noteFailure } from '../job.ts';
import type { Failure } from '../failure.ts';
import type { LiveAttempt } from '../live-attempt.ts';
import type { Proposal } from '../proposal.ts';
import type { SessionState } from '../state.ts';
import { type Body, decodeFrame, type FrameOf, verifyFrame } from '../wire.ts';
import { type BlameBundle, type FaultCode, frameBytes, isFaultCode } from './bundle.ts';
import { type BlameContext, type MadeBundle, makeBlame, tryFrames } from './make.ts';
import { AttemptRecord, isCommitment, isLeaderFault } from './record.ts';

/** Key generations that ended without a key, of which commitments are still compared. Each holds its START and a commitment a party. */
const maxEnded = 16;
/** Of one party, about one attempt: what it shows, and what it answers. */
const maxExhibits = 2;

interface Ended {
  readonly record: AttemptRecord;
  readonly context: BlameContext;
}

export class Accuser {
  readonly #state: SessionState;
  readonly #ended = new BoundedMap<string, Ended>(maxEnded);
  /** How often each party has shown commitments of an attempt: `attempt id/party`. */
  readonly #exhibits = new BoundedMap<string, number>(maxEnded * 64);
  /** Attempts about whose commitments this party has answered. */
  readonly #answered = new BoundedMap<string, true>(maxEnded * 64);

  constructor(state: SessionState) {
    this.#state = state;
  }

  #contextOf(job: Job): BlameContext {
    const { networkId, keyring } = this.#state.context;
    return { networkId, keyring, authorisation: job.authorisation, keys: job.evidence.keys };
  }

  /** An attempt has failed here. */
  failed(job: Job, attempt: LiveAttempt, { code, culprit }: Failure): void {
    const { record } = attempt;
    const context = this.#contextOf(job);
    // What a party did wrong in the rounds of threshold ECDSA is known here; it is not proven to others.
    const isProvable = attempt.propose.sets === undefined || (isFaultCode(code) && isLeaderFault(code));
    if (culprit !== undefined && isProvable && isFaultCode(code))
      this.#accuse(context, record, code, culprit);
    if (attempt.propose.purpose !== 'generate' || record.started === undefined) return;
    this.#ended.set(attempt.id, { record: record.commitmentsOnly(), context });
    if (code === 'echo_mismatch') this.#exhibit(context.authorisation.requestId, attempt.id, record);
  }

  /** An ACCEPT was refused; when that is its party's fault, it is noted. */
  badAccept(job: Job, proposal: Proposal, frame: FrameOf<'accept'>, error: unknown): void {
    if (!(error instanceof SessionError) || error.culprit === undefined || !isFaultCode(error.code)) return;
    const { code, culprit } = error;
    const proposed = decodeFrame(proposal.frame) as FrameOf<'propose'>;
    const record = job.live.get(proposal.attemptId)?.record ?? new AttemptRecord(proposed);
    if (record.accused.has(culprit)) return;
    noteFailure(job, { code, message: error.message, awaited: [], culprit }, [], this.#state.self);
    this.#accuse(this.#contextOf(job), record, code, culprit, [proposed, frame]);
  }

  /** What another party was sent in a key generation, next to what this one was. */
  exhibited(from: string, { attemptId, requestId, commitments }: Body<'exhibit'>): void {
    const job = this.#state.jobs.get(requestId);
    const attempt = job?.live.get(attemptId);
    const ended = this.#ended.get(attemptId);
    const record = attempt?.record ?? ended?.record;
    const context = attempt && job ? this.#contextOf(job) : ended?.context;
    if (record?.started === undefined || context === undefined) return;
    if (record.started.propose.purpose !== 'generate' || !record.started.accepts.has(from)) return;
    const shown = this.#exhibits.get(`${attemptId}/${from}`) ?? 0;
    if (shown >= maxExhibits) return;
    this.#exhibits.set(`${attemptId}/${from}`, shown + 1);
    const parties = new Set(commitments.map(({ party }) => party));
    parties.delete(this.#state.self);
    const guilty = [...parties].filter((party) =>
      commitments.some((each) => each.party === party && this.#differs(record, party, each.frame)),
    );
    for (const culprit of guilty) {
      const message = `${culprit} signed two different commitments in one key generation`;
      const failure: Failure = { code: 'equivocation', message, awaited: [], culprit };
      this.#answer(requestId, attemptId, record, culprit);
      if (attempt && !attempt.ended) attempt.fail(failure, true);
      else {
        if (job) noteFailure(job, failure, [], this.#state.self);
        this.#state.context.log('session.incident', { requestId, attemptId, ...failure });
        this.#accuse(context, record, 'equivocation', culprit);
      }
    }
  }

  /**
   * Whether `party` signed this commitment and another one for the same run. One that this party was not sent itself is
   * kept for the next comparison. Throws SessionError when the frame is not what it is said to be.
   */
  #differs(record: AttemptRecord, party: string, bytes: Uint8Array): boolean {
    const { started } = record;
    const held = commitmentOf(record, party);
    if (held !== undefined && same(held.bytes, bytes)) return false;
    const frame = decodeFrame(bytes);
    const fits =
      frame.type === 'round' &&
      isCommitment(frame) &&
      frame.content.attemptId === started?.attemptId &&
      same(frame.content.sid, started.sid) &&
      started.accepts.has(party);
    if (!fits) throw new SessionError('wrong_attempt', `an exhibit that is no commitment of ${party}`);
    verifyFrame(frame, party, this.#state.wire);
    record.addRound(party, frame);
    return held !== undefined && !same(held.content.message, frame.content.message);
  }

  /** Shows everybody the commitments this party was sent: all of them, or one party's. */
  #exhibit(requestId: Hex, attemptId: string, record: AttemptRecord, about?: string): void {
    const parties = about === undefined ? this.#state.others : [about];
    const commitments = parties.flatMap((party) => {
      const frame = commitmentOf(record, party);
      return frame ? [{ party, frame: frame.bytes }] : [];
    });
    if (commitments.length === 0 || this.#state.stopped) return;
    for (const party of this.#state.others)
      this.#state.send(party, 'exhibit', { attemptId, requestId, commitments });
  }

  /** Shows everybody the half of a proof that this party holds, once. */
  #answer(requestId: Hex, attemptId: string, record: AttemptRecord, culprit: string): void {
    const name = `${attemptId}/${culprit}`;
    if (this.#answered.get(name)) return;
    this.#answered.set(name, true);
    this.#exhibit(requestId, attemptId, record, culprit);
  }

  /** Makes a bundle and gives it away, once an attempt and party; nothing that goes wrong here reaches the session. */
  #accuse(
    context: BlameContext,
    record: AttemptRecord,
    code: FaultCode,
    culprit: string,
    frames?: readonly [FrameOf<'propose'>, FrameOf<'accept'>],
  ): void {
    const { blame, log } = this.#state.context;
    if (blame === undefined || record.accused.has(culprit) || !blame.wants(culprit)) return;
    record.accused.add(culprit);
    const { requestId } = context.authorisation;
    const attemptId = attemptIdOf(record.proposed.content, this.#state.context.networkId);
    const about = { requestId, attemptId, code, culprit };
    const failed = (error: unknown): void =>
      log('blame.failed', { ...about, message: (error as Error).message });
    try {
      const made = frames
        ? tryFrames(context, record, code, culprit, frames)
        : makeBlame(context, record, code, culprit);
      if (made === undefined) log('blame.unproven', about);
      else void this.#keep(made).catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  /**
   * A bundle about a dealer publishes the share it dealt to this party. That is harmless as long as its run gives no key:
   * this party has not confirmed it and never will. One that has confirmed any run of the request keeps such a bundle back.
   */
  async #keep({ bundle, bytes, id }: MadeBundle): Promise<void> {
    const { store, blame, log } = this.#state.context;
    const { accused, code, attemptId } = bundle;
    const requestId = bundle.requestId as Hex;
    if (publishesShare(bundle) && (await store.confirmationOf(requestId))) {
      log('blame.withheld', { requestId, attemptId, code, culprit: accused });
      return;
    }
    await blame?.keep({ id, accused, code, requestId, attemptId, bytes });
  }
}

/** The first commitment that a party signed in a key generation, as far as this party knows. */
function commitmentOf(record: AttemptRecord, party: string): FrameOf<'round'> | undefined {
  return record.roundsOf(party).find(isCommitment);
}

/** Whether a bundle holds what a dealer dealt to this party. */
function publishesShare({ frames, generating }: BlameBundle): boolean {
  if (generating === undefined) return false;
  return frames.some((text) => {
    const frame = decodeFrame(frameBytes(text));
    return frame.type === 'round' && !isCommitment(frame);
  });
}
