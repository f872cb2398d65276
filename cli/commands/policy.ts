// `countersign policy validate`, `explain` and `import`: policies as files, before anybody has to agree to them.
import { Argument, Command, Option } from 'commander';
import { stringify } from 'yaml';
import { importApprovals, ImportError } from '../../protocol/policy/import.ts';
import { describeRule, policyWarnings } from '../../protocol/policy/explain.ts';
import { type Policy, policySchema, unmeetable } from '../../protocol/policy/schema.ts';
import type { CommandFactory } from '../command.ts';
import { CliError } from '../errors.ts';
import { findKey, ownPolicy, proveKey } from '../keys.ts';
import { type JsonOption, type SessionOptions, withExample, withJson, withWorkspace } from '../options.ts';
import { printResult } from '../output.ts';
import { type PolicyUse, readPolicy } from '../policy-file.ts';
import { writeOut } from '../record-file.ts';
import { inWorkspace, trustedFamily, type TrustedFamily } from '../session.ts';

interface ValidateOptions extends JsonOption {
  readonly admin?: boolean;
  readonly owner?: string[];
}

export const policyValidate: CommandFactory = (context) =>
  withExample(
    withJson(new Command('validate'))
      .description('Check a policy, and say with line and column what is wrong with it.')
      .argument('<file>', 'the policy, as YAML')
      .option('--admin', 'as an admin policy, which is about changes of the workspace')
      .option('--owner <names...>', 'check that these owners could meet it')
      .action(async (file: string, options: ValidateOptions) => {
        const policy = await readPolicy(file, options.admin === true ? 'admin' : 'sign');
        const owners = options.owner ?? [];
        const [complaint] = options.owner === undefined ? [] : unmeetable(policy, owners);
        if (complaint !== undefined)
          throw new CliError('usage', `${file}: ${complaint}`, 'correct the policy, or name all owners');
        const warnings = policyWarnings(policy, owners);
        printResult(context, options, { valid: true, rules: policy.rules.length, warnings }, () => [
          `${file} is valid: ${policy.rules.length} ${policy.rules.length === 1 ? 'rule' : 'rules'}`,
          ...warnings.map((warning) => `warning: ${warning}`),
        ]);
      }),
    'countersign policy validate policy.yaml',
    'countersign policy validate admin.yaml --admin --owner alice bob carol',
  );

interface ExplainOptions extends SessionOptions {
  readonly admin?: boolean;
  readonly key?: string;
}

interface Explained {
  readonly title: string;
  readonly policy: Policy;
  /** Names of those who are `owners` in it. */
  readonly owners: readonly string[];
}

/** The policies of a workspace under which something is decided, the one that allows first. */
function inForce(
  { workspace, parent }: TrustedFamily,
  options: ExplainOptions,
  own: Policy | undefined,
): Explained[] {
  const owners = workspace.owners.map(({ name }) => name);
  if (options.admin === true) return [{ title: 'admin policy', policy: workspace.adminPolicy, owners }];
  const above = parent?.owners.map(({ name }) => name) ?? [];
  const levels = [
    { of: 'policy of the key', policy: own, owners },
    { of: 'sign policy of the workspace', policy: workspace.signPolicy, owners },
    { of: 'sign policy of the parent workspace', policy: parent?.signPolicy, owners: above },
  ];
  const there = levels.flatMap(({ of, policy, ...more }) =>
    policy === undefined ? [] : [{ of, policy, ...more }],
  );
  return there.map(({ of, ...more }, index) => {
    const part = index === 0 ? 'what it allows and what it denies' : 'only what it denies';
    return { title: there.length === 1 ? of : `${of}: ${part} counts`, ...more };
  });
}

export const policyExplain: CommandFactory = (context) =>
  withExample(
    withWorkspace(new Command('explain'))
      .description('Say a policy in words: of a file, of the workspace, or of one of its keys.')
      .argument('[file]', 'a policy, as YAML; default: what is in force in the workspace')
      .option('--admin', 'the admin policy')
      .option('--key <key>', 'what is in force for this key: its id, the beginning of it, or its label')
      .action(async (file: string | undefined, options: ExplainOptions) => {
        const print = (policies: readonly Explained[]): void => {
          const value = policies.map(({ title, policy, owners }) => ({
            title,
            policy,
            rules: policy.rules.map((rule) => describeRule(policy, rule)),
            warnings: policyWarnings(policy, owners),
          }));
          printResult(context, options, value, () =>
            value.flatMap(({ title, rules, warnings }) => [
              title,
              ...rules.map((rule) => `  ${rule}`),
              ...warnings.map((warning) => `  warning: ${warning}`),
              '  whatever no rule allows is refused',
            ]),
          );
        };
        if (file !== undefined) {
          if (options.key !== undefined)
            throw new CliError('usage', 'a file and --key exclude each other', 'give one of them');
          const policy = await readPolicy(file, options.admin === true ? 'admin' : 'sign');
          return print([{ title: file, policy, owners: [] }]);
        }
        await inWorkspace(context, options, async (session) => {
          const family = await trustedFamily(context, session);
          const { workspace } = family;
          const own =
            options.key === undefined
              ? undefined
              : await ownPolicy(
                  context,
                  session,
                  workspace,
                  proveKey(await findKey(context, session, options.key), workspace, session.networkId),
                );
          print(inForce(family, options, own));
        });
      }),
    'countersign policy explain policy.yaml',
    'countersign policy explain --key payroll',
  );

interface ImportOptions extends JsonOption {
  readonly id: string;
  readonly use: PolicyUse;
  readonly out?: string;
}

export const policyImport: CommandFactory = (context) =>
  withExample(
    withJson(new Command('import'))
      .description(
        'Turn approvals written as sums, as "a + b + c > 1", into a policy; nothing ever evaluates text.',
      )
      .addArgument(new Argument('<expression>', 'sums of owners, compared with > or >=, joined by && and ||'))
      .option('--id <id>', 'id of the rule', 'imported')
      .addOption(
        new Option('--use <use>', 'what the policy is for').choices(['sign', 'admin']).default('sign'),
      )
      .option('--out <file>', 'write the policy to this file')
      .action(async (expression: string, options: ImportOptions) => {
        const require = (() => {
          try {
            return importApprovals(expression);
          } catch (cause) {
            if (!(cause instanceof ImportError)) throw cause;
            throw new CliError('usage', cause.message, 'write it like "(a + b + c > 1) && d"', { cause });
          }
        })();
        const when = options.use === 'admin' ? { when: { kind: ['workspace.change'] } } : {};
        const made = { version: 1, rules: [{ id: options.id, effect: 'allow', ...when, require }] };
        const parsed = policySchema.safeParse(made);
        if (!parsed.success)
          throw new CliError('usage', parsed.error.issues[0]!.message, 'write a simpler expression');
        const text = stringify(parsed.data);
        if (options.out !== undefined) await writeOut(options.out, text);
        printResult(context, options, parsed.data, () =>
          options.out === undefined ? text.trimEnd().split('\n') : [`written to ${options.out}`],
        );
      }),
    'countersign policy import "alice + bob + carol > 1"',
    'countersign policy import "(alice + bob >= 1) && carol" --use admin --out admin.yaml',
  );
