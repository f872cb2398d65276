// Why heavy work came to nothing for reasons of this process alone: no peer is to blame for any of them.

export type WorkErrorCode =
  | 'busy' // one source has as much waiting as it may
  | 'cancelled' // nobody wants the result any more
  | 'stopped' // the pool stops
  | 'worker_lost' // the worker thread ended, or was ended, with the work in it
  | 'start_failed' // a worker thread did not come up
  | 'failed'; // the work itself threw something unexpected

export class WorkError extends Error {
  override readonly name = 'WorkError';
  readonly code: WorkErrorCode;
  /**
   * False when nothing of the work was done, or all of it with an outcome that was no failed check: then this error hides
   * no verdict about a peer. True whenever that is not known for certain.
   */
  readonly verdictLost: boolean;
  constructor(code: WorkErrorCode, message: string, { verdictLost = code !== 'busy' } = {}) {
    super(message);
    this.code = code;
    this.verdictLost = verdictLost;
  }
}
