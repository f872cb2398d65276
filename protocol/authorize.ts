// THE function that decides whether something may be signed: evidence in, verdict out. Coordinator, nodes, clients and
// auditors call this same code; a node calls it on what owners signed, never on what a coordinator says.
import * as z from 'zod';
import { fromHex, type Hex } from './hex.ts';
import {
  type DerivedKey,
  keyEntrySchema,
  KeyProofs,
  type ProvenKey,
  type VerifiedKey,
} from './key-proofs.ts';
import { type DecodedPayload, decodePayload } from './payloads/payload.ts';
import {
  type Deciders,
  kindsOfCredentials,
  type Positions,
  positionsOn,
  readDecisionOn,
  subjectOf,
} from './decisions.ts';
import { keyRequestFacts, policyFacts } from './policy/facts.ts';
import {
  hasApprovals,
  type Hold,
  judgePlan,
  type Ledger,
  type Missing,
  type Moment,
} from './policy/judge.ts';
import { defaultTtl, type Plan, planPolicy, type PlannedFor, type PolicyLevel } from './policy/plan.ts';
import { type CredentialType, unmeetable } from './policy/schema.ts';
import type { Subject } from './records/about.ts';
import { type Decision, decision as decisionRecord } from './records/decision.ts';
import { type Envelope, envelopeSchema, readContent, verifyRecord } from './records/envelope.ts';
import { sameLogHead, timeOf } from './records/fields.ts';
import { type Keyring, openKeyring } from './records/keyring-roster.ts';
import { type Request, request as requestRecord, type SignRequest } from './records/request.ts';
import { openWorkspace, ownerOf, type Workspace } from './records/workspace.ts';
import { Refused, type RefusalReason } from './refusal.ts';

export { defaultTtl as defaultRequestLifetime };
/** Longest life of any request, whatever it and the rules say. */
export const maxRequestLifetime = 30 * 24 * 3600_000;
/** How far ahead of a verifier's clock a record may have been made. */
export const maxClockAhead = 5 * 60_000;

/** Decisions in evidence. */
export const maxDecisions = 400;
/** Envelopes of a workspace's log, decisions among them. */
export const maxLogEnvelopes = 2000;

/** A workspace's log: genesis, then every change followed by its decisions. Form only. */
export const logSchema = z.array(envelopeSchema).min(1).max(maxLogEnvelopes);

/** Everything signed that a request needs to be judged. Form only; `authorize` verifies. */
export const evidenceSchema = z.strictObject({
  log: logSchema,
  /** Of a child workspace: its parent's log. */
  parentLog: logSchema.exactOptional(),
  roster: envelopeSchema,
  request: envelopeSchema,
  decisions: z.array(envelopeSchema).max(maxDecisions),
  /** Each key a sign request names, and the parents of derived ones; for a request of a derived key: its parent. */
  keys: z.array(keyEntrySchema).max(100),
});
export type Evidence = z.infer<typeof evidenceSchema>;

export { type KeyEntry, type VerifiedKey, verifyKey } from './key-proofs.ts';

/** One item of a sign request, decoded from the signed bytes. */
export interface AuthorisedItem {
  readonly key: VerifiedKey;
  readonly payload: DecodedPayload;
}

export interface Authorisation {
  readonly requestId: Hex;
  readonly request: Request;
  /** Kinds of the credentials with which its initiator signed it. */
  readonly signedWith: readonly CredentialType[];
  readonly workspace: Workspace;
  /** Of a child workspace. */
  readonly parent?: Workspace;
  readonly keyring: Keyring;
  /** What the policies in force want for it. */
  readonly plan: Plan;
  /** Empty for a key request. */
  readonly items: readonly AuthorisedItem[];
  /** Of a request for a derived key: its proven parent, and the one key result that a party can have. */
  readonly derived?: DerivedKey;
  /** Milliseconds since 1970 at which the request ends. */
  readonly expires: number;
}

export { type Positions, prevails } from './decisions.ts';
export type { RefusalReason } from './refusal.ts';

