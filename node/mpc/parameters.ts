// Checks of what a run is started with. Rosters and sets come from records that others signed: nothing is assumed.
import { Abort } from './abort.ts';
import type { PartyIndex } from './machine.ts';

/** Bytes of a session id. */
export const SESSION_ID_LENGTH = 32;

/** Throws Abort('invalid_session') unless the session id has 32 bytes. */
export function checkSessionId(sid: Uint8Array): void {
  if (!(sid instanceof Uint8Array) || sid.length !== SESSION_ID_LENGTH)
    throw new Abort('invalid_session', `a session id has ${SESSION_ID_LENGTH} bytes`);
}

/** Throws Abort('invalid_index') unless it is an integer 1..65535: 0 would be handed the secret itself. */
export function checkIndex(index: PartyIndex): void {
  if (!Number.isInteger(index) || index < 1 || index > 0xffff)
    throw new Abort('invalid_index', `party index ${index} is not an integer from 1 to 65535`);
}

/**
 * The indices of a keyring's parties: valid, distinct, ascending; 2 <= threshold <= n; self among them.
 * Throws Abort: invalid_index, duplicate_index, unsorted_indices, invalid_threshold, not_a_member.
 */
export function checkParties(parties: readonly PartyIndex[], threshold: number, self: PartyIndex): void {
  for (const index of parties) checkIndex(index);
  if (new Set(parties).size !== parties.length)
    throw new Abort('duplicate_index', `party indices repeat: ${parties.join(', ')}`);
  if (parties.some((index, position) => position > 0 && index < parties[position - 1]!))
    throw new Abort('unsorted_indices', `party indices are not ascending: ${parties.join(', ')}`);
  if (!Number.isInteger(threshold) || threshold < 2 || threshold > parties.length)
    throw new Abort('invalid_threshold', `threshold ${threshold} is not within 2..${parties.length}`);
  if (!parties.includes(self)) throw new Abort('not_a_member', `party ${self} is not one of the parties`);
}
