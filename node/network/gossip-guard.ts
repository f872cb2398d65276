// What keeps one party's gossip from taking a node's time or memory. Gossipsub verifies a signature for whatever it is
// sent, forgets nothing for two minutes, and reads its streams without ever holding them back: so what a peer sends is
// counted before gossipsub sees it, and too much is dropped unread. Nothing is lost by that: see gossip.ts.
import type { Stream } from '@libp2p/interface';

/** Units a peer may use at once, and each second: about 0.2 ms of one processor, or 1 KiB held for a few seconds. */
const burst = 10_000;
const perSecond = 2_000;

/** A budget that fills at a fixed rate. */
export class Budget {
  #left = burst;
  #filledAt = performance.now();

  /** Whether there was enough for it; then it is used. */
  take(units: number): boolean {
    const now = performance.now();
    this.#left = Math.min(burst, this.#left + ((now - this.#filledAt) * perSecond) / 1000);
    this.#filledAt = now;
    if (this.#left < units) return false;
    this.#left -= units;
    return true;
  }
}

/** A decoded transmission of gossipsub, as far as its cost is seen from. */
export interface Transmission {
  readonly subscriptions?: readonly unknown[];
  readonly messages?: readonly { readonly data?: Uint8Array }[];
  readonly control?: Readonly<Record<string, unknown>> | undefined;
}

/** What gossipsub would spend on a transmission, in units. */
export function costOf({ subscriptions = [], messages = [], control = {} }: Transmission): number {
  const data = messages.reduce((sum, message) => sum + (message.data?.length ?? 0), 0);
  const asked = Object.values(control)
    .flatMap((entries) => (Array.isArray(entries) ? (entries as { messageIDs?: unknown[] }[]) : []))
    .reduce((sum, entry) => sum + 1 + (entry.messageIDs?.length ?? 0), 0);
  return 1 + subscriptions.length + messages.length + data / 1024 + asked;
}

/** Parts in which one transmission may arrive: each is held as an object of its own until the last one is here. */
const maxParts = 4096;

/** Aborts a stream of length-prefixed transmissions when one comes in too many parts. Never throws. */
export function guardParts(stream: Pick<Stream, 'addEventListener' | 'abort'>): void {
  let parts = 0;
  /** Bytes of the present transmission still to come; undefined while its length is being read. */
  let rest: number | undefined;
  let length = 0;
  let shift = 0;
  stream.addEventListener('message', (event) => {
    const bytes = event.data.subarray();
    parts += 1;
    for (let at = 0; at < bytes.length;) {
      if (rest === undefined) {
        const byte = bytes[at++]!;
        length += (byte & 0x7f) * 2 ** shift;
        shift += 7;
        // One beyond every limit is refused by whoever decodes it.
        if (byte < 0x80 || shift > 49) {
          rest = length;
          length = 0;
          shift = 0;
        }
      }
      if (rest !== undefined) {
        const taken = Math.min(rest, bytes.length - at);
        rest -= taken;
        at += taken;
        if (rest === 0) {
          rest = undefined;
          parts = at < bytes.length ? 1 : 0;
        }
      }
    }
    if (parts > maxParts) stream.abort(new Error(`a transmission in more than ${maxParts} parts`));
  });
}
