// Attempts that belong to no request: pair setups and presigning. They are agreed on as others are (PROPOSE, ACCEPT, START),
// among their members only and over the streams alone. Nothing of them outlives the process, and nobody waits for them.
import { type Hex, toHex } from '../../protocol/hex.ts';
import { attemptIdOf, checkPropose, partiesAt, same } from './attempt.ts';
import { BoundedMap } from './bounded-map.ts';
import type { SessionContext } from './context.ts';
import { EarlyBudget } from './early-budget.ts';
import { SessionError } from './error.ts';
import { FailureBudget } from './failure-budget.ts';
import type { Failure } from './failure.ts';
import { LiveAttempt } from './live-attempt.ts';
import { acceptFrame, Proposal } from './proposal.ts';
import type { Prepared, Purpose, RunOutput } from './purpose.ts';
import type { SessionState } from './state.ts';
import { type Body, decodeFrame, type FrameOf, type Propose, verifyFrame } from './wire.ts';

/** How much longer a round may take than one that somebody waits for: these come after all other work. */
const patience = 4;
/** Processes of leaders, of which it is remembered how far they have counted. */
const maxBoots = 256;

/** Attempts under way that one leader may have here: a pair setup, and a few presignings. */
const maxLedBy = 4;

/** One attempt as its members' sides see it. */
export interface OfflineTask {
  /** As of a request, for the log and the queue. */
  readonly requestId: Hex;
  readonly purpose: Purpose;
  /** All of the attempt, this party included. */
  readonly members: readonly string[];
  /** Called once, unless the sessions stop first. `leader`: who led it. */
  onEnd(result: { readonly output: RunOutput } | { readonly failure: Failure }, leader: string): void;
}

export interface LiveOffline {
  readonly leader: string;
  readonly members: readonly string[];
  /** Rounds that this party has done. */
  readonly rounds: number;
}

type Reason = Body<'decline'>['reason'];

interface Live {
  readonly task: OfflineTask;
  readonly attempt: LiveAttempt;
  proposal: Proposal | undefined;
}

export class OfflineAttempts {
  readonly #state: SessionState;
  readonly #context: SessionContext;
  readonly #live = new Map<string, Live>();
  readonly #early = new EarlyBudget();
  /** Counters answered, by leader and boot id: no attempt is accepted twice. */
  readonly #answered = new BoundedMap<string, number>(maxBoots);
  readonly #failures: FailureBudget;
  #counter = 0;

