// What a hostile party may send on its stream instead of frames, each with one thing wrong.
import { encode } from 'cborg';
import { encodeFrame, type HelloFrame } from '../../node/network/frames.ts';
import { brokenMap, type Choices, type Plain } from './frame-garbage.ts';

export interface StreamGarbage {
  readonly name: string;
  /** Sent one after the other. */
  readonly parts: readonly Uint8Array[];
  /** Never complete: the stream ends at a deadline, not at once. */
  readonly held?: boolean;
  /** The sender closes its side after it. */
  readonly shut?: boolean;
}

const prefixed = (body: Uint8Array, length = body.length): Uint8Array => {
  const bytes = new Uint8Array(4 + body.length);
  new DataView(bytes.buffer).setUint32(0, length);
  bytes.set(body, 4);
  return bytes;
};

/** Something wrong for one new stream of a party that should begin with `hello`: the node must end the stream. */
export function streamGarbage(choices: Choices, hello: HelloFrame): StreamGarbage {
  const greeting = encodeFrame(hello);
  const fields = hello as unknown as Record<string, Plain>;
  const other = (changes: Partial<HelloFrame>): Uint8Array => encodeFrame({ ...hello, ...changes });
  const data = (sequence: number): Uint8Array =>
    prefixed(encode({ type: 'data', sequence, bytes: choices.someBytes(300) }));
  const good: Record<string, Plain>[] = [
    { type: 'data', sequence: 1, bytes: choices.bytes(20) },
    { type: 'ack', sequence: 1 },
  ];
  const kinds: (() => StreamGarbage)[] = [
    () => ({ name: 'random', parts: [new Uint8Array([0xff, 0, 0, 0]), choices.someBytes()] }),
    () => ({ name: 'an empty frame', parts: [prefixed(new Uint8Array(0))] }),
    () => ({
      name: 'oversized',
      parts: [prefixed(new Uint8Array(0), 2 ** 20 + 1 + choices.below(2 ** 31))],
    }),
    () => ({ name: 'a broken HELLO', parts: [prefixed(brokenMap(choices, fields))] }),
    () => ({ name: 'no HELLO', parts: [prefixed(encode(choices.pick(good)))] }),
    () => ({ name: 'two HELLOs', parts: [greeting, greeting] }),
    () => ({ name: 'wrong epoch', parts: [other({ epoch: choices.hex(2) })] }),
    () => ({ name: 'wrong network', parts: [other({ networkId: choices.hex(8) })] }),
    () => ({ name: 'wrong keyring', parts: [other({ keyringId: choices.hex(32) })] }),
    () => ({ name: 'wrong version', parts: [other({ version: 2 + choices.below(2 ** 30) })] }),
    () => ({ name: 'a broken frame', parts: [greeting, prefixed(brokenMap(choices, choices.pick(good)))] }),
    () => ({ name: 'a skipped message', parts: [greeting, data(2 + choices.below(2 ** 40))] }),
    () => ({ name: 'sequence 0', parts: [greeting, data(0)] }),
    () => ({ name: 'a negative sequence', parts: [greeting, data(-1 - choices.below(2 ** 31))] }),
    () => ({
      name: 'an acknowledgement of what was never sent',
      parts: [greeting, prefixed(encode({ type: 'ack', sequence: 100_000 + choices.below(2 ** 40) }))],
    }),
    () => ({ name: 'an unknown type', parts: [greeting, prefixed(encode({ type: choices.hex(3) }))] }),
    () => ({ name: 'JSON', parts: [prefixed(new TextEncoder().encode('{"type":"hello"}'))] }),
    () => {
      const whole = Buffer.concat([greeting, prefixed(brokenMap(choices, good[0]!))]);
      return { name: 'byte by byte', parts: [...whole].map((byte) => new Uint8Array([byte])) };
    },
    () => ({ name: 'a frame cut short', parts: [greeting, data(1).subarray(0, 9)], shut: true }),
  ];
  if (choices.below(100) === 0) {
    return choices.pick([
      { name: 'half a prefix', parts: [choices.bytes(1).fill(0)], held: true },
      { name: 'half a HELLO', parts: [greeting.subarray(0, 30)], held: true },
      { name: 'a frame without end', parts: [greeting, prefixed(choices.bytes(100), 2 ** 20)], held: true },
    ]);
  }
  return choices.pick(kinds)();
}
