// A policy as it stands in records: closed schema, order-independent, default deny, deny wins. A field that is not known
// here is refused, so that nobody relies on a condition that nothing evaluates.
import * as z from 'zod';
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

/** Kinds that a rule without `when` speaks of. */
export const transactionKinds: readonly Kind[] = ['solana.transaction', 'bitcoin.psbt', 'evm.transaction'];

/** `owners` is every owner of the workspace; a list names some of them. */
const groupSchema = z.union([
  z.literal('owners'),
  z.array(nameSchema).min(1).max(100).refine(distinct, 'a name may occur once in a group'),
]);
export type Group = z.infer<typeof groupSchema>;

const quorumSchema = z
  .strictObject({ k: z.int().min(1).max(100), of: groupSchema })
  .refine(({ k, of }) => of === 'owners' || k <= of.length, 'k is larger than the group');

/** How many of whom: approvals for `require`, rejections for `reject`. */
export type Quorum = z.infer<typeof quorumSchema>;

const ruleSchema = z
  .strictObject({
    id: z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'a rule id is 1 to 40 of a-z, 0-9 and -'),
    effect: z.enum(['allow', 'deny']),
    when: z
      .strictObject({ kind: z.array(kindSchema).min(1).refine(distinct, 'a kind may occur once') })
      .optional(),
    require: quorumSchema.optional(),
    reject: quorumSchema.optional(),
  })
  .refine((rule) => (rule.effect === 'allow') === (rule.require !== undefined), {
    message: 'an allow rule has `require`, a deny rule has not: a policy is never true without approvals',
  })
  .refine((rule) => rule.effect === 'allow' || rule.reject === undefined, 'a deny rule has no `reject`');
export type Rule = z.infer<typeof ruleSchema>;

export const policySchema = z.strictObject({
  version: z.literal(1),
  rules: z
    .array(ruleSchema)
    .min(1)
    .max(50)
    .refine((rules) => distinct(rules.map((rule) => rule.id)), 'rule ids must be distinct'),
});
export type Policy = z.infer<typeof policySchema>;

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

/** Changes of the workspace itself, when its creator says nothing: a majority of its owners. */
export function defaultAdminPolicy(owners: number): Policy {
  const require: Quorum = { k: Math.floor(owners / 2) + 1, of: 'owners' };
  return {
    version: 1,
    rules: [{ id: 'majority', effect: 'allow', when: { kind: ['workspace.change'] }, require }],
  };
}
