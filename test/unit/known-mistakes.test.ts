// Mistakes that systems of this kind are known for, each once, through `authorize` from real records. What comes before or
// after it (schemas, counting of results) has its tests elsewhere: docs/reviews/who-may-sign.md has the whole table.
import assert from 'node:assert/strict';
import { base58 } from '@scure/base';
import { Transaction } from '@scure/btc-signer';
import { encodeFunctionData, parseAbi, serializeTransaction } from 'viem/utils';
import { buildSignRequest } from '../../client/records.ts';
import { authorize, maxClockAhead, maxRequestLifetime, type Verdict } from '../../protocol/authorize.ts';
import { type Hex, toHex } from '../../protocol/hex.ts';
import type { KeyType } from '../../protocol/keys/key-type.ts';
import { evmAddressOf } from '../../protocol/keys/evm-address.ts';
import type { Payload } from '../../protocol/payloads/payload.ts';
import { transferMessage } from '../../protocol/payloads/solana-transfer.ts';
import { adminPolicySchema, type Policy, policySchema } from '../../protocol/policy/schema.ts';
import type { Workspace } from '../../protocol/records/workspace.ts';
import { encode, type Naive } from '../reference/solana-message.ts';
import {
  approve,
  hour,
  idOf,
  keyRequest,
  messagePayload,
  networkId,
  reject,
  resultBy,
  seedOf,
  start,
} from '../support/fixture.ts';
import { ask, beginIn, judgeIn, keyIn, messages, worldOf } from '../support/judged-logs.ts';
import { authorised, refused, requestWith, waiting, whole, world } from '../support/judged-world.ts';
import { after, signerNamed } from '../support/log-world.ts';
import { WholeEcdsaKey } from '../support/whole-ecdsa-key.ts';
import { WholeTaprootKey } from '../support/whole-taproot-key.ts';
import type { WorldKey } from '../support/world-key.ts';

const [alice, bob, carol] = ['alice', 'bob', 'carol'].map((name) => signerNamed(name)) as [
  ReturnType<typeof signerNamed>,
  ReturnType<typeof signerNamed>,
  ReturnType<typeof signerNamed>,
];
const two = beginIn({ signPolicy: messages(2) });
const key = keyIn(two);
const base = { workspace: two, key };
const credentialOf = (name: string): { kind: 'credential.add'; owner: string; credential: string } => ({
  kind: 'credential.add',
  owner: name,
  credential: signerNamed(name, 'second').credential,
});

