// Nonces, tokens and memos of Solana transactions: the decoder against a naive reading, against the builders of the programs'
// own library, and against what somebody hostile would send in their place.
import assert from 'node:assert/strict';
import {
  type Address,
  address,
  appendTransactionMessageInstructions,
  type Blockhash,
  compileTransactionMessage,
  createNoopSigner,
  createTransactionMessage,
  getCompiledTransactionMessageEncoder,
  getProgramDerivedAddress,
  type Instruction,
  isOffCurveAddress,
  type Nonce,
  pipe,
  setTransactionMessageFeePayer,
  setTransactionMessageLifetimeUsingBlockhash,
  setTransactionMessageLifetimeUsingDurableNonce,
} from '@solana/kit';
import { getAdvanceNonceAccountInstruction, getTransferSolInstruction } from '@solana-program/system';
import {
  findAssociatedTokenPda,
  getApproveCheckedInstruction,
  getApproveInstruction,
  getCloseAccountInstruction,
  getCreateAssociatedTokenIdempotentInstruction,
  getCreateAssociatedTokenInstruction,
  getSetAuthorityInstruction,
  getTransferCheckedInstruction,
  getTransferInstruction,
  AuthorityType,
} from '@solana-program/token';
import { base58 } from '@scure/base';
import fc from 'fast-check';
import { fromHex, toHex } from '../../protocol/hex.ts';
import { publicKeyOf } from '../../protocol/keys/ed25519.ts';
import type { SolanaInstruction, SolanaTransactionFacts } from '../../protocol/payloads/facts.ts';
import { decodePayload, PayloadError, type PayloadKey } from '../../protocol/payloads/payload.ts';
import { associatedTokenAccount, isOnCurve } from '../../protocol/payloads/solana-address.ts';
import { buildMessage } from '../../protocol/payloads/solana-build.ts';
import { tokenTransferMessage, transferMessage } from '../../protocol/payloads/solana-transfer.ts';
import {
  associated,
  computeBudget,
  type Effect,
  memo,
  onCurve,
  read,
  recentBlockhashes,
  system,
  token,
  token2022,
  tokenAccountOf,
} from '../reference/solana-effects.ts';
import { encode, type Naive, parse } from '../reference/solana-message.ts';

const key: PayloadKey = { keyType: 'ed25519', publicKey: publicKeyOf(new Uint8Array(32).fill(7)) };
const own = base58.encode(key.publicKey);
const walletOf = (fill: number) => base58.encode(publicKeyOf(new Uint8Array(32).fill(fill)));
const addressOf = (fill: number) => base58.encode(new Uint8Array(32).fill(fill));
const recipient = walletOf(8);
const other = walletOf(9);
const mint = addressOf(21);
const mint2 = addressOf(22);
const nonceAccount = addressOf(23);
const hash = addressOf(33);
const source = associatedTokenAccount(own, mint);
const destination = associatedTokenAccount(recipient, mint);
const unknownProgram = addressOf(90);

const decode = (message: Uint8Array) =>
  decodePayload({ kind: 'solana.transaction', message: toHex(message) }, key);
function factsOf(message: Uint8Array): SolanaTransactionFacts {
  const { facts } = decode(message);
  assert.equal(facts.kind, 'solana.transaction');
  return facts as SolanaTransactionFacts;
}
const littleEndian = (value: bigint, bytes: number) =>
  Array.from({ length: bytes }, (_, index) => Number((value >> BigInt(8 * index)) & 0xffn));

/** The message that facts speak of: nothing of it may be missing from them. */
function messageOfFacts(facts: SolanaTransactionFacts): Naive {
  const index = new Map(facts.accounts.map(({ address: name }, position) => [name, position]));
  const count = (wanted: boolean, written?: boolean) =>
    facts.accounts.filter(
      ({ signer, writable }) => signer === wanted && (written === undefined || writable === written),
    ).length;
  const { lifetime } = facts;
  return {
    version: facts.version,
    header: [count(true), count(true, false), count(false, false)],
    accounts: facts.accounts.map(({ address: name }) => name),
    blockhash: lifetime.kind === 'blockhash' ? lifetime.blockhash : lifetime.nonce,
    instructions: facts.instructions.map(({ program, accounts, data }) => ({
      program: index.get(program)!,
      accounts: accounts.map((name) => index.get(name)!),
      data: [...fromHex(data)],
    })),
  };
}

