// A receipt: everything signed about a fulfilled request, in one file. It needs no coordinator, node or network to be
// checked, only the file and, from elsewhere, the id of the workspace that the reader trusts: the workspace's log anchors its
// owners, its policy and its keyrings, those their parties, and these the key and every signature.
//
// Time is not checked: a receipt is read after its approvals have run out, and nothing in it proves when they were given.
// Nor does it prove that it is complete: whoever made it may have left out a decision, or a result, that was not needed.
import * as z from 'zod';
import {
  approvalsMet,
  type Authorisation,
  authorize,
  type Evidence,
  evidenceSchema,
  positionsOf,
  reconsider,
  type Trust,
  verifyDecision,
} from './authorize.ts';
import { type Hex, hexBytes } from './hex.ts';
import { KeyProofs } from './key-proofs.ts';
import { sameKeyResult } from './keys/certificate.ts';
import { checkPartyResult, checkSignatures, verifyPartyResult } from './party-results.ts';
import { decodeCanonical, encodeCanonical } from './records/canonical.ts';
import { type Envelope, envelopeSchema, verifyRecord } from './records/envelope.ts';
import { networkIdSchema, timeOf } from './records/fields.ts';
import { type Keyring, openKeyring } from './records/keyring-roster.ts';
import type { KeyResult, PartyResult } from './records/party-result.ts';
import { originOf, type Request, request as requestRecord } from './records/request.ts';
import { openWorkspace, type Workspace } from './records/workspace.ts';

export const receiptSchema = z.strictObject({
  type: z.literal('countersign.receipt'),
  version: z.literal(1),
  networkId: networkIdSchema,
  evidence: evidenceSchema,
  /** What the parties signed that count: of a key, its certificate. */
  results: z.array(envelopeSchema).min(1).max(50),
  /** Of a sign request: the signatures, one an item, as they were published. */
  signatures: z.array(hexBytes(64, 72)).min(1).max(50).optional(),
});
export type Receipt = z.infer<typeof receiptSchema>;

/** Largest receipt, in bytes. */
export const maxReceiptBytes = 8 * 1024 * 1024;

/** Where a receipt is wrong: the first part of it that does not hold, in the order in which they build on each other. */
export type ReceiptErrorCode =
  | 'malformed' // not a receipt, or not in the one spelling a receipt has
  | 'log' // the workspace's log, or it is of another workspace than the trusted one
  | 'roster' // the keyring's roster, or workspace and keyring do not name each other
  | 'request'
  | 'keys' // a key's request or certificate
  | 'decisions' // a decision, or they do not satisfy the policy
  | 'results'
  | 'signatures';

export class ReceiptError extends Error {
  override readonly name = 'ReceiptError';
  readonly code: ReceiptErrorCode;
  /** The part, as a path in the receipt: `evidence.decisions[1]`. */
  readonly at: string;
  constructor(code: ReceiptErrorCode, at: string, message: string, options?: ErrorOptions) {
    super(`${at}: ${message}`, options);
    this.code = code;
    this.at = at;
  }
}

/** What a receipt proves. */
export interface ReceiptProof {
  readonly networkId: string;
  readonly requestId: Hex;
  readonly workspace: Workspace;
  readonly keyring: Keyring;
  readonly request: Request;
  readonly items: Authorisation['items'];
  /** Owners whose last decision here is an approval, the initiator among them. */
  readonly approvedBy: readonly string[];
  /** Names of the parties whose results are in it. */
  readonly parties: readonly string[];
  /** One an item; none for a key request. */
  readonly signatures: readonly Hex[];
  /** Of a key request: the key. */
  readonly key?: KeyResult;
}

/** The one byte string of a receipt, with a line feed for people's tools. */
export function encodeReceipt(receipt: Receipt): Uint8Array {
  return Uint8Array.from([...encodeCanonical(receipt), 0x0a]);
}

/** The receipt in a file. Form only. Throws ReceiptError `malformed`. */
export function decodeReceipt(file: Uint8Array): Receipt {
  const bytes = file.at(-1) === 0x0a ? file.subarray(0, -1) : file;
  let value: unknown;
  try {
    value = decodeCanonical(bytes, maxReceiptBytes);
  } catch (cause) {
    const [what] = (cause as Error).message.split(': ');
    throw new ReceiptError('malformed', 'the file', `not a receipt: ${what}`, { cause });
  }
  const parsed = receiptSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const at = issue?.path.map(String).join('.') || 'the file';
  throw new ReceiptError('malformed', at, `not a receipt: ${issue?.message ?? 'wrong form'}`);
}

