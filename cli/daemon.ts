// The life of a daemon: start its parts in order, wait for a signal, stop them in reverse order within seconds.
import type { CommandContext } from './context.ts';
import { CliError } from './errors.ts';
import type { Log } from './log.ts';

/** What the parts of a daemon tell whoever runs it. */
export interface DaemonLife {
  /** A part runs: told at once, so that a failure of a later one stops it. */
  readonly started: (name: string, stop: () => Promise<void>) => void;
  /** A part cannot go on, so the daemon ends with this error. */
  readonly failed: (error: Error) => void;
}

export interface DaemonOptions {
  readonly log: Log;
  /** Starts the parts in order. */
  readonly start: (life: DaemonLife) => Promise<void>;
  /** Milliseconds for stopping everything. Default 10 s. */
  readonly stopWithinMs?: number;
  /** Whether the end of standard input stops it: whoever started it and held the other end of that pipe is gone. */
  readonly stopWithParent?: boolean | undefined;
}

const signals = ['SIGINT', 'SIGTERM'] as const;

interface Part {
  readonly name: string;
  readonly stop: () => Promise<void>;
}

/** Stops parts in reverse order, each whatever became of the others. Returns the names of those that failed. */
async function stopAll(parts: Part[], log: Log): Promise<string[]> {
  const failed: string[] = [];
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    try {
      await part.stop();
    } catch (error) {
      failed.push(part.name);
      log('daemon.stop.failed', { part: part.name, error });
    }
  }
  return failed;
}

/** Rejects when `work` takes longer than that. */
async function within<Value>(milliseconds: number, work: Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_, reject) => {
    const late = new CliError(
      'failed',
      `not stopped within ${milliseconds} ms`,
      'look at the log for the part that hangs',
    );
    timer = setTimeout(() => reject(late), milliseconds);
  });
  return await Promise.race([work, expired]).finally(() => clearTimeout(timer));
}

/**
 * Runs a daemon until SIGINT, SIGTERM, the context's signal or, with `stopWithParent`, the end of standard input;
 * returns when it has stopped cleanly. A second signal stops waiting for a clean stop. A rejected promise that nobody
 * handles, and an exception that nobody catches, end it: what state it is in nobody knows then.
 *
 * @throws what `start` threw, or CliError `failed` when a part did not stop, or when something was not handled
 */
export async function runDaemon(context: CommandContext, options: DaemonOptions): Promise<void> {
  const { log, stopWithinMs = 10_000, stopWithParent = false } = options;
  const { stdin } = context;
  const parts: Part[] = [];
  let stopping = false;
  let ran = false;
  let requests = 0;
  let request!: (reason: string) => void;
  let fail!: (error: Error) => void;
  let hurry!: () => void;
  const asked = new Promise<string>((resolve) => (request = resolve));
  const broken = new Promise<never>((_, reject) => (fail = reject));
  const hurried = new Promise<void>((resolve) => (hurry = resolve));
  broken.catch(() => undefined);

  const onSignal = (signal: string): void => {
    requests += 1;
    if (requests > 1) hurry();
    request(signal);
  };
  const onAbort = (): void => request('abort');
  const onParentGone = (): void => request('parent gone');
  const onFault = (error: unknown): void => {
    log('daemon.fatal', { error });
    fail(
      new CliError('failed', `stopped by an error that nothing handled: ${String(error)}`, 'look at the log'),
    );
  };
  for (const signal of signals) process.on(signal, onSignal);
  process.on('unhandledRejection', onFault);
  process.on('uncaughtException', onFault);
  context.signal.addEventListener('abort', onAbort, { once: true });
  if (context.signal.aborted) onAbort();
  if (stopWithParent) {
    for (const event of ['end', 'close', 'error']) stdin.on(event, onParentGone);
    stdin.resume();
  }

  const started = (name: string, stop: () => Promise<void>): void => {
    parts.push({ name, stop });
    // A part that came up while the others were stopped already has nobody else to stop it.
    if (stopping) void stopAll(parts, log);
  };
  try {
    // A start that waits for something is left as soon as a signal comes.
    const ending = Promise.race([asked, broken]);
    const starting = options.start({ started, failed: fail });
    starting.catch((error: unknown) => {
      if (stopping) log('daemon.start.failed', { error });
    });
    await Promise.race([starting, ending]);
    ran = true;
    log('daemon.stopping', { reason: await ending });
  } finally {
    stopping = true;
    try {
      const failed = await Promise.race([within(stopWithinMs, stopAll(parts, log)), hurried]);
      if (failed === undefined) log('daemon.stop.failed', { reason: 'a second signal came' });
      if (failed === undefined || failed.length > 0) {
        // oxlint-disable-next-line no-unsafe-finally -- a part that may still run outweighs why it was stopped.
        throw new CliError(
          'failed',
          `did not stop cleanly (${failed?.join(', ') ?? 'second signal'})`,
          'look at the log',
        );
      }
      if (ran) log('daemon.stopped', {});
    } finally {
      for (const signal of signals) process.off(signal, onSignal);
      process.off('unhandledRejection', onFault);
      process.off('uncaughtException', onFault);
      context.signal.removeEventListener('abort', onAbort);
      if (stopWithParent) stdin.destroy();
    }
  }
}
