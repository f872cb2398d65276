// One record of every type with fixed keys and content, so that ids and signatures are always the same; and what tests
// do to them.
import assert from 'node:assert/strict';
import { base64urlnopad } from '@scure/base';
import { toHex } from '../../protocol/hex.ts';
import { encodeCanonical } from '../../protocol/records/canonical.ts';
import { connectorGrant } from '../../protocol/records/connector-grant.ts';
import type { Policy } from '../../protocol/policy/schema.ts';
import { decision } from '../../protocol/records/decision.ts';
import {
  addSignature,
  createRecord,
  type Envelope,
  RecordError,
  type RecordErrorCode,
  type RecordType,
  type Signer,
  type VerifiedRecord,
  verifyRecord,
} from '../../protocol/records/envelope.ts';
import { keyringRoster } from '../../protocol/records/keyring-roster.ts';
import { partyResult } from '../../protocol/records/party-result.ts';
import { request } from '../../protocol/records/request.ts';
import { workspaceChange } from '../../protocol/records/workspace-change.ts';
import { workspaceGenesis } from '../../protocol/records/workspace-genesis.ts';
import { networkId, seedOf, signerOf } from './fixture.ts';

export interface Sample {
  readonly name: string;
  // The types of contents differ; samples are handled by what all records have in common.
  readonly kind: RecordType<{ networkId: string }>;
  readonly content: { readonly networkId: string } & Readonly<Record<string, unknown>>;
  readonly signers: readonly Signer[];
  readonly envelope: Envelope;
}

export const alice = signerOf('sample', 'alice');
export const bob = signerOf('sample', 'bob');
export const admin = signerOf('sample', 'admin');
export const connector = signerOf('sample', 'connector');
export const parties = [1, 2, 3].map((index) => signerOf('sample', 'party', index));
const [party] = parties as [Signer, ...Signer[]];

const hash = (name: string) => toHex(seedOf('sample', name));
const nonce = (name: string) => toHex(seedOf('sample', 'nonce', name).subarray(0, 16));
const created = '2030-01-31T12:00:00.000Z';
const expires = '2030-01-31T13:00:00.000Z';
const epoch = { roster: 1, run: 0 };

function sample<Content extends { networkId: string }>(
  name: string,
  kind: RecordType<Content>,
  content: Content,
  ...signers: readonly Signer[]
): Sample {
  const envelope = createRecord(kind, content, ...signers);
  return { name, kind: kind as unknown as Sample['kind'], content: { ...content }, signers, envelope };
}

const genesis = {
  networkId,
  name: 'Treasury',
  owners: [
    { name: 'alice', credentials: [alice.credential] },
    { name: 'bob', credentials: [bob.credential, signerOf('sample', 'bob', 'second').credential] },
  ],
  keyrings: [hash('keyring')],
  adminPolicy: {
    version: 1 as const,
    rules: [
      {
        id: 'majority',
        effect: 'allow' as const,
        when: { kind: ['workspace.change' as const] },
        require: { k: 2, of: 'owners' as const },
      },
    ],
  },
  signPolicy: {
    version: 1 as const,
    rules: [
      { id: 'no-blind', effect: 'deny' as const, when: { kind: ['digest' as const] } },
      {
        id: 'spend',
        effect: 'allow' as const,
        require: { k: 1, of: ['alice', 'bob'] },
        reject: { k: 1, of: 'owners' as const },
      },
    ],
  },
  created,
  nonce: nonce('genesis'),
};

const roster = {
  networkId,
  name: 'Three operators',
  admins: [admin.credential],
  parties: parties.map(({ credential }, index) => ({
    name: `party-${index + 1}`,
    key: credential,
    addresses: [`/ip4/10.0.0.${index + 1}/tcp/4001`],
  })),
  threshold: 2,
  epoch: 1 as const,
  serves: [hash('workspace')],
  created,
  nonce: nonce('roster'),
};

const asked = {
  networkId,
  workspaceId: hash('workspace'),
  initiator: 'alice',
  logHead: { seq: 0, id: hash('workspace') },
  created,
  expires,
};

const decided = {
  networkId,
  subject: hash('request'),
  principal: 'bob',
  seq: 1,
  logHead: { seq: 0, id: hash('workspace') },
};

const reported = {
  networkId,
  subject: hash('request'),
  keyringId: hash('keyring'),
  epoch,
  party: party.credential,
};
const publicKey = toHex(seedOf('sample', 'public key'));

const { signPolicy: _, ...childGenesis } = genesis;
const carol = signerOf('sample', 'carol');
const proposed = {
  networkId,
  workspaceId: hash('workspace'),
  seq: 1,
  prev: hash('workspace'),
  initiator: 'alice',
  created,
  expires,
};
/** Everything that a rule can say. */
const keyPolicy: Policy = {
  version: 1,
  groups: { ops: ['alice', 'bob'] },
  lists: { payroll: [`0x${'ab'.repeat(20)}`] },
  assets: { USDC: { chain: 'eip155:1', address: `0x${'a0'.repeat(20)}`, decimals: 6 } },
  rules: [
    {
      id: 'small',
      effect: 'allow',
      when: {
        chain: ['eip155:1'],
        asset: ['USDC'],
        to: { in: 'payroll' },
        amount: { lte: '500' },
        hours: { tz: 'UTC', days: 'mon-fri', from: '08:00', to: '18:00' },
      },
      limit: { amount: '5000', per: '24h', scope: 'key' },
      require: { all: [{ k: 1, of: 'ops', excludeInitiator: true, credential: ['ed25519'] }] },
      reject: { any: [{ k: 1, of: 'owners' }] },
      delay: '10m',
      ttl: '24h',
    },
  ],
};

