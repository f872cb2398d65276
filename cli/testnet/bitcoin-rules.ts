// An independent Bitcoin implementation's verdict on a spend, for the local testnet and for tests: bitcore-lib runs the
// scripts of every input, Taproot's rules included, with arithmetic and transaction code of its own. There is no chain here:
// the coins that are spent are taken as given.
import { createRequire } from 'node:module';
import { CliError } from '../errors.ts';

interface BitcorePoint {
  readonly x: { toString(radix: number): string; toBuffer(): Buffer };
}

interface BitcoreTransaction {
  readonly inputs: { script: unknown; output: unknown; readonly witnesses: readonly Buffer[] }[];
}

/** The part of bitcore-lib that is used here; it comes without types. */
export interface Bitcore {
  readonly crypto: { readonly Point: { readonly prototype: { liftX: (this: unknown) => BitcorePoint } } };
  readonly Transaction: (new (hex: string) => BitcoreTransaction) & {
    readonly Output: new (fields: { satoshis: number; script: string }) => { readonly script: unknown };
  };
  readonly Script: {
    readonly Interpreter: (new () => {
      readonly errstr: string;
      verify(
        scriptSig: unknown,
        scriptPubKey: unknown,
        transaction: BitcoreTransaction,
        input: number,
        flags: number,
        witness: readonly Buffer[],
        satoshis: number,
      ): boolean;
    }) &
      Readonly<Record<`SCRIPT_VERIFY_${string}`, number>>;
  };
}

/** A coin as its spender claims it is. */
export interface SpentCoin {
  readonly script: Uint8Array;
  /** Satoshi. */
  readonly amount: bigint;
}

export interface BitcoinRules {
  /** Runs the scripts of every input of a raw transaction. Returns the first error, or undefined when all accept it. */
  refusalOf(transaction: Uint8Array, spent: readonly SpentCoin[]): string | undefined;
}

/** Consensus rules for scripts. */
const rules = [
  'P2SH',
  'DERSIG',
  'NULLDUMMY',
  'CHECKLOCKTIMEVERIFY',
  'CHECKSEQUENCEVERIFY',
  'WITNESS',
  'TAPROOT',
];

function loaded(load: () => Bitcore): Bitcore {
  try {
    return load();
  } catch (cause) {
    const what = 'bitcore-lib, which checks the Bitcoin transaction, is not installed';
    const remedy =
      'in a checkout run "npm ci" without --omit=dev, beside the installed package "npm install bitcore-lib@10.10.7"';
    throw new CliError('failed', what, remedy, { cause });
  }
}

/**
 * bitcore-lib 10 and 11 hash the x-coordinate of a Taproot key without its leading zero bytes, and so refuse what one key in
 * 256 signs. BIP340 hashes 32 bytes, always.
 */
function mendLeadingZeros({ prototype }: Bitcore['crypto']['Point']): void {
  if (mended.has(prototype)) return;
  mended.add(prototype);
  const lift = prototype.liftX;
  prototype.liftX = function (): BitcorePoint {
    const point = lift.call(this);
    point.x.toBuffer = () => Buffer.from(point.x.toString(16).padStart(64, '0'), 'hex');
    return point;
  };
}
const mended = new WeakSet<object>();

/** `load` gets the implementation, which is a development dependency. Throws CliError `failed` when it is not there. */
export function bitcoinRules(
  load: () => Bitcore = () => createRequire(import.meta.url)('bitcore-lib') as Bitcore,
): BitcoinRules {
  const { Transaction, Script, crypto } = loaded(load);
  mendLeadingZeros(crypto.Point);
  const { Interpreter } = Script;
  const flags = rules.reduce((all, rule) => all | (Interpreter[`SCRIPT_VERIFY_${rule}`] ?? 0), 0);
  return {
    refusalOf(raw, spent) {
      const transaction = new Transaction(Buffer.from(raw).toString('hex'));
      if (transaction.inputs.length !== spent.length) return `it has ${transaction.inputs.length} inputs`;
      for (const [index, { script, amount }] of spent.entries()) {
        const fields = { satoshis: Number(amount), script: Buffer.from(script).toString('hex') };
        transaction.inputs[index]!.output = new Transaction.Output(fields);
      }
      for (const [index, { amount }] of spent.entries()) {
        const { script, output, witnesses } = transaction.inputs[index]!;
        const interpreter = new Interpreter();
        const scriptPubKey = (output as { readonly script: unknown }).script;
        if (!interpreter.verify(script, scriptPubKey, transaction, index, flags, witnesses, Number(amount)))
          return `input ${index}: ${interpreter.errstr}`;
      }
      return undefined;
    },
  };
}
