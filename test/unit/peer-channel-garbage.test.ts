// Garbage on streams in memory, at the channel that serves a peer: no handshakes, so many of them. And what a peer's
// messages take of memory and of the event loop while they wait.
import assert from 'node:assert/strict';
import { StreamMessageEvent } from '@libp2p/interface';
import { streamPair } from '@libp2p/utils';
import { encodeFrame } from '../../node/network/frames.ts';
import { Budget, costOf, guardParts } from '../../node/network/gossip-guard.ts';
import { readRequest } from '../../node/network/door-request.ts';
import { Inbox } from '../../node/network/inbox.ts';
import { resolveLimits } from '../../node/network/limits.ts';
import { PeerChannel } from '../../node/network/peer-channel.ts';
import { measured } from '../support/attacked-hosts.ts';
import { Choices, garbageCount, garbageSeed, lengthPrefixed, varint } from '../support/frame-garbage.ts';
import { bytesOf, carrierPair, helloFrame, textOf } from '../support/network.ts';
import { streamGarbage } from '../support/stream-garbage.ts';
import { until } from '../support/until.ts';

describe('peer channel: garbage', function () {
  this.timeout(3_600_000);

  it('each of a few thousand streams ends with a named reason, and the next good one serves', async () => {
    const seed = garbageSeed();
    process.stdout.write(`      RANDOM_SEED=${seed}\n`);
    // A pair of streams in memory is numbered like a port.
    const count = Math.min(garbageCount(2_000), 30_000);
    const choices = new Choices(seed);
    const codes = new Map<string, number>();
    const received: string[] = [];
    let last = '';
    const channel = new PeerChannel({
      peer: 'ed25519:0x00',
      identity: {
        networkId: 'local-test',
        keyringId: '0xabc',
        epoch: '1.0',
        bootId: new Uint8Array(16).fill(0xaa),
        bootCounter: 1,
      },
      keepsOwn: false,
      limits: resolveLimits({ helloDeadlineMs: 500, heartbeatMs: 200, heartbeatDeadlineMs: 500 }),
      onMessage: (bytes) => void received.push(textOf(bytes)),
      onChange: () => undefined,
      log: (event, fields) => {
        const name = event === 'peer.stream.ended' ? String(fields['code']) : event;
        codes.set(name, (codes.get(name) ?? 0) + 1);
        if (event === 'peer.stream.ended') last = name;
      },
    });
    const one = async (): Promise<void> => {
      const { name, parts, held, shut } = streamGarbage(choices, helloFrame());
      const { carrier, far } = await carrierPair(false);
      const end = channel.attach(carrier).then(
        () => undefined,
        () => undefined,
      );
      try {
        for (const part of parts) if (!far.ended) far.stream.send(part);
        if (shut && !far.ended) await far.stream.close();
      } catch {
        // The channel was faster.
      }
      await end;
      await until(() => far.ended, `${name} ends the stream`, 20_000);
      // Only what may yet become whole is waited for.
      assert.equal(last === 'silent', held === true, `${name}: ${last}`);
    };
    const memory = await measured('streams in memory', count, async () => {
      for (let index = 0; index < count; index++) await one();
    });
    process.stdout.write(`        ${JSON.stringify(Object.fromEntries(codes))}\n`);
    const ends = ['frame', 'protocol', 'hello_refused', 'silent', 'closed', 'replaced'];
    const total = ends.reduce((sum, code) => sum + (codes.get(code) ?? 0), 0);
    assert.equal(total, count);
    for (const code of ends.slice(0, 4)) assert((codes.get(code) ?? 0) > 0, code);
    assert(memory.grown < 32 && memory.risen < 256, JSON.stringify(memory));
    const { carrier, far } = await carrierPair(false);
    const attached = channel.attach(carrier);
    far.send(helloFrame({ bootId: new Uint8Array(16).fill(0xcc), bootCounter: 2 }));
    await attached;
    received.length = 0;
    far.stream.send(encodeFrame({ type: 'data', sequence: 1, bytes: bytesOf('good') }));
    await until(() => received.includes('good'), 'a good message');
    channel.stop();
  });

  it('a message that waits keeps its own bytes only, not the chunk it came in', async () => {
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    const seen: Uint8Array[] = [];
    const inbox = new Inbox({
      maxBytes: 1 << 20,
      handle: (bytes) => {
        seen.push(bytes);
        return gate;
      },
      onError: () => undefined,
    });
    const chunk = Buffer.alloc(64 * 1024, 7);
    inbox.push(chunk.subarray(10, 12));
    assert.equal(seen[0]?.buffer.byteLength, 2);
    open();
  });

  it('many messages leave room for timers between them', async () => {
    let handled = 0;
    const inbox = new Inbox({
      maxBytes: 1 << 24,
      handle: async () => {
        const end = performance.now() + 0.2;
        while (performance.now() < end);
        handled += 1;
      },
      onError: () => undefined,
    });
    let handledAtTimer: number | undefined;
    setImmediate(() => (handledAtTimer = handled));
    for (let index = 0; index < 2000; index++) inbox.push(new Uint8Array(1));
    await until(() => handled === 2000, 'all are handled');
    assert(handledAtTimer !== undefined && handledAtTimer < 1000, `${handledAtTimer} before the timer`);
  });

  it('a gossip budget counts messages, bytes and what control messages name, and fills with time', () => {
    const data = new Uint8Array(10 * 1024);
    assert.equal(costOf({ messages: [{ data }, {}] }), 1 + 2 + 10);
    assert.equal(costOf({ control: { iwant: [{ messageIDs: [1, 2, 3] }], graft: [{}] } }), 1 + 4 + 1);
    assert.equal(costOf({ subscriptions: [1, 2] }), 3);
    const budget = new Budget();
    assert(budget.take(9_000));
    assert(!budget.take(9_000));
    assert(budget.take(500));
  });

  it('a gossip transmission in too many parts costs its stream, one in a few does not', () => {
    // Part by part, as the multiplexer delivers them; a pair of streams in memory would join them.
    const stream = new EventTarget();
    let aborted = 0;
    const guarded = Object.assign(stream, { abort: () => void (aborted += 1) });
    guardParts(guarded as unknown as Parameters<typeof guardParts>[0]);
    const part = (bytes: Uint8Array): void => void stream.dispatchEvent(new StreamMessageEvent(bytes));
    for (let index = 0; index < 10_000; index++) part(lengthPrefixed(new Uint8Array(3)));
    part(varint(200_000));
    for (let index = 0; index < 200; index++) part(new Uint8Array(1000));
    for (const byte of varint(200_000)) part(new Uint8Array([byte]));
    for (let index = 0; index < 4000; index++) part(new Uint8Array(1));
    assert.equal(aborted, 0);
    for (let index = 0; index < 200; index++) part(new Uint8Array(1));
    assert(aborted > 0);
  });

  it('a door request takes the room of what has come, however small the parts', async () => {
    const whole = new Choices(1).bytes(3000);
    const [near, far] = await streamPair({ protocol: '/test/1', delay: 0, capacity: 50 });
    const read = readRequest(near, 4096);
    for (const byte of lengthPrefixed(whole)) far.send(new Uint8Array([byte]));
    assert.deepEqual(await read, whole);
    for (const [bytes, message] of [
      [varint(4097), /a request of 4097 bytes, the limit is 4096/],
      [new Uint8Array([0xff, 0xff, 0xff, 0xff, 1]), /too many bytes/],
    ] as const) {
      const [here, there] = await streamPair({ protocol: '/test/1', delay: 0, capacity: 50 });
      const read = readRequest(here, 4096);
      there.send(bytes);
      there.send(new Uint8Array(5000));
      await assert.rejects(read, message);
    }
    const [here, there] = await streamPair({ protocol: '/test/1', delay: 0, capacity: 50 });
    const cut = assert.rejects(readRequest(here, 4096), /ended without a whole request/);
    there.send(lengthPrefixed(whole).subarray(0, 100));
    await there.close();
    await cut;
  });
});
