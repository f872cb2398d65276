// The network of one node, as its owner sees it: opaque bytes to and from the other parties of the keyring, over peer
// channels and gossip, and the connector's door. It knows nothing of sessions (design: "Transport").
import type { NetworkLimits } from './limits.ts';
import type { PeerClock } from './peer-channel.ts';
import { PartyNetwork } from './party-network.ts';

export interface NetworkOptions {
  /** The network and keyring that every HELLO and the gossip topic name. */
  networkId: string;
  keyringId: string;
  /** The roster's epoch, as in `1.0`; parties of different epochs refuse each other. */
  epoch: string;
  /** 32-byte ed25519 seed of the party key. */
  privateSeed: Uint8Array;
  /** The whole roster with this party: credentials, and multiaddrs as hints. */
  parties: { key: string; addresses: string[] }[];
  /** Multiaddrs; port 0 is any free port. */
  listen: string[];
  /** A durable counter that the caller raises at each start. */
  bootCounter: number;
  /** Credentials of connectors that may use the door, and nothing else. Asked at each connection and request. */
  grants: () => readonly string[];
  /**
   * A message of a party. Messages of one party on one path come one at a time, in order: the next one waits for the
   * promise. What is thrown is logged.
   */
  onMessage: (message: { from: string; bytes: Uint8Array; via: 'stream' | 'gossip' }) => void | Promise<void>;
  /** A peer came up, or went down. A restarted one goes down and comes up with another boot id (0x-hex). */
  onPeer: (event: { peer: string; up: boolean; bootId: string; bootCounter: number }) => void;
  /** A peer's clock was measured: `peers()` tells. */
  onClock?: () => void;
  /** Answers a connector. The signal aborts when the connector is gone or its time is over. A failure is logged here. */
  onDoorRequest: (connector: string, request: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>;
  log: (event: string, fields: Record<string, unknown>) => void;
  limits?: Partial<NetworkLimits>;
  /** Sees every message that leaves: each transmission on a stream, resent ones included, and each publication. */
  tap?: (direction: 'out', via: 'stream' | 'gossip', to: string | undefined, bytes: Uint8Array) => void;
}

export interface PeerStatus {
  key: string;
  up: boolean;
  /** 0x-hex, of the last boot that was met. */
  bootId?: string;
  bootCounter?: number;
  /** Since when it is up, in milliseconds of Unix time. */
  since?: number;
  /** Since when it is down, in milliseconds of Unix time: since this network was made, if it never was up. */
  downSince?: number;
  /** The last failure to dial it since it was up. */
  lastDial?: { at: number; failures: number; reason: string };
  clock?: PeerClock;
  queuedBytes: number;
}

export interface Network {
  /** Listens and begins to connect. Throws `listen_failed`. Once only: a stopped network stays stopped. */
  start(): Promise<void>;
  /** Closes everything; no callback is called afterwards, except for door requests that are being answered. */
  stop(): Promise<void>;
  /** Where this node listens, each with its peer id. */
  addresses(): string[];
  /**
   * Queues for one party: in order, at most once, resent while both processes live, dropped when the party restarted.
   * Throws `outbox_full`, `message_too_large`, `unknown_party` and `not_running`.
   */
  send(peer: string, bytes: Uint8Array): void;
  /** Gossips to the keyring, whoever is there. Throws `message_too_large` and `not_running`. */
  publish(bytes: Uint8Array): void;
  /** Every other party of the roster. */
  peers(): PeerStatus[];
  /** Replaces a party's addresses, and dials at once when it is down. Throws `bad_address` and `unknown_party`. */
  setAddresses(party: string, addresses: string[]): void;
}

/**
 * The network of one party; nothing happens before `start()`.
 *
 * @throws {NetworkError} `bad_option`, `bad_credential` and `bad_address` for what can never work
 */
export function createNetwork(options: NetworkOptions): Network {
  return new PartyNetwork(options);
}