function effectOf(entry: SolanaInstruction): Effect {
  switch (entry.name) {
    case undefined:
      return undefined;
    case 'system.transfer':
      return { does: 'pay', from: entry.from, to: entry.to, amount: entry.lamports };
    case 'system.advanceNonce':
      return { does: 'advance', account: entry.nonceAccount, authority: entry.authority };
    case 'token.transferChecked': {
      const { mint: of, from, to, amount, decimals, authority } = entry;
      return { does: 'move', mint: of, from, to, amount, decimals, authority };
    }
    case 'associatedToken.create':
    case 'associatedToken.createIdempotent': {
      const { wallet, account, mint: of, payer } = entry;
      return { does: 'make', wallet, account, mint: of, payer };
    }
    case 'memo':
      return { does: 'say', text: entry.text };
    case 'computeBudget.requestHeapFrame':
    case 'computeBudget.setComputeUnitLimit':
    case 'computeBudget.setComputeUnitPrice':
    case 'computeBudget.setLoadedAccountsDataSizeLimit':
      return { does: 'budget' };
  }
}

/** Holds facts to the naive reading of the bytes that they are of, and to the bytes. */
function agree(bytes: Uint8Array, facts: SolanaTransactionFacts): void {
  const { lookups: _lookups, ...naive } = parse(bytes);
  const { effects, durable, owners, rent } = read(naive);
  assert.deepEqual(messageOfFacts(facts), naive);
  assert.deepEqual(encode(messageOfFacts(facts)), bytes);
  assert.deepEqual(facts.instructions.map(effectOf), effects);
  assert.equal(facts.understood, !effects.includes(undefined));
  assert.equal(facts.accountRent, rent);
  assert.deepEqual(
    facts.lifetime,
    durable === undefined
      ? { kind: 'blockhash', blockhash: naive.blockhash }
      : {
          kind: 'durableNonce',
          nonceAccount: durable.account,
          authority: durable.authority,
          nonce: naive.blockhash,
        },
  );
  let moves = 0;
  const transfers = effects.flatMap((effect) => {
    if (effect?.does === 'pay')
      return [{ asset: 'SOL', from: effect.from, to: effect.to, amount: effect.amount }];
    if (effect?.does !== 'move') return [];
    const { mint: asset, from, to, amount, decimals, authority } = effect;
    const toOwner = owners[moves++];
    const more = toOwner === undefined ? {} : { toOwner };
    return [{ asset, from, to, amount, authority, decimals, tokenProgram: token, ...more }];
  });
  assert.deepEqual(facts.transfers, transfers);
}

interface Part {
  program: string;
  accounts: string[];
  data: number[];
}
const good: Record<string, Part> = {
  advance: { program: system, accounts: [nonceAccount, recentBlockhashes, own], data: [4, 0, 0, 0] },
  pay: { program: system, accounts: [own, recipient], data: [2, 0, 0, 0, ...littleEndian(7n, 8)] },
  move: {
    program: token,
    accounts: [source, mint, destination, own],
    data: [12, ...littleEndian(1_500_000n, 8), 6],
  },
  moveBack: {
    program: token,
    accounts: [destination, mint, source, other],
    data: [12, ...littleEndian(2n ** 64n - 1n, 8), 0],
  },
  make: {
    program: associated,
    accounts: [own, destination, recipient, mint, system, token],
    data: [1],
  },
  makeNew: {
    program: associated,
    accounts: [own, associatedTokenAccount(other, mint2), other, mint2, system, token],
    data: [],
  },
  say: { program: memo, accounts: [], data: [...new TextEncoder().encode('invoice 7 ✓')] },
  budget: { program: computeBudget, accounts: [], data: [3, ...littleEndian(5n, 8)] },
  unknown: { program: unknownProgram, accounts: [own], data: [1, 2, 3] },
};
const names = [...new Set(Object.values(good).flatMap(({ program, accounts }) => [program, ...accounts]))];
/** Accounts as the chain wants them: the key, another signer, what is written, then the rest. */
const writable = [nonceAccount, recipient, source, destination, associatedTokenAccount(other, mint2)];
const pool = [
  own,
  other,
  ...writable,
  ...names.filter((name) => ![own, other, ...writable].includes(name)),
  token2022,
  tokenAccountOf(recipient, mint, token2022),
];

