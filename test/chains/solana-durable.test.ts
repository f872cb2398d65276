// Transactions with durable nonces, and transfers of SPL tokens, run by the real Solana runtime and token programs (litesvm):
// what the decoder says of them is what happens.
import assert from 'node:assert/strict';
import { address, getTransactionDecoder, lamports, type Address } from '@solana/kit';
import { getNonceDecoder } from '@solana-program/system';
import { getTokenDecoder } from '@solana-program/token';
import { base58 } from '@scure/base';
import { FailedTransactionMetadata, LiteSVM } from 'litesvm';
import { fromHex, toHex } from '../../protocol/hex.ts';
import { publicKeyOf, sign } from '../../protocol/keys/ed25519.ts';
import type { SolanaTransactionFacts } from '../../protocol/payloads/facts.ts';
import { assemble, decodePayload, type PayloadKey } from '../../protocol/payloads/payload.ts';
import { associatedTokenAccount } from '../../protocol/payloads/solana-address.ts';
import { tokenTransferMessage, transferMessage } from '../../protocol/payloads/solana-transfer.ts';
import { encode, parse } from '../reference/solana-message.ts';

const sol = 1_000_000_000n;
const systemProgram = '11111111111111111111111111111111';
const token = 'TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA';
const associated = 'ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL';
const recentBlockhashes = 'SysvarRecentB1ockHashes11111111111111111111';
const rentSysvar = 'SysvarRent111111111111111111111111111111111';

class Person {
  readonly seed: Uint8Array;
  readonly key: PayloadKey;
  readonly address: string;
  constructor(fill: number) {
    this.seed = new Uint8Array(32).fill(fill);
    this.key = { keyType: 'ed25519', publicKey: publicKeyOf(this.seed) };
    this.address = base58.encode(this.key.publicKey);
  }
}
const owner = new Person(7);
const recipient = new Person(8);
const nonceHolder = new Person(9);
const authority = new Person(10);
const mintHolder = new Person(11);

const le = (value: bigint | number, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, index) => Number((BigInt(value) >> BigInt(8 * index)) & 0xffn));
const bytesOf = (text: string): number[] => [...base58.decode(text)];

interface Use {
  program: string;
  /** `s` signs, `w` is written. */
  accounts: [address: string, mode: '' | 's' | 'w' | 'sw'][];
  data: number[];
}

/** A message of instructions, by the naive encoder: not by what is checked here. */
function messageOf(payer: string, blockhash: string, uses: readonly Use[]): Uint8Array {
  const modes = new Map<string, string>([[payer, 'sw']]);
  for (const { accounts } of uses)
    for (const [name, mode] of accounts) modes.set(name, `${modes.get(name) ?? ''}${mode}`);
  for (const { program } of uses) modes.set(program, modes.get(program) ?? '');
  const ranked = (signer: boolean, writable: boolean): string[] =>
    [...modes]
      .filter(([, mode]) => mode.includes('s') === signer && mode.includes('w') === writable)
      .map(([name]) => name);
  const groups = [ranked(true, true), ranked(true, false), ranked(false, true), ranked(false, false)];
  const accounts = groups.flat();
  return encode({
    version: 'legacy',
    header: [groups[0]!.length + groups[1]!.length, groups[1]!.length, groups[3]!.length],
    accounts,
    blockhash,
    instructions: uses.map((use) => ({
      program: accounts.indexOf(use.program),
      accounts: use.accounts.map(([name]) => accounts.indexOf(name)),
      data: use.data,
    })),
  });
}

const advance = (account: string, by: string): Use => ({
  program: systemProgram,
  accounts: [
    [account, 'w'],
    [recentBlockhashes, ''],
    [by, 's'],
  ],
  data: le(4, 4),
});
const pay = (from: string, to: string, amount: bigint): Use => ({
  program: systemProgram,
  accounts: [
    [from, 'sw'],
    [to, 'w'],
  ],
  data: [...le(2, 4), ...le(amount, 8)],
});

class Chain {
  readonly vm = new LiteSVM();

  constructor() {
    for (const { address: name } of [owner, authority]) this.vm.airdrop(address(name), lamports(10n * sol));
  }

  balance(name: string): bigint {
    return this.vm.getBalance(address(name)) ?? 0n;
  }

  data(name: string): Uint8Array {
    const account = this.vm.getAccount(address(name as Address));
    assert.ok(account.exists, name);
    return new Uint8Array(account.data);
  }

  nonce(name = nonceHolder.address): string {
    return getNonceDecoder().decode(this.data(name)).blockhash;
  }

