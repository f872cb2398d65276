// Every hash of key generation, and the run they are bound to. The tags and the order of the parts are frozen by
// test/vectors/mpc-hashes.json.
import { concatBytes } from '@noble/hashes/utils.js';
import { Abort } from '../abort.ts';
import type { Group, KeyType } from '../group.ts';
import { hashToScalar, taggedHash, uint16, uint32, utf8 } from '../hash.ts';
import type { PartyIndex } from '../machine.ts';

/** A version of a keyring: a refresh raises `run` only. Both 0..2^32-1. */
export interface Epoch {
  readonly roster: number;
  readonly run: number;
}

/** What the dealers put up: `generate` makes a new key. */
export type Purpose = 'generate';

/** The public parts of a dealer's opening, as encoded in its message. */
export interface Opening {
  /** The encoded points, one after another. */
  readonly commitments: Uint8Array;
  /** R || z. */
  readonly proof: Uint8Array;
  /** 32 bytes. */
  readonly chainCode: Uint8Array;
  /** 32 bytes. */
  readonly salt: Uint8Array;
}

/** 32 bytes that stand for the whole run in every hash below. Throws Abort('invalid_epoch'). */
export function contextHash(run: {
  readonly purpose: Purpose;
  readonly keyType: KeyType;
  readonly sid: Uint8Array;
  readonly epoch: Epoch;
  readonly threshold: number;
  readonly parties: readonly PartyIndex[];
}): Uint8Array {
  const { roster, run: number } = run.epoch;
  if (![roster, number].every((part) => Number.isInteger(part) && part >= 0 && part <= 0xffffffff))
    throw new Abort(
      'invalid_epoch',
      `epoch (${roster}, ${number}) is not a pair of unsigned 32-bit integers`,
    );
  return taggedHash(
    'countersign/v1/dkg/context',
    utf8(run.purpose),
    utf8(run.keyType),
    run.sid,
    concatBytes(uint32(roster), uint32(number)),
    uint16(run.threshold),
    concatBytes(...run.parties.map(uint16)),
  );
}

/** Round 1: the 32-byte digest that hides an opening until everybody has committed. */
export function commitDigest(context: Uint8Array, dealer: PartyIndex, opening: Opening): Uint8Array {
  const { commitments, proof, chainCode, salt } = opening;
  return taggedHash(
    'countersign/v1/dkg/commit',
    context,
    uint16(dealer),
    commitments,
    proof,
    chainCode,
    salt,
  );
}

/** Challenge of the Schnorr proof: bound to the run, the dealer and its whole vector. */
export function proofChallenge(
  group: Group,
  context: Uint8Array,
  dealer: PartyIndex,
  commitments: Uint8Array,
  nonceCommitment: Uint8Array,
): bigint {
  return hashToScalar(
    group,
    'countersign/v1/dkg/proof',
    context,
    uint16(dealer),
    commitments,
    nonceCommitment,
  );
}

/** The key's chain code (32 bytes) from all contributions in index order. Each was committed to under the session id. */
export function combineChainCodes(contributions: readonly Uint8Array[]): Uint8Array {
  return taggedHash('countersign/v1/dkg/chain-code', ...contributions);
}

/** 32 bytes over the run, all round-1 digests and all openings, in index order: equal for all honest parties. */
export function transcriptHash(
  context: Uint8Array,
  digests: readonly Uint8Array[],
  openings: readonly Opening[],
): Uint8Array {
  return taggedHash(
    'countersign/v1/dkg/transcript',
    context,
    concatBytes(...digests),
    ...openings.flatMap(({ commitments, proof, chainCode, salt }) => [commitments, proof, chainCode, salt]),
  );
}
