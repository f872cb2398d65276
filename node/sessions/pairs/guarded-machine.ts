// A machine behind the ban gate: one whose messages depend on pair setups. Each of its steps may check messages of other
// parties against secrets of a pair setup, so each runs to its end once it was begun, whatever becomes of its attempt, and what
// it gives passes the gate or is erased (see gate.ts).
import type { Hex } from '../../../protocol/hex.ts';
import type { PartyIndex } from '../../mpc/machine.ts';
import { Abort } from '../../mpc/abort.ts';
import { WorkError } from '../../work/error.ts';
import { eraseStep, type HostedStep } from '../../work/machines.ts';
import type { HostedMachine } from '../../work/work.ts';
import type { PairGate } from './gate.ts';

const notBegun = { verdictLost: false };

export interface GuardedMachineOptions {
  readonly gate: PairGate;
  readonly machine: HostedMachine;
  /** Ids, in hex, of the setups that the machine's messages depend on, by party. */
  readonly setups: ReadonlyMap<string, Hex>;
  readonly partyOf: (index: PartyIndex) => string;
}

export class GuardedMachine implements HostedMachine {
  readonly #options: GuardedMachineOptions;
  #destroyed = false;
  /** Ends when every call made so far has ended. */
  #calls: Promise<unknown> = Promise.resolve();

  constructor(options: GuardedMachineOptions) {
    this.#options = options;
  }

  start(): Promise<HostedStep> {
    return this.#call((begin) => this.#options.machine.start(begin));
  }

  async receive(from: PartyIndex, bytes: Uint8Array): Promise<HostedStep> {
    try {
      return await this.#call((begin) => this.#options.machine.receive(from, bytes, begin));
    } catch (error) {
      // One of the two has lost the setup, or got it back from a copy: both make it anew.
      if (error instanceof Abort && error.code === 'setup_mismatch') await this.#mismatched(from, error);
      throw error;
    }
  }

  async #mismatched(from: PartyIndex, { message }: Abort): Promise<void> {
    const { gate, partyOf } = this.#options;
    // What cannot be written is told by the gate; in memory the setup is gone.
    await gate.mismatch(partyOf(from), message).catch(() => undefined);
  }

  #call(step: (begin: () => void) => Promise<HostedStep>): Promise<HostedStep> {
    const { gate, setups, partyOf } = this.#options;
    const call = this.#calls.then(async () => {
      if (this.#destroyed) throw new WorkError('cancelled', 'the machine was destroyed');
      const result = await gate.guard(
        {
          parties: [...setups.keys()],
          setups,
          culprit: (error) =>
            error instanceof Abort && error.culprit !== undefined ? partyOf(error.culprit) : undefined,
          erase: eraseStep,
          // For a worker: what is to be signed must not wait for what has not even begun.
          waits: true,
        },
        // Nobody waits for it any more: a worker has better things to do.
        (begin) =>
          step(() => {
            if (this.#destroyed) throw new WorkError('cancelled', 'the machine was destroyed', notBegun);
            begin();
          }),
      );
      if (!this.#destroyed) return result;
      eraseStep(result);
      throw new WorkError('cancelled', 'the machine was destroyed');
    });
    this.#calls = call.catch(() => undefined);
    return call;
  }

  /** What was begun runs to its verdict first. */
  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    void this.#calls.then(() => this.#options.machine.destroy());
  }
}
