// A ban gate on a store in memory, with a clock that stands still, and steps whose end a test decides.
import { PairGate, type DestroyedBy, type GuardOptions } from '../../node/sessions/pairs/gate.ts';
import { Abort } from '../../node/mpc/abort.ts';
import { type Hex, toHex } from '../../protocol/hex.ts';
import { MemoryPairStore } from './memory-pair-store.ts';

export const alice = `ed25519:0x${'aa'.repeat(32)}`;
export const bob = `ed25519:0x${'bb'.repeat(32)}`;

export const secretsOf = (id: number): Uint8Array => new Uint8Array(64).fill(id);
export const setup = (id: number) => ({ id: new Uint8Array(32).fill(id), secrets: secretsOf(id) });
export const hexId = (id: number): Hex => toHex(setup(id).id);

/** A failed check of a peer's message; the index names the party. */
export const failedCheck = (index = 1): Abort =>
  new Abort('invalid_share', 'a check of its rows failed', { culprit: index, ban: true });

/** What a step gives: erased when it is not released. */
export interface Answer {
  erased: boolean;
}

export class GateRig {
  readonly store: MemoryPairStore;
  now = Date.parse('2030-01-01T00:00:00.000Z');
  /** What the gate told: `destroyed:<party>:<why>`, and its log's events. */
  readonly told: string[] = [];
  readonly logged: { readonly event: string; readonly fields: Record<string, unknown> }[] = [];
  gate!: PairGate;

  private constructor(store: MemoryPairStore) {
    this.store = store;
  }

  static async open(store = new MemoryPairStore(), now?: number): Promise<GateRig> {
    const rig = new GateRig(store);
    if (now !== undefined) rig.now = now;
    rig.gate = await PairGate.open({
      store,
      clock: { now: () => rig.now, after: () => () => undefined },
      log: (event, fields) => void rig.logged.push({ event, fields }),
      onDestroyed: (party: string, why: DestroyedBy) => void rig.told.push(`destroyed:${party}:${why}`),
    });
    return rig;
  }

  /** With a setup of each of these parties, of this number. */
  static async ready(parties: readonly string[] = [alice], id = 1): Promise<GateRig> {
    const rig = await GateRig.open();
    for (const party of parties) await rig.gate.adopt(party, setup(id));
    rig.store.writes.length = 0;
    return rig;
  }

  /** The next run of the same node: only what is durable is left. */
  restart(): Promise<GateRig> {
    return GateRig.open(this.store, this.now);
  }

  options(parties: readonly string[] = [alice], id = 1): GuardOptions<Answer> {
    return {
      parties,
      setups: new Map(parties.map((party) => [party, hexId(id)])),
      culprit: (error) => parties[((error as Abort).culprit ?? 0) - 1],
      erase: (answer) => void (answer.erased = true),
    };
  }

  guard(step: () => Promise<Answer>, parties?: readonly string[], id?: number): Promise<Answer> {
    return this.gate.guard(this.options(parties, id), step);
  }

  /** A step that waits for a turn of its own: `start` says when it has come, `pass` ends it. */
  waiting(parties: readonly string[] = [alice], id = 1) {
    const answer: Answer = { erased: false };
    let [start, pass] = [(): void => undefined, (): void => undefined];
    const started = new Promise<void>((resolve) => (start = resolve));
    const ending = new Promise<Answer>((resolve) => (pass = () => resolve(answer)));
    const outcome: { value?: Answer; error?: { code?: string }; ran: boolean } = { ran: false };
    const result = this.gate.guard({ ...this.options(parties, id), waits: true }, async (begin) => {
      await started;
      begin();
      outcome.ran = true;
      return ending;
    });
    const ended = result.then(
      (value) => void (outcome.value = value),
      (error: { code?: string }) => void (outcome.error = error),
    );
    return { answer, start, pass, outcome, settled: ended };
  }

  /** A step that ends when the test says so. */
  step(parties: readonly string[] = [alice], id = 1) {
    const answer: Answer = { erased: false };
    let pass = (): void => undefined;
    let fail: (error: unknown) => void = () => undefined;
    let begin = (): void => undefined;
    const begun = new Promise<void>((resolve) => (begin = resolve));
    const ending = new Promise<Answer>((resolve, reject) => {
      pass = () => resolve(answer);
      fail = reject;
    });
    const result = this.guard(
      () => {
        begin();
        return ending;
      },
      parties,
      id,
    );
    const outcome: { value?: Answer; error?: { code?: string } } = {};
    const settled = result.then(
      (value) => void (outcome.value = value),
      (error: { code?: string }) => void (outcome.error = error),
    );
    return { answer, begun, pass, fail, result, outcome, settled };
  }
}

/** Lets everything happen that does not wait for the test. */
export async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
