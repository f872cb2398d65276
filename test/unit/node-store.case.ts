// Records for the tests of the node's store: the same number gives the same case, in every process.
import { sha256 } from '@noble/hashes/sha2.js';
import { toHex } from '../../protocol/hex.ts';
import { createRecord, ed25519Signer, type Envelope, envelopeId } from '../../protocol/records/envelope.ts';
import { type PartyResult, partyResult } from '../../protocol/records/party-result.ts';
import { type Origin, request } from '../../protocol/records/request.ts';
import type { NodeStoreOptions } from '../../node/store/node-store.ts';
import type { PendingDerived, PendingShare } from '../../node/store/shares.ts';

export const networkId = 'local-00000001';
export const passphrase = 'a passphrase for tests';

const bytes = (label: string): Uint8Array => sha256(new TextEncoder().encode(label));
export const id = (label: string): `0x${string}` => toHex(bytes(label));
export const party = ed25519Signer(bytes('party'));
export const keyringId = id('keyring');
export const epoch = { roster: 1, run: 0 };

export function openOptions(dir: string): NodeStoreOptions {
  return { dir, passphrase, networkId, testOnlyScryptCost: 2 ** 10 };
}

export function resultRecord(
  subject: string,
  result: PartyResult['result'],
  overrides: Partial<PartyResult> = {},
): Envelope {
  const content = {
    networkId,
    subject,
    keyringId,
    epoch,
    party: party.credential,
    result,
    ...overrides,
  } as PartyResult;
  return createRecord(partyResult, content, party);
}

export function keyResult(label: string): PartyResult['result'] {
  const publicKey = id(`${label} public key`);
  const commitments = [publicKey, id(`${label} second commitment`)];
  const chainCode = id(`${label} chain code`);
  return {
    kind: 'key',
    keyType: 'ed25519',
    publicKey,
    chainCode,
    commitments,
    transcript: id(`${label} transcript`),
  };
}

/** A key request and what key generation made of it. The share's secret is `share.secret`, 32 bytes. */
export function keyCase(number: number, origin?: Origin): { pending: PendingShare; certificate: Envelope[] } {
  const keyRequest = createRecord(
    request,
    {
      networkId,
      workspaceId: id('workspace'),
      initiator: 'alice',
      logHead: { seq: 0, id: id('workspace') },
      created: '2030-01-01T00:00:00.000Z',
      expires: '2030-01-01T12:00:00.000Z',
      nonce: id(`nonce ${number}`),
      kind: 'key',
      keyringId,
      keyType: 'ed25519',
      label: `key ${number}`,
      ...origin,
    },
    party,
  );
  const requestId = envelopeId(keyRequest, networkId);
  const confirmation = resultRecord(requestId, keyResult(`key ${number}`));
  const commitments = [bytes(`commitment a ${number}`), bytes(`commitment b ${number}`)];
  const share = { secret: bytes(`secret ${number}`), commitments, keyType: 'ed25519', index: 3 };
  return {
    pending: { requestId, keyringId, epoch, share, confirmation, keyRequest },
    certificate: [confirmation],
  };
}

/** A derived key and its certificate. */
export function derivedCase(
  number: number,
  origin: Origin,
): { pending: PendingDerived; certificate: Envelope[] } {
  const { pending, certificate } = keyCase(number, origin);
  const { share: _, ...rest } = pending;
  return { pending: { ...rest, origin }, certificate };
}
