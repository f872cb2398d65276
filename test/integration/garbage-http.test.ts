// Garbage on the coordinator's HTTP listener and its event streams: a real coordinator in a process of its own, thousands of
// malformed inputs from a printed seed (GARBAGE=100000 for more, RANDOM_SEED to have the same again), and an honest owner
// beside them who must not notice.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { signHttp } from '../../protocol/signed-http.ts';
import { createClient } from '../../client/rpc-client.ts';
import { RpcClientError } from '../../client/rpc-error.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { RequestView } from '../../protocol/rpc.ts';
import { garbageCount, printedSeed, Random, type Garbage } from '../support/garbage.ts';
import { answersIn, createVictim, type Victim } from '../support/garbage-coordinator.ts';
import { httpGarbage } from '../support/garbage-http.ts';
import {
  deliver,
  mebibytes,
  type Measure,
  type Outcome,
  pour,
  type RunningTarget,
} from '../support/garbage-target.ts';
import { until } from '../support/until.ts';

/** Strangers come from another address than the honest owner, as they do in the world. */
const strangers = '127.0.0.2';
/** An error says what is wrong in a few lines, whatever was sent. */
const maxErrorBytes = 4096;
const unlimited = { requests: 10_000_000, perSeconds: 10 };
/** Milliseconds: what never ends is cut soon, so that thousands of inputs take seconds; an honest call on a busy machine is not. */
const impatient = { headMs: 2500, requestMs: 3000, idleMs: 4000 };
/**
 * A process of this size is a coordinator at work; what garbage adds to it must stay within this. Resident memory depends on
 * the runtime: with equal heap and buffers, Node 24 takes twice what Node 20 and 26 take.
 */
const maxRssGrowth = 256 * 1024 * 1024;
const maxHeapGrowth = 24 * 1024 * 1024;

/** With garbage behind a request the connection is closed, whatever answer is on its way; HEAD has an answer without body. */
const mayBeShort = new Set(['garbage after a call', 'flipped bits', 'path']);

function judge(input: Garbage, { received }: Outcome): void {
  const said = `${input.kind}: ${JSON.stringify(received.toString('latin1').slice(0, 600))}`;
  for (const { status, body, whole } of answersIn(received)) {
    assert.ok(status < 500 || status === 503, said);
    assert.ok(!/-32603|internal_error/.test(body), said);
    if (!whole) {
      assert.ok(input.end !== 'wait' || mayBeShort.has(input.kind), `cut short: ${said}`);
      continue;
    }
    if (status >= 400) {
      assert.ok(body.length <= maxErrorBytes, `${body.length} bytes for an error: ${said}`);
      if (input.end === 'wait' && body !== '') assert.match(body, /"remedy":"[^"]+"/, said);
    } else if (body.startsWith('{')) {
      const error = (JSON.parse(body) as { error?: { data: { remedy: string } } }).error;
      if (error)
        assert.ok(error.data.remedy.length > 0 && body.length <= maxErrorBytes, `${body.length}: ${said}`);
    }
  }
}

function table(outcomes: ReadonlyMap<string, number>): string {
  const lines = [...outcomes].map(([kind, count]) => `${kind} ${count}`);
  return lines.toSorted((one, other) => one.localeCompare(other)).join(', ');
}

const json = { host: 'x', 'content-type': 'application/json' };
function head(method: string, path: string, headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}
const callText = (params: object): string =>
  JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'sign_get', params });

