// Policies that people write in YAML: the same document stands as JSON inside records.
import { adminPolicySchema, type Policy, policySchema } from '../protocol/policy/schema.ts';
import { CliError } from './errors.ts';
import { complaint, readYaml } from './yaml-file.ts';

/** What a policy is for: requests, or changes of the workspace itself. */
export type PolicyUse = 'sign' | 'admin';

/** The policy in a file. Throws CliError `usage` with file, line and column of the first mistake. */
export async function readPolicy(path: string, use: PolicyUse): Promise<Policy> {
  const file = await readYaml(path);
  const parsed = (use === 'admin' ? adminPolicySchema : policySchema).safeParse(file.value);
  if (parsed.success) return parsed.data;
  const { what, remedy } = complaint(file, parsed.error, Object.keys(policySchema.shape));
  throw new CliError('usage', what, remedy);
}