function messageOf(parts: readonly Part[], change: Partial<Naive> = {}): Uint8Array {
  return encode({
    version: 'legacy',
    header: [2, 1, pool.length - 2 - writable.length],
    accounts: pool,
    blockhash: hash,
    instructions: parts.map(({ program, accounts, data }) => ({
      program: pool.indexOf(program),
      accounts: accounts.map((name) => pool.indexOf(name)),
      data,
    })),
    ...change,
  });
}

describe('Solana nonces, tokens and memos', () => {
  it('are told with all that they do', () => {
    const { facts, summary } = decode(messageOf([good.advance!, good.make!, good.move!, good.say!]));
    assert.equal(facts.kind, 'solana.transaction');
    const { instructions, transfers, lifetime, understood, accountRent, maximumFee } =
      facts as SolanaTransactionFacts;
    assert.deepEqual(
      instructions.map(({ program: _program, accounts: _accounts, data: _data, ...rest }) => rest),
      [
        { name: 'system.advanceNonce', nonceAccount, authority: own },
        {
          name: 'associatedToken.createIdempotent',
          payer: own,
          account: destination,
          wallet: recipient,
          mint,
        },
        {
          name: 'token.transferChecked',
          mint,
          from: source,
          to: destination,
          authority: own,
          amount: '1500000',
          decimals: 6,
        },
        { name: 'memo', text: 'invoice 7 ✓' },
      ],
    );
    assert.deepEqual(lifetime, { kind: 'durableNonce', nonceAccount, authority: own, nonce: hash });
    assert.equal(understood, true);
    assert.equal(accountRent, '2039280');
    assert.equal(maximumFee, '2049280');
    assert.deepEqual(transfers, [
      {
        asset: mint,
        from: source,
        to: destination,
        amount: '1500000',
        authority: own,
        decimals: 6,
        tokenProgram: token,
        toOwner: recipient,
      },
    ]);
    assert.deepEqual(JSON.parse(JSON.stringify(facts)), facts);
    assert.deepEqual(summary, [
      'Solana transaction, legacy',
      `1. advance the nonce of account ${nonceAccount}, by authority of ${own} (this key)`,
      `2. make token account ${destination} of wallet ${recipient} for mint ${mint}, unless it is there, paid for by ${own} (this key)`,
      `3. transfer 1.5 tokens (1500000 base units) of mint ${mint} from token account ${source} to token account ${destination}, of wallet ${recipient}, by authority of ${own} (this key)`,
      '4. memo "invoice 7 ✓"',
      `Fee payer: ${own} (this key), at most 0.00204928 SOL (2049280 lamports)`,
      'Of these, rent of new token accounts: at most 0.00203928 SOL (2039280 lamports)',
      `Also needs the signature of ${other}`,
      `Durable nonce: ${hash} of account ${nonceAccount}, good until that is advanced`,
      `Nonce authority: ${own} (this key)`,
    ]);
  });

  it('are read as the naive reading reads them, in every mixture and however they are altered', () => {
    const part = fc
      .record({
        of: fc.constantFrom(...Object.values(good), good.make!),
        alter: fc.constantFrom(
          '',
          '',
          '',
          'data',
          'tag',
          'more data',
          'less data',
          'account',
          'more',
          'less',
          'program',
        ),
        at: fc.nat(),
        by: fc.nat(),
      })
      .map(({ of, alter, at, by }): Part => {
        const { program, accounts, data } = structuredClone(of);
        const name = pool[by % pool.length]!;
        if (alter === 'data' && data.length > 0) data[at % data.length]! ^= 1 + (by % 255);
        if (alter === 'tag' && data.length > 0) data[0] = by % 20;
        if (alter === 'more data') data.push(by % 256);
        if (alter === 'less data') data.pop();
        if (alter === 'account' && accounts.length > 0) accounts[at % accounts.length] = name;
        if (alter === 'more') accounts.splice(at % (accounts.length + 1), 0, name);
        if (alter === 'less') accounts.splice(at % Math.max(accounts.length, 1), 1);
        const ours = [system, token, token2022, associated, memo, computeBudget];
        return { program: alter === 'program' ? ours[by % ours.length]! : program, accounts, data };
      });
    const seen = { understood: 0, not: 0, durable: 0, owned: 0 };
    fc.assert(
      fc.property(
        fc.array(part, { maxLength: 5 }),
        fc.constantFrom<Naive['version'][]>('legacy', 0),
        (parts, version) => {
          const bytes = messageOf(parts, { version });
          const facts = factsOf(bytes);
          agree(bytes, facts);
          seen[facts.understood ? 'understood' : 'not'] += 1;
          if (facts.lifetime.kind === 'durableNonce') seen.durable += 1;
          if (facts.transfers.some((transfer) => 'toOwner' in transfer)) seen.owned += 1;
        },
      ),
      { numRuns: 500, seed: 2026 },
    );
    for (const [name, count] of Object.entries(seen)) assert.ok(count > 20, `${name}: ${count}`);
  });

  it('are refused by PayloadError or told truly, whichever bytes are changed', () => {
    const original = messageOf([good.advance!, good.make!, good.move!, good.pay!, good.say!]);
    const seen = { refused: 0, told: 0 };
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(original.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 }),
        fc.nat(3),
        fc.nat(original.length - 1),
        (changes, what, cut) => {
          let bytes = original.slice();
          for (const [at, value] of changes) bytes[at] = value;
          if (what === 0) bytes = bytes.slice(0, cut + 1);
          let decoded;
          try {
            decoded = decode(bytes);
          } catch (error) {
            assert.ok(error instanceof PayloadError, String(error));
            seen.refused += 1;
            return;
          }
          assert.deepEqual(decoded.message, bytes);
          if (decoded.facts.kind === 'solana.transaction') agree(bytes, decoded.facts);
          seen.told += 1;
        },
      ),
      { numRuns: 600, seed: 7 },
    );
    assert.ok(seen.refused > 50 && seen.told > 50, JSON.stringify(seen));
  });

  it('are not understood in any other form', () => {
    const { advance, move, make, makeNew, say } = good as Record<string, Part>;
    const forms: Record<string, Part> = {
      'an advance with data after it': { ...advance!, data: [4, 0, 0, 0, 0] },
      'an advance with half a tag': { ...advance!, data: [4, 0, 0] },
      'an advance with another sysvar': { ...advance!, accounts: [nonceAccount, mint, own] },
      'an advance with more accounts': { ...advance!, accounts: [...advance!.accounts, other] },
      'an advance without authority': { ...advance!, accounts: advance!.accounts.slice(0, 2) },
      'a withdrawal from a nonce account': { ...advance!, data: [5, 0, 0, 0, ...littleEndian(1n, 8)] },
      'a new nonce authority': { ...advance!, data: [7, 0, 0, 0, ...base58.decode(other)] },
      'a transfer cut short': { ...move!, data: move!.data.slice(0, 9) },
      'a transfer with data after it': { ...move!, data: [...move!.data, 0] },
      'a transfer without data': { ...move!, data: [] },
      'a transfer with three accounts': { ...move!, accounts: move!.accounts.slice(0, 3) },
      'a transfer by several': { ...move!, accounts: [...move!.accounts, other] },
      'a transfer of Token-2022': { ...move!, program: token2022 },
      'one with a hook': { ...move!, program: token2022, accounts: [...move!.accounts, unknownProgram] },
      'one that names no mint': {
        ...move!,
        accounts: [source, destination, own],
        data: [3, ...littleEndian(1n, 8)],
      },
      'the making of an account that is not the wallet’s': {
        ...make!,
        accounts: [own, source, recipient, mint, system, token],
      },
      'the making of an account of Token-2022': {
        ...make!,
        accounts: [own, tokenAccountOf(recipient, mint, token2022), recipient, mint, system, token2022],
      },
      'the making with another system program': {
        ...make!,
        accounts: [own, destination, recipient, mint, memo, token],
      },
      'the making with an account more': { ...make!, accounts: [...make!.accounts, own] },
      'the making with an account less': { ...makeNew!, accounts: makeNew!.accounts.slice(0, 5) },
      'the recovery of a nested account': { ...make!, data: [2] },
      'the making with more data': { ...make!, data: [1, 0] },
      'a memo that is no text': { ...say!, data: [0xc3, 0x28] },
    };
    for (const [name, part] of Object.entries(forms)) {
      const bytes = messageOf([good.pay!, part]);
      const { facts, summary } = decode(bytes);
      const told = facts as SolanaTransactionFacts;
      agree(bytes, told);
      assert.equal(told.understood, false, name);
      assert.deepEqual(
        told.transfers.map(({ asset }) => asset),
        ['SOL'],
        name,
      );
      assert.equal(told.accountRent, '0', name);
      assert.ok(
        summary.some((line) => line.startsWith('2. NOT UNDERSTOOD')),
        name,
      );
    }
  });

  it('say what a token program calls an instruction that is not understood', () => {
    const approve: Part = {
      program: token,
      accounts: [source, other, own],
      data: [4, ...littleEndian(5n, 8)],
    };
    const named: [Part, string][] = [
      [approve, 'SPL Token approve'],
      [{ ...approve, program: token2022, data: [12] }, 'Token-2022 transferChecked'],
      [{ ...approve, data: [9] }, 'SPL Token closeAccount'],
      [{ ...approve, data: [6] }, 'SPL Token setAuthority'],
    ];
    for (const [part, words] of named) {
      const { summary } = decode(messageOf([part]));
      assert.ok(summary[1]!.startsWith(`1. NOT UNDERSTOOD: ${words}, program ${part.program}, `), summary[1]);
    }
    const { summary } = decode(messageOf([{ ...approve, data: [99] }]));
    assert.ok(summary[1]!.startsWith(`1. NOT UNDERSTOOD: program ${token}, `));
  });

  it('show amounts exactly up to 64 bits, with whatever decimals', () => {
    for (const [amount, decimals, shown] of [
      [2n ** 64n - 1n, 6, '18446744073709.551615'],
      [2n ** 64n - 1n, 0, '18446744073709551615'],
      [2n ** 53n + 1n, 9, '9007199.254740993'],
      [1n, 255, `0.${'0'.repeat(254)}1`],
      [0n, 6, '0'],
      [10n, 1, '1'],
    ] as const) {
      const { facts, summary } = decode(
        messageOf([{ ...good.move!, data: [12, ...littleEndian(amount, 8), decimals] }]),
      );
      const [transfer] = (facts as SolanaTransactionFacts).transfers;
      assert.equal(transfer!.amount, amount.toString());
      assert.ok(summary[1]!.includes(`transfer ${shown} tokens (${amount} base units)`), summary[1]);
    }
  });

  it('write memos so that a terminal takes nothing in them for itself', () => {
    const text = '\u001b[2J"\n\u202epay bob\\';
    const { facts, summary } = decode(
      messageOf([{ ...good.say!, data: [...new TextEncoder().encode(text)] }]),
    );
    assert.deepEqual((facts as SolanaTransactionFacts).instructions[0], {
      program: memo,
      accounts: [],
      data: toHex(new TextEncoder().encode(text)),
      name: 'memo',
      text,
    });
    assert.equal(summary[1], '1. memo "\\u{1b}[2J\\"\\u{a}\\u{202e}pay bob\\\\"');
    const marked = decode(messageOf([{ ...good.say!, data: [0xef, 0xbb, 0xbf] }]))
      .facts as SolanaTransactionFacts;
    assert.equal((marked.instructions[0] as { text?: string }).text, '\ufeff');
  });

  it('count the rent of every account that is made', () => {
    const facts = factsOf(messageOf([good.make!, good.makeNew!, good.makeNew!]));
    assert.equal(facts.accountRent, String(3 * 2_039_280));
    assert.equal(facts.maximumFee, String(10_000 + 3 * 2_039_280));
  });
});

