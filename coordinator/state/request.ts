// A request as the coordinator holds it, and what is derived from it. The transitions stand in transitions.ts.
import type { Evidence, KeyEntry } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import { decision } from '../../protocol/records/decision.ts';
import { type Envelope, readContent } from '../../protocol/records/envelope.ts';
import type { Epoch } from '../../protocol/records/fields.ts';
import { type PartyResult, partyResult } from '../../protocol/records/party-result.ts';
import type { CoordinatorEvent, RejectionCode, RequestStateName } from '../../protocol/rpc.ts';

/** Stored as JSON under `request/<id>`. Times are milliseconds since 1970. */
export interface StoredRequest {
  readonly requestId: Hex;
  readonly kind: 'key' | 'sign';
  readonly workspaceId: Hex;
  readonly keyringId: Hex;
  /** Keys that a sign request uses, without repetition; of a key request the parent of the key, if it is derived. */
  readonly keyIds: readonly Hex[];
  readonly state: RequestStateName;
  readonly reason?: { readonly code: RejectionCode; readonly detail: string };
  readonly envelope: Envelope;
  readonly decisions: readonly Envelope[];
  /** Pinned when it became pending: results count under this epoch only. */
  readonly pinned?: {
    readonly epoch: Epoch;
    readonly threshold: number;
    readonly parties: readonly string[];
  };
  /** At most one result a party: the one that counts. */
  readonly results: readonly Envelope[];
  /** Second results that were kept out; at most one a party. */
  readonly conflicts: readonly Envelope[];
  /** Of the first verified result, one an item. */
  readonly signatures?: readonly Hex[];
  readonly created: number;
  readonly expires: number;
  readonly updated: number;
}

/** What the coordinator knows around a request. */
export interface RequestContext {
  readonly networkId: string;
  readonly log: readonly Envelope[];
  readonly roster: Envelope;
  readonly keys: Evidence['keys'];
}

/** A new state of a request with what happened, or the same object when nothing did. */
export interface Outcome {
  readonly request: StoredRequest;
  readonly events: readonly CoordinatorEvent[];
}

export interface Votes {
  readonly have: number;
  readonly need: number;
  readonly refused: number;
}

/** The decisions that count: the last of each principal. Each was stored with a higher seq than the one before. */
function latestDecisions(request: StoredRequest, networkId: string): Envelope[] {
  const latest = new Map<string, Envelope>();
  for (const envelope of request.decisions) {
    const { principal } = readContent(decision, envelope, networkId).content;
    latest.delete(principal);
    latest.set(principal, envelope);
  }
  return [...latest.values()];
}

/**
 * Everything signed about a request that a node needs to judge it. Superseded decisions are left out: however often
 * approvers decide, the evidence stays within what its schema takes.
 */
export function evidenceOf(request: StoredRequest, context: RequestContext): Evidence {
  return {
    log: [...context.log],
    roster: context.roster,
    request: request.envelope,
    decisions: latestDecisions(request, context.networkId),
    keys: context.keys,
  };
}

/** Content of a result that was verified when it was stored. */
export function resultContent(envelope: Envelope, networkId: string): PartyResult {
  return readContent(partyResult, envelope, networkId).content;
}

/** How many distinct parties' results count, against how many it takes. */
export function votesOf(
  request: StoredRequest,
  threshold: number,
  parties: number,
  networkId: string,
): Votes {
  const kinds = request.results.map((envelope) => resultContent(envelope, networkId).result.kind);
  const refused = kinds.filter((kind) => kind === 'refusal').length;
  return { have: kinds.length - refused, need: request.kind === 'key' ? parties : threshold, refused };
}

/** A key as evidence holds it, from the key request that made it. */
export function keyEntry({ envelope, results }: StoredRequest): KeyEntry {
  return { request: envelope, certificate: [...results] };
}

export function isFinal(request: StoredRequest): boolean {
  return request.state === 'fulfilled' || request.state === 'rejected';
}
