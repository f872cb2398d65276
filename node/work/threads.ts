// Work on worker threads: what a node uses. A machine lives in the worker that started it; between its calls only its
// number is here, and before the first its order.
import { availableParallelism } from 'node:os';
import { Abort } from '../mpc/abort.ts';
import type { PartyIndex } from '../mpc/machine.ts';
import type { EvidenceTask, Judgement } from './evidence.ts';
import { WorkError } from './error.ts';
import type { LogTask, Replayed } from './log.ts';
import {
  discardOrder,
  eraseStep,
  type HostedStep,
  type MachineKind,
  type MachineOrder,
  packOrder,
} from './machines.ts';
import { type Host, type PoolOptions, type PoolTask, WorkerPool } from './pool.ts';
import type { WorkClass } from './queue.ts';
import type { HostedMachine, Work, WorkStatus } from './work.ts';

/** One processor is left to the main thread. */
export function defaultWorkers(): number {
  return Math.max(1, availableParallelism() - 1);
}

const classOf: Readonly<Record<MachineKind, WorkClass>> = {
  generate: 'key-generation',
  sign: 'signing',
  'pair-setup': 'key-generation',
  presign: 'presigning',
  ecdsa: 'signing',
};

class ThreadedMachine implements HostedMachine {
  readonly #pool: WorkerPool;
  readonly #number: number;
  readonly #source: string;
  readonly #cancel = new AbortController();
  /** Before it went to a worker; it holds nonces and the like until then. */
  #order: MachineOrder | undefined;
  readonly #kind: MachineKind;
  #host: Host | undefined;
  /** A call is with the pool. */
  #running = false;
  /** The machine has given its output, or thrown. */
  #over = false;
  /** Ends when every call made so far has been carried out. */
  #calls: Promise<unknown> = Promise.resolve();

  constructor(pool: WorkerPool, number: number, order: MachineOrder, source: string) {
    this.#pool = pool;
    this.#number = number;
    this.#order = order;
    this.#kind = order.kind;
    this.#source = source;
  }

  start(onBegin?: () => void): Promise<HostedStep> {
    return this.#call((host) => {
      onBegin?.();
      const order = this.#order;
      if (order === undefined) throw cancelled('the machine was started or destroyed before');
      this.#order = undefined;
      this.#host = host;
      const { packed, transfer } = packOrder(order);
      return { task: { task: 'start', machine: this.#number, order: packed }, transfer };
    });
  }

  receive(from: PartyIndex, bytes: Uint8Array, onBegin?: () => void): Promise<HostedStep> {
    // A copy of its own: of a view the clone would take the whole buffer behind it.
    const own = Uint8Array.from(bytes);
    return this.#call(() => {
      onBegin?.();
      return { task: { task: 'receive', machine: this.#number, from, bytes: own }, transfer: [own.buffer] };
    });
  }

  #call(compose: PoolTask['compose']): Promise<HostedStep> {
    const call = this.#calls.then(async () => {
      const task: PoolTask = {
        workClass: classOf[this.#kind],
        source: this.#source,
        compose,
        resume: { task: 'resume', machine: this.#number },
        // Signatures by the same pair are held back until this has its verdict.
        ...(this.#kind === 'presign' && { resumeClass: 'signing' }),
        host: this.#host,
      };
      if (this.#over) {
        throw new WorkError('failed', 'the machine has ended: it takes no more', { verdictLost: false });
      }
      this.#running = true;
      try {
        const step = (await this.#pool.run(task, this.#cancel.signal)) as HostedStep;
        this.#over = step.output !== undefined;
        if (!this.#cancel.signal.aborted) return step;
        eraseStep(step);
      } catch (error) {
        // Gone from its worker, whatever it threw there.
        this.#over = !(error instanceof WorkError) || error.verdictLost;
        // When nobody wants it any more, a peer's guilt counts all the same, and that it is not known.
        const harmless = error instanceof Abort ? error.ban !== true : !this.#over;
        if (!this.#cancel.signal.aborted || !harmless) throw error;
      } finally {
        this.#running = false;
        if (this.#cancel.signal.aborted) this.#eraseHosted();
      }
      throw cancelled('the machine was destroyed');
    });
    this.#calls = call.catch(() => undefined);
    return call;
  }

  /** A call that was begun runs to its end first: see WorkerPool.run. */
  destroy(): void {
    if (this.#cancel.signal.aborted) return;
    this.#cancel.abort();
    if (!this.#running) this.#eraseHosted();
    if (this.#order) discardOrder(this.#order);
    this.#order = undefined;
  }

  #eraseHosted(): void {
    if (this.#host) this.#pool.destroy(this.#host, this.#number);
  }
}

/** Before anything was begun, or after it ended without a failed check. */
function cancelled(message: string): WorkError {
  return new WorkError('cancelled', message, { verdictLost: false });
}

export class ThreadedWork implements Work {
  readonly #pool: WorkerPool;
  #machines = 0;

  constructor(pool: WorkerPool) {
    this.#pool = pool;
  }

  /** Resolves when the workers are ready. Throws WorkError `start_failed`. */
  static async start(options: PoolOptions): Promise<ThreadedWork> {
    return new ThreadedWork(await WorkerPool.start(options));
  }

  machine(order: MachineOrder, source: string): HostedMachine {
    return new ThreadedMachine(this.#pool, ++this.#machines, order, source);
  }

  async judge(evidence: EvidenceTask, source: string, signal: AbortSignal): Promise<Judgement> {
    const compose = (): ReturnType<PoolTask['compose']> => ({
      task: { task: 'judge', evidence },
      transfer: [],
    });
    return (await this.#pool.run({ workClass: 'evidence', source, compose }, signal)) as Judgement;
  }

  async replay(log: LogTask, source: string, signal: AbortSignal): Promise<Replayed> {
    const compose = (): ReturnType<PoolTask['compose']> => ({ task: { task: 'replay', log }, transfer: [] });
    return (await this.#pool.run({ workClass: 'evidence', source, compose }, signal)) as Replayed;
  }

  status(): WorkStatus {
    return this.#pool.status();
  }

  /** Returns when every worker has ended. */
  stop(): Promise<void> {
    return this.#pool.stop();
  }
}
