// What every protocol of rounds has in common: who may send what, how often and when.
//
// Every message is: kind (1 byte, one per protocol and round) || session id (32 bytes) || body. A message of another
// session is dropped before any check and changes nothing. Each is checked for its structure at once, and for being meant
// for this party. One message per member and round: the same bytes again are `duplicate_message`, other bytes are
// `equivocation`, which two signatures prove. A message of a later round is held (one per sender, of a length known
// beforehand) until its round begins.
import { equalBytes } from '@noble/curves/utils.js';
import { concatBytes } from '@noble/hashes/utils.js';
import { Abort } from './abort.ts';
import { GroupError } from './group.ts';
import { taggedHash } from './hash.ts';
import type { PartyIndex, SlicedMachine, Slices, Step } from './machine.ts';
import { checkSessionId, SESSION_ID_LENGTH } from './parameters.ts';

const HEADER_LENGTH = 1 + SESSION_ID_LENGTH;

/** First byte of a message; distinct over all protocols, so that no message is taken for another's. */
export const MessageKind = {
  dkgCommit: 0x11,
  dkgReveal: 0x12,
  frostShare: 0x21,
  pairNonce: 0x31,
  pairChoices: 0x32,
  pairKeys: 0x33,
  pairConfirm: 0x34,
  ecdsaShare: 0x51,
} as const;
export type MessageKind = (typeof MessageKind)[keyof typeof MessageKind] | PresignKind;

declare const presignKind: unique symbol;
/** Kinds of the presign rounds: 0x60 + chunk to commit, 0x80 + chunk to multiply. */
export type PresignKind = number & { readonly [presignKind]: true };
const PRESIGN_CHUNKS = 32;

/** The kinds of the two presign rounds of one chunk of items, 0..31. Throws Abort('item_count'). */
export function presignKinds(chunk: number): {
  readonly commit: PresignKind;
  readonly multiply: PresignKind;
} {
  if (!Number.isInteger(chunk) || chunk < 0 || chunk >= PRESIGN_CHUNKS)
    throw new Abort('item_count', `chunk ${chunk} of a run that has at most ${PRESIGN_CHUNKS}`);
  return { commit: (0x60 + chunk) as PresignKind, multiply: (0x80 + chunk) as PresignKind };
}

/** One round as its machine sees it. A body is erased after `receive`: keep copies, not views. */
export interface Round<Output> {
  readonly kind: MessageKind;
  /** Structure and receiver; also run on messages that are early. Throws Abort. */
  readonly check: (from: PartyIndex, body: Uint8Array) => void;
  /** Full verification of one member's message, once this round has begun; long work in slices. Throws Abort. */
  readonly receive: (from: PartyIndex, body: Uint8Array) => void | Generator<undefined, void, undefined>;
  /** Runs when every other member's message has been verified. The last round's step carries the output. */
  readonly complete: () => Step<Output> | Slices<Output>;
}

/** kind || session id || body. */
export function encodeMessage(kind: MessageKind, sid: Uint8Array, body: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(kind), sid, body);
}

/** The session id a message carries, for routing; undefined when it is too short to carry one. */
export function sessionIdOf(bytes: Uint8Array): Uint8Array | undefined {
  return bytes.length < HEADER_LENGTH ? undefined : bytes.subarray(1, HEADER_LENGTH);
}

/**
 * Which of a protocol's rounds (by its place in `kinds`) a message of this session is for, and its body: a copy.
 * Undefined: of another session. Throws Abort naming `from`: malformed_message, unknown_message.
 */
export function openMessage(
  kinds: readonly MessageKind[],
  sid: Uint8Array,
  from: PartyIndex,
  bytes: Uint8Array,
): { readonly round: number; readonly body: Uint8Array } | undefined {
  const carried = sessionIdOf(bytes);
  if (carried === undefined)
    throw new Abort('malformed_message', `message of ${bytes.length} bytes from party ${from}`, {
      culprit: from,
    });
  if (!equalBytes(carried, sid)) return undefined;
  const round = kinds.findIndex((kind) => kind === bytes[0]);
  if (round < 0)
    throw new Abort('unknown_message', `party ${from} sent a message of kind ${bytes[0]}`, { culprit: from });
  return { round, body: bytes.slice(HEADER_LENGTH) };
}

/** Decodes something `from` sent: a GroupError becomes an Abort that names the sender. */
export function decodeFrom<T>(from: PartyIndex, what: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof GroupError)) throw error;
    throw new Abort(error.code, `${what} of party ${from}: ${error.message}`, { culprit: from });
  }
}

interface Received {
  /** Digest of each sender's message, to tell a repetition from an equivocation. */
  readonly digests: Map<PartyIndex, Uint8Array>;
  readonly held: Map<PartyIndex, Uint8Array>;
}

export abstract class RoundMachine<Output> implements SlicedMachine<Output> {
  protected readonly sid: Uint8Array;
  /** The other members, ascending. */
  protected readonly others: readonly PartyIndex[];
  /** All rounds, in order. */
  protected abstract readonly rounds: readonly Round<Output>[];
  #state: 'new' | 'running' | 'finished' = 'new';
  #current = 0;
  #underway = false;
  /** The step that is interrupted. */
  #paused: Slices<Output> | undefined;
  /** By number of the round. */
  readonly #received = new Map<number, Received>();

