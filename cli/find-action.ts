// What an id names that owners decide on: a request, or a change of the workspace.
import { RpcClientError } from '../client/rpc-error.ts';
import type { Hex } from '../protocol/hex.ts';
import type { CommandContext } from './context.ts';
import { allPages, uniqueId, wholeId } from './ids.ts';
import type { WorkspaceSession } from './session.ts';

export interface FoundAction {
  readonly id: Hex;
  readonly kind: 'request' | 'change';
}

/** Whether the coordinator has a change with this id. Throws RpcClientError. */
async function isChange(
  context: CommandContext,
  { client }: WorkspaceSession,
  changeId: Hex,
): Promise<boolean> {
  try {
    await client.call('change_get', { changeId }, { signal: context.signal });
    return true;
  } catch (error) {
    if (error instanceof RpcClientError && error.code === 'not_found') return false;
    throw error;
  }
}

/** The action with that id, or that unique beginning of an id. Throws CliError `usage` when it is not one. */
export async function findAction(
  context: CommandContext,
  session: WorkspaceSession,
  text: string,
): Promise<FoundAction> {
  const { client, workspaceId } = session;
  const whole = wholeId(text);
  if (whole !== undefined)
    return { id: whole, kind: (await isChange(context, session, whole)) ? 'change' : 'request' };
  const { signal } = context;
  const requests = await allPages((page) => client.call('sign_list', { workspaceId, ...page }, { signal }));
  const changes = await allPages((page) => client.call('change_list', { workspaceId, ...page }, { signal }));
  const changeIds = changes.map(({ changeId }) => changeId);
  const id = uniqueId(
    text,
    [...requests.map(({ requestId }) => requestId), ...changeIds],
    'request or change',
  );
  return { id, kind: changeIds.includes(id) ? 'change' : 'request' };
}
