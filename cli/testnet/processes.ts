// The daemons of a testnet as processes of their own: started by the command that runs now, awaited until they listen,
// stopped in reverse order within seconds. None is left behind, however this process ends: each holds the read end of a
// pipe whose other end is here, and stops when it closes.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CliError } from '../errors.ts';

export type DaemonKind = 'coordinator' | 'node' | 'connector';

export interface DaemonSpec {
  readonly name: string;
  readonly kind: DaemonKind;
  /** Arguments of the `countersign` command. */
  readonly arguments: readonly string[];
  /** Variables of its own, over those of all. */
  readonly environment?: Readonly<Record<string, string>>;
  /** File for its output. */
  readonly log: string;
  /** The ready.json that it writes once it listens. */
  readonly ready: string;
}

export interface Daemon {
  readonly name: string;
  readonly kind: DaemonKind;
  readonly pid: number;
  readonly log: string;
}

interface Running extends Daemon {
  readonly child: ChildProcess;
  /** Resolves with how it ended. */
  readonly exited: Promise<string>;
  /** How it ended, once it has. */
  ending?: string;
  /** Whether it was told to end. */
  dismissed: boolean;
}

export interface ProcessesOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The command and its runtime's options; default: those that run now. */
  readonly entry?: readonly string[];
  /** Folder for a file with each one's process id: whoever finds it left behind can tell what it is. */
  readonly pidFolder?: string;
  /** Told of a daemon that ended by itself. */
  readonly onLoss: (error: CliError) => void;
}

/** Milliseconds: how long a daemon may take to start; a slow machine starts many at once. */
const readyWithinMs = 120_000;
const pollMs = 15;
const lastBytes = 16 * 1024;
const failurePrefix = 'countersign: ';
/** Dependents first. */
const stopOrder: readonly DaemonKind[] = ['connector', 'node', 'coordinator'];

/** The entry point that runs now, with the runtime's own options, but for those of a debugger's fixed port. */
function entryPoint(): string[] {
  const [, script] = process.argv;
  if (script === undefined) throw new TypeError('the testnet runs as a command');
  return [...process.execArgv.filter((argument) => !argument.startsWith('--inspect')), script];
}

/** The line with which a command that failed says why; empty when there is none. */
async function lastWords(log: string): Promise<string> {
  const file = await open(log, 'r');
  try {
    const { size } = await file.stat();
    const { buffer, bytesRead } = await file.read(
      Buffer.alloc(lastBytes),
      0,
      lastBytes,
      Math.max(0, size - lastBytes),
    );
    const lines = buffer.toString('utf8', 0, bytesRead).trim().split('\n').toReversed();
    return lines.find((line) => line.startsWith(failurePrefix))?.slice(failurePrefix.length) ?? '';
  } finally {
    await file.close();
  }
}

export class Processes {
  readonly #options: ProcessesOptions;
  readonly #running: Running[] = [];
  #stopping = false;
  readonly #onExit = (): void => this.killAll();

