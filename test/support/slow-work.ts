// Work that takes virtual time, as on a node with too much to do: each call begins when the one before it has ended, is
// computed then, and its result comes later, whoever has destroyed the machine or stopped the node meanwhile.
import type { WorkErrorCode } from '../../node/work/error.ts';
import { WorkError } from '../../node/work/error.ts';
import type { HostedStep } from '../../node/work/machines.ts';
import type { HostedMachine, Work } from '../../node/work/work.ts';
import type { VirtualClock } from './session-world.ts';

export interface Slowness {
  /** Milliseconds until the result of a machine's call comes. */
  step: (call: 'start' | 'receive', source: string) => number;
  /** Milliseconds until the judgement of this source's evidence comes. */
  judge: (source: string) => number;
  /** What becomes of a call instead. */
  fails: (call: 'start' | 'receive') => WorkErrorCode | undefined;
  /** Whether machines answer after they were destroyed: a result may be on its way already. */
  outlives: boolean;
}

export class SlowWork implements Work {
  readonly slowness: Slowness = { step: () => 0, judge: () => 0, fails: () => undefined, outlives: false };
  /** Calls of machines, and judgements, that have begun and not ended. */
  underway = 0;
  /** How often evidence was judged. */
  judged = 0;
  /** Calls of machines that were made. */
  calls = 0;
  readonly #inline: Work;
  readonly #clock: VirtualClock;
  readonly status: Work['status'];

  constructor(inline: Work, clock: VirtualClock) {
    this.#inline = inline;
    this.#clock = clock;
    this.status = () => inline.status();
  }

  async #later<Result>(ms: number, work: () => Promise<Result>): Promise<Result> {
    this.underway += 1;
    try {
      const result = await work();
      if (ms > 0) await new Promise<void>((resolve) => void this.#clock.after(ms, resolve));
      return result;
    } finally {
      this.underway -= 1;
    }
  }

  machine(...[order, source]: Parameters<Work['machine']>): HostedMachine {
    const machine = this.#inline.machine(order, source);
    let before: Promise<unknown> = Promise.resolve();
    const call = (kind: 'start' | 'receive', work: () => Promise<HostedStep>): Promise<HostedStep> => {
      this.calls += 1;
      const result = before.then(() =>
        this.#later(this.slowness.step(kind, source), async () => {
          const code = this.slowness.fails(kind);
          if (code) throw new WorkError(code, 'so the test says');
          return work();
        }),
      );
      before = result.catch(() => undefined);
      return result;
    };
    return {
      start: (onBegin) => call('start', () => machine.start(onBegin)),
      receive: (from, bytes, onBegin) => call('receive', () => machine.receive(from, bytes, onBegin)),
      destroy: () => {
        if (!this.slowness.outlives) machine.destroy();
      },
    };
  }

  judge(...[task, source, signal]: Parameters<Work['judge']>): ReturnType<Work['judge']> {
    this.judged += 1;
    return this.#later(this.slowness.judge(source), () => this.#inline.judge(task, source, signal));
  }

  replay(...[task, source, signal]: Parameters<Work['replay']>): ReturnType<Work['replay']> {
    return this.#later(this.slowness.judge(source), () => this.#inline.replay(task, source, signal));
  }
}
