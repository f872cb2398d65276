// A small world for tests: owners, parties, a keyring and a workspace, with builders for every signed record.
import { createHash } from 'node:crypto';
import type { Evidence } from '../../protocol/authorize.ts';
import type { KeyType } from '../../protocol/keys/key-type.ts';
import { type Hex, toHex } from '../../protocol/hex.ts';
import type { Payload } from '../../protocol/payloads/payload.ts';
import { defaultAdminPolicy, type Policy, transactionKinds } from '../../protocol/policy/schema.ts';
import { connectorGrant } from '../../protocol/records/connector-grant.ts';
import { decision } from '../../protocol/records/decision.ts';
import {
  createRecord,
  ed25519Signer,
  type Envelope,
  envelopeId,
  type Signer,
} from '../../protocol/records/envelope.ts';
import { type Credential, type LogHead, timestamp } from '../../protocol/records/fields.ts';
import { type Keyring, keyringRoster, openKeyring } from '../../protocol/records/keyring-roster.ts';
import { type PartyResult, partyResult } from '../../protocol/records/party-result.ts';
import { type Origin, request } from '../../protocol/records/request.ts';
import { openWorkspace, type Workspace } from '../../protocol/records/workspace.ts';
import { workspaceGenesis } from '../../protocol/records/workspace-genesis.ts';

export const networkId = 'test-network';
export const start = Date.parse('2030-01-01T00:00:00.000Z');
export const hour = 3600_000;

/** 32 bytes that depend on the words only. */
export function seedOf(...words: readonly (string | number)[]): Uint8Array {
  return new Uint8Array(createHash('sha256').update(words.join('/')).digest());
}

export function signerOf(...words: readonly (string | number)[]): Signer {
  return ed25519Signer(seedOf(...words));
}

let fresh = 0;
function nonce(): Hex {
  return toHex(seedOf('nonce', ++fresh).subarray(0, 16));
}

/** Two of three owners for transactions and messages, any one for keys. */
export const twoOfThree: Policy = {
  version: 1,
  rules: [
    {
      id: 'spend',
      effect: 'allow',
      when: { kind: ['solana.transaction', 'message'] },
      require: { k: 2, of: 'owners' },
    },
    { id: 'keys', effect: 'allow', when: { kind: ['key.request'] }, require: { k: 1, of: 'owners' } },
  ],
};

/** Any one owner is enough: requests are pending at once. */
export const alonePolicy: Policy = {
  version: 1,
  rules: [
    {
      id: 'any',
      effect: 'allow',
      when: { kind: ['message', 'key.request'] },
      require: { k: 1, of: 'owners' },
    },
  ],
};

/** As `twoOfThree`, for every kind of transaction. */
export const twoOfThreeAnyChain: Policy = {
  ...twoOfThree,
  rules: twoOfThree.rules.map((rule) =>
    rule.id === 'spend'
      ? { ...rule, when: { kind: [...transactionKinds, 'message', 'evm.message', 'evm.typedData'] } }
      : rule,
  ),
};

export interface World {
  readonly owners: Readonly<Record<string, Signer>>;
  readonly parties: readonly Signer[];
  readonly keyring: Keyring;
  readonly workspace: Workspace;
  readonly genesis: Envelope;
}

export interface WorldOptions {
  readonly parties?: number;
  readonly threshold?: number;
  readonly owners?: readonly string[];
  /** Credentials that owners have besides their own key. */
  readonly credentials?: Readonly<Record<string, readonly Credential[]>>;
  readonly signPolicy?: Policy;
  /** Makes another world: other keys, other ids. */
  readonly name?: string;
  /** Addresses of the parties' nodes. */
  readonly addresses?: (index: number) => readonly string[];
  /** The workspaces that the keyring serves: any, unless named. */
  readonly serves?: readonly Hex[];
}

export function createWorld(options: WorldOptions = {}): World {
  const { parties: count = 3, threshold = 2, name = 'world', signPolicy = twoOfThree } = options;
  const ownerNames = options.owners ?? ['alice', 'bob', 'carol'];
  const owners = Object.fromEntries(ownerNames.map((owner) => [owner, signerOf(name, 'owner', owner)]));
  const parties = Array.from({ length: count }, (_, index) => signerOf(name, 'party', index));
  const admin = signerOf(name, 'admin');
  const roster = createRecord(
    keyringRoster,
    {
      networkId,
      name: `${name} keyring`,
      admins: [admin.credential],
      parties: parties.map((party, index) => ({
        name: `party-${index + 1}`,
        key: party.credential,
        addresses: [...(options.addresses?.(index) ?? [])],
      })),
      threshold,
      epoch: 1,
      serves: options.serves === undefined ? 'open' : [...options.serves],
      created: timestamp(start),
      nonce: toHex(seedOf(name, 'roster').subarray(0, 16)),
    },
    admin,
    ...parties,
  );
  const keyring = openKeyring(roster, networkId);
  const genesis = createRecord(
    workspaceGenesis,
    {
      networkId,
      name: `${name} workspace`,
      owners: Object.entries(owners).map(([owner, signer]) => ({
        name: owner,
        credentials: [signer.credential, ...(options.credentials?.[owner] ?? [])],
      })),
      keyrings: [keyring.id],
      adminPolicy: defaultAdminPolicy(ownerNames.length),
      signPolicy,
      created: timestamp(start),
      nonce: toHex(seedOf(name, 'genesis').subarray(0, 16)),
    },
    Object.values(owners)[0] as Signer,
  );
  return { owners, parties, keyring, workspace: openWorkspace([genesis], networkId), genesis };
}

