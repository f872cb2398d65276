// A fixed number of worker threads and one queue for them. A worker has one task at a time, so that what is urgent comes
// next wherever a worker becomes free. A worker that ends takes its task with it, and everything it hosted; another takes
// its place.
import type { Worker } from 'node:worker_threads';
import { afterReading, steadyClock } from '../late-timer.ts';
import { startThread, workerEntry } from './entry.ts';
import { WorkError } from './error.ts';
import { errorOf, type FromWorker, type ToWorker, type WorkerTask } from './messages.ts';
import { type WorkClass, WorkQueue } from './queue.ts';
import type { WorkStatus } from './work.ts';

/** A task that a worker has answered. */
export interface TaskTimes {
  readonly workClass: WorkClass;
  /** Milliseconds until a worker first took it, and from then to its answer, interruptions included. */
  readonly waitedMs: number;
  readonly tookMs: number;
}

export interface PoolOptions {
  readonly workers: number;
  readonly log: (event: string, fields: Record<string, unknown>) => void;
  /** What a worker runs; tests have one that crashes. */
  readonly entry?: URL;
  /** Tasks of one class that one source may have waiting. */
  readonly maxWaiting?: number;
  /** A worker that does not answer for this long is ended, in milliseconds. */
  readonly taskDeadline?: number;
  /** How long workers have to end by themselves, in milliseconds. */
  readonly stopDeadline?: number;
  /** Told of each task that was answered; must not throw. */
  readonly onTask?: (times: TaskTimes) => void;
}

const firstPause = 100;
const longestPause = 10_000;

/** One place for a worker thread. What is hosted there is lost with it. */
export interface Host {
  readonly lost: boolean;
}

class Slot implements Host {
  readonly worker: Worker;
  ready = false;
  lost = false;
  current: Queued | undefined;
  cancelDeadline: () => void = () => undefined;

  constructor(entry: URL) {
    this.worker = startThread(entry);
  }
}

export interface PoolTask {
  readonly workClass: WorkClass;
  readonly source: string;
  /** Called when a worker is free, not before: what it holds is moved only then. */
  readonly compose: (host: Host) => { readonly task: WorkerTask; readonly transfer: ArrayBuffer[] };
  /** Instead of `compose`, once the task was interrupted. */
  readonly resume?: WorkerTask;
  /** How urgent it is to go on with it, where that is another matter than to begin. */
  readonly resumeClass?: WorkClass;
  /** Where it must run; anywhere without. */
  readonly host?: Host | undefined;
}

interface Queued {
  readonly id: number;
  readonly task: PoolTask;
  /** Where it runs, once it was begun. */
  host: Host | undefined;
  begun: boolean;
  /** When it came, and when it was begun; milliseconds of a steady clock. */
  readonly queuedAt: number;
  begunAt: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class WorkerPool {
  readonly #options: Required<PoolOptions>;
  readonly #queue: WorkQueue<Queued>;
  #slots: Slot[] = [];
  #ids = 0;
  /** Workers that ended, one after the other, before they were ready. */
  #failedStarts = 0;
  readonly #pauses = new Set<NodeJS.Timeout>();
  #stopping: Promise<void> | undefined;

  private constructor(options: PoolOptions) {
    this.#options = {
      entry: workerEntry,
      maxWaiting: 32,
      taskDeadline: 60_000,
      stopDeadline: 2000,
      onTask: () => undefined,
      ...options,
    };
    this.#queue = new WorkQueue(this.#options.maxWaiting);
  }

