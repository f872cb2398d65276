// Taking in evidence, as one task: what is held and what came are merged and judged. Pure: the same on a worker thread
// and on the main one.
import {
  type Authorisation,
  authorize,
  type Evidence,
  maxDecisions,
  prevails,
  type Trust,
  verifyDecision,
  type Verdict,
} from '../../protocol/authorize.ts';
import { kindsOfCredentials } from '../../protocol/decisions.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { Decision } from '../../protocol/records/decision.ts';
import { type Envelope, envelopeId, readContent } from '../../protocol/records/envelope.ts';
import { partyResult } from '../../protocol/records/party-result.ts';

/** Plain data throughout. */
export interface EvidenceTask {
  /** What this node has about the request, if anything. */
  readonly held: Evidence | undefined;
  readonly received: Evidence;
  readonly trust: Trust;
}

export interface Judgement {
  /** What is held and what came, in one; without anything that proves nothing, unless it is refused whatever owners decide. */
  readonly evidence: Evidence;
  readonly verdict: Verdict;
  /** Of a request that approvers or its initiator rejected: the verdict without any decision. */
  readonly bare?: Verdict;
  /** Why decisions that came, or were held, count for nothing: a few of the reasons. */
  readonly leftOut: readonly string[];
}

const maxLeftOut = 5;

/** Never throws for anything that evidence may hold. */
export function judgeEvidence({ held, received, trust }: EvidenceTask): Judgement {
  const reasons: string[] = [];
  const evidence = held === undefined ? received : merge(held, received, trust, reasons);
  const verdict = authorize(evidence, trust);
  if (verdict.verdict !== 'refused') {
    const sound = mergeEvidence(evidence, evidence, verdict.authorisation, trust.networkId, reasons);
    return { evidence: sound, verdict, leftOut: reasons.slice(0, maxLeftOut) };
  }
  const leftOut = reasons.slice(0, maxLeftOut);
  if (!isRejected(verdict)) return { evidence, verdict, leftOut };
  const bare = authorize({ ...evidence, decisions: [] }, trust);
  if (bare.verdict === 'refused') return { evidence, verdict, leftOut, bare };
  // A forged copy of a decision that was kept would make this node take the true one for known.
  const sound = mergeEvidence(evidence, evidence, bare.authorisation, trust.networkId, reasons);
  return { evidence: sound, verdict, leftOut: reasons.slice(0, maxLeftOut), bare };
}

/** Whether a verdict says that approvers or the initiator rejected the request. */
export function isRejected(verdict: Extract<Verdict, { verdict: 'refused' }>): boolean {
  return verdict.reason === 'approvers' || verdict.reason === 'cancelled';
}

/**
 * Whether evidence, whose signatures were verified, has all that other evidence for the same request says: its decisions, and
 * everybody who signed them and the request.
 */
export function holdsAllOf(verified: Evidence, received: Evidence): boolean {
  return (
    withSignaturesOf(verified.request, received.request) === verified.request &&
    newDecisions(verified.decisions, received.decisions).length === 0
  );
}

/** Those of these decisions that are not among the held ones, or have a signature that theirs have not. */
export function newDecisions(held: readonly Envelope[], decisions: readonly Envelope[]): readonly Envelope[] {
  const known = new Map(held.map((envelope) => [envelope.bytes, envelope]));
  return decisions.filter((envelope) => {
    const same = known.get(envelope.bytes);
    return same === undefined || withSignaturesOf(same, envelope) !== same;
  });
}

/** A record with the signatures of a copy that others made: `envelope` itself when it has one of each of their credentials. */
function withSignaturesOf(envelope: Envelope, copy: Envelope): Envelope {
  const own = new Set(envelope.signatures.map(({ credential }) => credential));
  const added = copy.signatures.filter(({ credential }) => !own.has(credential));
  return added.length === 0 ? envelope : { ...envelope, signatures: [...envelope.signatures, ...added] };
}

/**
 * Whether two states of the evidence for one request hold the same decisions, signed by as many: what else it holds never
 * changes.
 */
export function sameDecisions(a: Evidence | undefined, b: Evidence | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined || a.decisions.length !== b.decisions.length) return false;
  const isSame = (one: Envelope, other: Envelope | undefined): boolean =>
    one.bytes === other?.bytes && one.signatures.length === other.signatures.length;
  return (
    isSame(a.request, b.request) &&
    a.decisions.every((decision, index) => isSame(decision, b.decisions[index]))
  );
}

