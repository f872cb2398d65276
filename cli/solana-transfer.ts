// `countersign sign --transfer`: builds a Solana transfer from options, so that nobody needs other software for the most
// common transaction. It is good until its nonce is used, for approvals take longer than a blockhash lives.
import { type Command, InvalidArgumentError } from 'commander';
import { toHex } from '../protocol/hex.ts';
import { addressesOf } from '../protocol/keys/key-type.ts';
import { type Payload, PayloadError, type PayloadKey } from '../protocol/payloads/payload.ts';
import type { BuildLifetime } from '../protocol/payloads/solana-build.ts';
import { baseUnits } from '../protocol/policy/decimal.ts';
import { tokenTransferMessage, transferMessage } from '../protocol/payloads/solana-transfer.ts';
import { CliError } from './errors.ts';

export interface TransferOptions {
  readonly transfer?: string;
  readonly to?: string;
  readonly token?: string;
  readonly decimals?: number;
  readonly nonceAccount?: string;
  readonly nonce?: string;
  readonly nonceAuthority?: string;
  readonly blockhash?: string;
}

/** All but `transfer` itself, as they are typed. */
const partsOfTransfer = {
  to: '--to',
  token: '--token',
  decimals: '--decimals',
  nonceAccount: '--nonce-account',
  nonce: '--nonce',
  nonceAuthority: '--nonce-authority',
  blockhash: '--blockhash',
} as const satisfies Partial<Record<keyof TransferOptions, string>>;

const solDecimals = 9;

function parseDecimals(text: string): number {
  if (/^\d{1,3}$/.test(text) && Number(text) <= 255) return Number(text);
  throw new InvalidArgumentError('Expected a number from 0 to 255.');
}

export function withTransfer(command: Command): Command {
  return command
    .option('--transfer <amount>', 'build a Solana transfer: of so many SOL, or of so many tokens, as 1.5')
    .option('--to <address>', 'wallet that gets it')
    .option('--token <mint>', 'SPL token to transfer, instead of SOL: the address of its mint')
    .option('--decimals <n>', 'decimals of that token', parseDecimals)
    .option('--nonce-account <address>', 'nonce account, which keeps the transfer good until it is sent')
    .option('--nonce <value>', 'nonce that this account holds now')
    .option('--nonce-authority <address>', 'who signs for the nonce account (default: the key itself)')
    .option('--blockhash <hash>', 'recent blockhash, instead of a nonce: good for a minute only');
}

/** Whether the options ask for a transfer. Throws CliError `usage` when they are not those of one payload. */
export function asksForTransfer(options: TransferOptions & { payload?: string; kind?: string }): boolean {
  if (options.transfer !== undefined) {
    const other =
      options.payload !== undefined ? '--payload' : options.kind !== undefined ? '--kind' : undefined;
    if (other === undefined) return true;
    throw new CliError(
      'usage',
      `--transfer builds what is signed, and ${other} is for a file`,
      'give one of them',
    );
  }
  const part = Object.entries(partsOfTransfer).find(
    ([name]) => options[name as keyof TransferOptions] !== undefined,
  );
  if (part !== undefined) {
    throw new CliError('usage', `${part[1]} belongs to a transfer`, 'add --transfer with the amount');
  }
  if (options.payload !== undefined) return false;
  throw new CliError(
    'usage',
    'there is nothing to sign',
    'give --payload, or --transfer for a Solana transfer',
  );
}

/** Base units of a decimal amount. Throws CliError `usage`. */
function unitsOf(text: string, decimals: number, unit: string): bigint {
  const [, whole, fraction = ''] = /^(\d{1,40})(?:\.(\d+))?$/.exec(text) ?? [];
  if (whole === undefined) {
    throw new CliError(
      'usage',
      `"${text}" is no amount of ${unit}`,
      'give digits and at most one point, as 1.5',
    );
  }
  if (fraction.length > decimals) {
    const most = `${unit} ${unit === 'SOL' ? 'has' : 'have'} ${decimals} decimals`;
    throw new CliError('usage', `${text} has ${fraction.length} decimals, and ${most}`, 'correct the amount');
  }
  return baseUnits(text, decimals);
}

function lifetimeOf(options: TransferOptions, own: string): BuildLifetime {
  const { nonceAccount, nonce, nonceAuthority, blockhash } = options;
  if (blockhash !== undefined) {
    const part = (['nonceAccount', 'nonce', 'nonceAuthority'] as const).find(
      (name) => options[name] !== undefined,
    );
    if (part === undefined) return { recentBlockhash: blockhash };
    const both = `--blockhash and ${partsOfTransfer[part]} are of two kinds of transaction`;
    throw new CliError('usage', both, 'leave one of them out');
  }
  if (nonceAccount === undefined && nonce === undefined) {
    throw new CliError(
      'usage',
      'the transfer needs a durable nonce: with a recent blockhash the network takes it for about a minute only, and ' +
        'approvals take longer. A durable nonce is a value kept by a nonce account, and the transfer stays good until the ' +
        'account is advanced',
      `make one with "solana create-nonce-account FILE 0.0015 --nonce-authority ${own}", read its value with "solana ` +
        'nonce ACCOUNT", and give --nonce-account and --nonce; or --blockhash when all approvals are there at once',
    );
  }
  if (nonceAccount === undefined || nonce === undefined) {
    const missing = nonceAccount === undefined ? '--nonce-account' : '--nonce';
    throw new CliError(
      'usage',
      `a durable nonce is an account and its value, and ${missing} is not there`,
      'add it',
    );
  }
  return { nonce: { account: nonceAccount, value: nonce, authority: nonceAuthority ?? own } };
}

function build(options: TransferOptions, own: string): Uint8Array {
  const { to, token, decimals } = options;
  const transfer = options.transfer!;
  const lifetime = lifetimeOf(options, own);
  if (to === undefined)
    throw new CliError('usage', 'the transfer has no recipient', 'add --to with an address');
  if (token === undefined) {
    if (decimals !== undefined)
      throw new CliError(
        'usage',
        '--decimals are those of a token',
        'add --token with the address of its mint',
      );
    return transferMessage({ ...lifetime, from: own, to, lamports: unitsOf(transfer, solDecimals, 'SOL') });
  }
  if (decimals === undefined) {
    const what = 'a transfer of tokens says how many decimals they have, and the network checks it';
    throw new CliError('usage', what, 'add --decimals, as "spl-token display MINT" shows them');
  }
  const amount = unitsOf(transfer, decimals, 'these tokens');
  return tokenTransferMessage({ ...lifetime, from: own, to, mint: token, amount, decimals });
}

/** The transfer that options ask for, from the address of `key`. Throws CliError `usage`. */
export function transferPayload(options: TransferOptions, key: PayloadKey): Payload {
  const own = addressesOf(key.keyType, key.publicKey).find(({ chain }) => chain === 'solana')?.address;
  if (own === undefined) {
    const what = `--transfer builds Solana transfers, and a key of type ${key.keyType} has no address there`;
    throw new CliError('usage', what, 'name a key of type ed25519, or give --payload');
  }
  try {
    return { kind: 'solana.transaction', message: toHex(build(options, own)) };
  } catch (cause) {
    if (!(cause instanceof PayloadError)) throw cause;
    throw new CliError('usage', cause.message, 'correct the options', { cause });
  }
}
