// Payload kind evm.typedData: hashed as a second library hashes it, shown whole, and nothing in it that is not signed.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { recoverAddressTyped, signTyped } from 'micro-eth-signer';
import { getAddress } from 'viem/utils';
import { toHex } from '../../protocol/hex.ts';
import { verifyRecoverable } from '../../protocol/keys/ecdsa.ts';
import type { EvmTypedDataFacts } from '../../protocol/payloads/facts.ts';
import {
  assemble,
  decodePayload,
  type Payload,
  PayloadError,
  type PayloadErrorCode,
} from '../../protocol/payloads/payload.ts';
import { parsePayloadFile } from '../../protocol/payloads/read.ts';
import { decodeCanonical, encodeCanonical } from '../../protocol/records/canonical.ts';
import { WholeEcdsaKey } from '../support/whole-ecdsa-key.ts';

/* eslint-disable typescript/no-explicit-any */
type Json = any;
const key = new WholeEcdsaKey(7);
const low = (byte: string): string => `0x${byte.repeat(20)}`;

const mail = {
  types: {
    Person: [
      { name: 'name', type: 'string' },
      { name: 'wallet', type: 'address' },
    ],
    Mail: [
      { name: 'from', type: 'Person' },
      { name: 'to', type: 'Person[]' },
      { name: 'contents', type: 'string' },
      { name: 'amount', type: 'uint256' },
      { name: 'shift', type: 'int8' },
      { name: 'tags', type: 'bytes4[2]' },
      { name: 'raw', type: 'bytes' },
      { name: 'urgent', type: 'bool' },
    ],
  },
  primaryType: 'Mail',
  domain: { name: 'Ether Mail', version: '1', chainId: '1', verifyingContract: low('cc') },
  message: {
    from: { name: 'Cow', wallet: low('cd') },
    to: [
      { name: 'Bob', wallet: low('bb') },
      { name: 'Eve', wallet: low('ee') },
    ],
    contents: 'Hello!',
    amount: '115792089237316195423570985008687907853269984665640564039457584007913129639935',
    shift: '-128',
    tags: ['0xdeadbeef', '0x00000000'],
    raw: '0x',
    urgent: true,
  },
};
const payloadOf = (typedData: unknown): Payload => ({ kind: 'evm.typedData', typedData }) as Payload;
const decode = (typedData: unknown) => decodePayload(payloadOf(typedData), key.evm);
/** The mail, changed. */
function changed(change: (copy: Json) => void, of: unknown = mail): Json {
  const copy = structuredClone(of) as Json;
  change(copy);
  return copy;
}
function refuses(typedData: unknown, what = '', code: PayloadErrorCode = 'invalid_typed_data'): void {
  assert.throws(
    () => decode(typedData),
    (error) => error instanceof PayloadError && error.code === code && error.message.length > 10,
    what,
  );
}

const permit = {
  types: {
    Permit: ['address owner', 'address spender', 'uint256 value', 'uint256 nonce', 'uint256 deadline'].map(
      (field) => {
        const [type, name] = field.split(' ');
        return { name, type };
      },
    ),
  },
  primaryType: 'Permit',
  domain: { name: 'USD Coin', version: '2', chainId: '1', verifyingContract: low('a0') },
  message: { owner: key.address.toLowerCase(), spender: low('66'), value: '5', nonce: '0', deadline: '9' },
};

/** As the second library takes it: integers as such, and the type of the domain. */
function second(data: Json): Json {
  const fields = [
    'string name',
    'string version',
    'uint256 chainId',
    'address verifyingContract',
    'bytes32 salt',
  ];
  const domainType = fields
    .map((field) => ({ type: field.split(' ')[0]!, name: field.split(' ')[1]! }))
    .filter(({ name }) => name in data.domain);
  const types: Json = { ...data.types, EIP712Domain: domainType };
  const convert = (value: Json, type: string): Json => {
    const array = /^(.*)\[[0-9]*\]$/.exec(type);
    if (array) return value.map((item: Json) => convert(item, array[1]!));
    if (types[type])
      return Object.fromEntries(
        types[type].map((field: Json) => [field.name, convert(value[field.name], field.type)]),
      );
    return /^u?int/.test(type) ? BigInt(value) : value;
  };
  return {
    types,
    primaryType: data.primaryType,
    domain: convert(data.domain, 'EIP712Domain'),
    message: convert(data.message, data.primaryType),
  };
}

