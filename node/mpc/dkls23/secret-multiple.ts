// Whether T = s P for a secret s and points that a counterparty chose, by OpenSSL's constant-time ladder.
//
// ECDH gives x(s P) only, which is also that of -s P: a cheat that used -k for k would pass. So a second multiple is
// compared: x(s P) = x(T) leaves T = s P or T = -s P; in the latter case x((s + 1) P) = x(T + P) would mean
// (s + 1) P = (1 - s) P or (s + 1) P = (s - 1) P, that is s = 0 or P = 0, and neither is let in.
import { createECDH } from 'node:crypto';
import { equalBytes } from '@noble/curves/utils.js';
import type { Element } from '../group.ts';
import { secp256k1Group as group } from '../group.ts';

/** `point` is not the identity. Takes the same time for every scalar but 0 and -1, which no honest run ever has. */
export function isSecretMultiple(scalar: bigint, point: Element, target: Element): boolean {
  const next = group.mod(scalar + 1n);
  if (scalar === 0n || next === 0n) return point.multiplyUnsafe(scalar).equals(target);
  const beyond = target.add(point);
  if (target.is0() || beyond.is0()) return false;
  const encoded = group.encodePoint(point);
  const first = isOneOf(scalar, encoded, target);
  return isOneOf(next, encoded, beyond) && first;
}

/** Whether scalar * point is target or -target. */
function isOneOf(scalar: bigint, point: Uint8Array, target: Element): boolean {
  const ladder = createECDH('secp256k1');
  const secret = group.encodeScalar(scalar);
  ladder.setPrivateKey(secret);
  secret.fill(0);
  const x = ladder.computeSecret(point);
  const same = equalBytes(Uint8Array.from(x), group.encodePoint(target).subarray(1));
  x.fill(0);
  return same;
}
