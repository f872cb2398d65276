// One attempt this party has accepted: it waits for the START, then runs the threshold protocol round by round. Ends
// exactly once, with an output or an error; what it committed to is burnt either way. The machine runs somewhere else:
// steps come back later, in order, and those of an attempt that has ended meanwhile are dropped.
import { afterReading } from '../late-timer.ts';
import { toHex } from '../../protocol/hex.ts';
import { partyIndex } from '../../protocol/records/keyring-roster.ts';
import type { PartyIndex } from '../mpc/machine.ts';
import { Abort } from '../mpc/abort.ts';
import { WorkError } from '../work/error.ts';
import { eraseStep, type HostedStep } from '../work/machines.ts';
import type { HostedMachine } from '../work/work.ts';
import { type AttemptId, checkPropose, openStart, same, type Started } from './attempt.ts';
import { AttemptRecord } from './blame/record.ts';
import type { SessionContext } from './context.ts';
import type { EarlyBudget } from './early-budget.ts';
import { SessionError } from './error.ts';
import type { Failure } from './failure.ts';
import { GateError } from './pairs/gate-error.ts';
import type { Prepared, RunOutput } from './purpose.ts';
import { StepTimes } from './step-times.ts';
import { encodeFrame, type FrameOf, type Propose, type WireContext } from './wire.ts';

export interface AttemptEvents {
  onStarted(attempt: LiveAttempt, started: Started): void;
  /** Immediately before messages of the rounds leave, and a share with them. False: the attempt was ended instead. */
  mayRelease(attempt: LiveAttempt): boolean;
  onOutput(attempt: LiveAttempt, output: RunOutput): void;
  /** `tell`: the others do not know yet. */
  onFailure(attempt: LiveAttempt, failure: Failure, tell: boolean): void;
}

/**
 * Rounds that wait, for the START or for the machine: at most this many and this many bytes of each party, so that none
 * takes another's room. An honest party has no more rounds than that.
 */
const maxWaiting = 4;
const maxWaitingBytes = 512 * 1024;

interface Waiting {
  readonly messages: number;
  readonly bytes: number;
}

export class LiveAttempt {
  readonly id: AttemptId;
  /** What could prove a member guilty. */
  readonly record: AttemptRecord;
  /** When this party accepted it, in milliseconds since 1970. */
  readonly began: number;
  readonly #proposed: FrameOf<'propose'>;
  readonly #context: SessionContext;
  readonly #prepared: Prepared;
  readonly #ownAccept: Uint8Array;
  readonly #earlyBudget: EarlyBudget;
  readonly #events: AttemptEvents;
  #started: Started | undefined;
  #start: FrameOf<'start'> | undefined;
  /** Parties that were shown the START because they spoke of another one. */
  readonly #shown = new Set<string>();
  #running:
    { readonly machine: HostedMachine; readonly output: ReturnType<Prepared['run']>['output'] } | undefined;
  #early: { readonly from: string; readonly frame: FrameOf<'round'> }[] = [];
  /** By party: rounds of it that the machine has not answered yet. */
  readonly #waiting = new Map<string, Waiting>();
  readonly #times: StepTimes;
  /** Steps under way. */
  #steps = 0;
  /** The members awaited when the machine was last heard of; undefined before it has started. */
  #awaited: readonly string[] | undefined;
  /** The round's deadline is over, and all that was missing then had been received here. */
  #overdue = false;
  #cancelTimer: () => void = () => undefined;
  #ended = false;

  constructor(
    id: AttemptId,
    proposed: FrameOf<'propose'>,
    prepared: Prepared,
    ownAccept: Uint8Array,
    context: SessionContext,
    earlyBudget: EarlyBudget,
    events: AttemptEvents,
  ) {
    this.id = id;
    this.began = context.clock.now();
    this.#proposed = proposed;
    this.record = new AttemptRecord(proposed);
    this.#prepared = prepared;
    this.#ownAccept = ownAccept;
    this.#context = context;
    this.#times = new StepTimes(context, proposed.content.purpose);
    this.#earlyBudget = earlyBudget;
    this.#events = events;
    const { acceptDeadline } = context.timing;
    // Twice: the leader first waits for everybody's ACCEPT, then its START travels.
    this.#deadline(acceptDeadline * 2, 'proposal_timeout', () => [this.leader]);
  }