  /** Resolves when every worker is ready. Throws WorkError `start_failed`, with nothing left behind. */
  static async start(options: PoolOptions): Promise<WorkerPool> {
    const pool = new WorkerPool(options);
    try {
      await Promise.all(Array.from({ length: options.workers }, () => pool.#begin()));
      return pool;
    } catch (error) {
      await pool.stop();
      throw error;
    }
  }

  status(): WorkStatus {
    return {
      workers: this.#slots.filter(({ ready }) => ready).length,
      busy: this.#slots.filter(({ current }) => current !== undefined).length,
      queued: this.#queue.depths(),
    };
  }

  /**
   * The answer to a task. Rejects with what the task threw, an Abort for one, or with WorkError: `busy`, `cancelled` by
   * the signal before it was begun, `worker_lost`, `stopped`. What was begun runs to its end, interruptions included: it
   * may come to a verdict about a peer, which counts whoever still waits for it.
   */
  run(task: PoolTask, signal?: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#stopping) return reject(stopped(false));
      if (task.host?.lost) return reject(workerLost(false));
      if (signal?.aborted) return reject(cancelled());
      const onAbort = (): void => {
        if (this.#queue.remove((other) => other === queued && !queued.begun).length > 0)
          queued.reject(cancelled());
      };
      const done = (): void => signal?.removeEventListener('abort', onAbort);
      const queued: Queued = {
        id: ++this.#ids,
        task,
        host: task.host,
        begun: false,
        queuedAt: performance.now(),
        begunAt: 0,
        resolve: (value) => {
          done();
          resolve(value);
        },
        reject: (error) => {
          done();
          reject(error);
        },
      };
      try {
        this.#queue.push(task.workClass, task.source, queued);
      } catch (error) {
        return reject(error as WorkError);
      }
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#dispatch();
    });
  }

  /** Erases what a host keeps under this number, as soon as it is done with what it does. */
  destroy(host: Host, machine: number): void {
    this.#slots.find((slot) => slot === host)?.worker.postMessage({ destroy: machine } satisfies ToWorker);
  }

  /** Waiting tasks are rejected; workers end after what they do, or are ended. Returns when all have. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    for (const pause of this.#pauses) clearTimeout(pause);
    for (const queued of this.#queue.remove(() => true)) queued.reject(stopped(queued.begun));
    await Promise.all(
      this.#slots.map(async ({ worker }) => {
        const ended = new Promise((resolve) => worker.once('exit', resolve));
        worker.postMessage({ stop: true } satisfies ToWorker);
        const deadline = setTimeout(() => void worker.terminate(), this.#options.stopDeadline);
        await ended;
        clearTimeout(deadline);
      }),
    );
  }

  #begin(): Promise<void> {
    return new Promise((resolve, reject) => {
      const slot = this.#slot(reject);
      if (slot === undefined) return;
      this.#slots.push(slot);
      slot.worker.on('message', (message: FromWorker) => {
        if ('ready' in message) {
          slot.ready = true;
          this.#failedStarts = 0;
          resolve();
        } else this.#answered(slot, message);
        this.#dispatch();
      });
      let cause = '';
      // Its exit follows. The message of what it threw may hold anything.
      slot.worker.on('error', (error: NodeJS.ErrnoException) => (cause = error.code ?? error.name));
      slot.worker.on('messageerror', () => void slot.worker.terminate());
      slot.worker.on('exit', (code) => {
        reject(new WorkError('start_failed', `a worker thread ended with code ${code} ${cause}`.trim()));
        this.#lost(slot, code, cause);
      });
    });
  }

  /** None when the system has no thread left: `failed` is told, and another is tried later. */
  #slot(failed: (error: Error) => void): Slot | undefined {
    try {
      return new Slot(this.#options.entry);
    } catch (error) {
      const { code, name } = error as NodeJS.ErrnoException;
      const cause = code ?? name;
      this.#options.log('work.worker_lost', { exitCode: -1, cause, wasReady: false });
      failed(new WorkError('start_failed', `a worker thread could not be made: ${cause}`));
      if (!this.#stopping) this.#replaceLater();
      return undefined;
    }
  }

  #lost(slot: Slot, exitCode: number, cause: string): void {
    slot.lost = true;
    slot.cancelDeadline();
    this.#slots = this.#slots.filter((other) => other !== slot);
    slot.current?.reject(workerLost(true));
    slot.current = undefined;
    // What was hosted there and had no step under way is lost too, but no verdict with it.
    for (const queued of this.#queue.remove(({ host }) => host === slot))
      queued.reject(workerLost(queued.begun));
    if (this.#stopping) return;
    this.#options.log('work.worker_lost', { exitCode, cause, wasReady: slot.ready });
    if (slot.ready) return this.#replace();
    this.#replaceLater();
  }

  /** It did not even start: no hurry to see that again. */
  #replaceLater(): void {
    const pause = setTimeout(
      () => {
        this.#pauses.delete(pause);
        this.#replace();
      },
      Math.min(longestPause, firstPause * 2 ** this.#failedStarts++),
    );
    this.#pauses.add(pause);
  }

  #replace(): void {
    // Its failure is logged, and it is replaced in turn.
    this.#begin().catch(() => undefined);
  }

  #dispatch(): void {
    for (const slot of this.#slots) {
      while (slot.ready && slot.current === undefined && !this.#stopping) {
        const queued = this.#queue.take(({ host }) => host === undefined || host === slot);
        if (queued === undefined) break;
        this.#send(slot, queued);
      }
    }
  }

  #send(slot: Slot, queued: Queued): void {
    const { task, begun } = queued;
    if (!begun) queued.begunAt = performance.now();
    queued.begun = true;
    queued.host = slot;
    try {
      const { task: composed, transfer } =
        begun && task.resume ? { task: task.resume, transfer: [] } : task.compose(slot);
      slot.worker.postMessage({ id: queued.id, task: composed } satisfies ToWorker, transfer);
    } catch (error) {
      queued.reject(error as Error);
      return;
    }
    slot.current = queued;
    const { taskDeadline } = this.#options;
    slot.cancelDeadline = afterReading(steadyClock, taskDeadline, () => void slot.worker.terminate());
  }

  #tell({ task: { workClass }, queuedAt, begunAt }: Queued): void {
    this.#options.onTask({ workClass, waitedMs: begunAt - queuedAt, tookMs: performance.now() - begunAt });
  }

  #answered(slot: Slot, message: Exclude<FromWorker, { ready: true }>): void {
    const queued = slot.current;
    if (queued?.id !== message.id) return;
    slot.current = undefined;
    slot.cancelDeadline();
    if (!('interrupted' in message)) this.#tell(queued);
    if ('value' in message) queued.resolve(message.value);
    else if ('failure' in message) queued.reject(errorOf(message.failure));
    else if (this.#stopping) queued.reject(stopped(true));
    else this.#queue.putBack(queued.task.resumeClass ?? queued.task.workClass, queued.task.source, queued);
  }
}

function workerLost(begun: boolean): WorkError {
  const message = 'the worker thread that had this work ended: it must begin again';
  return new WorkError('worker_lost', message, { verdictLost: begun });
}

function cancelled(): WorkError {
  return new WorkError('cancelled', 'nobody waits for this work any more', { verdictLost: false });
}

function stopped(begun: boolean): WorkError {
  return new WorkError('stopped', 'the workers have been stopped', { verdictLost: begun });
}