describe('Whose a token account is', () => {
  const toOwnerOf = (parts: readonly Part[]) => {
    const [transfer] = factsOf(messageOf(parts)).transfers;
    return (transfer as { toOwner?: string }).toOwner;
  };

  it('is told for a wallet whose account is made, and for signers', () => {
    assert.equal(toOwnerOf([good.make!, good.move!]), recipient);
    assert.equal(toOwnerOf([good.move!, good.make!]), recipient);
    const back = { ...good.move!, accounts: [destination, mint, source, own] };
    assert.equal(toOwnerOf([back]), own);
  });

  it('is not told for anybody else, nor by an account of another mint or of another program', () => {
    assert.equal(toOwnerOf([good.move!]), undefined);
    assert.equal(toOwnerOf([good.makeNew!, good.move!]), undefined);
    const otherMint = { ...good.move!, accounts: [source, mint2, destination, own] };
    assert.equal(toOwnerOf([good.make!, otherMint]), undefined);
    const { summary } = decode(messageOf([good.make!, good.move!, otherMint]));
    assert.ok(summary[3]!.includes('whose wallet the bytes do not say'));
    const forged = { ...good.make!, accounts: [own, destination, other, mint, system, token] };
    assert.equal(toOwnerOf([forged, good.move!]), undefined);
  });
});

