// The table of commands, and one run of it: arguments in, exit code out. Only the commands of the group that is called
// are loaded, so that help and light commands start fast.
import { Command, CommanderError } from 'commander';
import type { CommandFactory } from './command.ts';
import type { CommandContext } from './context.ts';
import { describeFailure, exitCodes, plainWords } from './errors.ts';
import { requirePaths } from './options.ts';
import { version } from './version.ts';

interface Group {
  readonly summary: string;
  readonly load: () => Promise<readonly CommandFactory[]>;
}

const groups: Readonly<Record<string, Group>> = {
  identity: {
    summary: 'your keys: new, list, show',
    load: async () => {
      const [{ identityNew }, { identityList, identityShow }] = await Promise.all([
        import('./commands/identity-new.ts'),
        import('./commands/identity-list.ts'),
      ]);
      return [identityNew, identityList, identityShow];
    },
  },
  profile: {
    summary: 'what commands assume: show, set',
    load: async () => {
      const { profileSet, profileShow } = await import('./commands/profile.ts');
      return [profileShow, profileSet];
    },
  },
  workspace: {
    summary: 'owners and policies: create, show, log, proposals of changes, and forks',
    load: async () => {
      const [
        { workspaceCreate },
        { workspaceShow },
        { workspaceLog },
        { workspaceChanges },
        { workspaceResolutions },
      ] = await Promise.all([
        import('./commands/workspace-create.ts'),
        import('./commands/workspace-show.ts'),
        import('./commands/workspace-log.ts'),
        import('./commands/workspace-change.ts'),
        import('./commands/workspace-resolve.ts'),
      ]);
      return [workspaceCreate, workspaceShow, workspaceLog, ...workspaceChanges, ...workspaceResolutions];
    },
  },
  policy: {
    summary: 'who must approve what: validate, explain, import, simulate',
    load: async () => {
      const [{ policyExplain, policyImport, policyValidate }, { policySimulate }] = await Promise.all([
        import('./commands/policy.ts'),
        import('./commands/policy-simulate.ts'),
      ]);
      return [policyValidate, policyExplain, policyImport, policySimulate];
    },
  },
  key: {
    summary: 'keys of the workspace: request, list, show, verify',
    load: async () => {
      const [{ keyRequest }, { keyList, keyShow, keyVerify }] = await Promise.all([
        import('./commands/key-request.ts'),
        import('./commands/key-list.ts'),
      ]);
      return [keyRequest, keyList, keyShow, keyVerify];
    },
  },
  action: {
    summary: 'what awaits decisions: list, show, approve, reject, withdraw',
    load: async () => {
      const [{ actionList, actionShow }, { actionApprove, actionReject, actionWithdraw }] = await Promise.all(
        [import('./commands/action-list.ts'), import('./commands/action-approve.ts')],
      );
      return [actionList, actionShow, actionApprove, actionReject, actionWithdraw];
    },
  },
  request: {
    summary: 'how requests stand: show, cancel',
    load: async () => {
      const [{ requestShow }, { requestCancel }] = await Promise.all([
        import('./commands/request-show.ts'),
        import('./commands/request-cancel.ts'),
      ]);
      return [requestShow, requestCancel];
    },
  },
  keyring: {
    summary: 'sets of parties: draft, create, show',
    load: async () => {
      const [{ keyringDraft }, { keyringCreate }, { keyringShow }] = await Promise.all([
        import('./commands/keyring-draft.ts'),
        import('./commands/keyring-create.ts'),
        import('./commands/keyring-show.ts'),
      ]);
      return [keyringDraft, keyringCreate, keyringShow];
    },
  },
  node: {
    summary:
      'run a party: init, join, allow-connector, start, status, pause, resume, pair-setup, log, freeze, unfreeze',
    load: async () => {
      const [
        { nodeInit },
        { nodeJoin },
        { nodeAllowConnector },
        { nodeStart },
        { nodeStatus },
        pausing,
        pairs,
        logs,
        freezing,
      ] = await Promise.all([
        import('./commands/node-init.ts'),
        import('./commands/node-join.ts'),
        import('./commands/node-allow-connector.ts'),
        import('./commands/node-start.ts'),
        import('./commands/node-status.ts'),
        import('./commands/node-pause.ts'),
        import('./commands/node-pair-setup.ts'),
        import('./commands/node-log.ts'),
        import('./commands/node-freeze.ts'),
      ]);
      const { nodePause, nodeResume } = pausing;
      const { nodePairSetup } = pairs;
      const { nodeLog } = logs;
      const { nodeFreeze, nodeUnfreeze } = freezing;
      return [
        nodeInit,
        nodeJoin,
        nodeAllowConnector,
        nodeStart,
        nodeStatus,
        nodePause,
        nodeResume,
        nodePairSetup,
        nodeLog,
        nodeFreeze,
        nodeUnfreeze,
      ];
    },
  },
  connector: {
    summary: "run a party's connector: init, start",
    load: async () => {
      const [{ connectorInit }, { connectorStart }] = await Promise.all([
        import('./commands/connector-init.ts'),
        import('./commands/connector-start.ts'),
      ]);
      return [connectorInit, connectorStart];
    },
  },
  receipt: {
    summary: 'what was signed, provable offline: get, verify',
    load: async () => {
      const { receiptGet, receiptVerify } = await import('./commands/receipt.ts');
      return [receiptGet, receiptVerify];
    },
  },
  audit: {
    summary: 'the history of a workspace, provable offline: export, verify, csv',
    load: async () => {
      const { auditCsv, auditExport, auditVerify } = await import('./commands/audit.ts');
      return [auditExport, auditVerify, auditCsv];
    },
  },
  blame: {
    summary: "proofs of parties' faults: verify",
    load: async () => [(await import('./commands/blame-verify.ts')).blameVerify],
  },
  coordinator: {
    summary: 'run a coordinator: start',
    load: async () => [(await import('./commands/coordinator-start.ts')).coordinatorStart],
  },
};

