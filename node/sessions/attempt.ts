// Agreeing on an attempt: who leads, what an attempt is called, what a START must hold, and the session id.
// Pure functions over frames.
import { bytesToHex } from '@noble/hashes/utils.js';
import { type Epoch, formatEpoch, sameEpoch, sameLogHead } from '../../protocol/records/fields.ts';
import type { Keyring } from '../../protocol/records/keyring-roster.ts';
import { taggedHash, uint32, utf8 } from '../mpc/hash.ts';
import { SessionError } from './error.ts';
import {
  type Accept,
  decodeFrame,
  type FrameOf,
  type Propose,
  verifyFrame,
  type WireContext,
} from './wire.ts';

/** Hex of 32 bytes. */
export type AttemptId = string;

/**
 * The parties in the order in which they lead attempts at this request: sorted by a hash of party and request, so the
 * same for everybody and never derived from who looks alive to whom.
 */
export function leaderOrder(parties: readonly string[], requestId: string): readonly string[] {
  const keyed = parties.map((party) => ({
    party,
    rank: bytesToHex(taggedHash('countersign/v1/leader', utf8(party), utf8(requestId))),
  }));
  return keyed.toSorted((a, b) => (a.rank < b.rank ? -1 : 1)).map(({ party }) => party);
}

/** The name of an attempt: its leader's boot id and counter make it unique, the payload digests fix what it is about. */
export function attemptIdOf(propose: Propose, networkId: string): AttemptId {
  const { purpose, requestId, keyringId, epoch, leader, boot, counter, digests } = propose;
  const texts = [networkId, purpose, requestId, keyringId, formatEpoch(epoch), leader, boot].map(utf8);
  return bytesToHex(taggedHash('countersign/v1/attempt', ...texts, uint32(counter), ...digests));
}

/** What PROPOSE holds of the leader's own ACCEPT. */
export function acceptCommitment(acceptFrame: Uint8Array, salt: Uint8Array): Uint8Array {
  return taggedHash('countersign/v1/accept-commitment', acceptFrame, salt);
}

/**
 * sid = H(purpose, network, keyring, epoch, request, START): 32 bytes that no member could force or repeat. Of the START it
 * takes the body, which the leader signed: the frame around it can be written in several ways by whoever passes it on.
 */
export function sessionId(
  purpose: Propose['purpose'],
  networkId: string,
  keyring: { readonly id: string; readonly epoch: Epoch },
  requestId: string,
  startBody: Uint8Array,
): Uint8Array {
  const texts = [purpose, networkId, keyring.id, formatEpoch(keyring.epoch), requestId].map(utf8);
  return taggedHash('countersign/v1/session', ...texts, startBody);
}

/** How many parties take part: all for a key, exactly the threshold for signatures. */
export function setSize(purpose: Propose['purpose'], keyring: Keyring): number {
  return purpose === 'generate' ? keyring.roster.parties.length : keyring.roster.threshold;
}

/** One name for a set, whatever the order of its members. */
export function setName(members: readonly string[]): string {
  return members.toSorted().join(' ');
}

/** An attempt that began, as its START proves it. */
export interface Started {
  readonly propose: Propose;
  /** PROPOSE as its leader signed it. */
  readonly proposeBody: Uint8Array;
  readonly attemptId: AttemptId;
  readonly sid: Uint8Array;
  /** Each member of the set with what it accepted, in the roster's order. */
  readonly accepts: ReadonlyMap<string, Accept>;
  /** The ACCEPT frames as received, by party. */
  readonly acceptFrames: ReadonlyMap<string, Uint8Array>;
}