function merge(held: Evidence, received: Evidence, trust: Trust, leftOut: string[]): Evidence {
  // The request's standing does not matter here, only what it is: its decisions may all have run out.
  const base = authorize({ ...held, decisions: [] }, trust);
  if (base.verdict === 'refused') return held;
  const merged = mergeEvidence(held, received, base.authorisation, trust.networkId, leftOut);
  const { request } = held;
  if (request.bytes !== received.request.bytes) return merged;
  // Whoever passed the request on first may have left a signature out that a rule wants; what is added may be forged.
  const whole = { ...merged, request: withSignaturesOf(request, received.request) };
  if (whole.request === request) return merged;
  return authorize({ ...whole, decisions: [] }, trust).verdict === 'refused' ? merged : whole;
}

/**
 * Adds a decision that counts beside those of its principal that are held: its signatures to the same bytes, or the whole when
 * it is signed with a kind of credential that none of them has.
 */
function addBeside(held: Envelope[], envelope: Envelope): void {
  const at = held.findIndex(({ bytes }) => bytes === envelope.bytes);
  if (at >= 0) {
    held[at] = withSignaturesOf(held[at]!, envelope);
    return;
  }
  const kindsIn = (envelopes: readonly Envelope[]): readonly string[] =>
    kindsOfCredentials(envelopes.flatMap(({ signatures }) => signatures.map(({ credential }) => credential)));
  const known = kindsIn(held);
  if (kindsIn([envelope]).some((kind) => !known.includes(kind))) held.push(envelope);
}

/**
 * Evidence that holds what both hold, without what proves nothing: anybody who passed it on may have added to it. Of each
 * principal the latest decision stays, and what counts beside it by other credentials, so nobody can make this node forget a rejection it has seen, by sending less or
 * by sending much. Why decisions were left out is added to `leftOut`.
 */
export function mergeEvidence(
  held: Evidence,
  received: Evidence,
  authorisation: Authorisation,
  networkId: string,
  leftOut: string[] = [],
): Evidence {
  const latest = new Map<string, { readonly decision: Decision; readonly envelopes: Envelope[] }>();
  for (const envelope of new Set([...held.decisions, ...received.decisions])) {
    try {
      const decision = verifyDecision(envelope, authorisation, networkId);
      const known = latest.get(decision.principal);
      if (known === undefined || prevails(decision, known.decision))
        latest.set(decision.principal, { decision, envelopes: [envelope] });
      // Both count, whichever came first, and whoever passed one of them on.
      else if (!prevails(known.decision, decision)) addBeside(known.envelopes, envelope);
    } catch (error) {
      leftOut.push(`a decision was left out: ${(error as Error).message}`);
    }
  }
  const named = namedKeys(authorisation);
  const kept = [...latest.values()].map(({ envelopes }) => envelopes);
  const decisions = [...kept.map(([first]) => first!), ...kept.flatMap(([, ...beside]) => beside)];
  return {
    ...held,
    decisions: decisions.slice(0, maxDecisions),
    // Nobody has looked at keys that came with a request that names none.
    keys: (named.size === 0 ? [] : held.keys)
      .filter(({ request }) => named.has(envelopeId(request, networkId)))
      .map(({ request, certificate }) => ({
        request,
        certificate: certificate.map((result) => signedByPartyAlone(result, networkId)),
      })),
  };
}

/** The keys that a request is judged by: those that are to sign, and the parents of derived ones. */
function namedKeys({ items, derived }: Authorisation): ReadonlySet<Hex> {
  const named = items.flatMap(({ key }) => (key.origin ? [key.id, key.origin.parent] : [key.id]));
  return new Set(derived === undefined ? named : [...named, derived.parent.key.id]);
}

/**
 * A party's result without signatures of others, which whoever passes it on may have added: they would only cost time.
 * Throws RecordError when it is no result.
 */
export function signedByPartyAlone(result: Envelope, networkId: string): Envelope {
  const { party } = readContent(partyResult, result, networkId).content;
  return { ...result, signatures: result.signatures.filter(({ credential }) => credential === party) };
}
