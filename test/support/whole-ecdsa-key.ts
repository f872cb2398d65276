// An ECDSA key in one hand: what the parties of a keyring hold together.
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { publicKeyHash } from '../../protocol/keys/bitcoin-address.ts';
import { derOfRecoverable } from '../../protocol/keys/ecdsa.ts';
import { evmAddressOf } from '../../protocol/keys/evm-address.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { PayloadKey } from '../../protocol/payloads/payload.ts';

export class WholeEcdsaKey {
  /** 33 bytes. */
  readonly publicKey: Uint8Array;
  readonly secret: Uint8Array;
  /** Of its coins (P2WPKH). */
  readonly script: Uint8Array;
  readonly address: Hex;

  constructor(secret: number | Uint8Array) {
    this.secret =
      typeof secret === 'number' ? secp256k1.Point.Fn.toBytes(BigInt(secret) * 0x1234567890abcdefn) : secret;
    this.publicKey = secp256k1.getPublicKey(this.secret);
    this.script = Uint8Array.of(0, 20, ...publicKeyHash(this.publicKey));
    this.address = evmAddressOf(this.publicKey);
  }

  get evm(): PayloadKey {
    return { keyType: 'ecdsa_secp256k1', publicKey: this.publicKey };
  }

  get bitcoin(): PayloadKey {
    return { keyType: 'bitcoin_secp256k1', publicKey: this.publicKey };
  }

  /** r || s || recovery id. */
  sign(digest: Uint8Array): Uint8Array {
    const recovered = secp256k1.sign(digest, this.secret, { prehash: false, format: 'recovered' });
    return Uint8Array.of(...recovered.subarray(1), recovered[0]!);
  }

  signDer(digest: Uint8Array): Uint8Array {
    return derOfRecoverable(this.sign(digest));
  }
}
