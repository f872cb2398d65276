// Base transfers: endemic oblivious transfer from Diffie-Hellman (Masny and Rindal, ePrint 2019/706), 128 at
// once, the seeds of all later extensions in one direction. For transfer i, receiver with bit b, H to the curve:
//
//   receiver   r_(1-b) a uniform point,  r_b = t G - H(osid, b, i, r_(1-b));  sends r_0 || r_1
//   sender     y_0, y_1 fresh,  Y_c = y_c G;  sends Y_0 || Y_1
//   keys       m_c = KDF(osid, c, i, Y_c, r_0, r_1, x(y_c (r_c + H(osid, c, i, r_(1-c)))))
//   receiver   m_b with x(t Y_b)
//
// H is RFC 9380's secp256k1_XMD:SHA-256_SSWU_RO_: nobody knows a discrete logarithm of its output, so nobody knows one of
// both r_c + H(...). A hash that multiplies the generator by a number would give the receiver both keys.
//
// Secret multiples are the native ECDH's, which gives the x coordinate that is needed here, in a third of the time.
import { createECDH, type ECDH } from 'node:crypto';
import type { WeierstrassPoint } from '@noble/curves/abstract/weierstrass.js';
import { secp256k1, secp256k1_hasher } from '@noble/curves/secp256k1.js';
import { Abort } from '../abort.ts';
import { secp256k1Group as group } from '../group.ts';
import { taggedHash, uint16 } from '../hash.ts';
import type { PartyIndex, RandomBytes } from '../machine.ts';
import { freshBytes, randomScalar } from '../random.ts';
import { bitAt } from './bits.ts';
import { BASE_KEY_LENGTH, BASE_TRANSFERS } from './parameters.ts';
import { preimage } from './xof.ts';

type Point = WeierstrassPoint<bigint>;

/** SEC 1 uncompressed, 04 || x || y: twice the bytes, and no square root for each of 512 points that are read. */
const POINT_LENGTH = 65;
const PAIR_LENGTH = 2 * POINT_LENGTH;

/** Bytes of the receiver's and of the sender's message: 128 pairs of points. */
export const BASE_MESSAGE_LENGTH = BASE_TRANSFERS * PAIR_LENGTH;

/** RFC 9380 section 3.1: distinct from every other use of the suite. */
const curveTag = 'countersign/v1/dkls23/base-point/secp256k1_XMD:SHA-256_SSWU_RO_';

/** H(osid, c, i, other): a point whose discrete logarithm nobody knows. */
export function hashToPoint(osid: Uint8Array, bit: number, transfer: number, other: Uint8Array): Point {
  const message = preimage(
    'countersign/v1/dkls23/base-point',
    osid,
    Uint8Array.of(bit),
    uint16(transfer),
    other,
  );
  return secp256k1_hasher.hashToCurve(message, { DST: curveTag }) as unknown as Point;
}

/** m_c. `pair` is r_0 || r_1. */
function deriveKey(
  osid: Uint8Array,
  bit: number,
  transfer: number,
  senderPoint: Uint8Array,
  pair: Uint8Array,
  shared: Uint8Array,
): Uint8Array {
  const statement = [osid, Uint8Array.of(bit), uint16(transfer), senderPoint] as const;
  const halves = [pair.subarray(0, POINT_LENGTH), pair.subarray(POINT_LENGTH)] as const;
  const key = taggedHash('countersign/v1/dkls23/base-key', ...statement, ...halves, shared);
  shared.fill(0);
  return key;
}

/** A fresh secret scalar inside the native library, which computes its public point with it. */
function freshScalar(random: RandomBytes): ECDH {
  const secret = group.encodeScalar(randomScalar(group, random));
  const scalar = createECDH('secp256k1');
  scalar.setPrivateKey(secret);
  secret.fill(0);
  return scalar;
}

/** A uniform point: of random x coordinates the first that is on the curve, and a random sign. */
function uniformPoint(random: RandomBytes): Uint8Array {
  for (;;) {
    const compressed = freshBytes(random, group.pointLength);
    compressed[0] = 2 + (compressed[0]! & 1);
    try {
      return secp256k1.Point.fromBytes(compressed).toBytes(false);
    } catch {
      // Half of all x coordinates.
    }
  }
}

/** A point that `from` sent. Throws Abort('malformed_point'): not 04 || x || y, x or y not below p, not on the curve. */
function decodePoint(bytes: Uint8Array, from: PartyIndex, transfer: number): Point {
  try {
    return secp256k1.Point.fromBytes(bytes);
  } catch (cause) {
    throw new Abort(
      'malformed_point',
      `base transfer ${transfer} of party ${from} holds no point of the curve`,
      {
        culprit: from,
        cause,
      },
    );
  }
}

/** `bit` ? one : zero, without a branch. */
function choose(bit: number, zero: Uint8Array, one: Uint8Array): Uint8Array {
  return zero.map((byte, at) => byte ^ ((byte ^ one[at]!) & -bit));
}

const pairAt = (message: Uint8Array, transfer: number): Uint8Array =>
  message.subarray(transfer * PAIR_LENGTH, (transfer + 1) * PAIR_LENGTH);