function agree(data: unknown): void {
  const { message } = decode(data);
  const typed = second(data);
  const theirs = signTyped(typed, toHex(key.secret), false);
  const bytes = Uint8Array.from(Buffer.from(theirs.replace('0x', ''), 'hex'));
  assert.ok(
    verifyRecoverable(key.publicKey, message, Uint8Array.of(...bytes.subarray(0, 64), bytes[64]! - 27)),
    JSON.stringify(data),
  );
  const { evmSignature, encoding } = assemble(payloadOf(data), key.evm, key.sign(message));
  assert.equal(encoding, 'eip712');
  assert.equal(recoverAddressTyped(evmSignature!.bytes, typed), key.address);
}

const leaf: fc.Arbitrary<readonly [string, Json]> = fc.oneof(
  fc.bigInt(0n, 2n ** 256n - 1n).map((value) => ['uint256', String(value)] as const),
  fc.bigInt(0n, 255n).map((value) => ['uint8', String(value)] as const),
  fc.bigInt(-(2n ** 127n), 2n ** 127n - 1n).map((value) => ['int128', String(value)] as const),
  fc.uint8Array({ minLength: 20, maxLength: 20 }).map((value) => ['address', toHex(value)] as const),
  fc.uint8Array({ minLength: 7, maxLength: 7 }).map((value) => ['bytes7', toHex(value)] as const),
  fc.uint8Array({ maxLength: 70 }).map((value) => ['bytes', toHex(value)] as const),
  fc.boolean().map((value) => ['bool', value] as const),
  fc.string({ unit: 'binary', maxLength: 20 }).map((value) => ['string', value] as const),
);
/** A struct with one or more fields, arrays and structs among them. */
const anyTypedData = fc
  .tuple(
    fc.array(leaf, { minLength: 1, maxLength: 5 }),
    fc.array(leaf, { minLength: 1, maxLength: 3 }),
    fc.nat(3),
    fc.record(
      {
        name: fc.string(),
        version: fc.string(),
        chainId: fc.nat().map(String),
        verifyingContract: fc.constant(low('12')),
        salt: fc.constant(`0x${'ab'.repeat(32)}`),
      },
      { requiredKeys: ['name'], noNullPrototype: true },
    ),
  )
  .map(([outer, inner, count, domain]) => {
    const fieldsOf = (leaves: typeof outer, prefix: string): { name: string; type: string }[] =>
      leaves.map(([type], index) => ({ name: `${prefix}${index}`, type }));
    const valueOf = (leaves: typeof outer, prefix: string): Json =>
      Object.fromEntries(leaves.map(([, value], index) => [`${prefix}${index}`, value]));
    const innerValue = valueOf(inner, 'b');
    return {
      types: {
        Zebra: fieldsOf(inner, 'b'),
        Middle: [
          ...fieldsOf(outer, 'a'),
          { name: 'one', type: 'Zebra' },
          { name: 'many', type: 'Zebra[]' },
          { name: 'fixed', type: `${outer[0]![0]}[2][]` },
        ],
      },
      primaryType: 'Middle',
      domain,
      message: {
        ...valueOf(outer, 'a'),
        one: innerValue,
        many: Array.from({ length: count }, () => innerValue),
        fixed: Array.from({ length: count }, () => [outer[0]![1], outer[0]![1]]),
      },
    };
  });

