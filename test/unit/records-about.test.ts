// What a decision is about, in lines: made of the request's or the change's bytes alone, plain whatever stands in them, and
// short without hiding that they are.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { encodeFunctionData, parseAbi, serializeTransaction } from 'viem';
import { toHex } from '../../protocol/hex.ts';
import type { Payload } from '../../protocol/payloads/payload.ts';
import { shownPayload } from '../../protocol/payloads/shown.ts';
import { aboutOf, aboutSchema, mostAbout, shortened } from '../../protocol/records/about.ts';
import { decision } from '../../protocol/records/decision.ts';
import { createRecord } from '../../protocol/records/envelope.ts';
import { type Request, request } from '../../protocol/records/request.ts';
import {
  type Change,
  type WorkspaceChange,
  workspaceChange,
} from '../../protocol/records/workspace-change.ts';
import { networkId, seedOf } from '../support/fixture.ts';
import { alice, refuses, sampleOf } from '../support/record-samples.ts';

const hash = (name: string) => toHex(seedOf('about', name));
const [workspaceId, keyId, keyringId] = ['workspace', 'key', 'keyring'].map(hash) as [
  `0x${string}`,
  `0x${string}`,
  `0x${string}`,
];
const receiver = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8';
const token = '0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48';
const times = { created: '2030-01-31T12:00:00.000Z', expires: '2030-01-31T13:00:00.000Z' };
const nonce = toHex(seedOf('about', 'nonce').subarray(0, 16));
const base = {
  networkId,
  workspaceId,
  initiator: 'alice',
  logHead: { seq: 0, id: workspaceId },
  nonce,
  ...times,
};
const before = [`workspace: ${workspaceId}`, 'initiator: alice', `until: ${times.expires}`];

const asks = (...payloads: readonly Payload[]): Request => ({
  ...base,
  kind: 'sign',
  items: payloads.map((payload) => ({ keyId, payload })),
});
const changeTo = (change: Change): WorkspaceChange => {
  const { logHead: _, ...rest } = base;
  return { ...rest, seq: 1, prev: workspaceId, change };
};
const evm = (fields: object): Payload => ({
  kind: 'evm.transaction',
  transaction: serializeTransaction({
    type: 'eip1559',
    chainId: 1,
    nonce: 4,
    gas: 21_000n,
    maxFeePerGas: 2_000_000_000n,
    maxPriorityFeePerGas: 1n,
    ...fields,
  } as never),
});
const pays = (index: number): Payload =>
  evm({
    nonce: index,
    to: token,
    data: encodeFunctionData({
      abi: parseAbi(['function transfer(address, uint256)']),
      args: [`0x${String(index).padStart(40, '1')}`, 250_000_000n],
    }),
  });
const text = (data: string): Payload => ({ kind: 'evm.message', data: toHex(Buffer.from(data)) });
const sha256 = (data: string | Uint8Array): string => `0x${createHash('sha256').update(data).digest('hex')}`;

