// What the policy engine says at its corners, by hand. test/unit/policy-reference.test.ts compares it with a second reading.
import assert from 'node:assert/strict';
import type { TransactionSerializable } from 'viem';
import { encodeFunctionData, parseAbi, serializeTransaction } from 'viem/utils';
import { decodePayload } from '../../protocol/payloads/payload.ts';
import { describeChange } from '../../cli/change.ts';
import { describePolicy, describeRule, policyWarnings } from '../../protocol/policy/explain.ts';
import { changeFacts, keyRequestFacts, type PolicyFacts, policyFacts } from '../../protocol/policy/facts.ts';
import { judgePlan, type Ledger, type PolicyVerdict } from '../../protocol/policy/judge.ts';
import { approversOf, type Denial, type Plan, planPolicy } from '../../protocol/policy/plan.ts';
import {
  type CredentialType,
  defaultAdminPolicy,
  defaultPolicy,
  type Kind,
  kindSchema,
  type Policy,
  policySchema,
  type Rule,
  type When,
} from '../../protocol/policy/schema.ts';
import { WholeEcdsaKey } from '../support/whole-ecdsa-key.ts';

const owners = ['alice', 'bob', 'carol', 'dave'];
const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
/** A Monday at noon. */
const made = Date.parse('2030-01-07T12:00:00.000Z');
const requestId = `0x${'01'.repeat(32)}` as const;
const earlier = `0x${'02'.repeat(32)}` as const;
const keyA = `0x${'0a'.repeat(32)}` as const;
const keyB = `0x${'0b'.repeat(32)}` as const;

const friend = '0x1111111111111111111111111111111111111111';
const stranger = '0x9999999999999999999999999999999999999999';
const token = '0x2222222222222222222222222222222222222222';
const tables = {
  lists: { friends: [friend], bad: [stranger] },
  assets: {
    USDC: { chain: 'eip155:1', address: token, decimals: 6 },
    ETH: { chain: 'eip155:1', address: 'native', decimals: 18 },
    BITCOIN: { chain: 'bitcoin', address: 'native', decimals: 8 },
  },
};

const policyOf = (...rules: Rule[]): Policy => policySchema.parse({ version: 1, ...tables, rules });
const anyone = { k: 1, of: 'owners' } as const;
const allow = (when?: When, more: Partial<Rule> = {}): Rule => ({
  id: 'a',
  effect: 'allow',
  ...(when && { when }),
  require: anyone,
  ...more,
});
const deny = (when?: When, id = 'no'): Rule => ({ id, effect: 'deny', ...(when && { when }) });

const pay = (amount: bigint, to = friend, address = token, more: Partial<PolicyFacts> = {}): PolicyFacts => ({
  kind: 'evm.transaction',
  chain: 'eip155:1',
  understood: true,
  movements: [{ chain: 'eip155:1', address, to: [to], amount }],
  fee: 0n,
  ...more,
});
const ofKind = (kind: Kind): PolicyFacts => ({ kind, understood: true, movements: [] });

function planned(facts: PolicyFacts | readonly PolicyFacts[], ...levels: Policy[]): Plan | Denial {
  const items = Array.isArray(facts) ? (facts as readonly PolicyFacts[]) : [facts as PolicyFacts];
  return planPolicy(
    items.map((each) => ({ facts: each, keyId: keyA, levels: levels.map((policy) => ({ policy, owners })) })),
  );
}

interface Situation {
  readonly approved?: readonly string[];
  readonly rejected?: readonly string[];
  readonly signedWith?: readonly CredentialType[];
  readonly initiator?: string;
  readonly now?: number;
  readonly created?: number;
  readonly firstSeen?: number;
  readonly ledger?: Ledger | undefined;
}

function judged(plan: Plan | Denial, situation: Situation = {}): PolicyVerdict {
  assert.ok('items' in plan, 'reason' in plan ? plan.reason : '');
  const { approved = ['alice'], rejected = [], signedWith = ['ed25519'], initiator = 'alice' } = situation;
  const { now = made, created = made, firstSeen = made } = situation;
  const ledger = 'ledger' in situation ? situation.ledger : { entries: [] };
  const sides = (names: readonly string[]) => new Map(names.map((name) => [name, signedWith]));
  const standing = { initiator, approved: sides(approved), rejected: sides(rejected) };
  return judgePlan(plan, standing, { requestId, now, created, firstSeen, ...(ledger && { ledger }) });
}

function verdictOf(
  facts: PolicyFacts | readonly PolicyFacts[],
  policy: Policy,
  situation?: Situation,
): string {
  const plan = planned(facts, policy);
  return 'reason' in plan ? 'denied' : judged(plan, situation).verdict;
}

const holdsOf = (verdict: PolicyVerdict): string[] =>
  verdict.verdict === 'waiting' ? verdict.holds.map(({ hold }) => hold) : [];