  tokens(account: string) {
    const { amount, owner: wallet } = getTokenDecoder().decode(this.data(account));
    return { amount, wallet: wallet as string };
  }

  /** Days, as far as transactions are concerned. */
  wait(): void {
    for (let block = 0; block < 400; block += 1) this.vm.expireBlockhash();
    this.vm.warpToSlot(this.vm.getClock().slot + 500_000n);
  }

  /** Signed by all of these in the order the message asks for, as validators get it. */
  send(message: Uint8Array, signers: readonly Person[]): { error?: string; logs: string } {
    const wanted = parse(message).accounts.slice(0, message[0]);
    const signatures = wanted.flatMap((name) => {
      const signer = signers.find((person) => person.address === name);
      return signer === undefined ? [...new Uint8Array(64)] : [...sign(signer.seed, message)];
    });
    return this.run(Uint8Array.from([wanted.length, ...signatures, ...message]));
  }

  run(wire: Uint8Array): { error?: string; logs: string } {
    const result = this.vm.sendTransaction(getTransactionDecoder().decode(wire));
    if (!(result instanceof FailedTransactionMetadata)) return { logs: result.logs().join('\n') };
    return { error: result.toString(), logs: result.meta().logs().join('\n') };
  }

  does(message: Uint8Array, signers: readonly Person[]): void {
    const { error, logs } = this.send(message, signers);
    assert.equal(error, undefined, `${error}\n${logs}`);
  }

  /** What the Solana command line does for `solana create-nonce-account`. */
  makeNonce(by: Person): void {
    const rent = this.vm.minimumBalanceForRentExemption(80n);
    this.does(
      messageOf(owner.address, this.vm.latestBlockhash(), [
        {
          program: systemProgram,
          accounts: [
            [owner.address, 'sw'],
            [nonceHolder.address, 'sw'],
          ],
          data: [...le(0, 4), ...le(rent, 8), ...le(80, 8), ...bytesOf(systemProgram)],
        },
        {
          program: systemProgram,
          accounts: [
            [nonceHolder.address, 'w'],
            [recentBlockhashes, ''],
            [rentSysvar, ''],
          ],
          data: [...le(6, 4), ...bytesOf(by.address)],
        },
      ]),
      [owner, nonceHolder],
    );
  }

  /** A mint with so many decimals, and tokens of it in the owner's associated token account. */
  makeTokens(decimals: number, amount: bigint): { mint: string; account: string } {
    const mint = mintHolder.address;
    const account = associatedTokenAccount(owner.address, mint);
    const rent = this.vm.minimumBalanceForRentExemption(82n);
    this.does(
      messageOf(owner.address, this.vm.latestBlockhash(), [
        {
          program: systemProgram,
          accounts: [
            [owner.address, 'sw'],
            [mint, 'sw'],
          ],
          data: [...le(0, 4), ...le(rent, 8), ...le(82, 8), ...bytesOf(token)],
        },
        { program: token, accounts: [[mint, 'w']], data: [20, decimals, ...bytesOf(owner.address), 0] },
        createAccount(owner.address, owner.address, mint, 0),
        {
          program: token,
          accounts: [
            [mint, 'w'],
            [account, 'w'],
            [owner.address, 's'],
          ],
          data: [7, ...le(amount, 8)],
        },
      ]),
      [owner, mintHolder],
    );
    return { mint, account };
  }
}

function createAccount(payer: string, wallet: string, mint: string, tag: number): Use {
  return {
    program: associated,
    accounts: [
      [payer, 'sw'],
      [associatedTokenAccount(wallet, mint), 'w'],
      [wallet, ''],
      [mint, ''],
      [systemProgram, ''],
      [token, ''],
    ],
    data: [tag],
  };
}

function factsOf(message: Uint8Array, key = owner.key): SolanaTransactionFacts {
  const { facts } = decodePayload({ kind: 'solana.transaction', message: toHex(message) }, key);
  assert.equal(facts.kind, 'solana.transaction');
  return facts as SolanaTransactionFacts;
}

/** As the network makes it: decoded, signed by its key, assembled. */
function wireOf(message: Uint8Array): Uint8Array {
  const payload = { kind: 'solana.transaction' as const, message: toHex(message) };
  const { message: signed } = decodePayload(payload, owner.key);
  const { transaction, missing } = assemble(payload, owner.key, sign(owner.seed, signed));
  assert.deepEqual(missing, []);
  return fromHex(transaction!);
}

const { address: from } = owner;
const { address: to } = recipient;
const { address: nonceAccount } = nonceHolder;

