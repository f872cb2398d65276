// Payload kind evm.transaction: the decoder against a second library, and against everything somebody hostile could send.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Transaction } from 'micro-eth-signer';
import type { TransactionSerializable } from 'viem';
import { encodeFunctionData, getAddress, parseAbi, serializeTransaction, toRlp } from 'viem/utils';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { fromHex, type Hex, toHex } from '../../protocol/hex.ts';
import { maxEvmTransactionBytes } from '../../protocol/payloads/evm-transaction.ts';
import type { EvmTransactionFacts } from '../../protocol/payloads/facts.ts';
import {
  assemble,
  decodePayload,
  type Payload,
  PayloadError,
  type PayloadErrorCode,
} from '../../protocol/payloads/payload.ts';
import { WholeEcdsaKey } from '../support/whole-ecdsa-key.ts';

const key = new WholeEcdsaKey(7);
const other = getAddress(`0x${'35'.repeat(20)}`);
const token = getAddress(`0x${'a0'.repeat(20)}`);
const gwei = 10n ** 9n;
const base = {
  type: 'eip1559',
  chainId: 1,
  nonce: 5,
  gas: 21_000n,
  maxFeePerGas: 30n * gwei,
  maxPriorityFeePerGas: gwei,
  to: other,
  value: 1_500_000_000_000_000_000n,
} as const;

const payloadOf = (transaction: Hex): Payload => ({ kind: 'evm.transaction', transaction });
const decode = (transaction: Hex) => decodePayload(payloadOf(transaction), key.evm);
const factsOf = (transaction: Hex) => decode(transaction).facts as EvmTransactionFacts;
const built = (fields: Partial<TransactionSerializable> = {}): Hex =>
  serializeTransaction({ ...base, ...fields } as TransactionSerializable);
const call = (data: Hex, fields: Partial<TransactionSerializable> = {}): Hex =>
  built({ to: token, value: 0n, gas: 100_000n, data, ...fields });
const abi = parseAbi([
  'function transfer(address,uint256) returns (bool)',
  'function transferFrom(address,address,uint256) returns (bool)',
  'function approve(address,uint256) returns (bool)',
  'function increaseAllowance(address,uint256) returns (bool)',
  'function multicall(bytes[])',
]);

function refuses(code: PayloadErrorCode, transaction: Hex, what = ''): void {
  assert.throws(
    () => decode(transaction),
    (error) => error instanceof PayloadError && error.code === code && error.message.length > 10,
    `${what} ${transaction.slice(0, 80)}`,
  );
}

type Rlp = readonly (Hex | Rlp)[];
const list = (...fields: Rlp): Hex => toRlp(fields as never);
const typed = (type: number, ...fields: Rlp): Hex => `0x0${type}${list(...fields).slice(2)}`;
/** Fields of an EIP-1559 transaction, some of them replaced. */
const fields1559 = (replaced: Readonly<Record<number, Hex | Rlp>> = {}): Rlp =>
  (['0x01', '0x05', '0x01', '0x02', '0x5208', other.toLowerCase() as Hex, '0x01', '0x', []] as Rlp).map(
    (field, index) => replaced[index] ?? field,
  );
const legacyFields = (replaced: Readonly<Record<number, Hex | Rlp>> = {}): Rlp =>
  (['0x05', '0x01', '0x5208', other.toLowerCase() as Hex, '0x01', '0x', '0x01', '0x', '0x'] as Rlp).map(
    (field, index) => replaced[index] ?? field,
  );

const address = fc.uint8Array({ minLength: 20, maxLength: 20 }).map(toHex);
const word = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex);
const anyTransaction = fc.record({
  type: fc.constantFrom('legacy', 'eip2930', 'eip1559'),
  chainId: fc.oneof(fc.integer({ min: 1, max: 100_000 }), fc.constant(Number.MAX_SAFE_INTEGER)),
  nonce: fc.oneof(fc.nat(300), fc.maxSafeNat()),
  gas: fc.bigInt(1n, 2n ** 64n - 1n),
  price: fc.bigInt(0n, 2n ** 100n),
  tip: fc.bigInt(0n, 2n ** 100n),
  to: fc.option(address, { nil: undefined }),
  value: fc.oneof(fc.bigInt(0n, 2n ** 64n), fc.bigInt(0n, 2n ** 255n)),
  data: fc.uint8Array({ minLength: 1, maxLength: 100 }).map(toHex),
  accessList: fc.array(
    fc.record({ address, storageKeys: fc.array(word, { maxLength: 3 }) }, { noNullPrototype: true }),
    {
      maxLength: 3,
    },
  ),
});
type Any = typeof anyTransaction extends fc.Arbitrary<infer Value> ? Value : never;

