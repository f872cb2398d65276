// Why the ban gate lets nothing through.

export type GateErrorCode =
  | 'banned' // this pair must not run the protocol together until the operator says so
  | 'no_setup' // there is no pair setup to work with
  | 'closed' // a setup went, or a ban came, while the work was under way: its result is erased
  | 'unmarked' // that a check begins could not be written down, so none was begun
  | 'stopped'; // the node stops

export class GateError extends Error {
  override readonly name = 'GateError';
  readonly code: GateErrorCode;
  /** The other party's credential. */
  readonly party: string;
  constructor(code: GateErrorCode, party: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.party = party;
  }
}