describe('what a decision is about', () => {
  it('is, of a request to sign, what each item does, in the chain’s own units', () => {
    assert.deepEqual(
      aboutOf(request, asks(evm({ to: receiver, value: 1_500_000_000_000_000_000n }), pays(7))),
      [
        'Ask for 2 signatures',
        ...before,
        `items: 1. evm.transaction by key ${keyId}: on eip155:1, nonce 4, fee at most 0.000042 (42000000000000 wei)`,
        `items: 1. pay 1.5 (1500000000000000000 wei) to ${receiver}`,
        `items: 2. evm.transaction by key ${keyId}: on eip155:1, nonce 7, fee at most 0.000042 (42000000000000 wei)`,
        `items: 2. call ${token}: transfer 250000000 base units to 0x${'7'.padStart(40, '1')}`,
      ],
    );
  });

  it('is, of a request for a key, all that is asked', () => {
    const asked = { ...base, kind: 'key' as const, keyringId, keyType: 'ed25519' as const, label: 'Zürich' };
    assert.deepEqual(aboutOf(request, asked), [
      'Ask for a new key of type ed25519',
      ...before.slice(0, 2),
      'label: Z\\u{fc}rich',
      `keyring: ${keyringId}`,
      before[2],
    ]);
  });

  it('is, of a change, what is changed, of every kind', () => {
    const policy = {
      version: 1 as const,
      rules: [{ id: 'a', effect: 'allow' as const, require: { k: 1, of: 'owners' as const } }],
    };
    const lines = [
      'rules[0].effect: allow',
      'rules[0].id: a',
      'rules[0].require.k: 1',
      'rules[0].require.of: owners',
      'version: 1',
    ].map((line) => `policy: ${line}`);
    const { credential } = alice;
    const cases: readonly (readonly [Change, readonly string[], (readonly string[])?])[] = [
      [
        { kind: 'owner.add', owner: { name: 'dave', credentials: [credential] } },
        ['owner: dave'],
        [`credentials: ${credential}`],
      ],
      [{ kind: 'owner.remove', owner: 'dave' }, ['owner: dave']],
      [{ kind: 'credential.add', owner: 'bob', credential }, ['owner: bob', `credential: ${credential}`]],
      [{ kind: 'credential.remove', owner: 'bob', credential }, ['owner: bob', `credential: ${credential}`]],
      [{ kind: 'keyring.add', keyringId }, [`keyring: ${keyringId}`]],
      [{ kind: 'keyring.remove', keyringId }, [`keyring: ${keyringId}`]],
      [{ kind: 'policy.admin', policy }, [], lines],
      [{ kind: 'policy.sign', policy }, [], lines],
      [{ kind: 'policy.sign' }, [], ['policy: none of its own']],
      [{ kind: 'policy.key', keyId, policy }, [`key: ${keyId}`], lines],
      [{ kind: 'key.disable', keyId }, [`key: ${keyId}`]],
      [{ kind: 'key.enable', keyId }, [`key: ${keyId}`]],
      [{ kind: 'child.add', workspaceId: keyringId }, [`child: ${keyringId}`]],
      [{ kind: 'child.remove', workspaceId: keyringId }, [`child: ${keyringId}`]],
      [{ kind: 'freeze' }, []],
      [{ kind: 'unfreeze' }, []],
      [{ kind: 'resolve', stands: keyId }, [`stands: ${keyId}`]],
    ];
    for (const [change, single, list = []] of cases)
      assert.deepEqual(aboutOf(workspaceChange, changeTo(change)), [
        `Change the workspace: ${change.kind}`,
        `workspace: ${workspaceId}`,
        ...single,
        `entry: 1 after ${workspaceId}`,
        ...before.slice(1),
        ...list,
      ]);
  });

  it('shows the rules of a policy before its lists, however long those are', () => {
    const rule = { id: 'z', effect: 'allow' as const, require: { k: 1, of: 'ops' } };
    const payees = Array.from({ length: 200 }, (_, index) => `0x${String(index).padStart(40, '1')}`);
    const policy = {
      version: 1 as const,
      groups: { ops: ['alice', 'bob'] },
      lists: { payees },
      rules: [{ ...rule, when: { to: { in: 'payees' } } }],
    };
    const lines = aboutOf(workspaceChange, changeTo({ kind: 'policy.sign', policy }));
    assert.equal(lines.length, mostAbout.lines);
    for (const line of ['rules[0].require.k: 1', 'rules[0].when.to.in: payees', 'groups.ops[1]: bob'])
      assert.ok(lines.includes(`policy: ${line}`), line);
    assert.match(lines.at(-1)!, /MORE LINES, NOT SHOWN HERE/);
  });

  // What was signed is made again by later versions: what is told here of these bytes never changes.
  it('is told of every kind of payload as it always was', () => {
    const data = `0x${'ab'.repeat(65)}` as const;
    const approve = encodeFunctionData({
      abi: parseAbi(['function approve(address, uint256)']),
      args: [receiver, 2n ** 256n - 1n],
    });
    const typedData = {
      types: {
        Permit: [
          { name: 'spender', type: 'address' },
          { name: 'note', type: 'string' },
        ],
      },
      primaryType: 'Permit',
      domain: { name: 'USD Coin', chainId: '1' },
      message: { spender: receiver.toLowerCase(), note: 'a\nmessage.spender: 0x00' },
    };
    const fee = 'on eip155:1, nonce 4, fee at most 0.000042 (42000000000000 wei)';
    assert.deepEqual(shownPayload(evm({ to: receiver, value: 1n, data })), [
      fee,
      `pay 0.000000000000000001 (1 wei) to ${receiver}`,
      `call ${receiver}: data 0xabababab and more, 65 bytes, SHA-256 ${sha256(Buffer.alloc(65, 0xab))}`,
    ]);
    assert.deepEqual(shownPayload(evm({ to: token, data: approve })), [
      fee,
      `call ${token}: let ${receiver} take ${2n ** 256n - 1n} base units (WITHOUT LIMIT)`,
    ]);
    assert.deepEqual(shownPayload(evm({ data: '0x60' })), [
      fee,
      'create a contract with 0 (0 wei), code 0x60',
    ]);
    assert.deepEqual(shownPayload(text('pay')), ['3 bytes, no transaction', 'text: pay']);
    assert.deepEqual(shownPayload({ kind: 'evm.message', data: '0xff' }), [
      '1 bytes, no transaction',
      'not text: 0xff',
    ]);
    assert.deepEqual(shownPayload({ kind: 'evm.typedData', typedData }), [
      'of type Permit, no transaction, but perhaps an order to a contract',
      'domain.chainId: 1',
      'domain.name: USD Coin',
      'message.note: a\\u{a}message.spender: 0x00',
      `message.spender: ${receiver.toLowerCase()}`,
      'types: Permit(address spender,string note)',
    ]);
    const unreadable = { kind: 'evm.transaction', transaction: '0x00' } as const;
    assert.deepEqual(shownPayload(unreadable), [
      `CANNOT BE READ. SHA-256 of its canonical bytes: ${sha256(JSON.stringify(unreadable))}`,
    ]);
  });

  it('is plain and one line after the other, whatever stands in what is asked', () => {
    const hostile = 'hi\n2. pay 0 to me\u202e\u200b\u0000\u2028 \u05d0 \\u{a} ' + 'x'.repeat(1000);
    const about = aboutOf(request, asks(text(hostile), pays(1)));
    aboutSchema.parse(about);
    const at = about.findIndex((line) => line.startsWith('items: 1. text: '));
    const last = about.findIndex((line) => line.startsWith('items: 2. evm'));
    const said = about
      .slice(at, last)
      .map((line, index) => line.slice(index === 0 ? 'items: 1. text: '.length : 'items: ... '.length));
    for (const line of about.slice(at + 1, last)) assert.ok(line.startsWith('items: ... '), line);
    assert.equal(
      said.join(''),
      `hi\\u{a}2. pay 0 to me\\u{202e}\\u{200b}\\u{0}\\u{2028} \\u{5d0} \\\\u{a} ${'x'.repeat(1000)}`,
    );
    const label = {
      ...base,
      kind: 'key' as const,
      keyringId,
      keyType: 'ed25519' as const,
      label: 'א'.repeat(100),
    };
    aboutSchema.parse(aboutOf(request, label));
  });

  it('tells of fifty payments each, whole', () => {
    const about = aboutOf(request, asks(...Array.from({ length: 50 }, (_, index) => pays(index))));
    aboutSchema.parse(about);
    assert.equal(about.length, 4 + 100);
    assert.match(about.at(-1)!, /^items: 50\. call 0x/);
  });

  it('says of what it cannot show how much that is, and what its hash is', () => {
    const many = Array.from({ length: 50 }, (_, index) => text(`${index} ${'long '.repeat(800)}`));
    for (const payloads of [many, many.toReversed()]) {
      const about = aboutOf(request, asks(...payloads));
      aboutSchema.parse(about);
      assert.match(
        about.at(-1)!,
        /^items: AND \d+ MORE LINES, NOT SHOWN HERE\. SHA-256 of all \d+: 0x[0-9a-f]{64}$/,
      );
    }
    const lists = { all: Array.from({ length: 1000 }, (_, index) => `0x${String(index).padStart(40, '0')}`) };
    const policy = {
      version: 1 as const,
      lists,
      rules: [{ id: 'a', effect: 'allow' as const, require: { k: 1, of: 'owners' as const } }],
    };
    const about = aboutOf(workspaceChange, changeTo({ kind: 'policy.sign', policy }));
    aboutSchema.parse(about);
    assert.deepEqual(about.slice(0, 2), ['Change the workspace: policy.sign', `workspace: ${workspaceId}`]);
    assert.equal(about.length, mostAbout.lines);
    const other = { ...policy, lists: { all: lists.all.with(999, receiver.toLowerCase()) } };
    const changed = aboutOf(workspaceChange, changeTo({ kind: 'policy.sign', policy: other }));
    assert.deepEqual(changed.slice(0, -1), about.slice(0, -1));
    assert.notEqual(changed.at(-1), about.at(-1));
    const most = { lines: 3, length: 10, characters: 1000 };
    assert.deepEqual(shortened(['a', 'b', 'c'], most), ['a', 'b', 'c']);
    assert.deepEqual(shortened(['a', 'b', 'c', 'd'], most), [
      'a',
      'b',
      `AND 2 MORE LINES, NOT SHOWN HERE. SHA-256 of all 4: ${sha256('a\nb\nc\nd')}`,
    ]);
    assert.deepEqual(shortened(['0123456789abcdef'], { ...most, lines: 9 }), ['0123456789', '... abcdef']);
  });

  it('stands in a decision in no other form', () => {
    const sample = sampleOf('decision, approve').content;
    const make = (about: unknown) => () => createRecord(decision as never, { ...sample, about } as never);
    make(['a'])();
    for (const about of [
      [],
      [''],
      ['a\nb'],
      ['\u202e'],
      ['\u0430'],
      ['a'.repeat(mostAbout.length + 1)],
      Array.from({ length: mostAbout.lines + 1 }, () => 'a'),
      Array.from({ length: mostAbout.lines }, () => 'a'.repeat(mostAbout.length)),
      'a',
    ])
      refuses('malformed', make(about));
  });
});
