// A request this node knows: its evidence, what that allows, and how far the attempts at it are.
import {
  type Authorisation,
  type Evidence,
  type RefusalReason,
  verifyDecision,
  type Verdict,
} from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { RefusalCode } from '../../protocol/records/party-result.ts';
import { type Envelope, envelopeId } from '../../protocol/records/envelope.ts';
import type { LiveAttempt } from './live-attempt.ts';
import type { Proposal } from './proposal.ts';
import type { FrameOf } from './wire.ts';

/** In memory, for a request without a result. */
export interface Job {
  readonly requestId: Hex;
  evidence: Evidence;
  authorisation: Authorisation;
  /** Whether the evidence authorises it, as of the last time it was judged. */
  authorised: boolean;
  /** Why not, in words. */
  detail: string;
  /** Attempts this party has accepted, by attempt id. */
  readonly live: Map<string, LiveAttempt>;
  proposal: Proposal | undefined;
  /** Whose turn to lead it is, as an index into the leaders' order. */
  turn: number;
  /** Attempts that came to nothing in a row: deadlines grow with it. */
  tries: number;
  lastProposed: number;
  /** When each leader's last proposal was accepted. */
  readonly lastAccepted: Map<string, number>;
  /** How often a party was awaited in vain or proven guilty. */
  readonly failures: Map<string, number>;
  /** Confirmations of a key generation by other parties, by party; of runs that this party may have lost. */
  readonly confirmations: Map<string, Envelope>;
  /** Proposals that came before the request was authorised here, by leader. */
  readonly heldProposals: Map<string, FrameOf<'propose'>>;
  /** Parties to which this attempt's evidence was sent: `attempt id/party`. */
  readonly evidenceSent: Set<string>;
  cancelTimer: () => void;
}

export function newJob(
  requestId: Hex,
  evidence: Evidence,
  verdict: Exclude<Verdict, { verdict: 'refused' }>,
): Job {
  return {
    requestId,
    evidence,
    authorisation: verdict.authorisation,
    authorised: verdict.verdict === 'authorised',
    detail: describe(verdict),
    live: new Map(),
    proposal: undefined,
    turn: 0,
    tries: 0,
    lastProposed: 0,
    lastAccepted: new Map(),
    failures: new Map(),
    confirmations: new Map(),
    heldProposals: new Map(),
    evidenceSent: new Set(),
    cancelTimer: () => undefined,
  };
}

/** What a waiting request waits for, in words. */
export function describe(verdict: Verdict): string {
  switch (verdict.verdict) {
    case 'authorised':
      return '';
    case 'refused':
      return `${verdict.reason}: ${verdict.detail}`;
    case 'waiting': {
      const wants = verdict.missing.map(({ rule, need, have, from }) => {
        return `rule ${rule} has ${have.length} of ${need} approvals and awaits ${from.join(', ') || 'nobody'}`;
      });
      return [...wants, ...verdict.ignored].join('; ');
    }
  }
}

/**
 * Evidence that holds what both hold: the decisions of the new one are added as far as they verify, so that nobody can
 * make this node forget a rejection it has seen.
 */
export function mergeEvidence(
  held: Evidence,
  received: Evidence,
  authorisation: Authorisation,
  networkId: string,
): Evidence {
  const known = new Set(held.decisions.map((envelope) => envelopeId(envelope, networkId)));
  const fresh = received.decisions.filter((envelope) => {
    try {
      if (known.has(envelopeId(envelope, networkId))) return false;
      verifyDecision(envelope, authorisation, networkId);
    } catch {
      return false;
    }
    known.add(envelopeId(envelope, networkId));
    return true;
  });
  // Newest last; a request has few approvers and they decide few times.
  return { ...held, decisions: [...held.decisions, ...fresh].slice(-400) };
}

/** How a final refusal is put to the coordinator. */
export function refusalCode(reason: RefusalReason): RefusalCode {
  return reason === 'expired' ? 'expired' : 'not_authorised';
}