describe('Lifetime of a Solana transaction', () => {
  it('is a blockhash’s where an advance is not first', () => {
    const facts = factsOf(messageOf([good.pay!, good.advance!]));
    assert.deepEqual(facts.lifetime, { kind: 'blockhash', blockhash: hash });
    assert.equal(facts.understood, true);
    const { summary } = decode(messageOf([good.budget!, good.advance!, good.pay!]));
    assert.equal(summary.at(-1), `Recent blockhash: ${hash}, good for about a minute after its block`);
  });

  it('names the authority that must sign when it is another account', () => {
    const by = { ...good.advance!, accounts: [nonceAccount, recentBlockhashes, other] };
    const { facts, summary } = decode(messageOf([by, good.pay!]));
    const { lifetime, requiredSigners } = facts as SolanaTransactionFacts;
    assert.deepEqual(lifetime, { kind: 'durableNonce', nonceAccount, authority: other, nonce: hash });
    assert.deepEqual(requiredSigners, [own, other]);
    assert.ok(summary.includes(`Also needs the signature of ${other}`));
    assert.ok(summary.includes(`Nonce authority: ${other}`));
  });

  it('is told of a transaction with lookup tables too, unless they hold the nonce account', () => {
    const lookups = [{ table: addressOf(99), writable: [0], readonly: [] }];
    const known = decode(messageOf([good.advance!], { version: 0, lookups })).facts;
    assert.equal(known.kind === 'digest' && known.lifetime.kind, 'durableNonce');
    const looked = {
      program: pool.indexOf(system),
      accounts: [pool.length, pool.indexOf(recentBlockhashes), 0],
      data: [4, 0, 0, 0],
    };
    const hidden = decode(messageOf([], { version: 0, lookups, instructions: [looked] }));
    assert.equal(hidden.kind, 'digest');
    assert.deepEqual(hidden.facts.kind === 'digest' && hidden.facts.lifetime, {
      kind: 'blockhash',
      blockhash: hash,
    });
    assert.ok(hidden.summary.some((line) => line.startsWith('Recent blockhash: ')));
  });
});

