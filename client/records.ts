// Builders of the records that people and services sign: defaults for what nobody wants to think about (nonces, times,
// sequence numbers), and the checks that every verifier will make anyway.
import { maxRequestLifetime } from '../protocol/authorize.ts';
import { type Hex, toHex } from '../protocol/hex.ts';
import type { KeyType } from '../protocol/keys/key-type.ts';
import type { Payload } from '../protocol/payloads/payload.ts';
import { defaultAdminPolicy, defaultPolicy, type Policy } from '../protocol/policy/schema.ts';
import { type Decision, decision as decisionRecord } from '../protocol/records/decision.ts';
import {
  createRecord,
  type Envelope,
  envelopeId,
  RecordError,
  type RecordType,
  type Signer,
  verifyRecord,
} from '../protocol/records/envelope.ts';
import { type Credential, timestamp } from '../protocol/records/fields.ts';
import { keyringRoster, type Party } from '../protocol/records/keyring-roster.ts';
import {
  type Origin,
  type Request,
  request as requestRecord,
  type SignRequest,
} from '../protocol/records/request.ts';
import { type Principal, workspaceGenesis } from '../protocol/records/workspace-genesis.ts';
import { openWorkspace, ownerOf, type Workspace } from '../protocol/records/workspace.ts';

/** How long an approval may be used when its maker says nothing, in milliseconds. */
export const defaultApprovalLifetime = 3600_000;

export interface BuildOptions {
  readonly networkId: string;
  /** Milliseconds since 1970; default: the machine's clock. */
  readonly now?: number;
  /** That many fresh random bytes; default: the runtime's generator. */
  readonly random?: (length: number) => Uint8Array;
}

/** A signed record and its id, which is also the id of the thing that it makes. */
export interface BuiltRecord {
  readonly id: Hex;
  readonly envelope: Envelope;
}

/**
 * Who makes a record: a signer, whose signature it then has, or the credential alone of one who signs outside, a wallet or a
 * passkey: then it is a draft without signature (see owner-signatures.ts).
 */
export type Author = Signer | { readonly credential: Credential; readonly sign?: never };

const nonceBytes = 16;

function fresh(options: BuildOptions): { now: number; created: string; nonce: Hex } {
  const now = options.now ?? Date.now();
  const random = options.random ?? ((length: number) => crypto.getRandomValues(new Uint8Array(length)));
  return { now, created: timestamp(now), nonce: toHex(random(nonceBytes)) };
}

function build<Content extends { networkId: string }>(
  kind: RecordType<Content>,
  content: Content,
  author: Author,
): BuiltRecord {
  const envelope = createRecord(kind, content, ...(author.sign === undefined ? [] : [author]));
  return { id: envelopeId(envelope, content.networkId), envelope };
}

/** The owner as whom `signer` acts. Throws RecordError `missing_signature`. */
function ownerWith(workspace: Pick<Workspace, 'id' | 'owners'>, signer: Author, type: string): Principal {
  const owner = ownerOf(workspace as Workspace, signer.credential);
  if (owner !== undefined) return owner;
  const message = `${signer.credential} is no owner of workspace ${workspace.id}: sign as one of its owners`;
  throw new RecordError('missing_signature', type, message);
}

export interface GenesisOptions extends BuildOptions {
  readonly name: string;
  /** Principals with distinct names and credentials; the signer is one of them. */
  readonly owners: readonly Principal[];
  /** Ids of the keyrings whose keys the workspace may make and use. */
  readonly keyrings: readonly Hex[];
  /** Default: a majority of the owners. */
  readonly adminPolicy?: Policy;
  /** Default: any one owner alone, for transactions and key requests. Warn whoever takes this default. */
  readonly signPolicy?: Policy;
}

/** A workspace's genesis, signed by one of its owners. Throws RecordError when no verifier would accept it. */
export function buildGenesis(options: GenesisOptions, signer: Author): BuiltRecord {
  const { networkId, name, owners, keyrings } = options;
  const { created, nonce } = fresh(options);
  const adminPolicy = options.adminPolicy ?? defaultAdminPolicy(owners.length);
  const signPolicy = options.signPolicy ?? defaultPolicy;
  const built = build(
    workspaceGenesis,
    {
      networkId,
      name,
      owners: [...owners],
      keyrings: [...keyrings],
      adminPolicy,
      signPolicy,
      created,
      nonce,
    },
    signer,
  );
  if (signer.sign !== undefined) openWorkspace([built.envelope], networkId);
  else ownerWith({ id: built.id, owners }, signer, workspaceGenesis.type);
  return built;
}

export interface RosterOptions extends BuildOptions {
  readonly name: string;
  /** As each operator introduced its node; their order gives each its identifier in threshold protocols. */
  readonly parties: readonly Party[];
  /** 2 to the number of parties: how many it takes to sign. */
  readonly threshold: number;
  /** Whom the keyring serves; default: everybody. */
  readonly serves?: 'open' | readonly Hex[];
  /** Default: the signer alone. */
  readonly admins?: readonly Credential[];
}

