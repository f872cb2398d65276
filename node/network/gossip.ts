// Gossip among the parties of a keyring: one signed topic (https://github.com/libp2p/specs/tree/master/pubsub/gossipsub).
// Late or lost is harmless: nothing here is resent, and too much from one author is dropped.
//
// Gossipsub serves whoever speaks its protocol; here it is given a registrar that lets roster parties in only, and it is
// connected to a peer when the peer's channel is up, on the channel's own connection. It does not open a lost stream
// again by itself, and never learns of one that was lost while it was being opened: `#heal` sees to both.
import {
  type GossipSub,
  type GossipSubComponents,
  type Message,
  TopicValidatorResult,
  gossipsub,
} from '@libp2p/gossipsub';
import type { Connection, PeerId, Stream, Topology } from '@libp2p/interface';
import { Budget, costOf, guardParts, type Transmission } from './gossip-guard.ts';
import { Inbox } from './inbox.ts';
import type { NetworkLimits } from './limits.ts';
import { NetworkError, reasonOf } from './network-error.ts';

type Registrar = GossipSubComponents['registrar'];

export interface GossipOptions {
  topic: string;
  /** The credential of a party of the roster, undefined for anybody else. */
  partyOf: (peer: PeerId) => string | undefined;
  limits: NetworkLimits;
  onMessage: (from: string, bytes: Uint8Array) => void | Promise<void>;
  log: (event: string, fields: Record<string, unknown>) => void;
}

/** A peer whose channel is up. */
interface Connected {
  readonly peer: PeerId;
  readonly connection: Connection;
  /** Rounds of #heal since it was last seen on the topic. */
  unseen: number;
  /** Rounds of #heal since there was a stream to it. */
  unheard: number;
}

/** The one way by which gossipsub takes in what peers send; its public type leaves it out. */
interface Receiving {
  handleReceivedRpc: (from: PeerId, transmission: Transmission) => Promise<void>;
}

/** The largest set of messages in one transmission, in bytes; several gossiped messages may travel together. */
const maxTransmissionBytes = 4 * 1024 * 1024;

/** A registrar that hides protocol handlers from everybody but roster parties, and keeps topologies to itself. */
export function registrarForParties(
  inner: Registrar,
  isParty: (peer: PeerId) => boolean,
  topologies: Map<string, Topology> = new Map(),
  guard: (stream: Stream) => void = () => undefined,
): Registrar {
  return {
    getProtocols: () => inner.getProtocols(),
    getHandler: (protocol) => inner.getHandler(protocol),
    handle: (protocol, handler, options) =>
      inner.handle(
        protocol,
        (stream, connection) => {
          if (isParty(connection.remotePeer)) {
            guard(stream);
            return handler(stream, connection);
          }
          stream.abort(new Error('this protocol is for parties of the roster'));
        },
        options,
      ),
    unhandle: (protocol, options) => inner.unhandle(protocol, options),
    use: (protocol, middleware) => inner.use(protocol, middleware),
    unuse: (protocol) => inner.unuse(protocol),
    getMiddleware: (protocol) => inner.getMiddleware(protocol),
    register: async (protocol, topology) => {
      topologies.set(protocol, topology);
      return protocol;
    },
    unregister: (id) => void topologies.delete(id),
    getTopologies: (protocol) => {
      const topology = topologies.get(protocol);
      return topology === undefined ? [] : [topology];
    },
  };
}