export type Verdict =
  | {
      readonly verdict: 'authorised';
      readonly authorisation: Authorisation;
      readonly ignored: readonly string[];
      /** When time alone may make it another verdict; milliseconds since 1970. */
      readonly until?: number;
    }
  | {
      readonly verdict: 'waiting';
      readonly authorisation: Authorisation;
      /** Approvals that rules still want. */
      readonly missing: readonly Missing[];
      /** What rules wait for that nobody decides: delays, hours, limits. */
      readonly holds: readonly Hold[];
      readonly ignored: readonly string[];
      readonly until?: number;
    }
  | {
      readonly verdict: 'refused';
      readonly reason: RefusalReason;
      readonly detail: string;
      /** Known once the request's form and its initiator's signature were verified. */
      readonly requestId?: Hex;
      /** Whether no later evidence, clock or decision can change it: only then a party signs a refusal. */
      readonly final: boolean;
    };

export interface Trust {
  readonly networkId: string;
  /** The verifier's clock, milliseconds since 1970. */
  readonly now: number;
  /** The keyring the verifier itself trusts, from its own file; without it the roster in the evidence is checked alone. */
  readonly keyringId?: Hex;
  /**
   * When the verifier first saw the request, in milliseconds since 1970: delays count from then. Default: now, so that no
   * delay is over.
   */
  readonly firstSeen?: number;
  /** What the verifier knows to be taken from the workspace's limits. Default: limits allow nothing. */
  readonly ledger?: Ledger;
}

/** What a request asks for, once its form, workspace, keyring and keys are proven. Decisions are not looked at. */
function establish(evidence: Evidence, trust: Trust, proven: { requestId?: Hex }): Authorisation {
  const workspace = openWorkspace(evidence.log, trust.networkId);
  const record = verifyRecord(requestRecord, evidence.request, trust.networkId);
  const content = record.content;
  if (content.workspaceId !== workspace.id) {
    throw new Refused(
      'bad_evidence',
      `the log is of workspace ${workspace.id}, the request is of ${content.workspaceId}`,
      false,
    );
  }
  const signers = record.signedBy.map((credential) => ownerOf(workspace, credential)?.name);
  if (!signers.every((name) => name === content.initiator)) {
    throw new Refused(
      'bad_evidence',
      `the request is not signed by its initiator ${content.initiator}`,
      false,
    );
  }
  proven.requestId = record.id;
  if (!sameLogHead(content.logHead, workspace.head)) {
    throw new Refused('stale_log_head', 'the request was made for another state of the workspace', false);
  }
  const parent = openParent(evidence, workspace, content, trust);
  checkNotFrozen(workspace, parent);
  const keyring = openKeyring(evidence.roster, trust.networkId);
  if (trust.keyringId !== undefined && keyring.id !== trust.keyringId) {
    throw new Refused('bad_evidence', `the roster is of keyring ${keyring.id}`, false);
  }
  if (content.kind === 'key' && content.keyringId !== keyring.id) {
    throw new Refused(
      'bad_evidence',
      `the roster is of keyring ${keyring.id}, the request is to ${content.keyringId}`,
      false,
    );
  }
  checkServed(workspace, keyring);
  const base = {
    requestId: record.id,
    request: content,
    signedWith: kindsOfCredentials(record.signedBy),
    workspace,
    ...(parent && { parent }),
    keyring,
  };
  const proofs = new KeyProofs(evidence.keys, keyring, trust.networkId);
  const { items, toPlan, derived } = openAsked(content, { workspace, parent, keyring }, proofs);
  const plan = planPolicy(toPlan);
  if ('reason' in plan) throw new Refused('policy_denied', plan.reason, true);
  return { ...base, plan, expires: endOf(content, plan), items, ...(derived && { derived }) };
}

/** When a request ends: by its own word, and no later than its rules and the longest lifetime let it. Milliseconds since 1970. */
export function endOf({ created, expires }: Request, { lifetimeMs }: Plan): number {
  return Math.min(timeOf(expires), timeOf(created) + Math.min(lifetimeMs, maxRequestLifetime));
}

/** Throws Refused `frozen`. */
export function checkNotFrozen(workspace: Workspace, parent: Workspace | undefined): void {
  if (!workspace.frozen && parent?.frozen !== true) return;
  const which = workspace.frozen ? workspace : (parent ?? workspace);
  throw new Refused('frozen', `workspace ${which.id} is frozen by its owners`, true);
}

