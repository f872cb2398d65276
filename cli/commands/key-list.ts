// `countersign key list`, `show` and `verify`: keys as their certificates prove them, whatever the coordinator says.
import { Command } from 'commander';
import type { ProvenKey } from '../../client/verify.ts';
import type { Origin } from '../../protocol/records/request.ts';
import type { Workspace } from '../../protocol/records/workspace.ts';
import type { KeyView } from '../../protocol/rpc.ts';
import type { CommandFactory } from '../command.ts';
import { keyJson, keyLines } from '../key-view.ts';
import { findKey, listKeys, proveKey } from '../keys.ts';
import { type SessionOptions, withExample, withWorkspace } from '../options.ts';
import { fields, printResult, shortId, table } from '../output.ts';
import { inWorkspace, trustedWorkspace } from '../session.ts';

type Listed = { readonly view: KeyView } & ({ readonly proven: ProvenKey } | { readonly problem: string });

/** A key with its proof, or why there is none. */
function judge(view: KeyView, workspace: Workspace, networkId: string): Listed {
  try {
    return { view, proven: proveKey(view, workspace, networkId) };
  } catch (error) {
    return {
      view,
      problem: view.state === 'fulfilled' ? `does not verify: ${(error as Error).message}` : '',
    };
  }
}

/** Of a derived key, as far as it is known: proven, or as the coordinator tells it. */
function originIn(entry: Listed): Origin | undefined {
  if ('proven' in entry) return entry.proven.key.origin;
  const { parent, path } = entry.view;
  return parent === undefined || path === undefined ? undefined : { parent, path };
}

function derivedText(entry: Listed, id = (keyId: string): string => keyId): string | undefined {
  const origin = originIn(entry);
  return origin && `${origin.path} of ${id(origin.parent)}`;
}

function listedJson(entry: Listed): Record<string, unknown> {
  const { keyId, label, keyType, state } = entry.view;
  return 'proven' in entry
    ? { ...keyJson(entry.proven), state }
    : {
        keyId,
        label,
        keyType,
        ...originIn(entry),
        state,
        verified: false,
        ...(entry.problem !== '' && { problem: entry.problem }),
      };
}

/** A column tells where keys come from, once there is a derived one. */
function listed(entries: readonly Listed[]): string[] {
  const origins = entries.map((entry) => derivedText(entry, shortId));
  const some = origins.some((origin) => origin !== undefined);
  return table(
    ['id', 'label', 'type', 'state', ...(some ? ['derived'] : []), 'address'],
    entries.map((entry, index) => [
      shortId(entry.view.keyId),
      entry.view.label,
      entry.view.keyType,
      entry.view.state,
      ...(some ? [origins[index] ?? '-'] : []),
      'proven' in entry ? entry.proven.addresses.map(({ address }) => address).join(' ') : entry.problem,
    ]),
  );
}

export const keyList: CommandFactory = (context) =>
  withExample(
    withWorkspace(new Command('list'))
      .description('List the keys of the workspace, those still being made included.')
      .action(async (options: SessionOptions) => {
        await inWorkspace(context, options, async (session) => {
          const workspace = await trustedWorkspace(context, session);
          const entries = (await listKeys(context, session)).map((view) =>
            judge(view, workspace, session.networkId),
          );
          printResult(context, options, entries.map(listedJson), () =>
            entries.length === 0 ? ['no keys: ask for one with countersign key request'] : listed(entries),
          );
        });
      }),
    'countersign key list',
  );

export const keyShow: CommandFactory = (context) =>
  withExample(
    withWorkspace(new Command('show'))
      .description('Show a key: how it stands, and once it is made, what its certificate proves.')
      .argument('<key>', 'its id, the beginning of it, or its label')
      .action(async (text: string, options: SessionOptions) => {
        await inWorkspace(context, options, async (session) => {
          const workspace = await trustedWorkspace(context, session);
          const entry = judge(await findKey(context, session, text), workspace, session.networkId);
          printResult(context, options, listedJson(entry), () =>
            'proven' in entry
              ? keyLines(entry.proven)
              : fields([
                  ['key', entry.view.label],
                  ['id', entry.view.keyId],
                  ['type', entry.view.keyType],
                  ['derived', derivedText(entry)],
                  ['state', entry.view.state],
                  ['problem', entry.problem === '' ? undefined : entry.problem],
                ]),
          );
        });
      }),
    'countersign key show payroll',
  );

export const keyVerify: CommandFactory = (context) =>
  withExample(
    withWorkspace(new Command('verify'))
      .description('Check the certificate of a key and print its address. Do this before you fund it.')
      .argument('<key>', 'its id, the beginning of it, or its label')
      .action(async (text: string, options: SessionOptions) => {
        await inWorkspace(context, options, async (session) => {
          const workspace = await trustedWorkspace(context, session);
          const proven = proveKey(await findKey(context, session, text), workspace, session.networkId);
          printResult(context, options, keyJson(proven), () => keyLines(proven));
        });
      }),
    'countersign key verify payroll',
    'countersign key verify payroll --json | jq -r ".addresses[0].address"',
  );
