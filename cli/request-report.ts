// How a request stands, printed from signed records; what it made is verified before it is printed.
import type { Workspace } from '../protocol/records/workspace.ts';
import type { RequestView } from '../protocol/rpc.ts';
import type { CommandContext } from './context.ts';
import { fromHex } from '../protocol/hex.ts';
import { keyJson, keyLines } from './key-view.ts';
import { fetchKey } from './keys.ts';
import { type NonceItem, nonceWarnings } from './nonce-conflicts.ts';
import { fields, printResult } from './output.ts';
import { writeOut } from './record-file.ts';
import { isFinal, type ProvenRequest, requireFulfilled } from './requests.ts';
import type { WorkspaceSession } from './session.ts';
import { provenSignatures, signedForm, signedItemJson, signedItemLines } from './signed-items.ts';

export interface ReportOptions {
  readonly json?: boolean | undefined;
  /** File for the signed transactions or messages, see `signedForm`, one a line. */
  readonly out?: string | undefined;
  /** Whether anything but a fulfilled request is a failure. */
  readonly final: boolean;
}

function stateLines(
  view: RequestView,
  { id, content }: ProvenRequest,
  warnings: readonly string[],
): string[] {
  const { have, need, refused } = view.votes;
  const missing = (view.missing ?? []).map(
    (rule) => `rule ${rule.rule}: ${rule.have.length} of ${rule.need}, may decide: ${rule.from.join(', ')}`,
  );
  return fields([
    ['request', id],
    ['kind', content.kind === 'key' ? `key "${content.label}"` : `sign, ${content.items.length} item(s)`],
    ['asked by', content.initiator],
    ['created', content.created],
    ['ends', view.expires],
    ['state', view.state],
    ['reason', view.reason === undefined ? undefined : `${view.reason.code}: ${view.reason.detail}`],
    ['approvals missing', missing],
    ['parties', `${have} answered, ${need} needed, ${refused} refused`],
    [
      'warning',
      view.mayHaveBeenSigned
        ? 'it may have been signed: make it invalid on chain before asking again'
        : undefined,
    ],
    ['WARNING', warnings],
  ]);
}

function stateJson(view: RequestView, { id, content }: ProvenRequest): Record<string, unknown> {
  const { state, reason, votes, missing, mayHaveBeenSigned, expires } = view;
  return {
    requestId: id,
    kind: content.kind,
    initiator: content.initiator,
    created: content.created,
    expires,
    state,
    ...(reason && { reason }),
    ...(missing && { missing }),
    votes,
    mayHaveBeenSigned,
  };
}

/** What the requests that are open beside this one mean for it, while it is open itself. */
async function warningsOf(
  context: CommandContext,
  session: WorkspaceSession,
  workspace: Workspace,
  view: RequestView,
  { id, content }: ProvenRequest,
): Promise<string[]> {
  if (content.kind !== 'sign' || isFinal(view)) return [];
  const items: NonceItem[] = [];
  for (const { keyId, payload } of content.items) {
    if (payload.kind !== 'evm.transaction' && payload.kind !== 'solana.transaction') continue;
    const { key } = await fetchKey(context, session, workspace, keyId);
    items.push({ keyId, key: { keyType: key.keyType, publicKey: fromHex(key.publicKey) }, payload });
  }
  return await nonceWarnings(context, session, workspace, items, id);
}

/**
 * Prints how a request stands. Throws VerificationError when what it made does not verify, and with `final` CliError
 * `waiting` or `rejected` when it is not fulfilled.
 */
export async function reportRequest(
  context: CommandContext,
  session: WorkspaceSession,
  workspace: Workspace,
  view: RequestView,
  request: ProvenRequest,
  options: ReportOptions,
): Promise<void> {
  const made = { json: {} as Record<string, unknown>, lines: [] as string[] };
  if (view.state === 'fulfilled' && request.content.kind === 'key') {
    const key = await fetchKey(context, session, workspace, request.id);
    Object.assign(made, { json: { key: keyJson(key) }, lines: keyLines(key) });
  } else if (view.state === 'fulfilled') {
    const items = await provenSignatures(context, session, workspace, view, request);
    if (options.out !== undefined)
      await writeOut(options.out, `${[...new Set(items.map(signedForm))].join('\n')}\n`);
    Object.assign(made, {
      json: { items: items.map(signedItemJson), verified: true },
      lines: items.flatMap((item) => ['', ...signedItemLines(item)]),
    });
  }
  const warnings = await warningsOf(context, session, workspace, view, request);
  const json = { ...stateJson(view, request), ...made.json, ...(warnings.length > 0 && { warnings }) };
  printResult(context, options, json, () => [...stateLines(view, request, warnings), ...made.lines]);
  if (options.final) requireFulfilled(view);
}
