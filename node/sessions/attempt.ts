// Agreeing on an attempt: who leads, what an attempt is called, what a START must hold, and the session id.
// Pure functions over frames.
import { bytesToHex } from '@noble/hashes/utils.js';
import { type Epoch, formatEpoch, sameEpoch, sameLogHead } from '../../protocol/records/fields.ts';
import { type Keyring, partyIndex } from '../../protocol/records/keyring-roster.ts';
import type { PartyIndex } from '../mpc/machine.ts';
import { taggedHash, uint32, utf8 } from '../mpc/hash.ts';
import { SessionError } from './error.ts';
import {
  type Accept,
  decodeFrame,
  type FrameOf,
  maxPooledItems,
  type Propose,
  proposeIn,
  type PurposeKind,
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
  purpose: PurposeKind,
  networkId: string,
  keyring: { readonly id: string; readonly epoch: Epoch },
  requestId: string,
  startBody: Uint8Array,
): Uint8Array {
  const texts = [purpose, networkId, keyring.id, formatEpoch(keyring.epoch), requestId].map(utf8);
  return taggedHash('countersign/v1/session', ...texts, startBody);
}

/** How many parties take part: all for a key, two for a pair setup, exactly the threshold to sign and to presign. */
export function setSize(purpose: PurposeKind, keyring: Keyring): number {
  switch (purpose) {
    case 'generate':
      return keyring.roster.parties.length;
    case 'pair-setup':
      return 2;
    case 'sign':
    case 'presign':
      return keyring.roster.threshold;
  }
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
  /** Which of the PROPOSE's listed sets this is, with every member ready to join it; undefined when it is none. */
  readonly listed: number | undefined;
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
  checkSets(frame.content, keyring);
}

/**
 * What a PROPOSE says of sets and members must fit its purpose; the leader has signed it. Throws SessionError `set_size`,
 * `stranger`, `duplicate_member`, `item_count`.
 */
function checkSets(propose: Propose, keyring: Keyring): void {
  const { purpose, leader, digests, sets, members, keyId } = propose;
  const offline = purpose === 'pair-setup' || purpose === 'presign';
  if ((sets !== undefined && purpose !== 'sign') || (members !== undefined) !== offline) {
    throw new SessionError('set_size', `sets or members that a PROPOSE to ${purpose} has not`, leader);
  }
  if ((keyId !== undefined) !== (purpose === 'presign')) {
    throw new SessionError('item_count', `a key in a PROPOSE to ${purpose}`, leader);
  }
  if (members !== undefined) {
    checkMembers(members, purpose, leader, keyring);
    if (digests.length > (purpose === 'presign' ? maxPooledItems : 1)) {
      throw new SessionError('item_count', `${digests.length} digests in a PROPOSE to ${purpose}`, leader);
    }
  }
  for (const set of sets ?? []) {
    checkMembers(set.members, purpose, leader, keyring);
    if (set.presignatures.length !== digests.length) {
      const message = `${set.presignatures.length} presignatures for ${digests.length} items`;
      throw new SessionError('item_count', message, leader);
    }
  }
}

function checkMembers(
  members: readonly PartyIndex[],
  purpose: PurposeKind,
  leader: string,
  keyring: Keyring,
): void {
  const wanted = setSize(purpose, keyring);
  if (members.length !== wanted)
    throw new SessionError('set_size', `a listed set of ${members.length}, expected ${wanted}`, leader);
  if (members.some((index, place) => place > 0 && index <= (members[place - 1] ?? 0)))
    throw new SessionError('duplicate_member', `members not ascending: ${members.join(', ')}`, leader);
  const { roster } = keyring;
  if (members.some((index) => index > roster.parties.length) || !members.includes(partyIndex(roster, leader)))
    throw new SessionError(
      'stranger',
      `a listed set ${members.join(', ')} of others, or without its leader`,
      leader,
    );
}

/** The credentials of listed members, in the roster's order. */
export function partiesAt(members: readonly PartyIndex[], keyring: Keyring): readonly string[] {
  return members.map((index) => keyring.roster.parties[index - 1]?.key ?? '');
}

/**
 * Which listed set these ACCEPTs are: the first one of exactly these parties that every one of them can join. Everybody
 * finds the same in the START.
 */
export function listedSetOf(
  propose: Propose,
  accepts: ReadonlyMap<string, Accept>,
  keyring: Keyring,
): number | undefined {
  const name = setName([...accepts.keys()]);
  const place = (propose.sets ?? []).findIndex(
    ({ members }, at) =>
      setName(partiesAt(members, keyring)) === name &&
      [...accepts.values()].every(({ cannot }) => !cannot?.includes(at)),
  );
  return place < 0 ? undefined : place;
}

/** Opens a START whose sender is a claim: checks every signature in it, the set, the leader's commitment. Throws SessionError. */
export function openStart(frame: FrameOf<'start'>, keyring: Keyring, context: WireContext): Started {
  const proposeFrame = proposeIn(frame);
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
  const accepts = new Map(members.map((party) => [party, entry(party).accept]));
  const wantedMembers = propose.members && partiesAt(propose.members, keyring);
  if (wantedMembers && setName(wantedMembers) !== setName(members)) {
    throw new SessionError('set_size', 'a START with another set than was proposed', propose.leader);
  }
  const listed = listedSetOf(propose, accepts, keyring);
  if (listed === undefined) checkMutual(accepts, propose.leader);
  return {
    propose,
    proposeBody: proposeFrame.body,
    attemptId,
    sid: sessionId(propose.purpose, context.networkId, keyring, propose.requestId, frame.body),
    accepts,
    acceptFrames: new Map(members.map((party) => [party, entry(party).bytes])),
    listed,
  };
}

/** The leader was told who does not presign with whom: a set of such is its fault. Throws SessionError. */
function checkMutual(accepts: ReadonlyMap<string, Accept>, leader: string): void {
  for (const one of accepts.values()) {
    for (const other of accepts.values()) {
      // Of itself a party may say what it likes: nobody is guilty of it.
      if (one !== other && one.excludes?.includes(other.party)) {
        throw new SessionError(
          'excluded_pair',
          `${one.party} and ${other.party} do not presign together`,
          leader,
        );
      }
    }
  }
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
  const isFrost = propose.purpose === 'sign' && propose.sets === undefined;
  const items = isFrost ? propose.digests.length : 0;
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
