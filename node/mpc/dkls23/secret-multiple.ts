// Whether T = s P for a secret s and points that a counterparty chose, by OpenSSL's constant-time ladder.
//
// ECDH gives x(s P) only, which is also that of -s P: a cheat that used -k for k would pass. So a second multiple is
// compared: x(s P) = x(T) leaves T = s P or T = -s P; in the latter case x((s + 1) P) = x(T + P) would mean
// (s + 1) P = (1 - s) P or (s + 1) P = (s - 1) P, that is s = 0 or P = 0, and neither is let in.
import { createECDH, type ECDH } from 'node:crypto';
import { equalBytes } from '@noble/curves/utils.js';
import type { Element } from '../group.ts';
import { secp256k1Group as group } from '../group.ts';

/** A secret scalar that points are compared by. */
export class SecretMultiple {
  readonly #scalar: bigint;
  /** Of the scalar, and of the scalar plus 1. None for 0 and -1, which no honest run ever has. */
  readonly #ladders: readonly [ECDH, ECDH] | undefined;

  constructor(scalar: bigint) {
    const next = group.mod(scalar + 1n);
    this.#scalar = scalar;
    this.#ladders = scalar === 0n || next === 0n ? undefined : [ladderOf(scalar), ladderOf(next)];
  }

  /** Whether `target` is scalar * `point`, which is not the identity. */
  relates(point: Element, target: Element): boolean {
    if (this.#ladders === undefined) return point.multiplyUnsafe(this.#scalar).equals(target);
    const beyond = target.add(point);
    if (target.is0() || beyond.is0()) return false;
    const [ladder, next] = this.#ladders;
    const encoded = group.encodePoint(point);
    const first = hasX(ladder, encoded, target);
    return hasX(next, encoded, beyond) && first;
  }
}

function ladderOf(scalar: bigint): ECDH {
  const ladder = createECDH('secp256k1');
  const secret = group.encodeScalar(scalar);
  ladder.setPrivateKey(secret);
  secret.fill(0);
  return ladder;
}

/** Whether the ladder's multiple of `point` is target or -target. */
function hasX(ladder: ECDH, point: Uint8Array, target: Element): boolean {
  const x = ladder.computeSecret(point);
  const same = equalBytes(Uint8Array.from(x), group.encodePoint(target).subarray(1));
  x.fill(0);
  return same;
}
