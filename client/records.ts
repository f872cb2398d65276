// Builders of the records that people and services sign: defaults for what nobody wants to think about (nonces, times,
// sequence numbers), and the checks that every verifier will make anyway.
import { defaultRequestLifetime, maxRequestLifetime } from '../protocol/authorize.ts';
import { type Hex, toHex } from '../protocol/hex.ts';
import type { KeyType } from '../protocol/keys/key-type.ts';
import type { Payload } from '../protocol/payloads/payload.ts';
import type { Plan } from '../protocol/policy/plan.ts';
import { defaultAdminPolicy, defaultPolicy, type Policy } from '../protocol/policy/schema.ts';
import { aboutOf } from '../protocol/records/about.ts';
import { type Decision, decision as decisionRecord } from '../protocol/records/decision.ts';
import {
  createRecord,
  type Envelope,
  envelopeId,
  readContent,
  RecordError,
  type RecordType,
  type Signer,
  verifyRecord,
} from '../protocol/records/envelope.ts';
import { type Credential, credentialType, timestamp } from '../protocol/records/fields.ts';
import { keyringRoster, type Party } from '../protocol/records/keyring-roster.ts';
import {
  type Origin,
  type Request,
  request as requestRecord,
  type SignRequest,
} from '../protocol/records/request.ts';
import { type Change, type WorkspaceChange, workspaceChange } from '../protocol/records/workspace-change.ts';
import { type Principal, workspaceGenesis } from '../protocol/records/workspace-genesis.ts';
import { checkChange, openWorkspace, ownerOf, type Workspace } from '../protocol/records/workspace.ts';

/** How long an approval may be used when its maker says nothing, in milliseconds: after the delay that it waits for. */
export const defaultApprovalLifetime = 3600_000;
/** How long a change may be decided on when its maker says nothing, in milliseconds. */
export const defaultChangeLifetime = 7 * 24 * 3600_000;

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
  /**
   * Default: any one owner alone, for transactions and key requests. Warn whoever takes this default. A child workspace
   * without one is under its parent's, whatever that becomes.
   */
  readonly signPolicy?: Policy;
  /** Of a child workspace: its parent, whose owners have to name it too (`child.add`). */
  readonly parent?: Hex;
}