/** Throws Refused `not_served` unless workspace and keyring name each other. */
export function checkServed(workspace: Workspace, keyring: Keyring): void {
  const serves = keyring.roster.serves === 'open' || keyring.roster.serves.includes(workspace.id);
  if (serves && workspace.keyrings.includes(keyring.id)) return;
  throw new Refused(
    'not_served',
    `workspace ${workspace.id} and keyring ${keyring.id} do not name each other`,
    true,
  );
}

/**
 * What a request asks for, whoever asks: each item opened, with the policies in force for it. Throws Refused, and what `proofs`
 * throw.
 */
export function openAsked(
  content: Request,
  around: {
    readonly workspace: Workspace;
    readonly parent: Workspace | undefined;
    readonly keyring: Keyring;
  },
  proofs: KeyProofs,
): {
  readonly items: readonly AuthorisedItem[];
  readonly toPlan: readonly PlannedFor[];
  readonly derived?: DerivedKey;
} {
  const { workspace, parent, keyring } = around;
  if (content.kind === 'sign') {
    const items = openItems(content.items, workspace, keyring, proofs);
    const keys = proofs.all();
    const toPlan = items.map(({ key, payload }) => ({
      keyId: key.id,
      facts: policyFacts(payload.facts),
      levels: levelsFor(workspace, parent, policyOfKey(key, workspace, keys)),
    }));
    return { items, toPlan };
  }
  if (content.policy !== undefined) {
    const [complaint] = unmeetable(content.policy, namesOf(workspace));
    if (complaint !== undefined)
      throw new Refused('bad_payload', `the key's policy could not be met: ${complaint}`, true);
  }
  const derived = proofs.derivedBy(content);
  // Everything that is kept beside a request is proven, also what it has no need of.
  if (derived !== undefined) proofs.all();
  const toPlan = [{ facts: keyRequestFacts, levels: levelsFor(workspace, parent) }];
  return { items: [], toPlan, ...(derived && { derived }) };
}

const namesOf = ({ owners }: Pick<Workspace, 'owners'>): readonly string[] => owners.map(({ name }) => name);

/** The parent of a child workspace, as the request's initiator knew it. */
function openParent(
  { parentLog }: Evidence,
  workspace: Workspace,
  { parentHead }: Request,
  { networkId }: Trust,
): Workspace | undefined {
  const refuse = (detail: string): never => {
    throw new Refused('bad_evidence', detail, false);
  };
  if (workspace.parent === undefined) {
    if (parentLog !== undefined || parentHead !== undefined)
      refuse(`workspace ${workspace.id} has no parent, and one is named`);
    return undefined;
  }
  if (parentLog === undefined) return refuse(`the log of parent workspace ${workspace.parent} is missing`);
  const parent = openWorkspace(parentLog, networkId);
  if (parent.id !== workspace.parent)
    refuse(`the parent's log is of workspace ${parent.id}, the parent is ${workspace.parent}`);
  if (parentHead === undefined || !sameLogHead(parentHead, parent.head))
    throw new Refused(
      'stale_log_head',
      'the request was made for another state of the parent workspace',
      false,
    );
  if (!parent.children.has(workspace.id))
    throw new Refused(
      'not_served',
      `workspace ${parent.id} does not name ${workspace.id} as its child`,
      true,
    );
  // Under the parent's policy its owners decide: nobody else gets their voice by what the child's log says of them.
  const inherits = workspace.signPolicy === undefined;
  const odd = parent.owners.find(({ name, credentials }) =>
    workspace.owners.some((own) => {
      const shared = own.credentials.filter((credential) => credentials.includes(credential)).length;
      if (own.name !== name) return shared > 0;
      return shared < (inherits ? own.credentials.length : 1);
    }),
  );
  if (odd !== undefined)
    throw new Refused(
      'not_served',
      `${odd.name} is not the same in workspace ${parent.id} and its child`,
      true,
    );
  return parent;
}

