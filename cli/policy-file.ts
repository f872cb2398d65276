// Policies that people write in YAML: the same document stands as JSON inside records.
import { type Policy, policySchema } from '../protocol/policy/schema.ts';
import { CliError } from './errors.ts';
import { complaint, readYaml } from './yaml-file.ts';

/** The policy in a file. Throws CliError `usage` with file, line and column of the first mistake. */
export async function readPolicy(path: string): Promise<Policy> {
  const file = await readYaml(path);
  const parsed = policySchema.safeParse(file.value);
  if (parsed.success) return parsed.data;
  const { what, remedy } = complaint(file, parsed.error, Object.keys(policySchema.shape));
  throw new CliError('usage', what, remedy);
}

/** A policy's rules, one a line. */
export function describePolicy(policy: Policy): string[] {
  return policy.rules.map(({ id, effect, when, require, reject }) => {
    const what =
      when === undefined ? (effect === 'deny' ? 'everything' : 'transactions') : when.kind.join(', ');
    const quorum = ({ k, of }: { k: number; of: 'owners' | string[] }): string =>
      of === 'owners' ? `${k} of all owners` : `${k} of ${of.join(', ')}`;
    const approvals = require === undefined ? '' : `, approved by ${quorum(require)}`;
    const rejections = reject === undefined ? '' : `, refused by ${quorum(reject)}`;
    return `${id}: ${effect} ${what}${approvals}${rejections}`;
  });
}
