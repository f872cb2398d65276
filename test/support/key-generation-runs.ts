// Runs of key generation for tests: honest parties, and a dishonest party 2 among three.
import assert from 'node:assert/strict';
import type { AbortCode } from '../../node/mpc/abort.ts';
import type { KeyGenerationOptions } from '../../node/mpc/dkg/generate.ts';
import { KeyGeneration } from '../../node/mpc/dkg/generate.ts';
import type { KeyShare } from '../../node/mpc/dkg/key-share.ts';
import { type Group, groupOf, type KeyType } from '../../node/mpc/group.ts';
import type { Machine, PartyIndex } from '../../node/mpc/machine.ts';
import type { Dishonesty } from './dishonest-dealer.ts';
import { DishonestDealer } from './dishonest-dealer.ts';
import type { NetworkOptions, NetworkResult } from './mpc-network.ts';
import { runNetwork, seededRandom } from './mpc-network.ts';

export const SID = new Uint8Array(32).fill(7);

/** Honest runs of key generation for one type of key, and runs against a dishonest party. */
export function runsOf(keyType: KeyType) {
  const options = (self: PartyIndex, n: number, threshold: number, seed = 'dkg'): KeyGenerationOptions => {
    const parties = Array.from({ length: n }, (_, at) => at + 1);
    const epoch = { roster: 1, run: 0 };
    const random = seededRandom(`${seed}/${self}`);
    return { keyType, sid: SID, epoch, self, parties, threshold, random };
  };
  const honest = (n: number, threshold: number, seed = 'dkg'): Map<PartyIndex, Machine<KeyShare>> => {
    const indices = Array.from({ length: n }, (_, at) => at + 1);
    return new Map(indices.map((self) => [self, new KeyGeneration(options(self, n, threshold, seed))]));
  };
  /** Three parties, threshold two; party 2 is dishonest. */
  const against = (dishonesty: Dishonesty, network: NetworkOptions = {}): NetworkResult<KeyShare> => {
    const machines = honest(3, 2);
    machines.set(2, new DishonestDealer(options(2, 3, 2), dishonesty));
    return runNetwork(machines, network);
  };
  const group: Group = groupOf(keyType);
  return { group, options, honest, against };
}

export const { options, honest, against } = runsOf('ed25519');

export function assertAborts(
  result: NetworkResult<KeyShare>,
  code: AbortCode,
  culprit: PartyIndex | undefined,
): void {
  assert.equal(result.outputs.size, 0, 'nobody may finish');
  for (const self of [1, 3]) {
    const abort = result.aborts.get(self);
    assert.equal(abort?.code, code, `party ${self}: ${abort?.message}`);
    assert.equal(abort?.culprit, culprit);
    assert.equal(abort?.ban, undefined);
  }
}

export const flip = (bytes: Uint8Array, at: number): Uint8Array =>
  bytes.map((byte, position) => (position === at ? byte ^ 1 : byte));
