// A worker thread: judges evidence, replays logs, and hosts protocol machines with their secrets. It knows no clock of the network, no
// peer and no disk, and ends when the main thread says so. A long step is given back unfinished now and then, so that the
// main thread may send something more urgent first.
import '../runtime.ts';
import { randomBytes } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import type { SlicedMachine, Slices } from '../mpc/machine.ts';
import { judgeEvidence } from './evidence.ts';
import { replayLog } from './log.ts';
import { buffersOf, createMachine, type MachineOutput, type MovedKey, openOrder } from './machines.ts';
import { failureOf, type FromWorker, type ToWorker, type WorkerTask } from './messages.ts';

/** After this many milliseconds a step is interrupted at its next opportunity. */
const sliceMs = 20;

interface Hosted {
  readonly machine: SlicedMachine<MachineOutput>;
  readonly keys: readonly MovedKey[];
  /** The step that was interrupted. */
  slices?: Slices<MachineOutput> | undefined;
}

const port = parentPort;
if (port === null) throw new TypeError('this file is the entry of a worker thread');
const machines = new Map<number, Hosted>();
const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length));

function end(number: number): void {
  const ended = machines.get(number);
  machines.delete(number);
  ended?.machine.destroy();
  for (const key of ended?.keys ?? []) key.destroy();
}

function create({ machine: number, order: packed }: Extract<WorkerTask, { task: 'start' }>): Hosted {
  const { order, keys } = openOrder(packed);
  try {
    const hosted: Hosted = { machine: createMachine(order, random), keys };
    machines.set(number, hosted);
    return hosted;
  } catch (error) {
    for (const key of keys) key.destroy();
    throw error;
  }
}

function hostedAs(number: number): Hosted {
  const hosted = machines.get(number);
  if (hosted === undefined) throw new TypeError(`no machine ${number} here`);
  return hosted;
}

/** Begins or goes on with a machine's step. Undefined: it was interrupted. A machine that ended or threw is gone. */
function step(task: Exclude<WorkerTask, { task: 'judge' | 'replay' }>): Answered | undefined {
  try {
    const hosted = task.task === 'start' ? create(task) : hostedAs(task.machine);
    const { machine } = hosted;
    if (task.task === 'start') hosted.slices = machine.startInSlices();
    else if (task.task === 'receive') hosted.slices = machine.receiveInSlices(task.from, task.bytes);
    if (hosted.slices === undefined) throw new TypeError('no step to go on with');
    const until = performance.now() + sliceMs;
    for (;;) {
      const { done, value } = hosted.slices.next();
      if (done) {
        hosted.slices = undefined;
        const result = { ...value, awaited: machine.awaited() };
        if (result.output !== undefined) end(task.machine);
        return { value: result, transfer: buffersOf(result) };
      }
      if (performance.now() >= until) return undefined;
    }
  } catch (error) {
    end(task.machine);
    throw error;
  }
}

interface Answered {
  readonly value: unknown;
  readonly transfer: ArrayBuffer[];
}

function answer(message: FromWorker, transfer: ArrayBuffer[] = []): void {
  port?.postMessage(message, transfer);
}

function work(task: WorkerTask): Answered | undefined {
  switch (task.task) {
    case 'judge':
      return { value: judgeEvidence(task.evidence), transfer: [] };
    case 'replay':
      return { value: replayLog(task.log), transfer: [] };
    case 'start':
    case 'receive':
    case 'resume':
      return step(task);
  }
}

port.on('message', (message: ToWorker) => {
  if ('stop' in message) {
    for (const number of machines.keys()) end(number);
    port.close();
    return;
  }
  if ('destroy' in message) return end(message.destroy);
  const { id, task } = message;
  try {
    const done = work(task);
    if (done === undefined) answer({ id, interrupted: true });
    else answer({ id, value: done.value }, done.transfer);
  } catch (error) {
    answer({ id, failure: failureOf(error) });
  }
});
answer({ ready: true });