/** As the second library writes it. */
function second({ type, price, tip, chainId, nonce, gas, to, value, data, accessList }: Any) {
  const common = {
    chainId: BigInt(chainId),
    nonce: BigInt(nonce),
    gasLimit: gas,
    to: to ?? '0x',
    value,
    data,
  };
  const [low, high] = tip < price ? [tip, price] : [price, tip];
  switch (type) {
    case 'legacy':
      return Transaction.prepare({ ...common, type: 'legacy', gasPrice: price }, false);
    case 'eip2930':
      return Transaction.prepare({ ...common, type: 'eip2930', gasPrice: price, accessList }, false);
    case 'eip1559':
      return Transaction.prepare(
        { ...common, type: 'eip1559', maxFeePerGas: high, maxPriorityFeePerGas: low, accessList },
        false,
      );
  }
}

describe('payload: evm.transaction', () => {
  it('is read as a second library wrote it, nothing left out, and signed as that library verifies', () => {
    fc.assert(
      fc.property(anyTransaction, (any) => {
        const theirs = second(any);
        const transaction = theirs.toHex() as Hex;
        const { facts: anyFacts, message } = decode(transaction);
        const facts = anyFacts as EvmTransactionFacts;
        assert.deepEqual(message, keccak_256(fromHex(transaction)));
        assert.equal(facts.chain, `eip155:${any.chainId}`);
        assert.equal(facts.from, key.address);
        assert.equal(facts.to?.toLowerCase(), any.to);
        assert.equal(facts.nonce, any.nonce);
        assert.equal(facts.value, String(any.value));
        assert.equal(facts.gasLimit, String(any.gas));
        assert.equal(facts.maximumFee, String(theirs.fee));
        assert.equal(facts.data, any.data);
        assert.deepEqual(
          facts.accessList.map((entry) => ({ ...entry, address: entry.address.toLowerCase() })),
          any.type === 'legacy' ? [] : any.accessList,
        );
        const signature = key.sign(message);
        const { transaction: signed, transactionHash } = assemble(payloadOf(transaction), key.evm, signature);
        const read = Transaction.fromHex(signed!);
        assert.equal(read.sender, key.address);
        assert.ok(read.verifySignature());
        assert.equal(read.hash, transactionHash);
        assert.equal(read.removeSignature().toHex(), transaction);
      }),
      { numRuns: 150 },
    );
  });

  it('tells what a plain transfer does, exactly, whatever its size', () => {
    const { facts, summary } = decode(built());
    assert.deepEqual(facts, {
      kind: 'evm.transaction',
      chain: 'eip155:1',
      type: 'eip1559',
      from: key.address,
      to: other,
      value: '1500000000000000000',
      nonce: 5,
      gasLimit: '21000',
      maxFeePerGas: '30000000000',
      maxPriorityFeePerGas: '1000000000',
      maximumFee: '630000000000000',
      data: '0x',
      accessList: [],
      transfers: [{ asset: 'native', from: key.address, to: other, amount: '1500000000000000000' }],
      approvals: [],
      understood: true,
    });
    assert.deepEqual(summary, [
      'EVM transaction (EIP-1559) on chain 1 (Ethereum)',
      `From ${key.address} (this key), nonce 5`,
      `Sends 1.5 ETH (1500000000000000000 wei) to ${other}`,
      'Fee: at most 0.00063 ETH (630000000000000 wei): 21000 gas at up to 30 gwei, of it 1 as a tip',
    ]);
    const huge = 2n ** 200n + 1n;
    assert.equal(factsOf(built({ value: huge })).transfers[0]!.amount, String(huge));
    assert.ok(decode(built({ value: huge, chainId: 999 })).summary[2]!.includes(`${huge} wei`));
  });

  it('tells a chain apart from every other, and of one that is not known no name', () => {
    assert.notDeepEqual(decode(built()).message, decode(built({ chainId: 5 })).message);
    const { facts, summary } = decode(built({ chainId: 31_337 }));
    assert.equal((facts as EvmTransactionFacts).chain, 'eip155:31337');
    assert.match(summary.join('\n'), /on chain 31337\n/);
    assert.doesNotMatch(summary.join('\n'), /ETH/);
  });

  it('decodes calls of tokens, without inventing decimals', () => {
    const transfer = encodeFunctionData({ abi, functionName: 'transfer', args: [other, 5_000_000n] });
    const { facts, summary } = decode(call(transfer));
    const { transfers, understood, call: read, selector } = facts as EvmTransactionFacts;
    assert.deepEqual(transfers, [{ asset: token, from: key.address, to: other, amount: '5000000' }]);
    assert.deepEqual(
      [understood, read, selector],
      [true, { name: 'erc20.transfer', to: other, amount: '5000000' }, '0xa9059cbb'],
    );
    assert.match(
      summary.join('\n'),
      new RegExp(`sends 5000000 base units \\(decimals not known\\) of token ${token} to ${other}`),
    );
    const from = encodeFunctionData({ abi, functionName: 'transferFrom', args: [other, token, 7n] });
    assert.deepEqual(factsOf(call(from)).transfers, [{ asset: token, from: other, to: token, amount: '7' }]);
    assert.equal(factsOf(call(from)).understood, true);
  });

  it('tells leave to move tokens, and shouts when it is without limit', () => {
    const approve = (amount: bigint): Hex =>
      call(encodeFunctionData({ abi, functionName: 'approve', args: [other, amount] }));
    for (const [amount, unlimited, words] of [
      [1_000n, false, `APPROVAL: lets ${other} move 1000 base units`],
      [2n ** 255n - 1n, false, `APPROVAL: lets ${other} move ${2n ** 255n - 1n} base units`],
      [2n ** 255n, true, `UNLIMITED APPROVAL: lets ${other} move ALL tokens`],
      [2n ** 256n - 1n, true, `UNLIMITED APPROVAL: lets ${other} move ALL tokens`],
      [0n, false, `Withdraws the leave of ${other}`],
    ] as const) {
      const { facts, summary } = decode(approve(amount));
      const { approvals, transfers } = facts as EvmTransactionFacts;
      assert.deepEqual(approvals, [{ asset: token, spender: other, amount: String(amount), unlimited }]);
      assert.deepEqual(transfers, []);
      assert.ok(
        summary.some((line) => line.startsWith(words)),
        summary.join('\n'),
      );
    }
  });

  it('understands no other call, and none that is spelled in another way or brings value', () => {
    const transfer = encodeFunctionData({ abi, functionName: 'transfer', args: [other, 5n] });
    const hidden = encodeFunctionData({ abi, functionName: 'multicall', args: [[transfer]] });
    const dirty = `${transfer.slice(0, 10)}ff${transfer.slice(12)}` as Hex;
    const allowance = encodeFunctionData({ abi, functionName: 'increaseAllowance', args: [other, 5n] });
    for (const [what, data] of [
      ['a call within a call', hidden],
      ['bytes behind it', `${transfer}00`],
      ['a word behind it', `${transfer}${'00'.repeat(32)}`],
      ['too few bytes', transfer.slice(0, -2)],
      ['an address of more than 20 bytes', dirty],
      ['another function', allowance],
      ['a selector alone', '0xa9059cbb'],
      ['less than a selector', '0xa905'],
    ] as const) {
      const { facts, summary } = decode(call(data as Hex));
      const { understood, transfers, call: read } = facts as EvmTransactionFacts;
      assert.deepEqual([understood, transfers, read], [false, [], undefined], what);
      assert.ok(
        summary.some((line) => line.startsWith('NOT UNDERSTOOD: calls contract')),
        what,
      );
    }
    const paid = factsOf(call(transfer, { value: 3n }));
    assert.equal(paid.understood, false);
    assert.deepEqual(
      paid.transfers.map(({ asset, amount }) => [asset, amount]),
      [
        ['native', '3'],
        [token, '5'],
      ],
    );
  });

  it('tells a contract that is created, and where', () => {
    const { facts, summary } = decode(built({ to: undefined, data: '0x6001', value: 0n }));
    const { creates, to, understood, selector } = facts as EvmTransactionFacts;
    assert.equal(to, undefined);
    assert.deepEqual([understood, selector], [false, undefined]);
    // The address by a second library (CREATE: keccak256(rlp([from, nonce]))).
    const hash = keccak_256(fromHex(list(key.address.toLowerCase() as Hex, '0x05')));
    assert.equal(creates, getAddress(toHex(hash.slice(-20))));
    assert.ok(summary.includes(`CREATES A CONTRACT at ${creates}`));
    refuses('malformed_transaction', built({ to: undefined, value: 5n }), 'no recipient, no code');
  });

  it('warns of the recipient that nobody is', () => {
    const zero = `0x${'00'.repeat(20)}` as Hex;
    assert.match(decode(built({ to: zero })).summary.join('\n'), /RECIPIENT IS NOBODY/);
  });

  it('prints nothing that a terminal would act on', () => {
    fc.assert(
      fc.property(anyTransaction, (any) => {
        for (const line of decode(second(any).toHex() as Hex).summary) assert.match(line, /^[\x20-\x7e]+$/);
      }),
      { numRuns: 30 },
    );
  });
});

