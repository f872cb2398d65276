// Fresh values from the injected source, with its answer's length checked: a short read must never become a key.
import { Abort } from './abort.ts';
import type { Group } from './group.ts';
import type { RandomBytes } from './machine.ts';

/** `length` fresh bytes. Throws Abort('internal') when the source returns another length. */
export function freshBytes(random: RandomBytes, length: number): Uint8Array {
  const bytes = random(length);
  if (!(bytes instanceof Uint8Array) || bytes.length !== length)
    throw new Abort('internal', `the source of randomness did not return ${length} bytes`);
  return bytes;
}

/** Uniform in 1..order-1: 64 bytes reduced (RFC 9591 appendix D, wide reduction). */
export function randomScalar(group: Group, random: RandomBytes): bigint {
  for (;;) {
    const bytes = freshBytes(random, 64);
    const scalar = group.reduceScalar(bytes);
    bytes.fill(0);
    if (scalar !== 0n) return scalar;
  }
}
