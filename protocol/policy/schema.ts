// A policy as it stands in records: closed schema, order-independent, default deny, deny wins. A field that is not known
// here is refused, so that nobody relies on a condition that nothing evaluates. docs/policy.md says what each means.
import * as z from 'zod';
import { hoursSchema } from './hours.ts';
import { duration } from './duration.ts';
import { decimalSchema, isWhole } from './decimal.ts';
import { addressSchema } from './address.ts';
import { credentialTypes } from '../records/credential.ts';
import { distinct, nameSchema } from '../records/fields.ts';

/** What a rule can be about. `digest` is whatever could not be decoded. */
export const kindSchema = z.enum([
  'solana.transaction',
  'bitcoin.psbt',
  'evm.transaction',
  'message',
  'evm.message',
  'evm.typedData',
  'digest',
  'key.request',
  'workspace.change',
]);
export type Kind = z.infer<typeof kindSchema>;

/** Kinds that an allowing rule without `kind` speaks of. */
export const transactionKinds: readonly Kind[] = ['solana.transaction', 'bitcoin.psbt', 'evm.transaction'];

/** Changes of a workspace, as admin policies name them. */
export const changeKindSchema = z.enum([
  'owner.add',
  'owner.remove',
  'credential.add',
  'credential.remove',
  'keyring.add',
  'keyring.remove',
  'policy.admin',
  'policy.sign',
  'policy.key',
  'key.disable',
  'key.enable',
  'child.add',
  'child.remove',
  'freeze',
  'unfreeze',
  'resolve',
]);
export type ChangeKind = z.infer<typeof changeKindSchema>;

/** Kinds of credentials, of which a quorum can demand some. */
export const credentialTypeSchema = z.enum(credentialTypes);
export type { CredentialType } from '../records/credential.ts';

/** Owners of the workspace by name. */
const memberSchema = z.array(nameSchema).min(1).max(100).refine(distinct, 'a name may occur once in a group');

/** `owners` is every owner of the workspace whose policy it is; another word is a group of the policy. */
const groupSchema = z.union([nameSchema, memberSchema]);
export type Group = z.infer<typeof groupSchema>;

const quorumSchema = z
  .strictObject({
    k: z.int().min(1).max(100),
    of: groupSchema,
    /** Whoever asks does not count. */
    excludeInitiator: z.literal(true).exactOptional(),
    /** Only decisions signed with a credential of one of these kinds count. */
    credential: z
      .array(credentialTypeSchema)
      .min(1)
      .refine(distinct, 'a kind may occur once')
      .exactOptional(),
  })
  .refine(({ k, of }) => typeof of === 'string' || k <= of.length, 'k is larger than the group');

/** How many of whom: approvals for `require`, rejections for `reject`. */
export type Quorum = z.infer<typeof quorumSchema>;

/** A quorum, or several of which all or any must be met. */
export type Tree = Quorum | { readonly all: readonly Tree[] } | { readonly any: readonly Tree[] };

/** How deep quorums can stand in each other. */
export const maxTreeDepth = 4;
/** How many quorums a tree can have. */
export const maxTreeQuorums = 20;

const branches = (depth: number): z.ZodType<readonly Tree[]> => z.array(treeSchema(depth)).min(1).max(10);
function treeSchema(depth: number): z.ZodType<Tree> {
  if (depth === maxTreeDepth) return quorumSchema;
  return z.union([
    quorumSchema,
    z.strictObject({ all: z.lazy(() => branches(depth + 1)) }),
    z.strictObject({ any: z.lazy(() => branches(depth + 1)) }),
  ]);
}
const rootSchema = treeSchema(1).refine(
  (tree) => quorumsOf(tree).length <= maxTreeQuorums,
  `a tree has at most ${maxTreeQuorums} quorums`,
);

/** The quorums of a tree, from left to right. */
export function quorumsOf(tree: Tree): readonly Quorum[] {
  if ('k' in tree) return [tree];
  return ('all' in tree ? tree.all : tree.any).flatMap(quorumsOf);
}

