// `countersign workspace add-owner`, `set-policy`, `freeze` and the like: proposals of changes of a workspace. Each is signed
// here and decided on by the owners as the admin policy has it.
import { Command } from 'commander';
import { credentialSchema, nameSchema } from '../../protocol/records/fields.ts';
import { type Change, workspaceChange } from '../../protocol/records/workspace-change.ts';
import type { Workspace } from '../../protocol/records/workspace.ts';
import { describeChange } from '../change.ts';
import type { CommandFactory } from '../command.ts';
import { confirm } from '../confirm.ts';
import type { CommandContext } from '../context.ts';
import { parseDuration } from '../duration.ts';
import { CliError } from '../errors.ts';
import { requireId, wholeId } from '../ids.ts';
import { findKey, proveKey } from '../keys.ts';
import { collect, withExample, withIdentity, withJson, withNetwork, withWorkspace } from '../options.ts';
import { printNotes, printResult } from '../output.ts';
import { readPolicy } from '../policy-file.ts';
import { required, resolveProfile } from '../profile.ts';
import { countersigned, propose, type ProposeOptions, proposeFile, readable } from '../proposal.ts';
import { jsonText, readRecord, writeOut } from '../record-file.ts';
import type { WorkspaceSession } from '../session.ts';

function proposing(name: string, description: string): Command {
  return withWorkspace(new Command(name))
    .description(description)
    .option(
      '--expires <duration>',
      'until when it may be decided on (default: 7d, at most 30d)',
      parseDuration,
    )
    .option(
      '--out <file>',
      'write the change to this file instead of proposing it, for whoever must countersign it',
    )
    .option('--second', 'although you approved another change at the same place of the log');
}

/** `NAME=CREDENTIAL`. Throws CliError `usage`. */
function parseCredential(text: string): { name: string; credential: string } {
  const name = text.slice(0, text.indexOf('='));
  const credential = text.slice(name.length + 1);
  if (!nameSchema.safeParse(name).success || !credentialSchema.safeParse(credential).success) {
    const remedy = 'write NAME=CREDENTIAL, with a credential as countersign identity show NAME prints';
    throw new CliError('usage', `${JSON.stringify(text)} is no owner with a credential`, remedy);
  }
  return { name, credential };
}

const withCountersigner = (command: Command): Command =>
  command.option('--countersign-as <identity>', 'identity on this machine that countersigns');

export const workspaceAddOwner: CommandFactory = (context) =>
  withExample(
    withCountersigner(
      proposing('add-owner', 'Propose a new owner, who countersigns. A removed one comes back this way.'),
    )
      .argument('<name=credential>', 'the owner')
      .option('--credential <credential>', 'another credential of the owner; once for each', collect)
      .action(async (text: string, options: ProposeOptions & { credential?: string[] }) => {
        const { name, credential } = parseCredential(text);
        const credentials = [credential, ...(options.credential ?? [])];
        await propose(context, options, async () => ({ kind: 'owner.add', owner: { name, credentials } }));
      }),
    'countersign workspace add-owner dora=ed25519:0x77ab... --out dora.json',
  );

export const workspaceRemoveOwner: CommandFactory = (context) =>
  withExample(
    proposing('remove-owner', 'Propose that somebody is no longer an owner.')
      .argument('<name>', 'the owner')
      .action(async (owner: string, options: ProposeOptions) => {
        await propose(context, options, async () => ({ kind: 'owner.remove', owner }));
      }),
    'countersign workspace remove-owner carol',
  );

export const workspaceAddCredential: CommandFactory = (context) =>
  withExample(
    withCountersigner(
      proposing('add-credential', 'Propose another credential of an owner, which countersigns.'),
    )
      .argument('<name=credential>', 'the owner with the new credential')
      .action(async (text: string, options: ProposeOptions) => {
        const { name: owner, credential } = parseCredential(text);
        await propose(context, options, async () => ({ kind: 'credential.add', owner, credential }));
      }),
    'countersign workspace add-credential bob=ed25519:0x18fe... --countersign-as bob-laptop',
  );

