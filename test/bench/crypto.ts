// What each round of key generation and FROST costs one party (of DKLs23: ecdsa.ts), in milliseconds and in generator multiplications of the
// same library measured in the same run. The other parties' messages are recorded once; since party 1 draws from a fixed
// seed, they fit every repetition, and only party 1's work is timed.
import { ed25519 } from '@noble/curves/ed25519.js';
import type { KeyGenerationOptions } from '../../node/mpc/dkg/generate.ts';
import { KeyGeneration } from '../../node/mpc/dkg/generate.ts';
import type { KeyShare } from '../../node/mpc/dkg/key-share.ts';
import type { KeyPackage } from '../../node/mpc/frost/key-package.ts';
import { loadKeyPackage } from '../../node/mpc/frost/key-package.ts';
import type { NonceCommitment } from '../../node/mpc/frost/nonces.ts';
import { NonceStore } from '../../node/mpc/frost/nonces.ts';
import { FrostSigning } from '../../node/mpc/frost/sign.ts';
import { ed25519Group } from '../../node/mpc/group.ts';
import type { PartyIndex } from '../../node/mpc/machine.ts';
import { randomScalar } from '../../node/mpc/random.ts';
import { MessageKind } from '../../node/mpc/rounds.ts';
import type { Envelope } from '../support/mpc-network.ts';
import { runNetwork, seededRandom } from '../support/mpc-network.ts';
import { ecdsaRows } from './ecdsa.ts';
import { type Row, summarise } from './row.ts';
import { finished, median, receiveAll, repeat, timed, type Times } from './timing.ts';

const SIZES = [
  [2, 3],
  [3, 5],
  [5, 9],
] as const;
const SID = new Uint8Array(32);
const MESSAGE = new Uint8Array(32);

/** Measures for about `seconds` in all, each round at least five times. */
export async function run(options: { seconds: number }): Promise<Row[]> {
  const multiplication = { name: 'G*k', value: median(generatorMultiplications()) };
  const budget = (options.seconds * 1000) / (4 * SIZES.length);
  const rows: Row[] = [];
  for (const [t, n] of SIZES) {
    const generation = prepareKeyGeneration(t, n);
    const signing = prepareSigning(t, generation.shares);
    for (const once of [generation.once, signing]) {
      const times = await repeat(once, budget);
      for (const [name, samples] of times) rows.push(summarise(name, t, n, samples, multiplication));
    }
  }
  rows.push(...(await ecdsaRows(options.seconds / 2)));
  return rows;
}

function prepareKeyGeneration(
  threshold: number,
  n: number,
): { shares: ReadonlyMap<PartyIndex, KeyShare>; once: (times: Times) => void } {
  const parties = Array.from({ length: n }, (_, at) => at + 1);
  const optionsOf = (self: PartyIndex): KeyGenerationOptions => ({
    keyType: 'ed25519',
    sid: SID,
    epoch: { roster: 1, run: 0 },
    self,
    parties,
    threshold,
    random: seededRandom(`bench/${self}`),
  });
  const machines = new Map(parties.map((self) => [self, new KeyGeneration(optionsOf(self))]));
  const { outputs, delivered } = runNetwork<KeyShare>(machines);
  const incoming = delivered.filter(({ to }) => to === 1);
  const ofKind = (kind: number): Envelope[] => incoming.filter(({ bytes }) => bytes[0] === kind);
  const commits = ofKind(MessageKind.dkgCommit);
  const reveals = ofKind(MessageKind.dkgReveal);
  const once = (times: Times): void => {
    const machine = new KeyGeneration(optionsOf(1));
    timed(times, 'dkg.commit', () => machine.start());
    timed(times, 'dkg.reveal', () => receiveAll(machine, commits));
    finished(timed(times, 'dkg.verify', () => receiveAll(machine, reveals)));
  };
  return { shares: outputs, once };
}

function prepareSigning(
  threshold: number,
  shares: ReadonlyMap<PartyIndex, KeyShare>,
): (times: Times) => void {
  const set = [...shares.keys()].toSorted((a, b) => a - b).slice(0, threshold);
  const keys = new Map(
    set.map((index): [PartyIndex, KeyPackage] => [index, loadKeyPackage(shares.get(index)!)]),
  );
  const storeOf = (index: PartyIndex): NonceStore => new NonceStore(seededRandom(`bench nonces/${index}`));
  const commitments = new Map<PartyIndex, readonly NonceCommitment[]>();
  const machineOf = (self: PartyIndex, store: NonceStore, id: string): FrostSigning => {
    const items = [{ key: keys.get(self)!, message: MESSAGE }];
    return new FrostSigning({ sid: SID, self, set, items, commitments, nonces: store.take(id) });
  };
  const prepared = set.map((index) => {
    const store = storeOf(index);
    const made = store.commit([keys.get(index)!]);
    commitments.set(index, made.commitments);
    return { index, store, id: made.id };
  });
  const incoming: Envelope[] = prepared
    .filter(({ index }) => index !== 1)
    .map(({ index, store, id }) => ({
      from: index,
      to: 1,
      bytes: machineOf(index, store, id).start().messages[0]!.bytes,
    }));
  return (times) => {
    const store = storeOf(1);
    const { id } = timed(times, 'frost.commit', () => store.commit([keys.get(1)!]));
    const machine = timed(times, 'frost.share', () => {
      const started = machineOf(1, store, id);
      started.start();
      return started;
    });
    finished(timed(times, 'frost.aggregate', () => receiveAll(machine, incoming)));
  };
}

function generatorMultiplications(): number[] {
  const random = seededRandom('bench scalars');
  const scalars = Array.from({ length: 400 }, () => randomScalar(ed25519Group, random));
  const times: Times = new Map();
  for (const scalar of scalars) timed(times, 'G*k', () => ed25519.Point.BASE.multiply(scalar));
  return times.get('G*k')!.slice(100);
}
