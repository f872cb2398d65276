// Asks who listens at an address: the Noise handshake as far as the other side has proven its key, and no further. It uses
// a key made for this one question, so it needs no secret, and a node that is asked refuses it and goes on.
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { PeerId } from '@libp2p/interface';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { anySignal } from 'any-signal';
import { createLibp2p } from 'libp2p';
import { dialAddress } from './addresses.ts';
import { reasonOf } from './network-error.ts';
import { connectionEncrypter } from './noise.ts';
import { peerIdOfCredential } from './peer-identity.ts';

export type ProbeOutcome =
  | { readonly is: 'proven' }
  /** Somebody else's key, as a peer id. */
  | { readonly is: 'other'; readonly peerId: string }
  /** No connection, or nobody who speaks this protocol. */
  | { readonly is: 'unreachable'; readonly reason: string };

export interface ProbeOptions {
  /** A TCP multiaddr; a peer id at its end must be the credential's. */
  readonly address: string;
  /** Who should answer: `ed25519:0x<64 hex digits>`. */
  readonly credential: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/**
 * Whether the holder of a key answers at an address. Nothing but a handshake is sent.
 *
 * @throws {NetworkError} `bad_address`, `bad_credential`; the reason of the signal
 */
export async function probePeer(options: ProbeOptions): Promise<ProbeOutcome> {
  const { address, credential, timeoutMs, signal } = options;
  const expected = peerIdOfCredential(credential);
  const full = dialAddress(address, expected.toString());
  // Without the peer id: who answers is what this is about.
  const plain = full.decapsulate(`/p2p/${expected.toString()}`);
  let proven: PeerId | undefined;
  const host = await createLibp2p({
    privateKey: await generateKeyPair('Ed25519'),
    addresses: { listen: [] },
    transports: [tcp()],
    connectionEncrypters: [connectionEncrypter()],
    streamMuxers: [yamux()],
    connectionGater: {
      denyInboundConnection: () => true,
      denyOutboundEncryptedConnection: (peer) => {
        proven = peer;
        return true;
      },
    },
    connectionManager: { reconnectRetries: 0 },
    connectionMonitor: { enabled: false },
  });
  const deadline = AbortSignal.timeout(timeoutMs);
  const ended = anySignal([deadline, signal]);
  let reason = `no answer within ${timeoutMs} ms`;
  try {
    await host.dial(plain, { signal: ended, force: true });
  } catch (error) {
    signal?.throwIfAborted();
    if (!deadline.aborted) reason = reasonOf(error);
  } finally {
    ended.clear();
    await host.stop();
  }
  if (proven === undefined) return { is: 'unreachable', reason };
  return proven.equals(expected) ? { is: 'proven' } : { is: 'other', peerId: proven.toString() };
}
