// Options that several commands share, with the types of what commander makes of them.
import { type Command, InvalidArgumentError, Option } from 'commander';
import type * as z from 'zod';
import { type LogLevel, logLevels } from './log-level.ts';
import type { ProfileFlags } from './profile.ts';

export interface JsonOption {
  readonly json?: boolean;
}

export interface PassphraseOption {
  readonly passphraseFile?: string;
}

export type SessionOptions = ProfileFlags & PassphraseOption & JsonOption;

export function withJson(command: Command): Command {
  return command.option('--json', 'print one JSON document');
}

export function withPassphrase(command: Command): Command {
  return command.option('--passphrase-file <file>', 'read the passphrase from this file instead of asking');
}

export function withNetwork(command: Command): Command {
  return command.option('--network <id>', 'network, instead of the profile');
}

/** Options of commands that ask a coordinator without signing. */
export function withCoordinator(command: Command): Command {
  return withJson(
    withNetwork(command.option('--coordinator <url>', "the coordinator's address, instead of the profile")),
  );
}

/** Options of commands that sign as a person. */
export function withIdentity(command: Command): Command {
  return withPassphrase(command.option('--as <identity>', 'identity that signs, instead of the profile'));
}

/** Options of commands that work in a workspace. */
export function withWorkspace(command: Command): Command {
  return withIdentity(
    withCoordinator(command).option('--workspace <id>', 'trusted workspace, instead of the profile'),
  );
}

/** Adds examples below a command's help. */
export function withExample(command: Command, ...lines: readonly string[]): Command {
  // A line that ends in a backslash goes on: the next one is no command of its own.
  const goesOn = (index: number): boolean => lines[index - 1]?.endsWith('\\') ?? false;
  const commands = lines.filter((_line, index) => !goesOn(index)).length;
  const title = commands > 1 ? 'Examples' : 'Example';
  const shown = lines.map((line, index) => (goesOn(index) ? `    ${line.trim()}` : `  $ ${line}`));
  return command.addHelpText('after', `\n${title}:\n${shown.join('\n')}`);
}

/** A parser of an option's or an argument's text by the schema of the record that it becomes part of. */
export function checkedBy(schema: z.ZodType<string>): (text: string) => string {
  return (text) => {
    const parsed = schema.safeParse(text);
    if (parsed.success) return parsed.data;
    throw new InvalidArgumentError(`Expected: ${parsed.error.issues[0]!.message}.`);
  };
}

/** An empty path is a variable that was not set, and would mean the folder one happens to be in. */
function pathText(text: string): string {
  if (text !== '') return text;
  throw new InvalidArgumentError('Expected a path, not nothing.');
}

/** Refuses empty paths in a command's options. */
export function requirePaths(command: Command): Command {
  for (const option of command.options)
    if (option.parseArg === undefined && /<(file|dir)>/.test(option.flags))
      option.argParser<string>(pathText);
  return command;
}

/** Collects values of an option that may be given several times. */
export function collect(value: string, previous: readonly string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

export interface LogOption {
  readonly logLevel: LogLevel;
}

export interface ParentOption {
  readonly stopWithParent?: boolean;
}

/** `--stop-with-parent` of daemons: for programs that start one and must not leave it behind. */
export function withParent(command: Command): Command {
  return command.option(
    '--stop-with-parent',
    'stop when standard input ends, as when the starting program died',
  );
}

export interface MetricsOption {
  readonly metricsListen?: string;
}

/** `--metrics-listen` of daemons; `variable` is its place in the environment. */
export function withMetrics(command: Command, variable: string): Command {
  return command.option(
    '--metrics-listen <host:port>',
    `serve metrics for Prometheus there, instead of the configuration (${variable})`,
  );
}

/** `--log-level` of daemons whose configuration has no such key. */
export function withLogLevel(command: Command): Command {
  return command.addOption(
    new Option('--log-level <level>', 'how much to log')
      .choices(logLevels)
      .env('COUNTERSIGN_LOG_LEVEL')
      .default('info'),
  );
}
