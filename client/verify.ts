// What a careful client checks itself instead of believing a coordinator: that a key is what its certificate proves, and
// that signatures are of the very bytes that were asked for. Everything is computed from signed records.
import { verifyKey, type VerifiedKey } from '../protocol/authorize.ts';
import { fromHex, type Hex } from '../protocol/hex.ts';
import { addressesOf, type ChainAddress, verifySignature } from '../protocol/keys/key-type.ts';
import {
  assembleAll,
  type Assembled,
  type DecodedPayload,
  decodePayload,
} from '../protocol/payloads/payload.ts';
import { verifyRecord } from '../protocol/records/envelope.ts';
import { type Keyring, openKeyring } from '../protocol/records/keyring-roster.ts';
import { request as requestRecord } from '../protocol/records/request.ts';
import type { KeyView, RequestView } from '../protocol/rpc.ts';
import { oneLine } from './rpc-error.ts';

export type VerificationErrorCode =
  | 'not_ready' // the key has not been made, or the request has no signatures, yet
  | 'unproven' // a record does not verify, or the certificate is incomplete
  | 'wrong_keyring' // proven, but by another keyring than expected
  | 'wrong_workspace' // proven, but of another workspace than expected
  | 'wrong_request' // about another request than expected
  | 'unknown_key' // an item names a key that was not given
  | 'bad_signature' // a signature is not of the item's bytes by the item's key
  | 'claims_differ'; // the view says something that its records do not

export class VerificationError extends Error {
  override readonly name = 'VerificationError';
  readonly code: VerificationErrorCode;
  constructor(code: VerificationErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.code = code;
  }
}

/** Runs a check of records; what it throws becomes `unproven`. */
function proven<Value>(check: () => Value): Value {
  try {
    return check();
  } catch (error) {
    throw new VerificationError('unproven', oneLine((error as Error).message), error);
  }
}

export interface KeyExpectations {
  readonly networkId: string;
  readonly workspaceId?: Hex;
  /** The keyring whose operators are trusted. Without it the view's own roster is believed. */
  readonly keyringId?: Hex;
}

export interface ProvenKey {
  readonly key: VerifiedKey;
  readonly keyring: Keyring;
  /** Computed from the proven public key. */
  readonly addresses: readonly ChainAddress[];
}

function expectEqual(what: string, claimed: unknown, proof: unknown): void {
  if (claimed === proof) return;
  throw new VerificationError(
    'claims_differ',
    `the coordinator's ${what} is not the one its records prove: do not use it`,
  );
}

/**
 * Proves a key from its view: roster, key request and the equal results of all parties; of a derived key also its parent,
 * and that its public key is what the parent's and the path give. Do this before funding it.
 *
 * @throws {VerificationError} naming what is not as expected
 */
export function verifyKeyView(view: KeyView, expected: KeyExpectations): ProvenKey {
  if (view.certificate.length === 0) {
    throw new VerificationError('not_ready', `key ${view.keyId} is ${view.state}: it has no certificate yet`);
  }
  const keyring = proven(() => openKeyring(view.roster, expected.networkId));
  if (expected.keyringId !== undefined && keyring.id !== expected.keyringId) {
    throw new VerificationError(
      'wrong_keyring',
      `the key is of keyring ${keyring.id}, expected ${expected.keyringId}`,
    );
  }
  const { request, certificate, parentKey } = view;
  const others = parentKey === undefined ? [] : [parentKey];
  const key = proven(() => verifyKey({ request, certificate }, keyring, expected.networkId, others));
  if (expected.workspaceId !== undefined && key.workspaceId !== expected.workspaceId) {
    throw new VerificationError(
      'wrong_workspace',
      `the key is of workspace ${key.workspaceId}, expected ${expected.workspaceId}`,
    );
  }
  const addresses = addressesOf(key.keyType, fromHex(key.publicKey));
  expectEqual('key id', view.keyId, key.id);
  expectEqual('workspace', view.workspaceId, key.workspaceId);
  expectEqual('keyring', view.keyringId, key.keyringId);
  expectEqual('key type', view.keyType, key.keyType);
  expectEqual('label', view.label, key.label);
  expectEqual('parent', view.parent, key.origin?.parent);
  expectEqual('path', view.path, key.origin?.path);
  if (view.publicKey !== undefined) expectEqual('public key', view.publicKey, key.publicKey);
  const write = (list: readonly ChainAddress[]) =>
    list.map((entry) => `${entry.chain}:${entry.address}`).join(' ');
  if (view.addresses.length > 0) expectEqual('addresses', write(view.addresses), write(addresses));
  return { key, keyring, addresses };
}

export interface SignatureExpectations {
  readonly networkId: string;
  /** The request that was made: without it, the signatures are proven to be of whatever request the view holds. */
  readonly requestId?: Hex;
}

export interface ProvenSignature {
  readonly key: VerifiedKey;
  /** The bytes that are signed, and what they mean. */
  readonly payload: DecodedPayload;
  readonly signature: Hex;
  /** The signed form that the chain or other verifiers take. */
  readonly assembled: Assembled;
}

/**
 * Verifies the signatures of a fulfilled sign request over messages that are computed here, from the signed request.
 * `keys` are proven ones (`verifyKeyView`). One entry an item, in the request's order.
 *
 * @throws {VerificationError} naming the first item that is wrong
 */
export function verifySignatures(
  view: RequestView,
  keys: readonly VerifiedKey[],
  expected: SignatureExpectations,
): ProvenSignature[] {
  const { id, content } = proven(() => verifyRecord(requestRecord, view.request, expected.networkId));
  if (id !== (expected.requestId ?? id)) {
    throw new VerificationError(
      'wrong_request',
      `the view is of request ${id}, expected ${expected.requestId}`,
    );
  }
  expectEqual('request id', view.requestId, id);
  expectEqual('workspace', view.workspaceId, content.workspaceId);
  if (content.kind !== 'sign')
    throw new VerificationError('wrong_request', `${id} asks for a key, not for signatures`);
  const signatures = view.signatures;
  if (signatures === undefined) {
    throw new VerificationError('not_ready', `the request is ${view.state}: it has no signatures`);
  }
  expectEqual('number of signatures', signatures.length, content.items.length);
  const proved = content.items.map(({ keyId, payload }, index) => {
    const key = keys.find((candidate) => candidate.id === keyId);
    if (key === undefined)
      throw new VerificationError('unknown_key', `item ${index}: key ${keyId} is not among those given`);
    const signature = signatures[index] as Hex;
    const payloadKey = { keyType: key.keyType, publicKey: fromHex(key.publicKey) };
    const decoded = proven(() => decodePayload(payload, payloadKey));
    if (!verifySignature(key.keyType, decoded.publicKey, decoded.message, fromHex(signature))) {
      throw new VerificationError(
        'bad_signature',
        `item ${index}: not a signature of its bytes by key ${keyId}`,
      );
    }
    return { key, payloadKey, payload, decoded, signature };
  });
  const assembled = proven(() =>
    assembleAll(
      proved.map(({ payload, payloadKey, signature, decoded }) => ({
        payload,
        key: payloadKey,
        signature: fromHex(signature),
        decoded,
      })),
    ),
  );
  return proved.map(({ key, decoded, signature }, index) => ({
    key,
    payload: decoded,
    signature,
    assembled: assembled[index]!,
  }));
}
