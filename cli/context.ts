// What a command needs of the process it runs in: handed in, so that tests run commands without one.
import type { TerminalInput } from '../client/identity/passphrase.ts';

export interface TextOutput {
  write(text: string): unknown;
  /** Whether a person may be looking: a terminal. */
  readonly isTTY?: boolean | undefined;
  /** Of the terminal. */
  readonly columns?: number | undefined;
}

export interface CommandContext {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdin: TerminalInput;
  readonly stdout: TextOutput;
  readonly stderr: TextOutput;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Aborting it ends waits, and stops daemons. */
  readonly signal: AbortSignal;
  /** See SealOptions: cheap sealing of new keys, for tests. */
  readonly testOnlyScryptCost?: number;
}

/** The running process. */
export function processContext(): CommandContext {
  return {
    environment: process.env,
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    now: Date.now,
    signal: new AbortController().signal,
  };
}
