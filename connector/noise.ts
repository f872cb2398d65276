// The only place of the connector that names the Noise package. The node has its own: neither imports the other.
import { noise } from '@chainsafe/libp2p-noise';

/** Encrypts and authenticates every connection (https://github.com/libp2p/specs/tree/master/noise). */
export const connectionEncrypter = noise;
