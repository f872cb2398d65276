// Remembers which public keys and points passed their check. The same few stand in every evidence, and checking one costs
// as much as ten signatures: without this, judging a request would be mostly checking keys again.
import { toHex } from '../hex.ts';
import { checkPublicKey } from './ed25519.ts';

const passed = new Set<string>();
const maxPassed = 10_000;

/**
 * Runs `check` on these bytes once: only what passed is remembered, by its exact bytes and by what it passed as.
 *
 * @throws whatever `check` throws
 */
export function checkOnce(as: string, bytes: Uint8Array, check: (bytes: Uint8Array) => void): void {
  const name = `${as} ${toHex(bytes)}`;
  if (passed.has(name)) return;
  check(bytes);
  if (passed.size >= maxPassed) passed.delete(passed.keys().next().value!);
  passed.add(name);
}

/**
 * As `checkPublicKey` of ed25519.ts, once for each key.
 *
 * @throws {Ed25519KeyError} naming what is wrong with the key
 */
export function checkPublicKeyOnce(publicKey: Uint8Array): void {
  checkOnce('ed25519', publicKey, checkPublicKey);
}
