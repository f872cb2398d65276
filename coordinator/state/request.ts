// A request as the coordinator holds it, and what is derived from it. The transitions stand in transitions.ts.
import type { Evidence, KeyEntry } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { Ledger } from '../../protocol/policy/judge.ts';
import type { Debit } from '../../protocol/policy/plan.ts';
import { type Envelope, readContent } from '../../protocol/records/envelope.ts';
import type { Epoch } from '../../protocol/records/fields.ts';
import { type PartyResult, partyResult } from '../../protocol/records/party-result.ts';
import { request as requestRecord, type Request } from '../../protocol/records/request.ts';
import type { CoordinatorEvent, RejectionCode, RequestStateName } from '../../protocol/rpc.ts';
import { latestDecisions } from './decisions.ts';

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
  /** A rule that may allow it has a delay: parties count it themselves, and are told of the request while it is partial. */
  readonly notice?: true;
  /** The longest window, in milliseconds, of the limits that it may be under. */
  readonly windowMs?: number;
  /** While partial: when time alone may change its state, before it ends. */
  readonly due?: number;
  /** When it was stored: delays count from then here. */
  readonly created: number;
  readonly expires: number;
  readonly updated: number;
}

/** What the coordinator knows around a request. */
export interface RequestContext {
  readonly networkId: string;
  /** The workspace's, up to the entry at which the request was made. */
  readonly log: readonly Envelope[];
  /** Of a request in a child workspace: its parent's, likewise. */
  readonly parentLog?: readonly Envelope[];
  readonly roster: Envelope;
  readonly keys: Evidence['keys'];
  /** What was taken from the workspace's limits, if the request may be under one. */
  readonly ledger?: Ledger;
}

/** A new state of a request with what happened, or the same object when nothing did. */
export interface Outcome {
  readonly request: StoredRequest;
  readonly events: readonly CoordinatorEvent[];
  /** What it takes from limits, now that it may be signed. */
  readonly debits?: readonly Debit[];
}

export interface Votes {
  readonly have: number;
  readonly need: number;
  readonly refused: number;
}

/** What was asked for, as it was verified when it was stored. */
export function contentOf({ envelope }: Pick<StoredRequest, 'envelope'>, networkId: string): Request {
  return readContent(requestRecord, envelope, networkId).content;
}

/**
 * Everything signed about a request that a node needs to judge it. Superseded decisions are left out: however often
 * approvers decide, the evidence stays within what its schema takes.
 */
export function evidenceOf(
  request: Pick<StoredRequest, 'envelope' | 'decisions'>,
  context: RequestContext,
): Evidence {
  return {
    log: [...context.log],
    ...(context.parentLog && { parentLog: [...context.parentLog] }),
    roster: context.roster,
    request: request.envelope,
    decisions: latestDecisions(request.decisions, context.networkId),
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