  constructor(state: SessionState) {
    this.#state = state;
    const { timing, clock } = state.context;
    this.#failures = new FailureBudget(clock);
    this.#context = {
      ...state.context,
      timing: { ...timing, roundDeadline: patience * timing.roundDeadline },
    };
  }

  has(attemptId: string): boolean {
    return this.#live.has(attemptId);
  }

  /** Attempts of a purpose under way, with their members. */
  live(kind: Purpose['kind']): readonly LiveOffline[] {
    return [...this.#live.values()].flatMap(({ task: { purpose, members }, attempt: { leader, rounds } }) =>
      purpose.kind === kind ? [{ leader, members, rounds }] : [],
    );
  }

  /** Leads an attempt. */
  lead(task: OfflineTask): void {
    const { requestId, purpose, members } = task;
    const { self } = this.#state;
    const rest = [self, ...this.#state.others].filter((party) => !members.includes(party));
    const proposal: Proposal = new Proposal(
      {
        requestId,
        logHead: { seq: 0, id: requestId },
        purpose,
        order: [...members, ...rest],
        failed: new Set(),
        failedSets: new Set(),
        counter: ++this.#counter,
      },
      this.#context,
      {
        onStart: (frame) => {
          const live = this.#live.get(proposal.attemptId);
          if (live === undefined) return;
          live.proposal = undefined;
          for (const party of members) if (party !== self) this.#state.sendBytes(party, frame.bytes);
          live.attempt.start(frame);
        },
        onFailure: (failure) => this.#live.get(proposal.attemptId)?.attempt.fail(failure, true),
      },
    );
    const proposed = decodeFrame(proposal.frame) as FrameOf<'propose'>;
    const { prepared, ownAccept } = proposal;
    this.#join(task, proposal.attemptId, proposed, prepared, ownAccept).proposal = proposal;
    for (const party of members) if (party !== self) this.#state.sendBytes(party, proposal.frame);
    proposal.open();
  }

  /** `decide`: what this party's side of it would be, or why it takes no part. Throws SessionError. */
  async onPropose(
    from: string,
    frame: FrameOf<'propose'>,
    decide: (propose: Propose) => Promise<OfflineTask | Reason>,
  ): Promise<void> {
    const { content: propose } = frame;
    if (propose.leader !== from) throw new SessionError('wrong_sender', `a PROPOSE of ${propose.leader}`);
    const { networkId, keyring } = this.#context;
    const attemptId = attemptIdOf(propose, networkId);
    const live = this.#live.get(attemptId);
    if (live !== undefined) return live.attempt.proposedAgain(frame);
    checkPropose(frame, keyring, this.#state.wire);
    const process = `${from} ${propose.boot}`;
    if (propose.counter <= (this.#answered.get(process) ?? 0)) return;
    const { requestId } = propose;
    const decided = this.#reasonNot(from) ?? (await this.#task(propose, decide));
    if (this.#state.stopped) return;
    // Again: while it was decided, this node may have been paused.
    const answer = this.#reasonNot(from) ?? decided;
    this.#answered.set(process, Math.max(propose.counter, this.#answered.get(process) ?? 0));
    if (typeof answer === 'string')
      return this.#state.send(from, 'decline', { attemptId, requestId, reason: answer });
    const prepared = answer.purpose.prepare(propose);
    const accept = acceptFrame(attemptId, prepared, propose.logHead, this.#context);
    this.#join(answer, attemptId, frame, prepared, accept);
    this.#state.sendBytes(from, accept);
  }

  #reasonNot(leader: string): Reason | undefined {
    if (this.#state.paused) return 'paused';
    if (this.#failures.isSpent(leader)) return 'busy';
    const led = [...this.#live.values()].filter(({ attempt }) => attempt.leader === leader);
    return led.length >= maxLedBy ? 'busy' : undefined;
  }

  async #task(
    propose: Propose,
    decide: (propose: Propose) => Promise<OfflineTask | Reason>,
  ): Promise<OfflineTask | Reason> {
    const members = partiesAt(propose.members ?? [], this.#context.keyring);
    if (!members.includes(this.#state.self))
      throw new SessionError('stranger', 'proposed to a party that it does not name');
    const task = await decide(propose);
    if (typeof task === 'string') return task;
    const { digests } = task.purpose;
    const agreed =
      task.requestId === propose.requestId &&
      digests.length === propose.digests.length &&
      digests.every((digest, at) => same(digest, propose.digests[at] as Uint8Array));
    return agreed ? task : 'digests';
  }

  #join(
    task: OfflineTask,
    attemptId: string,
    proposed: FrameOf<'propose'>,
    prepared: Prepared,
    ownAccept: Uint8Array,
  ): Live {
    const { requestId, purpose } = task;
    const about = { requestId, attemptId, purpose: purpose.kind };
    const { log } = this.#context;
    const attempt = new LiveAttempt(attemptId, proposed, prepared, ownAccept, this.#context, this.#early, {
      onStarted: ({ leader }, { sid }) =>
        log('offline.started', { ...about, sessionId: toHex(sid), leader, set: task.members }),
      mayRelease: () => !this.#state.stopped && !this.#state.paused,
      onOutput: ({ leader }, output) => {
        this.#live.delete(attemptId);
        task.onEnd({ output }, leader);
      },
      onFailure: (failed, failure, tell) => {
        const { proposal } = this.#live.get(attemptId) ?? {};
        this.#live.delete(attemptId);
        proposal?.cancel();
        if (failed.leader !== this.#state.self) this.#failures.note(failed.leader);
        const { unattributed: _, accused, ...told } = failure;
        log('offline.aborted', { ...about, ...told, ...(accused && { peer: accused }) });
        if (tell && !this.#state.stopped) this.#tell(task, attemptId, failure);
        task.onEnd({ failure }, failed.leader);
      },
    });
    const live: Live = { task, attempt, proposal: undefined };
    this.#live.set(attemptId, live);
    return live;
  }

  #tell({ requestId, members }: OfflineTask, attemptId: string, { code, awaited, culprit }: Failure): void {
    const content = { attemptId, requestId, code, awaited: [...awaited], ...(culprit && { culprit }) };
    for (const party of members) if (party !== this.#state.self) this.#state.send(party, 'abort', content);
  }

  onAccept(from: string, frame: FrameOf<'accept'>): void {
    if (frame.content.party !== from)
      throw new SessionError('wrong_sender', `an ACCEPT of ${frame.content.party}`);
    this.#live.get(frame.content.attemptId)?.proposal?.accept(frame);
  }

  onDecline(from: string, { attemptId, reason }: Body<'decline'>): void {
    const live = this.#live.get(attemptId);
    if (live?.proposal === undefined || !live.task.members.includes(from)) return;
    const { requestId } = live.task;
    this.#context.log('offline.declined', { requestId, attemptId, peer: from, reason });
    live.proposal.decline(from);
  }

  /** `attemptId`: of the PROPOSE in it. */
  onStart(from: string, attemptId: string, frame: FrameOf<'start'>): void {
    const attempt = this.#live.get(attemptId)?.attempt;
    if (attempt === undefined || attempt.leader === this.#state.self) return;
    if (from !== attempt.leader && !attempt.members.includes(from)) return;
    attempt.start(frame);
  }

  onRound(from: string, frame: FrameOf<'round'>): void {
    const attempt = this.#live.get(frame.content.attemptId)?.attempt;
    if (attempt === undefined) return;
    verifyFrame(frame, from, this.#state.wire);
    attempt.round(from, frame);
  }

  onAbort(from: string, { attemptId, code }: Body<'abort'>): void {
    const live = this.#live.get(attemptId);
    if (live === undefined || !live.task.members.includes(from)) return;
    live.attempt.fail({ code: 'aborted_by_peer', message: `${from}: ${code}`, awaited: [] }, false);
  }

  /** Ends this party's part in those with `party`, or in all; of one purpose, or of any. */
  end(code: string, message: string, party?: string, kind?: Purpose['kind']): void {
    for (const { task, attempt } of this.#live.values()) {
      const isMeant = kind === undefined || task.purpose.kind === kind;
      if (isMeant && (party === undefined || task.members.includes(party)))
        attempt.fail({ code, message, awaited: [] }, true);
    }
  }

  /** The sessions stop: nobody is told. */
  stop(): void {
    for (const { attempt, proposal } of this.#live.values()) {
      proposal?.cancel();
      attempt.cancel();
    }
    this.#live.clear();
  }
}
