// What is no policy, and where it says so.
import assert from 'node:assert/strict';
import type * as z from 'zod';
import { adminPolicySchema, membersOf, policySchema, unmeetable } from '../../protocol/policy/schema.ts';

const token = '0x2222222222222222222222222222222222222222';
const tables = {
  groups: { ops: ['alice', 'bob'] },
  lists: { friends: ['0x1111111111111111111111111111111111111111'] },
  assets: { USDC: { chain: 'eip155:1', address: token, decimals: 6 } },
};
const good = { id: 'a', effect: 'allow', when: { kind: ['message'] }, require: { k: 1, of: 'owners' } };
const document = (...rules: unknown[]): object => ({ version: 1, ...tables, rules });
const rule = (more: object): object => document({ ...good, ...more });
const when = (conditions: object): object => rule({ when: conditions });
const require = (tree: unknown): object => rule({ require: tree });
const quorum = { k: 1, of: 'owners' };

/** Paths of all complaints, those within alternatives too. */
function pathsOf(issues: readonly z.core.$ZodIssue[], within: readonly PropertyKey[] = []): string[] {
  return issues.flatMap((issue) => {
    const path = [...within, ...issue.path];
    const own = issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...path, key]) : [path];
    const inner = issue.code === 'invalid_union' ? issue.errors.flatMap((each) => pathsOf(each, path)) : [];
    return [...own.map((each) => each.map(String).join('.')), ...inner];
  });
}

function refusedAt(schema: z.ZodType, value: unknown, path: string): void {
  const parsed = schema.safeParse(value);
  assert.ok(!parsed.success, 'it was taken');
  assert.ok(pathsOf(parsed.error.issues).includes(path), JSON.stringify(pathsOf(parsed.error.issues)));
}

const deep = (levels: number): object => (levels === 1 ? quorum : { all: [deep(levels - 1)] });
const many = (count: number): object => ({
  all: [
    { any: Array.from({ length: Math.min(count, 10) }, () => quorum) },
    { any: Array.from({ length: count - 10 }, () => quorum) },
  ],
});

