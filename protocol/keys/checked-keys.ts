// Remembers which public keys passed their check. The same few keys stand in every evidence, and checking one costs as
// much as ten signatures: without this, judging a request would be mostly checking keys again.
import { toHex } from '../hex.ts';
import { checkPublicKey } from './ed25519.ts';

const passed = new Set<string>();
const maxPassed = 10_000;

/**
 * As `checkPublicKey` of ed25519.ts, once for each key: only keys that passed are remembered, by their exact bytes.
 *
 * @throws {Ed25519KeyError} naming what is wrong with the key
 */
export function checkPublicKeyOnce(publicKey: Uint8Array): void {
  const name = toHex(publicKey);
  if (passed.has(name)) return;
  checkPublicKey(publicKey);
  if (passed.size >= maxPassed) passed.delete(passed.keys().next().value!);
  passed.add(name);
}
