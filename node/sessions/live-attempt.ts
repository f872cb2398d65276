// One attempt this party has accepted: it waits for the START, then runs the threshold protocol round by round. Ends
// exactly once, with an output or an error; what it committed to is burnt either way.
import { partyIndex } from '../../protocol/records/keyring-roster.ts';
import type { PartyIndex, Step } from '../mpc/machine.ts';
import { Abort } from '../mpc/abort.ts';
import { type AttemptId, openStart, same, type Started } from './attempt.ts';
import type { SessionContext } from './context.ts';
import { SessionError } from './error.ts';
import type { Prepared, RunOutput } from './purpose.ts';
import { encodeFrame, type FrameOf, type Propose, type WireContext } from './wire.ts';

/** Why an attempt ended without output, as others are told. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly awaited: readonly string[];
  readonly culprit?: string;
  /** Some member is at fault, and nothing says which. */
  readonly unattributed?: boolean;
}

export interface AttemptEvents {
  onStarted(attempt: LiveAttempt, started: Started): void;
  onOutput(attempt: LiveAttempt, output: RunOutput): void;
  /** `tell`: the others do not know yet. */
  onFailure(attempt: LiveAttempt, failure: Failure, tell: boolean): void;
}

/** Rounds that arrive before the START: at most this many and this many bytes of each party, so that none takes another's room. */
const maxEarly = 4;
const maxEarlyBytes = 512 * 1024;

export class LiveAttempt {
  readonly id: AttemptId;
  readonly #proposed: FrameOf<'propose'>;
  readonly #context: SessionContext;
  readonly #prepared: Prepared;
  readonly #ownAccept: Uint8Array;
  readonly #events: AttemptEvents;
  #started: Started | undefined;
  #start: FrameOf<'start'> | undefined;
  /** Parties that were shown the START because they spoke of another one. */
  readonly #shown = new Set<string>();
  #running: ReturnType<Prepared['run']> | undefined;
  #early: { readonly from: string; readonly frame: FrameOf<'round'> }[] = [];
  #cancelTimer: () => void = () => undefined;
  #ended = false;

  constructor(
    id: AttemptId,
    proposed: FrameOf<'propose'>,
    prepared: Prepared,
    ownAccept: Uint8Array,
    context: SessionContext,
    events: AttemptEvents,
  ) {
    this.id = id;
    this.#proposed = proposed;
    this.#prepared = prepared;
    this.#ownAccept = ownAccept;
    this.#context = context;
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

  /** Whether a START has come. */
  get started(): boolean {
    return this.#started !== undefined;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get #wire(): WireContext {
    return { networkId: this.#context.networkId, keyringId: this.#context.keyring.id };
  }

  #deadline(ms: number, code: string, awaited: () => readonly string[]): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#context.clock.after(ms, () => {
      const parties = awaited();
      this.fail(
        { code, message: `nothing from ${parties.join(', ')} within ${ms} ms`, awaited: parties },
        true,
      );
    });
  }

  /** The leader's START. Two different ones prove the leader guilty; without this party in it the attempt is over for it. */
  start(frame: FrameOf<'start'>): void {
    if (this.#ended || (this.#start !== undefined && same(this.#start.body, frame.body))) return;
    const started = this.#open(frame);
    if (started === undefined) return;
    // The attempt's id fixes what it is about, not the leader's commitment: that PROPOSE must be the one accepted here.
    const reproposed = !same(started.proposeBody, this.#proposed.body);
    if (this.#start !== undefined || reproposed) {
      const what = `${this.leader} signed two ${reproposed ? 'PROPOSEs' : 'STARTs'} of one attempt`;
      this.fail({ code: 'leader_equivocated', message: what, awaited: [], culprit: this.leader }, true);
      return;
    }
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
    this.#events.onStarted(this, started);
    this.#guard(undefined, () => {
      this.#running = this.#prepared.run(started);
      this.#act(this.#running.machine.start());
    });
    const early = this.#early;
    this.#early = [];
    for (const { from, frame: round } of early) this.round(from, round);
  }

  /** A START that the leader signed although it cannot stand proves it guilty: nobody waits for a better one. */
  #open(frame: FrameOf<'start'>): Started | undefined {
    try {
      return openStart(frame, this.#context.keyring, this.#wire);
    } catch (error) {
      if (!(error instanceof SessionError) || error.culprit !== this.leader) throw error;
      this.fail({ code: error.code, message: error.message, awaited: [], culprit: this.leader }, true);
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
    const { machine } = this.#running;
    this.#guard(from, () => this.#act(machine.receive(this.#indexOf(from), frame.content.message)));
  }

  #holdEarly(from: string, frame: FrameOf<'round'>): void {
    const held = this.#early.filter((early) => early.from === from);
    const bytes = held.reduce((sum, early) => sum + early.frame.bytes.length, frame.bytes.length);
    if (held.length < maxEarly && bytes <= maxEarlyBytes) this.#early.push({ from, frame });
  }

  #guard(from: string | undefined, step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!(error instanceof Abort)) throw error;
      const culprit = error.culprit === undefined ? undefined : this.#partyOf(error.culprit);
      const message = from === undefined ? error.message : `on a message of ${from}: ${error.message}`;
      const blame = culprit === undefined ? { unattributed: true } : { culprit };
      this.fail({ code: error.code, message, awaited: [], ...blame }, true);
    }
  }

  #act(step: Step<unknown>): void {
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
    if (step.output !== undefined) {
      const output = this.#running?.output(step.output);
      this.#end();
      if (output) this.#events.onOutput(this, output);
      return;
    }
    // A round ends with this party's next messages. One that brought nothing on must not give its sender more time.
    if (step.messages.length === 0) return;
    this.#deadline(this.#context.timing.roundDeadline, 'round_timeout', () =>
      (this.#running?.machine.awaited() ?? []).map((index) => this.#partyOf(index)),
    );
  }

  #send(party: string, frame: Uint8Array): void {
    try {
      this.#context.transport.send(party, frame);
    } catch (error) {
      this.#context.log('session.send_failed', {
        party,
        attemptId: this.id,
        message: (error as Error).message,
      });
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
    this.#early = [];
    if (this.#running) this.#running.machine.destroy();
    else this.#prepared.discard();
  }
}