/** The sign policy of a key by itself: the log's, else its request's, else that of the key from which it is derived. */
export function policyOfKey(
  key: VerifiedKey,
  workspace: Workspace,
  keys: ReadonlyMap<Hex, ProvenKey>,
): PolicyLevel['policy'] | undefined {
  const own = workspace.keyPolicies.get(key.id) ?? key.policy;
  if (own !== undefined || key.origin === undefined) return own;
  return workspace.keyPolicies.get(key.origin.parent) ?? keys.get(key.origin.parent)?.key.policy;
}

/** The policies in force, nearest first: allowed is what the first allows, denied what any of them denies. */
export function levelsFor(
  workspace: Workspace,
  parent: Workspace | undefined,
  ofKey?: PolicyLevel['policy'],
): PolicyLevel[] {
  const owners = namesOf(workspace);
  const own = [ofKey, workspace.signPolicy].flatMap((policy) =>
    policy === undefined ? [] : [{ policy, owners }],
  );
  if (parent?.signPolicy === undefined) return own;
  return [...own, { policy: parent.signPolicy, owners: namesOf(parent) }];
}

/** Those who may decide on a request: owners of its workspace, and of the parent whose policy is in force in it. */
export function decidersOf({ workspace, parent }: Pick<Authorisation, 'workspace' | 'parent'>): Deciders {
  const { id, head, owners } = workspace;
  if (workspace.signPolicy !== undefined || parent === undefined) return { id, head, owners };
  const others = owners.filter((own) => !parent.owners.some(({ name }) => name === own.name));
  return { id, head, owners: [...parent.owners, ...others] };
}

function openItems(
  items: SignRequest['items'],
  workspace: Workspace,
  keyring: Keyring,
  proofs: KeyProofs,
): AuthorisedItem[] {
  const keys: ReadonlyMap<Hex, ProvenKey> = proofs.all();
  const opened = items.map(({ keyId, payload }, index) => {
    const key = keys.get(keyId)?.key;
    if (key === undefined) {
      throw new Refused(
        'bad_evidence',
        `item ${index}: no certificate of key ${keyId} by keyring ${keyring.id}`,
        false,
      );
    }
    if (key.workspaceId !== workspace.id) {
      throw new Refused(
        'wrong_key',
        `item ${index}: key ${keyId} belongs to workspace ${key.workspaceId}`,
        true,
      );
    }
    const disabled = [key.id, key.origin?.parent].find(
      (id) => id !== undefined && workspace.disabledKeys.has(id),
    );
    if (disabled !== undefined)
      throw new Refused('key_disabled', `item ${index}: key ${disabled} is disabled by the owners`, true);
    try {
      return {
        key,
        payload: decodePayload(payload, { keyType: key.keyType, publicKey: fromHex(key.publicKey) }),
      };
    } catch (error) {
      throw new Refused('bad_payload', `item ${index}: ${(error as Error).message}`, true);
    }
  });
  if (new Set(opened.map((item) => item.key.keyType)).size > 1) {
    throw new Refused('wrong_key', 'the keys of a request must be of one type', true);
  }
  return opened;
}

function subjectIn({ requestId: id, request: content }: Authorisation): Subject {
  return subjectOf(requestRecord, { id, content });
}

/**
 * Checks that a decision is about this request, by an owner of its workspace, signed with that owner's own credential.
 * Throws RecordError.
 */
export function verifyDecision(
  envelope: Envelope,
  authorisation: Authorisation,
  networkId: string,
): Decision {
  return readDecisionOn(subjectIn(authorisation), envelope, decidersOf(authorisation), networkId).decision;
}

/** The decisions in evidence, each verified, the last of each principal counted as it stands at `trust.now`. */
export function positionsOf(authorisation: Authorisation, evidence: Evidence, trust: Trust): Positions {
  const { request, signedWith } = authorisation;
  const initiator = { name: request.initiator, signedWith };
  const deciders = decidersOf(authorisation);
  return positionsOn(
    subjectIn(authorisation),
    initiator,
    evidence.decisions,
    deciders,
    trust.networkId,
    trust.now,
  );
}

/**
 * Judges a request from its evidence alone. Garbage among the decisions never authorises and never refuses: it is
 * ignored and named. Never throws for anything that evidence may hold.
 */
export function authorize(evidence: Evidence, trust: Trust): Verdict {
  const proven: { requestId?: Hex } = {};
  return verdictOf(proven, () => judge(establish(evidence, trust, proven), evidence, trust));
}