describe('garbage on the coordinator', function () {
  this.timeout(60_000 + garbageCount * 60);
  let victim: Victim;
  let target: RunningTarget | undefined;

  const say = (text: string): void => void process.stdout.write(`      ${text}\n`);
  /** An honest owner who looks at a request. */
  const honest = (): ((requestId: Hex) => Promise<RequestView>) => {
    const { networkId, now, owner } = victim.seen;
    const client = createClient({ url: target!.at, networkId, signer: owner, now });
    let dropped = 0;
    return async (requestId) => {
      for (;;) {
        try {
          return await client.call('sign_get', { requestId });
        } catch (error) {
          // A machine that stands still for as long as a connection may be idle has none left afterwards.
          if (!(error instanceof RpcClientError) || error.code !== 'unreachable' || dropped >= 3) throw error;
          dropped += 1;
        }
      }
    };
  };
  const fromStrangers = () => ({
    port: Number(new URL(target!.at).port),
    host: '127.0.0.1',
    localAddress: strangers,
  });
  const assertWell = (measure: Measure): void => {
    assert.deepEqual(measure.unhandled, []);
    assert.deepEqual(measure.faults, []);
  };
  /** Sockets that a process holds open. */
  const sockets = (measure: Measure): number => measure.resources.TCPSocketWrap ?? 0;

  afterEach(async () => {
    await target?.stop();
    target = undefined;
    await victim?.remove();
  });

  it('answers or closes, stores nothing, keeps its memory, and serves an honest owner meanwhile', async () => {
    victim = await createVictim();
    const before = await victim.stored();
    target = await victim.start({ addressRate: unlimited, credentialRate: unlimited }, impatient);
    const ask = honest();
    const { requestId } = victim;
    const expected = await ask(requestId);
    const atFirst = await target.measure();
    const random = new Random(printedSeed('HTTP'));
    const began = performance.now();
    let answered = 0;
    let pouring = true;
    const owner = (async () => {
      while (pouring) {
        assert.deepEqual(await ask(requestId), expected);
        answered += 1;
        if (answered % 20 === 0) assertWell(await target!.measure());
      }
    })();
    let kinds;
    try {
      kinds = await pour(garbageCount, 48, () => httpGarbage(random, victim.seen), fromStrangers(), judge);
    } finally {
      pouring = false;
      await owner;
    }
    const seconds = (performance.now() - began) / 1000;
    // Idle connections of the honest client's agent are not the strangers'.
    await until(
      async () => sockets(await target!.measure()) <= 4,
      "the strangers' sockets are closed",
      30_000,
    );
    const atLast = await target.measure();
    assertWell(atLast);
    const { rss, heap } = target.largest;
    say(table(kinds));
    say(
      `${garbageCount} inputs in ${seconds.toFixed(1)} s, ${answered} honest calls answered; resident ${mebibytes(atFirst.rss)} before, ` +
        `${mebibytes(rss)} at most, heap ${mebibytes(atFirst.heap)} before, ${mebibytes(heap)} at most`,
    );
    say(`at the end: ${JSON.stringify(atLast.resources)}`);
    assert.ok(answered > 10);
    assert.ok(rss - atFirst.rss < maxRssGrowth, `resident memory grew by ${mebibytes(rss - atFirst.rss)}`);
    assert.ok(heap - atFirst.heap < maxHeapGrowth, `the heap grew by ${mebibytes(heap - atFirst.heap)}`);
    assert.deepEqual(await ask(requestId), expected);
    await target.stop();
    assert.equal(await victim.stored(), before);
  });

  it('holds a bounded number of connections of one address, and serves others meanwhile', async () => {
    victim = await createVictim();
    target = await victim.start({ connectionsPerAddress: 50, addressRate: unlimited }, impatient);
    const ask = honest();
    const expected = await ask(victim.requestId);
    let refused = 0;
    for (let count = 0; count < 400; count += 1) {
      const socket = connect(fromStrangers()).resume();
      socket.on('error', () => undefined);
      socket.once('close', () => (refused += 1));
    }
    await until(() => refused >= 350, 'all but fifty are refused');
    assert.ok(sockets(await target.measure()) <= 50 + 4);
    assert.deepEqual(await ask(victim.requestId), expected);
    await until(() => refused === 400, 'those that say nothing are cut', 30_000);
    await until(async () => sockets(await target!.measure()) <= 4, 'all sockets are closed');
    assertWell(await target.measure());
  });

  it('bounds what it holds for readers who never read, and what one address sends at a time', async () => {
    victim = await createVictim(9900);
    const before = await victim.stored();
    const limits = { addressRate: unlimited, heldBytesPerAddress: 4 * 1024 * 1024 };
    target = await victim.start(limits, { ...impatient, drainMs: 700 });
    const ask = honest();
    const { seen, requestId } = victim;
    const atFirst = await target.measure();
    const held: Socket[] = [];
    // Forty streams of ten megabytes each, of which nobody takes a byte: more than one credential may have.
    const path = `/v1/keyrings/${seen.keyringId}/events`;
    for (let count = 0; count < 40; count += 1) {
      const socket = connect(fromStrangers()).pause();
      held.push(socket.on('error', () => undefined));
      const parts = { networkId: seen.networkId, method: 'GET', path, body: new Uint8Array(0) };
      const signed = signHttp(parts, seen.connector, seen.now(), randomBytes(16), seen.grant);
      socket.write(head('GET', path, { host: 'x', ...signed }));
    }
    // A hundred bodies of a quarter of a megabyte, none of which ends.
    for (let count = 0; count < 100; count += 1) {
      const socket = connect(fromStrangers()).resume();
      held.push(socket.on('error', () => undefined));
      socket.write(head('POST', '/rpc', { ...json, 'content-length': String(seen.bodyBytes) }));
      socket.write(Buffer.alloc(seen.bodyBytes - 1, 0x20));
    }
    await until(async () => sockets(await target!.measure()) > 30, 'they are connected');
    await until(
      async () => {
        await ask(requestId);
        return sockets(await target!.measure()) <= 4;
      },
      'all of them are dropped',
      30_000,
    );
    for (const socket of held) socket.destroy();
    assertWell(await target.measure());
    const { rss, heap, external } = target.largest;
    say(
      `resident ${mebibytes(atFirst.rss)} before, ${mebibytes(rss)} at most; heap ${mebibytes(heap)} and buffers ` +
        `${mebibytes(external)} at most`,
    );
    const buffers = external - atFirst.external;
    assert.ok(buffers < 48 * 1024 * 1024, `buffers grew by ${mebibytes(buffers)}`);
    assert.ok(rss - atFirst.rss < maxRssGrowth, `resident memory grew by ${mebibytes(rss - atFirst.rss)}`);
    await target.stop();
    assert.equal(await victim.stored(), before);
  });

  it('verifies nothing of what is above the rate of an address', async () => {
    victim = await createVictim();
    target = await victim.start({ addressRate: { requests: 500, perSeconds: 3600 } });
    const ask = honest();
    await ask(victim.requestId);
    const atFirst = await target.measure();
    const random = new Random(printedSeed('rates'));
    const body = callText({ requestId: victim.requestId });
    const forged = (): Buffer =>
      Buffer.from(
        head('POST', '/rpc', {
          ...json,
          'content-length': String(body.length),
          'countersign-credential': `ed25519:0x${random.bytes(32).toString('hex')}`,
          'countersign-timestamp': new Date(victim.seen.now()).toISOString(),
          'countersign-nonce': `0x${random.bytes(16).toString('hex')}`,
          'countersign-signature': `0x${random.bytes(63).toString('hex')}00`,
        }) + body,
      );
    // On one connection, so that nothing but the rate is what ends it.
    const last = Buffer.from(head('GET', '/health/live', { host: 'x', connection: 'close' }));
    const pieces = [...Array.from({ length: 999 }, forged), last];
    const { received } = await deliver(
      { kind: 'above the rate', pieces, end: 'wait' },
      fromStrangers(),
      50_000,
    );
    const answers = answersIn(received);
    const refused = answers.filter(({ status }) => status === 429).length;
    const atLast = await target.measure();
    assertWell(atLast);
    // Each of the others takes a key parsed and a signature verified at most.
    const verified = atLast.verifications - atFirst.verifications;
    say(`${answers.length} answers, ${refused} refused by rate, ${verified} verifications`);
    assert.equal(answers.length, 1000);
    assert.equal(refused, 500);
    assert.ok(verified <= 2 * (answers.length - refused), `${verified} verifications`);
    assert.equal((await ask(victim.requestId)).state, 'partial');
  });
});
