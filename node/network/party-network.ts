// What network.ts promises: puts host, peer channels, redialling, gossip and door together, and keeps the caller's code
// apart from libp2p's listeners.
import { randomBytes } from 'node:crypto';
import type { Connection, Libp2p, PeerId, Stream } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import { anySignal } from 'any-signal';
import { DOOR_PROTOCOL } from '../../protocol/door.ts';
import { publicKeyOf } from '../../protocol/keys/ed25519.ts';
import { toHex } from '../../protocol/hex.ts';
import { dialAddress, listenAddress, maxAddressesPerParty } from './addresses.ts';
import { Door } from './door.ts';
import { bootIdLength } from './frames.ts';
import { Gossip } from './gossip.ts';
import { createHost } from './host.ts';
import { type NetworkLimits, resolveLimits } from './limits.ts';
import { NetworkError, reasonOf } from './network-error.ts';
import type { Network, NetworkOptions, PeerStatus } from './network.ts';
import { PeerChannel } from './peer-channel.ts';
import { credentialOfPeerId, peerIdOfCredential, privateKeyOfSeed } from './peer-identity.ts';
import { Redial } from './redial.ts';

/** The libp2p protocol of the peer channel. */
export const PEER_PROTOCOL = '/countersign/peer/1';

/** One other party. */
interface Peer {
  key: string;
  id: PeerId;
  addresses: Multiaddr[];
  channel: PeerChannel;
  redial: Redial;
  /** The last failure to dial since it was up. */
  lastDial?: NonNullable<PeerStatus['lastDial']>;
}

