// One sign request on an idle network of real processes, end to end and step by step. Steps inside the network are read off
// the processes' own logs (milliseconds, one clock); calls are timed by the client.
import type { Hex } from '../../protocol/hex.ts';
import { builtCommand, LocalNetwork, type LogLine } from '../support/local-network.ts';
import { until } from '../support/until.ts';
import { type BenchOptions, type Row, summarise } from './row.ts';

const steps = ['request', 'approve', 'forward', 'agree', 'sign', 'report', 'query', 'total'] as const;
type Step = (typeof steps)[number];

/** Measures one request after the other for about `seconds`, at least five. */
export async function run({ seconds, parties, threshold }: BenchOptions): Promise<Row[]> {
  const net = await LocalNetwork.start(parties, threshold, { entry: builtCommand });
  try {
    const keyId = await net.requestKey();
    if ((await net.final(keyId)).state !== 'fulfilled') throw new Error('no key was made');
    await measure(net, keyId, 'warm up');
    const roundTrip = { name: 'RPC round trip', value: await roundTripOf(net) };
    const samples = new Map<Step, number[]>(steps.map((step) => [step, []]));
    const end = performance.now() + seconds * 1000;
    for (let count = 0; count < 5 || performance.now() < end; count++) {
      const times = await measure(net, keyId, `request ${count}`);
      for (const step of steps) samples.get(step)?.push(times[step]);
    }
    return steps.map((step) =>
      summarise(`request.${step}`, threshold, parties, samples.get(step) ?? [], roundTrip),
    );
  } finally {
    await net.stop();
  }
}

async function timed<Value>(work: () => Promise<Value>): Promise<[Value, number]> {
  const start = performance.now();
  return [await work(), performance.now() - start];
}

async function roundTripOf(net: LocalNetwork): Promise<number> {
  const times: number[] = [];
  for (let count = 0; count < 50; count++) {
    times.push((await timed(() => net.owners.alice.client.call('network_get', {})))[1]);
  }
  return times.toSorted((a, b) => a - b)[25] ?? Number.NaN;
}

async function measure(net: LocalNetwork, keyId: Hex, text: string): Promise<Record<Step, number>> {
  const start = performance.now();
  const [id, request] = await timed(() => net.requestSignature(keyId, text));
  const [, approve] = await timed(() => net.decide(id, 'bob', 'approve'));
  await net.owners.alice.client.call('sign_wait', { requestId: id, timeoutMs: 60_000 });
  const total = performance.now() - start;
  const [view, query] = await timed(() => net.view(id));
  if (view.state !== 'fulfilled') throw new Error(`${id} is ${view.state}`);
  return { request, approve, query, total, ...(await insideOf(net, id, view.votes.need)) };
}

/** Times between events of the processes: the one that lets the request go on counts, so the t-th where t are needed. */
async function insideOf(net: LocalNetwork, id: Hex, needed: number) {
  const names = net.layout.parties.map(({ node }) => node);
  const about = (lines: readonly LogLine[], event: string): number[] =>
    lines
      .filter((line) => line.event === event && line.fields['requestId'] === id)
      .map((line) => Date.parse(line.at))
      .toSorted((a, b) => a - b);
  let nodes: readonly LogLine[] = [];
  let coordinator: readonly LogLine[] = [];
  await until(async () => {
    nodes = (await Promise.all(names.map((name) => net.log(name)))).flat();
    coordinator = await net.log('coordinator');
    // The state `pending` and the state `fulfilled`, and what is between them.
    return about(coordinator, 'request.state').length >= 3 && about(nodes, 'session.signed').length > 0;
  }, `the logs of ${id}`);
  const [, pending, fulfilled] = about(coordinator, 'request.state');
  const authorised = about(nodes, 'request.authorised')[needed - 1];
  const started = about(nodes, 'session.started')[0];
  const signed = about(nodes, 'session.signed')[0];
  const between = (from: number | undefined, to: number | undefined): number =>
    (to ?? Number.NaN) - (from ?? Number.NaN);
  return {
    forward: between(pending, authorised),
    agree: between(authorised, started),
    sign: between(started, signed),
    report: between(signed, fulfilled),
  };
}
