// What a network of real processes on this machine does under a closed loop of clients: each client asks for one signature,
// has it approved, waits for it, and asks for the next. Signatures a second over windows of about a second, and how long one
// takes from the client's first call to its last, for each type of key. ECDSA signs with presignatures made within the attempt;
// once more, on a network that keeps them, with pools that were filled before and are emptied then.
import type { Hex } from '../../protocol/hex.ts';
import type { KeyType } from '../../protocol/keys/key-type.ts';
import type { ProvenKey } from '../../client/verify.ts';
import { builtCommand, LocalNetwork } from '../support/local-network.ts';
import { payloadFor, provenKey } from '../support/signed-payloads.ts';
import { until } from '../support/until.ts';
import { type BenchOptions, type Reference, type Row, summarise } from './row.ts';

const keyTypes = ['ed25519', 'taproot_secp256k1', 'ecdsa_secp256k1', 'bitcoin_secp256k1'] as const;
const defaultClients = 8;
/** Presignatures of each party, of the pools that are warmed. */
const pooled = 32;
/** Milliseconds. */
const windowMs = 1000;
const fillWithinMs = 60_000;

interface Sample {
  readonly end: number;
  readonly ms: number;
}

/** Measures for about `seconds` in all, each type of key for the same time; pools are emptied once, however long that takes. */
export async function run(options: BenchOptions): Promise<Row[]> {
  const { seconds, parties, threshold, clients = defaultClients } = options;
  const share = (seconds * 1000) / (keyTypes.length + 1);
  const rows: Row[] = [];
  await onNetwork(options, 0, async (net) => {
    const references = await referencesOf(net, clients);
    for (const keyType of keyTypes) {
      const key = await warmKey(net, keyType, clients);
      const end = performance.now() + share;
      const samples = await closedLoop(net, key, clients, () => performance.now() < end);
      rows.push(...rowsOf(keyType, threshold, parties, samples, clients, references));
    }
  });
  await onNetwork(options, pooled, async (net) => {
    const references = await referencesOf(net, clients);
    const key = await warmKey(net, 'ecdsa_secp256k1', clients);
    await fillPools(net, key.key.id, parties * pooled);
    // A leader uses its own alone, and some lead more often than others: with half of them hardly any finds none.
    let left = (parties * pooled) / 2;
    const samples = await closedLoop(net, key, clients, () => left-- > 0);
    rows.push(...rowsOf('ecdsa_secp256k1 pooled', threshold, parties, samples, clients, references));
  });
  return rows;
}

async function onNetwork(
  { parties, threshold }: BenchOptions,
  presignatures: number,
  work: (net: LocalNetwork) => Promise<void>,
): Promise<void> {
  const net = await LocalNetwork.start(parties, threshold, {
    entry: builtCommand,
    settings: { presignatures },
  });
  try {
    // Nothing but what is measured is to be under way.
    await net.pairsReady();
    await work(net);
  } finally {
    await net.stop();
  }
}

/** A key that has signed for every client. */
async function warmKey(net: LocalNetwork, keyType: KeyType, clients: number): Promise<ProvenKey> {
  const keyId = await net.requestKey(keyType, keyType);
  if ((await net.final(keyId)).state !== 'fulfilled') throw new Error(`no ${keyType} key was made`);
  const key = await provenKey(net, keyId);
  let left = 2 * clients;
  await closedLoop(net, key, clients, () => left-- > 0);
  return key;
}

/** Waits until there are so many presignatures of this key in all pools. */
async function fillPools(net: LocalNetwork, keyId: Hex, wanted: number): Promise<void> {
  let ready = 0;
  await until(
    async () => {
      const all = await Promise.all(net.layout.parties.map(({ node }) => net.status(node)));
      const pools = all.flatMap(({ presignatures = [] }) => presignatures.filter((of) => of.keyId === keyId));
      ready = pools.reduce((sum, pool) => sum + pool.ready, 0);
      return ready >= wanted;
    },
    () => `${wanted} presignatures; there are ${ready}`,
    fillWithinMs,
  );
}

async function closedLoop(
  net: LocalNetwork,
  key: ProvenKey,
  clients: number,
  another: () => boolean,
): Promise<readonly Sample[]> {
  const samples: Sample[] = [];
  const client = async (): Promise<void> => {
    while (another()) {
      const payload = payloadFor(key, crypto.randomUUID());
      const start = performance.now();
      const id = await net.requestSignatures(key.key.id, payload);
      await net.decide(id, 'bob', 'approve');
      const { state, reason } = await net.final(id);
      if (state !== 'fulfilled') throw new Error(`${id} is ${state}: ${reason?.code}`);
      const end = performance.now();
      samples.push({ end, ms: end - start });
    }
  };
  samples.push({ end: performance.now(), ms: Number.NaN });
  await Promise.all(Array.from({ length: clients }, client));
  return samples;
}

/** Of calls that do next to nothing: how long one takes, and how many the same clients make in a second. */
async function referencesOf(
  net: LocalNetwork,
  clients: number,
): Promise<{ latency: Reference; rate: Reference }> {
  const { client } = net.owners.alice;
  const one = async (): Promise<number> => {
    const start = performance.now();
    await client.call('network_get', {});
    return performance.now() - start;
  };
  const times: number[] = [];
  for (let count = 0; count < 100; count++) times.push(await one());
  const end = performance.now() + windowMs;
  let calls = 0;
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (performance.now() < end) {
        await one();
        calls++;
      }
    }),
  );
  const latency = { name: 'RPC round trip', value: times.toSorted((a, b) => a - b)[50] ?? Number.NaN };
  return { latency, rate: { name: 'RPC calls a second', value: (calls * 1000) / windowMs } };
}

/**
 * What was finished a second, in each window of at least `windowMs` in which every client can have finished one: on a slow
 * machine they finish together. The first sample is the beginning.
 */
function ratesOf([first, ...samples]: readonly Sample[], clients: number): number[] {
  const rates: number[] = [];
  let start = first?.end ?? 0;
  let count = 0;
  for (const { end } of samples) {
    count += 1;
    if (end - start < windowMs || count < clients) continue;
    rates.push((count * 1000) / (end - start));
    start = end;
    count = 0;
  }
  const last = samples.at(-1)?.end ?? start;
  if (rates.length === 0 && last > start) rates.push((count * 1000) / (last - start));
  return rates;
}

function rowsOf(
  name: string,
  threshold: number,
  parties: number,
  samples: readonly Sample[],
  clients: number,
  { latency, rate }: { latency: Reference; rate: Reference },
): Row[] {
  const times = samples.slice(1).map(({ ms }) => ms);
  return [
    summarise(`throughput.${name}.rate`, threshold, parties, ratesOf(samples, clients), rate, 'requests/s'),
    summarise(`throughput.${name}.latency`, threshold, parties, times, latency),
  ];
}
