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
import { evaluatePolicy, type Missing } from './policy/evaluate.ts';
import type { Kind } from './policy/schema.ts';
import { type Decision, decision as decisionRecord } from './records/decision.ts';
import { type Envelope, envelopeSchema, readContent, RecordError, verifyRecord } from './records/envelope.ts';
import { sameLogHead, timeOf } from './records/fields.ts';
import { type Keyring, openKeyring } from './records/keyring-roster.ts';
import { type Request, request as requestRecord, type SignRequest } from './records/request.ts';
import { openWorkspace, ownerOf, type Workspace } from './records/workspace.ts';
import { Refused, type RefusalReason } from './refusal.ts';

/** Longest life of a request, whatever it says itself. */
export const maxRequestLifetime = 24 * 3600_000;
/** How far ahead of a verifier's clock a record may have been made. */
export const maxClockAhead = 5 * 60_000;

/** Everything signed that a request needs to be judged. Form only; `authorize` verifies. */
export const evidenceSchema = z.strictObject({
  /** The workspace's log, genesis first. */
  log: z.array(envelopeSchema).min(1).max(1000),
  roster: envelopeSchema,
  request: envelopeSchema,
  decisions: z.array(envelopeSchema).max(400),
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
  readonly workspace: Workspace;
  readonly keyring: Keyring;
  /** Empty for a key request. */
  readonly items: readonly AuthorisedItem[];
  /** Of a request for a derived key: its proven parent, and the one key result that a party can have. */
  readonly derived?: DerivedKey;
  /** Milliseconds since 1970 at which the request ends. */
  readonly expires: number;
}

export type { RefusalReason } from './refusal.ts';

export type Verdict =
  | {
      readonly verdict: 'authorised';
      readonly authorisation: Authorisation;
      readonly ignored: readonly string[];
    }
  | {
      readonly verdict: 'waiting';
      readonly authorisation: Authorisation;
      readonly missing: readonly Missing[];
      readonly ignored: readonly string[];
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
  const serves = keyring.roster.serves === 'open' || keyring.roster.serves.includes(workspace.id);
  if (!serves || !workspace.keyrings.includes(keyring.id)) {
    throw new Refused(
      'not_served',
      `workspace ${workspace.id} and keyring ${keyring.id} do not name each other`,
      true,
    );
  }
  const expires = Math.min(timeOf(content.expires), timeOf(content.created) + maxRequestLifetime);
  const base = { requestId: record.id, request: content, workspace, keyring, expires };
  const proofs = new KeyProofs(evidence.keys, keyring, trust.networkId);
  if (content.kind === 'sign')
    return { ...base, items: openItems(content.items, workspace, keyring, proofs) };
  const derived = proofs.derivedBy(content);
  // Everything that is kept beside a request is proven, also what it has no need of.
  if (derived !== undefined) proofs.all();
  return { ...base, items: [], ...(derived && { derived }) };
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

/**
 * Checks that a decision is about this request, by an owner of its workspace, signed with that owner's own credential.
 * Throws RecordError.
 */
export function verifyDecision(
  envelope: Envelope,
  authorisation: Authorisation,
  networkId: string,
): Decision {
  const { workspace, requestId } = authorisation;
  const { content, signedBy } = verifyRecord(decisionRecord, envelope, networkId);
  const fail = (message: string): never => {
    throw new RecordError('missing_signature', 'decision', message);
  };
  if (content.subject !== requestId)
    fail(`is about ${content.subject}, not about ${requestId}: send it where it belongs`);
  const principal = workspace.owners.find((owner) => owner.name === content.principal);
  if (principal === undefined)
    fail(`${content.principal} is no owner of workspace ${workspace.id}: an owner must decide`);
  if (!signedBy.every((credential) => principal?.credentials.includes(credential))) {
    fail(`signed by somebody else than ${content.principal}: only credentials of that owner may sign it`);
  }
  if (!sameLogHead(content.logHead, workspace.head)) {
    fail('was made for another state of the workspace: read the workspace again and decide anew');
  }
  return content;
}

/** Which of two decisions of one principal counts: never a matter of the order in which they arrive. */
export function prevails(next: Decision, held: Decision): boolean {
  if (next.seq !== held.seq) return next.seq > held.seq;
  // Two under one seq contradict each other: the rejection counts, and of approvals the one that runs out first.
  if (held.decision === 'reject') return false;
  return next.decision === 'reject' || next.expires < held.expires;
}

/** The latest decision of each principal. */
function latestDecisions(
  evidence: Evidence,
  authorisation: Authorisation,
  networkId: string,
  ignored: string[],
) {
  const latest = new Map<string, Decision>();
  for (const [index, envelope] of evidence.decisions.entries()) {
    try {
      const next = verifyDecision(envelope, authorisation, networkId);
      const held = latest.get(next.principal);
      if (held === undefined || prevails(next, held)) latest.set(next.principal, next);
    } catch (error) {
      ignored.push(`decision ${index}: ${(error as Error).message}`);
    }
  }
  return latest;
}

/** Where owners stand on a request, by their last decisions, and what was not counted, and why. */
export interface Positions {
  /** Those whose approval holds, the initiator among them unless it has taken the request back. */
  readonly approved: ReadonlySet<string>;
  readonly rejected: ReadonlySet<string>;
  readonly ignored: string[];
}

/** The decisions in evidence, each verified, the last of each principal counted as it stands at `trust.now`. */
export function positionsOf(authorisation: Authorisation, evidence: Evidence, trust: Trust): Positions {
  const ignored: string[] = [];
  const latest = latestDecisions(evidence, authorisation, trust.networkId, ignored);
  const approved = new Set([authorisation.request.initiator]);
  const rejected = new Set<string>();
  for (const [principal, made] of latest) {
    if (made.decision === 'reject') {
      rejected.add(principal);
      approved.delete(principal);
    } else if (timeOf(made.expires) > trust.now) approved.add(principal);
    else ignored.push(`the approval of ${principal} ran out at ${made.expires}`);
  }
  return { approved, rejected, ignored };
}

/** Kinds of a request's items, as policies name them. */
export function kindsOf(authorisation: Authorisation): readonly Kind[] {
  if (authorisation.request.kind === 'key') return ['key.request'];
  return authorisation.items.map((item) => item.payload.kind);
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

function judge(authorisation: Authorisation, evidence: Evidence, trust: Trust): Verdict {
  const { request, workspace } = authorisation;
  if (timeOf(request.created) > trust.now + maxClockAhead) {
    throw new Refused('too_early', `made at ${request.created}: check the clocks`, false);
  }
  const { approved, rejected, ignored } = positionsOf(authorisation, evidence, trust);
  if (rejected.has(request.initiator)) {
    throw new Refused('cancelled', `cancelled by ${request.initiator}`, false);
  }
  const owners = workspace.owners.map((owner) => owner.name);
  const judged = evaluatePolicy(workspace.signPolicy, kindsOf(authorisation), { owners, approved, rejected });
  if (judged.verdict === 'denied') throw new Refused('policy_denied', judged.reason, true);
  if (judged.verdict === 'rejected') throw new Refused('approvers', judged.reason, false);
  if (trust.now >= authorisation.expires) {
    throw new Refused('expired', `ended at ${new Date(authorisation.expires).toISOString()}`, true);
  }
  if (judged.verdict === 'waiting')
    return { verdict: 'waiting', authorisation, missing: judged.missing, ignored };
  return { verdict: 'authorised', authorisation, ignored };
}

/**
 * The time, in milliseconds since 1970, before which a verdict on this evidence cannot become another one as the clock goes
 * on: whatever `judge` compares with the time must be bounded here.
 */
export function verdictHoldsUntil(evidence: Evidence, verdict: Verdict, trust: Trust): number {
  if (verdict.verdict === 'refused' && verdict.reason === 'too_early') return trust.now;
  const ends = verdict.verdict === 'refused' ? [] : [verdict.authorisation.expires];
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