/** Checks a PROPOSE: its leader's signature, keyring and epoch. Throws SessionError. */
export function checkPropose(frame: FrameOf<'propose'>, keyring: Keyring, context: WireContext): void {
  const { leader, keyringId, epoch, purpose, digests, order } = frame.content;
  const parties = keyring.roster.parties.map((party) => party.key);
  if (!parties.includes(leader))
    throw new SessionError('stranger', `${leader} leads nothing in this keyring`);
  if (keyringId !== keyring.id || !sameEpoch(epoch, keyring.epoch)) {
    throw new SessionError('wrong_keyring', `proposed for keyring ${keyringId}, epoch ${formatEpoch(epoch)}`);
  }
  if (purpose === 'generate' && digests.length !== 1) {
    throw new SessionError('item_count', `${digests.length} digests for one key`);
  }
  if (order.length !== parties.length || !parties.every((party) => order.includes(party))) {
    throw new SessionError('stranger', 'the order of preference does not list exactly the parties');
  }
  verifyFrame(frame, leader, context);
}

/** Opens a START whose sender is a claim: checks every signature in it, the set, the leader's commitment. Throws SessionError. */
export function openStart(frame: FrameOf<'start'>, keyring: Keyring, context: WireContext): Started {
  const proposeFrame = decodeFrame(frame.content.propose);
  if (proposeFrame.type !== 'propose') throw new SessionError('malformed_message', 'a START without PROPOSE');
  checkPropose(proposeFrame, keyring, context);
  const propose = proposeFrame.content;
  verifyFrame(frame, propose.leader, context);
  const attemptId = attemptIdOf(propose, context.networkId);
  const received = new Map<string, { accept: Accept; bytes: Uint8Array }>();
  for (const bytes of frame.content.accepts) {
    const accept = decodeFrame(bytes);
    if (accept.type !== 'accept')
      throw new SessionError('malformed_message', 'a START with something else than ACCEPTs');
    checkAccept(accept, propose, attemptId, keyring, context);
    const { party } = accept.content;
    if (received.has(party))
      throw new SessionError('duplicate_member', `${party} twice in a set`, propose.leader);
    received.set(party, { accept: accept.content, bytes });
  }
  const wanted = setSize(propose.purpose, keyring);
  if (received.size !== wanted) {
    throw new SessionError('set_size', `a set of ${received.size}, expected ${wanted}`, propose.leader);
  }
  const own = received.get(propose.leader);
  if (own === undefined || !same(acceptCommitment(own.bytes, frame.content.salt), propose.commitment)) {
    throw new SessionError(
      'commitment_mismatch',
      "the leader's ACCEPT is not the one it committed to",
      propose.leader,
    );
  }
  const members = keyring.roster.parties.map((party) => party.key).filter((party) => received.has(party));
  const entry = (party: string) => received.get(party) as { accept: Accept; bytes: Uint8Array };
  return {
    propose,
    proposeBody: proposeFrame.body,
    attemptId,
    sid: sessionId(propose.purpose, context.networkId, keyring, propose.requestId, frame.body),
    accepts: new Map(members.map((party) => [party, entry(party).accept])),
    acceptFrames: new Map(members.map((party) => [party, entry(party).bytes])),
  };
}

/** Checks an ACCEPT against the attempt it must be for. Throws SessionError. */
export function checkAccept(
  frame: FrameOf<'accept'>,
  propose: Propose,
  attemptId: AttemptId,
  keyring: Keyring,
  context: WireContext,
): void {
  const { party, nonces, logHead } = frame.content;
  if (!keyring.roster.parties.some((member) => member.key === party)) {
    throw new SessionError('stranger', `${party} accepts, but is not in the roster`);
  }
  // The signature first: only what somebody signed can make a culprit.
  verifyFrame(frame, party, context);
  if (frame.content.attemptId !== attemptId) {
    throw new SessionError('wrong_attempt', `${party} accepted another attempt`);
  }
  const items = propose.purpose === 'sign' ? propose.digests.length : 0;
  if (nonces.length !== items) {
    throw new SessionError(
      'item_count',
      `${party} committed to ${nonces.length} items instead of ${items}`,
      party,
    );
  }
  if (!sameLogHead(logHead, propose.logHead)) {
    throw new SessionError('wrong_attempt', `${party} accepted under another log head`);
  }
}

/** Whether two byte strings are equal; for public values. */
export function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
