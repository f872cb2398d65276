// Solana transactions: the decoder against a second, deliberately naive reading of the format, and against everything
// somebody hostile could send instead.
import assert from 'node:assert/strict';
import { base58 } from '@scure/base';
import fc from 'fast-check';
import { fromHex, toHex } from '../../protocol/hex.ts';
import { publicKeyOf, sign } from '../../protocol/keys/ed25519.ts';
import type { SolanaTransactionFacts } from '../../protocol/payloads/facts.ts';
import {
  type PayloadErrorCode,
  PayloadError,
  type PayloadKey,
  assemble,
  decodePayload,
} from '../../protocol/payloads/payload.ts';
import { transferMessage } from '../../protocol/payloads/solana-transfer.ts';
import { type Naive, encode, parse } from '../reference/solana-message.ts';

const systemProgram = '11111111111111111111111111111111';

const seed = new Uint8Array(32).fill(7);
const key: PayloadKey = { keyType: 'ed25519', publicKey: publicKeyOf(seed) };
const own = base58.encode(key.publicKey);
const addressOf = (fill: number) => base58.encode(new Uint8Array(32).fill(fill));
const recipient = addressOf(9);
const unknownProgram = addressOf(11);
const blockhash = addressOf(33);
const transfer = transferMessage({
  from: own,
  to: recipient,
  lamports: 1_500_000_000n,
  recentBlockhash: blockhash,
});

const payloadOf = (message: Uint8Array) => ({ kind: 'solana.transaction' as const, message: toHex(message) });
const decode = (message: Uint8Array) => decodePayload(payloadOf(message), key);

function factsOf(message: Uint8Array): SolanaTransactionFacts {
  const { facts } = decode(message);
  assert.equal(facts.kind, 'solana.transaction');
  return facts as SolanaTransactionFacts;
}

function throwsCode(code: PayloadErrorCode, action: () => unknown): void {
  assert.throws(
    action,
    (error) => error instanceof PayloadError && error.code === code && error.message.length > 10,
  );
}

/** The message that facts speak of: nothing of it may be missing from them. */
function messageOfFacts(facts: SolanaTransactionFacts): Naive {
  const index = new Map(facts.accounts.map(({ address }, position) => [address, position]));
  const signers = facts.accounts.filter(({ signer }) => signer);
  return {
    version: facts.version,
    header: [
      signers.length,
      signers.filter(({ writable }) => !writable).length,
      facts.accounts.filter(({ signer, writable }) => !signer && !writable).length,
    ],
    accounts: facts.accounts.map(({ address }) => address),
    blockhash: facts.lifetime.kind === 'blockhash' ? facts.lifetime.blockhash : facts.lifetime.nonce,
    instructions: facts.instructions.map(({ program, accounts, data }) => ({
      program: index.get(program)!,
      accounts: accounts.map((address) => index.get(address)!),
      data: [...fromHex(data)],
    })),
  };
}

/** A version 0 or legacy message of two signers, a recipient, a program nobody knows, and what `change` makes of it. */
function twoSigners(change: Partial<Naive> = {}): Naive {
  return {
    version: 'legacy',
    header: [2, 1, 2],
    accounts: [addressOf(5), own, recipient, systemProgram, unknownProgram],
    blockhash,
    instructions: [{ program: 4, accounts: [1, 2], data: [1, 2, 3] }],
    ...change,
  };
}

const littleEndian = (value: bigint, bytes: number) =>
  Array.from({ length: bytes }, (_, index) => Number((value >> BigInt(8 * index)) & 0xffn));

