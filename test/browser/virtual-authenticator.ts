// A real browser with an authenticator of software (Chrome DevTools Protocol, domain WebAuthn), driven over two pipes:
// what `navigator.credentials` gives to a page, as a verifier gets it.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { chromium, chromiumFlags } from './chromium.ts';

interface Answer {
  readonly id?: number;
  /** Of an event. */
  readonly method?: string;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

/** Longest wait for one answer, in milliseconds: a browser that hangs must not hang its test. */
const answerLimit = 60_000;

export class AuthenticatorBrowser {
  readonly #browser: ChildProcess;
  readonly #profile: string;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #loaded: () => void = () => undefined;
  #said = '';
  #sent = 0;
  #session: string | undefined;
  #authenticator: string | undefined;

  private constructor(browser: ChildProcess, profile: string) {
    this.#browser = browser;
    this.#profile = profile;
    browser.stderr!.setEncoding('utf8').on('data', (part: string) => (this.#said += part));
    let rest = '';
    (browser.stdio[4] as Readable).setEncoding('utf8').on('data', (part: string) => {
      const messages = (rest + part).split('\0');
      rest = messages.pop()!;
      for (const message of messages) this.#take(JSON.parse(message) as Answer);
    });
    // What is written to a browser that has ended is told by its exit.
    (browser.stdio[3] as Writable).on('error', () => undefined);
    const end = (why: string): void => {
      for (const [id] of this.#waiting) this.#take({ id, error: { message: why } });
    };
    browser.once('error', (error) => end(String(error)));
    browser.once('exit', (code) => end(`the browser ended with ${code}: ${this.#said.slice(-2000)}`));
  }

  /** Opens `url` in a browser that has one authenticator, whose owner is present and verified. */
  static async open(url: string): Promise<AuthenticatorBrowser> {
    const profile = await mkdtemp(join(tmpdir(), 'countersign-authenticator-'));
    const browser = spawn(
      chromium,
      [...chromiumFlags, '--remote-debugging-pipe', `--user-data-dir=${profile}`],
      {
        stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
        detached: true,
      },
    );
    const opened = new AuthenticatorBrowser(browser, profile);
    try {
      await opened.#begin(url);
      return opened;
    } catch (error) {
      await opened.close();
      throw error;
    }
  }

  async #begin(url: string): Promise<void> {
    const { targetId } = await this.#command('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.#command('Target.attachToTarget', { targetId, flatten: true });
    this.#session = sessionId as string;
    await this.#command('WebAuthn.enable', {});
    const options = {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    };
    const { authenticatorId } = await this.#command('WebAuthn.addVirtualAuthenticator', { options });
    this.#authenticator = authenticatorId as string;
    await this.#command('Page.enable', {});
    let late: NodeJS.Timeout | undefined;
    const loaded = new Promise<void>((resolve, reject) => {
      this.#loaded = resolve;
      late = setTimeout(
        () => reject(new Error(`${url} was not loaded: ${this.#said.slice(-2000)}`)),
        answerLimit,
      );
    });
    // Whoever waits hears of it; whoever does not must not end the process.
    loaded.catch(() => undefined);
    try {
      await this.#command('Page.navigate', { url });
      await loaded;
    } finally {
      clearTimeout(late);
    }
  }

  /** Whether the authenticator can tell from now on who is present. */
  async verifyUser(isUserVerified: boolean): Promise<void> {
    await this.#command('WebAuthn.setUserVerified', { authenticatorId: this.#authenticator, isUserVerified });
  }

  /** The value of an expression in the page, once it is there; throws what it throws. */
  async evaluate(expression: string): Promise<unknown> {
    const options = { expression, awaitPromise: true, returnByValue: true, userGesture: true };
    const { result, exceptionDetails } = await this.#command('Runtime.evaluate', options);
    if (exceptionDetails !== undefined) throw new Error(`in the page: ${JSON.stringify(exceptionDetails)}`);
    return (result as { value?: unknown }).value;
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#browser.once('exit', resolve));
    const isOver = this.#browser.exitCode !== null || this.#browser.pid === undefined;
    try {
      // Its own group: Chromium has children.
      process.kill(-this.#browser.pid!, 'SIGKILL');
    } catch {
      // It is gone already.
    }
    if (!isOver) await ended;
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }

  #take({ id, ...answer }: Answer): void {
    if (id === undefined) {
      if (answer.method === 'Page.loadEventFired') this.#loaded();
      return;
    }
    this.#waiting.get(id)?.(answer);
    this.#waiting.delete(id);
  }

  async #command(method: string, params: object): Promise<Record<string, unknown>> {
    const id = (this.#sent += 1);
    let late: NodeJS.Timeout | undefined;
    const answered = new Promise<Answer>((resolve) => {
      this.#waiting.set(id, resolve);
      const error = { message: `no answer: ${this.#said.slice(-2000)}` };
      late = setTimeout(() => this.#take({ id, error }), answerLimit);
    });
    const session = this.#session === undefined ? {} : { sessionId: this.#session };
    (this.#browser.stdio[3] as Writable).write(`${JSON.stringify({ id, method, params, ...session })}\0`);
    const { result, error } = await answered;
    clearTimeout(late);
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result ?? {};
  }
}