  get propose(): Propose {
    return this.#proposed.content;
  }

  get leader(): string {
    return this.propose.leader;
  }

  /** Members once started; before that only the leader is known to be one. */
  get members(): readonly string[] {
    return this.#started ? [...this.#started.accepts.keys()] : [this.leader];
  }

  /** Hex of the run's session id, once started: for the log. */
  get sessionId(): string | undefined {
    return this.#started && toHex(this.#started.sid);
  }

  /** Whether a START has come. */
  get started(): boolean {
    return this.#started !== undefined;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Rounds that are over for this party. */
  get rounds(): number {
    return this.#times.rounds;
  }

  /** How far it is; `watching`: others sign. */
  get stage(): 'accepted' | 'rounds' | 'watching' | 'ended' {
    if (this.#ended) return 'ended';
    if (this.#started === undefined) return 'accepted';
    return this.#running === undefined ? 'watching' : 'rounds';
  }

  /** Members whose round message is missing. */
  get awaited(): readonly string[] {
    if (this.stage !== 'rounds') return [];
    return this.#awaited?.filter((party) => !this.#waiting.has(party)) ?? [];
  }

  get #wire(): WireContext {
    return { networkId: this.#context.networkId, keyringId: this.#context.keyring.id };
  }

  #after(ms: number, call: () => void): void {
    this.#cancelTimer();
    this.#cancelTimer = afterReading(this.#context.clock, ms, call);
  }

  #deadline(ms: number, code: string, awaited: () => readonly string[]): void {
    this.#after(ms, () => this.#timeout(ms, code, awaited()));
  }

  #timeout(ms: number, code: string, parties: readonly string[]): void {
    this.fail(
      { code, message: `nothing from ${parties.join(', ')} within ${ms} ms`, awaited: parties },
      true,
    );
  }

