// A keyring, a workspace and a key with a complete certificate, made of real records with fixed keys: what clients and
// connectors handle. The key's private half is known here, so that signatures can be made without a protocol.
import { createHash } from 'node:crypto';
import type { Evidence, VerifiedKey } from '../../protocol/authorize.ts';
import { type Hex, fromHex, toHex } from '../../protocol/hex.ts';
import { publicKeyOf, sign } from '../../protocol/keys/ed25519.ts';
import { addressesOf } from '../../protocol/keys/key-type.ts';
import { decodePayload } from '../../protocol/payloads/payload.ts';
import { messagePayload } from '../../protocol/payloads/message.ts';
import type { Policy } from '../../protocol/policy/schema.ts';
import { connectorGrant } from '../../protocol/records/connector-grant.ts';
import {
  addSignature,
  createRecord,
  ed25519Signer,
  type Envelope,
  type Signer,
} from '../../protocol/records/envelope.ts';
import { timestamp } from '../../protocol/records/fields.ts';
import { openKeyring } from '../../protocol/records/keyring-roster.ts';
import { partyResult, type PartyResult } from '../../protocol/records/party-result.ts';
import { openWorkspace } from '../../protocol/records/workspace.ts';
import type { KeyView, RequestView } from '../../protocol/rpc.ts';
import {
  buildGenesis,
  buildKeyRequest,
  buildRosterDraft,
  buildSignRequest,
  type BuiltRecord,
} from '../../client/records.ts';

export const networkId = 'local-00000001';
export const now = Date.parse('2031-05-06T07:08:09.000Z');

/** 32 bytes that belong to a name. */
export function seedOf(name: string): Uint8Array {
  return new Uint8Array(createHash('sha256').update(name).digest());
}

export const signerOf = (name: string): Signer => ed25519Signer(seedOf(name));

const twoOwners: Policy = {
  version: 1,
  rules: [
    {
      id: 'two',
      effect: 'allow',
      when: { kind: ['message', 'key.request'] },
      require: { k: 2, of: 'owners' },
    },
  ],
};

const partyNames = ['party-1', 'party-2', 'party-3'];
export const parties: readonly Signer[] = partyNames.map(signerOf);
export const alice: Signer = signerOf('alice');
export const bob: Signer = signerOf('bob');
const admin = signerOf('admin');

const draft = buildRosterDraft(
  {
    networkId,
    now,
    name: 'three operators',
    threshold: 2,
    parties: parties.map(({ credential }, index) => ({
      name: `party-${index + 1}`,
      key: credential,
      addresses: [],
    })),
  },
  admin,
);
export const roster: Envelope = parties.reduce(
  (envelope, party) => addSignature(envelope, networkId, party),
  draft.envelope,
);
export const keyring = openKeyring(roster, networkId);

export const genesis: BuiltRecord = buildGenesis(
  {
    networkId,
    now,
    name: 'treasury',
    owners: [
      { name: 'alice', credentials: [alice.credential] },
      { name: 'bob', credentials: [bob.credential] },
    ],
    keyrings: [keyring.id],
    signPolicy: twoOwners,
  },
  alice,
);
export const workspace = openWorkspace([genesis.envelope], networkId);

export const keyRequest: BuiltRecord = buildKeyRequest(
  { networkId, now, workspace, keyringId: keyring.id, keyType: 'ed25519', label: 'hot wallet' },
  alice,
);
const keySeed = seedOf('the key');
export const publicKey: Hex = toHex(publicKeyOf(keySeed));
export const key: VerifiedKey = {
  id: keyRequest.id,
  workspaceId: workspace.id,
  keyringId: keyring.id,
  keyType: 'ed25519',
  publicKey,
  label: 'hot wallet',
};

/** A party's own record about a request. */
export function resultOf(party: Signer, subject: Hex, result: PartyResult['result']): Envelope {
  const content = {
    networkId,
    subject,
    keyringId: keyring.id,
    epoch: keyring.epoch,
    party: party.credential,
    result,
  };
  return createRecord(partyResult, content, party);
}

export const certificate: readonly Envelope[] = parties.map((party) =>
  resultOf(party, keyRequest.id, {
    kind: 'key',
    keyType: 'ed25519',
    publicKey,
    chainCode: toHex(seedOf('chain code')),
    commitments: [publicKey, toHex(publicKeyOf(seedOf('second commitment')))],
    transcript: toHex(seedOf('transcript')),
  }),
);

export const keyView: KeyView = {
  keyId: keyRequest.id,
  workspaceId: workspace.id,
  keyringId: keyring.id,
  label: 'hot wallet',
  keyType: 'ed25519',
  state: 'fulfilled',
  publicKey,
  addresses: addressesOf('ed25519', fromHex(publicKey)),
  request: keyRequest.envelope,
  certificate: [...certificate],
  roster,
};

/** A sign request for one message, by alice. */
export function signRequest(text: string): BuiltRecord {
  const payload = messagePayload(new TextEncoder().encode(text));
  return buildSignRequest({ networkId, now, workspace, items: [{ keyId: key.id, payload }] }, alice);
}

export function evidenceFor(request: Envelope): Evidence {
  return {
    log: [genesis.envelope],
    roster,
    request,
    decisions: [],
    keys: [{ request: keyRequest.envelope, certificate: [...certificate] }],
  };
}

/** The key's true signature of a text, as its message payload is signed. */
export function signatureOf(text: string): Hex {
  const payload = messagePayload(new TextEncoder().encode(text));
  const { message } = decodePayload(payload, { keyType: 'ed25519', publicKey: fromHex(publicKey) });
  return toHex(sign(keySeed, message));
}

/** How a coordinator shows the fulfilled request for a text. */
export function fulfilledView(request: BuiltRecord, signatures: readonly Hex[]): RequestView {
  return {
    requestId: request.id,
    kind: 'sign',
    workspaceId: workspace.id,
    keyringId: keyring.id,
    state: 'fulfilled',
    request: request.envelope,
    decisions: [],
    votes: { have: 2, need: 2, refused: 0 },
    results: [],
    signatures: [...signatures],
    mayHaveBeenSigned: false,
    created: timestamp(now),
    expires: timestamp(now + 3600_000),
    updated: timestamp(now),
  };
}

/** The grant of party 1 for a connector. */
export function grantFor(connector: Signer, expires: number): Envelope {
  const party = parties[0] as Signer;
  return createRecord(
    connectorGrant,
    {
      networkId,
      keyringId: keyring.id,
      party: party.credential,
      connector: connector.credential,
      expires: timestamp(expires),
    },
    party,
  );
}
