// Moves messages among protocol machines in memory, in an order drawn from a seed, with a hook to alter, multiply or
// drop them. Machines that abort fall silent; the others go on with what they get.
import { createHash } from 'node:crypto';
import { Abort } from '../../node/mpc/abort.ts';
import type { Machine, Outgoing, PartyIndex, RandomBytes, Step } from '../../node/mpc/machine.ts';

/** A reproducible source: SHA-256 of (seed, counter). For tests only. */
export function seededRandom(seed: string): RandomBytes {
  let counter = 0;
  return (length) => {
    const bytes = new Uint8Array(length);
    for (let offset = 0; offset < length; offset += 32) {
      const block = createHash('sha256').update(`${seed}/${counter++}`).digest();
      bytes.set(block.subarray(0, Math.min(32, length - offset)), offset);
    }
    return bytes;
  };
}

export interface Envelope {
  readonly from: PartyIndex;
  readonly to: PartyIndex;
  readonly bytes: Uint8Array;
}

export interface NetworkOptions {
  /** Decides the order of delivery. */
  readonly seed?: string;
  /** What is delivered instead; an empty list drops the message. */
  readonly alter?: (envelope: Envelope) => readonly Envelope[];
}

export interface NetworkResult<Output> {
  readonly outputs: ReadonlyMap<PartyIndex, Output>;
  readonly aborts: ReadonlyMap<PartyIndex, Abort>;
  /** Everything that was delivered, in order. */
  readonly delivered: readonly Envelope[];
}

/** Starts every machine and delivers until nothing is under way. Errors that are no Abort pass through. */
export function runNetwork<Output>(
  machines: ReadonlyMap<PartyIndex, Machine<Output>>,
  options: NetworkOptions = {},
): NetworkResult<Output> {
  const random = seededRandom(`delivery/${options.seed ?? '0'}`);
  const outputs = new Map<PartyIndex, Output>();
  const aborts = new Map<PartyIndex, Abort>();
  const delivered: Envelope[] = [];
  const underway: Envelope[] = [];

  const send = (from: PartyIndex, { to, bytes }: Outgoing): void => {
    const receivers = to === 'all' ? [...machines.keys()].filter((index) => index !== from) : [to];
    for (const receiver of receivers) {
      const envelope = { from, to: receiver, bytes };
      underway.push(...(options.alter?.(envelope) ?? [envelope]));
    }
  };
  const step = (index: PartyIndex, run: () => Step<Output>): void => {
    try {
      const { messages, output } = run();
      if (output !== undefined) outputs.set(index, output);
      for (const message of messages) send(index, message);
    } catch (error) {
      if (!(error instanceof Abort)) throw error;
      if (error.code !== 'finished') aborts.set(index, error);
    }
  };

  for (const [index, machine] of machines) step(index, () => machine.start());
  while (underway.length > 0) {
    const pick = new DataView(random(4).buffer).getUint32(0) % underway.length;
    const envelope = underway.splice(pick, 1)[0]!;
    const machine = machines.get(envelope.to);
    if (machine === undefined || aborts.has(envelope.to)) continue;
    delivered.push(envelope);
    step(envelope.to, () => machine.receive(envelope.from, envelope.bytes));
  }
  return { outputs, aborts, delivered };
}