describe('payload: evm.typedData', () => {
  it('is hashed as a second library hashes it, whatever it holds', () => {
    agree(mail);
    agree(permit);
    fc.assert(
      fc.property(anyTypedData, (data) => {
        agree(data);
        // In a record it stands as canonical bytes, and comes out of them as the same thing.
        const payload = decodeCanonical(encodeCanonical(payloadOf(data)), 1 << 20) as Payload;
        assert.deepEqual(decodePayload(payload, key.evm).message, decode(data).message);
      }),
      { numRuns: 60 },
    );
  });

  it('is told whole: domain, types, and every value under its name', () => {
    const { facts, summary } = decode(mail);
    const { signer, chain, encodedType, approvals, message } = facts as EvmTypedDataFacts;
    assert.deepEqual([signer, chain, approvals, message], [key.address, 'eip155:1', [], mail.message]);
    assert.equal(
      encodedType,
      'Mail(Person from,Person[] to,string contents,uint256 amount,int8 shift,bytes4[2] tags,bytes raw,bool urgent)' +
        'Person(string name,address wallet)',
    );
    assert.deepEqual(summary.slice(1, -1), [
      'For the domain, on chain 1 (Ethereum):',
      '  name: "Ether Mail"',
      '  version: "1"',
      '  chainId: 1',
      `  verifyingContract: ${getAddress(low('cc') as `0x${string}`)}`,
      'Mail:',
      '  from.name: "Cow"',
      `  from.wallet: ${getAddress(low('cd') as `0x${string}`)}`,
      '  to[0].name: "Bob"',
      `  to[0].wallet: ${getAddress(low('bb') as `0x${string}`)}`,
      '  to[1].name: "Eve"',
      `  to[1].wallet: ${getAddress(low('ee') as `0x${string}`)}`,
      '  contents: "Hello!"',
      `  amount: ${2n ** 256n - 1n} (the largest number: without limit)`,
      '  shift: -128',
      '  tags[0]: 0xdeadbeef',
      '  tags[1]: 0x00000000',
      '  raw: 0x',
      '  urgent: true',
    ]);
    assert.match(summary[0]!, /^Typed data \(EIP-712\) of type Mail: .*a contract may take it as an order/);
    const partial = decode(changed((data) => (data.domain = { name: 'x' }))).summary.join('\n');
    assert.match(partial, /NO chainId: it is valid for every chain/);
    assert.match(partial, /NO verifyingContract: it is valid for every contract/);
    const evil = decode(
      changed((data) => (data.message.contents = 'a"\n  amount: 5\u001b[2J\u202e')),
    ).summary;
    assert.ok(evil.includes('  contents: "a\\"\\u{a}  amount: 5\\u{1b}[2J\\u{202e}"'), evil.join('\n'));
    for (const line of evil) assert.match(line, /^[\x20-\x7e]+$/);
  });

  it('tells a permit as the leave to move tokens that it is', () => {
    const { facts, summary } = decode(permit);
    const asset = getAddress(low('a0') as `0x${string}`);
    const spender = getAddress(low('66') as `0x${string}`);
    assert.deepEqual((facts as EvmTypedDataFacts).approvals, [
      { asset, spender, amount: '5', unlimited: false },
    ]);
    assert.match(summary[1]!, /^APPROVAL: lets 0x6666.* move 5 base units/);
    const all = changed((data) => (data.message.value = String(2n ** 256n - 1n)), permit);
    assert.match(decode(all).summary[1]!, /^UNLIMITED APPROVAL: lets 0x6666/);
    // One that only looks like it is told as it is.
    const like = changed((data) => (data.types.Permit[2].type = 'uint128'), permit);
    assert.deepEqual((decode(like).facts as EvmTypedDataFacts).approvals, []);
  });

  it('holds values to their types, in one spelling', () => {
    const cases: readonly [string, Json][] = [
      ['from', 'Cow'],
      ['from', null],
      ['from', []],
      ['from', undefined],
      ['to', {}],
      ['to', 'x'],
      ['to', [{}]],
      ['to', [null]],
      ['contents', 5],
      ['contents', '\ud800'],
      ['amount', 5],
      ['amount', '05'],
      ['amount', '-1'],
      ['amount', '+1'],
      ['amount', '0x5'],
      ['amount', '1e3'],
      ['amount', ' 1'],
      ['amount', ''],
      ['amount', String(2n ** 256n)],
      ['amount', '9'.repeat(5000)],
      ['shift', '128'],
      ['shift', '-129'],
      ['shift', '-0'],
      ['tags', ['0xdeadbeef']],
      ['tags', ['0xdeadbeef', '0x00000000', '0x00000000']],
      ['tags', ['0xdeadbeef', '0x000000']],
      ['tags', ['0xdeadbeef', '0x0000000000']],
      ['tags', ['0xDEADBEEF', '0x00000000']],
      ['raw', '0x0'],
      ['raw', 'abc'],
      ['raw', 5],
      ['urgent', 'true'],
      ['urgent', 1],
      ['from.wallet', low('CD')],
      ['from.wallet', `${low('cd')}00`],
      ['from.wallet', '0x'],
    ];
    for (const [path, value] of cases) {
      const data = changed((copy) => {
        const [outer, inner] = path.split('.') as [string, string?];
        if (inner === undefined) copy.message[outer] = value;
        else copy.message[outer][inner] = value;
      });
      refuses(data, `${path}: ${JSON.stringify(value)?.slice(0, 60)}`);
    }
  });

  it('has no field that is not signed, and signs none that is not there', () => {
    refuses(
      changed((data) => (data.message.extra = '1')),
      'a field of the message',
    );
    refuses(
      changed((data) => (data.message.from.extra = '1')),
      'a field deep in it',
    );
    refuses(
      changed((data) => (data.message.to[1].extra = '1')),
      'a field in an array',
    );
    refuses(
      changed((data) => delete data.message.contents),
      'one that is missing',
    );
    refuses(
      changed((data) => delete data.message.from.name),
      'one that is missing deep in it',
    );
    refuses(
      changed((data) => (data.domain.extra = '1')),
      'a field of the domain',
    );
    refuses(
      changed((data) => (data.domain.chainid = '1')),
      'another spelling',
    );
    refuses(
      changed((data) => (data.types.Unused = [{ name: 'a', type: 'bool' }])),
      'a type that nothing uses',
    );
    const own = changed(() => undefined);
    own.message = JSON.parse(
      JSON.stringify(own.message).replace('{', '{"__proto__":{"polluted":"1"},'),
    ) as Json;
    refuses(own, '__proto__ in the message');
    const types = changed(() => undefined);
    types.types = JSON.parse(
      JSON.stringify(types.types).replace('{', '{"__proto__":[{"name":"a","type":"bool"}],'),
    ) as Json;
    refuses(types, '__proto__ among the types');
    for (const name of ['extra', 'chain'])
      refuses(
        changed((data) => (data[name] = 'x')),
        'a field beside the four',
        'invalid_payload',
      );
    const outer = JSON.parse(JSON.stringify(mail).replace('{', '{"__proto__":{},')) as Json;
    refuses(outer, '__proto__ beside the four', 'invalid_payload');
  });

  it('has a domain that is what it shows', () => {
    refuses(
      changed((data) => (data.domain = {})),
      'none',
    );
    const claimed = changed((data) => (data.types.EIP712Domain = [{ name: 'name', type: 'string' }]));
    refuses(claimed, 'a type of the domain of its own');
    // Used by the message, it would be one type in the domain and another there.
    claimed.types.Mail[2].type = 'EIP712Domain';
    claimed.message.contents = { name: 'x' };
    refuses(claimed, 'a type of the domain that the message uses');
    for (const [field, value] of [
      ['chainId', 1],
      ['chainId', '-1'],
      ['chainId', '0x1'],
      ['verifyingContract', 'ether.eth'],
      ['salt', '0x00'],
      ['name', 5],
    ] as const)
      refuses(
        changed((data) => (data.domain[field] = value)),
        `${field}: ${value}`,
      );
    // A chain id that no number holds is told, but names no chain.
    for (const chainId of ['0', String(2n ** 53n), String(2n ** 256n - 1n)])
      assert.equal(
        (decode(changed((data) => (data.domain.chainId = chainId))).facts as EvmTypedDataFacts).chain,
        undefined,
      );
    const digest = (change: (copy: Json) => void): string => toHex(decode(changed(change)).message);
    const digests = [
      digest(() => undefined),
      digest((data) => (data.domain.chainId = '2')),
      digest((data) => (data.domain.name = 'Other')),
      digest((data) => delete data.domain.version),
      digest((data) => (data.domain.verifyingContract = low('cd'))),
      digest((data) => (data.domain.salt = `0x${'00'.repeat(32)}`)),
    ];
    assert.equal(new Set(digests).size, digests.length);
  });

  it('has types that exist, once each, and none in itself', () => {
    for (const primaryType of ['Other', 'EIP712Domain', 'string', 'uint256', 'Mail[]'])
      assert.throws(() => decode(changed((data) => (data.primaryType = primaryType))), PayloadError);
    for (const primaryType of ['constructor', '__proto__', 'toString', '', 5, 'Ma il', 'М'])
      refuses(
        changed((data) => (data.primaryType = primaryType)),
        String(primaryType),
        'invalid_payload',
      );
    for (const type of [
      'uint',
      'int',
      'uint7',
      'uint264',
      'uint08',
      'bytes0',
      'bytes33',
      'byte',
      'fixed128x18',
      'Nobody',
      'string[0]',
      'string[01]',
      'string[',
      'string[]]',
      '[]',
      '',
      'function',
      'constructor',
      'address payable',
      'Person []',
    ])
      refuses(
        changed((data) => {
          data.types.Mail[2].type = type;
          data.message.contents = '5';
        }),
        type,
      );
    refuses(
      changed((data) => data.types.Mail.push({ name: 'contents', type: 'string' })),
      'a field twice',
    );
    refuses(
      changed((data) => data.types.Person.push({ name: 'mail', type: 'Mail' })),
      'a type in itself',
    );
    refuses(
      changed((data) => data.types.Person.push({ name: 'friends', type: 'Person[]' })),
      'through an array',
    );
    refuses(
      changed((data) => (data.types.Person = [])),
      'no fields',
    );
    refuses(
      changed((data) => (data.types.Person = {})),
      'no list',
    );
    refuses(
      changed((data) => (data.types.Person[0].extra = 1)),
      'more than a name and a type',
    );
    for (const name of ['', 'a b', 'a,b', 'a)', '__proto__', 'constructor', '1a', 'nаme', 'x'.repeat(65)])
      refuses(
        changed((data) => (data.types.Person[0].name = name)),
        name,
      );
    for (const name of ['uint8', 'bytes7', 'bytes99', 'int', 'address', 'bool', 'string'])
      refuses(
        changed((data) => (data.types[name] = [{ name: 'a', type: 'bool' }])),
        name,
      );
    const nested = changed((data) => {
      data.types = { A: [{ name: 'a', type: `bool${'[]'.repeat(12)}` }] };
      data.primaryType = 'A';
      data.message = { a: JSON.parse(`${'['.repeat(12)}${']'.repeat(12)}`) as Json };
    });
    refuses(nested, 'arrays in arrays');
  });

  it('has a size that keeps its hashing short', () => {
    refuses(
      changed((data) => (data.message.contents = 'x'.repeat(40_000))),
      'too long',
      'too_large',
    );
    const wide = Array.from({ length: 100 }, (_, index) => ({
      name: `f${index}${'x'.repeat(50)}`,
      type: 'uint256',
    }));
    refuses(
      changed((data) => (data.types = { ...data.types, Mail: wide, Person: wide })),
      'types',
      'too_large',
    );
  });

  it('is read from what wallets write, where that means one thing', () => {
    const wallet = changed((data) => {
      data.types.EIP712Domain = [
        'string name',
        'string version',
        'uint256 chainId',
        'address verifyingContract',
      ].map((field) => ({ name: field.split(' ')[1], type: field.split(' ')[0] }));
      data.domain.chainId = 1;
      data.domain.verifyingContract = getAddress(data.domain.verifyingContract);
      data.message.from.wallet = getAddress(data.message.from.wallet);
      data.message.amount = `0x${'f'.repeat(64)}`;
      data.message.shift = -128;
      data.message.tags[0] = '0xDEADBEEF';
    });
    const read = (value: unknown): Payload =>
      parsePayloadFile(new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value)));
    assert.deepEqual(read(wallet), payloadOf(mail));
    assert.deepEqual(read(changed((data) => delete data.types.EIP712Domain, wallet)), payloadOf(mail));
    assert.deepEqual(read(payloadOf(mail)), payloadOf(mail));
    const fails = (value: unknown, code: PayloadErrorCode, words: RegExp): void => {
      assert.throws(
        () => read(value),
        (error) => {
          assert.ok(error instanceof PayloadError, String(error));
          assert.equal(error.code, code);
          assert.match(error.message, words);
          return true;
        },
      );
    };
    const lies = changed((data) => data.types.EIP712Domain.pop(), wallet);
    fails(lies, 'invalid_typed_data', /EIP712Domain is not that of the domain given/);
    const order = changed((data) => data.types.EIP712Domain.reverse(), wallet);
    fails(order, 'invalid_typed_data', /in this order/);
    const checksum = changed(
      (data) => (data.message.from.wallet = data.message.from.wallet.replace('d', 'D')),
      wallet,
    );
    fails(checksum, 'invalid_typed_data', /wrong checksum/);
    const rounded = JSON.stringify(wallet).replace('"shift":-128', '"shift":9007199254740993');
    fails(rounded, 'invalid_typed_data', /JSON does not hold exactly/);
    for (const number of ['1.5', '1e21', '0.1'])
      fails(
        JSON.stringify(wallet).replace('"shift":-128', `"shift":${number}`),
        'invalid_typed_data',
        /exactly/,
      );
    fails(
      changed((data) => (data.extra = 1), wallet),
      'invalid_typed_data',
      /no other/,
    );
    const twice = JSON.stringify(mail).replace('"contents":', '"contents":"Pay Bob","contents":');
    fails(twice, 'unreadable', /twice/);
    const spelled = JSON.stringify(mail).replace('"contents":', '"c\\u006fntents":"Pay Bob","contents":');
    fails(spelled, 'unreadable', /twice/);
    fails(
      JSON.stringify(payloadOf(mail)).replace('"Hello!"', '"Hello!","amount":"1"'),
      'unreadable',
      /twice/,
    );
    // The same name in two objects, or in a string, is not one twice.
    const plain = changed((data) => (data.message.contents = '{"a":1,"a":2}'));
    assert.deepEqual(read(plain), payloadOf(plain));
    for (const garbage of [
      '{"types":1,"primaryType":2}',
      '{"types":{},"primaryType":"A","domain":{},"message":{}}',
      '{"types":null,"primaryType":"A","domain":null,"message":null}',
      '{"types":{"A":5},"primaryType":"A","domain":{"name":"x"},"message":{"a":{}}}',
      '{"types":{"A":[{"name":"a","type":"A"}]},"primaryType":"A","domain":{"name":"x"},"message":{"a":{}}}',
    ])
      assert.throws(() => read(garbage), PayloadError);
  });

  it('throws nothing but PayloadError for any JSON', () => {
    const json = fc.jsonValue() as fc.Arbitrary<Json>;
    const anyOf = (part: string): fc.Arbitrary<Json> =>
      json.map((value) => changed((data) => (data[part] = value)));
    fc.assert(
      fc.property(fc.oneof(...['types', 'primaryType', 'domain', 'message'].map(anyOf)), (data) => {
        for (const run of [
          () => decode(data),
          () => parsePayloadFile(new TextEncoder().encode(JSON.stringify(data))),
        ])
          assert.throws(run, PayloadError);
      }),
      { numRuns: 200 },
    );
  });
});
