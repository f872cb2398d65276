// Which changes of workspaces were approved from this machine. Approvals of two changes that would take one place in a log
// can both come into force, for different parties: nobody approves a second one without knowing.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { recordIdSchema } from '../protocol/records/fields.ts';
import type { Hex } from '../protocol/hex.ts';
import type { Workspace } from '../protocol/records/workspace.ts';
import { writeAtomically } from '../storage/atomic-file.ts';
import type { CommandContext } from './context.ts';
import { CliError } from './errors.ts';
import { homeFolder } from './profile.ts';
import type { WorkspaceSession } from './session.ts';

const maxKept = 1000;

const schema = z.array(
  z.strictObject({
    identity: z.string(),
    workspaceId: recordIdSchema,
    prev: recordIdSchema,
    changeId: recordIdSchema,
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

/** The change that this identity has approved after `prev`, if it is another one. */
async function approvedBefore(
  context: CommandContext,
  { identity, workspaceId, prev, changeId }: Approved,
): Promise<Hex | undefined> {
  const all = await readAll(context);
  return all.find(
    (one) =>
      one.identity === identity &&
      one.workspaceId === workspaceId &&
      one.prev === prev &&
      one.changeId !== changeId,
  )?.changeId;
}

/** Remembers that this identity approves a change; durable before the approval leaves. */
async function rememberApproval(context: CommandContext, approved: Approved): Promise<void> {
  const all = await readAll(context);
  if (all.some((one) => one.identity === approved.identity && one.changeId === approved.changeId)) return;
  const kept = [...all, approved].slice(-maxKept);
  await writeAtomically(pathOf(context), `${JSON.stringify(kept, undefined, 2)}\n`, {
    name: 'approved-changes',
    mode: 0o600,
    replace: true,
  });
}

/** Refuses a second approval of one place in the log, unless told otherwise; remembers this one. Throws CliError. */
export async function guardApproval(
  context: CommandContext,
  { identity, workspaceId }: WorkspaceSession,
  workspace: Pick<Workspace, 'head'>,
  changeId: Hex,
  second: boolean | undefined,
): Promise<void> {
  const approval = { identity, workspaceId, prev: workspace.head.id, changeId };
  const before = await approvedBefore(context, approval);
  if (before !== undefined && second !== true)
    throw new CliError(
      'failed',
      `you have approved change ${before} at the same place of the log: both could come into force, for different parties`,
      'wait until it is in the log or was rejected by enough owners; or pass --second if you know that nobody keeps it',
    );
  await rememberApproval(context, approval);
}