describe('Associated token accounts', () => {
  it('are where two other implementations find them', async () => {
    for (let fill = 0; fill < 60; fill += 1) {
      const [wallet, of] = [fill % 3 === 0 ? addressOf(fill) : walletOf(fill), addressOf(200 - fill)];
      for (const program of [token, token2022]) {
        const found = associatedTokenAccount(wallet, of, program);
        assert.equal(found, tokenAccountOf(wallet, of, program));
        const [theirs] = await findAssociatedTokenPda({
          owner: address(wallet),
          mint: address(of),
          tokenProgram: address(program),
        });
        assert.equal(found, theirs);
        const seeds = [wallet, program, of].map((part) => base58.decode(part));
        const [kits] = await getProgramDerivedAddress({ programAddress: address(associated), seeds });
        assert.equal(found, kits);
      }
    }
    assert.equal(associatedTokenAccount(own, mint), associatedTokenAccount(own, mint, token));
  });

  it('are off the curve, which is decided as others decide it, at its edges too', () => {
    const p = 2n ** 255n - 19n;
    const edges = [0n, 1n, 2n, p - 1n, p, p + 1n, p + 2n, 2n ** 255n - 1n].flatMap((y) => [
      y,
      y + 2n ** 255n,
    ]);
    const bytes = [
      ...edges.map((value) => Uint8Array.from(littleEndian(value, 32))),
      ...Array.from({ length: 200 }, (_, fill) =>
        Uint8Array.from({ length: 32 }, (_item, at) => (fill * 31 + at * 7 + fill * at) & 0xff),
      ),
    ];
    const seen = { on: 0, off: 0 };
    for (const value of bytes) {
      assert.equal(isOnCurve(value), onCurve(value), toHex(value));
      seen[isOnCurve(value) ? 'on' : 'off'] += 1;
    }
    for (const value of bytes.slice(edges.length))
      assert.equal(isOffCurveAddress(base58.encode(value) as Address), !isOnCurve(value));
    assert.ok(seen.on > 50 && seen.off > 50);
    assert.equal(isOnCurve(key.publicKey), true);
    assert.equal(isOnCurve(base58.decode(source)), false);
  });

  it('are derived from addresses only', () => {
    for (const [wallet, of, program] of [
      ['x0', mint, token],
      [own, own.slice(1, 20), token],
      [own, mint, ''],
      [`${own}1`, mint, token],
    ] as const)
      assert.throws(() => associatedTokenAccount(wallet, of, program), { code: 'invalid_argument' });
  });
});

