// Bodies of key generation's messages: fixed layouts, one byte string per value.
//
//   commit  digest 32
//   reveal  t (2) || t points || proof || chain code 32 || salt 32 || n (2) || n digests of 32 || receiver (2) || share
//
// A reveal names its receiver because its sender signs it: without that name, whoever a share was dealt to could show it
// as one dealt to somebody else, at whose index it is of course wrong, and an honest dealer would look guilty.
import { concatBytes } from '@noble/hashes/utils.js';
import { Abort } from '../abort.ts';
import type { Group } from '../group.ts';
import { uint16 } from '../hash.ts';
import type { PartyIndex } from '../machine.ts';
import { proofLength } from './proof.ts';
import type { Opening } from './transcript.ts';

/** Bytes of a digest, a salt and a chain code. */
export const DIGEST_LENGTH = 32;

/** The numbers that fix a reveal's length. */
export interface Shape {
  readonly group: Group;
  readonly threshold: number;
  readonly parties: number;
}

export interface Reveal {
  readonly opening: Opening;
  /** Round-1 digests as the sender received them, in index order. */
  readonly echo: readonly Uint8Array[];
  readonly receiver: PartyIndex;
  /** SECRET: the sender's polynomial at the receiver's index, an encoded scalar. */
  readonly share: Uint8Array;
}

/** Throws Abort('malformed_message') naming the sender unless the body is one digest. */
export function checkCommit(from: PartyIndex, body: Uint8Array): void {
  if (body.length !== DIGEST_LENGTH) throw malformed(from, `commit body of ${body.length} bytes`);
}

export function encodeReveal(shape: Shape, { opening, echo, receiver, share }: Reveal): Uint8Array {
  const { commitments, proof, chainCode, salt } = opening;
  const count = uint16(commitments.length / shape.group.pointLength);
  const echoed = [uint16(echo.length), ...echo];
  return concatBytes(count, commitments, proof, chainCode, salt, ...echoed, uint16(receiver), share);
}

/**
 * Throws Abort naming the sender: commitment_count when the vector has not exactly `threshold` points (a longer one
 * would raise the threshold behind everybody's back), malformed_message for any other wrong length.
 */
export function checkReveal(shape: Shape, from: PartyIndex, body: Uint8Array): void {
  if (body.length < 2) throw malformed(from, `reveal body of ${body.length} bytes`);
  const count = uint16At(body, 0);
  if (count !== shape.threshold)
    throw new Abort(
      'commitment_count',
      `party ${from} sent ${count} commitments, expected ${shape.threshold}`,
      {
        culprit: from,
      },
    );
  const expected = receiverOffset(shape) + 2 + shape.group.scalarLength;
  if (body.length !== expected)
    throw malformed(from, `reveal body of ${body.length} bytes, expected ${expected}`);
  const echoed = uint16At(body, echoOffset(shape));
  if (echoed !== shape.parties)
    throw malformed(from, `reveal with ${echoed} digests, expected ${shape.parties}`);
}

/**
 * Throws Abort('wrong_receiver') unless a body that passed `checkReveal` is addressed to `self`. It names nobody: to its
 * true receiver it may have been sent in all honesty.
 */
export function checkReceiver(shape: Shape, from: PartyIndex, body: Uint8Array, self: PartyIndex): void {
  const receiver = uint16At(body, receiverOffset(shape));
  if (receiver !== self)
    throw new Abort('wrong_receiver', `a reveal of party ${from} for party ${receiver}, not for ${self}`);
}

/** Views into a body that passed `checkReveal`, but the opening, which is copied. */
export function decodeReveal(shape: Shape, body: Uint8Array): Reveal {
  let offset = 2;
  const take = (length: number): Uint8Array => body.subarray(offset, (offset += length));
  const opening = {
    commitments: take(shape.threshold * shape.group.pointLength).slice(),
    proof: take(proofLength(shape.group)).slice(),
    chainCode: take(DIGEST_LENGTH).slice(),
    salt: take(DIGEST_LENGTH).slice(),
  };
  offset += 2;
  const echo = Array.from({ length: shape.parties }, () => take(DIGEST_LENGTH));
  const receiver = uint16At(body, offset);
  offset += 2;
  return { opening, echo, receiver, share: take(shape.group.scalarLength) };
}

function uint16At(body: Uint8Array, offset: number): number {
  return new DataView(body.buffer, body.byteOffset, body.byteLength).getUint16(offset);
}

function echoOffset({ group, threshold }: Shape): number {
  return 2 + threshold * group.pointLength + proofLength(group) + 2 * DIGEST_LENGTH;
}

function receiverOffset(shape: Shape): number {
  return echoOffset(shape) + 2 + shape.parties * DIGEST_LENGTH;
}

function malformed(from: PartyIndex, what: string): Abort {
  return new Abort('malformed_message', `${what} from party ${from}`, { culprit: from });
}