export const samples: readonly Sample[] = [
  sample('workspace.genesis', workspaceGenesis, genesis, alice),
  sample(
    'workspace.genesis, child',
    workspaceGenesis,
    { ...childGenesis, parent: hash('workspace'), nonce: nonce('child') },
    alice,
  ),
  sample(
    'workspace.change, owner',
    workspaceChange,
    {
      ...proposed,
      change: { kind: 'owner.add', owner: { name: 'carol', credentials: [carol.credential] } },
      nonce: nonce('owner'),
    },
    alice,
    carol,
  ),
  sample(
    'workspace.change, policy',
    workspaceChange,
    {
      ...proposed,
      change: { kind: 'policy.key', keyId: hash('key'), policy: keyPolicy },
      nonce: nonce('policy'),
    },
    alice,
  ),
  sample(
    'workspace.change, resolve',
    workspaceChange,
    { ...proposed, change: { kind: 'resolve', stands: hash('entry') }, nonce: nonce('resolve') },
    alice,
  ),
  sample('keyring.roster', keyringRoster, roster, admin, ...parties),
  sample('keyring.roster, open', keyringRoster, { ...roster, serves: 'open' as const }, admin, ...parties),
  sample(
    'connector.grant',
    connectorGrant,
    {
      networkId,
      keyringId: hash('keyring'),
      party: party.credential,
      connector: connector.credential,
      expires,
    },
    party,
  ),
  sample(
    'request, key',
    request,
    {
      ...asked,
      nonce: nonce('key'),
      kind: 'key',
      keyringId: hash('keyring'),
      keyType: 'ed25519',
      label: 'Hot wallet',
    },
    alice,
  ),
  sample(
    'request, derived key',
    request,
    {
      ...asked,
      nonce: nonce('derived key'),
      kind: 'key',
      keyringId: hash('keyring'),
      keyType: 'ed25519',
      label: 'Customer 7',
      parent: hash('key'),
      path: 'm/0/7',
    },
    alice,
  ),
  sample(
    'request, sign',
    request,
    {
      ...asked,
      nonce: nonce('sign'),
      kind: 'sign',
      items: [
        { keyId: hash('key'), payload: { kind: 'message', data: '0x6869' } },
        { keyId: hash('key'), payload: { kind: 'message', data: '0x686f' } },
      ],
    },
    alice,
  ),
  sample(
    'request, in a child workspace',
    request,
    {
      ...asked,
      parentHead: { seq: 3, id: hash('parent') },
      nonce: nonce('child key'),
      kind: 'key',
      keyringId: hash('keyring'),
      keyType: 'ed25519',
      label: 'Hot wallet',
      policy: genesis.signPolicy,
    },
    alice,
  ),
  sample('decision, withdraw', decision, { ...decided, decision: 'withdraw' }, bob),
  sample('decision, approve', decision, { ...decided, decision: 'approve', expires }, bob),
  sample(
    'decision, approve, about',
    decision,
    {
      ...decided,
      decision: 'approve',
      expires,
      about: ['Ask for 1 signature', 'items: 1. message by key 0x00: 2 bytes, no transaction'],
    },
    bob,
  ),
  sample('decision, reject', decision, { ...decided, decision: 'reject', reason: 'Unknown recipient' }, bob),
  sample(
    'party.result, signatures',
    partyResult,
    { ...reported, result: { kind: 'signatures', signatures: [`0x${'ab'.repeat(64)}`] } },
    party,
  ),
  sample(
    'party.result, key',
    partyResult,
    {
      ...reported,
      result: {
        kind: 'key',
        keyType: 'ed25519',
        publicKey,
        chainCode: hash('chain code'),
        commitments: [publicKey, hash('second commitment')],
        transcript: hash('transcript'),
      },
    },
    party,
  ),
  sample(
    'party.result, refusal',
    partyResult,
    { ...reported, result: { kind: 'refusal', code: 'not_authorised', reason: 'policy' } },
    party,
  ),
];

/** The sample of that name. */
export function sampleOf(name: string): Sample {
  const found = samples.find((sample) => sample.name === name);
  assert.ok(found, name);
  return found;
}

/** Asserts that `work` throws a RecordError of one of these codes, and with these words. */
export function refuses(
  codes: RecordErrorCode | readonly RecordErrorCode[],
  work: () => unknown,
  words = /./,
): void {
  assert.throws(work, (error) => {
    assert.ok(error instanceof RecordError, String(error));
    assert.ok([codes].flat().includes(error.code), `${error.code}: ${error.message}`);
    assert.match(error.message, words);
    return true;
  });
}

/** Verifies an envelope as a record of the sample's type. */
export const verify = (sample: Sample, envelope: Envelope): VerifiedRecord<{ networkId: string }> =>
  verifyRecord(sample.kind, envelope, networkId);

/** The envelope with other bytes under the same signatures. */
export function withContent(envelope: Envelope, content: unknown): Envelope {
  return { ...envelope, bytes: base64urlnopad.encode(encodeCanonical(content)) };
}

/** The record made anew by its signers, whatever its content is. */
export function signedAnew(sample: Sample, content: unknown): Envelope {
  const unsigned = withContent({ ...sample.envelope, signatures: [] }, content);
  return sample.signers.reduce((envelope, signer) => addSignature(envelope, networkId, signer), unsigned);
}
