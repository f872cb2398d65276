// A workspace as its verified log tells it, for people and scripts.
import { describePolicy, policyWarnings } from '../protocol/policy/explain.ts';
import { defaultPolicy } from '../protocol/policy/schema.ts';
import type { Workspace } from '../protocol/records/workspace.ts';
import { fields } from './output.ts';

export function workspaceLines(workspace: Workspace): string[] {
  const { owners, keyrings, parent, children, signPolicy, adminPolicy, keyPolicies, head } = workspace;
  const isDefault = JSON.stringify(signPolicy) === JSON.stringify(defaultPolicy);
  return fields([
    ['workspace', workspace.name],
    ['id', workspace.id],
    [
      'frozen',
      workspace.frozen ? 'yes: nothing is signed, and no key is made, until it is unfrozen' : undefined,
    ],
    ['parent', parent],
    ['children', [...children]],
    ['owners', owners.map(({ name, credentials }) => `${name} ${credentials.join(' ')}`)],
    ['keyrings', [...keyrings]],
    ['sign policy', signPolicy === undefined ? ["the parent workspace's"] : describePolicy(signPolicy)],
    ['', isDefault ? 'warning: this is the default, any one owner alone can spend' : undefined],
    ['admin policy', describePolicy(adminPolicy)],
    [
      'key policies',
      [...keyPolicies].flatMap(([keyId, policy]) => [
        `of key ${keyId}`,
        ...describePolicy(policy).map((rule) => `  ${rule}`),
      ]),
    ],
    ['disabled keys', [...workspace.disabledKeys]],
    ['warnings', isDefault ? [] : warningsOf(workspace)],
    ['log head', `${head.seq} ${head.id}`],
  ]);
}

/** What the policies allow that the owners may not expect. */
function warningsOf({ owners, signPolicy, keyPolicies }: Workspace): string[] {
  const names = owners.map(({ name }) => name);
  return [
    ...(signPolicy === undefined ? [] : policyWarnings(signPolicy, names)),
    ...[...keyPolicies].flatMap(([keyId, policy]) =>
      policyWarnings(policy, names).map((warning) => `key ${keyId}: ${warning}`),
    ),
  ];
}

export function workspaceJson(workspace: Workspace): Record<string, unknown> {
  const { id, name, owners, keyrings, signPolicy, adminPolicy, parent, frozen, head } = workspace;
  return {
    workspaceId: id,
    name,
    ...(parent !== undefined && { parent }),
    children: [...workspace.children],
    frozen,
    owners,
    keyrings,
    signPolicy,
    adminPolicy,
    keyPolicies: Object.fromEntries(workspace.keyPolicies),
    disabledKeys: [...workspace.disabledKeys],
    warnings: warningsOf(workspace),
    head,
  };
}
