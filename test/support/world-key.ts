// A key of a world whose private half the test knows: an ordinary ed25519 key, certified as if all parties had made it.
import { ed25519 } from '@noble/curves/ed25519.js';
import { bytesToNumberLE, numberToBytesLE } from '@noble/curves/utils.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { concatBytes } from '@noble/hashes/utils.js';
import type { Evidence } from '../../protocol/authorize.ts';
import { fromHex, type Hex, toHex } from '../../protocol/hex.ts';
import { derivedResult } from '../../protocol/keys/derivation.ts';
import { publicKeyOf, sign } from '../../protocol/keys/ed25519.ts';
import { decodePayload, type Payload } from '../../protocol/payloads/payload.ts';
import type { Envelope, Signer } from '../../protocol/records/envelope.ts';
import type { KeyResult, PartyResult } from '../../protocol/records/party-result.ts';
import { idOf, keyRequest, resultBy, seedOf, type World } from './fixture.ts';

export interface WorldKey {
  readonly id: Hex;
  readonly request: Envelope;
  readonly publicKey: Hex;
  readonly seed: Uint8Array;
  readonly result: KeyResult;
  readonly certificate: readonly Envelope[];
  /** As it stands in evidence. */
  readonly entry: Evidence['keys'][number];
}

/** A key result of `threshold` commitments whose first is the public key of the seed that `words` name. */
export function keyResultOf(threshold: number, ...words: readonly (string | number)[]): KeyResult {
  const publicKey = toHex(publicKeyOf(seedOf('key', ...words)));
  const others = Array.from({ length: threshold - 1 }, (_, index) =>
    toHex(publicKeyOf(seedOf('commitment', index, ...words))),
  );
  return {
    kind: 'key',
    keyType: 'ed25519',
    publicKey,
    chainCode: toHex(seedOf('chain code', ...words)),
    commitments: [publicKey, ...others],
    transcript: toHex(seedOf('transcript', ...words)),
  };
}

/** A key of the world's workspace and keyring, certified by all parties. */
export function makeKey(
  world: World,
  name = 'treasury',
  request = keyRequest(world, { label: name }),
): WorldKey {
  const id = idOf(request);
  const result = keyResultOf(world.keyring.roster.threshold, name);
  const certificate = world.parties.map((party) => resultBy(world, party, id, result));
  const { publicKey } = result;
  return {
    id,
    request,
    publicKey,
    seed: seedOf('key', name),
    result,
    certificate,
    entry: { request, certificate },
  };
}

/** The signature that the key's holder alone could make of a payload. */
export function signatureBy(key: WorldKey, payload: Payload): Hex {
  const { message } = decodePayload(payload, { keyType: 'ed25519', publicKey: fromHex(key.publicKey) });
  return toHex(sign(key.seed, message));
}

/** A party's result with these signatures. */
export function signedBy(world: World, party: Signer, subject: Hex, signatures: readonly Hex[]): Envelope {
  return resultBy(world, party, subject, { kind: 'signatures', signatures: [...signatures] });
}

/** A party's refusal. */
export function refusedBy(world: World, party: Signer, subject: Hex, reason = 'policy'): Envelope {
  const result: PartyResult['result'] = { kind: 'refusal', code: 'not_authorised', reason };
  return resultBy(world, party, subject, result);
}

/** A signature by whoever knows a key's secret scalar, with a nonce that is not RFC 8032's. */
function signatureOf(scalar: bigint, publicKey: Hex, payload: Payload, nonce: bigint): Hex {
  const { message } = decodePayload(payload, { keyType: 'ed25519', publicKey: fromHex(publicKey) });
  const { Fn, BASE } = ed25519.Point;
  const commitment = BASE.multiply(nonce).toBytes();
  const digest = sha512(concatBytes(commitment, fromHex(publicKey), message));
  const challenge = Fn.create(bytesToNumberLE(digest));
  const response = Fn.add(nonce, Fn.mul(challenge, scalar));
  return toHex(concatBytes(commitment, numberToBytesLE(response, 32)));
}

/** Another valid signature of the payload, as a second attempt of a threshold protocol yields. */
export function otherSignatureBy(key: WorldKey, payload: Payload, nonce = 7n): Hex {
  const { scalar } = ed25519.utils.getExtendedPublicKey(key.seed);
  return signatureOf(scalar, key.publicKey, payload, nonce);
}

/** The signature that the parent's holder alone could make of a payload by its child. */
export function signatureByChild(parent: WorldKey, path: string, payload: Payload, nonce = 7n): Hex {
  const { scalar } = ed25519.utils.getExtendedPublicKey(parent.seed);
  const { offset, result } = derivedResult(parent, path);
  const sum = ed25519.Point.Fn.add(scalar, bytesToNumberLE(offset));
  return signatureOf(sum, result.publicKey, payload, nonce);
}

/** A key derived from another one, certified by all parties as what `path` gives, but for `change`. */
export function makeChild(
  world: World,
  parent: Pick<WorldKey, 'id' | 'result'>,
  path = 'm/0/7',
  change: Partial<KeyResult> = {},
  request = keyRequest(world, {
    label: path,
    keyType: parent.result.keyType,
    origin: { parent: parent.id, path },
  }),
): Omit<WorldKey, 'seed'> {
  const id = idOf(request);
  const result = { ...derivedResult(parent, path).result, ...change };
  const certificate = world.parties.map((party) => resultBy(world, party, id, result));
  return { id, request, publicKey: result.publicKey, result, certificate, entry: { request, certificate } };
}
