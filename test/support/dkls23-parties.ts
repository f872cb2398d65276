// Parties that sign by ECDSA, for tests: keys from real key generations, and pair setups dealt from a seed by somebody
// who knows all of both sides (the real one, of which there are tests of its own, takes seconds).
import { createPublicKey, verify } from 'node:crypto';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { concatBytes, hexToBytes } from '@noble/hashes/utils.js';
import { recover, verify as verifyTiny } from 'tiny-secp256k1';
import type { KeyShare } from '../../node/mpc/dkg/key-share.ts';
import { bitAt } from '../../node/mpc/dkls23/bits.ts';
import { type EcdsaKey, type EcdsaKeyType, loadEcdsaKey } from '../../node/mpc/dkls23/key.ts';
import { closePairSetup, type PairSetup } from '../../node/mpc/dkls23/pair-secrets.ts';
import { type Presignature } from '../../node/mpc/dkls23/presignature.ts';
import { Presigning, type PresigningOptions } from '../../node/mpc/dkls23/presigning.ts';
import { type EcdsaItem, EcdsaSigning, type EcdsaSigningOptions } from '../../node/mpc/dkls23/signing.ts';
import { BASE_KEY_LENGTH, BASE_TRANSFERS } from '../../node/mpc/dkls23/parameters.ts';
import type { Machine, PartyIndex } from '../../node/mpc/machine.ts';
import { seedOf } from './fixture.ts';
import { type NetworkOptions, type NetworkResult, runNetwork, seededRandom } from './mpc-network.ts';
import { generate, text } from './signing-attempts.ts';

export type Shares = ReadonlyMap<PartyIndex, KeyShare>;

/** Keys of 2 of 3, made once. */
const made = new Map<string, Shares>();
export function ecdsaShares(
  n: number,
  threshold: number,
  keyType: EcdsaKeyType = 'ecdsa_secp256k1',
  name = 'key',
): Shares {
  const seed = `${name} ${threshold} of ${n} ${keyType}`;
  const shares = made.get(seed) ?? generate(n, threshold, seed, keyType);
  made.set(seed, shares);
  return shares;
}

export const keyOf = (shares: Shares, index: PartyIndex): EcdsaKey => loadEcdsaKey(shares.get(index)!);

/** One direction of a setup: what its extension sender and its receiver hold. */
function direction(seed: string): { delta: Uint8Array; chosen: Uint8Array; pairs: Uint8Array } {
  const random = seededRandom(seed);
  const delta = random(BASE_TRANSFERS / 8);
  const keys = Array.from({ length: BASE_TRANSFERS }, () => [
    random(BASE_KEY_LENGTH),
    random(BASE_KEY_LENGTH),
  ]);
  const chosen = concatBytes(...keys.map((pair, at) => pair[bitAt(delta, at)]!));
  return { delta, chosen, pairs: concatBytes(...keys.flat()) };
}

/** A pair's setup as `self` holds it. Another `seed` is another setup. */
export function dealtSetup(self: PartyIndex, peer: PartyIndex, seed = 'setup'): PairSetup {
  const [lower, higher] = self < peer ? [self, peer] : [peer, self];
  const name = `${seed}/${lower}/${higher}`;
  const own = direction(`${name}/sent by ${self}`);
  const theirs = direction(`${name}/sent by ${peer}`);
  return closePairSetup({
    self,
    peer,
    id: seedOf(`${name}/id`),
    delta: own.delta,
    chosenKeys: own.chosen,
    keyPairs: theirs.pairs,
    zeroSeed: seedOf(`${name}/zero`),
  });
}

/** With each other member. */
export function dealtSetups(
  self: PartyIndex,
  set: readonly PartyIndex[],
  seed?: string,
): Map<PartyIndex, PairSetup> {
  return new Map(set.filter((peer) => peer !== self).map((peer) => [peer, dealtSetup(self, peer, seed)]));
}

/** Options of every member of a presigning, ready to be spoilt. */
export function presigningOptions(
  set: readonly PartyIndex[],
  shares: Shares,
  options: { readonly count?: number; readonly seed?: string; readonly setups?: string } = {},
): Map<PartyIndex, PresigningOptions> {
  const { count = 1, seed = 'presigning', setups } = options;
  return new Map(
    set.map((self) => [
      self,
      {
        sid: seedOf(`${seed}/sid`),
        self,
        set,
        key: keyOf(shares, self),
        ids: Array.from({ length: count }, (_, at) => seedOf(`${seed}/id/${at}`)),
        setups: dealtSetups(self, set, setups),
        random: seededRandom(`${seed}/${self}`),
      },
    ]),
  );
}

type Made = readonly Presignature[];

export function runPresigning(
  options: ReadonlyMap<PartyIndex, PresigningOptions>,
  network: NetworkOptions = {},
): NetworkResult<Made> {
  const machines = [...options].map(([self, each]): [PartyIndex, Machine<Made>] => [
    self,
    new Presigning(each),
  ]);
  return runNetwork(new Map(machines), network);
}

