// `countersign blame verify`: whether a blame bundle proves what it says. Needs no coordinator, node, profile or network:
// only the file, and from elsewhere the keyring's id.
import { Command } from 'commander';
import type { Hex } from '../../protocol/hex.ts';
import { fingerprint } from '../../protocol/records/keyring-roster.ts';
import { readBounded } from '../bounded-file.ts';
import type { CommandFactory } from '../command.ts';
import { CliError } from '../errors.ts';
import { type JsonOption, withExample, withJson } from '../options.ts';
import { fields, printResult } from '../output.ts';
import { verifying } from '../progress.ts';

interface Options extends JsonOption {
  readonly keyring?: string;
}

function keyringId(text: string): Hex {
  if (/^0x[0-9a-f]{64}$/.test(text)) return text as Hex;
  throw new CliError('usage', `${text} is not a keyring id`, 'give the whole id: 0x and 64 hex digits');
}

export const blameVerify: CommandFactory = (context) =>
  withExample(
    withJson(new Command('verify'))
      .description(
        'Verify a blame bundle: replay the fault from the messages that the accused party signed. Exit code 0 only when ' +
          'it proves what it says.',
      )
      .argument('<file>', 'the bundle, as a node has written it')
      .option('--keyring <id>', 'the keyring whose parties you trust to be the ones meant')
      .action(async (file: string, options: Options) => {
        const [{ verifyBlame }, { maxBundleBytes }] = await Promise.all([
          import('../../node/sessions/blame/verify.ts'),
          import('../../node/sessions/blame/bundle.ts'),
        ]);
        const pinned = options.keyring === undefined ? undefined : keyringId(options.keyring);
        const bytes = await readBounded(file, maxBundleBytes + 1, 'a bundle');
        const verdict = await verifying(context, options, file, bytes, () =>
          verifyBlame(bytes, pinned === undefined ? {} : { keyringId: pinned }),
        );
        const trusted =
          pinned === undefined
            ? 'only that this is your keyring: compare its id, or give it with --keyring'
            : 'the keyring given with --keyring';
        printResult(context, options, { proven: true, ...verdict, pinned: pinned !== undefined }, () =>
          fields([
            ['verdict', `proven: ${verdict.fault}`],
            ['party', `${verdict.party.name} (party ${verdict.party.index})`],
            ['key', verdict.accused],
            ['fault', verdict.code],
            ['found', verdict.detail],
            ['request', `${verdict.requestId} (${verdict.purpose === 'sign' ? 'signing' : 'a new key'})`],
            ['attempt', verdict.attemptId],
            ['leader', verdict.leader],
            ['session', verdict.session],
            ['network', verdict.networkId],
            ['keyring', `${verdict.keyringId} (${verdict.keyringName})`],
            ['fingerprint', fingerprint(verdict.keyringId)],
            ['trusted', trusted],
            ['bundle', verdict.id],
          ]),
        );
      }),
    'countersign blame verify /var/lib/countersign/node/blame/5f1c0a77d2e94b36-0c81.json --keyring 0x6a...',
    'countersign blame verify bundle.json --json',
  );
