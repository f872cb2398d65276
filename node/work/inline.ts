// Work done where it is asked for, at once and in order: for simulations on virtual time, where everything must follow
// from one seed. A node uses worker threads.
import type { Machine, PartyIndex, RandomBytes, Step } from '../mpc/machine.ts';
import { judgeEvidence } from './evidence.ts';
import { WorkError } from './error.ts';
import { replayLog } from './log.ts';
import {
  createMachine,
  discardOrder,
  type HostedStep,
  type MachineOrder,
  type MachineOutput,
} from './machines.ts';
import { WorkQueue } from './queue.ts';
import type { HostedMachine, Work } from './work.ts';

class InlineMachine implements HostedMachine {
  readonly #order: MachineOrder;
  readonly #random: RandomBytes;
  #machine: Machine<MachineOutput> | undefined;
  #destroyed = false;

  constructor(order: MachineOrder, random: RandomBytes) {
    this.#order = order;
    this.#random = random;
  }

  async start(onBegin?: () => void): Promise<HostedStep> {
    return this.#step(onBegin, () => (this.#machine = createMachine(this.#order, this.#random)).start());
  }

  async receive(from: PartyIndex, bytes: Uint8Array, onBegin?: () => void): Promise<HostedStep> {
    return this.#step(onBegin, () => (this.#machine as Machine<MachineOutput>).receive(from, bytes));
  }

  #step(onBegin: (() => void) | undefined, call: () => Step<MachineOutput>): HostedStep {
    if (this.#destroyed)
      throw new WorkError('cancelled', 'the machine was destroyed', { verdictLost: false });
    onBegin?.();
    const step = call();
    return { ...step, awaited: this.#machine?.awaited() ?? [] };
  }

  destroy(): void {
    this.#destroyed = true;
    if (this.#machine) this.#machine.destroy();
    else discardOrder(this.#order);
  }
}

/** `random` is what machines draw from. */
export function inlineWork(random: RandomBytes): Work {
  const nothing = new WorkQueue(0).depths();
  return {
    machine: (order) => new InlineMachine(order, random),
    judge: async (task) => judgeEvidence(task),
    replay: async (task) => replayLog(task),
    status: () => ({ workers: 0, busy: 0, queued: nothing }),
  };
}
