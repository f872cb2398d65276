// How long the parts of an attempt take, for whoever counts: from joining it to its START, then each round from this party's
// own messages to what ends it, its next messages or its output.
import type { SessionContext } from './context.ts';
import type { PurposeKind } from './wire.ts';

export class StepTimes {
  readonly #context: Pick<SessionContext, 'clock' | 'observer'>;
  readonly #purpose: PurposeKind;
  #began: number;
  /** Rounds whose messages of this party have left. */
  #round = 0;

  constructor(context: Pick<SessionContext, 'clock' | 'observer'>, purpose: PurposeKind) {
    this.#context = context;
    this.#purpose = purpose;
    this.#began = context.clock.now();
  }

  /** Rounds that are over for this party. */
  get rounds(): number {
    return Math.max(0, this.#round - 1);
  }

  /** The START has come, and this party is in it. */
  started(): void {
    this.#tell('accept');
  }

  /** This party's messages have left, or it has its output. */
  turned(): void {
    if (this.#round > 0) this.#tell(`round_${this.#round}`);
    this.#round += 1;
    this.#began = this.#context.clock.now();
  }

  #tell(step: string): void {
    const { clock, observer } = this.#context;
    observer?.stepped(this.#purpose, step, clock.now() - this.#began);
  }
}