export class Gossip {
  readonly #options: GossipOptions;
  readonly #topologies = new Map<string, Topology>();
  readonly #inboxes = new Map<string, Inbox>();
  readonly #connected = new Map<string, Connected>();
  /** By peer id of a party; `dropped`: transmissions since the last one that was read. */
  readonly #budgets = new Map<string, { readonly budget: Budget; dropped: number }>();
  #pubsub: GossipSub | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: GossipOptions) {
    this.#options = options;
  }

  /** The service for createLibp2p. */
  readonly service = (components: GossipSubComponents): GossipSub => {
    const { partyOf, topic, limits } = this.#options;
    const isParty = (peer: PeerId): boolean => partyOf(peer) !== undefined;
    const { privateKey, peerId, peerStore, connectionManager, logger } = components;
    const registrar = registrarForParties(components.registrar, isParty, this.#topologies, guardParts);
    this.#pubsub = gossipsub({
      allowedTopics: [topic],
      allowPublishToZeroTopicPeers: true,
      ignoreDuplicatePublishError: true,
      emitSelf: false,
      fallbackToFloodsub: false,
      floodPublish: true,
      globalSignaturePolicy: 'StrictSign',
      maxInboundDataLength: maxTransmissionBytes,
      maxOutboundBufferSize: 2 * maxTransmissionBytes,
      maxInboundStreams: 2,
      maxOutboundStreams: 2,
      // Parties may well share an address, on one machine or behind one gateway; they are authenticated anyway.
      scoreParams: { IPColocationFactorWeight: 0 },
    })({ privateKey, peerId, peerStore, registrar, connectionManager, logger });
    this.#bound(this.#pubsub as unknown as Receiving);
    this.#pubsub.topicValidators.set(topic, (_from, message) =>
      message.type === 'signed' && isParty(message.from) && message.data.length <= limits.maxGossipBytes
        ? TopicValidatorResult.Accept
        : TopicValidatorResult.Reject,
    );
    this.#pubsub.addEventListener('gossipsub:message', (event) => this.#receive(event.detail.msg));
    return this.#pubsub;
  };

  /** Puts a budget for each peer before everything that gossipsub does with a transmission. */
  #bound(pubsub: Receiving): void {
    const { log } = this.#options;
    const handle = pubsub.handleReceivedRpc.bind(pubsub);
    pubsub.handleReceivedRpc = async (from, transmission): Promise<void> => {
      const id = from.toString();
      const budget = this.#budgets.get(id) ?? { budget: new Budget(), dropped: 0 };
      this.#budgets.set(id, budget);
      if (!budget.budget.take(costOf(transmission))) {
        budget.dropped += 1;
        return;
      }
      if (budget.dropped > 0) log('gossip.flooded', { peer: id, dropped: budget.dropped });
      budget.dropped = 0;
      await handle(from, transmission);
    };
  }

  /** Subscribes; libp2p must have started. */
  start(): void {
    this.#pubsub?.subscribe(this.#options.topic);
    this.#timer = setInterval(() => this.#heal(), this.#options.limits.heartbeatMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#connected.clear();
    for (const inbox of this.#inboxes.values()) inbox.clear();
  }

  /**
   * Sends to every party that is there; that none is, is no error.
   *
   * @throws {NetworkError} `message_too_large`
   */
  publish(bytes: Uint8Array): void {
    const { topic, limits, log } = this.#options;
    if (bytes.length > limits.maxGossipBytes) {
      throw new NetworkError(
        'message_too_large',
        `a gossiped message of ${bytes.length} bytes, the limit is ${limits.maxGossipBytes}`,
      );
    }
    this.#pubsub?.publish(topic, new Uint8Array(bytes)).catch((error: unknown) => {
      log('gossip.publish.failed', { reason: reasonOf(error) });
    });
  }

  /** The peer's channel is up on this connection. */
  connected(peer: PeerId, connection: Connection): void {
    this.#connected.set(peer.toString(), { peer, connection, unseen: 0, unheard: 0 });
    this.#connect(peer, connection);
  }

  /** The peer's channel is down. */
  disconnected(peer: PeerId): void {
    if (this.#connected.delete(peer.toString())) this.#disconnect(peer);
  }

  #connect(peer: PeerId, connection: Connection): void {
    this.#each((topology) => topology.onConnect?.(peer, connection));
  }

  #disconnect(peer: PeerId): void {
    this.#each((topology) => topology.onDisconnect?.(peer));
  }

  /** Gossipsub registers one topology under each version of its protocol. */
  #each(step: (topology: Topology) => void | Promise<void>): void {
    for (const topology of new Set(this.#topologies.values())) {
      Promise.resolve()
        .then(() => step(topology))
        .catch((error: unknown) => this.#options.log('gossip.failed', { reason: reasonOf(error) }));
    }
  }

  #heal(): void {
    const subscribers = new Set(this.#pubsub?.getSubscribers(this.#options.topic).map(String));
    const protocols = new Set(this.#topologies.keys());
    for (const [id, entry] of this.#connected) {
      const streams = entry.connection.streams.filter((stream) => protocols.has(stream.protocol));
      const speaks = streams.some(
        (stream) => stream.direction === 'outbound' && stream.writeStatus === 'writable',
      );
      entry.unheard = speaks ? 0 : entry.unheard + 1;
      // Asked in the round before, and still none: it keeps one that ended before it listened, and forgets it with the peer.
      if (entry.unheard > 1) this.#disconnect(entry.peer);
      if (entry.unheard > 0) this.#connect(entry.peer, entry.connection);
      entry.unseen = subscribers.has(id) ? 0 : entry.unseen + 1;
      if (entry.unseen < 2) continue;
      // Its subscription comes with a new stream only: end the old one, and the peer opens it again.
      entry.unseen = 0;
      for (const stream of streams) {
        if (stream.direction === 'inbound') stream.abort(new Error('subscription missing'));
      }
    }
  }

  #receive(message: Message): void {
    const { topic, partyOf, log, limits, onMessage } = this.#options;
    if (message.type !== 'signed' || message.topic !== topic) return;
    const author = partyOf(message.from);
    if (author === undefined) return;
    let inbox = this.#inboxes.get(author);
    if (inbox === undefined) {
      inbox = new Inbox({
        maxBytes: limits.maxGossipQueueBytes,
        handle: (bytes) => onMessage(author, bytes),
        onError: (error) => log('handler.failed', { peer: author, reason: reasonOf(error) }),
      });
      this.#inboxes.set(author, inbox);
    }
    if (inbox.full) log('gossip.dropped', { peer: author, bytes: message.data.length });
    else inbox.push(new Uint8Array(message.data));
  }
}
