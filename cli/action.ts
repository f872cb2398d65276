// An action as an approver must see it: judged here from the evidence that owners signed, against the workspace id that
// is trusted. Nothing that the coordinator says of it is shown.
import {
  type Authorisation,
  authorize,
  type Evidence,
  type Trust,
  type Verdict,
  verifyDecision,
} from '../protocol/authorize.ts';
import { fromHex, type Hex } from '../protocol/hex.ts';
import { addressesOf } from '../protocol/keys/key-type.ts';
import type { Missing } from '../protocol/policy/judge.ts';
import { envelopeId, readContent } from '../protocol/records/envelope.ts';
import { timeOf, timestamp } from '../protocol/records/fields.ts';
import { fingerprint } from '../protocol/records/keyring-roster.ts';
import { originOf, request as requestRecord } from '../protocol/records/request.ts';
import { openWorkspace, type Workspace } from '../protocol/records/workspace.ts';
import type { CommandContext } from './context.ts';
import { CliError } from './errors.ts';
import { summaryOf } from './item-summary.ts';
import { nonceWarnings } from './nonce-conflicts.ts';
import { fields } from './output.ts';
import { checkTrusted, requireSame, type WorkspaceSession } from './session.ts';

export interface JudgedAction {
  readonly requestId: Hex;
  readonly workspace: Workspace;
  readonly evidence: Evidence;
  readonly verdict: Verdict;
}

/** Fetches a request's evidence and judges it. Throws CliError `failed` when it is about anything else; RecordError. */
export async function fetchAction(
  context: CommandContext,
  session: WorkspaceSession,
  requestId: Hex,
): Promise<JudgedAction> {
  const { client, networkId, workspaceId } = session;
  const { evidence } = await client.call('action_get', { requestId }, { signal: context.signal });
  const workspace = checkTrusted(openWorkspace(evidence.log, networkId), workspaceId);
  requireSame(envelopeId(evidence.request, networkId), requestId, 'request');
  return {
    requestId,
    workspace,
    evidence,
    verdict: authorize(evidence, trustOf(evidence, networkId, context.now())),
  };
}

/** Delays count from when the request was made, as far as an approver can tell; what limits have left, nodes know. */
function trustOf(evidence: Evidence, networkId: string, now: number): Trust {
  const { created } = readContent(requestRecord, evidence.request, networkId).content;
  return { networkId, now, firstSeen: Math.min(timeOf(created), now), ledger: { entries: [] } };
}

/** What an action asks for, once its evidence holds. Throws CliError `failed` with the reason why it cannot be approved. */
export function approvable({ requestId, verdict }: JudgedAction): Authorisation {
  if (verdict.verdict !== 'refused') return verdict.authorisation;
  throw new CliError(
    'failed',
    `request ${requestId} cannot be approved (${verdict.reason}): ${verdict.detail}`,
    verdict.reason === 'bad_evidence' ? 'do not sign anything for it' : 'ask its initiator for a new one',
  );
}

/** What an approver should know that the action's own bytes do not tell. Throws RpcClientError. */
export async function actionWarnings(
  context: CommandContext,
  session: WorkspaceSession,
  { requestId, workspace }: JudgedAction,
  { request, items }: Authorisation,
): Promise<string[]> {
  if (request.kind !== 'sign') return [];
  const all = items.map(({ key }, index) => ({
    keyId: key.id,
    key: { keyType: key.keyType, publicKey: fromHex(key.publicKey) },
    payload: request.items[index]!.payload,
  }));
  return await nonceWarnings(context, session, workspace, all, requestId);
}

export const doneWords = { approve: 'approved', reject: 'rejected', withdraw: 'taken back' } as const;

/** Which approvals a rule still wants, and of whom. */
export function missingLine({ rule, need, have, from }: Missing): string {
  const names = have.join(', ') || 'nobody yet';
  return `rule ${rule}: ${have.length} of ${need} (${names}), may decide: ${from.join(', ')}`;
}

