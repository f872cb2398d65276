// What owners decided that takes something back - a newer state of a workspace, a rejection, a withdrawal - as it reaches
// this node by whatever way, and as the parties tell each other of it. Every record proves itself; who brought it proves
// nothing. A coordinator that keeps such a thing back is defeated where one node has it.
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import * as z from 'zod';
import { checkServed, logSchema } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import { decision as decisionRecord } from '../../protocol/records/decision.ts';
import {
  type Envelope,
  envelopeId,
  envelopeSchema,
  readContent,
  verifyRecord,
} from '../../protocol/records/envelope.ts';
import { workspaceGenesis } from '../../protocol/records/workspace-genesis.ts';
import type { Workspace } from '../../protocol/records/workspace.ts';
import { WorkError } from '../work/error.ts';
import { BoundedMap } from './bounded-map.ts';
import { SessionError } from './error.ts';
import { type HeldDecisions, operator, sameEnvelope, takesBack } from './held-decisions.ts';
import { EvidenceError, type Intake } from './intake.ts';
import type { Job } from './job.ts';
import type { SessionState } from './state.ts';
import { type Body, maxTold, maxToldBytes, parseJson } from './wire.ts';
import { type LogOutcome, workspacesOf } from './workspaces.ts';

/** Logs that were looked at, by the hash of their bytes: the same one is not verified again. */
const maxSeenLogs = 512;
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
  #seen = new BoundedMap<string, TakenLog>(maxSeenLogs);

  constructor(state: SessionState, intake: Intake, held: HeldDecisions, review: (job: Job) => void) {
    this.#state = state;
    this.#intake = intake;
    this.#held = held;
    this.#review = review;
  }

  /**
   * Takes a workspace's log, and its parent's. Durable when it resolves. Throws EvidenceError `bad_evidence` for one that does
   * not stand, `not_served` for one of a workspace that is nothing to this node, `not_kept` without room for it, `busy` when it
   * cannot be looked at now. There is always room for the operator's own.
   */
  async takeLogs(
    log: readonly Envelope[],
    parentLog: readonly Envelope[] | undefined,
    source: string,
  ): Promise<readonly TakenLog[]> {
    const own = await this.#takeLog(log, source);
    if (parentLog === undefined) return [own];
    return [own, await this.#takeLog(parentLog, source, this.#parentIn(log))];
  }

  /** `wanted`: a workspace whose log is kept although it does not name this keyring. */
  async #takeLog(log: readonly Envelope[], source: string, wanted?: Hex): Promise<TakenLog> {
    const id = this.#idOf(log);
    // Before and after: others may bring it meanwhile.
    if (source === operator) await this.#state.strange.claim(id);
    const taken = await this.#takeFrom(log, source, wanted);
    if (source === operator) await this.#state.strange.claim(id);
    return taken;
  }

  async #takeFrom(log: readonly Envelope[], source: string, wanted?: Hex): Promise<TakenLog> {
    const digest = bytesToHex(sha256(utf8ToBytes(JSON.stringify(log))));
    const seen = this.#seen.get(digest);
    if (seen !== undefined) return seen;
    const nothingNew = this.#nothingNew(log);
    if (nothingNew !== undefined) return nothingNew;
    const workspace = await this.#replay(log, source);
    const { id } = workspace;
    if (source !== operator && this.#state.workspaces.known(id) === undefined) {
      if (id !== wanted) this.#requireServed(workspace);
      await this.#charge(workspace, source);
    }
    const outcome = await this.observe(workspace, source);
    if (this.#state.workspaces.known(id) === undefined)
      throw new EvidenceError('not_kept', `there is no room for the log of workspace ${id}`, false);
    const taken = { workspaceId: id, outcome };
    // What it comes to the next time. A fork is another one once owners have said which entry of this one stands.
    if (outcome !== 'fork')
      this.#seen.set(digest, outcome === 'newer' ? { ...taken, outcome: 'same' } : taken);
    return taken;
  }

  #idOf([first]: readonly Envelope[]): Hex {
    try {
      return envelopeId(first as Envelope, this.#state.context.networkId);
    } catch (error) {
      throw new EvidenceError('bad_evidence', `the log does not stand: ${(error as Error).message}`, false);
    }
  }

  /** The workspace that a log which was taken names as its parent. */
  #parentIn([genesis]: readonly Envelope[]): Hex | undefined {
    return readContent(workspaceGenesis, genesis as Envelope, this.#state.context.networkId).content.parent;
  }

  /** Nothing is ever asked of this node for a workspace that its keyring does not serve. */
  #requireServed(workspace: Workspace): void {
    try {
      checkServed(workspace, this.#state.context.keyring);
    } catch (error) {
      throw new EvidenceError('not_served', `its log is not kept: ${(error as Error).message}`, false);
    }
  }

  #charge({ id, log }: Workspace, source: string): Promise<void> {
    return this.#state.strange.charge(id, source, JSON.stringify(log).length);
  }

  /** Of a log whose entries are all known no signature is verified. */
  #nothingNew(log: readonly Envelope[]): TakenLog | undefined {
    const { networkId } = this.#state.context;
    try {
      const [first, ...rest] = log.filter(({ type }) => type !== decisionRecord.type);
      const workspaceId = envelopeId(first as Envelope, networkId);
      const known = this.#state.workspaces.saved(workspaceId);
      if (!this.#state.workspaces.isSaved(workspaceId)) return undefined;
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

  /**
   * A log that was replayed and verified, from evidence or by itself: what it changes takes effect here at once, and is told
   * once it is durable.
   */
  async observe(workspace: Workspace, source: string): Promise<LogOutcome> {
    const { id, log } = workspace;
    const { workspaces, strange } = this.#state;
    const outcome = await this.#state.serial(`log of ${id}`, async () => {
      const isNew = workspaces.known(id) === undefined;
      const wasSaved = workspaces.isSaved(id);
      const before = workspaces.fork(id);
      const found = await workspaces.observe(workspace, source, () => this.review(id));
      // Of a log that is left aside for an open fork nothing is told: who told of it would be told of it again, without end.
      const isFork = found === 'fork' && workspaces.fork(id) !== before;
      if (found !== 'newer' && !isFork && wasSaved) return found;
      // What was charged before it was here may have had to go meanwhile.
      if (strange.has(id) || (isNew && source !== operator)) {
        const { length } = JSON.stringify(log);
        if (found === 'newer') await strange.charge(id, source, length);
        if (isFork) await strange.chargeFork(id, length);
      }
      this.review(id);
      if (this.#hasNews(id) && this.#matters(id)) this.#tellAll(id);
      return found;
    });
    // In no queue of a log, where two could wait for each other.
    if (strange.has(id) && outcome !== 'same' && outcome !== 'older') await this.#makeRoom();
    return outcome;
  }

  /** A request of it is held here from now on: its log is kept as long as that is, whatever comes. */
  async adopt(workspace: Workspace, source: string): Promise<void> {
    const { id } = workspace;
    const { workspaces, strange } = this.#state;
    if (workspaces.known(id) !== undefined) return strange.has(id) ? strange.charge(id, source) : undefined;
    await this.#charge(workspace, source);
    await this.observe(workspace, source);
    // Who knows a newer state has not been asked for it before.
    if (!this.#hasNews(id)) this.#tellAll(id);
  }

  /** Whether this node asks for, and passes on, the log of a workspace: it has begun something for it, or may have to. */
  #matters(workspaceId: Hex): boolean {
    const { workspaces, strange } = this.#state;
    if (workspaces.known(workspaceId) === undefined) return false;
    return !strange.has(workspaceId) || this.#askedFor().has(workspaceId);
  }

  /** Workspaces of which requests, or whose children's, are open here. */
  #askedFor(): ReadonlySet<Hex> {
    const open = [...this.#state.jobs.values()];
    return new Set(open.flatMap(({ authorisation }) => workspacesOf(authorisation).map(({ id }) => id)));
  }

  /** Forgets what strange workspaces have too much. */
  async #makeRoom(): Promise<void> {
    const { workspaces, strange } = this.#state;
    for (const id of strange.excess(this.#askedFor())) {
      await this.#state.serial(`log of ${id}`, async () => {
        if (!strange.has(id) || this.#askedFor().has(id)) return;
        workspaces.forget(id);
        // They may say of a log that it is known.
        this.#seen = new BoundedMap(maxSeenLogs);
        await strange.forget(id);
      });
    }
  }

  /** Looks again at every request of a workspace and of its children. */
  review(workspaceId: Hex): void {
    for (const job of this.#state.jobs.values()) {
      const { workspace, parent } = job.authorisation;
      if (workspace.id === workspaceId || parent?.id === workspaceId) this.#review(job);
    }
  }

  /** What others may be told: never what a crash would make this node forget. */
  #headOf(workspaceId: Hex): Body<'heads'>['heads'] {
    return this.#state.workspaces
      .branches(workspaceId)
      .map(({ head, resolved }) => ({ workspaceId, head: { ...head }, resolved: resolved.size }));
  }

  /** Whether a workspace is not what it was made as. */
  #hasNews(workspaceId: Hex): boolean {
    const known = this.#state.workspaces.saved(workspaceId);
    return known !== undefined && (known.chain.length > 1 || known.resolved.size > 0);
  }

  #tellAll(workspaceId: Hex): void {
    const heads = this.#headOf(workspaceId);
    if (heads.length > 0) this.#state.toAll(this.#state.encode('heads', { heads }));
  }

  /** Tells one party which state of a workspace this node knows. */
  tellHead(party: string, workspaceId: Hex): void {
    this.#state.send(party, 'heads', { heads: this.#headOf(workspaceId) });
  }

  /**
   * Another party's newest heads: asks for the logs that this node has not, and tells of those it has newer. Of a workspace
   * that is nothing to this node it asks for nothing: no key of it can be here.
   */
  onHeads(from: string, { heads }: Body<'heads'>): void {
    for (const { workspaceId, head, resolved } of heads) {
      if (!this.#matters(workspaceId)) continue;
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
    if (!this.#matters(workspaceId)) return 0;
    const log = await context.store.logOf(workspaceId);
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
    if (!this.#matters(workspaceId))
      throw new SessionError(
        'unwanted',
        `${from} sent the log of ${workspaceId}, which is nothing to this party`,
      );
    const parsed = logSchema.safeParse(parseJson(log));
    if (!parsed.success) throw new SessionError('malformed_message', `${from} sent a log that is none`);
    if (this.#idOf(parsed.data) !== workspaceId)
      throw new SessionError('malformed_message', `${from} sent the log of another workspace`);
    await this.#takeLog(parsed.data, from);
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
    const asked = this.#askedFor();
    const heads = [...this.#state.workspaces.ids()]
      .filter((id) => this.#hasNews(id) && (!this.#state.strange.has(id) || asked.has(id)))
      .flatMap((id) => this.#headOf(id));
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
