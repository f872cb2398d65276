// What a guarded step came to: whether a check of a peer's message failed, and whose, as far as anybody can know.
import type { Hex } from '../../../protocol/hex.ts';
import { Abort } from '../../mpc/abort.ts';
import { WorkError } from '../../work/error.ts';
import { GateError } from './gate-error.ts';

export interface GuardOptions<T> {
  /** Credentials of the parties whose messages the step may check against their setups. */
  readonly parties: readonly string[];
  /** By party the ids (`toHex(id)`) of the setups that the work holds. */
  readonly setups: ReadonlyMap<string, Hex>;
  /** The party (its credential) that an Abort with `ban` names. */
  culprit(error: unknown): string | undefined;
  /** Overwrites a result that is not released. */
  erase(value: T): void;
  /**
   * The step waits for a turn of its own, and calls what it is given when it begins: until then no other result waits for
   * it. Absent: it begins at once.
   */
  readonly waits?: boolean;
}

/** What a step came to. */
export type Verdict<T> =
  | { readonly kind: 'value'; readonly value: T }
  /** It ended without a failed check. */
  | { readonly kind: 'harmless'; readonly error: unknown }
  | { readonly kind: 'failed_check'; readonly error: Abort; readonly culprit: string }
  /** Whether a check failed is not known. */
  | { readonly kind: 'lost'; readonly error: unknown };

/** Runs the step to its end. */
export async function verdictOf<T>(options: GuardOptions<T>, step: () => Promise<T>): Promise<Verdict<T>> {
  try {
    return { kind: 'value', value: await step() };
  } catch (error) {
    if (error instanceof WorkError && !error.verdictLost) return { kind: 'harmless', error };
    // The gate was closed before it could begin.
    if (error instanceof GateError) return { kind: 'harmless', error };
    if (!(error instanceof Abort)) return { kind: 'lost', error };
    // Of an unexpected error a machine makes an abort: it may have come in the middle of a check, before its verdict.
    if (error.code === 'internal') return { kind: 'lost', error };
    if (error.ban !== true) return { kind: 'harmless', error };
    const culprit = options.culprit(error);
    // Of nobody who is here: somebody's check has failed, and whose is not known.
    if (culprit === undefined || !options.parties.includes(culprit)) return { kind: 'lost', error };
    return { kind: 'failed_check', error, culprit };
  }
}
