// A person at a shell of their own: a folder and home that nobody else enters, and, where the test may do that, a user of
// their own. What they type runs in one bash, so that variables and background jobs stay.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, chown, copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface PersonOptions {
  readonly name: string;
  /** A folder that everybody may enter. */
  readonly within: string;
  /** Numeric user to become; undefined: whoever runs the test. */
  readonly user?: number | undefined;
  /** Searched for commands first. */
  readonly path: string;
}

/** Why commands cannot be run as other users here; undefined when they can. `readable`: a file they must read. */
export async function whyNoUsers(user: number, readable: string): Promise<string | undefined> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'not root on Linux';
  return await new Promise((resolve) => {
    const as = ['--reuid', String(user), '--regid', String(user), '--clear-groups'];
    execFile(
      'setpriv',
      [...as, process.execPath, '-e', `fs.readFileSync(${JSON.stringify(readable)})`],
      (error) => {
        resolve(error === null ? undefined : `another user cannot run ${readable}, or there is no setpriv`);
      },
    );
  });
}

export class Person {
  readonly name: string;
  readonly folder: string;
  readonly #user: number | undefined;
  readonly #shell: ChildProcess;
  /** Everything that was printed. */
  said = '';

  private constructor({ name, within, user, path }: PersonOptions) {
    this.name = name;
    this.folder = join(within, name);
    this.#user = user;
    const env = {
      PATH: `${path}:${process.env['PATH'] ?? ''}`,
      HOME: this.folder,
      TMPDIR: join(this.folder, 'tmp'),
      XDG_RUNTIME_DIR: join(this.folder, 'run'),
    };
    const id = String(user);
    const become = ['--reuid', id, '--regid', id, '--clear-groups', '--no-new-privs'];
    const bash = ['bash', '--noprofile', '--norc'];
    const args = user === undefined ? bash.slice(1) : [...become, ...bash];
    const command = user === undefined ? 'bash' : 'setpriv';
    // A process group of its own, so that daemons end with it.
    this.#shell = spawn(command, args, { cwd: this.folder, env, detached: true });
    for (const stream of [this.#shell.stdout, this.#shell.stderr])
      stream?.on('data', (text: Buffer) => (this.said += text.toString()));
    this.#shell.on('error', (error) => (this.said += String(error)));
    this.#shell.stdin?.on('error', () => undefined);
    this.#shell.stdin?.write('exec 2>&1\nset -euo pipefail\n');
  }

  static async arrive(options: PersonOptions): Promise<Person> {
    const folder = join(options.within, options.name);
    for (const made of [folder, join(folder, 'tmp'), join(folder, 'run')]) {
      await mkdir(made, { mode: 0o700 });
      if (options.user !== undefined) await chown(made, options.user, options.user);
    }
    return new Person(options);
  }

  /** Types a script, and returns what it printed. Throws when a command of it fails, or after the deadline. */
  async type(script: string, withinMs = 120_000): Promise<string> {
    const mark = randomBytes(8).toString('hex');
    const file = join(this.folder, `typed-${mark}`);
    await writeFile(file, script);
    await this.#give(file);
    const from = this.said.length;
    return await new Promise<string>((resolve, reject) => {
      const fail = (why: string): void => {
        end();
        reject(new Error(`${this.name} ${why} at:\n${script}\n${this.said.slice(from)}`));
      };
      const look = (): void => {
        const printed = this.said.slice(from);
        const at = printed.indexOf(`done ${mark}`);
        if (at < 0) return;
        end();
        resolve(printed.slice(0, at));
      };
      const gone = (): void => fail('failed');
      const timer = setTimeout(() => fail('was not done in time'), withinMs);
      const end = (): void => {
        clearTimeout(timer);
        this.#shell.stdout?.off('data', look);
        this.#shell.off('close', gone);
      };
      this.#shell.stdout?.on('data', look);
      this.#shell.once('close', gone);
      if (this.#shell.exitCode !== null) gone();
      // From a file: what runs must not read the rest of what is typed.
      this.#shell.stdin?.write(`{ . ${file}; } < /dev/null\nrm ${file}\necho "done ${mark}"\n`);
    });
  }

  /** Takes a file that somebody hands over. */
  async take(from: string, as: string): Promise<void> {
    const path = join(this.folder, as);
    await copyFile(from, path);
    await chmod(path, 0o644);
    await this.#give(path);
  }

  /** Ends the shell and all that was started in it. */
  async leave(): Promise<void> {
    const { pid, exitCode, signalCode } = this.#shell;
    if (pid === undefined) return;
    const closed = exitCode !== null || signalCode !== null;
    const gone = closed ? Promise.resolve() : new Promise((resolve) => this.#shell.once('close', resolve));
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // Nothing of it runs any more.
    }
    await gone;
  }

  async #give(path: string): Promise<void> {
    if (this.#user !== undefined) await chown(path, this.#user, this.#user);
  }
}
