// Attempts to sign for tests: keys from real key generations, and the options of every member, ready to be spoilt.
import { createPublicKey } from 'node:crypto';
import { concatBytes, hexToBytes } from '@noble/hashes/utils.js';
import { KeyGeneration } from '../../node/mpc/dkg/generate.ts';
import type { KeyShare } from '../../node/mpc/dkg/key-share.ts';
import type { KeyPackage } from '../../node/mpc/frost/key-package.ts';
import { loadKeyPackage } from '../../node/mpc/frost/key-package.ts';
import type { NonceCommitment } from '../../node/mpc/frost/nonces.ts';
import { NonceStore } from '../../node/mpc/frost/nonces.ts';
import type { FrostSigningOptions } from '../../node/mpc/frost/sign.ts';
import { FrostSigning } from '../../node/mpc/frost/sign.ts';
import type { KeyType } from '../../node/mpc/group.ts';
import type { Machine, PartyIndex } from '../../node/mpc/machine.ts';
import type { NetworkOptions, NetworkResult } from './mpc-network.ts';
import { runNetwork, seededRandom } from './mpc-network.ts';

export const SID = new Uint8Array(32).fill(3);
export const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** A key from a real key generation, reproducible by its seed. */
export function generate(
  n: number,
  threshold: number,
  seed: string,
  keyType: KeyType = 'ed25519',
): Map<PartyIndex, KeyShare> {
  const parties = Array.from({ length: n }, (_, at) => at + 1);
  const common = { keyType, sid: SID, epoch: { roster: 1, run: 0 }, parties, threshold } as const;
  const machines = parties.map((self) => {
    return [self, new KeyGeneration({ ...common, self, random: seededRandom(`${seed}/${self}`) })] as const;
  });
  return new Map(runNetwork(new Map(machines)).outputs);
}

export const shares23 = generate(3, 2, 'two of three');
export const shares35 = generate(5, 3, 'three of five');
export const otherShares23 = generate(3, 2, 'another key');
export const load = (
  shares: ReadonlyMap<PartyIndex, KeyShare>,
  index: PartyIndex,
  tweak?: Uint8Array,
): KeyPackage => loadKeyPackage(shares.get(index)!, tweak);

export interface Item {
  readonly shares: ReadonlyMap<PartyIndex, KeyShare>;
  readonly message: Uint8Array;
  readonly tweak?: Uint8Array;
}

/** Options of every member of an attempt, ready to be spoilt. */
export function prepare(
  set: readonly PartyIndex[],
  items: readonly Item[],
  seed = 'sign',
): Map<PartyIndex, FrostSigningOptions> {
  const commitments = new Map<PartyIndex, readonly NonceCommitment[]>();
  const members = set.map((self) => {
    const store = new NonceStore(seededRandom(`${seed}/${self}`));
    const own = items.map(({ shares, message, tweak }) => ({
      key: load(shares, self, tweak),
      message,
    }));
    const made = store.commit(own.map(({ key }) => key));
    commitments.set(self, made.commitments);
    return { self, items: own, nonces: store.take(made.id) };
  });
  return new Map(members.map((member) => [member.self, { sid: SID, set, commitments, ...member }]));
}

export function run(
  options: ReadonlyMap<PartyIndex, FrostSigningOptions>,
  network: NetworkOptions = {},
): NetworkResult<readonly Uint8Array[]> {
  const machines = [...options].map(([self, each]): [PartyIndex, Machine<readonly Uint8Array[]>] => [
    self,
    new FrostSigning(each),
  ]);
  return runNetwork(new Map(machines), network);
}

export function nativeKey(publicKey: Uint8Array): ReturnType<typeof createPublicKey> {
  const der = concatBytes(hexToBytes('302a300506032b6570032100'), publicKey);
  return createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' });
}

export const one: Item = { shares: shares23, message: text('pay 1') };