  constructor(options: ProcessesOptions) {
    this.#options = options;
    // Whatever ends this process: the last thing that it does.
    process.on('exit', this.#onExit);
  }

  /** Those that run. */
  list(): readonly Daemon[] {
    return this.#running.filter((daemon) => daemon.ending === undefined);
  }

  /**
   * Starts a daemon and returns once it listens, with what its ready.json says. Throws CliError `failed` when it ends or
   * does not get there, and the signal's reason.
   */
  async start(
    spec: DaemonSpec,
    signal: AbortSignal,
  ): Promise<{ readonly daemon: Daemon; readonly ready: Readonly<Record<string, unknown>> }> {
    signal.throwIfAborted();
    if (this.#stopping)
      throw new CliError('failed', `${spec.name} was not started`, 'the testnet is stopping');
    const daemon = this.#spawn(spec);
    const end = performance.now() + readyWithinMs;
    for (;;) {
      const ready = await readReady(spec.ready, daemon.pid);
      if (ready !== undefined) return { daemon, ready };
      signal.throwIfAborted();
      if (daemon.ending !== undefined) throw await this.#lossOf(daemon, daemon.ending);
      if (performance.now() > end) {
        const what = `${spec.name} does not listen ${readyWithinMs / 1000} s after its start`;
        throw new CliError('failed', what, `look at ${spec.log}`);
      }
      await delay(pollMs);
    }
  }

  #spawn(spec: DaemonSpec): Running {
    const { name, kind, log } = spec;
    const output = openSync(log, 'a', 0o600);
    let child: ChildProcess;
    try {
      child = spawn(
        process.execPath,
        [...(this.#options.entry ?? entryPoint()), ...spec.arguments, '--stop-with-parent'],
        {
          // A session of its own: Ctrl-C at the terminal is for this process, which stops them in order.
          detached: true,
          stdio: ['pipe', output, output],
          env: { ...this.#options.environment, ...spec.environment },
        },
      );
    } finally {
      closeSync(output);
    }
    const { pidFolder } = this.#options;
    if (pidFolder !== undefined && child.pid !== undefined)
      writeFileSync(join(pidFolder, `${name}.pid`), `${child.pid}\n`, { mode: 0o600 });
    child.stdin?.on('error', () => undefined); // It ended: told by `exit`.
    const exited = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('exit', (code, by) => resolve(by === null ? `exit code ${code}` : by));
    });
    const daemon: Running = { name, kind, pid: child.pid ?? 0, log, child, exited, dismissed: false };
    this.#running.push(daemon);
    void exited.then(async (ending) => {
      daemon.ending = ending;
      if (!daemon.dismissed && !this.#stopping) this.#options.onLoss(await this.#lossOf(daemon, ending));
    });
    return daemon;
  }

  async #lossOf({ name, log }: Daemon, ending: string): Promise<CliError> {
    const words = await lastWords(log).catch(() => '');
    const why = words === '' ? '' : `: ${words}`;
    return new CliError('failed', `${name} ended by itself (${ending})${why}`, `look at ${log}`);
  }

  /** Kills one as a loss of power would, or has it end in order, and returns when it is gone. */
  async kill(name: string, signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    const daemon = this.#running.find(
      (candidate) => candidate.name === name && candidate.ending === undefined,
    );
    if (daemon === undefined) throw new TypeError(`there is no process ${name}`);
    daemon.dismissed = true;
    daemon.child.kill(signal);
    await daemon.exited;
  }

  /** Stops all, dependents first; what still runs after `withinMs` is killed. Returns when all are gone. */
  async stopAll(withinMs = 4000): Promise<void> {
    this.#stopping = true;
    const expired = new AbortController();
    const deadline = delay(withinMs, undefined, { signal: expired.signal }).catch(() => undefined);
    let late = false;
    void deadline.then(() => (late = true));
    for (const kind of stopOrder) {
      const members = this.#running.filter((daemon) => daemon.kind === kind && daemon.ending === undefined);
      if (late) break;
      for (const daemon of members) daemon.child.kill('SIGTERM');
      await Promise.race([Promise.all(members.map((daemon) => daemon.exited)), deadline]);
    }
    expired.abort();
    this.killAll();
    await Promise.all(this.#running.map((daemon) => daemon.exited));
    process.off('exit', this.#onExit);
  }

  /** Kills what still runs, at once. */
  killAll(): void {
    for (const daemon of this.#running) if (daemon.ending === undefined) daemon.child.kill('SIGKILL');
  }
}

/** What a ready.json of this very process says; undefined when it is not there yet. */
async function readReady(path: string, pid: number): Promise<Readonly<Record<string, unknown>> | undefined> {
  try {
    const ready = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
    return ready.pid === pid ? ready : undefined;
  } catch {
    return undefined; // Written by a rename, so what is there is whole: it is not there.
  }
}
