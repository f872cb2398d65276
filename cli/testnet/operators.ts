// What the people of a testnet do, by the very commands that operators, admins and owners run, in this process.
import type { Command } from 'commander';
import type { CommandFactory } from '../command.ts';
import type { CommandContext } from '../context.ts';
import type { Layout } from './layout.ts';

/** Sealing of keys that guard nothing: RFC 7914's N at the least that a sealed file may have. */
export const testnetOnlyScryptCost = 2 ** 10;

/** An environment in which no setting of whoever runs the testnet can reach its processes. */
export function cleanEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(environment).filter(
      ([name]) => name === 'COUNTERSIGN_DEBUG' || !name.startsWith('COUNTERSIGN_'),
    ),
  );
}

/** The context of a testnet's people: their home, their passphrase, nothing of it on the terminal. */
export function peopleContext(
  context: CommandContext,
  { home, passphraseFile }: Layout,
  signal: AbortSignal,
): CommandContext {
  return {
    ...context,
    environment: {
      ...cleanEnvironment(context.environment),
      COUNTERSIGN_HOME: home,
      COUNTERSIGN_PASSPHRASE_FILE: passphraseFile,
    },
    stdout: { write: () => undefined },
    stderr: { write: () => undefined },
    signal,
    testOnlyScryptCost: testnetOnlyScryptCost,
  };
}

/** Runs one command, and returns what it prints with `--json`. Throws what it throws. */
export async function command(
  people: CommandContext,
  factory: CommandFactory,
  ...args: readonly string[]
): Promise<Record<string, unknown>> {
  let printed = '';
  const made: Command = factory({ ...people, stdout: { write: (text) => (printed += text) } });
  made.exitOverride();
  await made.parseAsync([...args, '--json'], { from: 'user' });
  return JSON.parse(printed) as Record<string, unknown>;
}
