// Decisions that an Ethereum wallet signs, by files: the first run writes the typed data, which any tool for wallets signs; the
// second takes the signature, makes the same decision again, and sends it once the wallet's signature on it verifies.
import { isDeepStrictEqual } from 'node:util';
import { type Command, InvalidArgumentError } from 'commander';
import * as z from 'zod';
import { typedDataOf, walletCredential, withWalletSignature } from '../client/owner-signatures.ts';
import type { Author, BuiltRecord } from '../client/records.ts';
import { timeOf, timestampSchema } from '../protocol/records/fields.ts';
import type { CommandContext } from './context.ts';
import { CliError } from './errors.ts';
import type { JsonOption } from './options.ts';
import { printResult } from './output.ts';
import { jsonText, readJson, requireFree, writeOut } from './record-file.ts';
import type { SignedSession } from './session.ts';

export interface WalletOptions extends JsonOption {
  readonly wallet?: string;
  readonly typedData?: string;
  readonly signature?: string;
}

/** Written by the first run. What is in it is compared with what is made anew: it is not believed. */
const typedDataSchema = z.looseObject({
  message: z.looseObject({ until: timestampSchema.optional(), reason: z.string().optional() }),
});

/** What the second run reads of the first one's file. */
export interface GivenTypedData {
  readonly whole: unknown;
  readonly until?: string;
  readonly reason?: string;
}

function addressOf(text: string): string {
  try {
    walletCredential(text);
    return text;
  } catch (error) {
    throw new InvalidArgumentError(`Expected an address: ${(error as Error).message}.`);
  }
}

export function withWallet(command: Command): Command {
  return command
    .option('--wallet <address>', 'decide with this Ethereum wallet; the identity only reads', addressOf)
    .option(
      '--typed-data <file>',
      'where the typed data for the wallet is written, and read with --signature',
    )
    .option('--signature <hex>', "the wallet's signature of the typed data, 65 bytes in 0x-hex");
}

/** Who decides: the wallet that is named, else the identity. Throws CliError `usage`. */
export function deciderOf(
  { signer }: SignedSession,
  { wallet, typedData, signature }: WalletOptions,
): Author {
  if (wallet === undefined && (typedData ?? signature) !== undefined)
    throw new CliError('usage', 'only wallets sign typed data here', 'name one with --wallet');
  if (wallet === undefined) return signer;
  if (typedData === undefined)
    throw new CliError('usage', 'a wallet signs typed data', 'name a file for it with --typed-data');
  return { credential: walletCredential(wallet) };
}

/** What was handed to the wallet, when its signature is given. Throws CliError. */
export async function givenTypedData({
  typedData,
  signature,
}: WalletOptions): Promise<GivenTypedData | undefined> {
  if (typedData === undefined) return undefined;
  if (signature === undefined) {
    await requireFree(typedData);
    return undefined;
  }
  const whole = await readJson(typedData, typedDataSchema, 'typed data of a decision');
  const { until, reason } = whole.message;
  return { whole, ...(until !== undefined && { until }), ...(reason !== undefined && { reason }) };
}

/** So that the same decision is made again: when it ends, as its typed data has it. */
export function lifetimeOf(given: GivenTypedData | undefined, now: number): { lifetimeMs?: number } {
  return given?.until === undefined ? {} : { lifetimeMs: timeOf(given.until) - now };
}

/**
 * The decision with its signature; undefined when its typed data was written for a wallet to sign. Throws CliError, and
 * RecordError `bad_signature`.
 */
export async function signedByDecider(
  context: CommandContext,
  options: WalletOptions,
  networkId: string,
  built: BuiltRecord,
  given: GivenTypedData | undefined,
): Promise<BuiltRecord | undefined> {
  const { wallet, typedData, signature } = options;
  if (wallet === undefined || typedData === undefined) return built;
  const shown = typedDataOf(built.envelope, networkId);
  if (given === undefined || signature === undefined) {
    await writeOut(typedData, jsonText(shown));
    printResult(context, options, { decisionId: built.id, file: typedData }, () => [
      `written to ${typedData}`,
      `Next: sign it with ${wallet} (eth_signTypedData_v4, or cast wallet sign --data --from-file ${typedData}), and run the same command with --signature 0x...`,
    ]);
    return undefined;
  }
  if (!isDeepStrictEqual(given.whole, JSON.parse(JSON.stringify(shown))))
    throw new CliError(
      'failed',
      `${typedData} is not the typed data of this decision: another action, or you have decided on it since`,
      'remove the file, and have the typed data written and signed anew',
    );
  return { ...built, envelope: withWalletSignature(built.envelope, networkId, wallet, signature) };
}