/** Decisions that count, in the order in which they came. */
function decisionLines(action: JudgedAction, authorisation: Authorisation, networkId: string): string[] {
  return action.evidence.decisions.flatMap((envelope) => {
    try {
      const made = verifyDecision(envelope, authorisation, networkId);
      const more =
        made.decision === 'approve'
          ? `until ${made.expires}`
          : made.decision === 'withdraw' || made.reason === undefined
            ? ''
            : `(${made.reason})`;
      return [`${doneWords[made.decision]} by ${made.principal} ${more}`.trimEnd()];
    } catch {
      return []; // Named among what was ignored.
    }
  });
}

function subjectLines({ request, items, keyring, derived }: Authorisation): string[] {
  const made = `keyring ${keyring.roster.name}, fingerprint ${fingerprint(keyring.id)}`;
  if (request.kind === 'key') {
    const line = `A new ${request.keyType} key labelled "${request.label}", by ${made}`;
    if (derived === undefined) return [line];
    const { parent, path, result } = derived;
    const addresses = addressesOf(result.keyType, fromHex(result.publicKey)).map((entry) => entry.address);
    return [
      line,
      `  derived by ${path} from key "${parent.key.label}" (${parent.key.id})`,
      `  public key ${result.publicKey}${addresses.length > 0 ? `, ${addresses.join(', ')}` : ''}`,
    ];
  }
  const summaries = summaryOf(items.map(({ payload }) => payload));
  return items.flatMap(({ key }, index) => {
    const addresses = addressesOf(key.keyType, fromHex(key.publicKey)).map((entry) => entry.address);
    return [
      ...(items.length > 1 ? [`Item ${index + 1} of ${items.length}`] : []),
      `Signed by key "${key.label}" (${addresses.join(', ')}), ${made}`,
      ...summaries[index]!.map((line) => `  ${line}`),
    ];
  });
}

/** An action for a person: what it is, from the signed bytes, and how it stands. */
export function actionLines(
  action: JudgedAction,
  authorisation: Authorisation,
  networkId: string,
  warnings: readonly string[],
): string[] {
  const { request, workspace, expires } = authorisation;
  const { verdict } = action;
  const missing = verdict.verdict === 'waiting' ? verdict.missing : [];
  const holds = verdict.verdict === 'waiting' ? verdict.holds : [];
  const ignored = verdict.verdict === 'refused' ? [] : verdict.ignored;
  return [
    ...fields([
      ['request', action.requestId],
      ['workspace', `${workspace.name} (${workspace.id})`],
      ['asked by', request.initiator],
      ['created', request.created],
      ['ends', timestamp(expires)],
    ]),
    '',
    ...subjectLines(authorisation),
    '',
    ...fields([
      ['WARNING', warnings],
      ['policy', verdict.verdict === 'authorised' ? 'satisfied' : undefined],
      ['missing', missing.map(missingLine)],
      ['waits for', holds.map(({ rule, hold, detail }) => `rule ${rule}: ${hold}: ${detail}`)],
      ['decisions', decisionLines(action, authorisation, networkId)],
      ['ignored', [...ignored]],
    ]),
  ];
}

/** The same for `--json`. */
export function actionJson(
  action: JudgedAction,
  authorisation: Authorisation,
  warnings: readonly string[],
): Record<string, unknown> {
  const { request, workspace, keyring, items, expires } = authorisation;
  const { verdict } = action;
  return {
    requestId: action.requestId,
    workspaceId: workspace.id,
    keyringId: keyring.id,
    kind: request.kind,
    initiator: request.initiator,
    created: request.created,
    expires: timestamp(expires),
    ...(request.kind === 'key' && { keyType: request.keyType, label: request.label, ...originOf(request) }),
    items: items.map(({ key, payload }) => ({
      keyId: key.id,
      label: key.label,
      publicKey: key.publicKey,
      kind: payload.kind,
      facts: payload.facts,
      summary: payload.summary,
    })),
    ...(warnings.length > 0 && { warnings }),
    verdict: verdict.verdict,
    ...(verdict.verdict === 'waiting' && { missing: verdict.missing, holds: verdict.holds }),
    ...(verdict.verdict !== 'refused' && { ignored: verdict.ignored }),
  };
}
