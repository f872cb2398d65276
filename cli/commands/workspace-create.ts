// `countersign workspace create`: signs and registers a workspace's genesis. Its id is what every later check rests on.
import { Command } from 'commander';
import { buildGenesis } from '../../client/records.ts';
import { describePolicy } from '../../protocol/policy/explain.ts';
import { defaultPolicy } from '../../protocol/policy/schema.ts';
import { credentialSchema, labelSchema, nameSchema } from '../../protocol/records/fields.ts';
import type { Principal } from '../../protocol/records/workspace-genesis.ts';
import { openKeyring } from '../../protocol/records/keyring-roster.ts';
import { openWorkspace } from '../../protocol/records/workspace.ts';
import type { CommandFactory } from '../command.ts';
import { CliError } from '../errors.ts';
import { requireId } from '../ids.ts';
import {
  checkedBy,
  collect,
  type SessionOptions,
  withCoordinator,
  withExample,
  withIdentity,
} from '../options.ts';
import { printNotes, printResult } from '../output.ts';
import { readPolicy } from '../policy-file.ts';
import { changeProfile, readProfileFile } from '../profile.ts';
import { withSigner } from '../session.ts';
import { workspaceJson, workspaceLines } from '../workspace-view.ts';

interface Options extends SessionOptions {
  readonly name: string;
  readonly owner: readonly string[];
  readonly keyring: readonly string[];
  readonly signPolicy?: string;
  readonly adminPolicy?: string;
  readonly parent?: string;
}

/** Owners from NAME=CREDENTIAL; a name that occurs again has several credentials. Throws CliError `usage`. */
function parseOwners(texts: readonly string[]): Principal[] {
  const owners = new Map<string, string[]>();
  for (const text of texts) {
    const [name = '', credential = ''] = text.split(/=(.*)/s);
    if (!nameSchema.safeParse(name).success || !credentialSchema.safeParse(credential).success) {
      const remedy =
        'write NAME=CREDENTIAL: ed25519:0x... as countersign identity show NAME prints it, or that of a wallet or passkey (docs/credentials.md)';
      throw new CliError('usage', `--owner ${JSON.stringify(text)} is not an owner`, remedy);
    }
    owners.set(name, [...(owners.get(name) ?? []), credential]);
  }
  return [...owners].map(([name, credentials]) => ({ name, credentials }));
}

export const workspaceCreate: CommandFactory = (context) =>
  withExample(
    withIdentity(withCoordinator(new Command('create')))
      .description('Make a workspace: who owns it, which keyrings it uses, and who must approve what.')
      .requiredOption('--name <name>', 'its name, for people', checkedBy(labelSchema))
      .requiredOption('--owner <name=credential>', 'an owner; once for each', collect)
      .requiredOption('--keyring <id>', 'a keyring it may use, by its whole id; once for each', collect)
      .option(
        '--sign-policy <file>',
        "who must approve requests, as YAML (default: any one owner; of a child, as the parent's policy has it)",
      )
      .option(
        '--admin-policy <file>',
        'who must approve changes of the workspace (default: a majority of the owners)',
      )
      .option('--parent <id>', 'the workspace that it is a child of, by its whole id')
      .action(async (options: Options) => {
        const parent = options.parent === undefined ? undefined : requireId(options.parent, 'workspace');
        const owners = parseOwners(options.owner);
        const keyrings = options.keyring.map((id) => requireId(id, 'keyring'));
        const signPolicy =
          options.signPolicy === undefined ? undefined : await readPolicy(options.signPolicy, 'sign');
        const adminPolicy =
          options.adminPolicy === undefined ? undefined : await readPolicy(options.adminPolicy, 'admin');
        const trusted = (await readProfileFile(context)).workspaceId;
        await withSigner(context, options, async ({ client, networkId, signer }) => {
          if (!owners.some((owner) => owner.credentials.includes(signer.credential))) {
            const remedy = `add --owner NAME=${signer.credential}, or sign as one of them with --as`;
            throw new CliError('usage', 'the identity that signs is none of the owners', remedy);
          }
          for (const keyringId of keyrings) {
            const view = await client.call('keyring_get', { keyringId }, { signal: context.signal });
            const { id } = openKeyring(view.roster, networkId);
            if (id !== keyringId)
              throw new CliError('failed', `the coordinator answered with keyring ${id}`, 'ask its operator');
          }
          const { id, envelope } = buildGenesis(
            {
              networkId,
              name: options.name,
              owners,
              keyrings,
              now: context.now(),
              ...(signPolicy && { signPolicy }),
              ...(adminPolicy && { adminPolicy }),
              ...(parent !== undefined && { parent }),
            },
            signer,
          );
          if (signPolicy === undefined && parent === undefined) {
            printNotes(context, [
              'warning: the default sign policy lets any one owner alone spend everything; give --sign-policy to change it:',
              ...describePolicy(defaultPolicy).map((line) => `  ${line}`),
            ]);
          }
          await client.call('workspace_create', { genesis: envelope }, { signal: context.signal });
          if (trusted === undefined) await changeProfile(context, { workspaceId: id });
          const workspace = openWorkspace([envelope], networkId);
          const value = { ...workspaceJson(workspace), savedInProfile: trusted === undefined };
          printResult(context, options, value, () => [
            ...workspaceLines(workspace),
            '',
            trusted === undefined
              ? 'Saved as the trusted workspace in profile.yaml.'
              : `The profile trusts workspace ${trusted}: use --workspace ${id}, or countersign profile set workspaceId ${id}.`,
            `Next: every other owner runs countersign profile set workspaceId ${id}, with the id as you tell it.`,
            ...(parent === undefined
              ? []
              : [
                  `Then an owner of the parent proposes it: countersign workspace add-child ${id} --workspace ${parent}. Nothing is signed for it before.`,
                ]),
          ]);
        });
      }),
    'countersign workspace create --name treasury --owner alice=ed25519:0x5ad2... --owner bob=ed25519:0x91c4... \\',
    '      --keyring 0x3fa9... --sign-policy policy.yaml --as alice',
  );