/** Bounds, each inclusive where it ends in `e`. At least one. */
const boundsSchema = z
  .strictObject({
    lt: decimalSchema.exactOptional(),
    lte: decimalSchema.exactOptional(),
    gt: decimalSchema.exactOptional(),
    gte: decimalSchema.exactOptional(),
  })
  .refine((bounds) => Object.keys(bounds).length > 0, 'give at least one of lt, lte, gt and gte');
export type Bounds = z.infer<typeof boundsSchema>;

const listNameSchema = nameSchema;
/** Addresses, written out or by the name of a list. */
const toSchema = z.union([
  z.array(addressSchema).min(1).max(100),
  z.strictObject({ in: listNameSchema }),
  z.strictObject({ notIn: listNameSchema }),
]);
export type To = z.infer<typeof toSchema>;

const chainSchema = z
  .string()
  .regex(/^(solana|bitcoin|eip155:[1-9][0-9]{0,15})$/, 'a chain is solana, bitcoin or eip155:<number>');
const symbolSchema = z.string().regex(/^[A-Z][A-Za-z0-9.]{0,19}$/, 'an asset is named like USDC');
/** A name of the policy's table, a chain's coin in base units, or a token by its address. */
const assetNameSchema = z.union([symbolSchema, z.literal('native'), addressSchema]);

const whenSchema = z
  .strictObject({
    kind: z.array(kindSchema).min(1).refine(distinct, 'a kind may occur once').exactOptional(),
    change: z.array(changeKindSchema).min(1).refine(distinct, 'a change may occur once').exactOptional(),
    chain: z.array(chainSchema).min(1).max(20).exactOptional(),
    asset: z.array(assetNameSchema).min(1).max(50).exactOptional(),
    to: toSchema.exactOptional(),
    amount: boundsSchema.exactOptional(),
    fee: boundsSchema.exactOptional(),
    selector: z
      .array(z.string().regex(/^0x[0-9a-f]{8}$/, 'a selector is 0x and 8 hex digits'))
      .min(1)
      .max(50)
      .exactOptional(),
    program: z.array(addressSchema).min(1).max(50).exactOptional(),
    outputs: boundsSchema.exactOptional(),
    understood: z.boolean().exactOptional(),
    hours: hoursSchema.exactOptional(),
  })
  .refine((when) => Object.keys(when).length > 0, 'give at least one condition, or leave `when` out')
  .refine((when) => when.amount === undefined || when.asset !== undefined, {
    message: 'an amount is one of an asset: name it in `asset`',
    path: ['amount'],
  });
export type When = z.infer<typeof whenSchema>;

/** The longest window that a limit can have, in milliseconds: nobody need remember what was taken for longer. */
export const longestWindow = 31 * 86_400_000;

const limitSchema = z.strictObject({
  /** In the unit of the rule's one asset. */
  amount: decimalSchema,
  per: duration(60_000, longestWindow),
  /** Whether each key has its own, or all keys of the workspace share it. */
  scope: z.enum(['key', 'workspace']),
});
export type Limit = z.infer<typeof limitSchema>;

const ruleSchema = z
  .strictObject({
    id: z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'a rule id is 1 to 40 of a-z, 0-9 and -'),
    effect: z.enum(['allow', 'deny']),
    when: whenSchema.exactOptional(),
    require: rootSchema.exactOptional(),
    reject: rootSchema.exactOptional(),
    delay: duration(1000, 30 * 86_400_000).exactOptional(),
    ttl: duration(60_000, 30 * 86_400_000).exactOptional(),
    limit: limitSchema.exactOptional(),
  })
  .refine((rule) => (rule.effect === 'allow') === (rule.require !== undefined), {
    message: 'an allow rule has `require`, a deny rule has not: a policy is never true without approvals',
  })
  .refine(
    (rule) => rule.effect === 'allow' || (rule.reject ?? rule.delay ?? rule.ttl ?? rule.limit) === undefined,
    'a deny rule has no `reject`, `delay`, `ttl` or `limit`',
  )
  .refine((rule) => rule.limit === undefined || rule.when?.asset?.length === 1, {
    message: 'a limit is one of an asset: name exactly one in `when.asset`',
    path: ['limit'],
  });
export type Rule = z.infer<typeof ruleSchema>;

