// What owners decided that takes something back - a newer state of a workspace, a rejection, a withdrawal - as it reaches
// this node by whatever way, and as the parties tell each other of it. Every record proves itself; who brought it proves
// nothing. A coordinator that keeps such a thing back is defeated where one node has it.
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import * as z from 'zod';
import { logSchema } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import { decision as decisionRecord } from '../../protocol/records/decision.ts';
import {
  type Envelope,
  envelopeId,
  envelopeSchema,
  readContent,
  verifyRecord,
} from '../../protocol/records/envelope.ts';
import type { Workspace } from '../../protocol/records/workspace.ts';
import { WorkError } from '../work/error.ts';
import { BoundedMap } from './bounded-map.ts';
import { SessionError } from './error.ts';
import { type HeldDecisions, operator, sameEnvelope, takesBack } from './held-decisions.ts';
import { EvidenceError, type Intake } from './intake.ts';
import type { Job } from './job.ts';
import type { SessionState } from './state.ts';
import { type Body, maxTold, maxToldBytes, parseJson } from './wire.ts';
import type { LogOutcome } from './workspaces.ts';

/** Logs that were looked at, by the hash of their bytes: the same one is not verified again. */
const maxSeenLogs = 512;
/** Workspaces of which this node knows nothing but their logs: of one source, and in all. */
const maxStrangeOfSource = 1000;
const maxWorkspaces = 10_000;
/** Requests about whose decisions a peer is told when it comes up. */
const maxToldRequests = 200;

export interface TakenLog {
  readonly workspaceId: Hex;
  readonly outcome: LogOutcome;
}

export interface TakenDecision {
  readonly requestId: Hex;
  readonly principal: string;
  readonly decision: 'reject' | 'withdraw' | 'approve';
  /**
   * `counted`: with the evidence of the request, or known there; `held`: until the request comes; `late`: this node has a
   * result; `ignored`: it says nothing that counts here.
   */
  readonly outcome: 'counted' | 'held' | 'late' | 'ignored';
}

/** Decisions as so many messages as it takes: with what they are about, few of them may fill one. */
function messagesOf(envelopes: readonly Envelope[]): Uint8Array[] {
  const groups: Envelope[][] = [];
  let room = 0;
  for (const envelope of envelopes) {
    const size = JSON.stringify(envelope).length + 1;
    const last = groups.at(-1);
    if (last === undefined || last.length === maxTold || size > room) {
      groups.push([envelope]);
      room = maxToldBytes - 1 - size;
    } else {
      last.push(envelope);
      room -= size;
    }
  }
  return groups.map((group) => utf8ToBytes(JSON.stringify(group)));
}

const decisionsSchema = z.array(envelopeSchema).min(1).max(maxTold);

export class Notices {
  readonly #state: SessionState;
  readonly #intake: Intake;
  readonly #held: HeldDecisions;
  /** Is looked at again: its workspace is not what it was. */
  readonly #review: (job: Job) => void;
  readonly #seen = new BoundedMap<string, TakenLog>(maxSeenLogs);
  /** By source. */
  readonly #strange = new Map<string, number>();

  constructor(state: SessionState, intake: Intake, held: HeldDecisions, review: (job: Job) => void) {
    this.#state = state;
    this.#intake = intake;
    this.#held = held;
    this.#review = review;
  }