describe('policy: what a rule is about', () => {
  it('denies what no rule is about, and an action without items', () => {
    const none = policyOf(allow({ kind: ['message'] }));
    assert.equal(verdictOf(pay(1n), none), 'denied');
    assert.equal(verdictOf([], none), 'denied');
    assert.equal(verdictOf(ofKind('message'), policyOf(deny({ kind: ['digest'] }))), 'denied');
  });

  it('takes a rule that names no kind for one about transactions', () => {
    const transactions: Kind[] = ['solana.transaction', 'bitcoin.psbt', 'evm.transaction'];
    for (const kind of kindSchema.options) {
      const expected = transactions.includes(kind) ? 'satisfied' : 'denied';
      assert.equal(verdictOf(ofKind(kind), policyOf(allow())), expected, kind);
      assert.equal(verdictOf(ofKind(kind), policyOf(allow({ understood: true }))), expected, kind);
    }
    assert.equal(verdictOf(keyRequestFacts, policyOf(allow({ kind: ['key.request'] }))), 'satisfied');
    assert.equal(verdictOf(changeFacts('freeze'), policyOf(allow({ change: ['freeze'] }))), 'satisfied');
    assert.equal(verdictOf(changeFacts('unfreeze'), policyOf(allow({ change: ['freeze'] }))), 'denied');
  });

  it('lets deny win, wherever the rule stands, whatever it is, and however many approve', () => {
    const rules = [allow(), deny(), { ...allow(), id: 'b' }];
    for (const order of [rules, rules.toReversed(), [rules[1]!, rules[0]!, rules[2]!]])
      assert.equal(verdictOf(pay(1n), policyOf(...order), { approved: owners }), 'denied');
    for (const kind of kindSchema.options)
      assert.equal(verdictOf(ofKind(kind), policyOf(allow({ kind: [kind] }), deny())), 'denied', kind);
    const plan = planned(pay(1n, stranger), policyOf(allow(), deny({ to: { in: 'bad' } })));
    assert.ok('reason' in plan);
    assert.deepEqual([plan.rule, plan.reason], ['no', 'rule no denies evm.transaction']);
  });

  it('takes what is not known for true where it denies, and for false where it allows', () => {
    const unknown = pay(0n, friend, token, { understood: false, movements: [], called: friend });
    const asked: When[] = [
      { to: { in: 'bad' } },
      { to: { notIn: 'friends' } },
      { to: [stranger] },
      { asset: ['USDC'] },
      { asset: ['ETH'], amount: { gt: '1000' } },
    ];
    for (const when of asked) {
      assert.equal(verdictOf(unknown, policyOf(allow(), deny(when))), 'denied', JSON.stringify(when));
      assert.equal(verdictOf(unknown, policyOf(allow(when))), 'denied', JSON.stringify(when));
    }
    // What is certainly of another chain is none of the rule's business.
    assert.equal(verdictOf(unknown, policyOf(allow(), deny({ asset: ['BITCOIN'] }))), 'satisfied');
    const digest: PolicyFacts = { ...ofKind('digest'), chain: 'solana', understood: false };
    const digests = allow({ kind: ['digest'] });
    assert.equal(verdictOf(digest, policyOf(digests, deny({ fee: { gt: '5' } }))), 'denied');
    assert.equal(verdictOf(digest, policyOf(digests, deny({ asset: ['SOL'] }))), 'denied');
  });

  it('takes typed data that names no chain for data of any', () => {
    const permit: PolicyFacts = {
      kind: 'evm.typedData',
      understood: false,
      movements: [{ chain: '', address: token, to: [friend], amount: 1n }],
    };
    const rule = allow({ kind: ['evm.typedData'] });
    assert.equal(verdictOf(permit, policyOf(rule)), 'satisfied');
    for (const when of [{ chain: ['eip155:10'] }, { asset: ['USDC'] }, { asset: ['BITCOIN'] }] as When[])
      assert.equal(verdictOf(permit, policyOf(rule, deny(when))), 'denied', JSON.stringify(when));
    assert.equal(verdictOf(permit, policyOf(allow({ kind: ['evm.typedData'], asset: ['USDC'] }))), 'denied');
    assert.equal(verdictOf(permit, policyOf(allow({ kind: ['evm.typedData'], to: [friend] }))), 'denied');
  });

  it('allows only when all that moves, and everybody who receives, is named; denies when any is', () => {
    const both = pay(1n, friend, token, {
      movements: [
        { chain: 'eip155:1', address: token, to: [friend], amount: 1n },
        { chain: 'eip155:1', address: 'native', to: [stranger], amount: 1n },
      ],
    });
    assert.equal(verdictOf(both, policyOf(allow({ asset: ['USDC'] }))), 'denied');
    assert.equal(verdictOf(both, policyOf(allow({ asset: ['USDC', 'ETH'] }))), 'satisfied');
    assert.equal(verdictOf(both, policyOf(allow({ to: { in: 'friends' } }))), 'denied');
    assert.equal(verdictOf(both, policyOf(allow({ to: { notIn: 'bad' } }))), 'denied');
    assert.equal(verdictOf(both, policyOf(allow({ to: [friend, stranger] }))), 'satisfied');
    assert.equal(verdictOf(both, policyOf(allow(), deny({ asset: ['ETH'] }))), 'denied');
    assert.equal(verdictOf(both, policyOf(allow(), deny({ to: { in: 'bad' } }))), 'denied');
    assert.equal(verdictOf(both, policyOf(allow(), deny({ to: { notIn: 'friends' } }))), 'denied');
    const programs: PolicyFacts = {
      kind: 'solana.transaction',
      chain: 'solana',
      understood: false,
      movements: [],
    };
    const two = { ...programs, programs: ['11111111111111111111111111111111', 'Program2222222222'] };
    const one: When = { program: ['11111111111111111111111111111111'] };
    assert.equal(verdictOf(two, policyOf(allow(one))), 'denied');
    assert.equal(verdictOf(two, policyOf(allow(), deny(one))), 'denied');
    assert.equal(verdictOf(programs, policyOf(allow(one))), 'denied');
  });

  it('knows a recipient by any of its names, and a chain by its way to write them', () => {
    const account = {
      chain: 'solana',
      address: 'native',
      to: ['Account1111111111', 'Owner111111111111'],
      amount: 1n,
    };
    const paid: PolicyFacts = {
      kind: 'solana.transaction',
      chain: 'solana',
      understood: true,
      movements: [account],
    };
    assert.equal(verdictOf(paid, policyOf(allow({ to: ['Owner111111111111'] }))), 'satisfied');
    assert.equal(verdictOf(paid, policyOf(allow({ to: ['owner111111111111'] }))), 'denied');
    const listed = (to: 'in' | 'notIn'): Policy => ({
      ...policyOf(allow(to === 'in' ? { to: { in: 'friends' } } : { to: { notIn: 'friends' } })),
      lists: { friends: ['Account1111111111'] },
    });
    assert.equal(verdictOf(paid, listed('in')), 'satisfied');
    assert.equal(verdictOf(paid, listed('notIn')), 'denied');
    const mixed = '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed';
    assert.equal(verdictOf(pay(1n, mixed), policyOf(allow({ to: [mixed.toLowerCase()] }))), 'satisfied');
    const toBitcoin = (to: string): PolicyFacts => ({
      kind: 'bitcoin.psbt',
      chain: 'bitcoin',
      understood: true,
      movements: [{ chain: 'bitcoin', address: 'native', to: [to], amount: 1n }],
    });
    const segwit = 'bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4';
    assert.equal(verdictOf(toBitcoin(segwit.toUpperCase()), policyOf(allow({ to: [segwit] }))), 'satisfied');
    // Only of one case it is such an address: of both it may be one of Solana's.
    const solana = 'bc1mdDMX6yv4QnPPqk1VyD4CzyYtnqRvbD3CxqV1zjzc';
    const almost = solana.replace('mdD', 'mdd');
    assert.equal(verdictOf(toBitcoin(almost), policyOf(allow({ to: [solana] }))), 'denied');
  });

  it('lets a call that is not understood be named by its contract and selector only together', () => {
    const call = pay(0n, friend, 'native', {
      understood: false,
      movements: [],
      called: friend,
      selector: '0xd0e30db0',
    });
    const selector = ['0xd0e30db0'];
    assert.equal(verdictOf(call, policyOf(allow({ selector, to: { in: 'friends' } }))), 'satisfied');
    assert.equal(verdictOf(call, policyOf(allow({ to: { in: 'friends' } }))), 'denied');
    assert.equal(
      verdictOf({ ...call, called: stranger }, policyOf(allow({ selector, to: { in: 'friends' } }))),
      'denied',
    );
    const paying = {
      ...call,
      movements: [{ chain: 'eip155:1', address: 'native', to: [stranger], amount: 1n }],
    };
    assert.equal(verdictOf(paying, policyOf(allow({ selector, to: { in: 'friends' } }))), 'denied');
    assert.equal(
      verdictOf({ ...call, called: stranger }, policyOf(allow(), deny({ selector, to: { in: 'bad' } }))),
      'denied',
    );
  });

  it('compares amounts beyond 64 bits exactly, in the unit of the asset', () => {
    const big = 10n ** 30n;
    const atMost = policyOf(allow({ asset: ['USDC'], amount: { lte: String(big) } }));
    assert.equal(verdictOf(pay(big * 10n ** 6n), atMost), 'satisfied');
    assert.equal(verdictOf(pay(big * 10n ** 6n + 1n), atMost), 'denied');
    const half = policyOf(allow({ asset: ['USDC'], amount: { gt: '0.5', lt: '0.500002' } }));
    assert.equal(verdictOf(pay(500_001n), half), 'satisfied');
    for (const amount of [500_000n, 500_002n]) assert.equal(verdictOf(pay(amount), half), 'denied');
    const raw = policyOf(allow({ chain: ['eip155:1'], asset: [token], amount: { gte: '7' } }));
    assert.equal(verdictOf(pay(7n), raw), 'satisfied');
    assert.equal(verdictOf(pay(6n), raw), 'denied');
    const wei = policyOf(allow({ chain: ['eip155:1'], asset: ['native'], amount: { lte: '7' } }));
    assert.equal(verdictOf(pay(7n, friend, 'native'), wei), 'satisfied');
    assert.equal(verdictOf(pay(8n, friend, 'native'), wei), 'denied');
  });

  it('counts all movements of an item, and the fee in the coin', () => {
    const movement = { chain: 'eip155:1', address: token, to: [friend], amount: 600_000n };
    const twice = pay(0n, friend, token, { movements: [movement, movement] });
    assert.equal(verdictOf(twice, policyOf(allow({ asset: ['USDC'], amount: { lte: '1' } }))), 'denied');
    const wei = policyOf(allow({ asset: ['ETH'], amount: { lte: '0.00000000000000001' } }));
    assert.equal(verdictOf(pay(4n, friend, 'native', { fee: 6n }), wei), 'satisfied');
    assert.equal(verdictOf(pay(4n, friend, 'native', { fee: 7n }), wei), 'denied');
    // If nothing else moves, the fee is what moves.
    const bare: PolicyFacts = {
      kind: 'solana.transaction',
      chain: 'solana',
      understood: true,
      movements: [],
      fee: 5000n,
    };
    assert.equal(verdictOf(bare, policyOf(allow({ asset: ['SOL'], amount: { lte: '5000' } }))), 'satisfied');
    assert.equal(verdictOf(bare, policyOf(allow({ asset: ['SOL'], amount: { lt: '5000' } }))), 'denied');
    assert.equal(verdictOf(bare, policyOf(allow(), deny({ asset: ['SOL'] }))), 'denied');
    const bound = policyOf(allow({ asset: ['USDC'], fee: { lte: '10' } }));
    assert.equal(verdictOf(pay(1n, friend, token, { fee: 10n }), bound), 'satisfied');
    assert.equal(verdictOf(pay(1n, friend, token, { fee: 11n }), bound), 'denied');
    const { fee: _, ...feeless } = pay(1n);
    assert.equal(verdictOf(feeless, bound), 'denied');
  });

  it('tells rule, condition, value and what was wanted', () => {
    const told = (facts: PolicyFacts, ...rules: Rule[]): string => {
      const plan = planned(facts, policyOf(...rules));
      assert.ok('reason' in plan);
      return plan.reason;
    };
    assert.equal(
      told(pay(700_000_000n), allow({ asset: ['USDC'], amount: { lte: '500' } })),
      'no rule allows this evm.transaction: rule a: amount is 700 USDC, it must be at most 500 USDC',
    );
    assert.match(
      told(pay(1n, stranger), allow({ to: { in: 'friends' } })),
      /rule a: to is 0x9{40}, it must be in list friends$/,
    );
    assert.match(told(pay(1n), allow({ to: { notIn: 'friends' } })), /it must be not in list friends$/);
    assert.match(
      told(pay(1n), allow({ chain: ['solana'] })),
      /rule a: chain is eip155:1, it must be solana$/,
    );
    assert.match(told(pay(1n), allow({ fee: { gt: '5' } })), /rule a: fee is 0, it must be above 5$/);
    assert.match(
      told(pay(1n), allow({ selector: ['0x12345678'] })),
      /selector is none, it must be 0x12345678$/,
    );
    assert.match(
      told({ ...pay(1n), understood: false }, allow({ asset: ['USDC'] })),
      /asset is not known: the effect/,
    );
    assert.match(
      told(ofKind('message'), allow()),
      /kind is message, it must be a transaction, as it names no kind$/,
    );
    assert.match(
      told(pay(2_000_000n), allow({ asset: ['USDC'] }, { limit: { amount: '1', per: '1h', scope: 'key' } })),
      /rule a: limit is 2 USDC, it must be at most 1 USDC$/,
    );
    const plan = planned([pay(1n), ofKind('message')], policyOf(allow()));
    assert.ok('reason' in plan && plan.item === 1);
    assert.match(plan.reason, /^item 1: no rule allows this message/);
    assert.deepEqual(
      plan.mismatches.map(({ rule, condition, value }) => [rule, condition, value]),
      [['a', 'kind', 'message']],
    );
  });
});