const assetSchema = z.strictObject({
  chain: chainSchema,
  /** The token's contract or mint; `native` is the chain's own coin. */
  address: z.union([z.literal('native'), addressSchema]),
  /** How many digits stand after the point of one unit. */
  decimals: z.int().min(0).max(36),
});
export type AssetEntry = z.infer<typeof assetSchema>;

export const policySchema = z
  .strictObject({
    version: z.literal(1),
    groups: z
      .record(nameSchema, memberSchema)
      .refine((groups) => Object.keys(groups).length <= 50, 'at most 50 groups')
      .refine((groups) => !('owners' in groups), '`owners` are all owners: name the group otherwise')
      .exactOptional(),
    lists: z
      .record(listNameSchema, z.array(addressSchema).min(1).max(1000))
      .refine((lists) => Object.keys(lists).length <= 50, 'at most 50 lists')
      .exactOptional(),
    assets: z
      .record(symbolSchema, assetSchema)
      .refine((assets) => Object.keys(assets).length <= 100, 'at most 100 assets')
      .exactOptional(),
    rules: z
      .array(ruleSchema)
      .min(1)
      .max(50)
      .refine((rules) => distinct(rules.map((rule) => rule.id)), 'rule ids must be distinct'),
  })
  .superRefine((policy, context) => {
    policy.rules.forEach((rule, index) => {
      for (const { path, message } of dangling(policy, rule))
        context.addIssue({ code: 'custom', path: ['rules', index, ...path], message });
    });
  });
export type Policy = z.infer<typeof policySchema>;

/**
 * The policy of changes of the workspace itself. Whoever replays a log later cannot tell how late it was then: so it has no
 * conditions of time, and none of what moves.
 */
export const adminPolicySchema = policySchema.superRefine((policy, context) => {
  policy.rules.forEach(({ delay, ttl, limit, when }, index) => {
    const { hours, kind = [] } = when ?? {};
    for (const [name, value] of Object.entries({ delay, ttl, limit, hours })) {
      if (value === undefined) continue;
      const message = `an admin policy has no \`${name}\`: nobody who replays the log could tell whether it was kept`;
      const path = name === 'hours' ? ['when', name] : [name];
      context.addIssue({ code: 'custom', path: ['rules', index, ...path], message });
    }
    for (const other of kind.filter((one) => one !== 'workspace.change')) {
      const message = `an admin policy is about workspace.change alone, not about ${other}`;
      context.addIssue({ code: 'custom', path: ['rules', index, 'when', 'kind'], message });
    }
  });
});