describe('known mistakes: who decides', () => {
  it('another workspace’s key beside an own one', () => {
    const foreign = keyIn(beginIn());
    for (const order of [
      [key, foreign],
      [foreign, key],
    ]) {
      const items = order.map(({ id }) => ({ keyId: id, payload: messagePayload('hello') }));
      const request = buildSignRequest({ networkId, now: start, workspace: two, items }, alice).envelope;
      const parts = () => ({ keys: [key.entry, foreign.entry] });
      refused(
        judgeIn({ ...base, request, approvals: [bob], parts }),
        'wrong_key',
        true,
        /belongs to workspace/,
      );
    }
  });

  it('an outsider who rejects', () => {
    const request = ask(base);
    const here = worldOf(two);
    const decisions = [
      approve(here, idOf(request), 'bob'),
      reject(here, idOf(request), 'mallory', { signer: signerNamed('mallory') }),
      reject(here, idOf(request), 'carol', { signer: signerNamed('mallory') }),
      reject(here, idOf(request), 'alice', { signer: signerNamed('mallory') }),
    ];
    authorised(judgeIn({ ...base, request, parts: () => ({ decisions }) }), 3);
  });

  it('an approval of another request', () => {
    const [one, other] = [ask(base), ask(base)];
    assert.notEqual(idOf(one), idOf(other));
    const decisions = [approve(worldOf(two), idOf(other), 'bob')];
    waiting(judgeIn({ ...base, request: one, parts: () => ({ decisions }) }), ['bob', 'carol'], 1);
    authorised(judgeIn({ ...base, request: other, parts: () => ({ decisions }) }));
  });

  it('one principal who approves with two credentials', () => {
    const rich = after(two, credentialOf('alice'));
    const second = signerNamed('alice', 'second');
    waiting(judgeIn({ ...base, workspace: rich, approvals: [alice, second] }), ['bob', 'carol']);
    const three = after(rich, { kind: 'policy.sign', policy: messages(3) });
    const more = after(three, credentialOf('bob'), { approvals: ['carol'] });
    waiting(judgeIn({ ...base, workspace: more, approvals: [bob, signerNamed('bob', 'second'), second] }), [
      'carol',
    ]);
  });

  it('the approval, and the request, of an owner who was removed', () => {
    const less = after(two, { kind: 'owner.remove', owner: 'carol' });
    const request = ask({ ...base, workspace: less });
    const decisions = [approve(worldOf(less), idOf(request), 'carol', { signer: carol })];
    waiting(judgeIn({ workspace: less, key, request, parts: () => ({ decisions }) }), ['bob'], 1);
    // Asked and approved while carol was an owner.
    const before = ask({ ...base, by: carol });
    const approvals = () => ({ decisions: [approve(worldOf(two), idOf(before), 'bob')] });
    authorised(judgeIn({ ...base, request: before, parts: approvals }));
    refused(
      judgeIn({ workspace: less, key, request: before, parts: approvals }),
      'bad_evidence',
      false,
      /not signed by its initiator/,
    );
    const asCarol = requestWith({ workspaceId: less.id, logHead: less.head, initiator: 'carol' }, carol);
    refused(
      judgeIn({ workspace: less, key, request: asCarol }),
      'bad_evidence',
      false,
      /not signed by its initiator carol/,
    );
  });

  it('a decision made before the policy changed', () => {
    const request = ask(base);
    const decisions = [approve(worldOf(two), idOf(request), 'bob')];
    authorised(judgeIn({ ...base, request, parts: () => ({ decisions }) }));
    const stricter = after(two, { kind: 'policy.sign', policy: messages(3) });
    refused(
      judgeIn({ ...base, workspace: stricter, request, parts: () => ({ decisions }) }),
      'stale_log_head',
      false,
    );
    const anew = ask({ ...base, workspace: stricter });
    const early = [approve(worldOf(two), idOf(anew), 'bob'), approve(worldOf(stricter), idOf(anew), 'carol')];
    waiting(
      judgeIn({ ...base, workspace: stricter, request: anew, parts: () => ({ decisions: early }) }),
      ['bob'],
      1,
    );
  });

  it('a policy that is true without approvals', () => {
    const rule = { id: 'free', effect: 'allow' as const, when: { kind: ['message'] } };
    const empty: unknown[] = [
      { k: 0, of: 'owners' },
      { all: [] },
      { any: [] },
      { k: -1, of: 'owners' },
      { k: 1, of: [] },
    ];
    for (const require of [undefined, ...empty]) {
      const policy = { version: 1, rules: [{ ...rule, ...(require !== undefined && { require }) }] };
      assert.equal(policySchema.safeParse(policy).success, false, JSON.stringify(require));
      assert.equal(adminPolicySchema.safeParse(policy).success, false);
    }
    // Nobody but members of the group counts.
    const own: Policy = messages(1, ['carol']);
    const bound = after(two, { kind: 'policy.key', keyId: key.id, policy: own });
    waiting(judgeIn({ ...base, workspace: bound, approvals: [bob] }), ['carol']);
  });

  it('a threshold of quorums of 0, or above the group', () => {
    for (const k of [0, 4])
      assert.throws(() => beginIn({ signPolicy: messages(k) }), /k|wants 4 of 3 owners/);
    assert.throws(() => beginIn({ signPolicy: messages(3, ['alice', 'bob']) }), /k is larger than the group/);
  });
});

describe('known mistakes: when', () => {
  const asked = (created: number, expires: number): Verdict => {
    const request = requestWith({
      created: new Date(created).toISOString(),
      expires: new Date(expires).toISOString(),
    });
    const decisions = [approve(world, idOf(request), 'bob', { expires: start + 60 * 24 * hour })];
    return authorize({ ...whole, request, decisions }, { networkId, now: start });
  };
  it('a requester who stretches an expiry', () => {
    const day = 24 * hour;
    authorised(asked(start - day + 1, start + 365 * day));
    refused(asked(start - day, start + 365 * day), 'expired', true);
    refused(asked(start - maxRequestLifetime, start + 365 * day), 'expired', true);
    refused(asked(start - 1000, start), 'expired', true);
  });

  it('clocks that differ', () => {
    authorised(asked(start + maxClockAhead, start + hour));
    refused(asked(start + maxClockAhead + 1, start + hour), 'too_early', false, /check the clocks/);
    refused(asked(start + 365 * 24 * hour, start + 366 * 24 * hour), 'too_early', false);
  });
});