describe('policy: what the bytes of a real transaction say', () => {
  const key = new WholeEcdsaKey(7);
  const abi = parseAbi([
    'function transfer(address,uint256) returns (bool)',
    'function approve(address,uint256) returns (bool)',
    'function increaseAllowance(address,uint256) returns (bool)',
  ]);
  const call = (name: 'transfer' | 'approve' | 'increaseAllowance', amount: bigint): `0x${string}` =>
    encodeFunctionData({ abi, functionName: name, args: [friend, amount] });
  const factsOf = (fields: Partial<TransactionSerializable>): PolicyFacts => {
    const gas = { gas: 100_000n, maxFeePerGas: 10n ** 9n, maxPriorityFeePerGas: 1n };
    const base = { type: 'eip1559', chainId: 1, nonce: 5, to: token, value: 0n, ...gas };
    const transaction = serializeTransaction({ ...base, ...fields } as TransactionSerializable);
    return policyFacts(decodePayload({ kind: 'evm.transaction', transaction }, key.evm).facts);
  };
  const careful = policyOf(allow({ asset: ['USDC'], to: { in: 'friends' }, amount: { lte: '5' } }));

  it('allows a token transfer within the bounds, and takes unlimited leave to spend for as much', () => {
    assert.equal(verdictOf(factsOf({ data: call('transfer', 5_000_000n) }), careful), 'satisfied');
    assert.equal(verdictOf(factsOf({ data: call('transfer', 5_000_001n) }), careful), 'denied');
    assert.equal(verdictOf(factsOf({ data: call('approve', 5_000_000n) }), careful), 'satisfied');
    assert.equal(verdictOf(factsOf({ data: call('approve', 2n ** 256n - 1n) }), careful), 'denied');
  });

  it('does not overlook value behind a token call, a call it does not know, bytes after the arguments, or a new contract', () => {
    for (const fields of [
      { data: call('transfer', 1n), value: 1n },
      { data: call('increaseAllowance', 1n) },
      { data: `${call('transfer', 1n)}00` as const },
      { data: '0x12' as const },
      { to: null, data: '0x6000' as const },
    ]) {
      const facts = factsOf(fields);
      assert.ok(!facts.understood);
      assert.equal(verdictOf(facts, careful), 'denied');
      assert.equal(verdictOf(facts, policyOf(allow(), deny({ to: { in: 'bad' } }))), 'denied');
    }
    const hidden = factsOf({ data: call('transfer', 1n), value: 3n });
    assert.ok(hidden.movements.some(({ address, amount }) => address === 'native' && amount === 3n));
  });

  it('counts what all of the gas costs, and whom a transaction of nothing goes to', () => {
    const plain = factsOf({ to: friend, value: 5n, gas: 21_000n });
    assert.equal(plain.fee, 21_000n * 10n ** 9n);
    const total = String(21_000n * 10n ** 9n + 5n);
    const wei: When = { chain: ['eip155:1'], asset: ['native'], amount: { lte: total } };
    assert.equal(verdictOf(plain, policyOf(allow(wei))), 'satisfied');
    assert.equal(verdictOf(plain, policyOf(allow({ ...wei, amount: { lt: total } }))), 'denied');
    const nothing = factsOf({ to: stranger, value: 0n });
    assert.equal(verdictOf(nothing, policyOf(allow({ to: { in: 'friends' } }))), 'denied');
    assert.equal(verdictOf(nothing, policyOf(allow({ to: [stranger] }))), 'satisfied');
  });

  it('does not understand typed data that permits nothing, or without a chain', () => {
    const approval = { asset: token, spender: friend, amount: '5', unlimited: false } as const;
    const data = {
      kind: 'evm.typedData',
      signer: friend,
      domain: {},
      primaryType: 'Permit',
      encodedType: 'Permit()',
      message: {},
      approvals: [approval],
    } as const;
    assert.ok(policyFacts({ ...data, chain: 'eip155:1' }).understood);
    assert.ok(!policyFacts(data).understood);
    assert.ok(!policyFacts({ ...data, chain: 'eip155:1', approvals: [] }).understood);
  });

  it('does not understand a Solana transaction that somebody else signs too', () => {
    const transaction = {
      kind: 'solana.transaction',
      chain: 'solana',
      version: 0,
      feePayer: 'a',
      lifetime: { kind: 'blockhash', blockhash: 'b' },
      accountRent: '0',
      accounts: [],
      programs: [],
      instructions: [],
      transfers: [],
      maximumFee: '5000',
      understood: true,
    } as const;
    assert.ok(policyFacts({ ...transaction, requiredSigners: ['a'] }).understood);
    assert.ok(!policyFacts({ ...transaction, requiredSigners: ['a', 'b'] }).understood);
  });
});

