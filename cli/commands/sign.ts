// `countersign sign`: asks for a signature, and with `--wait` verifies and prints it.
import { Command, Option } from 'commander';
import { buildSignRequest } from '../../client/records.ts';
import { maxRequestLifetime } from '../../protocol/authorize.ts';
import { fromHex } from '../../protocol/hex.ts';
import { decodePayload, type Payload } from '../../protocol/payloads/payload.ts';
import type { CommandFactory } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { parseDuration } from '../duration.ts';
import { CliError } from '../errors.ts';
import { findKey, proveKey } from '../keys.ts';
import { type SessionOptions, withExample, withWorkspace } from '../options.ts';
import { expiryWarnings, nonceWarnings } from '../nonce-conflicts.ts';
import { printNotes } from '../output.ts';
import { summaryOf } from '../item-summary.ts';
import { readPayloads } from '../payload-file.ts';
import { requireFree } from '../record-file.ts';
import { reportRequest } from '../request-report.ts';
import { proveRequest, waitForRequest, waitSeconds } from '../requests.ts';
import { inWorkspace, trustedFamily } from '../session.ts';
import { asksForTransfer, type TransferOptions, transferPayload, withTransfer } from '../solana-transfer.ts';

interface Options extends SessionOptions, TransferOptions {
  readonly key: string;
  readonly payload?: string;
  readonly kind?: Payload['kind'];
  readonly wait?: string | boolean;
  readonly expires?: number;
  readonly out?: string;
}

/** What can be wrong with the options is found before anything is asked for. Throws CliError. */
async function checkOptions(options: Options) {
  const transfer = asksForTransfer(options);
  const seconds = waitSeconds(options.wait);
  if (options.out !== undefined && seconds === undefined) {
    throw new CliError('usage', '--out has nothing to write without --wait', 'add --wait');
  }
  if (options.out !== undefined) await requireFree(options.out);
  if (options.expires !== undefined && options.expires > maxRequestLifetime) {
    throw new CliError('usage', 'no request lives longer than 30 days', 'give --expires 30d or less');
  }
  return { seconds, transfer };
}

async function sign(context: CommandContext, options: Options): Promise<void> {
  const { seconds, transfer } = await checkOptions(options);
  await inWorkspace(context, options, async (session) => {
    const { client, networkId, signer } = session;
    const family = await trustedFamily(context, session);
    const { workspace } = family;
    const { key } = proveKey(await findKey(context, session, options.key), workspace, networkId);
    const payloadKey = { keyType: key.keyType, publicKey: fromHex(key.publicKey) };
    const payloads = transfer
      ? [transferPayload(options, payloadKey)]
      : await readPayloads(options.payload!, options.kind, payloadKey);
    const decoded = payloads.map((payload) => decodePayload(payload, payloadKey));
    printNotes(context, summaryOf(decoded).flat());
    const items = payloads.map((payload) => ({ keyId: key.id, key: payloadKey, payload }));
    const warnings = [
      ...expiryWarnings(decoded),
      ...(await nonceWarnings(context, session, workspace, items)),
    ];
    printNotes(
      context,
      warnings.map((warning) => `WARNING: ${warning}`),
    );
    const { id, envelope } = buildSignRequest(
      {
        networkId,
        ...family,
        items: payloads.map((payload) => ({ keyId: key.id, payload })),
        now: context.now(),
        ...(options.expires !== undefined && { lifetimeMs: options.expires }),
      },
      signer,
    );
    const first = await client.call('sign_request', { request: envelope }, { signal: context.signal });
    const request = proveRequest(first, id, workspace, networkId);
    printNotes(context, [`request ${id}`]);
    const view =
      seconds === undefined
        ? first
        : await waitForRequest(context, session, { ...first, requestId: id }, seconds, options);
    await reportRequest(context, session, workspace, view, request, {
      json: options.json,
      out: options.out,
      final: seconds !== undefined,
    });
  });
}

const described = (): Command =>
  withWorkspace(new Command('sign'))
    .description('Ask for a signature by a key of the workspace; with --wait, verify and print it.')
    .requiredOption('--key <key>', 'key that signs: its id, the beginning of it, or its label')
    .option(
      '--payload <file>',
      'unsigned EVM transaction in 0x-hex, PSBT, unsigned Solana transaction as base64, typed data (EIP-712) or payload as JSON, or a text with --kind message or evm.message',
    )
    .addOption(
      new Option('--kind <kind>', 'what the file holds').choices([
        'solana.transaction',
        'bitcoin.psbt',
        'evm.transaction',
        'message',
        'evm.message',
        'evm.typedData',
      ]),
    );

export const signCommand: CommandFactory = (context) =>
  withExample(
    withTransfer(described())
      .option('--wait [seconds]', 'wait until the request is final, at most so long')
      .option(
        '--expires <duration>',
        'when the request ends (default: 24h; rules of the policy may end it before)',
        parseDuration,
      )
      .option(
        '--out <file>',
        'write the signed transaction or message to this file (EVM: in 0x-hex; Bitcoin: in hex, or a PSBT; others: base64)',
      )
      .action(async (options: Options) => {
        await sign(context, options);
      }),
    'countersign sign --key payroll --payload transfer.json --wait --out signed.txt',
    'countersign sign --key payroll --transfer 1.5 --to ADDRESS --nonce-account ADDRESS --nonce VALUE',
    'countersign sign --key payroll --transfer 20 --token MINT --decimals 6 --to ADDRESS \\',
    '  --nonce-account ADDRESS --nonce VALUE --wait --out signed.txt',
    'countersign sign --key vault --payload spend.psbt --wait --out spend.hex',
    'countersign sign --key treasury --payload transfer.hex --wait --out signed.hex',
    'countersign sign --key treasury --payload permit.json --wait',
    'countersign sign --key payroll --payload statement.txt --kind message --wait 60 --json',
  );
