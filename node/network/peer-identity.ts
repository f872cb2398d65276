// A party's credential and its libp2p peer id are two spellings of one ed25519 public key: the peer id is the identity
// multihash of the key's protobuf (https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md).
import { generateKeyPairFromSeed, publicKeyFromRaw } from '@libp2p/crypto/keys';
import type { Ed25519PrivateKey, PeerId } from '@libp2p/interface';
import { peerIdFromPublicKey } from '@libp2p/peer-id';
import { fromHex, toHex } from '../../protocol/hex.ts';
import { NetworkError } from './network-error.ts';

const credentialPattern = /^ed25519:0x[0-9a-f]{64}$/;
const prefix = 'ed25519:';

/**
 * The peer id of a credential `ed25519:0x<64 lower-case hex digits>`. That the key is a point of prime order is checked
 * where a record introduces it.
 *
 * @throws {NetworkError} `bad_credential`
 */
export function peerIdOfCredential(credential: string): PeerId {
  if (!credentialPattern.test(credential)) {
    throw new NetworkError(
      'bad_credential',
      `not a credential like ed25519:0x<64 lower-case hex digits>: ${credential.slice(0, 80)}`,
    );
  }
  return peerIdFromPublicKey(publicKeyFromRaw(fromHex(credential.slice(prefix.length))));
}

/**
 * The credential of a peer id.
 *
 * @throws {NetworkError} `bad_credential` for a peer id of another key type
 */
export function credentialOfPeerId(peer: PeerId): string {
  const key = peer.publicKey;
  if (peer.type !== 'Ed25519' || key === undefined) {
    throw new NetworkError('bad_credential', `peer id ${peer.toString()} is not of an ed25519 key`);
  }
  return prefix + toHex(key.raw);
}

/**
 * The libp2p key of a 32-byte ed25519 seed.
 *
 * @throws {NetworkError} `bad_option` for another length
 */
export async function privateKeyOfSeed(seed: Uint8Array): Promise<Ed25519PrivateKey> {
  if (seed.length !== 32) {
    throw new NetworkError('bad_option', `the party key's seed has 32 bytes, this has ${seed.length}`);
  }
  return generateKeyPairFromSeed('Ed25519', seed);
}