describe('policy: who must agree', () => {
  it('counts members of the group who are owners, each once, and nobody else', () => {
    const two = policyOf(allow(undefined, { require: { k: 2, of: ['alice', 'bob', 'erin'] } }));
    assert.equal(verdictOf(pay(1n), two, { approved: ['alice', 'dave', 'erin'] }), 'waiting');
    assert.equal(verdictOf(pay(1n), two, { approved: ['alice', 'bob'] }), 'satisfied');
    assert.equal(verdictOf(pay(1n), two, { approved: [] }), 'waiting');
    assert.deepEqual([...approversOf(planned(pay(1n), two) as Plan)], ['alice', 'bob']);
  });

  it('leaves out the initiator, and who signed with another kind of credential', () => {
    const others = policyOf(allow(undefined, { require: { k: 1, of: 'owners', excludeInitiator: true } }));
    assert.equal(verdictOf(pay(1n), others), 'waiting');
    assert.equal(verdictOf(pay(1n), others, { approved: ['alice', 'bob'] }), 'satisfied');
    const keys = policyOf(
      allow(undefined, { require: { k: 1, of: 'owners', credential: ['webauthn', 'eip712'] } }),
    );
    assert.equal(verdictOf(pay(1n), keys), 'waiting');
    assert.equal(verdictOf(pay(1n), keys, { signedWith: ['ed25519', 'eip712'] }), 'satisfied');
    const veto: Rule = allow(undefined, {
      reject: { k: 1, of: 'owners', excludeInitiator: true, credential: ['eip712'] },
    });
    const no = (rejected: string[], signedWith: CredentialType[]): string =>
      verdictOf(pay(1n), policyOf(veto), { rejected, signedWith });
    assert.equal(no(['bob'], ['ed25519']), 'satisfied');
    assert.equal(no(['bob'], ['eip712']), 'rejected');
    assert.equal(no(['alice'], ['eip712']), 'satisfied');
  });

  it('is rejected when `reject` is met, and then only; without it when `require` can no longer be met', () => {
    const veto = policyOf(
      allow(undefined, { require: { k: 2, of: 'owners' }, reject: { k: 1, of: ['carol'] } }),
    );
    const rejects = (policy: Policy, ...rejected: string[]): string =>
      verdictOf(pay(1n), policy, { rejected });
    assert.equal(rejects(veto, 'bob', 'dave'), 'waiting');
    assert.equal(rejects(veto, 'carol'), 'rejected');
    const plain = policyOf(allow(undefined, { require: { k: 2, of: ['alice', 'bob', 'carol'] } }));
    assert.equal(rejects(plain, 'bob', 'dave'), 'waiting');
    assert.equal(rejects(plain, 'bob', 'carol'), 'rejected');
    const others = policyOf(
      allow(undefined, { require: { k: 2, of: ['alice', 'bob', 'carol'], excludeInitiator: true } }),
    );
    assert.equal(rejects(others, 'bob'), 'rejected');
  });

  it('judges trees, and tells what of them is missing', () => {
    const tree: Rule['require'] = {
      all: [
        {
          any: [
            { k: 1, of: ['bob'] },
            { k: 1, of: ['carol'] },
          ],
        },
        { k: 1, of: ['alice'] },
      ],
    };
    const plan = planned(pay(1n), policyOf(allow(undefined, { require: tree }))) as Plan;
    const verdict = judged(plan);
    assert.ok(verdict.verdict === 'waiting');
    assert.deepEqual(
      verdict.missing.map(({ from }) => from),
      [['bob'], ['carol']],
    );
    assert.equal(judged(plan, { approved: ['alice', 'carol'] }).verdict, 'satisfied');
    assert.equal(judged(plan, { approved: ['bob', 'carol'] }).verdict, 'waiting');
    assert.equal(judged(plan, { rejected: ['bob'] }).verdict, 'waiting');
    assert.equal(judged(plan, { rejected: ['bob', 'carol'] }).verdict, 'rejected');
  });

  it('takes one rule that is satisfied, and rejects an item only when every rule is', () => {
    const either = policyOf(allow(undefined, { require: { k: 1, of: ['bob'] } }), {
      ...allow(undefined, { require: { k: 1, of: ['carol'] } }),
      id: 'b',
    });
    const by = (approved: string[], rejected: string[]): string =>
      verdictOf(pay(1n), either, { approved, rejected });
    assert.equal(by(['carol'], ['bob']), 'satisfied');
    assert.equal(by([], ['bob']), 'waiting');
    assert.equal(by([], ['bob', 'carol']), 'rejected');
    const mixed = policyOf(allow(), {
      ...allow({ kind: ['message'] }, { require: { k: 1, of: ['bob'] } }),
      id: 'm',
    });
    const both = [pay(1n), ofKind('message')];
    assert.equal(verdictOf(both, mixed), 'waiting');
    assert.equal(verdictOf(both, mixed, { rejected: ['bob'] }), 'rejected');
    assert.equal(verdictOf(both, mixed, { approved: ['alice', 'bob'] }), 'satisfied');
    assert.equal(verdictOf([...both, ofKind('digest')], mixed, { approved: owners }), 'denied');
  });
});

