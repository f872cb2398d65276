// A Taproot key in one hand: what the parties of a keyring hold together.
import { schnorr, secp256k1 } from '@noble/curves/secp256k1.js';
import { outputKeyOf, tapTweak } from '../../protocol/keys/taproot.ts';
import { taprootScript } from '../../protocol/payloads/bitcoin-transaction.ts';
import type { PayloadKey } from '../../protocol/payloads/payload.ts';

const { Fn, BASE } = secp256k1.Point;

export class WholeTaprootKey {
  /** The internal key: 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Of its coins. */
  readonly script: Uint8Array;
  readonly #secret: bigint;

  constructor(seed: number) {
    const secret = BigInt(seed) * 0x1234567890abcdefn;
    this.#secret = BASE.multiply(secret).toBytes()[0] === 2 ? secret : Fn.neg(secret);
    this.publicKey = BASE.multiply(secret).toBytes().slice(1);
    this.script = taprootScript(outputKeyOf(this.publicKey));
  }

  get key(): PayloadKey {
    return { keyType: 'taproot_secp256k1', publicKey: this.publicKey };
  }

  /** 33 bytes: the point whose x the public key is, and whose y is even. */
  get point(): Uint8Array {
    return BASE.multiply(this.#secret).toBytes();
  }

  /** A signature by the output key. */
  sign(message: Uint8Array): Uint8Array {
    const tweaked = Fn.add(this.#secret, Fn.fromBytes(tapTweak(this.publicKey)));
    return schnorr.sign(message, Fn.toBytes(tweaked));
  }

  /** A signature by the key itself. */
  signUntweaked(message: Uint8Array): Uint8Array {
    return schnorr.sign(message, Fn.toBytes(this.#secret));
  }
}
