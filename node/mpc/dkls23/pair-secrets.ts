// What two parties keep of their pair setup, and how it is stored: flat, of fixed length, its first byte the version.
//
//   1 (version) || self (2) || peer (2) || setup id (32) || Delta (16) || 128 chosen keys (32 each) ||
//   128 times both keys (64 each) || zero-sharing seed (32)
//
// Delta and the chosen keys are this party's as extension sender (Alice), the pairs as extension receiver (Bob).
import { equalBytes } from '@noble/curves/utils.js';
import { concatBytes } from '@noble/hashes/utils.js';
import { Abort } from '../abort.ts';
import { secp256k1Group as group } from '../group.ts';
import { uint16, uint32 } from '../hash.ts';
import type { PartyIndex } from '../machine.ts';
import { checkSessionId } from '../parameters.ts';
import { BASE_KEY_LENGTH, BASE_TRANSFERS, ROW_LENGTH } from './parameters.ts';
import { xofScalars } from './xof.ts';

const VERSION = 1;
const ID_LENGTH = 32;
const SEED_LENGTH = 32;
const CHOSEN_LENGTH = BASE_TRANSFERS * BASE_KEY_LENGTH;
const PAIRS_LENGTH = 2 * CHOSEN_LENGTH;

/** Bytes of `PairSetup.secrets`. */
export const PAIR_SECRETS_LENGTH =
  1 + 2 + 2 + ID_LENGTH + ROW_LENGTH + CHOSEN_LENGTH + PAIRS_LENGTH + SEED_LENGTH;

/** The result of a pair setup, as it is stored. */
export interface PairSetup {
  /** The other party. */
  readonly peer: PartyIndex;
  /** 32 bytes, public, the same on both sides: a hash of the whole pair setup. */
  readonly id: Uint8Array;
  /** SECRET. PAIR_SECRETS_LENGTH bytes in a buffer of its own: it can be sealed, and transferred to a worker. */
  readonly secrets: Uint8Array;
}

/** A pair setup that is in use. Its parts are views of the setup's `secrets`. */
export interface OpenedPairSetup {
  readonly self: PartyIndex;
  readonly peer: PartyIndex;
  readonly id: Uint8Array;
  /** SECRET. 16 bytes. */
  readonly delta: Uint8Array;
  /** SECRET. 128 keys of 32 bytes: k_i,Delta_i. */
  readonly chosenKeys: Uint8Array;
  /** SECRET. 128 times k_i0 || k_i1. */
  readonly keyPairs: Uint8Array;
  /** SECRET. 32 bytes, the same on both sides. */
  readonly zeroSeed: Uint8Array;
  /** Overwrites `secrets` of the setup that this was opened from. */
  erase(): void;
}

/** The parts that are stored. */
export type PairParts = Omit<OpenedPairSetup, 'erase'>;

/** Copies the parts into one new buffer. The caller erases the parts. */
export function closePairSetup(parts: PairParts): PairSetup {
  const { self, peer, id, delta, chosenKeys, keyPairs, zeroSeed } = parts;
  const head = concatBytes(Uint8Array.of(VERSION), uint16(self), uint16(peer), id);
  return { peer, id: id.slice(), secrets: concatBytes(head, delta, chosenKeys, keyPairs, zeroSeed) };
}

/**
 * Views of a stored setup: from here on `setup.secrets` belongs to what is returned. Throws Abort('malformed_setup') when it
 * is not this party's setup with that peer.
 */
export function openPairSetup(setup: PairSetup, self: PartyIndex): OpenedPairSetup {
  const { peer, id, secrets } = setup;
  if (secrets.length !== PAIR_SECRETS_LENGTH || secrets[0] !== VERSION)
    throw new Abort(
      'malformed_setup',
      `a pair setup of ${secrets.length} bytes; expected ${PAIR_SECRETS_LENGTH} bytes of version ${VERSION}`,
    );
  const head = concatBytes(Uint8Array.of(VERSION), uint16(self), uint16(peer), id);
  if (!equalBytes(head, secrets.subarray(0, 1 + 2 + 2 + ID_LENGTH)))
    throw new Abort(
      'malformed_setup',
      `the stored pair setup is not the one of party ${self} with party ${peer}`,
    );
  let from = head.length;
  const take = (length: number): Uint8Array => secrets.subarray(from, (from += length));
  return {
    self,
    peer,
    id: id.slice(),
    delta: take(ROW_LENGTH),
    chosenKeys: take(CHOSEN_LENGTH),
    keyPairs: take(PAIRS_LENGTH),
    zeroSeed: take(SEED_LENGTH),
    erase: () => void secrets.fill(0),
  };
}

/**
 * This party's part, towards this peer, of a sharing of zero: what the two get adds up to nothing. The lower of the two adds,
 * the higher subtracts. A session id and item are used once.
 */
export function zeroShare(setup: OpenedPairSetup, sid: Uint8Array, item: number): bigint {
  checkSessionId(sid);
  const [scalar] = xofScalars('countersign/v1/dkls23/zero', 1, setup.zeroSeed, sid, uint32(item));
  return group.mod(setup.peer > setup.self ? scalar! : -scalar!);
}
