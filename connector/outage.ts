// Says once that a peer cannot be reached or refuses us, and once that it is back: several loops use each peer, and each
// of them fails again and again while it is away.

export type Log = (event: string, fields: Readonly<Record<string, unknown>>) => void;

export interface Failure {
  readonly code: string;
  /** One line for the operator. */
  readonly detail: string;
}

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

  constructor(peer: 'coordinator' | 'node', log: Log) {
    this.#peer = peer;
    this.#log = log;
  }

  failed(operation: string, failure: Failure): void {
    const known = [...this.#failing.values()].includes(failure.code);
    this.#failing.set(operation, failure.code);
    if (known) return;
    const { code, detail } = failure;
    this.#log(`${this.#peer}.${refusals.has(code) ? 'refused' : 'unreachable'}`, { operation, code, detail });
  }

  worked(operation: string): void {
    if (this.#failing.delete(operation) && this.#failing.size === 0) this.#log(`${this.#peer}.reached`, {});
  }
}
