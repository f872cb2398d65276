// `countersign key request`: asks for a new key of a keyring, or for one that is derived from a key of the workspace.
import { Command, Option } from 'commander';
import { buildKeyRequest } from '../../client/records.ts';
import type { Hex } from '../../protocol/hex.ts';
import { derivationPathSchema } from '../../protocol/keys/derivation.ts';
import { type KeyType, keyTypeSchema } from '../../protocol/keys/key-type.ts';
import { labelSchema } from '../../protocol/records/fields.ts';
import type { Origin } from '../../protocol/records/request.ts';
import type { Workspace } from '../../protocol/records/workspace.ts';
import type { CommandFactory } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { CliError } from '../errors.ts';
import { uniqueId } from '../ids.ts';
import { keyJson, keyLines } from '../key-view.ts';
import { fetchKey, findKey, proveKey } from '../keys.ts';
import { checkedBy, type SessionOptions, withExample, withWorkspace } from '../options.ts';
import { fields, printResult } from '../output.ts';
import { readPolicy } from '../policy-file.ts';
import { requireFulfilled, waitForRequest, waitSeconds } from '../requests.ts';
import { inWorkspace, trustedFamily, type WorkspaceSession } from '../session.ts';

interface Options extends SessionOptions {
  readonly label: string;
  readonly type?: KeyType;
  readonly keyring?: string;
  readonly parent?: string;
  readonly path?: string;
  readonly policy?: string;
  readonly wait?: string | boolean;
}

/** One of the workspace's own keyrings: by id or the beginning of it, or the only one. */
function chooseKeyring({ keyrings }: Workspace, text: string | undefined): Hex {
  if (text !== undefined) return uniqueId(text, keyrings, 'keyring of this workspace');
  const [only, ...others] = keyrings;
  if (only !== undefined && others.length === 0) return only;
  throw new CliError('usage', `the workspace uses ${keyrings.length} keyrings`, 'choose one with --keyring');
}

/** What is asked for: where the key is made, of which type, and from which other key. */
interface Wanted {
  readonly keyringId: Hex;
  readonly keyType: KeyType;
  readonly origin?: Origin;
}

function generated({ type, keyring }: Options, workspace: Workspace): Wanted {
  if (type !== undefined) return { keyringId: chooseKeyring(workspace, keyring), keyType: type };
  throw new CliError('usage', 'no --type is given', 'give one, or --parent and --path to derive a key');
}

/** A key derived from a proven one. Throws CliError `usage` when it cannot be; VerificationError. */
async function derived(
  context: CommandContext,
  session: WorkspaceSession,
  workspace: Workspace,
  options: Options,
): Promise<Wanted> {
  const { parent: text = '', path = '', type, keyring } = options;
  const { key } = proveKey(await findKey(context, session, text), workspace, session.networkId);
  const { id, keyType, keyringId, label, origin } = key;
  if (origin !== undefined) {
    const message = `key "${label}" is itself derived, by ${origin.path} from ${origin.parent}`;
    const longer = `--parent ${origin.parent} --path ${origin.path}${path.slice(1)}`;
    throw new CliError('usage', message, `derive from its root: ${longer}`);
  }
  if (type !== undefined && type !== keyType)
    throw new CliError('usage', `key "${label}" is of type ${keyType}, not ${type}`, 'leave --type out');
  if (
    keyring !== undefined &&
    uniqueId(keyring, workspace.keyrings, 'keyring of this workspace') !== keyringId
  )
    throw new CliError('usage', `key "${label}" is of keyring ${keyringId}`, 'leave --keyring out');
  return { keyringId, keyType, origin: { parent: id, path } };
}

/** Throws CliError `usage` unless there is a parent and a path, or neither. */
function requireBoth({ parent, path }: Options): void {
  if ((parent === undefined) === (path === undefined)) return;
  const [given, other] = parent === undefined ? ['--path', '--parent'] : ['--parent', '--path'];
  throw new CliError('usage', `${given} is given without ${other}`, 'give both to derive a key, or neither');
}

export const keyRequest: CommandFactory = (context) =>
  withExample(
    withWorkspace(new Command('request'))
      .description('Ask for a new key. Its id is the id of this request.')
      .requiredOption('--label <label>', 'what people call it', checkedBy(labelSchema))
      .addOption(
        new Option('--type <type>', "type of the key (default: the parent's)").choices(keyTypeSchema.options),
      )
      .option('--keyring <id>', "keyring that makes it (default: the parent's, or the workspace's only one)")
      .option('--parent <key>', 'derive it from this key: its id, the beginning of it, or its label')
      .option(
        '--path <path>',
        'how to derive it: 1 to 10 indices below 2147483648, none of them hardened, like m/0/7',
        checkedBy(derivationPathSchema),
      )
      .option(
        '--policy <file>',
        'who must approve its requests, as YAML, instead of the policy of the workspace',
      )
      .option('--wait [seconds]', 'wait until it is made, at most so long')
      .action(async (options: Options) => {
        const seconds = waitSeconds(options.wait);
        requireBoth(options);
        const policy = options.policy === undefined ? undefined : await readPolicy(options.policy, 'sign');
        await inWorkspace(context, options, async (session) => {
          const { client, networkId, signer } = session;
          const family = await trustedFamily(context, session);
          const { workspace } = family;
          const wanted =
            options.parent === undefined
              ? generated(options, workspace)
              : await derived(context, session, workspace, options);
          const { id, envelope } = buildKeyRequest(
            {
              networkId,
              ...family,
              ...wanted,
              label: options.label,
              now: context.now(),
              ...(policy && { policy }),
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
          const { state } = view;
          const { origin } = wanted;
          printResult(context, options, { keyId: id, state, label: options.label, ...origin }, () =>
            fields([
              ['key', id],
              ['derived', origin && `${origin.path} of key ${origin.parent}`],
              ['state', state],
            ]),
          );
          if (seconds !== undefined) requireFulfilled(view);
        });
      }),
    'countersign key request --label payroll --type ed25519 --wait',
    'countersign key request --label customer-7 --parent payroll --path m/0/7 --wait',
  );