/**
 * Judges a request again of which `authorize` established, from this same log, roster, request and keys and for the same
 * trust, what it asks for: only decisions and time are looked at. Equal to `authorize`, at a fraction of its cost. Never throws.
 */
export function reconsider(authorisation: Authorisation, evidence: Evidence, trust: Trust): Verdict {
  const { requestId } = authorisation;
  return verdictOf({ requestId }, () => judge(authorisation, evidence, trust));
}

/** `proven` is read when the work has failed: by then it may hold more. */
function verdictOf(proven: { readonly requestId?: Hex }, work: () => Verdict): Verdict {
  try {
    return work();
  } catch (error) {
    const detail = (error as Error).message;
    if (!(error instanceof Refused))
      return { verdict: 'refused', reason: 'bad_evidence', detail, final: false, ...proven };
    return { verdict: 'refused', reason: error.reason, detail, final: error.final, ...proven };
  }
}

/**
 * Whether what waits would be authorised at another time: for every item the approvals of a rule are there, and a delay, hours
 * or a limit is in its way.
 */
export function approvalsMet(verdict: Verdict, evidence: Evidence, trust: Trust): boolean {
  if (verdict.verdict !== 'waiting') return false;
  const { authorisation } = verdict;
  const { approved, rejected } = positionsOf(authorisation, evidence, trust);
  const { initiator } = authorisation.request;
  return hasApprovals(authorisation.plan, { initiator, approved, rejected }, momentOf(authorisation, trust));
}

function momentOf({ requestId, request }: Authorisation, trust: Trust): Moment {
  const { now, firstSeen = now, ledger } = trust;
  return { requestId, now, created: timeOf(request.created), firstSeen, ...(ledger && { ledger }) };
}

function judge(authorisation: Authorisation, evidence: Evidence, trust: Trust): Verdict {
  const { request, plan } = authorisation;
  const created = timeOf(request.created);
  if (created > trust.now + maxClockAhead) {
    throw new Refused('too_early', `made at ${request.created}: check the clocks`, false);
  }
  const { approved, rejected, ignored } = positionsOf(authorisation, evidence, trust);
  const { initiator } = request;
  if (rejected.has(initiator)) throw new Refused('cancelled', `cancelled by ${initiator}`, false);
  const judged = judgePlan(plan, { initiator, approved, rejected }, momentOf(authorisation, trust));
  if (judged.verdict === 'rejected') throw new Refused('approvers', judged.reason, false);
  if (trust.now >= authorisation.expires) {
    throw new Refused('expired', `ended at ${new Date(authorisation.expires).toISOString()}`, true);
  }
  if (judged.verdict === 'over') throw new Refused('expired', judged.reason, false);
  const until = judged.until === undefined ? {} : { until: judged.until };
  if (judged.verdict === 'satisfied') return { verdict: 'authorised', authorisation, ignored, ...until };
  const { missing, holds } = judged;
  return { verdict: 'waiting', authorisation, missing, holds, ignored, ...until };
}

/**
 * The time, in milliseconds since 1970, before which a verdict on this evidence cannot become another one as the clock goes
 * on: whatever `judge` compares with the time must be bounded here.
 */
export function verdictHoldsUntil(
  { request: { created }, plan, expires }: Authorisation,
  evidence: Evidence,
  verdict: Verdict,
  trust: Trust,
): number {
  if (verdict.verdict === 'refused' && verdict.reason === 'too_early') return trust.now;
  // A rule that is rejected allows nothing after its time either: then it is over, and the request has run out.
  const ends = [
    expires,
    ...plan.items.flatMap(({ rules }) => rules.map(({ ttlMs }) => timeOf(created) + ttlMs)),
  ];
  if (verdict.verdict !== 'refused') ends.push(verdict.until ?? Infinity);
  for (const envelope of evidence.decisions) {
    try {
      const { content } = readContent(decisionRecord, envelope, trust.networkId);
      if (content.decision === 'approve') ends.push(timeOf(content.expires));
    } catch {
      // What is no decision is ignored at any time.
    }
  }
  return Math.min(...ends.filter((end) => end > trust.now), Number.MAX_SAFE_INTEGER);
}
