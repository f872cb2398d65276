// Decisions about an action, whatever it is: who of those who may has decided what. Garbage among them never counts, and is
// named.
import type { Hex } from './hex.ts';
import type { Decided } from './policy/judge.ts';
import type { CredentialType } from './policy/schema.ts';
import { aboutOf, checkAbout, type Subject } from './records/about.ts';
import { type Decision, decision as decisionRecord } from './records/decision.ts';
import { type Envelope, RecordError, type ShownType, verifyRecord } from './records/envelope.ts';
import { type Credential, credentialType, type LogHead, sameLogHead, timeOf } from './records/fields.ts';
import type { Principal } from './records/workspace-genesis.ts';

/** Those who may decide, and the state of the log at which they must have done so. */
export interface Deciders {
  /** The workspace's. */
  readonly id: Hex;
  readonly owners: readonly Principal[];
  readonly head: LogHead;
}

/** A request or a change as what is decided on. */
export function subjectOf<Content extends { networkId: string }>(
  kind: ShownType<Content>,
  { id, content }: { readonly id: Hex; readonly content: Content },
): Subject {
  return { id, about: () => aboutOf(kind, content) };
}

export interface MadeDecision {
  readonly decision: Decision;
  /** Kinds of the credentials that signed it. */
  readonly signedWith: readonly CredentialType[];
}

/** Kinds of these credentials, each once. */
export function kindsOfCredentials(credentials: readonly Credential[]): readonly CredentialType[] {
  return [...new Set(credentials.map(credentialType))];
}

/**
 * Checks that a decision is about this subject, by one of those who may, signed with that principal's own credentials.
 * Throws RecordError.
 */
export function readDecisionOn(
  subject: Subject,
  envelope: Envelope,
  { id, owners, head }: Deciders,
  networkId: string,
): MadeDecision {
  const { content, signedBy } = verifyRecord(decisionRecord, envelope, networkId);
  const fail = (message: string): never => {
    throw new RecordError('missing_signature', 'decision', message);
  };
  if (content.subject !== subject.id)
    fail(`is about ${content.subject}, not about ${subject.id}: send it where it belongs`);
  const principal = owners.find((owner) => owner.name === content.principal);
  if (principal === undefined)
    return fail(`${content.principal} is no owner of workspace ${id}: an owner must decide`);
  if (!signedBy.every((credential) => principal.credentials.includes(credential))) {
    fail(`signed by somebody else than ${content.principal}: only credentials of that owner may sign it`);
  }
  if (!sameLogHead(content.logHead, head)) {
    fail('was made for another state of the workspace: read the workspace again and decide anew');
  }
  const signedWith = kindsOfCredentials(signedBy);
  // What takes something back counts even when a wallet signed it blindly, or was shown other words.
  if (content.decision === 'approve') checkAbout(subject, content.about, signedWith.includes('eip712'));
  return { decision: content, signedWith };
}

const union = <Value>(one: readonly Value[], other: readonly Value[]): readonly Value[] => [
  ...new Set([...one, ...other]),
];

const strength = { reject: 2, withdraw: 1, approve: 0 } as const;

/** Which of two decisions of one principal counts: never a matter of the order in which they arrive. */
export function prevails(next: Decision, held: Decision): boolean {
  if (next.seq !== held.seq) return next.seq > held.seq;
  // Two under one seq contradict each other: the rejection counts, and of approvals the one that runs out first.
  if (next.decision === 'approve' && held.decision === 'approve') return next.expires < held.expires;
  return strength[next.decision] > strength[held.decision];
}

/** Where principals stand on an action, by their last decisions, and what was not counted, and why. */
export interface Positions {
  /** Those whose approval holds, the initiator among them unless it has decided otherwise. */
  readonly approved: Decided;
  readonly rejected: Decided;
  readonly ignored: string[];
}

/**
 * The decisions among these envelopes, each verified, the last of each principal counted as it stands at `now`, in
 * milliseconds since 1970; undefined: approvals do not run out.
 */
export function positionsOn(
  subject: Subject,
  initiator: { readonly name: string; readonly signedWith: readonly CredentialType[] },
  envelopes: readonly Envelope[],
  deciders: Deciders,
  networkId: string,
  now: number | undefined,
): Positions {
  const ignored: string[] = [];
  const latest = new Map<string, MadeDecision>();
  for (const [index, envelope] of envelopes.entries()) {
    try {
      const next = readDecisionOn(subject, envelope, deciders, networkId);
      const { principal } = next.decision;
      const held = latest.get(principal);
      if (held === undefined || prevails(next.decision, held.decision)) latest.set(principal, next);
      else if (!prevails(held.decision, next.decision))
        // The same again, with another credential of theirs: both have signed it, whichever came first.
        latest.set(principal, { ...held, signedWith: union(held.signedWith, next.signedWith) });
    } catch (error) {
      ignored.push(`decision ${index}: ${(error as Error).message}`);
    }
  }
  const approved = new Map([[initiator.name, initiator.signedWith]]);
  const rejected = new Map<string, readonly CredentialType[]>();
  for (const [principal, { decision, signedWith }] of latest) {
    if (decision.decision === 'reject') rejected.set(principal, signedWith);
    if (decision.decision !== 'approve') approved.delete(principal);
    else if (now === undefined || timeOf(decision.expires) > now) {
      // Whoever asks has approved by asking, with whatever signed that.
      const also = principal === initiator.name ? initiator.signedWith : [];
      approved.set(principal, union(also, signedWith));
    } else ignored.push(`the approval of ${principal} ran out at ${decision.expires}`);
  }
  return { approved, rejected, ignored };
}
