// The only place of the node that names the Noise package, so that replacing it is a change of one file.
import { noise } from '@chainsafe/libp2p-noise';

/** Encrypts and authenticates every connection (https://github.com/libp2p/specs/tree/master/noise). */
export const connectionEncrypter = noise;
