// How an attempt comes to nothing.

/** Why an attempt ended without output, as others are told. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly awaited: readonly string[];
  readonly culprit?: string;
  /** Some member is at fault, and nothing says which. */
  readonly unattributed?: boolean;
  /** A failed check against a pair setup: known here only, so nobody is asked to believe it. */
  readonly accused?: string;
}
