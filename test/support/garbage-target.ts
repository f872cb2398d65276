// Starts a listener in a process of its own, pours garbage over it, and watches what that does to it.
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Garbage } from './garbage.ts';
import type { Measure, Target } from './garbage-target.child.ts';

export type { Measure, Target } from './garbage-target.child.ts';

const child = fileURLToPath(new URL('garbage-target.child.ts', import.meta.url));

export class RunningTarget {
  /** Where it listens: a URL or the path of a socket. */
  readonly at: string;
  readonly #process: ChildProcess;
  /** The largest of all measures. */
  readonly largest = { rss: 0, heap: 0, external: 0 };

  private constructor(process: ChildProcess, at: string) {
    this.#process = process;
    this.at = at;
  }

  static async start(target: Target, environment: Record<string, string> = {}): Promise<RunningTarget> {
    const started = fork(child, {
      execArgv: ['--import', 'tsx', '--expose-gc', '--unhandled-rejections=warn'],
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    started.send(target);
    const [answer] = (await Promise.race([
      once(started, 'message'),
      once(started, 'exit').then(() => assert.fail('the listener did not start')),
    ])) as [{ at: string }];
    return new RunningTarget(started, answer.at);
  }

  get pid(): number {
    return this.#process.pid!;
  }

  async measure(): Promise<Measure> {
    assert.equal(this.#process.exitCode, null, 'the listener lives');
    this.#process.send('measure');
    const [measure] = (await once(this.#process, 'message')) as [Measure];
    for (const what of ['rss', 'heap', 'external'] as const) {
      this.largest[what] = Math.max(this.largest[what], measure[what]);
    }
    return measure;
  }

  /** Stops it as its operator would, and returns when it is gone. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = once(this.#process, 'exit');
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), 15_000);
    if (this.#process.connected) this.#process.send('stop');
    const [code] = (await gone) as [number | null];
    clearTimeout(timer);
    assert.equal(code, 0, 'the listener stops cleanly');
  }
}

export interface Outcome {
  readonly received: Buffer;
  /** Whether the server closed or reset the connection, rather than the client. */
  readonly closed: boolean;
}

const slowStepMs = 20;

/** Does what one input says on a connection of its own. Fails when the server neither answers nor closes in time. */
export async function deliver(input: Garbage, to: NetConnectOpts, withinMs: number): Promise<Outcome> {
  const socket: Socket = connect({ ...to, allowHalfOpen: true } as NetConnectOpts);
  const received: Buffer[] = [];
  let hungUp = false;
  const hangUp = (): void => {
    hungUp = true;
    // What was written leaves first; on a Unix socket there is no reset.
    if ('path' in to) socket.destroy();
    else socket.resetAndDestroy();
  };
  let slow: NodeJS.Timeout | undefined;
  const over = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('error', () => undefined); // A reset is a closed connection.
  socket.on('data', (chunk: Buffer) => {
    received.push(chunk);
    if (input.end === 'reset at answer') hangUp();
  });
  // The server ended its half: a client that is done ends its own.
  socket.once('end', () => socket.end());
  socket.once('connect', () => {
    const pieces = [...input.pieces];
    const last = input.pace === 'slow' ? pieces.pop() : undefined;
    for (const piece of pieces) socket.write(piece);
    if (last !== undefined) {
      let at = 0;
      slow = setInterval(() => {
        if (at < last.length && socket.writable) socket.write(last.subarray(at, (at += 1)));
      }, slowStepMs);
    } else if (input.end === 'half') socket.end();
    else if (input.end === 'reset') {
      if (pieces.length === 0) hangUp();
      else socket.write(new Uint8Array(0), hangUp);
    }
  });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    socket.destroy();
  }, withinMs);
  await over;
  clearTimeout(timer);
  clearInterval(slow);
  if (late) {
    const seen = Buffer.concat(received).toString('latin1').slice(0, 300);
    assert.fail(`${input.kind}: neither answered nor closed within ${withinMs} ms: ${JSON.stringify(seen)}`);
  }
  return { received: Buffer.concat(received), closed: !hungUp };
}

/** Delivers `count` inputs, `atOnce` at a time, and counts their kinds. */
export async function pour(
  count: number,
  atOnce: number,
  next: () => Garbage,
  to: NetConnectOpts,
  judge: (input: Garbage, outcome: Outcome) => void,
  withinMs = 20_000,
): Promise<Map<string, number>> {
  const kinds = new Map<string, number>();
  let left = count;
  const failures: unknown[] = [];
  const worker = async (): Promise<void> => {
    while (left > 0 && failures.length === 0) {
      left -= 1;
      const input = next();
      kinds.set(input.kind, (kinds.get(input.kind) ?? 0) + 1);
      try {
        judge(input, await deliver(input, to, withinMs));
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  if (failures.length > 0) throw failures[0];
  return kinds;
}

export const mebibytes = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
