// What signed messages prove against a party: they are put to the very checks that the receivers of a running attempt
// make. Only what the accused itself signed can name it. The rest is taken as an enemy's work, who may hold every other
// party's key and all messages of all sessions: hence nothing is compared that two sessions, two attempts, two receivers
// or two spellings of one message could make differ between honest messages.
import type { Keyring } from '../../../protocol/records/keyring-roster.ts';
import { Abort } from '../../mpc/abort.ts';
import { attemptIdOf, checkAccept, checkPropose, openStart, same, type Started } from '../attempt.ts';
import { SessionError } from '../error.ts';
import {
  decodeFrame,
  type Frame,
  type FrameOf,
  type Propose,
  verifyFrame,
  type WireContext,
} from '../wire.ts';
import { type BlameBundle, type FaultCode, isFaultCode } from './bundle.ts';
import { BlameError } from './error.ts';
import { replayGeneration } from './replay-generation.ts';
import { replayNonces, replaySigning } from './replay-signing.ts';

export interface Accusation {
  readonly networkId: string;
  /** Opened, so trusted as far as its id is. */
  readonly keyring: Keyring;
  /** A party of the keyring. */
  readonly accused: string;
  readonly frames: readonly Uint8Array[];
  readonly generating?: BlameBundle['generating'];
  readonly signing?: BlameBundle['signing'];
}

/** What a replay came to. */
export interface Fault {
  readonly code: FaultCode;
  readonly culprit: string;
  readonly message: string;
  readonly propose: Propose;
  readonly attemptId: string;
  /** Of the session in whose messages the fault lies; undefined when it lies in the agreement on an attempt. */
  readonly sid?: Uint8Array;
}

/** Throws BlameError: bad_frame, wrong_session, bad_context, malformed, not_proven. */
export function replay(accusation: Accusation): Fault {
  const frames = accusation.frames.map(openFrame);
  const [first, second, third] = frames;
  const types = frames.map((frame) => frame.type).join(', ');
  const inRounds = second?.type === 'round';
  if (!inRounds && (accusation.generating || (accusation.signing && types !== 'start')))
    throw new BlameError('malformed', `${types} with a key that they have no need of`);
  if (first?.type === 'propose' && third === undefined) {
    genuine(() => checkPropose(first, accusation.keyring, wireOf(accusation)));
    if (second?.type === 'propose') return twoProposals(accusation, first, second);
    if (second?.type === 'start') return startOfAnother(accusation, first, second);
    if (second?.type === 'accept') return badAccept(accusation, first, second);
  }
  if (first?.type === 'start') {
    if (second === undefined) return badStart(accusation, first);
    if (second.type === 'start' && third === undefined) return twoStarts(accusation, first, second);
    if (second.type === 'round' && third === undefined) return badRounds(accusation, first, [second]);
    if (second.type === 'round' && third?.type === 'round')
      return badRounds(accusation, first, [second, third]);
  }
  throw new BlameError('not_proven', `${types}: no fault is proven by these messages`);
}

function wireOf({ networkId, keyring }: Accusation): WireContext {
  return { networkId, keyringId: keyring.id };
}

function openFrame(bytes: Uint8Array): Frame {
  return genuine(() => decodeFrame(bytes));
}

/** Runs a check of messages whose failure proves nothing against anybody. */
function genuine<Result>(check: () => Result): Result {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof SessionError)) throw error;
    throw new BlameError('bad_frame', `${error.code}: ${error.message}`, { cause: error });
  }
}

/** The fault that a check finds: one that names its culprit. Undefined when it finds none. */
function faultOf(check: () => unknown): { code: FaultCode; culprit: string; message: string } | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    if (!(error instanceof SessionError)) throw error;
    const { code, culprit, message } = error;
    if (culprit === undefined || !isFaultCode(code))
      throw new BlameError('bad_frame', `${code}: ${message}`, { cause: error });
    return { code, culprit, message };
  }
}

/** The PROPOSE in a START, checked; its attempt. Whether the START stands is another question. */
function proposeOf(accusation: Accusation, start: FrameOf<'start'>): FrameOf<'propose'> {
  const inner = openFrame(start.content.propose);
  if (inner.type !== 'propose') throw new BlameError('bad_frame', 'a START without PROPOSE');
  genuine(() => checkPropose(inner, accusation.keyring, wireOf(accusation)));
  return inner;
}

function open(accusation: Accusation, start: FrameOf<'start'>): Started {
  return genuine(() => openStart(start, accusation.keyring, wireOf(accusation)));
}

function sameAttempt({ networkId }: Accusation, one: Propose, other: Propose): string {
  const id = attemptIdOf(one, networkId);
  if (attemptIdOf(other, networkId) !== id)
    throw new BlameError('wrong_session', 'the messages are of different attempts: each may be right');
  return id;
}

