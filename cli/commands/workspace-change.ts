// `countersign workspace add-owner`, `set-policy`, `freeze` and the like: proposals of changes of a workspace. Each is signed
// here and decided on by the owners as the admin policy has it.
import { Command } from 'commander';
import { buildChange } from '../../client/records.ts';
import { addSignature, type Envelope, ed25519Signer, envelopeId } from '../../protocol/records/envelope.ts';
import { credentialSchema, nameSchema } from '../../protocol/records/fields.ts';
import { type Change, introducedBy, workspaceChange } from '../../protocol/records/workspace-change.ts';
import { openChange, type Workspace } from '../../protocol/records/workspace.ts';
import { verifyRecord } from '../../protocol/records/envelope.ts';
import { describeChange } from '../change.ts';
import type { CommandFactory } from '../command.ts';
import { confirm } from '../confirm.ts';
import type { CommandContext } from '../context.ts';
import { guardApproval } from '../decided-changes.ts';
import { parseDuration } from '../duration.ts';
import { CliError } from '../errors.ts';
import { openIdentityNamed } from '../identities.ts';
import { requireId } from '../ids.ts';
import { findKey } from '../keys.ts';
import {
  collect,
  type SessionOptions,
  withExample,
  withIdentity,
  withJson,
  withNetwork,
  withWorkspace,
} from '../options.ts';
import { fields, printNotes, printResult } from '../output.ts';
import { readPolicy } from '../policy-file.ts';
import { required, resolveProfile } from '../profile.ts';
import { jsonText, readRecord, writeOut } from '../record-file.ts';
import { inWorkspace, trustedWorkspace, type WorkspaceSession } from '../session.ts';

interface ProposeOptions extends SessionOptions {
  readonly expires?: number;
  readonly out?: string;
  readonly countersignAs?: string;
  readonly second?: boolean;
}

async function submit(
  context: CommandContext,
  session: WorkspaceSession,
  workspace: Workspace,
  change: Envelope,
  options: ProposeOptions,
): Promise<void> {
  const { client, networkId } = session;
  const changeId = envelopeId(change, networkId);
  // Throws when anybody whom it brings in has not signed.
  openChange(workspace, change, networkId);
  const view = await client.call('workspace_propose', { change }, { signal: context.signal });
  printResult(context, options, { changeId, state: view.state, missing: view.missing ?? [] }, () =>
    fields([
      ['change', changeId],
      ['state', view.state === 'fulfilled' ? 'in the log' : view.state],
      [
        'missing',
        (view.missing ?? []).map(
          ({ rule, need, have, from }) =>
            `rule ${rule}: ${have.length} of ${need}, may decide: ${from.join(', ')}`,
        ),
      ],
    ]),
  );
}

/** The change with the signature of a local identity. */
async function countersigned(
  context: CommandContext,
  change: Envelope,
  networkId: string,
  name: string,
  options: ProposeOptions,
): Promise<Envelope> {
  const { seed } = await openIdentityNamed(context, name, options);
  try {
    return addSignature(change, networkId, ed25519Signer(seed));
  } finally {
    seed.fill(0);
  }
}

async function propose(
  context: CommandContext,
  options: ProposeOptions,
  make: (session: WorkspaceSession, workspace: Workspace) => Promise<Change>,
): Promise<void> {
  await inWorkspace(context, options, async (session) => {
    const { networkId, signer } = session;
    const workspace = await trustedWorkspace(context, session);
    const change = await make(session, workspace);
    printNotes(context, describeChange(change));
    const lifetime = options.expires === undefined ? {} : { lifetimeMs: options.expires };
    const built = buildChange({ networkId, workspace, change, now: context.now(), ...lifetime }, signer);
    await guardApproval(context, session, workspace, built.id, options.second);
    const envelope =
      options.countersignAs === undefined
        ? built.envelope
        : await countersigned(context, built.envelope, networkId, options.countersignAs, options);
    if (options.out !== undefined) {
      await writeOut(options.out, jsonText(envelope));
      const awaited = introducedBy({ change }).filter(
        (one) => !envelope.signatures.some(({ credential }) => credential === one),
      );
      return printResult(context, options, { changeId: built.id, file: options.out, awaits: awaited }, () => [
        `written to ${options.out}`,
        awaited.length === 0
          ? `Next: countersign workspace propose ${options.out}`
          : `Next: whoever has ${awaited.join(', ')} runs countersign workspace countersign ${options.out}, then you propose it`,
      ]);
    }
    await submit(context, session, workspace, envelope, options);
  });
}

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
  { sign, admin, key, policy, drop }: PolicyOptions,
): Promise<Change> {
  const remedy = 'give --sign FILE, --admin FILE, or --key KEY with --policy FILE or --drop';
  if ([sign, admin, key].filter((given) => given !== undefined).length !== 1)
    throw new CliError('usage', 'one policy can be changed at a time', remedy);
  if (sign !== undefined) return { kind: 'policy.sign', policy: await readPolicy(sign, 'sign') };
  if (admin !== undefined) return { kind: 'policy.admin', policy: await readPolicy(admin, 'admin') };
  if ((policy === undefined) !== (drop === true))
    throw new CliError('usage', 'a key has a policy of its own, or none', remedy);
  const { keyId } = await findKey(context, session, key!);
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
        await propose(context, options, (session) => policyChange(context, session, options));
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
          await propose(context, options, async (session) => {
            const { keyId } = await findKey(context, session, text);
            return { kind, keyId };
          });
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
        const { content } = readable(change, networkId);
        printNotes(context, [
          `workspace ${content.workspaceId}, proposed by ${content.initiator}`,
          ...describeChange(content.change),
        ]);
        await confirm(context, 'Countersign this?', options);
        const signed = await countersigned(
          context,
          change,
          networkId,
          required(profile, 'identity'),
          options,
        );
        const introduced = introducedBy(content);
        const [stranger] = signed.signatures.filter(
          ({ credential }) =>
            !introduced.includes(credential) &&
            !change.signatures.some((one) => one.credential === credential),
        );
        if (stranger !== undefined)
          throw new CliError(
            'usage',
            `${stranger.credential} is not brought in by this change`,
            'choose the identity with --as',
          );
        const out = options.out ?? file;
        await writeOut(out, jsonText(signed), { replace: options.out === undefined });
        printResult(context, options, { file: out, signatures: signed.signatures.length }, () => [
          `written to ${out}`,
        ]);
      }),
    'countersign workspace countersign dora.json --as dora',
  );

/** A change whose signatures so far are sound, whoever still has to sign. */
function readable(change: Envelope, networkId: string) {
  return verifyRecord({ ...workspaceChange, signers: () => [] }, change, networkId);
}

export const workspacePropose: CommandFactory = (context) =>
  withExample(
    withWorkspace(new Command('propose'))
      .description('Propose a change from a file, once everybody whom it brings in has countersigned.')
      .argument('<file>', 'the change')
      .action(async (file: string, options: ProposeOptions) => {
        const change = await readRecord(file, workspaceChange.type);
        await inWorkspace(context, options, async (session) => {
          await submit(context, session, await trustedWorkspace(context, session), change, options);
        });
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
  ofId(
    'resolve',
    'Of two entries that stand at one place of the log, say which one stands.',
    'change',
    '0x5bd0...',
    (stands) => ({ kind: 'resolve', stands }),
  ),
  workspaceCountersign,
  workspacePropose,
];
