// Real pair setups of two parties, for tests: from fixed seeds, and one side alone against messages of the other that were
// recorded before.
import { PairSetupRun, type PairSetupOptions } from '../../node/mpc/dkls23/pair-setup.ts';
import type { PairSetup } from '../../node/mpc/dkls23/pair-secrets.ts';
import type { PartyIndex } from '../../node/mpc/machine.ts';
import { seedOf } from './fixture.ts';
import { runNetwork, seededRandom } from './mpc-network.ts';

export function pairOptions(self: PartyIndex, peer: PartyIndex, name = 'pair'): PairSetupOptions {
  return {
    sid: seedOf(`${name}/session`),
    self,
    peer,
    keyringId: '00112233445566778899aabbccddeeff',
    epoch: { roster: 1, run: 0 },
    random: seededRandom(`${name}/${self}`),
  };
}

export interface PairRun {
  readonly setups: ReadonlyMap<PartyIndex, PairSetup>;
  /** Each party's four messages, in order. */
  readonly messages: ReadonlyMap<PartyIndex, readonly Uint8Array[]>;
}

let made: PairRun | undefined;

/** An honest run of parties 1 and 2 with the options above, computed once. */
export function pairRun(): PairRun {
  if (made !== undefined) return made;
  const machines = [new PairSetupRun(pairOptions(1, 2)), new PairSetupRun(pairOptions(2, 1))] as const;
  const { outputs, delivered } = runNetwork(
    new Map([1, 2].map((self) => [self, machines[self - 1]!] as const)),
  );
  const sent = (from: PartyIndex): Uint8Array[] =>
    delivered
      .filter((envelope) => envelope.from === from)
      .map(({ bytes }) => bytes)
      .toSorted((a, b) => a[0]! - b[0]!);
  made = {
    setups: outputs,
    messages: new Map([
      [1, sent(1)],
      [2, sent(2)],
    ]),
  };
  return made;
}
