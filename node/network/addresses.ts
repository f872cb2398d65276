// Which addresses this node dials and listens on: plain TCP multiaddrs (https://github.com/multiformats/multiaddr).
// A roster's address hints are others' words, so nothing else is dialled because they say so: no unix socket, no relay,
// no other peer.
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { NetworkError } from './network-error.ts';

/** Addresses of one party that are tried, at most. */
export const maxAddressesPerParty = 16;

const hostProtocols = new Set(['ip4', 'ip6', 'dns', 'dns4', 'dns6']);

function parse(text: string, allowPeer: boolean): { address: Multiaddr; peer: string | undefined } {
  let address: Multiaddr;
  try {
    address = multiaddr(text);
  } catch (error) {
    throw new NetworkError('bad_address', `not a multiaddr: ${text.slice(0, 200)}`, {}, { cause: error });
  }
  const [host, tcp, peer, ...more] = address.getComponents();
  const plain =
    host !== undefined && hostProtocols.has(host.name) && tcp?.name === 'tcp' && more.length === 0;
  if (!plain || (peer !== undefined && (!allowPeer || peer.name !== 'p2p'))) {
    const shape = allowPeer ? '/ip4/<host>/tcp/<port>[/p2p/<peer id>]' : '/ip4/<host>/tcp/<port>';
    throw new NetworkError('bad_address', `not an address like ${shape}: ${text.slice(0, 200)}`);
  }
  return { address, peer: peer?.value };
}

/**
 * An address of the peer, ending in its peer id.
 *
 * @throws {NetworkError} `bad_address` for anything but TCP, or when it names another peer
 */
export function dialAddress(text: string, peerId: string): Multiaddr {
  const { address, peer } = parse(text, true);
  if (peer === undefined) return address.encapsulate(`/p2p/${peerId}`);
  if (peer !== peerId) {
    throw new NetworkError(
      'bad_address',
      `the address names peer ${peer}, the party is ${peerId}: ${text.slice(0, 200)}`,
    );
  }
  return address;
}

/**
 * An address to listen on.
 *
 * @throws {NetworkError} `bad_address`
 */
export function listenAddress(text: string): string {
  return parse(text, false).address.toString();
}
