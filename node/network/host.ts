// The libp2p host of a node: TCP, Noise, Yamux, the party's key as identity, and a gater that admits nobody but the
// roster's parties and the granted connectors. What each may then speak is checked by every protocol's handler.
import { identify } from '@libp2p/identify';
import type { ConnectionGater, Ed25519PrivateKey, Libp2p, PeerId } from '@libp2p/interface';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { createLibp2p } from 'libp2p';
import { type Gossip, registrarForParties } from './gossip.ts';
import type { NetworkLimits } from './limits.ts';
import { connectionEncrypter } from './noise.ts';

export interface HostOptions {
  privateKey: Ed25519PrivateKey;
  /** Multiaddrs; port 0 is any free port. */
  listen: string[];
  /** What the owner of a key may do here, asked at each connection. */
  roleOf: (peer: PeerId) => 'party' | 'connector' | undefined;
  onRefused: (peer: PeerId, reason: string) => void;
  gossip: Gossip;
  limits: NetworkLimits;
}

/** Window of one stream: what may wait unread in a paused one, far below the 4 MiB at which libp2p resets it. */
const streamWindowBytes = 1 << 20;

/** Creates the host; it is not started. */
export async function createHost(options: HostOptions): Promise<Libp2p> {
  const { privateKey, listen, roleOf, gossip, limits } = options;
  const isParty = (peer: PeerId): boolean => roleOf(peer) === 'party';
  const connectionGater: ConnectionGater = {
    denyDialPeer: (peer) => !isParty(peer),
    denyOutboundEncryptedConnection: (peer) => !isParty(peer),
    denyInboundEncryptedConnection: (peer) => {
      const refuse = (reason: string): boolean => {
        options.onRefused(peer, reason);
        return true;
      };
      if (roleOf(peer) === undefined) return refuse('neither a party of the roster nor a granted connector');
      const open = host.getConnections(peer).length ?? 0;
      if (open >= limits.maxConnectionsPerKey) return refuse(`${open} connections of this key are open`);
      return false;
    },
    // Addresses come from the roster and the configuration, never from what a peer says of itself.
    filterMultiaddrForPeer: () => false,
  };

  const host: Libp2p = await createLibp2p({
    start: false,
    privateKey,
    nodeInfo: { name: 'countersign', userAgent: 'countersign' },
    addresses: { listen },
    transports: [tcp()],
    connectionEncrypters: [connectionEncrypter()],
    streamMuxers: [
      yamux({
        maxInboundStreams: 64,
        maxOutboundStreams: 64,
        streamOptions: { maxStreamWindowSize: streamWindowBytes },
      }),
    ],
    connectionGater,
    connectionManager: {
      // The defaults refuse more than 5 connections a second of one address: a network on one machine, or behind a
      // gateway, has more when it starts. Who connects is authenticated right after.
      inboundConnectionThreshold: 256,
      maxIncomingPendingConnections: 128,
      // Reconnecting is ours (redial.ts); libp2p's gives up after a few attempts.
      reconnectRetries: 0,
      dialTimeout: limits.dialDeadlineMs,
      inboundUpgradeTimeout: limits.helloDeadlineMs,
    },
    // It cuts connections when the event loop stands still for seconds; the peer channel has a heartbeat of its own.
    connectionMonitor: { enabled: false },
    services: {
      identify: (components) =>
        // Gossipsub asks for it. It answers parties only, and asks nobody: peers are known from the roster.
        identify({ runOnConnectionOpen: false })({
          peerId: components.peerId,
          privateKey: components.privateKey,
          peerStore: components.peerStore,
          registrar: registrarForParties(components.registrar, isParty),
          addressManager: components.addressManager,
          events: components.events,
          logger: components.logger,
          nodeInfo: components.nodeInfo,
        }),
      gossip: gossip.service,
    },
  });
  return host;
}
