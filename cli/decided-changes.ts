// Which changes of workspaces were approved from this machine. Approvals of two changes that would take one place in a log
// can both come into force, for different parties: nobody approves a second one without knowing.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { recordIdSchema } from '../protocol/records/fields.ts';
import type { Hex } from '../protocol/hex.ts';
import type { Plan } from '../protocol/policy/plan.ts';
import { decision as decisionRecord } from '../protocol/records/decision.ts';
import { readContent } from '../protocol/records/envelope.ts';
import { judgeChange, ownerOf, type Workspace } from '../protocol/records/workspace.ts';
import { makeFolder, writeAtomically } from '../storage/atomic-file.ts';
import { RpcClientError } from '../client/rpc-error.ts';
import { fetchChange } from './change.ts';
import type { CommandContext } from './context.ts';
import { CliError } from './errors.ts';
import { homeFolder } from './profile.ts';
import type { WorkspaceSession } from './session.ts';

const maxKept = 1000;

const schema = z.array(
  z.strictObject({
    /** Name of the owner who approved, with whichever identity. */
    owner: z.string(),
    workspaceId: recordIdSchema,
    prev: recordIdSchema,
    changeId: recordIdSchema,
    /** Of a change that says which of two entries after `prev` stands: that one. It takes no place in the log itself. */
    stands: recordIdSchema.optional(),
  }),
);
type Approved = z.infer<typeof schema>[number];

function pathOf(context: CommandContext): string {
  return join(homeFolder(context), 'approved-changes.json');
}

async function readAll(context: CommandContext): Promise<Approved[]> {
  const path = pathOf(context);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new CliError(
      'failed',
      `${path} is damaged`,
      'look which changes you have approved, then remove the file',
      { cause },
    );
  }
}

/** Other changes that this owner has approved after `prev`, the newest first. */
async function approvedBefore(
  context: CommandContext,
  { owner, workspaceId, prev, changeId }: Approved,
): Promise<Approved[]> {
  const all = await readAll(context);
  return all
    .filter((one) => one.owner === owner && one.workspaceId === workspaceId && one.prev === prev)
    .filter((one) => one.changeId !== changeId)
    .toReversed();
}

/** Remembers that an owner approves a change; durable before the approval leaves. */
async function remember(context: CommandContext, approved: Approved): Promise<void> {
  const all = await readAll(context);
  if (all.some((one) => one.owner === approved.owner && one.changeId === approved.changeId)) return;
  const kept = [...all, approved].slice(-maxKept);
  await makeFolder(homeFolder(context));
  await writeAtomically(pathOf(context), `${JSON.stringify(kept, undefined, 2)}\n`, {
    name: 'approved-changes',
    mode: 0o600,
    replace: true,
  });
}

/**
 * Whether so many others have rejected a change that it lacks the approvals it takes. Records can be kept back: the owner's own
 * rejection does not undo the approval that was signed before, and a veto says nothing to whoever does not see it.
 */
async function isRejected(
  context: CommandContext,
  session: WorkspaceSession,
  changeId: Hex,
  owner: string,
): Promise<boolean> {
  const { networkId } = session;
  try {
    const { workspace, opened, decisions } = await fetchChange(context, session, changeId);
    const others = decisions.filter(
      (envelope) => readContent(decisionRecord, envelope, networkId).content.principal !== owner,
    );
    const counted = { ...opened, plan: withoutVetoes(opened.plan) };
    const { judged } = judgeChange(workspace, counted, others, networkId, undefined);
    return judged.verdict === 'rejected';
  } catch (error) {
    if (error instanceof RpcClientError && error.code === 'not_found') return false;
    throw error;
  }
}

function withoutVetoes(plan: Plan): Plan {
  const items = plan.items.map((item) => ({
    ...item,
    rules: item.rules.map(({ reject: _reject, ...rule }) => rule),
  }));
  return { ...plan, items };
}

/**
 * Refuses a second approval of one place in the log, unless the first is of a change that its owners rejected, or `second`
 * says so. What it returns remembers this approval: to be called once it is signed, before it leaves. Throws CliError.
 */
export async function guardApproval(
  context: CommandContext,
  session: WorkspaceSession,
  workspace: Pick<Workspace, 'head' | 'owners'>,
  changeId: Hex,
  second: boolean | undefined,
): Promise<() => Promise<void>> {
  const { workspaceId, signer, identity } = session;
  const owner = ownerOf(workspace, signer.credential)?.name ?? identity;
  const approval = { owner, workspaceId, prev: workspace.head.id, changeId };
  const others = second === true ? [] : await approvedBefore(context, approval);
  for (const { changeId: before, stands } of others)
    if (stands === undefined && !(await isRejected(context, session, before, owner)))
      throw new CliError(
        'failed',
        `${owner} has approved change ${before} at the same place of the log: both could come into force, for different parties`,
        'wait until it is in the log or was rejected by enough owners; or pass --second if you know that nobody keeps it',
      );
  return async () => await remember(context, approval);
}

/**
 * As `guardApproval`, of what is said of two entries after `prev`: two that say different things block the workspace for good.
 */
export async function guardResolution(
  context: CommandContext,
  resolution: Required<Approved>,
  second: boolean | undefined,
): Promise<() => Promise<void>> {
  const before = second === true ? [] : await approvedBefore(context, resolution);
  const other = before.find(({ stands }) => stands !== undefined && stands !== resolution.stands);
  if (other !== undefined)
    throw new CliError(
      'failed',
      `${resolution.owner} has signed that ${other.stands} stands: if both are decided, nothing is ever signed for the workspace again`,
      'agree with the other owners; pass --second only if you know that nobody keeps the first',
    );
  return async () => await remember(context, resolution);
}
