// Remembers what logs came to. The same log stands in every evidence of a workspace, and replaying one costs several
// signatures for each entry: without this, judging a request would be mostly replaying its workspace again.
import { sha256 } from '@noble/hashes/sha2.js';
import { toHex } from '../hex.ts';
import { type Envelope, lengthPrefixed } from './envelope.ts';

/** How many logs are remembered, and how many characters all of them together may have. */
const mostKnown = { logs: 64, characters: 64 * 1024 * 1024 };

/** A name of exactly these envelopes, signatures and all, on this network. */
function nameOf(log: readonly Envelope[], networkId: string): { name: string; characters: number } {
  const text = new TextEncoder();
  const hash = sha256.create();
  let characters = 0;
  for (const { type, bytes, signatures } of log) {
    const signed = JSON.stringify(signatures.map(({ credential, signature }) => [credential, signature]));
    hash.update(lengthPrefixed(...[type, bytes, signed].map((part) => text.encode(part))));
    characters += bytes.length + signed.length;
  }
  return { name: `${networkId} ${log.length} ${toHex(hash.digest())}`, characters };
}

/** What logs came to, each told by all of its bytes and signatures. The log itself is not kept. */
export class KnownLogs<Outcome extends object> {
  readonly #known = new Map<string, { readonly outcome: Outcome; readonly characters: number }>();
  readonly #most: { readonly logs: number; readonly characters: number };
  #characters = 0;

  constructor(most = mostKnown) {
    this.#most = most;
  }

  /** What this very log came to; else what `replay` says. What it throws is not remembered. */
  of(log: readonly Envelope[], networkId: string, replay: () => Outcome): Outcome {
    const { name, characters } = nameOf(log, networkId);
    const held = this.#known.get(name);
    // Put last again: those unused for longest are forgotten first.
    if (held !== undefined) this.#forget(name);
    const outcome = held?.outcome ?? replay();
    if (characters <= this.#most.characters) {
      this.#known.set(name, { outcome, characters });
      this.#characters += characters;
    }
    for (const [oldest] of this.#known) {
      if (this.#known.size <= this.#most.logs && this.#characters <= this.#most.characters) break;
      this.#forget(oldest);
    }
    return outcome;
  }

  get size(): number {
    return this.#known.size;
  }

  #forget(name: string): void {
    this.#characters -= this.#known.get(name)?.characters ?? 0;
    this.#known.delete(name);
  }
}
