// What ECDSA costs one party: key generation, one pair setup, all rounds of one presignature, and the online round of one
// signature; in milliseconds and in generator multiplications on secp256k1 of the same run, with the bytes that go to each
// counterparty. As in crypto.ts, the others' messages are recorded once and fit every repetition.
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { KeyGeneration } from '../../node/mpc/dkg/generate.ts';
import type { KeyShare } from '../../node/mpc/dkg/key-share.ts';
import { loadEcdsaKey } from '../../node/mpc/dkls23/key.ts';
import type { PairSetup } from '../../node/mpc/dkls23/pair-secrets.ts';
import { PairSetupRun } from '../../node/mpc/dkls23/pair-setup.ts';
import type { Presignature } from '../../node/mpc/dkls23/presignature.ts';
import { Presigning } from '../../node/mpc/dkls23/presigning.ts';
import { EcdsaSigning } from '../../node/mpc/dkls23/signing.ts';
import { secp256k1Group } from '../../node/mpc/group.ts';
import type { Machine, PartyIndex, Step } from '../../node/mpc/machine.ts';
import { randomScalar } from '../../node/mpc/random.ts';
import { dealtSetups } from '../support/dkls23-parties.ts';
import { type Envelope, runNetwork, seededRandom } from '../support/mpc-network.ts';
import { type Row, summarise } from './row.ts';
import { finished, median, repeat, timed, type Times } from './timing.ts';

const SIZES = [
  [2, 3],
  [3, 5],
  [5, 9],
] as const;
const SID = new Uint8Array(32);
const DIGEST = new Uint8Array(32).fill(1);
const EPOCH = { roster: 1, run: 0 };

/** A thing to measure: a machine of party 1 that is the same every time, and what the others send it. */
interface Measured<Output> {
  readonly name: string;
  readonly make: () => Machine<Output>;
  readonly incoming: readonly Envelope[];
  readonly outputs: ReadonlyMap<PartyIndex, Output>;
  /** What party 1 sends each counterparty. */
  readonly bytes: number;
}

/** Measures for about `seconds` in all. */
export async function ecdsaRows(seconds: number): Promise<Row[]> {
  const multiplication = { name: 'secp256k1 G*k', value: median(generatorMultiplications()) };
  const budget = (seconds * 1000) / (SIZES.length * 3 + 1);
  const rows: Row[] = [];
  const measure = async <Output>({ name, make, incoming, bytes }: Measured<Output>, t: number, n: number) => {
    const times = await repeat((each) => runOnce(each, name, make, incoming), budget);
    for (const samples of times.values())
      rows.push({ ...summarise(name, t, n, samples, multiplication), bytes });
  };
  // A pair is a pair, however many parties there are.
  await measure(pairSetup(), 2, 2);
  for (const [t, n] of SIZES) {
    const generation = keyGeneration(t, n);
    const presigning = presign(t, generation.outputs);
    const signing = online(t, generation.outputs, presigning.outputs);
    await measure(generation, t, n);
    await measure(presigning, t, n);
    await measure(signing, t, n);
  }
  return rows;
}

/** All of a machine's rounds are one sample. */
function runOnce<Output>(
  times: Times,
  name: string,
  make: () => Machine<Output>,
  incoming: readonly Envelope[],
): void {
  const machine = make();
  const last = timed(times, name, () => {
    let step: Step<Output> = machine.start();
    for (const { from, bytes } of incoming) step = machine.receive(from, bytes);
    return step;
  });
  finished(last);
}

function record<Output>(
  name: string,
  members: readonly PartyIndex[],
  make: (self: PartyIndex) => Machine<Output>,
): Measured<Output> {
  const { outputs, aborts, delivered } = runNetwork(new Map(members.map((self) => [self, make(self)])));
  for (const abort of aborts.values()) throw abort;
  const second = members[1]!;
  const sent = delivered.filter(({ from, to }) => from === 1 && to === second);
  return {
    name,
    make: () => make(1),
    incoming: delivered.filter(({ to }) => to === 1),
    outputs,
    bytes: sent.reduce((sum, { bytes }) => sum + bytes.length, 0),
  };
}

function pairSetup(): Measured<PairSetup> {
  return record('dkls23.pairSetup', [1, 2], (self) => {
    const random = seededRandom(`bench pair/${self}`);
    return new PairSetupRun({
      sid: SID,
      self,
      peer: 3 - self,
      keyringId: '00'.repeat(32),
      epoch: EPOCH,
      random,
    });
  });
}

function keyGeneration(threshold: number, n: number): Measured<KeyShare> {
  const parties = Array.from({ length: n }, (_, at) => at + 1);
  return record('dkls23.keygen', parties, (self) => {
    const random = seededRandom(`bench/${self}`);
    return new KeyGeneration({
      keyType: 'ecdsa_secp256k1',
      sid: SID,
      epoch: EPOCH,
      self,
      parties,
      threshold,
      random,
    });
  });
}

function presign(t: number, shares: ReadonlyMap<PartyIndex, KeyShare>): Measured<readonly Presignature[]> {
  const set = Array.from({ length: t }, (_, at) => at + 1);
  const keys = new Map(set.map((self) => [self, loadEcdsaKey(shares.get(self)!)]));
  return record('dkls23.presign', set, (self) => {
    const random = seededRandom(`bench presign/${self}`);
    const setups = dealtSetups(self, set);
    return new Presigning({ sid: SID, self, set, key: keys.get(self)!, ids: [DIGEST], setups, random });
  });
}

function online(
  t: number,
  shares: ReadonlyMap<PartyIndex, KeyShare>,
  presignatures: ReadonlyMap<PartyIndex, readonly Presignature[]>,
): Measured<readonly Uint8Array[]> {
  const set = Array.from({ length: t }, (_, at) => at + 1);
  const keys = new Map(set.map((self) => [self, loadEcdsaKey(shares.get(self)!)]));
  return record('dkls23.online', set, (self) => {
    const [made] = presignatures.get(self)!;
    // A machine takes what it is given; the same nonce signs again here, as nothing else may.
    const presignature = { ...made!, secrets: made!.secrets.slice() };
    const items = [{ key: keys.get(self)!, digest: DIGEST, presignature }];
    const random = seededRandom(`bench online/${self}`);
    return new EcdsaSigning({ sid: SID, self, set, items, setups: new Map(), random });
  });
}

function generatorMultiplications(): number[] {
  const random = seededRandom('bench scalars');
  const scalars = Array.from({ length: 400 }, () => randomScalar(secp256k1Group, random));
  const times: Times = new Map();
  for (const scalar of scalars) timed(times, 'G*k', () => secp256k1.Point.BASE.multiply(scalar));
  return times.get('G*k')!.slice(100);
}