/** A key of another type, certified by all parties. */
function keyOf(workspace: Workspace, keyType: KeyType, publicKey: Uint8Array, point: Uint8Array): WorldKey {
  const world = worldOf(workspace);
  const request = keyRequest(world, { keyType, label: keyType });
  const id = idOf(request);
  const other = new WholeEcdsaKey(99).publicKey;
  const result = {
    kind: 'key' as const,
    keyType,
    publicKey: toHex(publicKey),
    chainCode: toHex(seedOf('chain code', keyType)),
    commitments: [toHex(point), toHex(other)],
    transcript: toHex(seedOf('transcript', keyType)),
  };
  const certificate = world.parties.map((party) => resultBy(world, party, id, result));
  return {
    id,
    request,
    publicKey: result.publicKey,
    seed: seedOf(keyType),
    result,
    certificate,
    entry: { request, certificate },
  };
}

const spending = (
  when: NonNullable<Policy['rules'][number]['when']>,
  more: Partial<Policy> = {},
): Policy => ({
  version: 1,
  ...more,
  rules: [{ id: 'spend', effect: 'allow', when, require: { k: 1, of: 'owners' } }],
});

describe('known mistakes: what is signed, on Ethereum', () => {
  const whole23 = new WholeEcdsaKey(7);
  const token: Hex = `0x${'a0'.repeat(20)}`;
  const payee: Hex = `0x${'35'.repeat(20)}`;
  const abi = parseAbi(['function transfer(address,uint256)', 'function multicall(bytes[])']);
  const built = (fields: object): Payload => ({
    kind: 'evm.transaction',
    transaction: serializeTransaction({
      type: 'eip1559',
      chainId: 1,
      nonce: 1,
      gas: 100_000n,
      maxFeePerGas: 1n,
      maxPriorityFeePerGas: 1n,
      to: token,
      value: 0n,
      ...fields,
    }),
  });
  const judged = (policy: Policy, payload: Payload): Verdict => {
    const workspace = beginIn({
      signPolicy: {
        ...policy,
        rules: [
          ...policy.rules,
          ...messages(1).rules.map((rule) => ({
            ...rule,
            id: 'keys',
            when: { kind: ['key.request' as const] },
          })),
        ],
      },
    });
    const evm = keyOf(workspace, 'ecdsa_secp256k1', whole23.publicKey, whole23.publicKey);
    return judgeIn({ workspace, key: evm, payload });
  };
  const assets = { USDC: { chain: 'eip155:1', address: token, decimals: 6 } };
  const small = spending({ asset: ['USDC'], amount: { lte: '100' } }, { assets });
  const pay = (amount: bigint): Payload =>
    built({ data: encodeFunctionData({ abi, functionName: 'transfer', args: [payee, amount] }) });

  it('an amount beyond 64 bits', () => {
    authorised(judged(small, pay(100_000_000n)));
    for (const amount of [100_000_001n, 2n ** 64n, 2n ** 64n + 1n, 2n ** 128n + 1n, 2n ** 256n - 1n])
      refused(judged(small, pay(amount)), 'policy_denied', true);
    const coins = spending({ chain: ['eip155:1'], asset: ['native'], amount: { lte: '1000000' } });
    authorised(judged(coins, built({ to: payee, value: 1n })));
    for (const value of [2n ** 64n, 2n ** 64n + 1n, 2n ** 200n])
      refused(judged(coins, built({ to: payee, value })), 'policy_denied', true);
  });

  it('value hidden behind the call of a token', () => {
    const data = encodeFunctionData({ abi, functionName: 'transfer', args: [payee, 1n] });
    refused(judged(small, built({ data, value: 10n ** 18n })), 'policy_denied', true);
    refused(judged(small, built({ data: `${data}00` as Hex })), 'policy_denied', true);
  });

  it('a call that nobody knows', () => {
    const data = encodeFunctionData({ abi, functionName: 'multicall', args: [['0x1234']] });
    refused(judged(small, built({ data })), 'policy_denied', true);
    const listed = spending({ to: { in: 'payees' } }, { lists: { payees: [token, payee] } });
    refused(judged(listed, built({ data })), 'policy_denied', true);
    authorised(judged(listed, pay(1n)));
    assert.notEqual(evmAddressOf(whole23.publicKey), payee);
  });
});