  /** From here on the others have their time: it begins when this party's own messages have left. */
  #awaitRound(): void {
    this.#overdue = false;
    const { roundDeadline } = this.#context.timing;
    this.#after(roundDeadline, () => this.#roundOver(roundDeadline));
  }

  /** Whose message has not even arrived here is late. What has arrived waits for this party's own machine. */
  #roundOver(ms: number): void {
    const missing = this.#awaited?.filter((party) => !this.#waiting.has(party)) ?? [];
    if (missing.length > 0) return this.#timeout(ms, 'round_timeout', missing);
    if (this.#overdue || this.#awaited === undefined) {
      const message = `this party has not done its own part within ${ms} ms: it has too much work`;
      return this.fail({ code: 'overloaded', message, awaited: [] }, true);
    }
    this.#overdue = true;
    this.#after(ms, () => this.#roundOver(ms));
  }

  /** The leader's START. Two different ones prove the leader guilty; without this party in it the attempt is over for it. */
  start(frame: FrameOf<'start'>): void {
    if (this.#ended || (this.#start !== undefined && same(this.#start.body, frame.body))) return;
    const started = this.#open(frame);
    if (started === undefined) return;
    this.record.addStart(frame);
    // The attempt's id fixes what it is about, not the leader's commitment: that PROPOSE must be the one accepted here.
    const reproposed = !same(started.proposeBody, this.#proposed.body);
    if (this.#start !== undefined || reproposed) {
      this.#leaderSignedTwo(reproposed ? 'PROPOSEs' : 'STARTs');
      return;
    }
    this.record.started = started;
    const self = this.#context.signer.credential;
    const own = started.acceptFrames.get(self);
    if (own === undefined) {
      // Others sign: all that is left here is to wait for their DONE.
      this.#prepared.discard();
      this.#started = started;
      this.#start = frame;
      this.#deadline(this.#context.timing.roundDeadline, 'round_timeout', () => [...started.accepts.keys()]);
      return;
    }
    if (!same(own, this.#ownAccept)) {
      throw new SessionError('wrong_attempt', 'the START holds an ACCEPT that this party did not send now');
    }
    this.#started = started;
    this.#start = frame;
    this.#times.started();
    this.#events.onStarted(this, started);
    this.#awaitRound();
    try {
      const { order, output, guarded } = this.#prepared.run(started);
      const machine = this.#context.work.machine(order, this.propose.requestId);
      this.#running = { machine: guarded ? guarded(machine) : machine, output };
    } catch (error) {
      return this.#stepFailed(undefined, error);
    }
    this.#follow(undefined, this.#running.machine.start());
    for (const { from, frame: round } of this.#takeEarly()) this.round(from, round);
  }

  /** A PROPOSE of this attempt's id: as a rule the second copy. Throws SessionError when its leader did not sign it. */
  proposedAgain(frame: FrameOf<'propose'>): void {
    if (this.#ended || same(this.#proposed.body, frame.body)) return;
    checkPropose(frame, this.#context.keyring, this.#wire);
    this.record.reproposed = frame;
    this.#leaderSignedTwo('PROPOSEs');
  }

  #leaderSignedTwo(what: string): void {
    const message = `${this.leader} signed two ${what} of one attempt`;
    this.fail({ code: 'leader_equivocated', message, awaited: [], culprit: this.leader }, true);
  }

  /** A START that the leader signed although it cannot stand proves somebody guilty: nobody waits for a better one. */
  #open(frame: FrameOf<'start'>): Started | undefined {
    try {
      return openStart(frame, this.#context.keyring, this.#wire);
    } catch (error) {
      if (!(error instanceof SessionError) || error.culprit === undefined) throw error;
      const { code, message, culprit } = error;
      this.record.addStart(frame);
      this.fail({ code, message, awaited: [], culprit }, true);
      return undefined;
    }
  }

  /** A round message of an authenticated sender whose frame signature was verified. */
  round(from: string, frame: FrameOf<'round'>): void {
    if (this.#ended) return;
    const started = this.#started;
    if (started === undefined || this.#running === undefined) {
      this.#holdEarly(from, frame);
      return;
    }
    if (!started.accepts.has(from)) return;
    if (!same(frame.content.sid, started.sid)) {
      // Another session's message is dropped before any check; the sender is shown, once, which START this party has.
      if (this.#start && !this.#shown.has(from)) this.#send(from, this.#start.bytes);
      this.#shown.add(from);
      return;
    }
    const { messages, bytes } = this.#waiting.get(from) ?? { messages: 0, bytes: 0 };
    const size = frame.bytes.length;
    if (messages >= maxWaiting || bytes + size > maxWaitingBytes) return;
    this.#waiting.set(from, { messages: messages + 1, bytes: bytes + size });
    this.record.addRound(from, frame);
    const { machine } = this.#running;
    this.#follow({ from, size }, machine.receive(this.#indexOf(from), frame.content.message));
  }

  #holdEarly(from: string, frame: FrameOf<'round'>): void {
    const held = this.#early.filter((early) => early.from === from);
    const bytes = held.reduce((sum, early) => sum + early.frame.bytes.length, frame.bytes.length);
    if (held.length >= maxWaiting || bytes > maxWaitingBytes) return;
    if (this.#earlyBudget.take(from, frame.bytes.length)) this.#early.push({ from, frame });
  }

  #takeEarly(): { readonly from: string; readonly frame: FrameOf<'round'> }[] {
    const early = this.#early;
    this.#early = [];
    for (const { from, frame } of early) this.#earlyBudget.give(from, frame.bytes.length);
    return early;
  }

  /** Acts on a step when it is done. Nothing that goes wrong here may touch another attempt. */
  #follow(
    message: { readonly from: string; readonly size: number } | undefined,
    step: Promise<HostedStep>,
  ): void {
    this.#steps += 1;
    const settle = (): void => {
      this.#steps -= 1;
      if (message) this.#answered(message.from, message.size);
    };
    step
      .then(
        (result) => {
          settle();
          if (this.#ended) return eraseStep(result);
          this.#act(result);
          if (this.#overdue && this.#steps === 0) this.#roundOver(this.#context.timing.roundDeadline);
        },
        (error: unknown) => {
          settle();
          this.#stepFailed(message?.from, error);
        },
      )
      .catch((error: unknown) => this.#stepFailed(message?.from, error));
  }

  #answered(from: string, size: number): void {
    const { messages, bytes } = this.#waiting.get(from) ?? { messages: 1, bytes: size };
    if (messages > 1) this.#waiting.set(from, { messages: messages - 1, bytes: bytes - size });
    else this.#waiting.delete(from);
  }

  #stepFailed(from: string | undefined, error: unknown): void {
    if (this.#ended) return;
    if (error instanceof Abort) {
      const culprit = error.culprit === undefined ? undefined : this.#partyOf(error.culprit);
      const message = from === undefined ? error.message : `on a message of ${from}: ${error.message}`;
      if (error.ban && culprit !== undefined)
        return this.fail({ code: error.code, message, awaited: [], accused: culprit }, true);
      const blame = culprit === undefined ? { unattributed: true } : { culprit };
      return this.fail({ code: error.code, message, awaited: [], ...blame }, true);
    }
    // This party's own fault: no other is to blame, and no set to be avoided.
    const code = error instanceof WorkError || error instanceof GateError ? error.code : 'internal';
    this.fail({ code, message: `here: ${(error as Error).message}`, awaited: [] }, true);
  }

  #act(step: HostedStep): void {
    this.#awaited = step.awaited.map((index) => this.#partyOf(index));
    // While it was computed, approvals may have run out.
    if (step.messages.length > 0 && !this.#events.mayRelease(this)) return eraseStep(step);
    const started = this.#started as Started;
    const self = this.#context.signer.credential;
    const others = [...started.accepts.keys()].filter((party) => party !== self);
    for (const { to, bytes } of step.messages) {
      const frame = encodeFrame(
        'round',
        { attemptId: this.id, sid: started.sid, message: bytes },
        this.#wire,
        this.#context.signer,
      );
      for (const party of to === 'all' ? others : [this.#partyOf(to)]) this.#send(party, frame);
    }
    if (step.messages.length > 0 || step.output !== undefined) this.#times.turned();
    if (step.output !== undefined) {
      const output = this.#running?.output(step.output);
      this.#end();
      if (output) this.#events.onOutput(this, output);
      return;
    }
    // A round ends with this party's next messages. One that brought nothing on must not give its sender more time.
    if (step.messages.length > 0) this.#awaitRound();
  }

  #send(party: string, frame: Uint8Array): void {
    try {
      this.#context.transport.send(party, frame);
    } catch (error) {
      const { requestId } = this.propose;
      const { message } = error as Error;
      this.#context.log('session.send_failed', { peer: party, requestId, attemptId: this.id, message });
    }
  }

  #indexOf(party: string): PartyIndex {
    return partyIndex(this.#context.keyring.roster, party);
  }

  #partyOf(index: PartyIndex): string {
    return this.#context.keyring.roster.parties[index - 1]?.key ?? '';
  }

  /** Ends without output. Calling it on an ended attempt does nothing. */
  fail(failure: Failure, tell: boolean): void {
    if (this.#ended) return;
    this.#end();
    this.#events.onFailure(this, failure, tell);
  }

  /** Ends because it is no longer wanted; tells nobody. */
  cancel(): void {
    if (!this.#ended) this.#end();
  }

  #end(): void {
    this.#ended = true;
    this.#cancelTimer();
    this.#takeEarly();
    if (this.#running) this.#running.machine.destroy();
    else this.#prepared.discard();
  }
}
