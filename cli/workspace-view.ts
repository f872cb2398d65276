// A workspace as its verified log tells it, for people and scripts.
import { defaultPolicy } from '../protocol/policy/schema.ts';
import type { Workspace } from '../protocol/records/workspace.ts';
import { fields } from './output.ts';
import { describePolicy } from './policy-file.ts';

export function workspaceLines(workspace: Workspace): string[] {
  const isDefault = JSON.stringify(workspace.signPolicy) === JSON.stringify(defaultPolicy);
  return fields([
    ['workspace', workspace.name],
    ['id', workspace.id],
    ['owners', workspace.owners.map(({ name, credentials }) => `${name} ${credentials.join(' ')}`)],
    ['keyrings', [...workspace.keyrings]],
    [
      'sign policy',
      workspace.signPolicy === undefined ? ['the parent workspace’s'] : describePolicy(workspace.signPolicy),
    ],
    ['', isDefault ? 'warning: this is the default, any one owner alone can spend' : undefined],
    ['admin policy', describePolicy(workspace.adminPolicy)],
    ['log head', `${workspace.head.seq} ${workspace.head.id}`],
  ]);
}

export function workspaceJson(workspace: Workspace): Record<string, unknown> {
  const { id, name, owners, keyrings, signPolicy, adminPolicy, head } = workspace;
  return { workspaceId: id, name, owners, keyrings, signPolicy, adminPolicy, head };
}
