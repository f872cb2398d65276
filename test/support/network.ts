// What the network's tests share: waiting on conditions, a roster of parties in the order of their peer ids, a peer that
// speaks frames by hand, and a TCP relay whose connections can be cut.
import assert from 'node:assert/strict';
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import type { Stream } from '@libp2p/interface';
import { streamPair } from '@libp2p/utils';
import {
  type Frame,
  FrameDecoder,
  frameVersion,
  type HelloFrame,
  encodeFrame,
} from '../../node/network/frames.ts';
import { peerIdOfCredential } from '../../node/network/peer-identity.ts';
import type { Carrier } from '../../node/network/peer-stream.ts';
import { toHex } from '../../protocol/hex.ts';
import { publicKeyOf } from '../../protocol/keys/ed25519.ts';

/** Resolves as soon as `condition` holds; fails after the deadline, saying what did not happen. */
export async function until(what: string, condition: () => boolean, deadlineMs = 20_000): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!condition()) {
    assert.ok(performance.now() < end, `not within ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export interface TestParty {
  seed: Uint8Array;
  key: string;
  peerId: string;
}

/** The party of a seed that repeats one byte. */
export function partyOf(byte: number): TestParty {
  const seed = new Uint8Array(32).fill(byte);
  const key = `ed25519:${toHex(publicKeyOf(seed))}`;
  return { seed, key, peerId: peerIdOfCredential(key).toString() };
}

/** `count` parties, the lowest peer id first: each dials those after it. */
export function partiesByPeerId(count: number): TestParty[] {
  return Array.from({ length: count }, (_, index) => partyOf(index + 1)).toSorted((a, b) =>
    a.peerId < b.peerId ? -1 : 1,
  );
}

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** The far end of a peer stream, under the test's control. */
export class HandPeer {
  readonly stream: Stream;
  readonly frames: Frame[] = [];
  ended = false;
  readonly #decoder = new FrameDecoder(1 << 24);

  constructor(stream: Stream) {
    this.stream = stream;
    stream.addEventListener('message', (event) => {
      for (const frame of this.#decoder.push(event.data.subarray())) this.frames.push(frame);
    });
    stream.addEventListener('close', () => (this.ended = true));
    stream.addEventListener('remoteCloseWrite', () => (this.ended = true));
  }

  send(...frames: Frame[]): void {
    for (const frame of frames) this.stream.send(encodeFrame(frame));
  }

  of<Type extends Frame['type']>(type: Type): Extract<Frame, { type: Type }>[] {
    return this.frames.filter((frame): frame is Extract<Frame, { type: Type }> => frame.type === type);
  }
}

/** A stream in memory: the end to give to a channel, and the far end. */
export async function carrierPair(openedHere: boolean): Promise<{ carrier: Carrier; far: HandPeer }> {
  const [near, far] = await streamPair({ protocol: '/test/1', delay: 0, capacity: 50 });
  const connection = {
    close: async (): Promise<void> => near.close(),
    abort: (error: Error): void => near.abort(error),
  };
  return { carrier: { stream: near, connection, openedHere }, far: new HandPeer(far) };
}

export function helloFrame(changes: Partial<HelloFrame> = {}): HelloFrame {
  return {
    type: 'hello',
    version: frameVersion,
    networkId: 'local-test',
    keyringId: '0xabc',
    epoch: '1.0',
    bootId: new Uint8Array(16).fill(0xbb),
    bootCounter: 1,
    peerBootId: new Uint8Array(0),
    received: 0,
    ...changes,
  };
}

/** Relays TCP connections to a port, so that a test can cut them without either end's doing. */
export class Relay {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Connections relayed so far. */
  accepted = 0;

  constructor(target: () => number) {
    this.#server = createServer((near) => {
      this.accepted += 1;
      const far = connect(target(), '127.0.0.1');
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(from);
        from.on('error', () => to.destroy());
        from.on('close', () => {
          this.#sockets.delete(from);
          to.destroy();
        });
        from.pipe(to);
      }
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `/ip4/127.0.0.1/tcp/${(this.#server.address() as AddressInfo).port}`;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