describe('policy: levels', () => {
  const transactionsBy = (name: string): Policy =>
    policyOf(allow(undefined, { require: { k: 1, of: [name] } }));

  it('allows by the nearest alone, and denies by any', () => {
    const near = planned(pay(1n), transactionsBy('bob'), transactionsBy('alice')) as Plan;
    assert.equal(judged(near).verdict, 'waiting');
    assert.equal(judged(near, { approved: ['bob'] }).verdict, 'satisfied');
    const forbidding = policyOf(allow(), deny({ to: { in: 'bad' } }));
    for (const levels of [
      [forbidding, transactionsBy('alice')],
      [transactionsBy('alice'), forbidding],
      [transactionsBy('alice'), transactionsBy('alice'), forbidding],
    ]) {
      assert.ok('reason' in planned(pay(1n, stranger), ...levels));
      assert.ok('items' in planned(pay(1n), ...levels));
    }
    // A nearest that allows nothing is not helped by those above.
    assert.ok('reason' in planned(pay(1n), policyOf(allow({ kind: ['message'] })), transactionsBy('alice')));
    assert.ok('reason' in planned(pay(1n)));
  });
});

describe('policy: time', () => {
  it('waits for a delay on its own clock, and ends with the rule', () => {
    const plan = planned(pay(1n), policyOf(allow(undefined, { delay: '10m', ttl: '1h' }))) as Plan;
    const at = (now: number, firstSeen = made): PolicyVerdict => judged(plan, { now, firstSeen });
    const early = at(made + 10 * minute - 1);
    assert.deepEqual([early.verdict, holdsOf(early)], ['waiting', ['delay']]);
    assert.ok(early.verdict === 'waiting' && early.until === made + 10 * minute);
    assert.equal(at(made + 10 * minute).verdict, 'satisfied');
    // Made long ago, seen now.
    assert.equal(at(made + 50 * minute, made + 50 * minute).verdict, 'waiting');
    assert.equal(at(made + hour - 1).verdict, 'satisfied');
    assert.equal(at(made + hour).verdict, 'over');
    const usual = planned(pay(1n), policyOf(allow())) as Plan;
    assert.equal(judged(usual, { now: made + day - 1 }).verdict, 'satisfied');
    assert.equal(judged(usual, { now: made + day }).verdict, 'over');
  });

  it('lives as long as the longest rule of the shortest item', () => {
    const rules = policyOf(
      allow(undefined, { ttl: '1h' }),
      { ...allow(undefined, { ttl: '2d' }), id: 'b' },
      { ...allow({ kind: ['message'] }, { ttl: '3h' }), id: 'm' },
    );
    assert.equal((planned(pay(1n), rules) as Plan).lifetimeMs, 2 * day);
    assert.equal((planned([pay(1n), ofKind('message')], rules) as Plan).lifetimeMs, 3 * hour);
  });

  it('waits outside the hours of a rule that allows, and within those of one that denies', () => {
    const noon = { tz: 'UTC', days: 'mon', from: '11:00', to: '13:00' };
    const allowed = planned(pay(1n), policyOf(allow({ hours: noon }))) as Plan;
    assert.equal(judged(allowed).verdict, 'satisfied');
    const late = judged(allowed, { now: made + hour });
    assert.deepEqual([late.verdict, holdsOf(late)], ['waiting', ['hours']]);
    const shut = planned(pay(1n), policyOf(allow(), deny({ hours: noon }))) as Plan;
    const during = judged(shut);
    assert.deepEqual(
      [during.verdict, holdsOf(during), during.verdict === 'waiting' && during.until],
      ['waiting', ['hours'], made + hour],
    );
    assert.equal(judged(shut, { now: made + hour }).verdict, 'satisfied');
    const above = planned(
      pay(1n),
      policyOf(allow()),
      policyOf(deny({ hours: noon }), { ...allow(), id: 'b' }),
    ) as Plan;
    assert.equal(judged(above).verdict, 'waiting');
    assert.equal(judged(shut, { rejected: owners }).verdict, 'rejected');
  });
});