describe('known mistakes: what is signed, on Bitcoin', () => {
  it('a PSBT whose inputs belong to different keys', () => {
    const [ours, theirs] = [new WholeTaprootKey(7), new WholeTaprootKey(11)];
    const transaction = new Transaction();
    for (const [index, { script }] of [ours, theirs].entries())
      transaction.addInput({
        txid: new Uint8Array(32).fill(index + 1),
        index: 0,
        witnessUtxo: { script, amount: 50_000n },
      });
    transaction.addOutput({ script: theirs.script, amount: 90_000n });
    const psbt = toHex(transaction.toPSBT());
    const judged = (lte: string, input: number): Verdict => {
      const workspace = beginIn({ signPolicy: spending({ asset: ['BTC'], amount: { lte } }) });
      const taproot = keyOf(workspace, 'taproot_secp256k1', ours.publicKey, ours.point);
      return judgeIn({ workspace, key: taproot, payload: { kind: 'bitcoin.psbt', psbt, input } });
    };
    authorised(judged('100000', 0));
    refused(judged('100000', 1), 'bad_payload', true);
    // Whatever part of it comes from another key, all of it leaves: it is not split by who pays.
    refused(judged('50000', 0), 'policy_denied', true);
  });
});

describe('known mistakes: what is signed, on Solana', () => {
  const system = '1'.repeat(32);
  const memo = 'MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr';
  const recipient = base58.encode(seedOf('recipient'));
  const stranger = base58.encode(seedOf('stranger'));
  const blockhash = base58.encode(seedOf('blockhash'));
  const rules = spending({ asset: ['SOL'], amount: { lte: '2000000000' }, program: [system] });
  const workspace = beginIn({ signPolicy: rules });
  const solana = keyIn(workspace);
  const own = base58.encode(Uint8Array.from(Buffer.from(solana.publicKey.slice(2), 'hex')));
  const judged = (message: Uint8Array): Verdict =>
    judgeIn({ workspace, key: solana, payload: { kind: 'solana.transaction', message: toHex(message) } });
  const data = [2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
  const plain: Naive = {
    version: 'legacy',
    header: [1, 0, 1],
    accounts: [own, recipient, system],
    blockhash,
    instructions: [{ program: 2, accounts: [0, 1], data }],
  };

  it('a signer who is not expected', () => {
    authorised(judged(encode(plain)));
    authorised(
      judged(transferMessage({ from: own, to: recipient, lamports: 1n, recentBlockhash: blockhash })),
    );
    const joined: Naive = {
      ...plain,
      header: [2, 0, 1],
      accounts: [own, stranger, recipient, system],
      instructions: [{ program: 3, accounts: [0, 2], data }],
    };
    refused(judged(encode(joined)), 'policy_denied', true);
    const paidBy: Naive = {
      ...joined,
      accounts: [stranger, own, recipient, system],
      instructions: [{ program: 3, accounts: [1, 2], data }],
    };
    refused(judged(encode(paidBy)), 'policy_denied', true);
  });

  it('a program that is not expected', () => {
    const more: Naive = {
      ...plain,
      header: [1, 0, 2],
      accounts: [own, recipient, system, memo],
      instructions: [...plain.instructions, { program: 3, accounts: [], data: [1] }],
    };
    refused(judged(encode(more)), 'policy_denied', true);
  });

  it('lookup tables, whose recipients are not in the bytes', () => {
    const hidden: Naive = {
      ...plain,
      version: 0,
      lookups: [{ table: stranger, writable: [1], readonly: [] }],
    };
    refused(judged(encode(hidden)), 'policy_denied', true, /digest/);
  });

  it('a message that is really a transaction', () => {
    const speaking = beginIn({ signPolicy: messages(1) });
    const voice = keyIn(speaking);
    const mine = base58.encode(Uint8Array.from(Buffer.from(voice.publicKey.slice(2), 'hex')));
    const transaction = encode({ ...plain, accounts: [mine, recipient, system] });
    const verdict = judgeIn({
      workspace: speaking,
      key: voice,
      payload: { kind: 'message', data: toHex(transaction) },
    });
    // Either it is no text, or what is signed is Solana's envelope around it, which no chain takes for a transaction.
    refused(verdict, 'bad_payload', true);
    const text = judgeIn({ workspace: speaking, key: voice, payload: messagePayload('a text') });
    assert.ok(text.verdict === 'authorised');
    const [item] = text.authorisation.items;
    assert.equal(item?.payload.message[0], 0xff, 'no transaction begins with this byte');
    refused(
      judgeIn({
        workspace: speaking,
        key: voice,
        payload: { kind: 'solana.transaction', message: toHex(transaction) },
      }),
      'policy_denied',
      true,
    );
  });
});
