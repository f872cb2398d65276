// `countersign node allow-connector`: signs a connector's grant with the party key, which never leaves the node's folder.
import { Command } from 'commander';
import { callControl, ControlError } from '../../node/control.ts';
import { connectorGrant } from '../../protocol/records/connector-grant.ts';
import { createRecord, ed25519Signer, type Envelope, verifyRecord } from '../../protocol/records/envelope.ts';
import { ed25519CredentialSchema, timestamp } from '../../protocol/records/fields.ts';
import type { CommandFactory } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { parseDuration } from '../duration.ts';
import { CliError } from '../errors.ts';
import { openSealed } from '../identities.ts';
import { type NodeFolder, readNodeFolder, storedRoster, storeGrant } from '../node-folder.ts';
import { type JsonOption, type PassphraseOption, withExample, withJson, withPassphrase } from '../options.ts';
import { fields, printResult } from '../output.ts';
import { jsonText, readRecord, writeOut } from '../record-file.ts';
import { openDraft } from '../roster.ts';

interface Options extends JsonOption, PassphraseOption {
  readonly dir: string;
  readonly expires?: number;
  readonly out?: string;
}

async function signGrant(
  context: CommandContext,
  options: Options,
  { paths, party, config }: NodeFolder,
  connector: string,
): Promise<{ envelope: Envelope; keyringId: string; expires: string }> {
  const roster = await storedRoster(paths);
  if (roster === undefined) {
    throw new CliError(
      'failed',
      `the node of ${config.dir} has no keyring yet`,
      'run countersign node join first',
    );
  }
  const { id: keyringId, roster: content } = openDraft(roster, config.networkId, paths.roster);
  const member = content.parties.find((candidate) => candidate.key === connector);
  if (member !== undefined) {
    throw new CliError(
      'usage',
      `${connector} is the party key of ${member.key === party.key ? 'this node' : member.name}`,
      "give the connector's own key, which countersign connector init printed",
    );
  }
  const expires = timestamp(context.now() + (options.expires ?? parseDuration('365d')));
  const identity = await openSealed(context, options, paths.identity, `node ${party.name}`);
  try {
    const envelope = createRecord(
      connectorGrant,
      { networkId: config.networkId, keyringId, party: party.key, connector, expires },
      ed25519Signer(identity.seed),
    );
    // Also refuses a connector key that is none.
    verifyRecord(connectorGrant, envelope, config.networkId);
    return { envelope, keyringId, expires };
  } finally {
    identity.seed.fill(0);
  }
}

/** Whether a file is an earlier grant of this party: the new one takes its place. */
async function isOwnGrant(path: string, { party, config }: NodeFolder): Promise<boolean> {
  try {
    const envelope = await readRecord(path, connectorGrant.type);
    return verifyRecord(connectorGrant, envelope, config.networkId).content.party === party.key;
  } catch {
    return false; // Nothing there, or something else: it is not replaced.
  }
}

/** Tells a running node; whether one runs. */
async function reload(context: CommandContext, dir: string): Promise<boolean> {
  try {
    await callControl(dir, 'reload', undefined, { environment: context.environment, signal: context.signal });
    return true;
  } catch (error) {
    if (error instanceof ControlError && error.code === 'not_running') return false;
    throw error;
  }
}

export const nodeAllowConnector: CommandFactory = (context) =>
  withExample(
    withPassphrase(withJson(new Command('allow-connector')))
      .description("Allow a connector's key to speak to this node and to hand in its results.")
      .argument('<key>', "the connector's credential, as countersign connector init prints it")
      .requiredOption('--dir <dir>', "the node's folder")
      .option('--expires <duration>', 'how long the grant holds (default: 365d)', parseDuration)
      .option('--out <file>', 'where to write the grant for the connector')
      .action(async (key: string, options: Options) => {
        if (!ed25519CredentialSchema.safeParse(key).success) {
          const remedy = 'give the credential that countersign connector init printed, ed25519:0x...';
          throw new CliError('usage', `${JSON.stringify(key)} is not a connector's key`, remedy);
        }
        const folder = await readNodeFolder(options.dir, context.environment);
        const { envelope, keyringId, expires } = await signGrant(context, options, folder, key);
        if (options.out !== undefined) {
          const replace = await isOwnGrant(options.out, folder);
          await writeOut(options.out, jsonText(envelope), { replace });
        }
        const stored = await storeGrant(folder.paths, key, envelope);
        const told = await reload(context, folder.config.dir);
        const file = options.out ?? stored;
        const value = {
          connector: key,
          party: folder.party.key,
          keyringId,
          expires,
          file,
          nodeReloaded: told,
        };
        printResult(context, options, value, () => [
          ...fields([
            ['connector', key],
            ['keyring', keyringId],
            ['expires', expires],
            ['grant', file],
            ['node', told ? 'admits it now' : 'is not running: it admits it from its next start'],
          ]),
          '',
          `Next: give ${file} to the connector.`,
        ]);
      }),
    'countersign node allow-connector ed25519:0x5ad2... --dir /var/lib/countersign/node --out grant.json',
  );
