// An independent Bitcoin implementation's verdict on a spend: bitcore-lib runs the scripts of every input, Taproot's rules
// included, with arithmetic and transaction code of its own.
import { createRequire } from 'node:module';

interface BitcoreTransaction {
  readonly id: string;
  readonly inputs: { script: unknown; output: unknown; readonly witnesses: readonly Buffer[] }[];
}
interface Bitcore {
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
const { Transaction, Script } = createRequire(import.meta.url)('bitcore-lib') as Bitcore;
const { Interpreter } = Script;
const flags = ['P2SH', 'STRICTENC', 'DERSIG', 'LOW_S', 'NULLDUMMY', 'WITNESS', 'TAPROOT']
  .map((name) => Interpreter[`SCRIPT_VERIFY_${name}`] ?? 0)
  .reduce((all, flag) => all | flag, 0);

export interface Spent {
  /** In hex. */
  readonly script: string;
  readonly satoshis: number;
}

/** Runs the scripts of every input of a transaction in hex. Returns the first error, or undefined when all accept it. */
export function refusalOf(hex: string, spent: readonly Spent[]): string | undefined {
  const transaction = new Transaction(hex);
  for (const [index, { script, satoshis }] of spent.entries())
    transaction.inputs[index]!.output = new Transaction.Output({ satoshis, script });
  for (const [index, { satoshis }] of spent.entries()) {
    const { script, output, witnesses } = transaction.inputs[index]!;
    const interpreter = new Interpreter();
    const scriptPubKey = (output as { script: unknown }).script;
    if (!interpreter.verify(script, scriptPubKey, transaction, index, flags, witnesses, satoshis))
      return `input ${index}: ${interpreter.errstr}`;
  }
  return undefined;
}
