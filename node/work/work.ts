// Heavy work as the sessions ask for it: protocol machines that run somewhere, evidence that is judged somewhere. On a
// node that is a pool of worker threads, so that channels and heartbeats live on; in simulations it is right here.
import type { PartyIndex } from '../mpc/machine.ts';
import type { EvidenceTask, Judgement } from './evidence.ts';
import type { LogTask, Replayed } from './log.ts';
import type { HostedStep, MachineOrder } from './machines.ts';
import type { WorkClass } from './queue.ts';

/**
 * A machine that runs somewhere else. Calls are carried out one after the other, in the order in which they were made. They
 * reject with the machine's Abort, or with WorkError when the work came to nothing for reasons of this process: the run
 * is over then, its secrets erased.
 */
export interface HostedMachine {
  /** Makes the machine and starts it. Once, and first. `onBegin`: as for `receive`. */
  start(onBegin?: () => void): Promise<HostedStep>;
  /** A message of an authenticated sender. `onBegin` is called when it is about to be looked at; a throw of it ends the run. */
  receive(from: PartyIndex, bytes: Uint8Array, onBegin?: () => void): Promise<HostedStep>;
  /**
   * Erases secrets, wherever they are; what was not begun yet rejects with WorkError `cancelled`. A call that was begun
   * runs to its end before: it then rejects with `cancelled` too, or with the Abort if that bans a peer.
   */
  destroy(): void;
}

/** For `node status`. */
export interface WorkStatus {
  readonly workers: number;
  readonly busy: number;
  readonly queued: Readonly<Record<WorkClass, number>>;
}

export interface Work {
  /** `source`: what the machine is for; sources take turns. The machine owns the order's nonces. */
  machine(order: MachineOrder, source: string): HostedMachine;
  /** `source`: who sent it. Throws WorkError: `busy` when that source has too much waiting, `cancelled` by the signal. */
  judge(task: EvidenceTask, source: string, signal: AbortSignal): Promise<Judgement>;
  /** As `judge`, for a workspace's log. */
  replay(task: LogTask, source: string, signal: AbortSignal): Promise<Replayed>;
  status(): WorkStatus;
}