/** The receiver of 128 base transfers, between its message and the sender's. */
export class BaseReceiver {
  /** BASE_MESSAGE_LENGTH bytes for the sender: r_0 || r_1 of each transfer. */
  readonly message = new Uint8Array(BASE_MESSAGE_LENGTH);
  /** SECRET. 128 keys of 32 bytes, filled in by `finish`. */
  readonly keys = new Uint8Array(BASE_TRANSFERS * BASE_KEY_LENGTH);
  readonly #osid: Uint8Array;
  readonly #bits: Uint8Array;
  readonly #scalars: ECDH[] = [];

  /** `osid`: 32 bytes; `bits`: 16 bytes, the choices, SECRET. */
  constructor(osid: Uint8Array, bits: Uint8Array) {
    this.#osid = osid;
    this.#bits = bits.slice();
  }

  /** Computes `message`, one transfer a slice. */
  *begin(random: RandomBytes): Generator<undefined, void, undefined> {
    for (let transfer = 0; transfer < BASE_TRANSFERS; transfer++) {
      const bit = bitAt(this.#bits, transfer);
      const other = uniformPoint(random);
      const mask = hashToPoint(this.#osid, bit, transfer, other);
      const scalar = freshScalar(random);
      const own = secp256k1.Point.fromBytes(scalar.getPublicKey()).subtract(mask);
      const chosen = own.toBytes(false);
      const pair = pairAt(this.message, transfer);
      pair.set(choose(bit, chosen, other));
      pair.set(choose(bit, other, chosen), POINT_LENGTH);
      this.#scalars.push(scalar);
      yield;
    }
  }

  /**
   * Computes `keys` from the sender's message, BASE_MESSAGE_LENGTH bytes. Throws Abort('malformed_point') naming the sender.
   */
  *finish(message: Uint8Array, from: PartyIndex): Generator<undefined, void, undefined> {
    for (const [transfer, scalar] of this.#scalars.entries()) {
      const bit = bitAt(this.#bits, transfer);
      const offered = pairAt(message, transfer);
      const halves = [offered.subarray(0, POINT_LENGTH), offered.subarray(POINT_LENGTH)] as const;
      // Both are checked, whichever is used: what is refused does not depend on the choice.
      for (const half of halves) decodePoint(half, from, transfer);
      const point = choose(bit, ...halves);
      const shared = scalar.computeSecret(point);
      const key = deriveKey(this.#osid, bit, transfer, point, pairAt(this.message, transfer), shared);
      this.keys.set(key, transfer * BASE_KEY_LENGTH);
      key.fill(0);
      yield;
    }
    this.#scalars.length = 0;
  }

  /** Overwrites what is secret. The native scalars are the collector's. */
  erase(): void {
    this.#bits.fill(0);
    this.keys.fill(0);
    this.#scalars.length = 0;
  }
}

/** What the sender of 128 base transfers sends and keeps. */
export interface BaseSent {
  /** BASE_MESSAGE_LENGTH bytes for the receiver: Y_0 || Y_1 of each transfer. */
  readonly message: Uint8Array;
  /** SECRET. 128 times m_0 || m_1, 32 bytes each. */
  readonly keyPairs: Uint8Array;
}

/**
 * The sender's side, one transfer a slice. `choices` is the receiver's message, BASE_MESSAGE_LENGTH bytes. Throws
 * Abort('malformed_point') naming the receiver, also when a point cancels its mask.
 */
export function* answerBaseTransfers(
  osid: Uint8Array,
  choices: Uint8Array,
  from: PartyIndex,
  random: RandomBytes,
): Generator<undefined, BaseSent, undefined> {
  const message = new Uint8Array(BASE_MESSAGE_LENGTH);
  const keyPairs = new Uint8Array(BASE_TRANSFERS * 2 * BASE_KEY_LENGTH);
  let done = false;
  try {
    for (let transfer = 0; transfer < BASE_TRANSFERS; transfer++) {
      answerOne({ osid, transfer, pair: pairAt(choices, transfer), from, random }, message, keyPairs);
      yield;
    }
    done = true;
    return { message, keyPairs };
  } finally {
    if (!done) keyPairs.fill(0);
  }
}

interface Asked {
  readonly osid: Uint8Array;
  readonly transfer: number;
  /** r_0 || r_1. */
  readonly pair: Uint8Array;
  readonly from: PartyIndex;
  readonly random: RandomBytes;
}

/** Writes Y_0, Y_1 and m_0, m_1 of one transfer in their places. */
function answerOne(
  { osid, transfer, pair, from, random }: Asked,
  message: Uint8Array,
  keyPairs: Uint8Array,
): void {
  const halves = [pair.subarray(0, POINT_LENGTH), pair.subarray(POINT_LENGTH)] as const;
  const points = halves.map((half) => decodePoint(half, from, transfer));
  for (const bit of [0, 1] as const) {
    const mask = hashToPoint(osid, bit, transfer, halves[1 - bit]!);
    const masked = points[bit]!.add(mask);
    if (masked.is0())
      throw new Abort('malformed_point', `base transfer ${transfer} of party ${from} cancels its mask`, {
        culprit: from,
      });
    const scalar = freshScalar(random);
    const own = scalar.getPublicKey();
    const shared = scalar.computeSecret(masked.toBytes(false));
    const at = 2 * transfer + bit;
    message.set(own, at * POINT_LENGTH);
    const key = deriveKey(osid, bit, transfer, own, pair, shared);
    keyPairs.set(key, at * BASE_KEY_LENGTH);
    key.fill(0);
  }
}