/** What is to be signed, the same for every member. */
export interface Wanted {
  readonly shares: Shares;
  readonly digest: Uint8Array;
  readonly offset?: Uint8Array;
  /** Of each member. */
  readonly presignatures?: ReadonlyMap<PartyIndex, Presignature>;
}

/** Options of every member of a signing, ready to be spoilt. */
export function signingOptions(
  set: readonly PartyIndex[],
  wanted: readonly Wanted[],
  seed = 'signing',
): Map<PartyIndex, EcdsaSigningOptions> {
  const presigned = wanted.every(({ presignatures }) => presignatures !== undefined);
  return new Map(
    set.map((self) => {
      const items = wanted.map(({ shares, digest, offset, presignatures }): EcdsaItem => {
        const presignature = presignatures?.get(self);
        const key = keyOf(shares, self);
        return { key, digest, ...(offset && { offset }), ...(presignature && { presignature }) };
      });
      const setups = presigned ? new Map<PartyIndex, PairSetup>() : dealtSetups(self, set);
      const random = seededRandom(`${seed}/${self}`);
      return [self, { sid: seedOf(`${seed}/sid`), self, set, items, setups, random }];
    }),
  );
}

type Signatures = readonly Uint8Array[];

export function runSigning(
  options: ReadonlyMap<PartyIndex, EcdsaSigningOptions>,
  network: NetworkOptions = {},
): NetworkResult<Signatures> {
  const machines = [...options].map(([self, each]): [PartyIndex, Machine<Signatures>] => [
    self,
    new EcdsaSigning(each),
  ]);
  return runNetwork(new Map(machines), network);
}

/** The n-th presignature of each member, from a presigning that succeeded. */
export function presignaturesOf(result: NetworkResult<Made>, at = 0): ReadonlyMap<PartyIndex, Presignature> {
  return new Map([...result.outputs].map(([self, all]) => [self, all[at]!]));
}

/** Copies: as an attacker would keep them. */
export function copied(presignatures: ReadonlyMap<PartyIndex, Presignature>): Map<PartyIndex, Presignature> {
  return new Map(
    [...presignatures].map(([self, each]) => [self, { ...each, secrets: each.secrets.slice() }]),
  );
}

/** The coefficient of f(self) in f(0). */
export function lagrangeAtZero(set: readonly PartyIndex[], self: PartyIndex): bigint {
  const { Fn } = secp256k1.Point;
  return set
    .filter((index) => index !== self)
    .reduce((product, index) => Fn.mul(product, Fn.div(BigInt(index), Fn.create(BigInt(index - self)))), 1n);
}

/** The key itself, from t shares: only a test may. */
export function wholeKey(shares: Shares, set: readonly PartyIndex[]): bigint {
  const { Fn } = secp256k1.Point;
  const parts = set.map((i) => Fn.mul(lagrangeAtZero(set, i), Fn.fromBytes(shares.get(i)!.signingShare)));
  return parts.reduce((sum, part) => Fn.add(sum, part), 0n);
}

/** The digest that these words stand for. */
export const digestOf = (words: string): Uint8Array => sha256(text(words));

/** Whether three implementations accept a signature of `digestOf(words)` as it leaves the machine, and s is low. */
export function accepted(
  keyType: EcdsaKeyType,
  publicKey: Uint8Array,
  words: string,
  signature: Uint8Array,
): boolean {
  const digest = digestOf(words);
  const recoverable = keyType === 'ecdsa_secp256k1';
  const parsed = recoverable
    ? secp256k1.Signature.fromBytes(signature.subarray(0, 64), 'compact')
    : secp256k1.Signature.fromBytes(signature, 'der');
  if (recoverable) {
    const recovery = signature[64];
    if (signature.length !== 65 || (recovery !== 0 && recovery !== 1)) return false;
    const recovered = recover(digest, signature.subarray(0, 64), recovery, true);
    if (recovered === null || !Buffer.from(recovered).equals(publicKey)) return false;
  }
  return (
    !parsed.hasHighS() &&
    secp256k1.verify(parsed.toBytes('compact'), digest, publicKey, { prehash: false }) &&
    verifyTiny(digest, publicKey, parsed.toBytes('compact'), true) &&
    verifyOpenSsl(publicKey, words, parsed.toBytes('der'))
  );
}

/** OpenSSL takes what was hashed, and hashes it. */
function verifyOpenSsl(publicKey: Uint8Array, words: string, der: Uint8Array): boolean {
  const prefix = hexToBytes('3036301006072a8648ce3d020106052b8104000a032200');
  const key = createPublicKey({
    key: Buffer.from(concatBytes(prefix, publicKey)),
    format: 'der',
    type: 'spki',
  });
  return verify('sha256', text(words), key, der);
}
