// A local network of a test build, whose processes can be made to die at crash points and are started again.
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LocalNetwork, type LocalNetworkOptions } from './local-network.ts';
import { until } from './until.ts';

const variable = 'COUNTERSIGN_TEST_CRASH_POINTS';
/** Generous: a machine may be slow and busy. */
const deathWithinMs = 90_000;

export class CrashNetwork {
  readonly net: LocalNetwork;
  readonly #folder: string;
  readonly #doomed: Set<string>;
  /** Where each process is to die next. */
  readonly #awaited = new Map<string, string>();

  private constructor(net: LocalNetwork, folder: string, doomed: Set<string>) {
    this.net = net;
    this.#folder = folder;
    this.#doomed = doomed;
  }

  static async start(own: Pick<LocalNetworkOptions, 'networkId'> = {}): Promise<CrashNetwork> {
    const folder = await mkdtemp(join(tmpdir(), 'countersign-crash-points-'));
    const doomed = new Set<string>();
    const at = (name: string) => ({ [variable]: join(folder, name) });
    try {
      const net = await LocalNetwork.start(3, 2, {
        ...own,
        environment: at('bootstrap'),
        environmentOf: at,
        mayEnd: (name) => doomed.has(name),
      });
      return new CrashNetwork(net, folder, doomed);
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  async stop(): Promise<void> {
    try {
      await this.net.stop();
    } finally {
      await rm(this.#folder, { recursive: true, force: true });
    }
  }

  /** Names passed so far, by all processes or by one since it was first restarted. */
  async reached(process?: string): Promise<readonly string[]> {
    const files = (await readdir(this.#folder)).filter((file) => file.endsWith('.reached'));
    const wanted = process === undefined ? files : files.filter((file) => file === `${process}.reached`);
    const texts = await Promise.all(wanted.map((file) => readFile(join(this.#folder, file), 'utf8')));
    return texts.flatMap((text) => text.split('\n').filter((line) => line !== ''));
  }

  /** What is still waited for, with how each process stands: for a test that fails. */
  awaited(): string {
    const told = [...this.#awaited].map(([process, point]) => {
      const armed = existsSync(this.#armedFile(process)) ? 'armed' : 'not armed';
      return `${process} at ${point} (${this.net.runs(process) ? 'runs' : 'does not run'}, ${armed})`;
    });
    return told.length === 0 ? 'nothing' : told.join(', ');
  }

  #armedFile(process: string): string {
    return join(this.#folder, `${process}.armed`);
  }

  /**
   * Lets a process die at each of these points, one after the other, and starts it again each time; `inspect` sees what
   * it left each time. Returns once it runs as if nothing had happened.
   */
  async dieAt(
    process: string,
    points: readonly string[],
    inspect: (process: string, point: string) => Promise<void>,
    arm: (process: string, point: string) => Promise<void> = async () => undefined,
  ): Promise<void> {
    const { net } = this;
    this.#doomed.add(process);
    for (const point of points) {
      this.#awaited.set(process, point);
      await arm(process, point);
      // At once: one that runs must neither pass the point before this is written nor be gone before it is looked at.
      writeFileSync(this.#armedFile(process), point);
      const started = net.runs(process) ? Promise.resolve() : net.restart(process);
      // It may die before it is ready: whether it did at the point is seen below.
      const settled = started.catch(() => undefined);
      await until(() => !net.runs(process), `${process} dies at ${point}`, deathWithinMs);
      await settled;
      assert.ok(!existsSync(this.#armedFile(process)), `${process} ended, but not at ${point}`);
      await inspect(process, point);
    }
    this.#awaited.delete(process);
    await net.restart(process);
    this.#doomed.delete(process);
  }
}

export async function temporaryFilesUnder(root: string): Promise<string[]> {
  await mkdir(root, { recursive: true });
  return (await readdir(root, { recursive: true })).filter((file) => file.endsWith('.tmp'));
}