/** A workspace's genesis, signed by one of its owners. Throws RecordError when no verifier would accept it. */
export function buildGenesis(options: GenesisOptions, signer: Author): BuiltRecord {
  const { networkId, name, owners, keyrings, parent } = options;
  const { created, nonce } = fresh(options);
  const adminPolicy = options.adminPolicy ?? defaultAdminPolicy(owners.length);
  const signPolicy = options.signPolicy ?? (parent === undefined ? defaultPolicy : undefined);
  const built = build(
    workspaceGenesis,
    {
      networkId,
      name,
      owners: [...owners],
      keyrings: [...keyrings],
      adminPolicy,
      ...(signPolicy && { signPolicy }),
      ...(parent !== undefined && { parent }),
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
  /** Of a child workspace: its parent, as its verified log tells it. The request is void under any other state of that, too. */
  readonly parent?: Pick<Workspace, 'head'>;
  /** Milliseconds until the request ends; default 24 hours, at most 30 days: rules may end it before. */
  readonly lifetimeMs?: number;
}

function requestBase(options: RequestOptions, signer: Author) {
  const { networkId, workspace, parent, lifetimeMs = defaultRequestLifetime } = options;
  const { now, created, nonce } = fresh(options);
  return {
    networkId,
    workspaceId: workspace.id,
    initiator: ownerWith(workspace, signer, requestRecord.type).name,
    logHead: { ...workspace.head },
    ...(parent && { parentHead: { ...parent.head } }),
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
  /** The sign policy of this key alone, instead of the workspace's, until the workspace's log gives it another. */
  readonly policy?: Policy;
}

/** Asks for a new key; the record's id is the key's id. Throws RecordError. */
export function buildKeyRequest(options: KeyRequestOptions, signer: Author): BuiltRecord {
  const { keyringId, keyType, label, origin, policy } = options;
  const base = requestBase(options, signer);
  const content: Request = {
    ...base,
    kind: 'key',
    keyringId,
    keyType,
    label,
    ...origin,
    ...(policy && { policy }),
  };
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

export interface ChangeOptions extends BuildOptions {
  /** The workspace as its verified log tells it (`openWorkspace`): the change follows its head and no other. */
  readonly workspace: Workspace;
  readonly change: Change;
  /** Milliseconds for which it may be decided on; default 7 days, at most 30 days. */
  readonly lifetimeMs?: number;
}

/**
 * Proposes a change of a workspace, as one of its owners. Each credential that it brings in still has to sign it
 * (`addSignature`). Throws RecordError when no verifier would accept it, whatever the owners decide.
 */
export function buildChange(options: ChangeOptions, signer: Signer): BuiltRecord {
  const { networkId, workspace, change, lifetimeMs = defaultChangeLifetime } = options;
  const { now, created, nonce } = fresh(options);
  const content: WorkspaceChange = {
    networkId,
    workspaceId: workspace.id,
    seq: workspace.head.seq + 1,
    prev: workspace.head.id,
    initiator: ownerWith(workspace, signer, workspaceChange.type).name,
    change,
    created,
    expires: timestamp(now + Math.min(lifetimeMs, maxRequestLifetime)),
    nonce,
  };
  const built = build(workspaceChange, content, signer);
  checkChange(workspace, content.change);
  return built;
}

export interface DecisionBase extends BuildOptions {
  /** The workspace at whose head it is decided. */
  readonly workspace: Pick<Workspace, 'id' | 'head' | 'owners'>;
  /** Of a child workspace that is under its parent's sign policy: the parent, whose owners decide on requests too. */
  readonly parent?: Pick<Workspace, 'id' | 'owners'>;
  /**
   * The request or the change that is decided on, whose bytes a wallet is shown: give what was verified. Its id alone where nobody
   * is shown anything; a wallet then approves nothing.
   */
  readonly subject: Envelope | Hex;
  /** All decisions on it so far, of anybody. */
  readonly decisions: readonly Envelope[];
}

export type DecisionOptions = DecisionBase &
  (
    | {
        readonly decision: 'approve';
        /** Milliseconds for which the approval may be used; default: `delayMs` and one hour. */
        readonly lifetimeMs?: number;
        /** Milliseconds that the action must wait before it can be signed (`longestDelay`); default none. */
        readonly delayMs?: number;
      }
    | { readonly decision: 'reject'; readonly reason?: string }
    /** As if its maker had not decided. An initiator who withdraws no longer approves its own action. */
    | { readonly decision: 'withdraw' }
  );

/** The longest delay, in milliseconds, of the rules that may allow an action: for so long an approval must hold at least. */
export function longestDelay({ items }: Pick<Plan, 'items'>): number {
  return Math.max(0, ...items.flatMap(({ rules }) => rules.map(({ delayMs }) => delayMs)));
}

/** The highest seq of the principal's own decisions. What others put among them cannot drive it up: it must be signed. */
function highestSeq(options: DecisionBase, subject: Hex, principal: Principal): number {
  const own = options.decisions.flatMap((envelope) => {
    try {
      const { content, signedBy } = verifyRecord(decisionRecord, envelope, options.networkId);
      const signed = signedBy.every((credential) => principal.credentials.includes(credential));
      return signed && content.subject === subject && content.principal === principal.name
        ? [content.seq]
        : [];
    } catch {
      return []; // Not a decision that counts anywhere.
    }
  });
  return Math.max(0, ...own);
}

/** The decider as whom `signer` acts. Throws RecordError `missing_signature`. */
function deciderWith({ workspace, parent }: DecisionBase, signer: Author): Principal {
  const owner =
    (parent && ownerOf(parent, signer.credential)) ?? ownerWith(workspace, signer, decisionRecord.type);
  // Who is an owner of both signs with credentials of either.
  const both = [...workspace.owners, ...(parent?.owners ?? [])].filter(({ name }) => name === owner.name);
  return { name: owner.name, credentials: both.flatMap(({ credentials }) => credentials) };
}

/** What is decided on, as its own bytes tell it. Throws RecordError. */
function subjectFrom({ subject, networkId }: DecisionBase): { id: Hex; about?: readonly string[] } {
  if (typeof subject === 'string') return { id: subject };
  if (subject.type === workspaceChange.type) {
    const { id, content } = readContent(workspaceChange, subject, networkId);
    return { id, about: aboutOf(workspaceChange, content) };
  }
  const { id, content } = readContent(requestRecord, subject, networkId);
  return { id, about: aboutOf(requestRecord, content) };
}

/**
 * Decides as the owner who has the signer's credential, after all decisions of that owner so far. A decision for a wallet or a
 * passkey carries what it is about. Throws RecordError: `wrong_about` when a wallet is to approve what is not given.
 */
export function buildDecision(options: DecisionOptions, signer: Author): BuiltRecord {
  const { networkId, workspace } = options;
  const { now } = fresh(options);
  const principal = deciderWith(options, signer);
  const kind = credentialType(signer.credential);
  const { id: subject, about } = subjectFrom(options);
  if (about === undefined && kind === 'eip712' && options.decision === 'approve')
    throw new RecordError(
      'wrong_about',
      decisionRecord.type,
      'a wallet must be shown what it approves: give the request or the change itself, not its id',
    );
  const base = {
    networkId,
    subject,
    principal: principal.name,
    seq: highestSeq(options, subject, principal) + 1,
    logHead: { ...workspace.head },
    // A key that a program holds is shown nothing.
    ...(about && kind !== 'ed25519' && { about: [...about] }),
  };
  return build(decisionRecord, { ...base, ...decided(options, now) }, signer);
}

type Decided =
  | Pick<Extract<Decision, { decision: 'approve' }>, 'decision' | 'expires'>
  | Pick<Extract<Decision, { decision: 'reject' }>, 'decision' | 'reason'>
  | Pick<Extract<Decision, { decision: 'withdraw' }>, 'decision'>;

function decided(options: DecisionOptions, now: number): Decided {
  switch (options.decision) {
    case 'approve': {
      const { delayMs = 0, lifetimeMs = delayMs + defaultApprovalLifetime } = options;
      return { decision: 'approve', expires: timestamp(now + lifetimeMs) };
    }
    case 'reject':
      return { decision: 'reject', ...(options.reason !== undefined && { reason: options.reason }) };
    case 'withdraw':
      return { decision: 'withdraw' };
  }
}
