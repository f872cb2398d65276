// Derived keys: a child's public key, chain code and commitment vector from those of a generated key, its parent, and a
// path. There is no secret in it, so nodes, coordinator, clients and auditors all compute it for themselves.
//
//   secp256k1   BIP32, public derivation (CKDpub), non-hardened, level by level, on the raw 33-byte first commitment:
//               a Taproot key is made even, and tweaked, after it was derived.
//   ed25519     one step for the whole path: eps = SHA-512(tag, public key, chain code, path) mod L. BIP32's counterpart
//               on this curve (SLIP-0010) knows hardened children only, which no holder of a share can compute.
//
// In both, child = parent + eps * G: adding eps to every share of the parent gives shares of the child, and adding eps * G
// to the constant term of its commitment vector gives the child's vector.
import { ed25519 } from '@noble/curves/ed25519.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import {
  bytesToNumberBE,
  bytesToNumberLE,
  concatBytes,
  numberToBytesBE,
  numberToBytesLE,
} from '@noble/curves/utils.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import * as z from 'zod';
import { fromHex, type Hex, toHex } from '../hex.ts';
import { lengthPrefixed } from '../records/envelope.ts';
import type { KeyResult } from '../records/party-result.ts';
import { type KeyType, keyTypes } from './key-type.ts';

export type DerivationErrorCode = 'malformed_path' | 'degenerate_child'; // the path leads to no key, or back to its parent: probability 2^-127