  /**
   * Takes a workspace's log. Durable when it resolves. Throws EvidenceError `bad_evidence` for one that does not stand,
   * `busy` when it cannot be looked at now. There is always room for the operator's own.
   */
  async takeLog(log: readonly Envelope[], source: string): Promise<TakenLog> {
    const digest = bytesToHex(sha256(utf8ToBytes(JSON.stringify(log))));
    const seen = this.#seen.get(digest);
    if (seen !== undefined) return seen;
    const nothingNew = this.#nothingNew(log);
    if (nothingNew !== undefined) return nothingNew;
    const workspace = await this.#replay(log, source);
    const { id } = workspace;
    if (source !== operator && this.#state.workspaces.known(id) === undefined)
      this.#requireRoom(workspace, source);
    const outcome = await this.observe(workspace, source);
    const taken = { workspaceId: id, outcome };
    // What it comes to the next time. A fork is another one once owners have said which entry of this one stands.
    if (outcome !== 'fork')
      this.#seen.set(digest, outcome === 'newer' ? { ...taken, outcome: 'same' } : taken);
    return taken;
  }

  /** Of a log whose entries are all known no signature is verified. */
  #nothingNew(log: readonly Envelope[]): TakenLog | undefined {
    const { networkId } = this.#state.context;
    try {
      const [first, ...rest] = log.filter(({ type }) => type !== decisionRecord.type);
      const workspaceId = envelopeId(first as Envelope, networkId);
      const known = this.#state.workspaces.known(workspaceId);
      if (known === undefined || rest.length >= known.chain.length) return undefined;
      const isKnown = rest.every((entry, index) => envelopeId(entry, networkId) === known.chain[index + 1]);
      if (!isKnown) return undefined;
      return { workspaceId, outcome: rest.length + 1 === known.chain.length ? 'same' : 'older' };
    } catch (error) {
      throw new EvidenceError('bad_evidence', `the log does not stand: ${(error as Error).message}`, false);
    }
  }

  async #replay(log: readonly Envelope[], source: string): Promise<Workspace> {
    const { work, networkId } = this.#state.context;
    try {
      const replayed = await work.replay({ log, networkId }, source, this.#state.stopping.signal);
      if ('workspace' in replayed) return replayed.workspace;
      throw new EvidenceError('bad_evidence', `the log does not stand: ${replayed.failure}`, false);
    } catch (error) {
      if (!(error instanceof WorkError)) throw error;
      throw new EvidenceError('busy', `the log could not be replayed now: ${error.message}`, true);
    }
  }

  /** Anybody can make workspaces: what they fill is their own room, and never all of it. */
  #requireRoom({ id }: Workspace, source: string): void {
    const own = this.#strange.get(source) ?? 0;
    if (own >= maxStrangeOfSource || this.#state.workspaces.size >= maxWorkspaces)
      throw new EvidenceError('busy', `no room for workspace ${id}, of which no request has come`, true);
    this.#strange.set(source, own + 1);
  }