describe('policy schema', () => {
  const refused: [string, unknown, string][] = [
    ['no version', { ...document(good), version: undefined }, 'version'],
    ['another version', { ...document(good), version: 2 }, 'version'],
    ['no rules', document(), 'rules'],
    [
      '51 rules',
      document(...Array.from({ length: 51 }, (_, index) => ({ ...good, id: `r${index}` }))),
      'rules',
    ],
    ['two rules of one id', document(good, good), 'rules'],
    ['an unknown field', { ...document(good), extra: 1 }, 'extra'],
    ['an unknown field of a rule', rule({ expires: '1h' }), 'rules.0.expires'],
    ['an unknown condition', when({ value: '1' }), 'rules.0.when.value'],
    ['an unknown field of a quorum', require({ ...quorum, weight: 2 }), 'rules.0.require.weight'],
    ['an unknown field in a tree', require({ all: [quorum], any: [quorum] }), 'rules.0.require.any'],
    ['an allow rule without require', document({ id: 'a', effect: 'allow' }), 'rules.0'],
    ['a deny rule with require', rule({ effect: 'deny' }), 'rules.0'],
    ...['reject', 'delay', 'ttl', 'limit'].map((field): [string, unknown, string] => {
      const value = {
        reject: quorum,
        delay: '1m',
        ttl: '1m',
        limit: { amount: '1', per: '1h', scope: 'key' },
      }[field];
      const denying = { id: 'a', effect: 'deny', when: { asset: ['USDC'] }, [field]: value };
      return [`a deny rule with ${field}`, document(denying), 'rules.0'];
    }),
    ['a quorum of 0', require({ ...quorum, k: 0 }), 'rules.0.require.k'],
    ['a quorum of a half', require({ ...quorum, k: 0.5 }), 'rules.0.require.k'],
    [
      'excludeInitiator: false',
      require({ ...quorum, excludeInitiator: false }),
      'rules.0.require.excludeInitiator',
    ],
    ['an unknown credential', require({ ...quorum, credential: ['totp'] }), 'rules.0.require.credential.0'],
    ['no credential', require({ ...quorum, credential: [] }), 'rules.0.require.credential'],
    ['a quorum larger than its names', require({ k: 2, of: ['alice'] }), 'rules.0.require'],
    ['a member counted twice', require({ k: 2, of: ['alice', 'alice'] }), 'rules.0.require.of'],
    ['an empty group', { ...document(good), groups: { ops: [] } }, 'groups.ops'],
    ['a group called owners', { ...document(good), groups: { owners: ['alice'] } }, 'groups'],
    ['an unknown group', require({ k: 1, of: 'risk' }), 'rules.0.require'],
    ['an unknown group of rejections', rule({ reject: { k: 1, of: 'risk' } }), 'rules.0.reject'],
    ['a group that is a word of the language', require({ k: 1, of: 'constructor' }), 'rules.0.require'],
    ['a quorum larger than its group', require({ any: [quorum, { k: 3, of: 'ops' }] }), 'rules.0.require'],
    ['an empty tree', require({ all: [] }), 'rules.0.require.all'],
    ['a tree of five levels', require(deep(5)), 'rules.0.require'],
    ['a tree of 21 quorums', require({ any: Array.from({ length: 3 }, () => many(17)) }), 'rules.0.require'],
    ['an empty condition', when({}), 'rules.0.when'],
    ['an unknown kind', when({ kind: ['anything'] }), 'rules.0.when.kind.0'],
    ['a kind twice', when({ kind: ['message', 'message'] }), 'rules.0.when.kind'],
    ['an unknown change', when({ change: ['owner.rename'] }), 'rules.0.when.change.0'],
    ['an unknown chain', when({ chain: ['eip155:01'] }), 'rules.0.when.chain.0'],
    ['an unknown list', when({ to: { in: 'enemies' } }), 'rules.0.when.to'],
    ['a list that is a word of the language', when({ to: { notIn: 'constructor' } }), 'rules.0.when.to'],
    ['a list by two ways', when({ to: { in: 'friends', notIn: 'friends' } }), 'rules.0.when.to.notIn'],
    ['an unknown asset', when({ asset: ['DAI'] }), 'rules.0.when.asset'],
    ['a coin without its chain', when({ asset: ['native'] }), 'rules.0.when.asset'],
    [
      'a token with two chains',
      when({ asset: [token], chain: ['eip155:1', 'eip155:10'] }),
      'rules.0.when.asset',
    ],
    ['an amount of nothing', when({ amount: { lte: '1' } }), 'rules.0.when.amount'],
    ['an amount without bounds', when({ asset: ['USDC'], amount: {} }), 'rules.0.when.amount'],
    ['an amount that is a number', when({ asset: ['USDC'], amount: { lte: 1 } }), 'rules.0.when.amount.lte'],
    [
      'an amount with an exponent',
      when({ asset: ['USDC'], amount: { lte: '1e3' } }),
      'rules.0.when.amount.lte',
    ],
    [
      'an amount with needless zeros',
      when({ asset: ['USDC'], amount: { lte: '1.0' } }),
      'rules.0.when.amount.lte',
    ],
    ['an amount below zero', when({ asset: ['USDC'], amount: { gte: '-1' } }), 'rules.0.when.amount.gte'],
    [
      'an amount finer than its asset',
      when({ asset: ['USDC'], amount: { lte: '0.0000001' } }),
      'rules.0.when.amount.lte',
    ],
    ['half a lamport', when({ asset: ['SOL'], amount: { gt: '0.5' } }), 'rules.0.when.amount.gt'],
    ['half a wei of fee', when({ fee: { lte: '0.5' } }), 'rules.0.when.fee.lte'],
    ['half an output', when({ outputs: { lte: '1.5' } }), 'rules.0.when.outputs.lte'],
    ['a selector in capitals', when({ selector: ['0xA9059CBB'] }), 'rules.0.when.selector.0'],
    ['a short selector', when({ selector: ['0xa9059c'] }), 'rules.0.when.selector.0'],
    [
      'an address with a wrong checksum',
      when({ to: ['0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed'] }),
      'rules.0.when.to.0',
    ],
    [
      'an address of half a byte',
      when({ to: ['0x5aaeb6053f3e94c9b9a09f33669435e7ef1beae'] }),
      'rules.0.when.to.0',
    ],
    [
      'an address in another spelling of hex',
      when({ to: ['0X5AAEB6053F3E94C9B9A09F33669435E7EF1BEAED'] }),
      'rules.0.when.to.0',
    ],
    [
      'an address with a space',
      when({ to: ['0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed '] }),
      'rules.0.when.to.0',
    ],
    ['a limit without an asset', rule({ limit: { amount: '1', per: '1h', scope: 'key' } }), 'rules.0.limit'],
    [
      'a limit of two assets',
      rule({ when: { asset: ['USDC', 'SOL'] }, limit: { amount: '1', per: '1h', scope: 'key' } }),
      'rules.0.limit',
    ],
    [
      'a limit finer than its asset',
      rule({
        when: { asset: ['USDC'], amount: { lte: '1' } },
        limit: { amount: '0.0000001', per: '1h', scope: 'key' },
      }),
      'rules.0.limit.amount',
    ],
    [
      'a limit of another scope',
      rule({ when: { asset: ['USDC'] }, limit: { amount: '1', per: '1h', scope: 'owner' } }),
      'rules.0.limit.scope',
    ],
    [
      'a limit of 32 days',
      rule({ when: { asset: ['USDC'] }, limit: { amount: '1', per: '32d', scope: 'key' } }),
      'rules.0.limit.per',
    ],
    ['a delay of weeks', rule({ delay: '2w' }), 'rules.0.delay'],
    ['a delay of 31 days', rule({ delay: '31d' }), 'rules.0.delay'],
    ['no delay', rule({ delay: '0s' }), 'rules.0.delay'],
    ['a lifetime of seconds', rule({ ttl: '59s' }), 'rules.0.ttl'],
    [
      'an unknown zone',
      when({ hours: { tz: 'Mars/Olympus', days: 'mon', from: '08:00', to: '09:00' } }),
      'rules.0.when.hours.tz',
    ],
    [
      'an unknown day',
      when({ hours: { tz: 'UTC', days: 'mon-son', from: '08:00', to: '09:00' } }),
      'rules.0.when.hours.days',
    ],
    [
      'a day twice',
      when({ hours: { tz: 'UTC', days: 'mon-fri,tue', from: '08:00', to: '09:00' } }),
      'rules.0.when.hours.days',
    ],
    [
      'hour 24',
      when({ hours: { tz: 'UTC', days: 'mon', from: '08:00', to: '24:00' } }),
      'rules.0.when.hours.to',
    ],
    [
      'hours of no length',
      when({ hours: { tz: 'UTC', days: 'mon', from: '08:00', to: '08:00' } }),
      'rules.0.when.hours',
    ],
    [
      'an asset with 37 decimals',
      { ...document(good), assets: { USDC: { ...tables.assets.USDC, decimals: 37 } } },
      'assets.USDC.decimals',
    ],
    ['text', 'alice + bob > 1', ''],
    ['null', null, ''],
    ['an array', [good], ''],
  ];

  it('takes what it knows', () => {
    assert.ok(policySchema.safeParse(document(good)).success);
    assert.ok(policySchema.safeParse(require(deep(4))).success);
    assert.ok(policySchema.safeParse(require(many(20))).success);
    const named = {
      groups: { constructor: ['alice'] },
      rules: [{ ...good, require: { k: 1, of: 'constructor' } }],
    };
    assert.ok(policySchema.safeParse({ version: 1, ...named }).success);
  });
  for (const [what, value, path] of refused) {
    it(`refuses ${what}, at ${path === '' ? 'its root' : path}`, () => refusedAt(policySchema, value, path));
  }

  it('refuses in an admin policy all that nobody could check later', () => {
    const change = { id: 'a', effect: 'allow', when: { change: ['freeze'] }, require: quorum };
    assert.ok(adminPolicySchema.safeParse(document(change)).success);
    const limit = {
      limit: { amount: '1', per: '1h', scope: 'key' },
      when: { change: ['freeze'], asset: ['USDC'] },
    };
    refusedAt(adminPolicySchema, document({ ...change, delay: '1h' }), 'rules.0.delay');
    refusedAt(adminPolicySchema, document({ ...change, ttl: '1h' }), 'rules.0.ttl');
    refusedAt(adminPolicySchema, document({ ...change, ...limit }), 'rules.0.limit');
    const hours = { tz: 'UTC', days: 'mon', from: '08:00', to: '09:00' };
    refusedAt(adminPolicySchema, document({ ...change, when: { hours } }), 'rules.0.when.hours');
    refusedAt(
      adminPolicySchema,
      document({ id: 'no', effect: 'deny', when: { hours } }),
      'rules.0.when.hours',
    );
    refusedAt(adminPolicySchema, when({ kind: ['workspace.change', 'message'] }), 'rules.0.when.kind');
  });

  it('tells what owners could never meet', () => {
    const parsed = policySchema.parse(
      document(
        {
          ...good,
          require: {
            all: [
              { k: 3, of: 'owners' },
              { k: 1, of: ['erin'] },
            ],
          },
        },
        { ...good, id: 'b', reject: { k: 1, of: ['bob', 'frank'] } },
      ),
    );
    assert.deepEqual(unmeetable(parsed, ['alice', 'carol']), [
      'group ops names bob, who is not an owner',
      'rule a wants 3 of 2 owners',
      'rule a names erin, who is not an owner',
      'rule b names bob, who is not an owner',
      'rule b names frank, who is not an owner',
    ]);
    assert.deepEqual(membersOf(parsed, 'ops', ['alice', 'carol']), ['alice']);
    assert.deepEqual(membersOf(parsed, 'constructor', ['alice']), []);
  });
});
