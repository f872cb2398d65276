// How protocol rounds are timed: one party's work, repeated, with the other parties' messages recorded before.
import type { Machine, Step } from '../../node/mpc/machine.ts';
import type { Envelope } from '../support/mpc-network.ts';

/** Samples in milliseconds by name. */
export type Times = Map<string, number[]>;

/** The first pass warms up and is not counted. Other work gets a turn between passes. */
export async function repeat(once: (times: Times) => void, budget: number): Promise<Times> {
  once(new Map());
  const times: Times = new Map();
  const end = performance.now() + budget;
  for (let count = 0; count < 5 || performance.now() < end; count++) {
    once(times);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return times;
}

export function receiveAll<Output>(machine: Machine<Output>, envelopes: readonly Envelope[]): Step<Output> {
  let step: Step<Output> = { messages: [] };
  for (const { from, bytes } of envelopes) step = machine.receive(from, bytes);
  return step;
}

/** A benchmark of something that fails would be worthless. */
export function finished(step: Step<unknown>): void {
  if (step.output === undefined) throw new Error('the measured run gave no output');
}

export function timed<T>(times: Times, name: string, work: () => T): T {
  const start = performance.now();
  const result = work();
  const elapsed = performance.now() - start;
  const samples = times.get(name);
  if (samples === undefined) times.set(name, [elapsed]);
  else samples.push(elapsed);
  return result;
}

export function median(samples: readonly number[]): number {
  return samples.toSorted((a, b) => a - b)[samples.length >> 1]!;
}