/** Runs a check; what it throws says what is wrong at this place. */
function at<Value>(code: ReceiptErrorCode, place: string, check: () => Value): Value {
  try {
    return check();
  } catch (cause) {
    if (cause instanceof ReceiptError) throw cause;
    throw new ReceiptError(code, place, (cause as Error).message, { cause });
  }
}

/**
 * Checks a receipt against nothing but itself and the workspace that the reader trusts. Throws ReceiptError naming the first
 * thing that is wrong.
 */
export function verifyReceipt(receipt: Receipt, trusted: { readonly workspaceId: Hex }): ReceiptProof {
  const { networkId, evidence } = receipt;
  const workspace = openTrusted(evidence.log, networkId, trusted.workspaceId);
  const keyring = at('roster', 'evidence.roster', () => openUsed(evidence.roster, workspace, networkId));
  const record = at('request', 'evidence.request', () =>
    verifyRecord(requestRecord, evidence.request, networkId),
  );
  checkKeys(evidence, keyring, record.content, networkId);
  const authorisation = authorised(evidence, networkId, record.content);
  checkDecisions(evidence, authorisation, networkId);
  const { contents, signatures } = verifyOutcome(receipt, authorisation, networkId);
  const { request, requestId, items } = authorisation;
  const key = contents.map(({ result }) => result).find((result) => result.kind === 'key');
  return {
    networkId,
    requestId,
    workspace,
    keyring,
    request,
    items,
    approvedBy: [...positionsOf(authorisation, evidence, judgedAt(request, networkId)).approved.keys()],
    parties: contents.map(
      ({ party }) => keyring.roster.parties.find((member) => member.key === party)?.name ?? party,
    ),
    signatures,
    ...(key && { key }),
  };
}

/**
 * Checks what the parties signed about a request that the reader has established itself: results of as many distinct parties
 * as it takes, and the published signatures. Decisions are not looked at. Throws ReceiptError `results` or `signatures`.
 */
export function verifyOutcome(
  outcome: Pick<Receipt, 'results' | 'signatures'>,
  authorisation: Authorisation,
  networkId: string,
): { readonly contents: readonly PartyResult[]; readonly signatures: readonly Hex[] } {
  const contents = checkResults(outcome.results, authorisation, networkId);
  return { contents, signatures: publishedSignatures(outcome, authorisation) };
}

/** Whether the decisions in evidence authorise what was established from it, at a time when no approval had run out. */
export function wasAuthorised(authorisation: Authorisation, evidence: Evidence, networkId: string): boolean {
  const trust = judgedAt(authorisation.request, networkId);
  const verdict = reconsider(authorisation, evidence, trust);
  // Of time a receipt says nothing, as below.
  return verdict.verdict === 'authorised' || approvalsMet(verdict, evidence, trust);
}

function openTrusted(log: readonly Envelope[], networkId: string, trusted: Hex): Workspace {
  const workspace = at('log', 'evidence.log', () => openWorkspace(log, networkId));
  if (workspace.id !== trusted)
    throw new ReceiptError('log', 'evidence.log', `of workspace ${workspace.id}, trusted is ${trusted}`);
  return workspace;
}

/** The keyring, which the workspace names as one of its own: anybody can sign a roster. Throws Error. */
function openUsed(roster: Envelope, workspace: Workspace, networkId: string): Keyring {
  const keyring = openKeyring(roster, networkId);
  if (!workspace.keyrings.includes(keyring.id))
    throw new TypeError(`keyring ${keyring.id} is none that workspace ${workspace.id} uses`);
  return keyring;
}

/** Exactly the keys that the items name, and the parents of derived ones, each proven. */
function checkKeys(evidence: Evidence, keyring: Keyring, request: Request, networkId: string): void {
  const proofs = new KeyProofs(evidence.keys, keyring, networkId);
  const keys = evidence.keys.map((entry, index) =>
    at('keys', `evidence.keys[${index}]`, () => proofs.prove(entry).key),
  );
  const named = new Set(request.kind === 'sign' ? request.items.map(({ keyId }) => keyId) : []);
  const parents = keys.flatMap(({ id, origin }) => (named.has(id) && origin ? [origin.parent] : []));
  const parent = originOf(request)?.parent;
  const wanted = new Set([...named, ...parents, ...(parent === undefined ? [] : [parent])]);
  for (const [index, key] of keys.entries())
    if (!wanted.delete(key.id)) {
      const message = `key ${key.id} is not one that an item names, nor the parent of one, once`;
      throw new ReceiptError('keys', `evidence.keys[${index}]`, message);
    }
  const [missing] = wanted;
  if (missing !== undefined) throw new ReceiptError('keys', 'evidence.keys', `key ${missing} is missing`);
}