  /** A log that was replayed and verified, from evidence or by itself: what it changes takes effect here, and is told. */
  async observe(workspace: Workspace, source: string): Promise<LogOutcome> {
    const { id } = workspace;
    return this.#state.serial(`log of ${id}`, async () => {
      const before = this.#state.workspaces.fork(id);
      const outcome = await this.#state.workspaces.observe(workspace, source);
      // Of a log that is left aside for an open fork nothing is told: who told of it would be told of it again, without end.
      if (outcome === 'newer' || (outcome === 'fork' && this.#state.workspaces.fork(id) !== before)) {
        this.review(id);
        if (workspace.chain.length > 1 || workspace.resolved.size > 0)
          this.#state.toAll(this.#state.encode('heads', { heads: this.#headOf(id) }));
      }
      return outcome;
    });
  }

  /** Looks again at every request of a workspace and of its children. */
  review(workspaceId: Hex): void {
    for (const job of this.#state.jobs.values()) {
      const { workspace, parent } = job.authorisation;
      if (workspace.id === workspaceId || parent?.id === workspaceId) this.#review(job);
    }
  }

  #headOf(workspaceId: Hex): Body<'heads'>['heads'] {
    return this.#state.workspaces
      .branches(workspaceId)
      .map(({ head, resolved }) => ({ workspaceId, head: { ...head }, resolved: resolved.size }));
  }

  /** Tells one party which state of a workspace this node knows. */
  tellHead(party: string, workspaceId: Hex): void {
    this.#state.send(party, 'heads', { heads: this.#headOf(workspaceId) });
  }

  /** Another party's newest heads: asks for the logs that this node has not, and tells of those it has newer. */
  onHeads(from: string, { heads }: Body<'heads'>): void {
    for (const { workspaceId, head, resolved } of heads) {
      const known = this.#state.workspaces.known(workspaceId);
      const place = known?.chain.indexOf(head.id) ?? -1;
      const isHeld = this.#state.workspaces.holds(workspaceId, head.id);
      const isBehind = known === undefined || !isHeld || resolved > known.resolved.size;
      if (isBehind) this.#state.send(from, 'want_log', { workspaceId });
      else if (place >= 0 && place < known.chain.length - 1) this.tellHead(from, workspaceId);
    }
  }

  /** Returns how many bytes it was. Of a workspace whose log has forked, both logs. */
  async onWantLog(from: string, { workspaceId }: Body<'want_log'>): Promise<number> {
    const { workspaces, context } = this.#state;
    const log = workspaces.known(workspaceId) && (await context.store.logOf(workspaceId));
    const other = workspaces.fork(workspaceId)?.logs[1];
    let sent = 0;
    for (const one of [log, other]) {
      if (one === undefined) continue;
      const bytes = utf8ToBytes(JSON.stringify(one));
      this.#state.send(from, 'log', { workspaceId, log: bytes });
      sent += bytes.length;
    }
    return sent;
  }

  async onLog(from: string, { workspaceId, log }: Body<'log'>): Promise<void> {
    const parsed = logSchema.safeParse(parseJson(log));
    if (!parsed.success) throw new SessionError('malformed_message', `${from} sent a log that is none`);
    const taken = await this.takeLog(parsed.data, from);
    if (taken.workspaceId !== workspaceId)
      throw new SessionError('malformed_message', `${from} sent the log of another workspace`);
  }

  async onDecisions(from: string, { requestId, decisions }: Body<'decisions'>): Promise<void> {
    const parsed = decisionsSchema.safeParse(parseJson(decisions));
    if (!parsed.success) throw new SessionError('malformed_message', `${from} sent decisions that are none`);
    await this.#take(requestId, parsed.data, from);
  }

  /** Takes decisions on any requests from the operator; each is verified by itself. */
  async takeDecisions(envelopes: readonly Envelope[]): Promise<readonly TakenDecision[]> {
    const { networkId } = this.#state.context;
    const bySubject = new Map<Hex, Envelope[]>();
    for (const [index, envelope] of envelopes.entries()) {
      try {
        const { subject } = verifyRecord(decisionRecord, envelope, networkId).content;
        bySubject.set(subject, [...(bySubject.get(subject) ?? []), envelope]);
      } catch (error) {
        throw new EvidenceError('bad_evidence', `decision ${index}: ${(error as Error).message}`, false);
      }
    }
    const taken: TakenDecision[] = [];
    for (const [requestId, about] of bySubject) taken.push(...(await this.#take(requestId, about, operator)));
    return taken;
  }

  async #take(
    requestId: Hex,
    envelopes: readonly Envelope[],
    source: string,
  ): Promise<readonly TakenDecision[]> {
    const { context } = this.#state;
    const job = this.#state.jobs.get(requestId);
    if (job === undefined) {
      const isLate = (await context.store.resultOf(requestId)) !== undefined;
      return isLate
        ? this.#taken(requestId, envelopes, () => 'late')
        : this.#hold(requestId, envelopes, source);
    }
    try {
      await this.#intake.take(requestId, { ...job.evidence, decisions: [...envelopes] }, source);
    } catch (error) {
      // That it is rejected now is what they are for.
      if (!(error instanceof EvidenceError) || error.code === 'busy') throw error;
    }
    const counts = new Set(job.evidence.decisions.map(({ bytes }) => bytes));
    return this.#taken(requestId, envelopes, ({ bytes }) => (counts.has(bytes) ? 'counted' : 'ignored'));
  }

  /** What became of those that are decisions on this request. */
  #taken(
    requestId: Hex,
    envelopes: readonly Envelope[],
    outcomeOf: (envelope: Envelope) => TakenDecision['outcome'],
  ): readonly TakenDecision[] {
    return envelopes.flatMap((envelope) => {
      const made = this.#read(requestId, envelope);
      return made === undefined ? [] : [{ ...made, outcome: outcomeOf(envelope) }];
    });
  }

  #read(requestId: Hex, envelope: Envelope): Omit<TakenDecision, 'outcome'> | undefined {
    try {
      const { content } = readContent(decisionRecord, envelope, this.#state.context.networkId);
      if (content.subject !== requestId) return undefined;
      return { requestId, principal: content.principal, decision: content.decision };
    } catch {
      return undefined;
    }
  }

  /**
   * The request is not here: what takes something back is kept for it, once its signatures are verified. Whether its
   * principal may decide will be judged with the evidence. The operator's own word is told to the peers at once.
   */
  async #hold(
    requestId: Hex,
    envelopes: readonly Envelope[],
    source: string,
  ): Promise<readonly TakenDecision[]> {
    const { networkId } = this.#state.context;
    const sound = envelopes.filter((envelope) => {
      const { content } = verifyRecord(decisionRecord, envelope, networkId);
      return content.subject === requestId && content.decision !== 'approve';
    });
    const fresh = await this.#state.serial(requestId, async () =>
      this.#state.jobs.has(requestId) ? undefined : this.#held.keep(requestId, sound, source),
    );
    // It came meanwhile.
    if (fresh === undefined) return this.#take(requestId, envelopes, source);
    if (source === operator) this.tell(requestId, sound);
    const held = this.#held.about(requestId);
    return this.#taken(requestId, envelopes, (envelope) =>
      held.some((one) => sameEnvelope(one, envelope)) ? 'held' : 'ignored',
    );
  }

  /** Tells all parties, or one, of decisions that take something back. */
  tell(requestId: Hex, envelopes: readonly Envelope[], to?: string): void {
    for (const decisions of messagesOf(envelopes)) {
      const frame = this.#state.encode('decisions', { requestId, decisions });
      if (to === undefined) this.#state.toAll(frame);
      else this.#state.sendBytes(to, frame);
    }
  }

  /** What this node knows against a request that a party proposes: it may not have heard of it. */
  tellAgainst(party: string, requestId: Hex): void {
    this.tell(requestId, this.#against(requestId), party);
  }

  /**
   * What takes something back of a request. Of one that is not here, only what the operator brought: what others brought is
   * not judged yet, and would take this party's room at those whom it tells.
   */
  #against(requestId: Hex): readonly Envelope[] {
    const { networkId } = this.#state.context;
    const job = this.#state.jobs.get(requestId);
    const known = job?.evidence.decisions.filter((envelope) => takesBack(envelope, networkId));
    return known ?? this.#held.broughtBy(operator, requestId);
  }

  /** A peer came up: it may have missed what was told while it was away. */
  attend(party: string): void {
    const heads = [...this.#state.workspaces.all()]
      .filter(({ chain, resolved }) => chain.length > 1 || resolved.size > 0)
      .flatMap(({ id }) => this.#headOf(id));
    for (let index = 0; index < heads.length; index += maxTold)
      this.#state.send(party, 'heads', { heads: heads.slice(index, index + maxTold) });
    const requests = new Set([...this.#held.requestIds(), ...this.#state.jobs.keys()]);
    let told = 0;
    for (const requestId of requests) {
      const against = this.#against(requestId);
      if (against.length === 0) continue;
      this.tell(requestId, against, party);
      told += 1;
      if (told === maxToldRequests) break;
    }
  }
}
