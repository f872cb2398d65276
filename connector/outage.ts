// Says once that a peer cannot be reached or refuses us, and once that it is back: several loops use each peer, and each
// of them fails again and again while it is away.

export type Log = (event: string, fields: Readonly<Record<string, unknown>>) => void;

export interface Failure {
  readonly code: string;
  /** One line for the operator. */
  readonly detail: string;
}

/** What was asked, and the failure's code, or `ok`. */
export type OnOutcome = (peer: 'coordinator' | 'node', operation: string, code: string) => void;

/** Codes of a peer that answers, and wants something of the operator. With any other it was not heard or understood. */
const refusals = new Set([
  'unauthenticated',
  'forbidden',
  'expired',
  'not_found',
  'bad_signature',
  'method_not_found',
  'invalid_params',
  'not_admitted',
  'wrong_node',
]);

export class Outage {
  readonly #peer: 'coordinator' | 'node';
  readonly #log: Log;
  /** What fails at the moment, with the code it failed with. */
  readonly #failing = new Map<string, string>();

  readonly #onOutcome: OnOutcome;
  #worked = false;

  /** `onOutcome` hears of everything that was asked of the peer; it must not throw. */
  constructor(peer: 'coordinator' | 'node', log: Log, onOutcome: OnOutcome = () => undefined) {
    this.#peer = peer;
    this.#log = log;
    this.#onOutcome = onOutcome;
  }

  /** Whether the peer has answered, and everything that was last asked of it. */
  get reachable(): boolean {
    return this.#worked && this.#failing.size === 0;
  }

  failed(operation: string, failure: Failure): void {
    this.#onOutcome(this.#peer, operation, failure.code);
    const known = [...this.#failing.values()].includes(failure.code);
    this.#failing.set(operation, failure.code);
    if (known) return;
    const { code, detail } = failure;
    this.#log(`${this.#peer}.${refusals.has(code) ? 'refused' : 'unreachable'}`, { operation, code, detail });
  }

  worked(operation: string): void {
    this.#worked = true;
    this.#onOutcome(this.#peer, operation, 'ok');
    if (this.#failing.delete(operation) && this.#failing.size === 0) this.#log(`${this.#peer}.reached`, {});
  }
}