export const workspaceRemoveCredential: CommandFactory = (context) =>
  withExample(
    proposing('remove-credential', 'Propose that a credential is no longer one of an owner.')
      .argument('<name=credential>', 'the owner with the credential')
      .action(async (text: string, options: ProposeOptions) => {
        const { name: owner, credential } = parseCredential(text);
        await propose(context, options, async () => ({ kind: 'credential.remove', owner, credential }));
      }),
    'countersign workspace remove-credential bob=ed25519:0x91c4...',
  );

/** The id of a key: given whole, or of one that is proven, for a change by another's id would be signed for nothing. */
async function keyIdOf(
  context: CommandContext,
  session: WorkspaceSession,
  workspace: Workspace,
  text: string,
): Promise<`0x${string}`> {
  const whole = wholeId(text);
  if (whole !== undefined) return whole;
  const { key } = proveKey(await findKey(context, session, text), workspace, session.networkId);
  printNotes(context, [`key "${key.label}" is ${key.id}`]);
  return key.id;
}

interface PolicyOptions extends ProposeOptions {
  readonly sign?: string;
  readonly admin?: string;
  readonly key?: string;
  readonly policy?: string;
  readonly drop?: boolean;
}

/** Which policy is to be what. Throws CliError `usage`. */
async function policyChange(
  context: CommandContext,
  session: WorkspaceSession,
  workspace: Workspace,
  { sign, admin, key, policy, drop }: PolicyOptions,
): Promise<Change> {
  const remedy = 'give --sign FILE, --admin FILE, or --key KEY with --policy FILE or --drop';
  if ([sign, admin, key].filter((given) => given !== undefined).length !== 1)
    throw new CliError('usage', 'one policy can be changed at a time', remedy);
  if (key === undefined && (policy !== undefined || drop === true))
    throw new CliError('usage', '--policy and --drop are about a key', remedy);
  if (sign !== undefined) return { kind: 'policy.sign', policy: await readPolicy(sign, 'sign') };
  if (admin !== undefined) return { kind: 'policy.admin', policy: await readPolicy(admin, 'admin') };
  if ((policy === undefined) !== (drop === true))
    throw new CliError('usage', 'a key has a policy of its own, or none', remedy);
  const keyId = await keyIdOf(context, session, workspace, key!);
  return policy === undefined
    ? { kind: 'policy.key', keyId }
    : { kind: 'policy.key', keyId, policy: await readPolicy(policy, 'sign') };
}

export const workspaceSetPolicy: CommandFactory = (context) =>
  withExample(
    proposing('set-policy', 'Propose another sign policy, admin policy, or policy of one key.')
      .option('--sign <file>', 'the sign policy, as YAML')
      .option('--admin <file>', 'the admin policy, as YAML')
      .option(
        '--key <key>',
        'the key that has a policy of its own: its id, the beginning of it, or its label',
      )
      .option('--policy <file>', 'the policy of that key, as YAML')
      .option('--drop', 'the key has no policy of its own any more')
      .action(async (options: PolicyOptions) => {
        await propose(context, options, (session, workspace) =>
          policyChange(context, session, workspace, options),
        );
      }),
    'countersign workspace set-policy --sign stricter.yaml',
    'countersign workspace set-policy --key payroll --policy payroll.yaml',
  );

/** A change that names one thing by an id. */
function ofId(
  name: string,
  description: string,
  what: string,
  example: string,
  make: (id: `0x${string}`) => Change,
): CommandFactory {
  return (context) =>
    withExample(
      proposing(name, description)
        .argument('<id>', `the ${what}, by its whole id`)
        .action(async (text: string, options: ProposeOptions) => {
          const id = requireId(text, what);
          await propose(context, options, async () => make(id));
        }),
      `countersign workspace ${name} ${example}`,
    );
}

