// What travels on a peer stream: frames, each a 32-bit big-endian length and a CBOR map (RFC 8949, strict decoding).
// A frame has exactly the keys of its type; anything else is refused, and the stream with it.
import { decode, encode } from 'cborg';
import { NetworkError } from './network-error.ts';

/** The version of this format, in every HELLO. */
export const frameVersion = 2;
/** Length of a boot id, in bytes. */
export const bootIdLength = 16;
/** What a data frame needs besides its message, at most, in bytes. */
export const dataFrameOverhead = 64;

const prefixLength = 4;
/** Longest network id, keyring id or epoch that a HELLO may carry, in characters. */
const maxNameLength = 128;

/**
 * The first frame in each direction. `bootId` is random per process and `bootCounter` rises with every start of the
 * party. `received` is the last sequence number that the sender has from the receiver's boot `peerBootId` (empty: none).
 */
export interface HelloFrame {
  type: 'hello';
  version: number;
  networkId: string;
  keyringId: string;
  epoch: string;
  bootId: Uint8Array;
  bootCounter: number;
  peerBootId: Uint8Array;
  received: number;
}

/** A message; sequence numbers start at 1 for each pair of boot ids. */
export interface DataFrame {
  type: 'data';
  sequence: number;
  bytes: Uint8Array;
}

/** All messages up to `sequence` have arrived. */
export interface AckFrame {
  type: 'ack';
  sequence: number;
}

/** The sender lives. */
export interface PingFrame {
  type: 'ping';
}

/** Asks for the receiver's clock. `sent`: the sender's own, in milliseconds since 1970; it comes back as it was. */
export interface ClockFrame {
  type: 'clock';
  sent: number;
}

/** Answers a `clock` frame: its `sent`, and this party's clock in milliseconds since 1970. */
export interface ClockAnswerFrame {
  type: 'clock_answer';
  sent: number;
  now: number;
}

/** What a HELLO of another version of this format is read as: nothing else in it is known. Never sent. */
export interface OtherHelloFrame {
  type: 'other_hello';
  version: number;
}

export type Frame =
  HelloFrame | OtherHelloFrame | DataFrame | AckFrame | PingFrame | ClockFrame | ClockAnswerFrame;

/** The bytes of a frame, its length prefix included. */
export function encodeFrame(frame: Frame): Uint8Array {
  const body = encode(frame);
  const bytes = new Uint8Array(prefixLength + body.length);
  new DataView(bytes.buffer).setUint32(0, body.length);
  bytes.set(body, prefixLength);
  return bytes;
}

type Check = (value: unknown) => boolean;

const isCount: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const isSequence: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 1;
const isName: Check = (value) =>
  typeof value === 'string' && value.length >= 1 && value.length <= maxNameLength;
const isBytes: Check = (value) => value instanceof Uint8Array;
const isBootId: Check = (value) => value instanceof Uint8Array && value.length === bootIdLength;

/** Of what is on the wire. */
type WireType = Exclude<Frame['type'], 'other_hello'>;

const schemas: Record<WireType, Record<string, Check>> = {
  hello: {
    version: isCount,
    networkId: isName,
    keyringId: isName,
    epoch: isName,
    bootId: isBootId,
    bootCounter: isCount,
    peerBootId: (value) => isBootId(value) || (value instanceof Uint8Array && value.length === 0),
    received: isCount,
  },
  data: { sequence: isSequence, bytes: isBytes },
  ack: { sequence: isSequence },
  ping: {},
  clock: { sent: isCount },
  clock_answer: { sent: isCount, now: isCount },
};

const decodeOptions = {
  strict: true,
  useMaps: true,
  rejectDuplicateMapKeys: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowInfinity: false,
  allowNaN: false,
  allowBigInt: false,
};

/**
 * One frame without its length prefix. Of a HELLO the version is read first: a peer with another one must be told so,
 * whatever else its HELLO holds.
 *
 * @throws {NetworkError} `frame`
 */
export function decodeFrame(body: Uint8Array): Frame {
  let value: unknown;
  try {
    value = decode(body, decodeOptions);
  } catch (error) {
    throw new NetworkError('frame', 'a frame is not strict CBOR', { bytes: body.length }, { cause: error });
  }
  if (!(value instanceof Map)) throw new NetworkError('frame', 'a frame is not a CBOR map');
  const type: unknown = value.get('type');
  const schema =
    typeof type === 'string' && Object.hasOwn(schemas, type) ? schemas[type as WireType] : undefined;
  if (schema === undefined) throw new NetworkError('frame', 'a frame has no known type');
  const version: unknown = value.get('version');
  if (type === 'hello' && isCount(version) && version !== frameVersion) {
    return { type: 'other_hello', version: version as number };
  }
  const names = Object.keys(schema);
  if (value.size !== names.length + 1) {
    throw new NetworkError(
      'frame',
      `a ${String(type)} frame has ${value.size} keys instead of ${names.length + 1}`,
    );
  }
  const frame: Record<string, unknown> = { type };
  for (const name of names) {
    const field: unknown = value.get(name);
    if (!schema[name]!(field))
      throw new NetworkError('frame', `a ${String(type)} frame has a bad or no '${name}'`);
    frame[name] = field;
  }
  return frame as unknown as Frame;
}

/** Cuts a byte stream into frames. Between two chunks it holds at most one incomplete frame, however small the chunks. */
export class FrameDecoder {
  readonly #maxFrameBytes: number;
  readonly #prefix = new Uint8Array(prefixLength);
  #prefixFilled = 0;
  #body: Uint8Array | undefined;
  #bodyFilled = 0;

  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
  }

  /**
   * The frames that are complete with `chunk`, one by one: what is bad throws when it is reached, after the good frames
   * before it.
   *
   * @throws {NetworkError} `frame`, for a frame that is empty, too large or malformed
   */
  *push(chunk: Uint8Array): Generator<Frame, void, undefined> {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#prefixFilled === 0 && rest.length >= prefixLength) {
        const end = prefixLength + this.#lengthIn(rest);
        if (rest.length >= end) {
          yield decodeFrame(rest.subarray(prefixLength, end));
          rest = rest.subarray(end);
          continue;
        }
      }
      rest = rest.subarray(this.#collect(rest));
      if (this.#body !== undefined && this.#bodyFilled === this.#body.length) {
        const body = this.#body;
        this.#body = undefined;
        this.#prefixFilled = 0;
        yield decodeFrame(body);
      }
    }
  }

  #lengthIn(prefix: Uint8Array): number {
    const length = new DataView(prefix.buffer, prefix.byteOffset, prefixLength).getUint32(0);
    if (length === 0 || length > this.#maxFrameBytes) {
      throw new NetworkError('frame', `a frame of ${length} bytes, allowed are 1 to ${this.#maxFrameBytes}`);
    }
    return length;
  }

  /** Copies the next part of the incomplete frame, and returns how many bytes that took. */
  #collect(bytes: Uint8Array): number {
    if (this.#body !== undefined) {
      const part = bytes.subarray(0, this.#body.length - this.#bodyFilled);
      this.#body.set(part, this.#bodyFilled);
      this.#bodyFilled += part.length;
      return part.length;
    }
    const part = bytes.subarray(0, prefixLength - this.#prefixFilled);
    this.#prefix.set(part, this.#prefixFilled);
    this.#prefixFilled += part.length;
    if (this.#prefixFilled === prefixLength) {
      this.#body = new Uint8Array(this.#lengthIn(this.#prefix));
      this.#bodyFilled = 0;
    }
    return part.length;
  }
}