export interface RequestOptions {
  readonly initiator?: string;
  readonly signer?: Signer;
  readonly created?: number;
  readonly expires?: number;
  /** 16 bytes; new with every request unless given. */
  readonly nonce?: Hex;
}

function base(world: World, options: RequestOptions) {
  const created = options.created ?? start;
  return {
    networkId,
    workspaceId: world.workspace.id,
    initiator: options.initiator ?? (Object.keys(world.owners)[0] as string),
    logHead: world.workspace.head,
    created: timestamp(created),
    expires: timestamp(options.expires ?? created + hour),
    nonce: options.nonce ?? nonce(),
  };
}

function signerFor(world: World, options: RequestOptions): Signer {
  return options.signer ?? (world.owners[options.initiator ?? Object.keys(world.owners)[0]!] as Signer);
}

export function keyRequest(
  world: World,
  options: RequestOptions & {
    label?: string;
    keyType?: KeyType;
    origin?: Origin;
    policy?: Policy;
    /** Of a request in a child workspace. */
    parentHead?: LogHead;
  } = {},
): Envelope {
  const { label = 'treasury', keyType = 'ed25519', origin, policy, parentHead } = options;
  const content = {
    ...base(world, options),
    kind: 'key' as const,
    keyringId: world.keyring.id,
    keyType,
    label,
    ...origin,
    ...(policy && { policy }),
    ...(parentHead && { parentHead }),
  };
  return createRecord(request, content, signerFor(world, options));
}

export function signRequest(
  world: World,
  items: readonly { keyId: Hex; payload: Payload }[],
  options: RequestOptions = {},
): Envelope {
  const content = { ...base(world, options), kind: 'sign' as const, items: [...items] };
  return createRecord(request, content, signerFor(world, options));
}

export function messagePayload(text: string): Payload {
  return { kind: 'message', data: toHex(new TextEncoder().encode(text)) };
}

export interface DecisionOptions {
  readonly seq?: number;
  readonly signer?: Signer;
  readonly expires?: number;
}

export function approve(
  world: World,
  subject: Hex,
  principal: string,
  options: DecisionOptions = {},
): Envelope {
  const { seq = 1, expires = start + hour, signer = world.owners[principal] as Signer } = options;
  const logHead = world.workspace.head;
  const content = {
    networkId,
    subject,
    principal,
    seq,
    logHead,
    decision: 'approve' as const,
    expires: timestamp(expires),
  };
  return createRecord(decision, content, signer);
}

export function reject(
  world: World,
  subject: Hex,
  principal: string,
  options: DecisionOptions = {},
): Envelope {
  const { seq = 1, signer = world.owners[principal] as Signer } = options;
  const content = {
    networkId,
    subject,
    principal,
    seq,
    logHead: world.workspace.head,
    decision: 'reject' as const,
  };
  return createRecord(decision, content, signer);
}

export function resultBy(world: World, party: Signer, subject: Hex, result: PartyResult['result']): Envelope {
  const { id: keyringId, epoch } = world.keyring;
  return createRecord(
    partyResult,
    { networkId, subject, keyringId, epoch, party: party.credential, result },
    party,
  );
}

export function grantFor(
  world: World,
  party: Signer,
  connector: Signer,
  expires = start + 365 * 24 * hour,
): Envelope {
  const content = {
    networkId,
    keyringId: world.keyring.id,
    party: party.credential,
    connector: connector.credential,
    expires: timestamp(expires),
  };
  return createRecord(connectorGrant, content, party);
}

export function idOf(envelope: Envelope): Hex {
  return envelopeId(envelope, networkId);
}

export function evidence(world: World, requestEnvelope: Envelope, parts: Partial<Evidence> = {}): Evidence {
  return {
    log: [world.genesis],
    roster: world.keyring.envelope,
    request: requestEnvelope,
    decisions: [],
    keys: [],
    ...parts,
  };
}