describe('policy: limits', () => {
  const limited = (scope: 'key' | 'workspace' = 'key', asset = 'USDC', amount = '10'): Policy =>
    policyOf(allow({ asset: [asset] }, { limit: { amount, per: '24h', scope } }));
  const unit = 10n ** 6n;
  const debit = (
    amount: bigint,
    at: number,
    more: Partial<Ledger['entries'][number]> = {},
  ): Ledger['entries'][number] => ({
    requestId: earlier,
    keyId: keyA,
    chain: 'eip155:1',
    address: token,
    amount: amount * unit,
    at,
    ...more,
  });
  const after = (
    policy: Policy,
    facts: PolicyFacts | readonly PolicyFacts[],
    ...entries: Ledger['entries']
  ): PolicyVerdict => judged(planned(facts, policy) as Plan, { ledger: { entries } });

  it('counts what left within the window, and says when there is room again', () => {
    const five = pay(5n * unit);
    assert.equal(after(limited(), five, debit(5n, made - hour)).verdict, 'satisfied');
    const full = after(limited(), five, debit(6n, made - hour), debit(1n, made - 2 * hour));
    assert.deepEqual(holdsOf(full), ['limit']);
    assert.ok(full.verdict === 'waiting' && full.holds[0]?.until === made + 23 * hour);
    assert.match(full.holds[0]?.detail ?? '', /^7 of 10 USDC are used, this takes 5$/);
    assert.equal(after(limited(), five, debit(6n, made - day)).verdict, 'satisfied');
    assert.equal(after(limited(), five, debit(6n, made - day + 1)).verdict, 'waiting');
    assert.equal(after(limited(), five, debit(6n, made - hour, { address: stranger })).verdict, 'satisfied');
    assert.equal(after(limited(), five, debit(6n, made - hour, { chain: 'eip155:10' })).verdict, 'satisfied');
  });

  it('counts all items of the request, and none of its own debits twice', () => {
    assert.ok('reason' in planned([pay(6n * unit), pay(5n * unit)], limited()));
    const both = [pay(6n * unit), pay(4n * unit)];
    assert.equal(after(limited(), both).verdict, 'satisfied');
    assert.equal(after(limited(), both, debit(10n, made - 1, { requestId })).verdict, 'satisfied');
    assert.equal(after(limited(), both, debit(1n, made - 1)).verdict, 'waiting');
  });

  it('counts for each key or for the workspace', () => {
    const other = debit(6n, made - hour, { keyId: keyB });
    assert.equal(after(limited('key'), pay(5n * unit), other).verdict, 'satisfied');
    assert.equal(after(limited('workspace'), pay(5n * unit), other).verdict, 'waiting');
  });

  it('allows nothing while the ledger is not known, or may have forgotten something', () => {
    const plan = planned(pay(unit), limited()) as Plan;
    assert.equal(judged(plan, { ledger: undefined }).verdict, 'waiting');
    const lost = judged(plan, { ledger: { entries: [], usedUpUntil: made + 1 } });
    assert.deepEqual(
      [holdsOf(lost), lost.verdict === 'waiting' && lost.holds[0]?.until],
      [['limit'], made + 1],
    );
    assert.equal(judged(plan, { ledger: { entries: [], usedUpUntil: made } }).verdict, 'satisfied');
  });

  it('counts a transaction that several items sign once, as the largest of what they see', () => {
    const coin = 10n ** 8n;
    const input = (amount: bigint, fee: bigint, transaction?: string): PolicyFacts => ({
      kind: 'bitcoin.psbt',
      chain: 'bitcoin',
      understood: true,
      movements: [{ chain: 'bitcoin', address: 'native', to: ['somebody111111111'], amount }],
      fee,
      outputs: 1,
      ...(transaction !== undefined && { transaction }),
    });
    const ten = limited('workspace', 'BITCOIN');
    const one = `0x${'0e'.repeat(32)}`;
    assert.equal(
      after(ten, [input(9n * coin, 0n, one), input(4n * coin, coin, one), input(9n * coin, coin, one)])
        .verdict,
      'satisfied',
    );
    assert.equal(verdictOf([input(9n * coin, 0n, one), input(10n * coin, 1n, one)], ten), 'denied');
    assert.equal(verdictOf([input(6n * coin, 0n), input(6n * coin, 0n)], ten), 'denied');
    // Of another transaction, or signed before as part of this very one.
    const bitcoin = { chain: 'bitcoin', address: 'native', amount: 6n * coin };
    const before = (transaction: string): string =>
      after(ten, input(5n * coin, 0n, one), debit(6n, made - hour, { ...bitcoin, transaction })).verdict;
    assert.equal(before(one), 'satisfied');
    assert.equal(before(`0x${'0f'.repeat(32)}`), 'waiting');
  });

  it('counts the fee for the coin, whatever else moves and however little is understood', () => {
    const fees: PolicyFacts = { ...pay(unit, friend, token), fee: 7n };
    const debits = (facts: PolicyFacts): bigint[] => {
      const plan = planned(facts, policyOf(allow()));
      return 'items' in plan ? plan.debits.map(({ amount }) => amount) : [];
    };
    assert.deepEqual(debits(fees), [unit, 7n]);
    assert.deepEqual(debits({ ...fees, understood: false, movements: [] }), [7n]);
    assert.deepEqual(debits({ ...pay(3n, friend, 'native'), fee: 7n }), [10n]);
  });
});