/** Commands that stand alone. */
const single: Readonly<
  Record<string, { readonly summary: string; readonly load: () => Promise<CommandFactory> }>
> = {
  sign: {
    summary: 'ask for a signature',
    load: async () => (await import('./commands/sign.ts')).signCommand,
  },
  doctor: {
    summary: 'look for what is wrong with a node, a connector or a coordinator',
    load: async () => (await import('./commands/doctor.ts')).doctor,
  },
  testnet: {
    summary: 'run a whole network on this machine, for a look and for tests',
    load: async () => (await import('./commands/testnet.ts')).testnet,
  },
};

/** About the command itself: last in the list. */
const about: typeof single = {
  completion: {
    summary: 'completion for a shell: bash, zsh or fish',
    load: async () => {
      const { completionCommand } = await import('./commands/completion.ts');
      return completionCommand(wholeProgram);
    },
  },
  version: {
    summary: 'what this is and what it runs on, for reports',
    load: async () => (await import('./commands/version.ts')).versionCommand,
  },
};

const exitCodeHelp = `
Exit codes:
  0 done   1 failed or refused   2 usage or bad input   3 coordinator or node unreachable
  4 waiting, not final   5 rejected`;

/** The program with those groups and commands in full that `isCalled` names, and the others by name. */
async function buildProgram(isCalled: (name: string) => boolean, context: CommandContext): Promise<Command> {
  const program = new Command('countersign')
    .description(
      'A peer-to-peer MPC signing network: owners decide, independent parties sign, nobody holds the key.',
    )
    .version(version(), '-V, --version', 'print the version')
    .helpCommand('help [command]', 'show the help of a command')
    .addHelpText(
      'after',
      `${exitCodeHelp}\n\nExample:\n  $ countersign sign --key payroll --payload transfer.json --wait`,
    )
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
      // Errors are printed once, below, in the form of all others.
      outputError: () => undefined,
    });
  const addSingle = async (commands: typeof single): Promise<void> => {
    for (const [name, { summary, load }] of Object.entries(commands)) {
      const command = isCalled(name) ? requirePaths((await load())(context)) : new Command(name);
      program.addCommand(command.summary(summary).copyInheritedSettings(program));
    }
  };
  await addSingle(single);
  for (const [name, { summary, load }] of Object.entries(groups)) {
    const group = new Command(name).summary(summary).description(summary).copyInheritedSettings(program);
    if (isCalled(name)) {
      for (const factory of await load()) {
        const command = requirePaths(factory(context)).copyInheritedSettings(program);
        for (const below of command.commands) requirePaths(below).copyInheritedSettings(program);
        group.addCommand(command);
      }
    }
    program.addCommand(group);
  }
  await addSingle(about);
  return program;
}

/** The program with all of its commands, for what is written from it. */
export async function wholeProgram(context: CommandContext): Promise<Command> {
  return await buildProgram(() => true, context);
}

/** The full name of the deepest command that arguments call, for advice. */
function calledCommand(program: Command, argv: readonly string[]): string {
  let command = program;
  const names = [program.name()];
  for (const word of argv) {
    const next = command.commands.find((candidate) => candidate.name() === word);
    if (next === undefined) break;
    names.push(word);
    command = next;
  }
  return names.join(' ');
}

/** Runs one command line, without the program's own name. Nothing is thrown: the exit code tells. */
export async function run(argv: readonly string[], context: CommandContext): Promise<number> {
  let program: Command | undefined;
  try {
    const called = argv[0] === 'help' ? argv[1] : argv[0];
    program = await buildProgram((name) => name === called, context);
    await program.parseAsync([...argv], { from: 'user' });
    return exitCodes.ok;
  } catch (error) {
    if (error instanceof CommanderError) {
      // Help and version were asked for; help printed for want of a command is an error.
      if (error.exitCode === 0) return exitCodes.ok;
      if (error.code === 'commander.help') return exitCodes.usage;
      const what = plainWords(error.message.replace(/^error: /, '').replace(/\.$/, ''));
      const name = program === undefined ? 'countersign' : calledCommand(program, argv);
      context.stderr.write(`countersign: ${what}: see ${name} --help\n`);
      return exitCodes.usage;
    }
    const { exitCode, line } = describeFailure(error);
    context.stderr.write(`${line}\n`);
    if (context.environment.COUNTERSIGN_DEBUG === '1') context.stderr.write(`${stackOf(error)}\n`);
    return exitCode;
  }
}

/** The stack of an error and of what caused it. */
function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return `${error.stack ?? error.message}${cause === undefined ? '' : `\ncaused by ${stackOf(cause)}`}`;
}
