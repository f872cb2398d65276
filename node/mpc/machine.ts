// The shape of every multi-party protocol here: messages in, messages out, no I/O, no clock, injected randomness.
// A driver (node/sessions) authenticates senders, checks the session id, signs and moves the bytes.

/** A party's identifier inside a protocol: its 1-based position in the roster, 1..65535. */
export type PartyIndex = number;

/** Bytes for one party, or the same bytes for every other member. */
export interface Outgoing {
  readonly to: PartyIndex | 'all';
  readonly bytes: Uint8Array;
}

/** What a machine wants done after a step. `output` is present exactly once, at the end. */
export interface Step<Output> {
  readonly messages: readonly Outgoing[];
  readonly output?: Output;
}

/**
 * One member's side of one run. `receive` is called with messages of authenticated senders only. Both throw `Abort`;
 * after a throw or an output the machine is finished and every further call throws `Abort('finished')`.
 */
export interface Machine<Output> {
  start(): Step<Output>;
  receive(from: PartyIndex, bytes: Uint8Array): Step<Output>;
  /** Members whose message of the current round has not arrived. */
  awaited(): readonly PartyIndex[];
  /** Erases secrets, best effort. */
  destroy(): void;
}

/** A step in pieces: each `next` does a little, and the last returns the step. */
export type Slices<Output> = Generator<undefined, Step<Output>, undefined>;

/**
 * A machine whose long steps can be interrupted for something more urgent. What is computed is the same; between slices
 * nothing but `destroy` may be called.
 */
export interface SlicedMachine<Output> extends Machine<Output> {
  startInSlices(): Slices<Output>;
  receiveInSlices(from: PartyIndex, bytes: Uint8Array): Slices<Output>;
}

/** `length` fresh bytes from a cryptographic source. Tests inject a seeded one. */
export type RandomBytes = (length: number) => Uint8Array;
