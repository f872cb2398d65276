// `countersign keyring show`: keyrings as their rosters prove them, and whose connectors were heard of lately.
import { Command } from 'commander';
import { fingerprint, type Keyring, openKeyring } from '../../protocol/records/keyring-roster.ts';
import type { KeyringView } from '../../protocol/rpc.ts';
import type { CommandFactory } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { CliError } from '../errors.ts';
import { allPages, uniqueId, wholeId } from '../ids.ts';
import { type SessionOptions, withCoordinator, withExample } from '../options.ts';
import { printResult, shortId, table } from '../output.ts';
import { jsonText, writeOut } from '../record-file.ts';
import { describeRoster, openDraft, rosterJson } from '../roster.ts';
import { openSession, type OpenSession } from '../session.ts';

interface Options extends SessionOptions {
  readonly out?: string;
}

/** Throws RecordError, or CliError `failed` when the roster is of another keyring than the view says. */
function proveKeyring(view: KeyringView, networkId: string): Keyring {
  const keyring = openKeyring(view.roster, networkId);
  if (keyring.id === view.keyringId) return keyring;
  throw new CliError(
    'failed',
    `the coordinator's roster of ${view.keyringId} is of ${keyring.id}`,
    'ask its operator',
  );
}

async function listKeyrings(context: CommandContext, { client }: OpenSession): Promise<KeyringView[]> {
  return await allPages((page) => client.call('keyring_list', { ...page }, { signal: context.signal }));
}

function presence(view: KeyringView): { party: string; connector: string; node: string }[] {
  return view.presence.map(({ party, seen, nodeUp }) => ({
    party,
    connector: seen ?? 'never',
    node: seen === undefined ? 'unknown' : nodeUp ? 'up' : 'down',
  }));
}

async function showAll(context: CommandContext, session: OpenSession, options: Options): Promise<void> {
  const keyrings = (await listKeyrings(context, session)).map((view) =>
    proveKeyring(view, session.networkId),
  );
  const value = keyrings.map(({ envelope }) =>
    rosterJson(openDraft(envelope, session.networkId, 'the roster')),
  );
  printResult(context, options, value, () =>
    table(
      ['id', 'name', 'threshold', 'parties', 'fingerprint'],
      keyrings.map(({ id, roster }) => [
        shortId(id),
        roster.name,
        `${roster.threshold} of ${roster.parties.length}`,
        roster.parties.map((party) => party.name).join(' '),
        fingerprint(id),
      ]),
    ),
  );
}

export const keyringShow: CommandFactory = (context) =>
  withExample(
    withCoordinator(new Command('show'))
      .description('Show a keyring with its roster and the presence of its parties, or list all keyrings.')
      .argument('[id]', "the keyring's id, or the beginning of it")
      .option('--out <file>', 'also write the signed roster to this file, for countersign node join')
      .action(async (text: string | undefined, options: Options) => {
        const session = await openSession(context, options);
        if (text === undefined) {
          if (options.out !== undefined)
            throw new CliError('usage', '--out needs one keyring', 'name its id');
          await showAll(context, session, options);
          return;
        }
        const ids = async () => (await listKeyrings(context, session)).map((view) => view.keyringId);
        const keyringId = wholeId(text) ?? uniqueId(text, await ids(), 'keyring');
        const view = await session.client.call('keyring_get', { keyringId }, { signal: context.signal });
        const { id, envelope } = proveKeyring(view, session.networkId);
        if (id !== keyringId)
          throw new CliError('failed', `the coordinator answered with keyring ${id}`, 'ask its operator');
        if (options.out !== undefined) await writeOut(options.out, jsonText(envelope));
        const draft = openDraft(envelope, session.networkId, 'the roster');
        const names = new Map(draft.roster.parties.map((party) => [party.key, party.name]));
        printResult(context, options, { ...rosterJson(draft), presence: view.presence }, () => [
          ...describeRoster(draft),
          '',
          ...table(
            ['party', 'connector last seen', 'node'],
            presence(view).map((entry) => [
              names.get(entry.party) ?? entry.party,
              entry.connector,
              entry.node,
            ]),
          ),
        ]);
      }),
    'countersign keyring show',
    'countersign keyring show 0x3fa9c1 --out roster.complete.json',
  );
