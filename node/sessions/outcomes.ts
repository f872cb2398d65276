// How requests end on this node: what an attempt produced, what others report, and this party's own signed result.
import { approvalsMet, type Authorisation, type Evidence, maxClockAhead } from '../../protocol/authorize.ts';
import { fromHex, type Hex, toHex } from '../../protocol/hex.ts';
import type { DerivedKey } from '../../protocol/key-proofs.ts';
import { sameKeyResult } from '../../protocol/keys/certificate.ts';
import { derivedResult } from '../../protocol/keys/derivation.ts';
import { verifySignature } from '../../protocol/keys/key-type.ts';
import { createRecord, type Envelope, envelopeId, readContent } from '../../protocol/records/envelope.ts';
import { timeOf } from '../../protocol/records/fields.ts';
import { type PartyResult, partyResult, type RefusalCode } from '../../protocol/records/party-result.ts';
import { request as requestRecord } from '../../protocol/records/request.ts';
import type { KeyShare } from '../mpc/dkg/key-share.ts';
import { WorkError } from '../work/error.ts';
import { Confirmations } from './confirmations.ts';
import { BoundedMaps } from './bounded-map.ts';
import { SessionError } from './error.ts';
import type { Job } from './job.ts';
import type { LiveAttempt } from './live-attempt.ts';
import type { RunOutput } from './purpose.ts';
import type { SessionState } from './state.ts';
import { workspacesOf } from './workspaces.ts';
import type { Body, FrameOf } from './wire.ts';

/** Results that one party reports of requests this node does not know yet. */
const maxHeldDone = 100;

interface HeldDone {
  readonly from: string;
  readonly frame: FrameOf<'done'>;
}

export class Outcomes {
  readonly confirmations: Confirmations;
  readonly #state: SessionState;
  readonly #onResult: () => void;
  readonly #heldDone = new BoundedMaps<string, Hex, HeldDone>(maxHeldDone);

  constructor(state: SessionState, onResult: () => void) {
    this.#state = state;
    this.#onResult = onResult;
    this.confirmations = new Confirmations(state.context, (party, type, content) =>
      state.send(party, type, content),
    );
  }