/** No receipt says when it was judged: it is judged at the time at which the request was made. */
function judgedAt({ created }: Request, networkId: string): Trust {
  return { networkId, now: timeOf(created) };
}

/** What evidence authorised, at a time when no approval in it had run out. */
function authorised(evidence: Evidence, networkId: string, request: Request): Authorisation {
  const trust = judgedAt(request, networkId);
  const verdict = authorize(evidence, trust);
  if (verdict.verdict === 'authorised') return verdict.authorisation;
  // Delays, hours and limits are of the time at which each node judged, which nobody can tell later.
  if (verdict.verdict === 'waiting' && approvalsMet(verdict, evidence, trust)) return verdict.authorisation;
  if (verdict.verdict === 'waiting') {
    // Garbage among decisions is ignored when they are judged: here it is the first thing wrong.
    checkDecisions(evidence, verdict.authorisation, networkId);
    const missing = verdict.missing.map(({ rule, need, have }) => `${rule}: ${have.length} of ${need}`);
    throw new ReceiptError(
      'decisions',
      'evidence.decisions',
      `the policy is not satisfied (${missing.join(', ')})`,
    );
  }
  const { reason, detail } = verdict;
  if (reason === 'not_served') throw new ReceiptError('roster', 'evidence.roster', detail);
  if (reason === 'wrong_key' || reason === 'wrong_parent' || reason === 'parent_is_derived')
    throw new ReceiptError('keys', 'evidence.keys', detail);
  if (reason === 'approvers' || reason === 'cancelled')
    throw new ReceiptError('decisions', 'evidence.decisions', detail);
  throw new ReceiptError('request', 'evidence.request', detail);
}

/** Every decision that is there is one about this request, by an owner. */
function checkDecisions({ decisions }: Evidence, authorisation: Authorisation, networkId: string): void {
  for (const [index, envelope] of decisions.entries())
    at('decisions', `evidence.decisions[${index}]`, () => verifyDecision(envelope, authorisation, networkId));
}

/** Results of distinct parties, as many as the request takes. */
function checkResults(
  results: readonly Envelope[],
  authorisation: Authorisation,
  networkId: string,
): PartyResult[] {
  const { keyring, request } = authorisation;
  const { threshold, parties } = keyring.roster;
  const seen = new Set<string>();
  const checked = new Set<string>();
  let first: KeyResult | undefined;
  const contents = results.map((envelope, index) =>
    at('results', `results[${index}]`, () => {
      const { content } = verifyPartyResult(envelope, authorisation, networkId);
      const { party, result } = content;
      if (seen.has(party)) throw new TypeError(`a second result of ${party}`);
      seen.add(party);
      if (result.kind === 'refusal') throw new TypeError(`${party} refused`);
      // All of a set report the same: it is as true of the second party as of the first.
      const said = JSON.stringify(result);
      if (!checked.has(said)) checkPartyResult(content, authorisation);
      checked.add(said);
      if (result.kind === 'key') {
        first ??= result;
        if (!sameKeyResult(first, result))
          throw new TypeError(`${party} reports another key than the others`);
      }
      return content;
    }),
  );
  const need = request.kind === 'key' ? parties.length : threshold;
  if (seen.size < need)
    throw new ReceiptError('results', 'results', `of ${seen.size} parties, ${need} are needed`);
  return contents;
}

function publishedSignatures(
  { signatures }: Pick<Receipt, 'signatures'>,
  { request, items }: Authorisation,
): readonly Hex[] {
  if (request.kind === 'key') {
    if (signatures !== undefined)
      throw new ReceiptError('signatures', 'signatures', 'a key request has no signatures');
    return [];
  }
  if (signatures === undefined) throw new ReceiptError('signatures', 'signatures', 'missing');
  at('signatures', 'signatures', () => checkSignatures(signatures, items));
  return signatures;
}