  /** `members` are all members of the run, self included. Throws Abort('invalid_session'). */
  protected constructor(sid: Uint8Array, self: PartyIndex, members: readonly PartyIndex[]) {
    checkSessionId(sid);
    this.sid = sid.slice();
    this.others = members.filter((index) => index !== self).toSorted((a, b) => a - b);
  }

  /** The first messages. */
  protected abstract begin(): Step<Output> | Slices<Output>;

  /** Erases secrets, best effort; may run more than once. */
  protected abstract erase(): void;

  start(): Step<Output> {
    return wholeStep(this.startInSlices());
  }

  receive(from: PartyIndex, bytes: Uint8Array): Step<Output> {
    return wholeStep(this.receiveInSlices(from, bytes));
  }

  startInSlices(): Slices<Output> {
    return this.#guard(() => {
      if (this.#state === 'running') throw new Abort('already_started', 'the machine was started before');
      this.#state = 'running';
      return this.begin();
    });
  }

  receiveInSlices(from: PartyIndex, bytes: Uint8Array): Slices<Output> {
    return this.#guard(() => {
      if (this.#state === 'new') throw new Abort('not_started', 'the machine has not been started');
      if (!this.others.includes(from)) return this.#refuseStranger(from, bytes);
      const kinds = this.rounds.map((each) => each.kind);
      const opened = openMessage(kinds, this.sid, from, bytes);
      if (opened === undefined) return { messages: [] };
      const { round: number, body } = opened;
      this.rounds[number]!.check(from, body);
      const received = this.#inbox(number);
      this.#onlyOnce(received, from, bytes, number);
      received.held.set(from, body);
      return this.#advance();
    });
  }

  awaited(): readonly PartyIndex[] {
    if (this.#state === 'finished') return [];
    const { digests } = this.#inbox(this.#current);
    return this.others.filter((index) => !digests.has(index));
  }

  destroy(): void {
    this.#state = 'finished';
    // An interrupted step never goes on: what it holds that is secret is erased by its `finally`.
    const paused = this.#paused;
    this.#paused = undefined;
    paused?.return({ messages: [] });
    for (const { held } of this.#received.values()) {
      for (const body of held.values()) body.fill(0);
      held.clear();
    }
    this.erase();
  }

  /** Of another session it is dropped like anybody's. */
  #refuseStranger(from: PartyIndex, bytes: Uint8Array): Step<Output> {
    const sid = sessionIdOf(bytes);
    if (sid === undefined)
      throw new Abort('malformed_message', `message of ${bytes.length} bytes from party ${from}`);
    if (!equalBytes(sid, this.sid)) return { messages: [] };
    throw new Abort('not_a_member', `party ${from} is not another member of this run`);
  }

  #inbox(number: number): Received {
    let received = this.#received.get(number);
    if (received === undefined)
      this.#received.set(number, (received = { digests: new Map(), held: new Map() }));
    return received;
  }

  #onlyOnce(received: Received, from: PartyIndex, bytes: Uint8Array, number: number): void {
    const digest = taggedHash('countersign/v1/message', bytes);
    const earlier = received.digests.get(from);
    if (earlier === undefined) {
      received.digests.set(from, digest);
      return;
    }
    if (equalBytes(earlier, digest))
      throw new Abort('duplicate_message', `party ${from} repeated its message of round ${number + 1}`);
    throw new Abort('equivocation', `party ${from} sent two different messages for round ${number + 1}`, {
      culprit: from,
    });
  }

  /**
   * Verifies what is there, and moves on as long as rounds are complete. When a held message of the next round aborts the
   * run, what this round would have sent is not sent: nothing secret goes out once a fault is known.
   */
  *#advance(): Slices<Output> {
    const messages = [];
    for (;;) {
      const round = this.rounds[this.#current]!;
      const { held, digests } = this.#inbox(this.#current);
      for (const [from, body] of held) {
        const slices = round.receive(from, body);
        if (slices !== undefined) yield* slices;
        body.fill(0);
        held.delete(from);
        if (held.size > 0) yield;
      }
      if (digests.size < this.others.length) return { messages };
      const step = yield* slicesOf(round.complete());
      messages.push(...step.messages);
      if (step.output !== undefined) {
        this.destroy();
        return { messages, output: step.output };
      }
      this.#current++;
    }
  }

  /** A throw ends the run for good and erases its secrets. */
  *#guard(work: () => Step<Output> | Slices<Output>): Slices<Output> {
    const assertAlive = (): void => {
      if (this.#state === 'finished') throw new Abort('finished', 'this run has ended');
    };
    assertAlive();
    try {
      if (this.#underway) throw new Abort('internal', 'a step was begun before the one under way had ended');
      this.#underway = true;
      const slices = slicesOf(work());
      for (;;) {
        const { done, value } = slices.next();
        if (done) return value;
        this.#paused = slices;
        yield;
        this.#paused = undefined;
        assertAlive();
      }
    } catch (error) {
      this.destroy();
      if (error instanceof Abort) throw error;
      throw new Abort('internal', 'the run failed unexpectedly', { cause: error });
    } finally {
      this.#underway = false;
    }
  }
}

function* slicesOf<Output>(work: Step<Output> | Slices<Output>): Slices<Output> {
  return Symbol.iterator in work ? yield* work : work;
}

function wholeStep<Output>(slices: Slices<Output>): Step<Output> {
  for (;;) {
    const { done, value } = slices.next();
    if (done) return value;
  }
}