describe('policy: in words', () => {
  it('warns of one owner alone, of blind signing, of fees, and of groups that share members', () => {
    const warned = (...rules: Rule[]): string => policyWarnings(policyOf(...rules), owners).join('\n');
    assert.match(policyWarnings(defaultPolicy, owners).join(), /one owner alone/);
    assert.deepEqual(policyWarnings(defaultPolicy, ['alice']), []);
    assert.match(
      warned(allow(undefined, { require: { any: [anyone, { k: 2, of: 'owners' }] } })),
      /one owner alone/,
    );
    assert.match(
      warned(allow(undefined, { require: { all: [anyone, { k: 1, of: ['bob'] }] } })),
      /one owner alone/,
    );
    assert.doesNotMatch(warned(allow(undefined, { require: { k: 2, of: 'owners' } })), /alone/);
    assert.doesNotMatch(
      warned(allow(undefined, { require: { ...anyone, excludeInitiator: true } })),
      /alone/,
    );
    assert.doesNotMatch(warned(allow({ asset: ['ETH'], amount: { lte: '1' } })), /alone/);
    assert.match(warned(allow({ asset: ['ETH'], amount: { gte: '1' } })), /alone/);
    assert.match(
      warned(allow({ kind: ['digest'] }, { require: { k: 2, of: 'owners' } })),
      /not told by them/,
    );
    assert.match(warned(allow({ asset: ['USDC'], amount: { lte: '1' } })), /but not the fee/);
    const both = {
      all: [
        { k: 1, of: ['alice', 'bob'] },
        { k: 1, of: ['bob', 'carol'] },
      ],
    };
    assert.match(warned(allow(undefined, { require: both })), /bob counts for more than one/);
  });

  it('describes a rule in one line', () => {
    const rule = allow(
      { asset: ['USDC'], to: { in: 'friends' }, amount: { lte: '5' } },
      {
        require: {
          any: [
            { k: 2, of: 'owners', excludeInitiator: true },
            { k: 1, of: ['bob'] },
          ],
        },
        delay: '10m',
      },
    );
    assert.equal(
      describeRule(policyOf(rule), rule),
      'a: allow transactions; of USDC; amount <= 5; to list friends, approved by 2 of all owners, without the initiator or 1 of bob, not before 10m have passed',
    );
  });
});