describe('Transactions built by the programs’ own library', () => {
  const signer = (name: string) => createNoopSigner(address(name));
  function compiled(instructions: readonly Instruction[], durable = false): Uint8Array {
    const bare = setTransactionMessageFeePayer(address(own), createTransactionMessage({ version: 'legacy' }));
    const message = durable
      ? pipe(
          setTransactionMessageLifetimeUsingDurableNonce(
            {
              nonce: hash as Nonce,
              nonceAccountAddress: address(nonceAccount),
              nonceAuthorityAddress: address(own),
            },
            bare,
          ),
          (open) => appendTransactionMessageInstructions(instructions, open),
          compileTransactionMessage,
        )
      : pipe(
          setTransactionMessageLifetimeUsingBlockhash(
            { blockhash: hash as Blockhash, lastValidBlockHeight: 1n },
            bare,
          ),
          (open) => appendTransactionMessageInstructions(instructions, open),
          compileTransactionMessage,
        );
    return new Uint8Array(getCompiledTransactionMessageEncoder().encode(message));
  }
  const accounts = { source: address(source), mint: address(mint), destination: address(destination) };
  const pay = getTransferSolInstruction({ source: signer(own), destination: address(recipient), amount: 5n });
  const make = {
    payer: signer(own),
    ata: address(destination),
    owner: address(recipient),
    mint: address(mint),
  };
  const move = getTransferCheckedInstruction({
    ...accounts,
    authority: signer(own),
    amount: 12n,
    decimals: 6,
  });

  /** Facts without the order of accounts, which is every builder's own. */
  const essence = (message: Uint8Array) => {
    const facts = factsOf(message);
    agree(message, facts);
    return {
      ...facts,
      accounts: facts.accounts.toSorted((a, b) => (a.address < b.address ? -1 : 1)),
      programs: facts.programs.toSorted(),
    };
  };

  it('say the same as those that are built here', () => {
    const nonce = { account: nonceAccount, authority: own, value: hash };
    assert.deepEqual(
      essence(compiled([getCreateAssociatedTokenIdempotentInstruction(make), move], true)),
      essence(tokenTransferMessage({ from: own, to: recipient, mint, amount: 12n, decimals: 6, nonce })),
    );
    assert.deepEqual(
      essence(compiled([pay], true)),
      essence(transferMessage({ from: own, to: recipient, lamports: 5n, nonce })),
    );
    assert.deepEqual(
      essence(compiled([pay])),
      essence(transferMessage({ from: own, to: recipient, lamports: 5n, recentBlockhash: hash })),
    );
  });

  it('are understood, or not, by what they do', () => {
    const plain = { source: address(source), owner: signer(own) };
    const advance = getAdvanceNonceAccountInstruction({
      nonceAccount: address(nonceAccount),
      nonceAuthority: signer(own),
    });
    for (const [name, instruction, understood] of [
      ['create', getCreateAssociatedTokenInstruction(make), true],
      ['advance', advance, true],
      ['transferChecked', move, true],
      ['transfer', getTransferInstruction({ ...accounts, authority: signer(own), amount: 1n }), false],
      ['approve', getApproveInstruction({ ...plain, delegate: address(other), amount: 1n }), false],
      [
        'approveChecked',
        getApproveCheckedInstruction({
          ...plain,
          mint: address(mint),
          delegate: address(other),
          amount: 1n,
          decimals: 6,
        }),
        false,
      ],
      [
        'closeAccount',
        getCloseAccountInstruction({
          account: address(source),
          destination: address(other),
          owner: signer(own),
        }),
        false,
      ],
      [
        'setAuthority',
        getSetAuthorityInstruction({
          owned: address(source),
          owner: signer(own),
          authorityType: AuthorityType.AccountOwner,
          newAuthority: address(other),
        }),
        false,
      ],
      [
        'shared authority',
        getTransferCheckedInstruction({
          ...accounts,
          authority: address(other),
          amount: 1n,
          decimals: 6,
          multiSigners: [signer(own)],
        }),
        false,
      ],
      [
        'Token-2022',
        getTransferCheckedInstruction(
          { ...accounts, authority: signer(own), amount: 1n, decimals: 6 },
          { programAddress: address(token2022) },
        ),
        false,
      ],
    ] as const)
      assert.equal(essence(compiled([instruction])).understood, understood, name);
  });
});

