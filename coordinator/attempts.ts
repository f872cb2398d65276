// How often something is read, judged and committed again when others change it at the same time.
import { StateError } from './state/error.ts';

export const maxAttempts = 100;

/** Somebody else was faster every time. */
export function tooMany(what: string): StateError {
  return new StateError('wrong_state', `${what} is being changed by too many at once`, 'try again');
}