export class PartyNetwork implements Network {
  readonly #options: NetworkOptions;
  readonly #limits: NetworkLimits;
  readonly #self: string;
  readonly #peers = new Map<string, Peer>();
  readonly #listen: string[];
  readonly #gossip: Gossip;
  readonly #door: Door;
  readonly #bootId = randomBytes(bootIdLength);
  /** Inbound connections of parties that have brought no stream yet. */
  readonly #idle = new Map<Connection, NodeJS.Timeout>();
  #host: Libp2p | undefined;
  #state: 'new' | 'running' | 'stopped' = 'new';
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(options: NetworkOptions) {
    this.#options = options;
    this.#limits = resolveLimits(options.limits);
    this.#checkNames();
    if (options.privateSeed.length !== 32) {
      throw new NetworkError(
        'bad_option',
        `privateSeed has 32 bytes, this has ${options.privateSeed.length}`,
      );
    }
    this.#self = `ed25519:${toHex(publicKeyOf(options.privateSeed))}`;
    this.#listen = options.listen.map(listenAddress);
    const keys = new Set(options.parties.map(({ key }) => key));
    if (keys.size !== options.parties.length)
      throw new NetworkError('bad_option', 'a party is in the roster twice');
    if (!keys.has(this.#self)) {
      throw new NetworkError('bad_option', `the roster does not hold this party's key ${this.#self}`);
    }
    this.#gossip = new Gossip({
      topic: `/countersign/gossip/1/${options.networkId}/${options.keyringId}`,
      partyOf: (peer) => this.#partyOf(peer),
      limits: this.#limits,
      onMessage: (from, bytes) => this.#deliver(from, bytes, 'gossip'),
      log: this.#log,
    });
    this.#door = new Door({
      isGranted: (connector) => this.#isGranted(connector),
      onRequest: async (connector, request, signal) => options.onDoorRequest(connector, request, signal),
      limits: this.#limits,
      log: this.#log,
    });
    for (const { key, addresses } of options.parties) {
      if (key !== this.#self) this.#peers.set(key, this.#createPeer(key, addresses));
    }
  }

  async start(): Promise<void> {
    if (this.#state !== 'new') throw new NetworkError('not_running', 'a network starts once: create another');
    this.#state = 'running';
    this.#starting = this.#start();
    await this.#starting;
  }

  async #start(): Promise<void> {
    try {
      const host = await createHost({
        privateKey: await privateKeyOfSeed(this.#options.privateSeed),
        listen: this.#listen,
        roleOf: (peer) => this.#roleOf(peer),
        onRefused: (peer, reason) => this.#log('connection.refused', { peer: nameOf(peer), reason }),
        gossip: this.#gossip,
        limits: this.#limits,
      });
      this.#host = host;
      host.addEventListener('connection:open', ({ detail }) => this.#expectStream(detail));
      host.addEventListener('connection:close', ({ detail }) => this.#streamCame(detail));
      await host.handle(PEER_PROTOCOL, (stream, connection) => this.#onPeerStream(stream, connection), {
        maxInboundStreams: 1,
        maxOutboundStreams: 1,
      });
      await host.handle(DOOR_PROTOCOL, this.#door.handle, {
        maxInboundStreams: 2 * this.#limits.maxDoorRequests,
      });
      try {
        await host.start();
      } catch (error) {
        const message = `could not listen on ${this.#listen.join(', ')}: ${listenFailure(error)}`;
        throw new NetworkError('listen_failed', message, {}, { cause: error });
      }
      this.#requireRunning();
      this.#gossip.start();
      for (const peer of this.#peers.values()) peer.redial.start();
    } catch (error) {
      this.#state = 'stopped';
      await this.#shutDown();
      throw error;
    }
  }

  stop(): Promise<void> {
    this.#state = 'stopped';
    this.#stopping ??= (this.#starting ?? Promise.resolve())
      .catch(() => {
        // Whoever called start() is told.
      })
      .then(() => this.#shutDown());
    return this.#stopping;
  }

  async #shutDown(): Promise<void> {
    this.#door.stop();
    const loops = [...this.#peers.values()].map(({ redial }) => redial.stop());
    for (const { channel } of this.#peers.values()) channel.stop();
    this.#gossip.stop();
    await Promise.all(loops);
    await this.#host?.stop();
    for (const connection of this.#idle.keys()) this.#streamCame(connection);
  }

  addresses(): string[] {
    return this.#host?.getMultiaddrs().map(String) ?? [];
  }

  send(peer: string, bytes: Uint8Array): void {
    this.#requireRunning();
    this.#peerOf(peer).channel.send(bytes);
  }

  publish(bytes: Uint8Array): void {
    this.#requireRunning();
    this.#gossip.publish(bytes);
    this.#call('tap', () => this.#options.tap?.('out', 'gossip', undefined, bytes));
  }

  peers(): PeerStatus[] {
    return [...this.#peers.values()].map(({ key, channel, lastDial }) => ({
      key,
      ...channel.status(),
      ...(lastDial !== undefined && { lastDial }),
    }));
  }

  setAddresses(party: string, addresses: string[]): void {
    const peer = this.#peerOf(party);
    peer.addresses = addresses
      .map((address) => dialAddress(address, peer.id.toString()))
      .slice(0, maxAddressesPerParty);
    peer.redial.kick();
  }

  #checkNames(): void {
    const { networkId, keyringId, epoch, bootCounter } = this.#options;
    for (const [name, value] of Object.entries({ networkId, keyringId, epoch })) {
      if (value.length < 1 || value.length > 128) {
        throw new NetworkError(
          'bad_option',
          `${name} must have 1 to 128 characters, this has ${value.length}`,
        );
      }
    }
    if (!Number.isSafeInteger(bootCounter) || bootCounter < 0) {
      throw new NetworkError('bad_option', `bootCounter must be a whole number, not ${bootCounter}`);
    }
  }

  #createPeer(key: string, hints: string[]): Peer {
    const { networkId, keyringId, epoch, bootCounter, tap } = this.#options;
    const id = peerIdOfCredential(key);
    const first = peerIdOfCredential(this.#self).toString() < id.toString();
    const channel = new PeerChannel({
      peer: key,
      identity: { networkId, keyringId, epoch, bootId: this.#bootId, bootCounter },
      keepsOwn: first,
      limits: this.#limits,
      onMessage: (bytes) => this.#deliver(key, bytes, 'stream'),
      onChange: (event) => this.#onChange(peer, event),
      onClock: () => this.#call('onClock', () => this.#options.onClock?.()),
      ...(tap !== undefined && {
        onSent: (bytes: Uint8Array) => this.#call('tap', () => tap('out', 'stream', key, bytes)),
      }),
      log: this.#log,
    });
    const redial = new Redial({
      first,
      isUp: () => channel.up,
      dial: (signal) => this.#dial(peer, signal),
      onFailure: (error, failures, retryMs) => {
        const reason = reasonOf(error);
        peer.lastDial = { at: Date.now(), failures, reason };
        this.#log('peer.dial.failed', { peer: key, failures, retryMs, reason });
      },
      dialBackMs: this.#limits.dialBackMs,
      minMs: this.#limits.redialMinMs,
      maxMs: this.#limits.redialMaxMs,
    });
    const peer: Peer = { key, id, addresses: this.#usableHints(key, id, hints), channel, redial };
    return peer;
  }

  /** Hints come from a roster that others wrote: a bad one is left out, and does not keep this node from starting. */
  #usableHints(key: string, id: PeerId, hints: string[]): Multiaddr[] {
    return hints.slice(0, maxAddressesPerParty).flatMap((hint) => {
      try {
        return [dialAddress(hint, id.toString())];
      } catch (error) {
        this.#log('peer.hint.ignored', { peer: key, reason: reasonOf(error) });
        return [];
      }
    });
  }

  async #dial(peer: Peer, stop: AbortSignal): Promise<void> {
    if (peer.addresses.length === 0) {
      throw new NetworkError(
        'bad_address',
        `no address of ${peer.key} is known: add it under 'peers' in the configuration`,
      );
    }
    const signal = anySignal([stop, AbortSignal.timeout(this.#limits.dialDeadlineMs)]);
    try {
      // A connection of its own: an existing one is another channel's try, possibly dead.
      const connection = await this.#host!.dial(peer.addresses, { signal, force: true });
      try {
        const stream = await connection.newStream(PEER_PROTOCOL, { signal });
        await this.#attach(peer, connection, { stream, connection, openedHere: true });
      } catch (error) {
        connection.abort(error instanceof Error ? error : new Error(reasonOf(error)));
        throw error;
      }
    } finally {
      signal.clear();
    }
  }

  #onPeerStream(stream: Stream, connection: Connection): void {
    const peer = this.#peers.get(nameOf(connection.remotePeer));
    // The side that dialled opens the stream, so that both agree on whose connection it is.
    if (peer === undefined || connection.direction !== 'inbound' || this.#state !== 'running') {
      this.#log('stream.refused', { peer: nameOf(connection.remotePeer), protocol: PEER_PROTOCOL });
      stream.abort(new NetworkError('protocol', 'no peer stream is expected on this connection'));
      return;
    }
    this.#streamCame(connection);
    this.#attach(peer, connection, { stream, connection, openedHere: false }).catch(() => {
      // The channel has logged it, and the peer dials again.
    });
  }

  async #attach(
    peer: Peer,
    connection: Connection,
    carrier: Parameters<PeerChannel['attach']>[0],
  ): Promise<void> {
    await peer.channel.attach(carrier);
    if (this.#state === 'running' && connection.status === 'open')
      this.#gossip.connected(peer.id, connection);
  }

  #onChange(peer: Peer, event: { up: boolean; bootId: string; bootCounter: number }): void {
    if (!event.up) this.#gossip.disconnected(peer.id);
    else delete peer.lastDial;
    peer.redial.changed();
    this.#call('onPeer', () => this.#options.onPeer({ peer: peer.key, ...event }));
  }

  /** A party connects in order to bring a stream, soon. */
  #expectStream(connection: Connection): void {
    if (connection.direction !== 'inbound' || this.#partyOf(connection.remotePeer) === undefined) return;
    const cut = (): void => {
      this.#log('connection.idle', { peer: nameOf(connection.remotePeer) });
      connection.abort(new NetworkError('silent', 'no stream within the deadline'));
    };
    this.#idle.set(connection, setTimeout(cut, this.#limits.helloDeadlineMs));
  }

  #streamCame(connection: Connection): void {
    clearTimeout(this.#idle.get(connection));
    this.#idle.delete(connection);
  }

  #deliver(from: string, bytes: Uint8Array, via: 'stream' | 'gossip'): void | Promise<void> {
    if (this.#state === 'running') return this.#options.onMessage({ from, bytes, via });
  }

  #roleOf(peer: PeerId): 'party' | 'connector' | undefined {
    if (this.#partyOf(peer) !== undefined) return 'party';
    return this.#isGranted(nameOf(peer)) ? 'connector' : undefined;
  }

  /** The credential of another party of the roster. */
  #partyOf(peer: PeerId): string | undefined {
    const key = nameOf(peer);
    return this.#peers.has(key) ? key : undefined;
  }

  #isGranted(credential: string): boolean {
    return this.#call('grants', () => this.#options.grants().includes(credential)) ?? false;
  }

  #peerOf(key: string): Peer {
    const peer = this.#peers.get(key);
    if (peer !== undefined) return peer;
    const what = key === this.#self ? 'is this party itself' : 'is not in the roster';
    throw new NetworkError('unknown_party', `${key.slice(0, 80)} ${what}`);
  }

  #requireRunning(): void {
    if (this.#state !== 'running')
      throw new NetworkError('not_running', 'the network is not started, or stopped');
  }

  /** Calls the caller's code, whose failure must not reach a listener of libp2p. */
  #call<Result>(name: string, step: () => Result): Result | undefined {
    try {
      return step();
    } catch (error) {
      this.#log('callback.failed', { callback: name, reason: reasonOf(error) });
      return undefined;
    }
  }

  readonly #log = (event: string, fields: Record<string, unknown>): void => {
    try {
      this.#options.log(event, fields);
    } catch {
      // A log that fails has nowhere to be told, and must not stop the network.
    }
  };
}

/** The credential of a peer, or its peer id when it has another key type. */
function nameOf(peer: PeerId): string {
  try {
    return credentialOfPeerId(peer);
  } catch {
    return peer.toString();
  }
}

/** libp2p puts whole stack traces into the message of a failed start; what the socket said is one line of them. */
function listenFailure(error: unknown): string {
  const reason = reasonOf(error);
  return /\bE[A-Z]{3,}\b[^\n]*/.exec(reason)?.[0] ?? reason.split('\n', 1)[0]!;
}
