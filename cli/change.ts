// A change of a workspace as an owner must see it: read from its signed bytes and judged here, against the log that is
// replayed from the trusted workspace.
import type { Hex } from '../protocol/hex.ts';
import type { PolicyVerdict } from '../protocol/policy/judge.ts';
import { describePolicy } from '../protocol/policy/explain.ts';
import type { Policy } from '../protocol/policy/schema.ts';
import { timeOf } from '../protocol/records/fields.ts';
import { readDecisionOn, subjectOf } from '../protocol/decisions.ts';
import type { Envelope } from '../protocol/records/envelope.ts';
import { type Change, workspaceChange } from '../protocol/records/workspace-change.ts';
import {
  judgeChange,
  openChange,
  type OpenedChange,
  openWorkspace,
  type Workspace,
} from '../protocol/records/workspace.ts';
import type { ChangeView } from '../protocol/rpc.ts';
import { doneWords, missingLine } from './action.ts';
import type { CommandContext } from './context.ts';
import { CliError } from './errors.ts';
import { fields } from './output.ts';
import { checkTrusted, requireSame, trustedWorkspace, type WorkspaceSession } from './session.ts';

export interface JudgedChange {
  readonly view: ChangeView;
  /** As it was when the change was proposed. */
  readonly workspace: Workspace;
  readonly opened: OpenedChange;
  readonly decisions: readonly Envelope[];
  readonly judged: PolicyVerdict;
  readonly ignored: readonly string[];
}

/** Fetches a change and judges it. Throws CliError `failed` when it is another's; RecordError. */
export async function fetchChange(
  context: CommandContext,
  { client, networkId, workspaceId }: WorkspaceSession,
  changeId: Hex,
): Promise<JudgedChange> {
  const { view, log } = await client.call('change_get', { changeId }, { signal: context.signal });
  const workspace = checkTrusted(openWorkspace(log, networkId), workspaceId);
  const opened = openChange(workspace, view.change, networkId);
  requireSame(opened.record.id, changeId, 'change');
  const { decisions } = view;
  const { judged, positions } = judgeChange(workspace, opened, decisions, networkId, context.now());
  return { view, workspace, opened, decisions, judged, ignored: positions.ignored };
}

/** Throws CliError `failed`, saying why, when no approval can bring this change into the log. */
export async function requireDecidable(
  context: CommandContext,
  session: WorkspaceSession,
  { view, opened, judged }: JudgedChange,
): Promise<void> {
  const { id, content } = opened.record;
  const refuse = (why: string, remedy: string): never => {
    throw new CliError('failed', `change ${id} cannot be approved: ${why}`, remedy);
  };
  const anew = 'let its initiator propose it anew';
  const { chain, head } = await trustedWorkspace(context, session);
  if (chain[content.seq] === id) refuse('it is in the log already', 'nothing is left to decide');
  if (judged.verdict === 'rejected') refuse(`it was rejected (${judged.reason})`, anew);
  if (head.id !== content.prev)
    refuse(`it follows entry ${content.seq - 1}, and the log is at entry ${head.seq} ${head.id}`, anew);
  if (timeOf(content.expires) <= context.now()) refuse(`it ended at ${content.expires}`, anew);
  if (view.state === 'rejected')
    refuse(`the coordinator says that it ended: ${view.reason?.code ?? 'rejected'}`, anew);
}

const rules = (policy: Policy): string[] => describePolicy(policy).map((line) => `  ${line}`);

/** What a change does, in words. */
export function describeChange(change: Change): string[] {
  switch (change.kind) {
    case 'owner.add':
      return [`Add owner ${change.owner.name}`, ...change.owner.credentials.map((one) => `  ${one}`)];
    case 'owner.remove':
      return [`Remove owner ${change.owner}`];
    case 'credential.add':
      return [`Add a credential of ${change.owner}`, `  ${change.credential}`];
    case 'credential.remove':
      return [`Remove a credential of ${change.owner}`, `  ${change.credential}`];
    case 'keyring.add':
      return [`Use keyring ${change.keyringId} too`];
    case 'keyring.remove':
      return [`No longer use keyring ${change.keyringId}: its keys can sign nothing for the workspace`];
    case 'policy.admin':
      return ['Change the admin policy to', ...rules(change.policy)];
    case 'policy.sign':
      return change.policy === undefined
        ? ['Drop the sign policy: the parent workspace’s is in force']
        : ['Change the sign policy to', ...rules(change.policy)];
    case 'policy.key':
      return change.policy === undefined
        ? [`Drop the policy of key ${change.keyId}: the workspace’s is in force for it`]
        : [`Give key ${change.keyId} a policy of its own`, ...rules(change.policy)];
    case 'key.disable':
      return [`Disable key ${change.keyId}: it signs nothing until it is enabled`];
    case 'key.enable':
      return [`Enable key ${change.keyId}`];
    case 'child.add':
      return [`Take workspace ${change.workspaceId} as a child`];
    case 'child.remove':
      return [`No longer have workspace ${change.workspaceId} as a child: nothing is signed for it`];
    case 'freeze':
      return ['Freeze the workspace: nothing is signed, and no key is made, until it is unfrozen'];
    case 'unfreeze':
      return ['Unfreeze the workspace'];
    case 'resolve':
      return [`Of two entries that the log has here, say that this one stands`, `  ${change.stands}`];
  }
}

function decisionLines({ workspace, opened, decisions }: JudgedChange, networkId: string): string[] {
  const subject = subjectOf(workspaceChange, opened.record);
  return decisions.flatMap((envelope) => {
    try {
      const { decision } = readDecisionOn(subject, envelope, workspace, networkId);
      return [`${doneWords[decision.decision]} by ${decision.principal}`];
    } catch {
      return []; // Named among what was ignored.
    }
  });
}

/** A change for a person: what it does, from the signed bytes, and how it stands. */
export function changeLines(change: JudgedChange, networkId: string): string[] {
  const { view, workspace, opened, judged, ignored } = change;
  const { id, content } = opened.record;
  return [
    ...fields([
      ['change', id],
      ['workspace', `${workspace.name} (${workspace.id})`],
      ['entry', `${content.seq}, after ${content.prev}`],
      ['proposed by', content.initiator],
      ['created', content.created],
      ['ends', content.expires],
      ['state', view.state === 'fulfilled' ? 'in the log' : view.state],
      ['reason', view.reason && `${view.reason.code}: ${view.reason.detail}`],
    ]),
    '',
    ...describeChange(content.change),
    '',
    ...fields([
      [
        'policy',
        judged.verdict === 'rejected'
          ? `rejected: ${judged.reason}`
          : judged.verdict === 'satisfied'
            ? 'satisfied'
            : undefined,
      ],
      ['missing', judged.verdict === 'waiting' ? judged.missing.map(missingLine) : []],
      ['decisions', decisionLines(change, networkId)],
      ['ignored', [...ignored]],
    ]),
  ];
}

/** The same for `--json`. */
export function changeJson({
  view,
  workspace,
  opened,
  judged,
  ignored,
}: JudgedChange): Record<string, unknown> {
  const { id, content } = opened.record;
  const { seq, prev, initiator, change, created, expires } = content;
  return {
    changeId: id,
    kind: 'change',
    workspaceId: workspace.id,
    seq,
    prev,
    initiator,
    change,
    created,
    expires,
    state: view.state,
    ...(view.reason && { reason: view.reason }),
    verdict: judged.verdict,
    ...(judged.verdict === 'waiting' && { missing: judged.missing }),
    ignored,
  };
}