function equivocated(propose: Propose, attemptId: string, what: string): Fault {
  const { leader } = propose;
  const message = `${leader} signed two ${what} of one attempt`;
  return { code: 'leader_equivocated', culprit: leader, message, propose, attemptId };
}

function twoProposals(accusation: Accusation, first: FrameOf<'propose'>, second: FrameOf<'propose'>): Fault {
  genuine(() => checkPropose(second, accusation.keyring, wireOf(accusation)));
  const attemptId = sameAttempt(accusation, first.content, second.content);
  // The signed body counts: the frame around it can be spelt differently by whoever passes it on.
  if (same(first.body, second.body)) throw new BlameError('not_proven', 'the same PROPOSE twice');
  return equivocated(first.content, attemptId, 'PROPOSEs');
}

/** A START that holds another PROPOSE than the one that was accepted. */
function startOfAnother(accusation: Accusation, first: FrameOf<'propose'>, start: FrameOf<'start'>): Fault {
  const started = open(accusation, start);
  const attemptId = sameAttempt(accusation, first.content, started.propose);
  if (same(first.body, started.proposeBody))
    throw new BlameError('not_proven', 'the START holds the very PROPOSE that stands before it');
  return equivocated(first.content, attemptId, 'PROPOSEs');
}

function badAccept(accusation: Accusation, propose: FrameOf<'propose'>, accept: FrameOf<'accept'>): Fault {
  const { keyring, networkId } = accusation;
  const { content } = propose;
  const attemptId = attemptIdOf(content, networkId);
  const fault = faultOf(() => checkAccept(accept, content, attemptId, keyring, wireOf(accusation)));
  if (fault === undefined) throw new BlameError('not_proven', 'the ACCEPT is as it must be');
  return { ...fault, propose: content, attemptId };
}

function badStart(accusation: Accusation, start: FrameOf<'start'>): Fault {
  const { keyring, networkId, accused, signing } = accusation;
  let started: Started | undefined;
  const fault = faultOf(() => (started = openStart(start, keyring, wireOf(accusation))));
  if (fault !== undefined) {
    if (signing) throw new BlameError('malformed', 'a START that is wrong by itself, with a key beside it');
    const { content } = proposeOf(accusation, start);
    return { ...fault, propose: content, attemptId: attemptIdOf(content, networkId) };
  }
  if (started === undefined || signing === undefined)
    throw new BlameError('not_proven', 'the START is as it must be');
  return aborted(started, accused, () => replayNonces(accusation, started as Started, signing));
}

function twoStarts(accusation: Accusation, first: FrameOf<'start'>, second: FrameOf<'start'>): Fault {
  const [one, other] = [open(accusation, first), open(accusation, second)];
  const attemptId = sameAttempt(accusation, one.propose, other.propose);
  if (same(first.body, second.body)) throw new BlameError('not_proven', 'the same START twice');
  return equivocated(one.propose, attemptId, 'STARTs');
}

function badRounds(
  accusation: Accusation,
  start: FrameOf<'start'>,
  rounds: readonly FrameOf<'round'>[],
): Fault {
  const { accused, generating, signing } = accusation;
  const started = open(accusation, start);
  if (!started.accepts.has(accused))
    throw new BlameError('not_proven', `${accused} is not in the set of this START`);
  for (const round of rounds) {
    genuine(() => verifyFrame(round, accused, wireOf(accusation)));
    const { attemptId, sid } = round.content;
    if (attemptId !== started.attemptId || !same(sid, started.sid))
      throw new BlameError('wrong_session', `a message of ${accused} in another session than this START's`);
  }
  const messages = rounds.map((round) => round.content.message);
  const isKey = started.propose.purpose === 'generate';
  if (isKey ? generating === undefined || signing : signing === undefined || generating)
    throw new BlameError(
      'malformed',
      `what a replay of ${started.propose.purpose} needs is not what is here`,
    );
  return aborted(started, accused, () =>
    generating
      ? replayGeneration(accusation, started, generating, messages)
      : replaySigning(accusation, started, signing!, messages),
  );
}

/** The fault that ends a run. `run` throws Abort, or BlameError when it has nothing to say. */
function aborted(started: Started, accused: string, run: () => never): Fault {
  const { propose, attemptId, sid } = started;
  try {
    return run();
  } catch (error) {
    if (!(error instanceof Abort)) throw error;
    const { code, culprit, message } = error;
    // Every check above is of messages that the accused has signed: whoever else were named would be named by mistake.
    if (culprit === undefined || !isFaultCode(code))
      throw new BlameError('not_proven', `${code}: ${message}`, { cause: error });
    return { code, culprit: accused, message, propose, attemptId, sid };
  }
}
