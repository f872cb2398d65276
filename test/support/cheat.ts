// What a cheating party sends instead of its messages: everything in its power, which is to sign anything with its own key.
import type { Signer } from '../../protocol/records/envelope.ts';
import { decodeFrame, encodeFrame, type Frame, type WireContext } from '../../node/sessions/wire.ts';
import type { Chance } from './chance.ts';

export interface CheatKnows {
  readonly chance: Chance;
  readonly signer: Signer;
  readonly wire: WireContext;
  readonly parties: readonly string[];
  readonly requests: readonly string[];
  /** Everything that anybody has sent. */
  readonly before: readonly { readonly bytes: Uint8Array }[];
}

/** The message itself, another one, a damaged one, nothing, or the same with another value in one place, signed anew. */
export function cheated(bytes: Uint8Array, knows: CheatKnows): Uint8Array | undefined {
  const { chance } = knows;
  const draw = chance.next();
  if (draw < 0.6) return bytes;
  if (draw < 0.65) return undefined;
  if (draw < 0.73) return chance.of(knows.before).bytes;
  if (draw < 0.78) return bytes.map((byte) => (chance.happens(0.02) ? chance.below(256) : byte));
  return altered(decodeFrame(bytes), knows);
}

function altered(frame: Frame, knows: CheatKnows): Uint8Array {
  const content = structuredClone(frame.content) as Record<string, unknown>;
  const field = knows.chance.of(Object.keys(content));
  content[field] = another(content[field], knows);
  return encodeFrame(frame.type, content as never, knows.wire, knows.signer);
}

function another(value: unknown, knows: CheatKnows): unknown {
  const { chance, parties, requests } = knows;
  if (value instanceof Uint8Array) {
    const place = chance.below(value.length);
    return value.map((byte, at) => (at === place ? byte ^ (1 << chance.below(8)) : byte));
  }
  if (Array.isArray(value)) {
    if (value.length === 0 || chance.happens(0.3)) return [...value, ...value.slice(0, 1)];
    const place = chance.below(value.length);
    return value.map((each: unknown, at) => (at === place ? another(each, knows) : each));
  }
  if (typeof value === 'number') return value + 1;
  if (typeof value === 'boolean') return !value;
  if (typeof value === 'string' && parties.includes(value)) return chance.of(parties);
  if (typeof value === 'string' && requests.includes(value)) return chance.of(requests);
  return value;
}
