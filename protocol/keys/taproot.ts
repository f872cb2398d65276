// Taproot keys: Schnorr signatures on secp256k1 (BIP340), and the output key of a key-path spend (BIP341).
//
// A key of this type is the internal key, x-only. Bitcoin pays to its output key, the internal key tweaked with its own
// hash and no script tree, so that whoever knows the key can tell that no hidden script can spend (BIP341, rationale 23).
import { schnorr, secp256k1 } from '@noble/curves/secp256k1.js';
import { bytesToNumberBE, concatBytes, numberToBytesBE } from '@noble/curves/utils.js';
import { witnessAddresses } from './bitcoin-address.ts';

export type TaprootKeyErrorCode = 'wrong_length' | 'not_on_curve'; // x is not below the field's prime, or no point has it

export class TaprootKeyError extends Error {
  override readonly name = 'TaprootKeyError';
  readonly code: TaprootKeyErrorCode;
  constructor(code: TaprootKeyErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

const { Point } = secp256k1;
/** Bytes of an x-only public key. */
const keyLength = 32;
const pointLength = 33;
const signatureLength = 64;

function checkedLength(bytes: Uint8Array, length: number, what: string): void {
  if (bytes.length !== length)
    throw new TaprootKeyError('wrong_length', `${what} has ${length} bytes, this has ${bytes.length}`);
}

/** The point of even Y with this x (BIP340, lift_x). Throws TaprootKeyError. */
function liftX(publicKey: Uint8Array): InstanceType<typeof Point> {
  checkedLength(publicKey, keyLength, 'an x-only public key');
  return decoded(concatBytes(Uint8Array.of(2), publicKey));
}

function decoded(bytes: Uint8Array): InstanceType<typeof Point> {
  try {
    return Point.fromBytes(bytes);
  } catch (cause) {
    const message = 'the bytes are no point of secp256k1: take the public key from its source again';
    throw new TaprootKeyError('not_on_curve', message, { cause });
  }
}

/** Accepts the 32 bytes of an x-only public key (BIP340). Throws TaprootKeyError. */
export function checkPublicKey(publicKey: Uint8Array): void {
  liftX(publicKey);
}

/** Accepts the 33 bytes of a compressed point other than the identity: an element of a commitment vector. Throws TaprootKeyError. */
export function checkPoint(point: Uint8Array): void {
  checkedLength(point, pointLength, 'a compressed point');
  decoded(point);
}

/** The x-only public key of a compressed point, whose sign no longer matters (BIP340). */
export function publicKeyOfPoint(point: Uint8Array): Uint8Array {
  return point.slice(1);
}

/** Whether a 64-byte signature is valid over the message, of any length, under an x-only public key (BIP340). Never throws. */
export function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== signatureLength || publicKey.length !== keyLength) return false;
  return schnorr.verify(signature, message, publicKey);
}

/**
 * The scalar, 32 bytes, that takes the internal key to its output key when there is no script tree: hash_TapTweak(key)
 * (BIP341). Throws TaprootKeyError; with probability 2^-128 also when the hash is no scalar.
 */
export function tapTweak(internalKey: Uint8Array): Uint8Array {
  checkPublicKey(internalKey);
  const hash = schnorr.utils.taggedHash('TapTweak', internalKey);
  const scalar = bytesToNumberBE(hash);
  if (scalar === 0n || scalar >= Point.Fn.ORDER)
    throw new TaprootKeyError('not_on_curve', 'this internal key has no output key: make a new key');
  return numberToBytesBE(scalar, 32);
}

/** The x-only key in the output that pays to this internal key (BIP341, taproot_tweak_pubkey). Throws TaprootKeyError. */
export function outputKeyOf(internalKey: Uint8Array): Uint8Array {
  const tweak = bytesToNumberBE(tapTweak(internalKey));
  const output = liftX(internalKey).add(Point.BASE.multiplyUnsafe(tweak));
  if (output.is0())
    throw new TaprootKeyError('not_on_curve', 'this internal key has no output key: make a new key');
  return publicKeyOfPoint(output.toBytes());
}

/** Addresses of the key-path output of an internal key, on Bitcoin and its test networks (BIP350). Throws TaprootKeyError. */
export function addressesOf(internalKey: Uint8Array): { readonly chain: string; readonly address: string }[] {
  return witnessAddresses(1, outputKeyOf(internalKey));
}
