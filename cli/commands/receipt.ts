// `countersign receipt get|verify`: everything signed about a fulfilled request in one file, and whether it holds. To verify
// needs no coordinator, profile or network: only the file, and from elsewhere the workspace's id.
import { Command } from 'commander';
import { RpcClientError } from '../../client/rpc-error.ts';
import type { Hex } from '../../protocol/hex.ts';
import { addressesOf } from '../../protocol/keys/key-type.ts';
import { fromHex } from '../../protocol/hex.ts';
import {
  decodeReceipt,
  encodeReceipt,
  maxReceiptBytes,
  type ReceiptProof,
  verifyReceipt,
} from '../../protocol/receipt.ts';
import { fingerprint } from '../../protocol/records/keyring-roster.ts';
import { originOf } from '../../protocol/records/request.ts';
import { readBounded } from '../bounded-file.ts';
import type { CommandFactory } from '../command.ts';
import { CliError } from '../errors.ts';
import { summaryOf } from '../item-summary.ts';
import { type JsonOption, type SessionOptions, withExample, withJson, withWorkspace } from '../options.ts';
import { fields, printResult } from '../output.ts';
import { verifying } from '../progress.ts';
import { requireFree, writeOut } from '../record-file.ts';
import { findRequest } from '../requests.ts';
import { inWorkspace, requireSame, trustedWorkspace } from '../session.ts';

interface GetOptions extends SessionOptions {
  readonly out: string;
}

interface VerifyOptions extends JsonOption {
  readonly workspace: string;
}

function workspaceId(text: string): Hex {
  if (/^0x[0-9a-f]{64}$/.test(text)) return text as Hex;
  throw new CliError('usage', `${text} is not a workspace id`, 'give the whole id: 0x and 64 hex digits');
}

function keyLinesOf({ key, request }: ReceiptProof): [string, string | string[]][] {
  if (key === undefined || request.kind !== 'key') return [];
  const addresses = addressesOf(key.keyType, fromHex(key.publicKey));
  const origin = originOf(request);
  return [
    ['key', `${request.label} (${key.keyType})`],
    ...(origin ? ([['derived', `${origin.path} of key ${origin.parent}`]] as [string, string][]) : []),
    ['public key', key.publicKey],
    ['address', addresses.map(({ chain, address }) => `${address} (${chain})`)],
  ];
}

function proofLines(proof: ReceiptProof): string[] {
  const { requestId, workspace, keyring, request, items, approvedBy, parties, signatures, networkId } = proof;
  const summaries = summaryOf(items.map(({ payload }) => payload));
  return [
    ...fields([
      ['verdict', 'everything in the receipt holds'],
      ['request', `${requestId} (${request.kind === 'sign' ? 'signatures' : 'a new key'})`],
      ['workspace', `${workspace.name} (${workspace.id})`],
      ['asked by', `${request.initiator} at ${request.created}`],
      ['approved by', approvedBy.join(', ')],
      ['keyring', `${keyring.roster.name} (${keyring.id})`],
      ['fingerprint', fingerprint(keyring.id)],
      ['parties', `${parties.join(', ')}: ${parties.length} of ${keyring.roster.parties.length}`],
      ['network', networkId],
      ...keyLinesOf(proof),
      [
        'not checked',
        [
          'time: when it was approved and signed, and whether an approval had run out by then',
          'whether a decision or result that was not needed was left out of the file',
        ],
      ],
    ]),
    ...items.flatMap(({ key }, index) => [
      '',
      `Item ${index + 1} of ${items.length}, by key "${key.label}"`,
      ...summaries[index]!.map((line) => `  ${line}`),
      `  signature ${signatures[index]!}`,
    ]),
  ];
}

function proofJson(proof: ReceiptProof): Record<string, unknown> {
  const { networkId, requestId, workspace, keyring, request, items, approvedBy, parties, signatures, key } =
    proof;
  return {
    verified: true,
    networkId,
    requestId,
    kind: request.kind,
    workspaceId: workspace.id,
    keyringId: keyring.id,
    initiator: request.initiator,
    created: request.created,
    approvedBy,
    parties,
    ...(key && { key: { keyType: key.keyType, publicKey: key.publicKey, ...originOf(request) } }),
    items: items.map(({ key: { id, label }, payload }, index) => ({
      keyId: id,
      label,
      facts: payload.facts,
      signature: signatures[index],
    })),
    timeChecked: false,
  };
}

/** A request that is not fulfilled is told as such. Throws CliError `waiting`, or the error itself. */
function throwUnready(error: unknown, requestId: Hex): never {
  if (!(error instanceof RpcClientError && error.code === 'wrong_state')) throw error;
  const remedy = `only fulfilled requests have receipts; see countersign request show ${requestId}`;
  throw new CliError('waiting', error.detail, remedy, { cause: error });
}

export const receiptGet: CommandFactory = (context) =>
  withExample(
    withWorkspace(new Command('get'))
      .description('Fetch the receipt of a fulfilled request, check it, and write it to a file.')
      .argument('<request>', "the request's id, or the beginning of it")
      .requiredOption('--out <file>', 'file to write; it must not exist')
      .action(async (text: string, options: GetOptions) => {
        await requireFree(options.out);
        await inWorkspace(context, options, async (session) => {
          const requestId = await findRequest(context, session, text);
          const workspace = await trustedWorkspace(context, session);
          const { receipt } = await session.client
            .call('receipt_get', { requestId }, { signal: context.signal })
            .catch((error: unknown) => throwUnready(error, requestId));
          const proof = verifyReceipt(receipt, { workspaceId: workspace.id });
          requireSame(proof.requestId, requestId, 'a receipt of');
          await writeOut(options.out, new TextDecoder().decode(encodeReceipt(receipt)));
          printResult(context, options, { file: options.out, ...proofJson(proof) }, () =>
            fields([
              ['receipt', options.out],
              ['request', requestId],
              ['verdict', 'everything in it holds'],
            ]),
          );
        });
      }),
    'countersign receipt get 0x7be2a1 --out receipt.json',
  );

export const receiptVerify: CommandFactory = (context) =>
  withExample(
    withJson(new Command('verify'))
      .description(
        'Verify a receipt offline: request, approvals, policy, key and every signature. Exit code 0 only when all of it ' +
          'holds; otherwise the first thing wrong is named.',
      )
      .argument('<file>', 'the receipt')
      .requiredOption('--workspace <id>', 'the workspace that you trust, from elsewhere than the file')
      .action(async (file: string, options: VerifyOptions) => {
        const trusted = workspaceId(options.workspace);
        const bytes = await readBounded(file, maxReceiptBytes, 'a receipt');
        const proof = await verifying(context, options, file, bytes, () =>
          verifyReceipt(decodeReceipt(bytes), { workspaceId: trusted }),
        );
        printResult(context, options, proofJson(proof), () => proofLines(proof));
      }),
    'countersign receipt verify receipt.json --workspace 0x9c...',
    'countersign receipt verify receipt.json --workspace 0x9c... --json',
  );