/**
 * A keyring's roster, signed by an admin only: every party still has to add its signature (`addSignature`). Throws
 * RecordError.
 */
export function buildRosterDraft(options: RosterOptions, signer: Signer): BuiltRecord {
  const { networkId, name, parties, threshold, serves = 'open', admins = [signer.credential] } = options;
  if (!admins.includes(signer.credential)) {
    throw new RecordError(
      'missing_signature',
      keyringRoster.type,
      `${signer.credential} is none of the admins`,
    );
  }
  return build(
    keyringRoster,
    {
      networkId,
      name,
      admins: [...admins],
      parties: [...parties],
      threshold,
      epoch: 1,
      serves: serves === 'open' ? serves : [...serves],
      ...pick(fresh(options)),
    },
    signer,
  );
}

function pick({ created, nonce }: { created: string; nonce: Hex }): { created: string; nonce: Hex } {
  return { created, nonce };
}

export interface RequestOptions extends BuildOptions {
  /** The workspace as its verified log tells it (`openWorkspace`): the request is void under any other state of it. */
  readonly workspace: Pick<Workspace, 'id' | 'head' | 'owners'>;
  /** Milliseconds until the request ends; default, and at most, 24 hours. */
  readonly lifetimeMs?: number;
}

function requestBase(options: RequestOptions, signer: Author) {
  const { networkId, workspace, lifetimeMs = maxRequestLifetime } = options;
  const { now, created, nonce } = fresh(options);
  return {
    networkId,
    workspaceId: workspace.id,
    initiator: ownerWith(workspace, signer, requestRecord.type).name,
    logHead: { ...workspace.head },
    created,
    // Verifiers end it after the longest lifetime whatever it says: better that it says so itself.
    expires: timestamp(now + Math.min(lifetimeMs, maxRequestLifetime)),
    nonce,
  };
}

export interface KeyRequestOptions extends RequestOptions {
  readonly keyringId: Hex;
  readonly keyType: KeyType;
  /** A title for people. */
  readonly label: string;
  /** Of a key to be derived instead of generated: from which generated key of the same type, and how. */
  readonly origin?: Origin;
}

/** Asks for a new key; the record's id is the key's id. Throws RecordError. */
export function buildKeyRequest(options: KeyRequestOptions, signer: Author): BuiltRecord {
  const { keyringId, keyType, label, origin } = options;
  const base = requestBase(options, signer);
  const content: Request = { ...base, kind: 'key', keyringId, keyType, label, ...origin };
  return build(requestRecord, content, signer);
}

export interface SignRequestOptions extends RequestOptions {
  /** 1 to 50, signed all or none; all keys of one type and one keyring. */
  readonly items: readonly { readonly keyId: Hex; readonly payload: Payload }[];
}

/** Asks for signatures. Throws RecordError. */
export function buildSignRequest(options: SignRequestOptions, signer: Author): BuiltRecord {
  const items = options.items.map(({ keyId, payload }) => ({ keyId, payload }));
  const content: SignRequest = { ...requestBase(options, signer), kind: 'sign', items };
  return build<Request>(requestRecord, content, signer);
}

interface DecisionBase extends BuildOptions {
  readonly workspace: Pick<Workspace, 'id' | 'head' | 'owners'>;
  /** Id of the request. */
  readonly subject: Hex;
  /** All decisions on the request so far, of anybody. */
  readonly decisions: readonly Envelope[];
}

export type DecisionOptions = DecisionBase &
  (
    | {
        readonly decision: 'approve';
        /** Milliseconds for which the approval may be used; default one hour. */
        readonly lifetimeMs?: number;
      }
    | { readonly decision: 'reject'; readonly reason?: string }
  );

/** The highest seq of the principal's own decisions. What others put among them cannot drive it up: it must be signed. */
function highestSeq(options: DecisionBase, principal: Principal): number {
  const own = options.decisions.flatMap((envelope) => {
    try {
      const { content, signedBy } = verifyRecord(decisionRecord, envelope, options.networkId);
      const signed = signedBy.every((credential) => principal.credentials.includes(credential));
      return signed && content.subject === options.subject && content.principal === principal.name
        ? [content.seq]
        : [];
    } catch {
      return []; // Not a decision that counts anywhere.
    }
  });
  return Math.max(0, ...own);
}

/** Approves or rejects as the owner who has the signer's credential, after all decisions of that owner so far. */
export function buildDecision(options: DecisionOptions, signer: Author): BuiltRecord {
  const { networkId, workspace, subject } = options;
  const { now } = fresh(options);
  const principal = ownerWith(workspace, signer, decisionRecord.type);
  const base = {
    networkId,
    subject,
    principal: principal.name,
    seq: highestSeq(options, principal) + 1,
    logHead: { ...workspace.head },
  };
  const content: Decision =
    options.decision === 'approve'
      ? {
          ...base,
          decision: 'approve',
          expires: timestamp(now + (options.lifetimeMs ?? defaultApprovalLifetime)),
        }
      : { ...base, decision: 'reject', ...(options.reason !== undefined && { reason: options.reason }) };
  return build(decisionRecord, content, signer);
}