describe('a policy in lines', () => {
  it('says what its lists and assets stand for: under the same rules another list pays somebody else', () => {
    const [mine, theirs] = [`0x${'ab'.repeat(20)}`, `0x${'cd'.repeat(20)}`];
    const paying = (to: string): Policy => ({
      version: 1,
      lists: { payroll: [to] },
      assets: { USDC: { chain: 'eip155:1', address: to, decimals: 6 } },
      rules: [
        {
          id: 'pay',
          effect: 'allow',
          when: { asset: ['USDC'], to: { in: 'payroll' } },
          require: { k: 1, of: 'owners' },
        },
      ],
    });
    assert.deepEqual(describePolicy(paying(mine)), [
      'pay: allow transactions; of USDC; to list payroll, approved by 1 of all owners',
      `list payroll: ${mine}`,
      `asset USDC: ${mine} on eip155:1, 6 decimals`,
    ]);
    const policy = paying(theirs);
    for (const change of [
      { kind: 'policy.sign', policy },
      { kind: 'policy.admin', policy },
      { kind: 'policy.key', keyId: `0x${'01'.repeat(32)}`, policy },
    ] as const)
      assert.ok(describeChange(change).includes(`  list payroll: ${theirs}`), change.kind);
  });
});

describe('the default policies', () => {
  it('let any one owner ask for transactions and keys, and for nothing else', () => {
    assert.deepEqual(policySchema.parse(defaultPolicy), defaultPolicy);
    for (const kind of kindSchema.options) {
      const transaction = kind.endsWith('.transaction') || kind === 'bitcoin.psbt';
      const expected = transaction || kind === 'key.request' ? 'satisfied' : 'denied';
      assert.equal(verdictOf(ofKind(kind), defaultPolicy), expected, kind);
    }
    assert.equal(verdictOf(pay(1n), defaultPolicy, { approved: [] }), 'waiting');
  });

  it('let a majority of owners change the workspace, and any one freeze it', () => {
    for (const [count, k] of [
      [1, 1],
      [2, 2],
      [3, 2],
      [4, 3],
      [5, 3],
    ] as const)
      assert.deepEqual(defaultAdminPolicy(count).rules[0]?.require, { k, of: 'owners' });
    const admin = defaultAdminPolicy(4);
    assert.equal(verdictOf(changeFacts('freeze'), admin), 'satisfied');
    assert.equal(verdictOf(changeFacts('unfreeze'), admin), 'waiting');
    assert.equal(verdictOf(pay(1n), admin, { approved: owners }), 'denied');
  });
});
