// The keys that FROST signs with, each with what a test needs to attack signing under it: real keys, messages of a length
// that every verifier takes, a verifier that is not the one of the code under test, and bytes that are no points.
import { verify } from 'node:crypto';
import { ed25519, ED25519_TORSION_SUBGROUP } from '@noble/curves/ed25519.js';
import { concatBytes } from '@noble/hashes/utils.js';
import { verifySchnorr } from 'tiny-secp256k1';
import type { KeyShare } from '../../node/mpc/dkg/key-share.ts';
import type { Group, KeyType } from '../../node/mpc/group.ts';
import { ed25519Group, secp256k1Group } from '../../node/mpc/group.ts';
import type { PartyIndex } from '../../node/mpc/machine.ts';
import { outputKeyOf, tapTweak } from '../../protocol/keys/taproot.ts';
import { seedOf } from './fixture.ts';
import {
  generate,
  type Item,
  nativeKey,
  otherShares23,
  shares23,
  shares35,
  text,
} from './signing-attempts.ts';

type Shares = ReadonlyMap<PartyIndex, KeyShare>;

export interface SigningScheme {
  readonly name: string;
  readonly keyType: KeyType;
  readonly group: Group;
  /** Keys of 2 of 3, another of 2 of 3, and of 3 of 5. */
  readonly shares23: Shares;
  readonly otherShares23: Shares;
  readonly shares35: Shares;
  /** What a key of these shares is tweaked with to sign. */
  tweakOf(shares: Shares): Uint8Array | undefined;
  /** The message that these words stand for. */
  message(words: string): Uint8Array;
  /** Whether an implementation apart from the code's accepts a signature. */
  accepts(shares: Shares, message: Uint8Array, signature: Uint8Array): boolean;
  /** Bytes of a point's length that are none a party may send, and why. */
  readonly badPoints: readonly (readonly [string, Uint8Array])[];
}

/** An item to sign with a scheme's way of signing. */
export function itemOf(scheme: SigningScheme, shares: Shares, words: string): Item {
  const tweak = scheme.tweakOf(shares);
  return { shares, message: scheme.message(words), ...(tweak && { tweak }) };
}

/** `value`, which need not be below the order, as a scalar would be encoded: 32 bytes. */
export function encodeAny(group: Group, value: bigint): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(value.toString(16).padStart(64, '0'), 'hex'));
  return group.encodeScalar(1n)[0] === 1 ? bytes.toReversed() : bytes;
}

/** A number that is `scalar` modulo the order, where 32 bytes can hold one, or else 0 modulo the order, and not below it. */
export function aboveOrder({ order }: Group, scalar: bigint): bigint {
  return scalar + order < 1n << 256n ? scalar + order : order;
}

const torsion = ed25519.Point.fromHex(ED25519_TORSION_SUBGROUP[1]!);

const edwards: SigningScheme = {
  name: 'ed25519',
  keyType: 'ed25519',
  group: ed25519Group,
  shares23,
  otherShares23,
  shares35,
  tweakOf: () => undefined,
  message: text,
  accepts: (shares, message, signature) =>
    verify(null, message, nativeKey(shares.get(1)!.publicKey), signature),
  badPoints: [
    ['B + T8', ed25519.Point.BASE.add(torsion).toBytes()],
    ['T8', torsion.toBytes()],
    ['the identity', ed25519.Point.ZERO.toBytes()],
    ['no point at all', new Uint8Array(32).fill(2)],
    ['an encoding above the field', new Uint8Array(32).fill(0xff)],
  ],
};

const x = secp256k1Group.encodePoint(secp256k1Group.multiplyBase(1n)).slice(1);
const prefixed = (prefix: number, rest: Uint8Array): Uint8Array => concatBytes(Uint8Array.of(prefix), rest);
/** 5 is the least x above 0 that no point of secp256k1 has. */
const five = Uint8Array.from({ length: 32 }, (_, at) => (at === 31 ? 5 : 0));
const generated = {
  shares23: generate(3, 2, 'two of three', 'taproot_secp256k1'),
  otherShares23: generate(3, 2, 'another key', 'taproot_secp256k1'),
  shares35: generate(5, 3, 'three of five', 'taproot_secp256k1'),
};
const internalKeyOf = (shares: Shares): Uint8Array => shares.get(1)!.publicKey.slice(1);

const taproot: SigningScheme = {
  name: 'taproot_secp256k1',
  keyType: 'taproot_secp256k1',
  group: secp256k1Group,
  ...generated,
  tweakOf: () => undefined,
  // Bitcoin signs 32 bytes, and the second library verifies no others.
  message: (words) => seedOf(words),
  accepts: (shares, message, signature) => verifySchnorr(message, internalKeyOf(shares), signature),
  badPoints: [
    ['an x that no point has', prefixed(2, five)],
    ['the identity', new Uint8Array(33)],
    ['an x above the field', prefixed(3, new Uint8Array(32).fill(0xff))],
    ['a sign that is none', prefixed(1, x)],
    ['a point cut out of an uncompressed one', prefixed(4, x)],
    ['a point of hybrid form', prefixed(6, x)],
  ],
};

const spending: SigningScheme = {
  ...taproot,
  name: 'taproot_secp256k1, tweaked',
  tweakOf: (shares) => tapTweak(internalKeyOf(shares)),
  accepts: (shares, message, signature) =>
    verifySchnorr(message, outputKeyOf(internalKeyOf(shares)), signature),
};

export const schemes: readonly SigningScheme[] = [edwards, taproot, spending];