interface Complaint {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** What a rule names that its policy does not have, and amounts that its assets cannot have. */
function dangling(policy: Pick<Policy, 'groups' | 'lists' | 'assets'>, rule: Rule): Complaint[] {
  const found: Complaint[] = [];
  for (const field of ['require', 'reject'] as const) {
    for (const { k, of } of rule[field] === undefined ? [] : quorumsOf(rule[field])) {
      if (typeof of !== 'string' || of === 'owners') continue;
      const members = entryOf(policy.groups, of);
      if (members === undefined) found.push({ path: [field], message: `there is no group ${of}` });
      else if (k > members.length)
        found.push({ path: [field], message: `k is larger than group ${of}: ${k} of ${members.length}` });
    }
  }
  const { when, limit } = rule;
  if (when?.to !== undefined && !Array.isArray(when.to)) {
    const name = 'in' in when.to ? when.to.in : when.to.notIn;
    if (entryOf(policy.lists, name) === undefined)
      found.push({ path: ['when', 'to'], message: `there is no list ${name}` });
  }
  for (const name of when?.asset ?? []) {
    const decimals = entryOf(policy.assets, name)?.decimals;
    if (decimals === undefined && isSymbol(name) && !coins.includes(name))
      found.push({ path: ['when', 'asset'], message: `there is no asset ${name} in the table` });
    if (decimals === undefined && !isSymbol(name) && when?.chain?.length !== 1)
      found.push({ path: ['when', 'asset'], message: `${name} needs its one chain beside it, in \`chain\`` });
    const amounts: [(string | number)[], string][] = [
      ...boundsOf(when?.amount).map(([sign, bound]): [string[], string] => [['when', 'amount', sign], bound]),
      ...(limit === undefined ? [] : [[['limit', 'amount'], limit.amount] satisfies [string[], string]]),
    ];
    for (const [path, amount] of amounts) {
      const message = `${amount} is no amount of ${name}, which has ${decimals ?? 0} digits after the point`;
      if (!isWhole(amount, decimals ?? 0)) found.push({ path, message });
    }
  }
  for (const field of ['fee', 'outputs'] as const) {
    for (const [path, amount] of boundsOf(when?.[field]))
      if (!isWhole(amount, 0))
        found.push({ path: ['when', field, path], message: `${amount} is not a whole number` });
  }
  return found;
}

/** What a table has under a name: nothing that every object has, like `constructor`. */
function entryOf<Entry>(table: Readonly<Record<string, Entry>> | undefined, name: string): Entry | undefined {
  return table !== undefined && Object.hasOwn(table, name) ? table[name] : undefined;
}

/** Coins that can be named without a table, in base units. */
export const coins: readonly string[] = ['SOL', 'BTC'];

/** Whether it is a name of the table of assets, not an address nor `native`. */
function isSymbol(name: string): boolean {
  return symbolSchema.safeParse(name).success && name.length <= 20;
}

function boundsOf(bounds: Bounds | undefined): [string, string][] {
  return Object.entries(bounds ?? {});
}

/** Members of a policy's group, whoever of them is an owner. `owners`: the names of all owners. */
export function membersOf(
  policy: Pick<Policy, 'groups'>,
  group: Group,
  owners: readonly string[],
): readonly string[] {
  if (group === 'owners') return owners;
  const named = typeof group === 'string' ? (entryOf(policy.groups, group) ?? []) : group;
  return named.filter((name) => owners.includes(name));
}

/** Why a policy's rules could never be met by these owners. Empty: they can. */
export function unmeetable(policy: Policy, owners: readonly string[]): string[] {
  const groups = Object.entries(policy.groups ?? {}).flatMap(([group, members]) =>
    members
      .filter((name) => !owners.includes(name))
      .map((name) => `group ${group} names ${name}, who is not an owner`),
  );
  const rules = policy.rules.flatMap((rule) =>
    [rule.require, rule.reject].flatMap((tree) =>
      tree === undefined
        ? []
        : quorumsOf(tree).flatMap((quorum) => unmetQuorum(policy, rule.id, quorum, owners)),
    ),
  );
  return [...groups, ...rules];
}

function unmetQuorum(
  policy: Policy,
  id: string,
  { k, of, excludeInitiator }: Quorum,
  owners: readonly string[],
): string[] {
  const strangers = typeof of === 'string' ? [] : of.filter((name) => !owners.includes(name));
  if (strangers.length > 0) return strangers.map((name) => `rule ${id} names ${name}, who is not an owner`);
  if (of === 'owners' && k > owners.length) return [`rule ${id} wants ${k} of ${owners.length} owners`];
  // Whoever asks is then always one of them.
  const all = membersOf(policy, of, owners).length === owners.length;
  if (excludeInitiator !== true || !all || k < owners.length) return [];
  return [`rule ${id} wants ${k} of ${owners.length} owners, and the initiator does not count`];
}

/**
 * What a new workspace gets when its creator says nothing: any one owner, transactions and key requests only. Every
 * place that shows it warns that one owner alone can spend.
 */
export const defaultPolicy: Policy = {
  version: 1,
  rules: [
    {
      id: 'any-owner',
      effect: 'allow',
      when: { kind: [...transactionKinds, 'key.request'] },
      require: { k: 1, of: 'owners' },
    },
  ],
};

/** Changes of the workspace itself, when its creator says nothing: a majority of its owners; any one can freeze it. */
export function defaultAdminPolicy(owners: number): Policy {
  const require: Quorum = { k: Math.floor(owners / 2) + 1, of: 'owners' };
  return {
    version: 1,
    rules: [
      { id: 'majority', effect: 'allow', when: { kind: ['workspace.change'] }, require },
      { id: 'freeze', effect: 'allow', when: { change: ['freeze'] }, require: { k: 1, of: 'owners' } },
    ],
  };
}