describe('payload: evm.transaction, hostile', () => {
  it('is of a type that is known', () => {
    const rest = list(...fields1559()).slice(2);
    for (let type = 0; type < 0xc0; type += 1) {
      const hex = `0x${type.toString(16).padStart(2, '0')}${rest}` as Hex;
      if (type === 2) decode(hex);
      else if (type === 1) refuses('malformed_transaction', hex);
      else refuses(type < 0x80 ? 'unsupported_version' : 'malformed_transaction', hex);
    }
    // As libraries write them: blobs (EIP-4844) and code for the account itself (EIP-7702).
    const blob = serializeTransaction({
      ...base,
      type: 'eip4844',
      maxFeePerBlobGas: 1n,
      blobVersionedHashes: [`0x01${'00'.repeat(31)}`],
    } as TransactionSerializable);
    const code = serializeTransaction({
      ...base,
      type: 'eip7702',
      authorizationList: [],
    } as TransactionSerializable);
    refuses('unsupported_version', blob);
    refuses('unsupported_version', code);
  });

  it('names a chain by a number that is exact', () => {
    refuses('unsupported_chain', list(...legacyFields().slice(0, 6)), 'before EIP-155');
    for (const wrong of [
      '0x',
      '0x20000000000000',
      `0x01${'00'.repeat(8)}`,
      `0x${'ff'.repeat(32)}`,
    ] as const) {
      refuses('unsupported_chain', typed(2, ...fields1559({ 0: wrong })));
      refuses('unsupported_chain', typed(1, ...fields1559({ 0: wrong }).toSpliced(2, 1)));
      refuses('unsupported_chain', list(...legacyFields({ 6: wrong })));
    }
    const largest = '0x1fffffffffffff';
    assert.equal(factsOf(typed(2, ...fields1559({ 0: largest }))).chain, `eip155:${Number.MAX_SAFE_INTEGER}`);
    assert.equal(factsOf(list(...legacyFields({ 6: largest }))).chain, `eip155:${Number.MAX_SAFE_INTEGER}`);
    refuses('malformed_transaction', typed(2, ...fields1559({ 0: ['0x01'] })));
  });

  it('is not signed already', () => {
    const signature = { r: `0x${'11'.repeat(32)}`, s: `0x${'22'.repeat(32)}`, v: 27n } as const;
    for (const type of ['legacy', 'eip2930', 'eip1559'] as const) {
      const { maxFeePerGas, maxPriorityFeePerGas, ...rest } = base;
      const prices = type === 'eip1559' ? { maxFeePerGas, maxPriorityFeePerGas } : { gasPrice: 1n };
      const transaction = { ...rest, ...prices, type } as TransactionSerializable;
      decode(serializeTransaction(transaction));
      refuses('already_signed', serializeTransaction(transaction, signature), type);
    }
    // Half of a signature is one, and so is one of zeroes where empty strings belong.
    refuses('already_signed', list(...legacyFields({ 7: '0x01' })));
    refuses('already_signed', list(...legacyFields({ 8: '0x01' })));
    refuses('already_signed', list(...legacyFields({ 7: '0x00', 8: '0x00' })));
    refuses('already_signed', typed(2, ...fields1559(), '0x', '0x', '0x'));
  });

  it('has its fields, and no other', () => {
    for (const count of [0, 1, 5, 7, 8, 10, 12, 100]) {
      const fields = Array.from({ length: count }, () => '0x01' as Hex);
      if (count !== 9) refuses('malformed_transaction', list(...fields), `${count} fields`);
    }
    for (const count of [0, 1, 8, 10, 11, 13])
      refuses('malformed_transaction', typed(2, ...Array.from({ length: count }, () => '0x01' as Hex)));
    refuses('malformed_transaction', typed(1, ...fields1559()), 'a price too many');
    for (const text of ['0x02', '0x0280', '0x02c0', '0xc0', '0x0201', '0x02b800', '0xf8'] as const)
      assert.throws(() => decode(text), { name: 'PayloadError' }, text);
  });

  it('is spelled in the one way there is', () => {
    const good = typed(2, ...fields1559());
    decode(good);
    refuses('not_canonical', `${good}00`, 'a byte behind it');
    refuses('not_canonical', `${good}${good.slice(4)}`, 'another list behind it');
    refuses('malformed_transaction', good.slice(0, -2) as Hex, 'a byte too few');
    const body = good.slice(6);
    refuses(
      'not_canonical',
      `0x02f8${good.slice(4, 6) === 'e0' ? '20' : (Number(`0x${good.slice(4, 6)}`) - 0xc0).toString(16)}${body}`,
      'a length in a longer form',
    );
    for (const [field, spelled] of [
      [1, '0x00'],
      [1, '0x0005'],
      [2, '0x00'],
      [3, '0x0002'],
      [4, '0x005208'],
      [6, '0x00'],
      [6, '0x0001'],
      [8, '0x'],
      [0, '0x0001'],
    ] as const)
      assert.throws(
        () => decode(typed(2, ...fields1559({ [field]: spelled }))),
        (error) =>
          error instanceof PayloadError &&
          (error.code === 'not_canonical' || error.code === 'malformed_transaction'),
        `field ${field} as ${spelled}`,
      );
    refuses('not_canonical', typed(2, ...fields1559({ 1: '0x0005' })), 'a zero before the nonce');
    refuses('not_canonical', typed(2, ...fields1559({ 6: '0x0001' })), 'a zero before the value');
    refuses('malformed_transaction', typed(2, ...fields1559({ 8: '0x' })), 'no list of accounts');
    for (const field of [0, 1, 2, 3, 4, 5, 6, 7])
      refuses('malformed_transaction', typed(2, ...fields1559({ [field]: ['0x01'] })), 'a list');
    // 0x81 0x05: a byte below 0x80 is its own encoding.
    refuses('not_canonical', `0x02${(0xc0 + 0x20).toString(16)}01810501`.concat(good.slice(10)) as Hex);
  });

  it('has fields of their size', () => {
    const recipients = [
      '0x01',
      `0x${'35'.repeat(19)}`,
      `0x${'35'.repeat(21)}`,
      `0x${'35'.repeat(32)}`,
    ] as const;
    for (const to of recipients) refuses('malformed_transaction', typed(2, ...fields1559({ 5: to })));
    const large = (bytes: number): Hex => `0x01${'00'.repeat(bytes)}`;
    refuses('malformed_transaction', typed(2, ...fields1559({ 1: large(8) })), 'nonce');
    refuses('malformed_transaction', typed(2, ...fields1559({ 1: '0x20000000000000' })), 'nonce');
    refuses('malformed_transaction', typed(2, ...fields1559({ 4: large(8) })), 'gas');
    refuses('malformed_transaction', typed(2, ...fields1559({ 4: '0x' })), 'gas');
    refuses('malformed_transaction', typed(2, ...fields1559({ 6: large(32) })), 'value');
    refuses('malformed_transaction', typed(2, ...fields1559({ 6: large(40) })), 'value');
    refuses('malformed_transaction', typed(2, ...fields1559({ 3: large(32) })), 'price');
    refuses('malformed_transaction', typed(2, ...fields1559({ 3: large(31), 4: '0xffff' })), 'fee');
    refuses('malformed_transaction', list(...legacyFields({ 1: large(31), 2: '0xffff' })), 'fee');
    refuses('malformed_transaction', typed(2, ...fields1559({ 2: '0x03' })), 'a tip larger than the price');
    const entry = (addressed: Hex | Rlp, ...keys: Rlp): Rlp => [[addressed, keys]];
    const twenty = `0x${'11'.repeat(20)}` as const;
    for (const list8 of [
      entry('0x11', `0x${'00'.repeat(32)}`),
      entry(twenty, '0x01'),
      entry(twenty, `0x${'00'.repeat(33)}`),
      entry(twenty, [`0x${'00'.repeat(32)}`]),
      [[twenty]],
      [twenty],
      [[twenty, [], []]],
      [[[twenty], []]],
      [[twenty, [Array.from({ length: 66 }, () => '0x01')]]],
    ] as Rlp[])
      refuses('malformed_transaction', typed(2, ...fields1559({ 8: list8 })));
    const good = factsOf(typed(2, ...fields1559({ 8: entry(twenty, `0x${'00'.repeat(32)}`) })));
    assert.deepEqual(good.accessList, [
      { address: getAddress(twenty), storageKeys: [`0x${'00'.repeat(32)}`] },
    ]);
  });

  it('costs what its size costs, whatever lengths it claims and however deep it goes', () => {
    for (const text of [
      '0xfbffffffff',
      '0xffffffffffffffffff',
      '0x02fbffffffff',
      '0xf90000',
      '0x02bfffffffffffffffff',
      '0xf8ff01',
      `0x02f9ffff${'01'.repeat(20)}`,
    ] as const)
      assert.throws(() => decode(text as Hex), { name: 'PayloadError' }, text);
    // Lists in lists, as deep as the size allows.
    assert.throws(() => decode(`0x${'c1'.repeat(60_000)}c0`), { name: 'PayloadError' });
    let nested: Rlp = [];
    for (let depth = 0; depth < 900; depth += 1) nested = [nested];
    for (const field of [0, 5, 7, 8])
      assert.throws(() => decode(typed(2, ...fields1559({ [field]: nested }))), { name: 'PayloadError' });
    const huge = `0x${'00'.repeat(maxEvmTransactionBytes + 1)}` as Hex;
    assert.throws(() => decode(huge), { code: 'invalid_payload' });
    const fits = `0x${'11'.repeat(maxEvmTransactionBytes - 100)}` as Hex;
    assert.equal(factsOf(built({ data: fits })).data, fits);
  });

  it('throws nothing but PayloadError, and what it takes can be put together again', () => {
    const mutated = fc.tuple(anyTransaction, fc.nat(), fc.nat(255)).map(([any, at, byte]) => {
      const bytes = fromHex(second(any).toHex() as Hex);
      bytes[at % bytes.length] = byte;
      return toHex(bytes);
    });
    fc.assert(
      fc.property(fc.oneof(mutated, fc.uint8Array({ minLength: 1, maxLength: 120 }).map(toHex)), (hex) => {
        let message: Uint8Array;
        try {
          ({ message } = decode(hex));
        } catch (error) {
          assert.ok(error instanceof PayloadError, String(error));
          return;
        }
        const { transaction } = assemble(payloadOf(hex), key.evm, key.sign(message));
        assert.equal(Transaction.fromHex(transaction!).removeSignature().toHex(), hex);
      }),
      { numRuns: 500 },
    );
  });

  it('is signed by keys of its type, whose signature it is', () => {
    const payload = payloadOf(built());
    for (const wrong of [
      key.bitcoin,
      { keyType: 'ed25519', publicKey: new Uint8Array(32).fill(1) },
      { keyType: 'taproot_secp256k1', publicKey: key.publicKey.slice(1) },
      { keyType: 'ecdsa_secp256k1', publicKey: key.publicKey.slice(1) },
    ] as const)
      assert.throws(() => decodePayload(payload, wrong), { name: 'PayloadError', code: 'wrong_key' });
    const signature = key.sign(decode(built()).message);
    assemble(payload, key.evm, signature);
    for (const wrong of [
      signature.slice(0, 64),
      Uint8Array.of(...signature.subarray(0, 64), signature[64]! ^ 1),
      key.sign(decode(built({ nonce: 6 })).message),
      new WholeEcdsaKey(11).sign(decode(built()).message),
    ])
      assert.throws(() => assemble(payload, key.evm, wrong), { name: 'PayloadError', code: 'bad_signature' });
  });
});
