// A naive reading of what Solana instructions do, written from the programs' documentation and importing nothing of what it
// checks: https://solana.com/docs/core/transactions, https://solana.com/docs/core/pda,
// https://solana.com/developers/guides/advanced/introduction-to-durable-nonces and the programs' lists of instructions.
import { createHash } from 'node:crypto';
import { base58 } from '@scure/base';
import type { Naive } from './solana-message.ts';

export const system = '11111111111111111111111111111111';
export const token = 'TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA';
export const token2022 = 'TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb';
export const associated = 'ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL';
export const memo = 'MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr';
export const computeBudget = 'ComputeBudget111111111111111111111111111111';
export const recentBlockhashes = 'SysvarRecentB1ockHashes11111111111111111111';

const p = 2n ** 255n - 19n;
const mod = (value: bigint) => ((value % p) + p) % p;

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let [square, rest] = [mod(base), exponent]; rest > 0n; rest >>= 1n, square = mod(square * square))
    if (rest & 1n) result = mod(result * square);
  return result;
}

const d = mod(-121665n * power(121666n, p - 2n));

/** Whether some x has -x^2 + y^2 = 1 + d x^2 y^2: by Euler's criterion. */
export function onCurve(bytes: Uint8Array): boolean {
  const number = BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
  const y2 = power(number & (2n ** 255n - 1n), 2n);
  const x2 = mod((y2 - 1n) * power(d * y2 + 1n, p - 2n));
  return x2 === 0n || power(x2, (p - 1n) / 2n) === 1n;
}

const derived = new Map<string, string>();

export function tokenAccountOf(wallet: string, mint: string, program = token): string {
  const name = `${wallet} ${mint} ${program}`;
  for (let bump = 255; bump >= 0 && !derived.has(name); bump -= 1) {
    const hash = createHash('sha256');
    for (const part of [wallet, program, mint]) hash.update(base58.decode(part));
    hash.update(Uint8Array.of(bump)).update(base58.decode(associated)).update('ProgramDerivedAddress');
    const digest = new Uint8Array(hash.digest());
    if (!onCurve(digest)) derived.set(name, base58.encode(digest));
  }
  return derived.get(name)!;
}

const number = (bytes: readonly number[]) =>
  bytes.reduceRight((value, byte) => value * 256n + BigInt(byte), 0n).toString();

/** What an instruction does, in words of its own; undefined when its bytes do not tell. */
export type Effect =
  | { does: 'pay'; from: string; to: string; amount: string }
  | { does: 'advance'; account: string; authority: string }
  | {
      does: 'move';
      mint: string;
      from: string;
      to: string;
      amount: string;
      decimals: number;
      authority: string;
    }
  | { does: 'make'; wallet: string; account: string; mint: string; payer: string }
  | { does: 'say'; text: string }
  | { does: 'budget' }
  | undefined;

function effectOf(program: string, names: readonly string[], data: readonly number[]): Effect {
  const tag4 = data.slice(0, 4).join();
  if (program === system && tag4 === '2,0,0,0' && data.length === 12 && names.length >= 2)
    return { does: 'pay', from: names[0]!, to: names[1]!, amount: number(data.slice(4)) };
  if (program === system && data.join() === '4,0,0,0' && names.length === 3 && names[1] === recentBlockhashes)
    return { does: 'advance', account: names[0]!, authority: names[2]! };
  if (program === token && data[0] === 12 && data.length === 10 && names.length === 4) {
    const [from, mint, to, authority] = names as [string, string, string, string];
    return { does: 'move', mint, from, to, amount: number(data.slice(1, 9)), decimals: data[9]!, authority };
  }
  if (program === associated && ['', '0', '1'].includes(data.join()) && names.length === 6) {
    const [payer, account, wallet, mint, ...rest] = names as [string, string, string, string];
    if (String(rest) !== String([system, token]) || account !== tokenAccountOf(wallet, mint))
      return undefined;
    return { does: 'make', wallet, account, mint, payer };
  }
  if (program === memo) {
    const text = Buffer.from(data).toString('utf8');
    return Buffer.from(text, 'utf8').equals(Buffer.from(data)) ? { does: 'say', text } : undefined;
  }
  const lengths: Record<number, number> = { 1: 5, 2: 5, 3: 9, 4: 5 };
  if (program === computeBudget && data.length > 0 && lengths[data[0]!] === data.length)
    return { does: 'budget' };
  return undefined;
}

export interface Reading {
  effects: Effect[];
  durable?: { account: string; authority: string };
  /** Of each `move`, in order: whose account it goes to, where the message tells. */
  owners: (string | undefined)[];
  rent: string;
}

/** Of a message without lookup tables. */
export function read({ header, accounts, instructions }: Naive): Reading {
  const signers = accounts.slice(0, header[0]);
  const writable = (index: number) =>
    index < header[0] ? index < header[0] - header[1] : index < accounts.length - header[2];
  const effects = instructions.map((entry) =>
    effectOf(
      accounts[entry.program]!,
      entry.accounts.map((index) => accounts[index]!),
      entry.data,
    ),
  );
  const made = effects.flatMap((effect) => (effect?.does === 'make' ? [effect] : []));
  const owners = effects.flatMap((effect) => {
    if (effect?.does !== 'move') return [];
    const wallets = [
      ...made.filter(({ mint }) => mint === effect.mint).map(({ wallet }) => wallet),
      ...signers,
    ];
    return [wallets.find((wallet) => tokenAccountOf(wallet, effect.mint) === effect.to)];
  });
  const reading: Reading = { effects, owners, rent: String(made.length * 2_039_280) };
  const first = instructions[0];
  if (first === undefined || accounts[first.program] !== system) return reading;
  const [nonce, , third] = first.accounts;
  const signing = first.accounts.filter((index) => index < header[0]);
  if (first.data.slice(0, 4).join() !== '4,0,0,0' || nonce === undefined || !writable(nonce)) return reading;
  if (signing.length === 0) return reading;
  const authority = third !== undefined && third < header[0] ? third : signing[0]!;
  return { ...reading, durable: { account: accounts[nonce]!, authority: accounts[authority]! } };
}
