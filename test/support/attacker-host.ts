// A libp2p host under a test's control, with any key: what a hostile party, a connector or a stranger can do on the wire.
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import type { Connection, Libp2p, Stream, StreamMuxerFactory } from '@libp2p/interface';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { type Frame, FrameDecoder, encodeFrame } from '../../node/network/frames.ts';
import { connectionEncrypter } from '../../node/network/noise.ts';
import type { Network } from '../../node/network/network.ts';
import { PEER_PROTOCOL } from '../../node/network/party-network.ts';
import { formatEpoch } from '../../protocol/records/fields.ts';
import { networkId, type World } from './fixture.ts';
import { helloFrame } from './network.ts';
import { until } from './until.ts';

export class AttackerHost {
  readonly host: Libp2p;

  private constructor(host: Libp2p) {
    this.host = host;
  }

  static async start(
    seed: Uint8Array,
    muxer: () => StreamMuxerFactory = yamux() as unknown as () => StreamMuxerFactory,
  ): Promise<AttackerHost> {
    return new AttackerHost(
      await createLibp2p({
        privateKey: await generateKeyPairFromSeed('Ed25519', seed),
        addresses: { listen: [] },
        transports: [tcp()],
        connectionEncrypters: [connectionEncrypter()],
        streamMuxers: [muxer],
        connectionMonitor: { enabled: false },
        connectionManager: { reconnectRetries: 0 },
      }),
    );
  }

  async dial(network: Network): Promise<Connection> {
    return this.host.dial(multiaddr(network.addresses()[0]!), { force: true });
  }

  /** Again when a machine that stood still was too slow for the node. */
  async open(network: Network, protocol: string): Promise<{ connection: Connection; stream: Stream }> {
    for (let left = 3; ; left -= 1) {
      try {
        const connection = await this.dial(network);
        return { connection, stream: await connection.newStream(protocol) };
      } catch (error) {
        if (left === 0) throw error;
      }
    }
  }

  async stop(): Promise<void> {
    await this.host.stop();
  }
}

/** The HELLO that a world's nodes expect of a party. */
export function helloOf(world: World): ReturnType<typeof helloFrame> {
  const { id: keyringId, epoch } = world.keyring;
  return helloFrame({ networkId, keyringId, epoch: formatEpoch(epoch) });
}

/** Resolves when the stream is of no more use, whoever ended it. */
export function ended(stream: Stream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.status !== 'open') return resolve();
    stream.addEventListener('close', () => resolve(), { once: true });
    stream.addEventListener('remoteCloseWrite', () => resolve(), { once: true });
  });
}

/** Fails with `what` when `promise` does not settle in time. */
export async function within(promise: Promise<unknown>, what: string, ms = 60_000): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`never happened: ${what}`)), ms);
  });
  await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A channel to one node, spoken properly: what a hostile party says in it is the test's. */
export class HostileChannel {
  readonly stream: Stream;
  readonly connection: Connection;
  #sequence = 0;
  #acknowledged = 0;
  #received = 0;
  isOver = false;

  private constructor(connection: Connection, stream: Stream) {
    this.connection = connection;
    this.stream = stream;
    const decoder = new FrameDecoder(1 << 21);
    stream.addEventListener('message', (event) => {
      for (const frame of decoder.push(event.data.subarray())) this.#onFrame(frame);
    });
    stream.addEventListener('close', () => (this.isOver = true));
  }

  static async open(attacker: AttackerHost, network: Network, world: World): Promise<HostileChannel> {
    const { connection, stream } = await attacker.open(network, PEER_PROTOCOL);
    const channel = new HostileChannel(connection, stream);
    stream.send(encodeFrame(helloOf(world)));
    return channel;
  }

  #onFrame(frame: Frame): void {
    if (frame.type === 'ack') this.#acknowledged = frame.sequence;
    if (frame.type !== 'data') return;
    this.#received = frame.sequence;
    this.stream.send(encodeFrame({ type: 'ack', sequence: this.#received }));
  }

  /** Sends a message, as fast as the node takes them. */
  async send(bytes: Uint8Array): Promise<void> {
    const wait = (): boolean => this.isOver || this.#sequence - this.#acknowledged < 500;
    if (!wait()) await until(wait, 'the node takes more', 120_000);
    if (this.isOver) throw new Error('the node ended the channel');
    const isRoom = this.stream.send(encodeFrame({ type: 'data', sequence: ++this.#sequence, bytes }));
    if (!isRoom)
      await until(() => this.isOver || !this.stream.writableNeedsDrain, 'room in the stream', 120_000);
  }
}
