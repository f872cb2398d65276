// The verdict on a blame bundle: from its bytes and, if it is given, the id of the keyring that the reader trusts.
// Pure: no clock, no network, no folder; it comes out the same on every machine and in every year.
import { bytesToHex } from '@noble/hashes/utils.js';
import type { Hex } from '../../../protocol/hex.ts';
import { type Keyring, openKeyring, partyIndex } from '../../../protocol/records/keyring-roster.ts';
import { type BlameBundle, decodeBundle, type FaultCode, faults, frameBytes } from './bundle.ts';
import { BlameError } from './error.ts';
import type { PurposeKind } from '../wire.ts';
import { replay } from './replay.ts';

/** What a bundle proves. */
export interface BlameVerdict {
  readonly id: string;
  readonly networkId: string;
  /** Trusted: that this keyring is the one the reader means is the one thing a bundle cannot prove. */
  readonly keyringId: Hex;
  readonly keyringName: string;
  readonly accused: string;
  readonly party: { readonly name: string; readonly index: number };
  readonly code: FaultCode;
  /** What the code means. */
  readonly fault: string;
  /** What the replay found, with indices and items. */
  readonly detail: string;
  readonly purpose: PurposeKind;
  readonly requestId: Hex;
  readonly attemptId: string;
  readonly leader: string;
  /** Hex; only of a fault in a session's rounds. */
  readonly session?: string;
}

function openRoster({ roster, networkId }: BlameBundle): Keyring {
  try {
    return openKeyring(roster, networkId);
  } catch (error) {
    throw new BlameError('bad_roster', `the roster proves no keyring: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/**
 * Replays the fault that a bundle claims. `keyringId` pins the keyring. Returns only when the same fault of the same party
 * comes out; throws BlameError otherwise.
 */
export function verifyBlame(file: Uint8Array, trust: { readonly keyringId?: Hex } = {}): BlameVerdict {
  const { bundle, id } = decodeBundle(file);
  return verifyBundle(bundle, id, trust);
}

/** As `verifyBlame`, of a bundle that was just made. */
export function verifyBundle(
  bundle: BlameBundle,
  id: string,
  trust: { readonly keyringId?: Hex } = {},
): BlameVerdict {
  const { networkId, accused, code, requestId, attemptId, generating, signing } = bundle;
  const keyring = openRoster(bundle);
  if (trust.keyringId !== undefined && keyring.id !== trust.keyringId)
    throw new BlameError('wrong_keyring', `made in keyring ${keyring.id}, not in ${trust.keyringId}`);
  const index = partyIndex(keyring.roster, accused);
  const party = keyring.roster.parties[index - 1];
  if (party === undefined)
    throw new BlameError('not_a_party', `${accused} is no party of keyring ${keyring.id}`);
  const frames = bundle.frames.map(frameBytes);
  const fault = replay({
    networkId,
    keyring,
    accused,
    frames,
    ...(generating && { generating }),
    ...(signing && { signing }),
  });
  const differs = (what: string, proven: string, claimed: string): never => {
    throw new BlameError('another_fault', `it proves ${what} ${proven}, but claims ${claimed}`);
  };
  if (fault.culprit !== accused) differs('a fault of', fault.culprit, accused);
  if (fault.code !== code) differs('the fault', fault.code, code);
  if (fault.attemptId !== attemptId) differs('a fault in attempt', fault.attemptId, attemptId);
  if (fault.propose.requestId !== requestId)
    differs('a fault in request', fault.propose.requestId, requestId);
  return {
    id,
    networkId,
    keyringId: keyring.id,
    keyringName: keyring.roster.name,
    accused,
    party: { name: party.name, index },
    code,
    fault: faults[code],
    detail: fault.message,
    purpose: fault.propose.purpose,
    requestId,
    attemptId,
    leader: fault.propose.leader,
    ...(fault.sid && { session: bytesToHex(fault.sid) }),
  };
}
