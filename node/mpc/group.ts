// A group of prime order behind a small interface, so that key generation is written once for all curves.
//
// Decoding is where hostile bytes become numbers: exact length, canonical form, on the curve, not the identity and in
// the prime-order subgroup, or a GroupError. ed25519 has cofactor 8: without the subgroup check a point B + T of mixed
// order would pass every equation that is multiplied by 8 somewhere and fail the others.
// secp256k1 has cofactor 1: every point of the curve is in the group.
// Encodings: ed25519 RFC 8032 5.1.2 (points) and 5.1.3 (decoding, strict: no y >= p, no negative zero), scalars little
// endian; secp256k1 SEC 1 2.3.3 and 2.3.4 (compressed points only), scalars big endian.
import { ed25519 } from '@noble/curves/ed25519.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { bytesToNumberBE, bytesToNumberLE } from '@noble/curves/utils.js';

/** What a key is used for; a secret belongs to one key type for ever. */
export type KeyType = 'ed25519' | 'taproot_secp256k1' | 'ecdsa_secp256k1' | 'bitcoin_secp256k1';

export class GroupError extends Error {
  override readonly name = 'GroupError';
  readonly code: 'malformed_scalar' | 'malformed_point';

  constructor(code: GroupError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** An element of a prime-order group. `multiplyUnsafe` takes variable time: public scalars only. */
export interface Element {
  add(other: Element): Element;
  subtract(other: Element): Element;
  multiplyUnsafe(scalar: bigint): Element;
  equals(other: Element): boolean;
  is0(): boolean;
}

export interface Group {
  readonly name: string;
  /** The prime order of the group. */
  readonly order: bigint;
  /** Bytes of an encoded scalar. */
  readonly scalarLength: number;
  /** Bytes of an encoded point. */
  readonly pointLength: number;
  readonly identity: Element;
  /** Canonical bytes -> 0 <= scalar < order. Throws GroupError('malformed_scalar'). */
  decodeScalar(bytes: Uint8Array): bigint;
  /** 0 <= scalar < order -> `scalarLength` bytes. */
  encodeScalar(scalar: bigint): Uint8Array;
  /** Bytes of any length -> their number modulo the order; at least 128 bits longer than the order for no bias. */
  reduceScalar(bytes: Uint8Array): bigint;
  /** Any integer -> its residue modulo the order. */
  mod(value: bigint): bigint;
  /** Canonical bytes of an element that is not the identity. Throws GroupError('malformed_point'). */
  decodePoint(bytes: Uint8Array): Element;
  /** `pointLength` bytes. The identity has no encoding: throws GroupError('malformed_point'). */
  encodePoint(point: Element): Uint8Array;
  /** scalar * generator, for secret scalars; 0 gives the identity. */
  multiplyBase(scalar: bigint): Element;
  /** scalar * generator in variable time, for public scalars. */
  multiplyBaseUnsafe(scalar: bigint): Element;
}

/** The part of a noble point that is used here beyond `Element`. */
interface LibraryPoint extends Element {
  multiply(scalar: bigint): LibraryPoint;
  isTorsionFree(): boolean;
  toBytes(): Uint8Array;
}

interface LibraryCurve {
  readonly BASE: LibraryPoint;
  readonly ZERO: LibraryPoint;
  readonly Fn: {
    readonly ORDER: bigint;
    readonly BYTES: number;
    readonly isLE: boolean;
    fromBytes(bytes: Uint8Array): bigint;
    toBytes(scalar: bigint): Uint8Array;
    create(value: bigint): bigint;
  };
  fromBytes(bytes: Uint8Array): LibraryPoint;
}

function primeGroup(name: string, curve: LibraryCurve, pointLength: number): Group {
  const { Fn, BASE, ZERO } = curve;
  return {
    name,
    order: Fn.ORDER,
    scalarLength: Fn.BYTES,
    pointLength,
    identity: ZERO,
    decodeScalar(bytes) {
      if (bytes.length !== Fn.BYTES)
        throw new GroupError('malformed_scalar', `scalar of ${bytes.length} bytes, expected ${Fn.BYTES}`);
      try {
        return Fn.fromBytes(bytes);
      } catch {
        // The library's message may hold the value, which may be secret.
        throw new GroupError('malformed_scalar', 'scalar is not below the group order');
      }
    },
    encodeScalar: (scalar) => Fn.toBytes(scalar),
    reduceScalar: (bytes) => Fn.create(Fn.isLE ? bytesToNumberLE(bytes) : bytesToNumberBE(bytes)),
    mod: (value) => Fn.create(value),
    decodePoint(bytes) {
      if (bytes.length !== pointLength)
        throw new GroupError('malformed_point', `point of ${bytes.length} bytes, expected ${pointLength}`);
      let point: LibraryPoint;
      try {
        point = curve.fromBytes(bytes);
      } catch (cause) {
        throw new GroupError('malformed_point', `bytes encode no point of ${name}`, { cause });
      }
      if (point.is0()) throw new GroupError('malformed_point', 'point is the identity');
      if (!point.isTorsionFree())
        throw new GroupError('malformed_point', 'point is outside the prime-order subgroup');
      return point;
    },
    encodePoint(point) {
      if (point.is0()) throw new GroupError('malformed_point', 'the identity has no encoding');
      return (point as LibraryPoint).toBytes();
    },
    multiplyBase: (scalar) => (scalar === 0n ? ZERO : BASE.multiply(scalar)),
    multiplyBaseUnsafe: (scalar) => BASE.multiplyUnsafe(scalar),
  };
}

export const ed25519Group: Group = primeGroup('ed25519', ed25519.Point as unknown as LibraryCurve, 32);

export const secp256k1Group: Group = primeGroup('secp256k1', secp256k1.Point as unknown as LibraryCurve, 33);

const groups: Readonly<Record<KeyType, Group>> = {
  ed25519: ed25519Group,
  taproot_secp256k1: secp256k1Group,
  ecdsa_secp256k1: secp256k1Group,
  bitcoin_secp256k1: secp256k1Group,
};

/** The group that keys of this type live in. */
export function groupOf(keyType: KeyType): Group {
  return groups[keyType];
}