function ofKey(name: string, description: string, kind: 'key.disable' | 'key.enable'): CommandFactory {
  return (context) =>
    withExample(
      proposing(name, description)
        .argument('<key>', 'the key: its id, the beginning of it, or its label')
        .action(async (text: string, options: ProposeOptions) => {
          await propose(context, options, async (session, workspace) => ({
            kind,
            keyId: await keyIdOf(context, session, workspace, text),
          }));
        }),
      `countersign workspace ${name} payroll`,
    );
}

function ofNothing(kind: 'freeze' | 'unfreeze', description: string): CommandFactory {
  return (context) =>
    withExample(
      proposing(kind, description).action(async (options: ProposeOptions) => {
        await propose(context, options, async () => ({ kind }));
      }),
      `countersign workspace ${kind}`,
    );
}

export const workspaceCountersign: CommandFactory = (context) =>
  withExample(
    withIdentity(withJson(withNetwork(new Command('countersign'))))
      .description('Countersign a change that brings you, or a credential of yours, into a workspace.')
      .argument('<file>', 'the change')
      .option('--out <file>', 'where to write it with the signature (default: the same file)')
      .option('--yes', 'do not ask for confirmation')
      .action(async (file: string, options: ProposeOptions & { yes?: boolean }) => {
        const profile = await resolveProfile(context, options);
        const networkId = required(profile, 'networkId');
        const change = await readRecord(file, workspaceChange.type);
        const content = readable(change, networkId);
        printNotes(context, [
          `workspace ${content.workspaceId}, proposed by ${content.initiator}`,
          ...describeChange(content.change),
        ]);
        await confirm(context, 'Countersign this?', options);
        const name = required(profile, 'identity');
        const signed = await countersigned(context, change, content, name, options);
        const out = options.out ?? file;
        await writeOut(out, jsonText(signed), { replace: options.out === undefined });
        printResult(context, options, { file: out, signatures: signed.signatures.length }, () => [
          `written to ${out}`,
        ]);
      }),
    'countersign workspace countersign dora.json --as dora',
  );

export const workspacePropose: CommandFactory = (context) =>
  withExample(
    withWorkspace(new Command('propose'))
      .description('Propose a change from a file, once everybody whom it brings in has countersigned.')
      .argument('<file>', 'the change')
      .option('--second', 'although you approved another change at the same place of the log')
      .action(async (file: string, options: ProposeOptions) => {
        const change = await readRecord(file, workspaceChange.type);
        await proposeFile(context, options, change);
      }),
    'countersign workspace propose dora.json',
  );

export const workspaceChanges: readonly CommandFactory[] = [
  workspaceAddOwner,
  workspaceRemoveOwner,
  workspaceAddCredential,
  workspaceRemoveCredential,
  workspaceSetPolicy,
  ofId('add-keyring', 'Propose to use another keyring.', 'keyring', '0x3fa9...', (keyringId) => ({
    kind: 'keyring.add',
    keyringId,
  })),
  ofId('remove-keyring', 'Propose no longer to use a keyring.', 'keyring', '0x3fa9...', (keyringId) => ({
    kind: 'keyring.remove',
    keyringId,
  })),
  ofKey('disable-key', 'Propose that a key signs nothing until it is enabled.', 'key.disable'),
  ofKey('enable-key', 'Propose that a disabled key may sign again.', 'key.enable'),
  ofId('add-child', 'Propose to take a workspace as a child.', 'workspace', '0x91c4...', (workspaceId) => ({
    kind: 'child.add',
    workspaceId,
  })),
  ofId(
    'remove-child',
    'Propose no longer to have a workspace as a child.',
    'workspace',
    '0x91c4...',
    (workspaceId) => ({ kind: 'child.remove', workspaceId }),
  ),
  ofNothing(
    'freeze',
    'Propose that nothing is signed for the workspace; the default admin policy lets any one owner do so.',
  ),
  ofNothing('unfreeze', 'Propose that a frozen workspace is signed for again.'),
  workspaceCountersign,
  workspacePropose,
];
