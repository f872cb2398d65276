// A peer's clock is asked for over its stream, and compensated for the way there and back.
import assert from 'node:assert/strict';
import { type Frame, frameVersion } from '../../node/network/frames.ts';
import { resolveLimits } from '../../node/network/limits.ts';
import { PeerChannel } from '../../node/network/peer-channel.ts';
import { carrierPair, helloFrame, partyOf, until } from '../support/network.ts';

const identity = {
  networkId: 'local-test',
  keyringId: '0xabc',
  epoch: '1.0',
  bootId: new Uint8Array(16).fill(0xaa),
  bootCounter: 7,
};

describe("a peer's clock", () => {
  const channels: PeerChannel[] = [];
  afterEach(() => {
    for (const channel of channels.splice(0)) channel.stop();
  });

  async function connected(limits: Parameters<typeof resolveLimits>[0] = {}) {
    let measured = 0;
    const log: [string, Record<string, unknown>][] = [];
    const channel = new PeerChannel({
      peer: partyOf(9).key,
      identity,
      keepsOwn: false,
      limits: resolveLimits(limits),
      onMessage: () => undefined,
      onChange: () => undefined,
      onClock: () => (measured += 1),
      log: (event, fields) => log.push([event, fields]),
    });
    channels.push(channel);
    const { carrier, far } = await carrierPair(false);
    channel.attach(carrier).catch(() => undefined);
    far.send(helloFrame());
    await until('the question', () => far.of('clock').length > 0);
    const { sent } = far.of('clock')[0]!;
    return { channel, far, log, sent, measured: () => measured };
  }

  it('is asked for at once, and what it answers counts once', async () => {
    const { channel, far, sent, measured } = await connected();
    const answer = (now: number, echoed = sent): Frame => ({ type: 'clock_answer', sent: echoed, now });
    far.send(answer(sent + 1_000_000, sent + 1), answer(sent + 90_000), answer(0));
    far.send({ type: 'data', sequence: 1, bytes: new Uint8Array(1) });
    await until('all of it', () => far.of('ack').length > 0);
    assert.equal(measured(), 1);
    const { clock } = channel.status();
    assert.ok(clock);
    assert.ok(Math.abs(clock.aheadMs - (90_000 - clock.roundTripMs / 2)) <= 1, JSON.stringify(clock));
  });

  it('is asked for again and again', async () => {
    const { far } = await connected({ heartbeatMs: 5, heartbeatDeadlineMs: 60_000, clockMs: 10 });
    await until('more questions', () => far.of('clock').length >= 3);
  });

  it('of this party is told to whoever asks, and many questions at once have one answer', async () => {
    const { far } = await connected();
    const before = Date.now();
    far.send(...Array.from({ length: 500 }, (_, index): Frame => ({ type: 'clock', sent: index })));
    await until('the last answer', () => far.of('clock_answer').some(({ sent }) => sent === 499));
    const answers = far.of('clock_answer');
    assert.ok(answers.length < 250, `${answers.length} answers`);
    for (const { now } of answers) assert.ok(now >= before && now <= Date.now());
  });

  it('is forgotten when the peer goes down', async () => {
    const { channel, far, sent } = await connected();
    far.send({ type: 'clock_answer', sent, now: sent + 90_000 });
    await until('the answer', () => channel.status().clock !== undefined);
    far.stream.abort(new Error('cut'));
    await until('down', () => !channel.up);
    const status = channel.status();
    assert.equal(status.clock, undefined);
    assert.equal(typeof status.downSince, 'number');
    assert.equal(status.since, undefined);
  });

  it('a peer of another version is told so, whatever its HELLO holds', async () => {
    const log: [string, Record<string, unknown>][] = [];
    const channel = new PeerChannel({
      peer: partyOf(9).key,
      identity,
      keepsOwn: false,
      limits: resolveLimits(),
      onMessage: () => undefined,
      onChange: () => undefined,
      log: (event, fields) => log.push([event, fields]),
    });
    channels.push(channel);
    const { carrier, far } = await carrierPair(false);
    const ended = assert.rejects(channel.attach(carrier), { code: 'hello_refused' });
    far.send({ type: 'hello', version: frameVersion + 1, quantum: true } as unknown as Frame);
    await ended;
    await until('our HELLO', () => far.of('hello').length === 1);
    const reason = `the peer's protocol version is ${frameVersion + 1}, ours is ${frameVersion}`;
    assert.deepEqual(log.find(([event]) => event === 'peer.refused')?.[1], { peer: partyOf(9).key, reason });
    assert.equal(channel.up, false);
  });
});