  /** What the attempt this party took part in has produced. */
  async complete(job: Job, attempt: LiveAttempt, output: RunOutput): Promise<void> {
    if (!this.#state.isOpen(job)) return;
    const { requestId } = job;
    if (output.kind === 'share') return this.#confirm(job, attempt, output.share);
    if (output.kind !== 'signatures') throw new TypeError(`a request that comes to ${output.kind}`);
    const { log, streamCopies, transport } = this.#state.context;
    log('session.signed', { ...this.#named(job, attempt), set: attempt.members });
    this.#state.reached(job, attempt.id, 'signed');
    await this.finish(requestId, { kind: 'signatures', signatures: output.signatures.map(toHex) });
    const done = this.#state.encode('done', { requestId, signatures: [...output.signatures] });
    // To the other members too: from one of them a round may have been kept back.
    if (streamCopies) for (const party of this.#state.others) this.#state.sendBytes(party, done);
    if (attempt.leader === this.#state.self) transport.publish(done);
  }

  /** An attempt that gave its output, in the log; `ms` since this party accepted it. */
  #named({ requestId }: Job, { id: attemptId, sessionId, began }: LiveAttempt): Record<string, unknown> {
    return { requestId, attemptId, sessionId, ms: this.#state.context.clock.now() - began };
  }

  async #confirm(job: Job, attempt: LiveAttempt, share: KeyShare): Promise<void> {
    const { requestId } = job;
    if (await this.#state.context.store.confirmationOf(requestId)) return;
    await this.#state.keepLogs(job.authorisation);
    const confirmation = await this.confirmations.make(requestId, share, job.evidence.request);
    this.#state.context.log('session.confirmed', this.#named(job, attempt));
    this.#state.reached(job, attempt.id, 'confirmed');
    await this.#announce(job, confirmation);
  }

  /** This party's confirmation, to the connector and to everybody. */
  async #announce({ requestId, confirmations }: Job, confirmation: Envelope): Promise<void> {
    await this.store(requestId, confirmation);
    await this.confirmations.announce(requestId, [...confirmations.values()]);
    this.confirmations.askWhilePending(requestId);
  }

  /**
   * Confirms a derived key, from this party's own certificate of its parent. Nothing in it is anybody's choice, so there is
   * no run of all parties, and none that could be lost. Returns false while the parent is not active here.
   */
  async derive(job: Job, { parent, path, result }: DerivedKey): Promise<boolean> {
    const { requestId, evidence } = job;
    const { store, log } = this.#state.context;
    const confirmed = await store.confirmationOf(requestId);
    // Its result could not be stored then.
    if (confirmed !== undefined) {
      await this.#announce(job, confirmed);
      return true;
    }
    const { id } = parent.key;
    const [certified] = (await store.keyOf(id))?.certificate ?? [];
    if (certified === undefined) return false;
    const own = this.confirmations.contentOf(certified).result;
    if (own.kind !== 'key' || !sameKeyResult(derivedResult({ id, result: own }, path).result, result)) {
      log('session.incident', { requestId, code: 'unequal_parent', parent: id });
      return false;
    }
    const origin = { parent: id, path };
    await this.#state.keepLogs(job.authorisation);
    const confirmation = await this.confirmations.makeDerived(requestId, origin, result, evidence.request);
    log('session.derived', { requestId, parent: id, path });
    await this.#announce(job, confirmation);
    return true;
  }

  async onConfirm(from: string, content: Body<'confirm'>): Promise<void> {
    const { requestId } = content;
    const { store } = this.#state.context;
    const job = this.#state.jobs.get(requestId);
    const isConfirmed = (await store.confirmationOf(requestId)) !== undefined;
    // What completes nothing here need not be verified.
    if (!isConfirmed && job?.authorisation.request.kind !== 'key') return;
    if (!content.want && (await store.keyOf(requestId))) return;
    const received = this.confirmations.open(content);
    if (isConfirmed) {
      await this.confirmations.collect(requestId, received);
      if (content.want) await this.confirmations.tell(from, requestId, false);
      return;
    }
    if (job === undefined) return;
    for (const { party, envelope } of received) job.confirmations.set(party, envelope);
    await this.lostRun(job);
  }

  /**
   * A key generation that completed elsewhere while this party has no share of it, and no attempt left that could give
   * it one: nobody can ever complete that key, so this party refuses.
   */
  async lostRun(job: Job): Promise<boolean> {
    const { request, derived } = job.authorisation;
    if (request.kind !== 'key' || job.confirmations.size === 0 || job.live.size > 0) return false;
    // A derived key is everybody's alike: this party can confirm it whenever it comes to it.
    if (derived !== undefined) return false;
    if (!this.#state.isOpen(job) || (await this.#state.context.store.confirmationOf(job.requestId)))
      return false;
    const parties = [...job.confirmations.keys()].join(', ');
    const reason = `confirmed by ${parties} without this party: make a new key request`;
    await this.finish(job.requestId, { kind: 'refusal', code: 'run_lost', reason: reason.slice(0, 500) });
    return true;
  }

  /**
   * Signatures that others made: verified against this party's own authorised request, or held until there is one. Those of
   * what is not authorised here, or not any more, have been made all the same: they count for limits.
   */
  async onDone(from: string, frame: FrameOf<'done'>): Promise<void> {
    const { requestId, signatures } = frame.content;
    const stored = await this.#state.context.store.resultOf(requestId);
    const code = stored && this.#refusalIn(stored);
    if (code === 'not_authorised') return this.reportIncident(requestId, from);
    // One that ran out here first is nothing to worry about.
    if (stored !== undefined && code !== 'expired') return;
    const job = this.#state.jobs.get(requestId);
    if (job === undefined || !this.#state.authorisedNow(job)) {
      if (job !== undefined && this.#isApproved(job)) {
        this.#checkSignatures(job.authorisation, { from, frame });
        await this.#count(job.authorisation, from);
      }
      this.#heldDone.set(from, requestId, { from, frame });
      this.#state.send(from, 'want', { requestId });
      return;
    }
    this.#checkSignatures(job.authorisation, { from, frame });
    this.#state.context.log('session.learned', { requestId, peer: from });
    await this.finish(requestId, { kind: 'signatures', signatures: signatures.map(toHex) });
  }

  /** Whether owners have authorised it as far as approvals go, whatever else is in its way. */
  #isApproved(job: Job): boolean {
    const verdict = this.#state.verdictOn(job);
    const trust = this.#state.trustFor(job.authorisation, job.firstSeen);
    return verdict.verdict === 'authorised' || approvalsMet(verdict, job.evidence, trust);
  }

  /** What others have signed, as was checked, takes as much from limits as what this party has. Durable when it resolves. */
  async #count(authorisation: Authorisation, from: string): Promise<void> {
    const { store, log, clock } = this.#state.context;
    const { spent } = this.#state;
    const debits = spent.reportedBy(authorisation, clock.now());
    if (debits === undefined) return;
    spent.note(debits);
    try {
      await store.noteDebits(debits);
    } catch (error) {
      // It counts, and is written when the next one tells of it.
      spent.note({ ...debits, signed: undefined });
      throw error;
    }
    log('session.signed_elsewhere', { requestId: authorisation.requestId, peer: from });
    await spent.prune(authorisation.workspace.id, clock.now());
  }

  /** Throws SessionError unless there is one signature an item, each valid for what this party's own request says. */
  #checkSignatures({ items }: Authorisation, { from, frame }: HeldDone): void {
    const { signatures } = frame.content;
    const valid =
      items.length === signatures.length &&
      items.length > 0 &&
      items.every(({ key, payload }, index) =>
        verifySignature(key.keyType, payload.publicKey, payload.message, signatures[index] as Uint8Array),
      );
    if (!valid) throw new SessionError('bad_signature', `${from} reports signatures that are not valid`);
  }

  /** Takes up signatures that were reported before the request was authorised here. */
  async takeHeldDone(requestId: Hex): Promise<void> {
    for (const { from, frame } of this.#heldDone.takeAll(requestId)) {
      // A false report must not keep this party from its own turn, nor from a true one.
      await this.onDone(from, frame).catch((error: unknown) => this.#state.reject(from, error));
    }
  }

  /**
   * Whoever reports signatures has sent its evidence, and it authorises nothing here. A valid signature for what owners never
   * authorised is what must never happen: the operator must see it. That `from` reports it proves nothing against it. What they
   * did authorise may have been signed in time elsewhere: others' clocks, ledgers and logs differ from this party's, and its
   * operator may have frozen the workspace.
   */
  async reportUnauthorised(requestId: Hex, from: string, evidence: Evidence): Promise<void> {
    const held = this.#heldDone.get(from, requestId);
    if (held === undefined) return;
    const job = this.#state.jobs.get(requestId);
    const judged = await this.#judgeInTime(job?.evidence ?? evidence, from);
    if (judged === undefined) return;
    const { authorisation, wasAuthorised } = judged;
    // What came against it here may have come there when it was signed.
    const there = wasAuthorised || job === undefined ? judged : await this.#judgeInTime(evidence, from);
    try {
      const read = authorisation ?? there?.authorisation;
      if (read) this.#checkSignatures(read, held);
      const isOver = (await this.#state.context.store.resultOf(requestId)) !== undefined;
      if (
        there?.authorisation &&
        there.wasAuthorised &&
        (job || isOver || this.#isCurrent(there.authorisation))
      )
        await this.#count(there.authorisation, from);
      // It is taken up when nothing is in the way any more.
      if (job !== undefined && wasAuthorised) return;
      this.#heldDone.take(from, requestId);
      if (!wasAuthorised && !isOver) this.reportIncident(requestId, from);
    } catch (error) {
      if (!(error instanceof SessionError)) throw error;
      this.#heldDone.take(from, requestId);
      this.#state.reject(from, error);
    }
  }

  /** Whether it was made in the newest state that this party knows: who no longer is an owner can still ask in older ones. */
  #isCurrent(authorisation: Authorisation): boolean {
    const { workspaces } = this.#state;
    return workspacesOf(authorisation).every(({ id, head }) => workspaces.known(id)?.head.id === head.id);
  }

  /**
   * What evidence came to when its request was made, with every approval in force: undefined when it cannot be judged now;
   * without an authorisation, when it never was about anything.
   */
  async #judgeInTime(
    evidence: Evidence,
    source: string,
  ): Promise<{ readonly authorisation?: Authorisation; readonly wasAuthorised: boolean } | undefined> {
    const { context, trust, stopping } = this.#state;
    const { work, networkId } = context;
    try {
      const { created } = readContent(requestRecord, evidence.request, networkId).content;
      // Nobody has signed what is not asked for yet.
      if (timeOf(created) > context.clock.now() + maxClockAhead) return { wasAuthorised: false };
      const task = { held: undefined, received: evidence, trust: { ...trust, now: timeOf(created) } };
      const { verdict, bare = verdict } = await work.judge(task, source, stopping.signal);
      const wasAuthorised = verdict.verdict === 'authorised' || approvalsMet(verdict, evidence, task.trust);
      return bare.verdict === 'refused'
        ? { wasAuthorised }
        : { authorisation: bare.authorisation, wasAuthorised };
    } catch (error) {
      if (!(error instanceof WorkError)) throw error;
      return undefined;
    }
  }

  /** Why this party has refused; undefined for another result. */
  #refusalIn(stored: Envelope): RefusalCode | undefined {
    const { result } = this.confirmations.contentOf(stored);
    return result.kind === 'refusal' ? result.code : undefined;
  }

  /** Valid signatures, reported by `from`, of what nobody authorised here. */
  reportIncident(requestId: Hex, from: string): void {
    this.#state.context.log('session.incident', { requestId, code: 'unauthorised_result', peer: from });
  }

  /** Tells a leader that proposes what is finished here. Returns whether it is. */
  async answerFinished(from: string, attemptId: string, requestId: Hex): Promise<boolean> {
    const { store } = this.#state.context;
    if (await store.confirmationOf(requestId)) {
      await this.confirmations.tell(from, requestId, true);
      return true;
    }
    const envelope = await store.resultOf(requestId);
    if (envelope === undefined) return false;
    const { result } = this.confirmations.contentOf(envelope);
    if (result.kind === 'signatures') {
      this.#state.send(from, 'done', { requestId, signatures: result.signatures.map(fromHex) });
    } else {
      this.#state.send(from, 'decline', { attemptId, requestId, reason: 'refused' });
    }
    return true;
  }

  #sign(requestId: Hex, result: PartyResult['result']): Envelope {
    const { networkId, keyring, signer } = this.#state.context;
    const { id: keyringId, epoch } = keyring;
    const content = { networkId, subject: requestId, keyringId, epoch, party: signer.credential, result };
    return createRecord(partyResult, content, signer);
  }

  /** Signs this party's result and stores it. */
  async finish(requestId: Hex, result: PartyResult['result']): Promise<void> {
    await this.store(requestId, this.#sign(requestId, result));
  }

  /**
   * Refuses for ever what this party has promised nothing about: the connector is told, and nothing is kept after that.
   * Returns false when too many results wait for the connector.
   */
  async refuse(requestId: Hex, code: RefusalCode, reason: string): Promise<boolean> {
    const { store, log, networkId } = this.#state.context;
    const envelope = this.#sign(requestId, { kind: 'refusal', code, reason });
    if (!(await store.passRefusal(requestId, envelope))) return false;
    const resultId = envelopeId(envelope, networkId);
    log('result.stored', { requestId, resultId, kind: 'refusal', code, reason });
    this.#onResult();
    return true;
  }

  /** This party's own result, durable before the connector can ask for it. */
  async store(requestId: Hex, envelope: Envelope): Promise<void> {
    const { store, networkId, log, clock } = this.#state.context;
    const { result } = this.confirmations.contentOf(envelope);
    const known = this.#state.jobs.get(requestId);
    const debits =
      known && result.kind === 'signatures'
        ? this.#state.spent.signedBy(known.authorisation, clock.now())
        : undefined;
    if (debits) this.#state.spent.note(debits);
    await store.finishJob(requestId, envelope, debits);
    const resultId = envelopeId(envelope, networkId);
    const reason = result.kind === 'refusal' ? { code: result.code, reason: result.reason } : {};
    const job = this.#state.jobs.get(requestId);
    // Since this process took the request up.
    const ms = job && { ms: clock.now() - job.taken };
    log('result.stored', { requestId, resultId, kind: result.kind, ...reason, ...ms });
    this.#state.jobs.delete(requestId);
    if (job) this.#state.settle(job);
    this.#onResult();
  }
}