describe('Solana runtime, with durable nonces', () => {
  let chain: Chain;
  beforeEach(() => {
    chain = new Chain();
  });
  const nonceOf = (by: Person) => ({ account: nonceAccount, authority: by.address, value: chain.nonce() });

  it('executes a transfer long after it was signed, once, when one with a blockhash is dead', () => {
    chain.makeNonce(owner);
    const value = chain.nonce();
    const durable = transferMessage({ from, to, lamports: sol, nonce: nonceOf(owner) });
    const brief = transferMessage({ from, to, lamports: sol, recentBlockhash: chain.vm.latestBlockhash() });
    const facts = factsOf(durable);
    assert.deepEqual(facts.lifetime, { kind: 'durableNonce', nonceAccount, authority: from, nonce: value });
    assert.equal(facts.understood, true);
    assert.equal(factsOf(brief).lifetime.kind, 'blockhash');
    const [kept, dead] = [wireOf(durable), wireOf(brief)];
    chain.wait();
    assert.match(chain.run(dead).error ?? '', /BlockhashNotFound/);
    const before = chain.balance(from);
    assert.equal(chain.run(kept).error, undefined);
    assert.equal(chain.balance(to), sol);
    assert.equal(before - chain.balance(from), sol + BigInt(facts.maximumFee));
    assert.notEqual(chain.nonce(), value);
    chain.wait();
    assert.ok(chain.run(kept).error !== undefined);
    assert.equal(chain.balance(to), sol);
  });

  it('lets one of two transactions with one nonce happen, and none after it was advanced', () => {
    chain.makeNonce(owner);
    const [first, second] = [1n, 2n].map((times) =>
      wireOf(transferMessage({ from, to, lamports: times * sol, nonce: nonceOf(owner) })),
    );
    chain.wait();
    assert.equal(chain.run(second!).error, undefined);
    assert.match(chain.run(first!).error ?? '', /BlockhashNotFound/);
    const third = wireOf(transferMessage({ from, to, lamports: sol, nonce: nonceOf(owner) }));
    chain.wait();
    // What takes a signed transaction back: an advance, alone.
    const cancel = messageOf(from, chain.vm.latestBlockhash(), [advance(nonceAccount, from)]);
    assert.equal(factsOf(cancel).understood, true);
    assert.deepEqual(factsOf(cancel).transfers, []);
    assert.equal(chain.run(wireOf(cancel)).error, undefined);
    assert.match(chain.run(third).error ?? '', /BlockhashNotFound/);
    assert.equal(chain.balance(to), 2n * sol);
  });

  it('wants the signature of a nonce authority that is another account', () => {
    chain.makeNonce(authority);
    const message = transferMessage({ from, to, lamports: sol, nonce: nonceOf(authority) });
    assert.deepEqual(factsOf(message).requiredSigners, [from, authority.address]);
    chain.wait();
    assert.throws(() => chain.does(message, [owner]), /missing signatures/);
    const claimed = transferMessage({ from, to, lamports: sol, nonce: nonceOf(owner) });
    assert.match(chain.send(claimed, [owner]).error ?? '', /BlockhashNotFound/);
    chain.does(message, [owner, authority]);
    assert.equal(chain.balance(to), sol);
  });

  it('takes a nonce for a blockhash exactly where the facts say durableNonce', () => {
    const plain = advance(nonceAccount, from);
    const variants: Record<string, readonly Use[]> = {
      plain: [plain, pay(from, to, sol)],
      'not first': [pay(from, to, sol), plain],
      'not there': [pay(from, to, sol)],
      'after another advance of it': [plain, plain, pay(from, to, sol)],
      'bytes after its tag': [{ ...plain, data: [...plain.data, 1] }, pay(from, to, sol)],
      'another instruction': [{ ...plain, data: le(5, 4) }, pay(from, to, sol)],
      'half a tag': [{ ...plain, data: [4, 0] }, pay(from, to, sol)],
      'an account more': [{ ...plain, accounts: [...plain.accounts, [to, '']] }, pay(from, to, sol)],
      'authority in another place': [
        { ...plain, accounts: [plain.accounts[0]!, plain.accounts[1]!, [to, ''], [from, 's']] },
        pay(from, to, sol),
      ],
      'no signer': [
        { ...plain, accounts: [plain.accounts[0]!, plain.accounts[1]!, [to, '']] },
        pay(from, to, sol),
      ],
      'read-only nonce account': [
        { ...plain, accounts: [[nonceAccount, ''], plain.accounts[1]!, plain.accounts[2]!] },
        pay(from, to, sol),
      ],
      'no accounts': [{ ...plain, accounts: [] }, pay(from, to, sol)],
      'another program': [{ ...plain, program: token }, pay(from, to, sol)],
    };
    const durable = [];
    for (const [name, uses] of Object.entries(variants)) {
      chain = new Chain();
      chain.makeNonce(owner);
      const message = messageOf(from, chain.nonce(), uses);
      const { lifetime } = factsOf(message);
      chain.wait();
      const { error } = chain.send(message, [owner]);
      // Whatever came of it otherwise, the runtime looked for no blockhash.
      const taken = error === undefined || !error.includes('BlockhashNotFound');
      assert.equal(lifetime.kind === 'durableNonce', taken, `${name}: ${error}`);
      if (taken) durable.push(name);
    }
    assert.deepEqual(durable, [
      'plain',
      'after another advance of it',
      'bytes after its tag',
      'an account more',
      'authority in another place',
    ]);
  });
});