describe('solana.transaction payload', () => {
  it('decodes a transfer', () => {
    const { kind, message, facts, summary } = decode(transfer);
    assert.equal(kind, 'solana.transaction');
    assert.deepEqual(message, transfer);
    assert.equal(transfer.length, 150);
    assert.deepEqual(facts, {
      kind: 'solana.transaction',
      chain: 'solana',
      version: 'legacy',
      feePayer: own,
      requiredSigners: [own],
      lifetime: { kind: 'blockhash', blockhash },
      accounts: [
        { address: own, signer: true, writable: true },
        { address: recipient, signer: false, writable: true },
        { address: systemProgram, signer: false, writable: false },
      ],
      programs: [systemProgram],
      instructions: [
        {
          program: systemProgram,
          accounts: [own, recipient],
          data: '0x02000000002f685900000000',
          name: 'system.transfer',
          from: own,
          to: recipient,
          lamports: '1500000000',
        },
      ],
      transfers: [{ asset: 'SOL', from: own, to: recipient, amount: '1500000000' }],
      maximumFee: '5000',
      accountRent: '0',
      understood: true,
    });
    assert.deepEqual(JSON.parse(JSON.stringify(facts)), facts);
    assert.deepEqual(summary, [
      'Solana transaction, legacy',
      `1. transfer 1.5 SOL (1500000000 lamports) from ${own} (this key) to ${recipient}`,
      `Fee payer: ${own} (this key), at most 0.000005 SOL (5000 lamports)`,
      `Recent blockhash: ${blockhash}, good for about a minute after its block`,
    ]);
  });

  it('agrees with the naive parser on generated messages, and its facts say all that is in the bytes', () => {
    const messages = fc
      .record({
        version: fc.constantFrom<Naive['version'][]>('legacy', 0),
        others: fc.uniqueArray(fc.integer({ min: 40, max: 250 }), { maxLength: 8 }),
        position: fc.nat(),
        signers: fc.nat(),
        readonlySigners: fc.nat(),
        readonlyOthers: fc.nat(),
        instructions: fc.array(
          fc.record({
            program: fc.nat(),
            accounts: fc.array(fc.nat(), { maxLength: 6 }),
            data: fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 40 }),
          }),
          { maxLength: 5 },
        ),
      })
      .map((raw): Naive => {
        const accounts = [...raw.others.map(addressOf), systemProgram];
        const signers = 1 + (raw.signers % Math.min(accounts.length, 3));
        accounts.splice(raw.position % signers, 0, own);
        return {
          version: raw.version,
          header: [
            signers,
            raw.readonlySigners % signers,
            raw.readonlyOthers % (accounts.length - signers + 1),
          ],
          accounts,
          blockhash,
          instructions: raw.instructions.map((entry) => ({
            program: 1 + (entry.program % (accounts.length - 1)),
            accounts: entry.accounts.map((index) => index % accounts.length),
            data: entry.data,
          })),
        };
      });
    fc.assert(
      fc.property(messages, (message) => {
        const bytes = encode(message);
        const facts = factsOf(bytes);
        const naive = parse(bytes);
        const { lookups, ...rest } = naive;
        assert.deepEqual(lookups ?? [], []);
        assert.deepEqual(messageOfFacts(facts), rest);
        assert.deepEqual(encode(messageOfFacts(facts)), bytes);
        assert.equal(facts.feePayer, naive.accounts[0]);
        assert.deepEqual(facts.requiredSigners, naive.accounts.slice(0, naive.header[0]));
      }),
      { numRuns: 300 },
    );
  });

  it('throws PayloadError or tells the truth, whichever byte of a transfer is changed', () => {
    const versioned = encode({ ...parse(transfer), version: 0 });
    const outcomes = { refused: 0, decoded: 0 };
    for (const original of [transfer, versioned]) {
      for (let index = 0; index < original.length; index += 1) {
        for (const value of [0, 1, 2, 0x7f, 0x80, 0xff, original[index]! ^ 1, original[index]! ^ 0x80]) {
          const changed = original.slice();
          changed[index] = value;
          try {
            const { facts, message } = decode(changed);
            assert.deepEqual(message, changed);
            const spoken =
              facts.kind === 'solana.transaction'
                ? encode(messageOfFacts(facts))
                : fromHex((facts as never)['message']);
            assert.deepEqual(spoken, changed, `byte ${index} as ${value}`);
            outcomes.decoded += 1;
          } catch (error) {
            assert.ok(error instanceof PayloadError, `byte ${index} as ${value}: ${String(error)}`);
            outcomes.refused += 1;
          }
        }
      }
    }
    assert.ok(outcomes.refused > 500 && outcomes.decoded > 500, JSON.stringify(outcomes));
  });

  it('refuses every truncation, and trailing bytes', () => {
    for (const original of [transfer, encode({ ...parse(transfer), version: 0 })]) {
      for (let length = 1; length < original.length; length += 1) {
        assert.throws(() => decode(original.subarray(0, length)), PayloadError, `${length} bytes`);
      }
      throwsCode('not_canonical', () => decode(Uint8Array.from([...original, 0])));
    }
  });

  it('refuses lengths spelled too long', () => {
    const bytes = [...transfer];
    assert.equal(bytes[3], 3);
    throwsCode('not_canonical', () =>
      decode(Uint8Array.from([...bytes.slice(0, 3), 0x83, 0, ...bytes.slice(4)])),
    );
  });

  it('refuses random bytes without another exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
        assert.throws(() => decode(bytes), PayloadError);
      }),
      { numRuns: 500 },
    );
  });

  it('refuses versions it does not know', () => {
    for (const first of [0x81, 0x82, 0xff]) {
      throwsCode('unsupported_version', () => decode(Uint8Array.from([first, ...transfer])));
    }
  });

  it('refuses what the network would refuse', () => {
    const wrong: Record<string, Partial<Naive>> = {
      'no signer': { header: [0, 0, 1] },
      'read-only fee payer': { header: [2, 2, 1] },
      'more counted than there': { header: [2, 1, 4] },
      'account twice': { accounts: [addressOf(5), own, recipient, own, unknownProgram] },
      'fee payer as program': { instructions: [{ program: 0, accounts: [], data: [] }] },
      'program outside': { instructions: [{ program: 5, accounts: [], data: [] }] },
      'account outside': { instructions: [{ program: 4, accounts: [5], data: [] }] },
      'empty lookup': { version: 0, lookups: [{ table: addressOf(99), writable: [], readonly: [] }] },
      'looked-up program': {
        version: 0,
        lookups: [{ table: addressOf(99), writable: [0], readonly: [] }],
        instructions: [{ program: 5, accounts: [], data: [] }],
      },
      'more accounts than an index reaches': {
        version: 0,
        lookups: [
          { table: addressOf(99), writable: Array.from({ length: 252 }, (_, index) => index), readonly: [] },
        ],
      },
    };
    decode(encode(twoSigners()));
    for (const [name, change] of Object.entries(wrong)) {
      assert.throws(() => decode(encode(twoSigners(change))), { code: 'malformed_transaction' }, name);
    }
  });

  it('refuses a transaction that would not fit a packet with its signatures', () => {
    const sized = (length: number) =>
      encode(
        twoSigners({ instructions: [{ program: 4, accounts: [], data: Array.from({ length }, () => 1) }] }),
      );
    const overhead = 1 + 2 * 64 + sized(200).length - 200;
    assert.equal(decode(sized(1232 - overhead)).message.length, 1232 - 1 - 2 * 64);
    throwsCode('too_large', () => decode(sized(1233 - overhead)));
    throwsCode('invalid_payload', () => decode(new Uint8Array(1233)));
  });

  it('refuses a transaction the key does not sign', () => {
    const others = transferMessage({ from: recipient, to: own, lamports: 1n, recentBlockhash: blockhash });
    throwsCode('not_a_signer', () => decode(others));
    throwsCode('wrong_key', () =>
      decodePayload(payloadOf(transfer), { ...key, publicKey: key.publicKey.subarray(1) }),
    );
    throwsCode('wrong_key', () =>
      decodePayload(payloadOf(transfer), { ...key, keyType: 'unknown' as 'ed25519' }),
    );
  });

  it('calls a transaction with lookup tables a digest', () => {
    const table = addressOf(99);
    const message = encode(twoSigners({ version: 0, lookups: [{ table, writable: [3], readonly: [4] }] }));
    const { kind, facts, summary, message: signed } = decode(message);
    assert.equal(kind, 'digest');
    assert.deepEqual(signed, message);
    assert.deepEqual(facts, {
      kind: 'digest',
      chain: 'solana',
      reason: 'address_lookup_tables',
      message: toHex(message),
      feePayer: addressOf(5),
      requiredSigners: [addressOf(5), own],
      lifetime: { kind: 'blockhash', blockhash },
      programs: [unknownProgram],
      lookupTables: [table],
    });
    assert.ok(summary.some((line) => line.includes('recipients are not in the signed bytes')));
  });

  it('lists instructions it does not know, and says that it does not understand them', () => {
    const variants: Record<string, Naive['instructions'][number]> = {
      'another program': { program: 4, accounts: [1, 2], data: [2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0] },
      'System Program, another instruction': {
        program: 3,
        accounts: [1, 2],
        data: [3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
      },
      'transfer with data after it': {
        program: 3,
        accounts: [1, 2],
        data: [2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
      },
      'transfer without a recipient': {
        program: 3,
        accounts: [1],
        data: [2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
      },
      'no data': { program: 3, accounts: [], data: [] },
    };
    for (const [name, instruction] of Object.entries(variants)) {
      const message = encode(twoSigners({ instructions: [instruction] }));
      const facts = factsOf(message);
      assert.equal(facts.understood, false, name);
      assert.deepEqual(facts.transfers, [], name);
      assert.deepEqual(facts.instructions, [
        {
          program: instruction.program === 3 ? systemProgram : unknownProgram,
          accounts: instruction.accounts.map((index) => [addressOf(5), own, recipient][index]),
          data: toHex(Uint8Array.from(instruction.data)),
        },
      ]);
      assert.ok(decode(message).summary.some((line) => line.includes('NOT UNDERSTOOD')));
    }
  });

  it('lists every transfer, also from other signers, and marker accounts do not hide one', () => {
    const data = (lamports: bigint) => [2, 0, 0, 0, ...littleEndian(lamports, 8)];
    const facts = factsOf(
      encode(
        twoSigners({
          instructions: [
            { program: 3, accounts: [1, 2], data: data(7n) },
            { program: 3, accounts: [0, 1, 4], data: data(2n ** 64n - 1n) },
          ],
        }),
      ),
    );
    assert.equal(facts.understood, true);
    assert.deepEqual(facts.transfers, [
      { asset: 'SOL', from: own, to: recipient, amount: '7' },
      { asset: 'SOL', from: addressOf(5), to: own, amount: '18446744073709551615' },
    ]);
  });
});

describe('assembling a solana.transaction', () => {
  it('puts the signature before the message', () => {
    const signature = sign(seed, transfer);
    assert.deepEqual(assemble(payloadOf(transfer), key, signature), {
      encoding: 'solana.transaction',
      transaction: toHex(Uint8Array.from([1, ...signature, ...transfer])),
      missing: [],
    });
  });

  it('leaves zeroes for other signers and names them', () => {
    const message = encode(twoSigners());
    const signature = sign(seed, message);
    assert.deepEqual(assemble(payloadOf(message), key, signature), {
      encoding: 'solana.transaction',
      transaction: toHex(Uint8Array.from([2, ...new Uint8Array(64), ...signature, ...message])),
      missing: [addressOf(5)],
    });
  });

  it('takes no signature but the right one', () => {
    for (const wrong of [new Uint8Array(64), new Uint8Array(63), sign(seed, transfer.subarray(1))]) {
      throwsCode('bad_signature', () => assemble(payloadOf(transfer), key, wrong));
    }
  });
});
