// How a request stands, printed from signed records; what it made is verified before it is printed.
import type { Workspace } from '../protocol/records/workspace.ts';
import type { RequestView } from '../protocol/rpc.ts';
import type { CommandContext } from './context.ts';
import { keyJson, keyLines } from './key-view.ts';
import { fetchKey } from './keys.ts';
import { fields, printResult } from './output.ts';
import { writeOut } from './record-file.ts';
import { type ProvenRequest, requireFulfilled } from './requests.ts';
import type { WorkspaceSession } from './session.ts';
import { provenSignatures, signedForm, signedItemJson, signedItemLines } from './signed-items.ts';

export interface ReportOptions {
  readonly json?: boolean | undefined;
  /** File for the signed transactions or messages, see `signedForm`, one a line. */
  readonly out?: string | undefined;
  /** Whether anything but a fulfilled request is a failure. */
  readonly final: boolean;
}

function stateLines(view: RequestView, { id, content }: ProvenRequest): string[] {
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
  printResult(context, options, { ...stateJson(view, request), ...made.json }, () => [
    ...stateLines(view, request),
    ...made.lines,
  ]);
  if (options.final) requireFulfilled(view);
}