export class DerivationError extends Error {
  override readonly name = 'DerivationError';
  readonly code: DerivationErrorCode;
  constructor(code: DerivationErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Most levels of a path. */
export const maxPathDepth = 10;
/** Indices from here on are BIP32's hardened ones, which need the private key. */
const hardened = 2 ** 31;

/** Why a text is no path; undefined when it is one. */
function pathFault(text: string): string | undefined {
  const [root, ...levels] = text.split('/');
  if (root !== 'm') return 'a path begins with m, like m/0/7';
  if (levels.length === 0) return 'a path has at least one index, like m/0';
  if (levels.length > maxPathDepth) return `a path has at most ${maxPathDepth} indices`;
  for (const level of levels) {
    if (/^[0-9]+['hH]$/.test(level))
      return `${level} is a hardened index: no party holds the private key that it needs`;
    if (!/^(0|[1-9][0-9]{0,9})$/.test(level))
      return 'an index is a whole number without leading zeros, like m/0/7';
    if (Number(level) >= hardened) return `${level} is not below 2147483648: only hardened indices are`;
  }
  return undefined;
}

/** `m/0/7`: 1 to 10 non-hardened indices, each 0 to 2^31-1, in their one spelling. */
export const derivationPathSchema = z
  .string()
  .max(2 + maxPathDepth * 11)
  .superRefine((text, context) => {
    const fault = pathFault(text);
    if (fault !== undefined) context.addIssue({ code: 'custom', message: fault });
  });

/** The indices of a path. Throws DerivationError `malformed_path`. */
export function indicesOf(path: string): number[] {
  const fault = pathFault(path);
  if (fault !== undefined) throw new DerivationError('malformed_path', fault);
  return path.split('/').slice(1).map(Number);
}

/** The part of a noble curve that is used here. */
interface Curve {
  readonly Point: {
    fromBytes(bytes: Uint8Array): CurvePoint;
    readonly BASE: CurvePoint;
    readonly Fn: { readonly ORDER: bigint; create(value: bigint): bigint };
  };
}
interface CurvePoint {
  add(other: CurvePoint): CurvePoint;
  multiplyUnsafe(scalar: bigint): CurvePoint;
  is0(): boolean;
  toBytes(): Uint8Array;
}

function curveOf(keyType: KeyType): Curve {
  return keyType === 'ed25519' ? (ed25519 as unknown as Curve) : (secp256k1 as unknown as Curve);
}

/**
 * point + offset * G, encoded. `point`: an encoded point of the type's curve. Throws DerivationError `degenerate_child`
 * unless 0 < offset < order and the sum is a point other than the identity.
 */
export function offsetPoint(keyType: KeyType, point: Uint8Array, offset: bigint): Uint8Array {
  const { Point } = curveOf(keyType);
  if (offset <= 0n || offset >= Point.Fn.ORDER)
    throw new DerivationError('degenerate_child', 'this path leads to no key of its own: choose another one');
  const child = Point.fromBytes(point).add(Point.BASE.multiplyUnsafe(offset));
  if (child.is0())
    throw new DerivationError('degenerate_child', 'this path leads to the identity: choose another one');
  return child.toBytes();
}

/** What a path adds to a key. */
export interface Derivation {
  /** eps, 32 bytes, encoded as scalars of the curve are: little endian for ed25519, big endian for secp256k1. */
  readonly offset: Uint8Array;
  /** The child's first commitment: an encoded point. */
  readonly point: Uint8Array;
  /** The child's, 32 bytes. */
  readonly chainCode: Uint8Array;
}

/**
 * `point`: the parent's first commitment, of the type's point length. `chainCode`: the parent's, 32 bytes. Throws
 * DerivationError; the library's Error when `point` is none.
 */
export function derive(keyType: KeyType, point: Uint8Array, chainCode: Uint8Array, path: string): Derivation {
  const indices = indicesOf(path);
  return keyType === 'ed25519'
    ? deriveEd25519(point, chainCode, path)
    : deriveSecp256k1(keyType, point, chainCode, indices);
}

/** BIP32, "Public parent key -> public child key", once for each index. */
function deriveSecp256k1(
  keyType: KeyType,
  point: Uint8Array,
  chainCode: Uint8Array,
  indices: readonly number[],
): Derivation {
  const { Fn } = secp256k1.Point;
  let sum = 0n;
  let child = point;
  let code = chainCode;
  for (const index of indices) {
    const digest = hmac(sha512, code, concatBytes(child, numberToBytesBE(index, 4)));
    const offset = bytesToNumberBE(digest.subarray(0, 32));
    child = offsetPoint(keyType, child, offset);
    code = digest.slice(32);
    sum = Fn.create(sum + offset);
  }
  if (sum === 0n)
    throw new DerivationError('degenerate_child', 'this path leads back to its parent: choose another one');
  return { offset: numberToBytesBE(sum, 32), point: child, chainCode: code };
}

const tag = (name: string): Uint8Array => utf8ToBytes(`countersign/v1/derive/${name}`);

function deriveEd25519(point: Uint8Array, chainCode: Uint8Array, path: string): Derivation {
  const parts = [point, chainCode, utf8ToBytes(path)];
  const digest = sha512(lengthPrefixed(tag('ed25519-offset'), ...parts));
  const offset = ed25519.Point.Fn.create(bytesToNumberLE(digest));
  return {
    offset: numberToBytesLE(offset, 32),
    point: offsetPoint('ed25519', point, offset),
    chainCode: sha256(lengthPrefixed(tag('ed25519-chain-code'), ...parts)),
  };
}

/** A generated key, as its certificate proves it. */
export interface ParentKey {
  readonly id: Hex;
  readonly result: KeyResult;
}

/**
 * The one key result that a derived key can have: every party's, since nothing in it is chosen. `parent` was proven.
 * Throws DerivationError.
 */
export function derivedResult(parent: ParentKey, path: string): { offset: Uint8Array; result: KeyResult } {
  const { keyType, commitments, chainCode, transcript } = parent.result;
  const [constant, ...higher] = commitments;
  const { offset, point, chainCode: code } = derive(keyType, fromHex(constant!), fromHex(chainCode), path);
  const parts = [fromHex(parent.id), fromHex(transcript), utf8ToBytes(path)];
  const result: KeyResult = {
    kind: 'key',
    keyType,
    publicKey: toHex(keyTypes[keyType].publicKeyOfPoint(point)),
    chainCode: toHex(code),
    commitments: [toHex(point), ...higher],
    transcript: toHex(sha256(lengthPrefixed(tag('transcript'), ...parts))),
  };
  return { offset, result };
}