describe('Solana runtime, with SPL tokens', () => {
  let chain: Chain;
  let mint: string;
  let account: string;
  beforeEach(() => {
    chain = new Chain();
    chain.makeNonce(owner);
    ({ mint, account } = chain.makeTokens(6, 100_000_000n));
  });
  const transfer = (amount: bigint, decimals = 6) =>
    tokenTransferMessage({
      from,
      to,
      mint,
      amount,
      decimals,
      nonce: { account: nonceAccount, authority: from, value: chain.nonce() },
    });

  it('moves what the facts say, and makes the token account for the rent they say', () => {
    const message = transfer(20_500_000n);
    const facts = factsOf(message);
    assert.equal(facts.understood, true);
    const destination = associatedTokenAccount(to, mint);
    assert.deepEqual(facts.transfers, [
      {
        asset: mint,
        from: account,
        to: destination,
        amount: '20500000',
        authority: from,
        decimals: 6,
        tokenProgram: token,
        toOwner: to,
      },
    ]);
    const wire = wireOf(message);
    chain.wait();
    const before = chain.balance(from);
    const { error, logs } = chain.run(wire);
    assert.equal(error, undefined, logs);
    assert.deepEqual(chain.tokens(destination), { amount: 20_500_000n, wallet: to });
    assert.deepEqual(chain.tokens(account), { amount: 79_500_000n, wallet: from });
    assert.equal(before - chain.balance(from), BigInt(facts.maximumFee));
    assert.equal(chain.balance(destination).toString(), facts.accountRent);
    // The account is there now: less is paid than the facts allow for.
    const again = wireOf(transfer(500_000n));
    chain.wait();
    const rest = chain.balance(from);
    assert.equal(chain.run(again).error, undefined);
    assert.equal(chain.tokens(destination).amount, 21_000_000n);
    assert.equal(rest - chain.balance(from), 5000n);
  });

  it('refuses other decimals than the mint has', () => {
    const wire = wireOf(transfer(1_000_000n, 9));
    chain.wait();
    const { error, logs } = chain.run(wire);
    assert.match(`${error}${logs}`, /decimals/i);
  });

  it('refuses to pay into a token account that its wallet has given away', () => {
    chain.vm.airdrop(address(to), lamports(sol));
    const destination = associatedTokenAccount(to, mint);
    const give: Use = {
      program: token,
      accounts: [
        [destination, 'w'],
        [to, 's'],
      ],
      data: [6, 2, 1, ...bytesOf(authority.address)],
    };
    const given = messageOf(to, chain.vm.latestBlockhash(), [createAccount(to, to, mint, 1), give]);
    assert.equal(factsOf(given, recipient.key).understood, false);
    chain.does(given, [recipient]);
    assert.equal(chain.tokens(destination).wallet, authority.address);
    const wire = wireOf(transfer(1_000_000n));
    chain.wait();
    assert.match(chain.run(wire).error ?? '', /InstructionError/);
    assert.equal(chain.tokens(destination).amount, 0n);
  });

  it('takes memos that the decoder understands', () => {
    const memo = (data: number[]): Use => ({
      program: 'MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr',
      accounts: [],
      data,
    });
    for (const [data, good] of [
      [[...new TextEncoder().encode('invoice 7: 20 €')], true],
      [[0xff, 0xfe], false],
      [[0xe2, 0x82], false],
    ] as const) {
      const message = messageOf(from, chain.vm.latestBlockhash(), [memo([...data])]);
      assert.equal(factsOf(message).understood, good);
      assert.equal(chain.run(wireOf(message)).error === undefined, good);
      chain.vm.expireBlockhash();
    }
  });
});