describe('Building Solana token transfers', () => {
  const nonce = { account: nonceAccount, authority: own, value: hash };
  const right = { from: own, to: recipient, mint, amount: 1n, decimals: 6, nonce };

  it('orders accounts as the chain wants them, and names each once', () => {
    const { header, accounts, blockhash } = parse(
      tokenTransferMessage({ ...right, nonce: { ...nonce, authority: other } }),
    );
    assert.deepEqual(header, [2, 1, 6]);
    assert.deepEqual(accounts.slice(0, 2), [own, other]);
    assert.equal(new Set(accounts).size, accounts.length);
    assert.equal(blockhash, hash);
    const toSelf = factsOf(tokenTransferMessage({ ...right, to: own }));
    assert.equal(toSelf.transfers[0]!.from, toSelf.transfers[0]!.to);
  });

  it('refuses wrong arguments', () => {
    const bad = 'nobody';
    for (const change of [
      { from: bad },
      { to: bad },
      { to: source },
      { mint: bad },
      { amount: 0n },
      { amount: -1n },
      { amount: 2n ** 64n },
      { decimals: -1 },
      { decimals: 256 },
      { decimals: 1.5 },
      { nonce: { ...nonce, account: bad } },
      { nonce: { ...nonce, authority: bad } },
      { nonce: { ...nonce, value: bad } },
    ])
      assert.throws(
        () => tokenTransferMessage({ ...right, ...change }),
        { code: 'invalid_argument' },
        JSON.stringify(change, (_, value: unknown) => String(value)),
      );
  });

  it('builds nothing that the network would refuse unseen', () => {
    const many = Array.from({ length: 40 }, (_, fill) => ({ address: addressOf(100 + fill) }));
    assert.throws(
      () =>
        buildMessage(own, { recentBlockhash: hash }, [
          { program: system, accounts: many, data: new Uint8Array() },
        ]),
      { code: 'too_large' },
    );
    assert.throws(
      () =>
        buildMessage(own, { recentBlockhash: hash }, [
          { program: own, accounts: [], data: new Uint8Array() },
        ]),
      { code: 'malformed_transaction' },
    );
  });
});
