// `countersign key request`: asks for a new key of a keyring.
import { Command, Option } from 'commander';
import { buildKeyRequest } from '../../client/records.ts';
import type { Hex } from '../../protocol/hex.ts';
import { type KeyType, keyTypeSchema } from '../../protocol/keys/key-type.ts';
import { labelSchema } from '../../protocol/records/fields.ts';
import type { Workspace } from '../../protocol/records/workspace.ts';
import type { CommandFactory } from '../command.ts';
import { CliError } from '../errors.ts';
import { uniqueId } from '../ids.ts';
import { keyJson, keyLines } from '../key-view.ts';
import { fetchKey } from '../keys.ts';
import { checkedBy, type SessionOptions, withExample, withWorkspace } from '../options.ts';
import { fields, printResult } from '../output.ts';
import { requireFulfilled, waitForRequest, waitSeconds } from '../requests.ts';
import { inWorkspace, trustedWorkspace } from '../session.ts';

interface Options extends SessionOptions {
  readonly label: string;
  readonly type: KeyType;
  readonly keyring?: string;
  readonly wait?: string | boolean;
}

/** One of the workspace's own keyrings: by id or the beginning of it, or the only one. */
function chooseKeyring({ keyrings }: Workspace, text: string | undefined): Hex {
  if (text !== undefined) return uniqueId(text, keyrings, 'keyring of this workspace');
  const [only, ...others] = keyrings;
  if (only !== undefined && others.length === 0) return only;
  throw new CliError('usage', `the workspace uses ${keyrings.length} keyrings`, 'choose one with --keyring');
}

export const keyRequest: CommandFactory = (context) =>
  withExample(
    withWorkspace(new Command('request'))
      .description('Ask for a new key. Its id is the id of this request.')
      .requiredOption('--label <label>', 'what people call it', checkedBy(labelSchema))
      .addOption(
        new Option('--type <type>', 'type of the key').choices(keyTypeSchema.options).makeOptionMandatory(),
      )
      .option('--keyring <id>', "keyring that makes it (default: the workspace's only one)")
      .option('--wait [seconds]', 'wait until it is made, at most so long')
      .action(async (options: Options) => {
        const seconds = waitSeconds(options.wait);
        await inWorkspace(context, options, async (session) => {
          const { client, networkId, signer } = session;
          const workspace = await trustedWorkspace(context, session);
          const keyringId = chooseKeyring(workspace, options.keyring);
          const { id, envelope } = buildKeyRequest(
            {
              networkId,
              workspace,
              keyringId,
              keyType: options.type,
              label: options.label,
              now: context.now(),
            },
            signer,
          );
          const first = await client.call('key_request', { request: envelope }, { signal: context.signal });
          const view =
            seconds === undefined
              ? first
              : await waitForRequest(context, session, { ...first, requestId: id }, seconds, options);
          if (view.state === 'fulfilled') {
            const proven = await fetchKey(context, session, workspace, id);
            printResult(context, options, { ...keyJson(proven), state: view.state }, () => keyLines(proven));
            return;
          }
          printResult(context, options, { keyId: id, state: view.state, label: options.label }, () =>
            fields([
              ['key', id],
              ['state', view.state],
            ]),
          );
          if (seconds !== undefined) requireFulfilled(view);
        });
      }),
    'countersign key request --label payroll --type ed25519 --wait',
  );
