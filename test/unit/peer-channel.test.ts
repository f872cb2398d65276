// The channel to one peer, against a peer that sends frames by hand over a stream in memory.
import assert from 'node:assert/strict';
import { encode } from 'cborg';
import { type Frame, frameVersion, type HelloFrame, encodeFrame } from '../../node/network/frames.ts';
import { resolveLimits } from '../../node/network/limits.ts';
import type { NetworkError } from '../../node/network/network-error.ts';
import { PeerChannel, type PeerChannelOptions } from '../../node/network/peer-channel.ts';
import { type HandPeer, bytesOf, carrierPair, helloFrame, textOf, until } from '../support/network.ts';

const ownBootId = new Uint8Array(16).fill(0xaa);
const peerBootHex = `0x${'bb'.repeat(16)}`;
const otherBootId = new Uint8Array(16).fill(0xcc);
const otherBootHex = `0x${'cc'.repeat(16)}`;

interface Harness {
  channel: PeerChannel;
  received: string[];
  events: string[];
  sent: string[];
  log: [string, Record<string, unknown>][];
  /** Connects a hand-driven peer; says HELLO unless told not to. */
  connect: (options?: {
    openedHere?: boolean;
    hello?: HelloFrame | false;
  }) => Promise<HandPeer & { ended: boolean }>;
  ends: NetworkError[];
}

const channels: PeerChannel[] = [];

function harness(options: Partial<PeerChannelOptions> = {}): Harness {
  const received: string[] = [];
  const events: string[] = [];
  const sent: string[] = [];
  const log: [string, Record<string, unknown>][] = [];
  const ends: NetworkError[] = [];
  const channel = new PeerChannel({
    peer: 'ed25519:0xpeer',
    identity: {
      networkId: 'local-test',
      keyringId: '0xabc',
      epoch: '1.0',
      bootId: ownBootId,
      bootCounter: 7,
    },
    keepsOwn: true,
    limits: resolveLimits(),
    onMessage: (bytes) => void received.push(textOf(bytes)),
    onChange: ({ up, bootId, bootCounter }) => events.push(`${up ? 'up' : 'down'} ${bootId} ${bootCounter}`),
    onSent: (bytes) => sent.push(textOf(bytes)),
    log: (event, fields) => log.push([event, fields]),
    ...options,
  });
  channels.push(channel);
  return {
    channel,
    received,
    events,
    sent,
    log,
    ends,
    async connect({ openedHere = false, hello = helloFrame() } = {}) {
      const { carrier, far } = await carrierPair(openedHere);
      channel.attach(carrier).catch((error: unknown) => ends.push(error as NetworkError));
      if (hello !== false) far.send(hello);
      return far;
    },
  };
}

/** The reason for which the channel's last stream ended. */
function lastEnd({ log }: Harness): unknown {
  return log.findLast(([event]) => event === 'peer.stream.ended')?.[1].code;
}

const data = (sequence: number, text = `message ${sequence}`): Frame => ({
  type: 'data',
  sequence,
  bytes: bytesOf(text),
});
const texts = (peer: HandPeer): string[] =>
  peer.of('data').map(({ sequence, bytes }) => `${sequence} ${textOf(bytes)}`);

describe('peer channel', () => {
  afterEach(() => {
    for (const channel of channels.splice(0)) channel.stop();
  });

  describe('HELLO', () => {
    it('is sent at once, and names network, keyring, epoch and boot', async () => {
      const peer = await harness().connect({ hello: false });
      await until('our HELLO', () => peer.frames.length > 0);
      assert.deepEqual(peer.frames[0], {
        ...helloFrame({ bootCounter: 7 }),
        bootId: ownBootId,
      });
    });

    it('makes the peer up, and nothing else does', async () => {
      const h = harness();
      h.channel.send(bytesOf('kept'));
      const peer = await h.connect({ hello: false });
      await until('our HELLO', () => peer.of('hello').length === 1);
      assert.equal(h.channel.up, false);
      assert.deepEqual(h.events, []);
      peer.send(helloFrame());
      await until('the message that was queued before', () => peer.of('data').length === 1);
      assert.deepEqual(h.events, [`up ${peerBootHex} 1`]);
      assert.equal(h.channel.status().up, true);
      assert.equal(h.channel.status().bootId, peerBootHex);
      assert.equal(h.channel.status().bootCounter, 1);
      assert.equal(typeof h.channel.status().since, 'number');
    });

    const wrong: [string, Partial<HelloFrame>][] = [
      ['of another network', { networkId: 'local-other' }],
      ['of another keyring', { keyringId: '0xabd' }],
      ['of another epoch', { epoch: '1.1' }],
      ['of another version', { version: frameVersion + 1 }],
      [
        'of another version, with what only that one knows',
        { version: 1, epoch: 7 as never, more: true } as never,
      ],
      ["with this party's own boot id", { bootId: ownBootId }],
    ];
    for (const [what, changes] of wrong) {
      it(`${what} is refused, and no message leaves`, async () => {
        const h = harness();
        h.channel.send(bytesOf('secret'));
        const peer = await h.connect({ hello: helloFrame(changes) });
        await until('the refusal', () => h.ends.length === 1 && peer.ended);
        assert.equal(h.ends[0]!.code, 'hello_refused');
        assert.equal(h.channel.up, false);
        assert.deepEqual(h.events, []);
        assert.deepEqual(h.sent, []);
        assert.equal(peer.of('data').length, 0);
        assert.ok(h.log.some(([event]) => event === 'peer.refused'));
      });
    }

    it('is expected within a deadline', async () => {
      const h = harness({ limits: resolveLimits({ helloDeadlineMs: 20 }) });
      const peer = await h.connect({ hello: false });
      await until('the end of the stream', () => h.ends.length === 1 && peer.ended);
      assert.equal(h.ends[0]!.code, 'silent');
    });
  });

  describe('what is not a frame of the protocol ends the stream, and the process lives', () => {
    const raw = (value: unknown): Uint8Array => {
      const body = encode(value);
      return Buffer.concat([new Uint8Array([0, 0, body.length >> 8, body.length & 255]), body]);
    };
    const cases: [string, Uint8Array, string][] = [
      ['garbage', new Uint8Array(64).fill(0x41), 'frame'],
      ['a frame that claims more than the limit', new Uint8Array([0, 16, 0, 1]), 'frame'],
      ['a frame of 4 GiB', new Uint8Array([255, 255, 255, 255]), 'frame'],
      ['an empty frame', new Uint8Array(4), 'frame'],
      ['CBOR that is not a map', raw([1, 2]), 'frame'],
      ['CBOR with trailing bytes', new Uint8Array([0, 0, 0, 2, 0xa0, 0xa0]), 'frame'],
      [
        'a length in a longer form than needed',
        // {type: 'ping'} with one more byte for the length of the text than strict CBOR allows
        Buffer.concat([
          new Uint8Array([0, 0, 0, 12, 0xa1, 0x64]),
          bytesOf('type'),
          new Uint8Array([0x78, 4]),
          bytesOf('ping'),
        ]),
        'frame',
      ],
      [
        'deeply nested CBOR',
        Buffer.concat([new Uint8Array([0, 0, 0x40, 0]), new Uint8Array(0x4000).fill(0x81)]),
        'frame',
      ],
      ['an unknown type', raw({ type: 'pong' }), 'frame'],
      ['a type that every object has', raw({ type: 'constructor' }), 'frame'],
      ['no type', raw({ sequence: 1 }), 'frame'],
      ['an additional key', raw({ type: 'ping', extra: 1 }), 'frame'],
      ['a missing key', raw({ type: 'data', sequence: 1 }), 'frame'],
      ['a key of another name', raw({ type: 'data', sequence: 1, byte: new Uint8Array(1) }), 'frame'],
      ['text instead of bytes', raw({ type: 'data', sequence: 1, bytes: 'x' }), 'frame'],
      ['sequence number 0', raw({ type: 'data', sequence: 0, bytes: new Uint8Array(1) }), 'frame'],
      ['a negative sequence number', raw({ type: 'ack', sequence: -1 }), 'frame'],
      ['a fractional sequence number', raw({ type: 'ack', sequence: 1.5 }), 'frame'],
      ['a sequence number beyond 2^53', raw({ type: 'ack', sequence: 2n ** 60n }), 'frame'],
      ['a second HELLO', encodeFrame(helloFrame()), 'protocol'],
      ['a gap in the sequence', encodeFrame(data(2)), 'protocol'],
      ['an acknowledgement of what was never sent', encodeFrame({ type: 'ack', sequence: 1 }), 'protocol'],
    ];
    for (const [what, bytes, code] of cases) {
      it(what, async () => {
        const h = harness();
        const peer = await h.connect();
        await until('up', () => h.channel.up);
        peer.stream.send(bytes);
        await until('the end of the stream', () => peer.ended && !h.channel.up);
        assert.equal(lastEnd(h), code);
        assert.deepEqual(h.received, []);
        assert.deepEqual(h.events, [`up ${peerBootHex} 1`, `down ${peerBootHex} 1`]);
        await h.connect();
        await until('up again', () => h.channel.up);
      });
    }

    for (const [what, frame] of [
      ['data', data(1)],
      ['an acknowledgement', { type: 'ack', sequence: 1 }],
      ['a ping', { type: 'ping' }],
    ] as [string, Frame][]) {
      it(`${what} before HELLO`, async () => {
        const h = harness();
        const peer = await h.connect({ hello: false });
        peer.send(frame, helloFrame());
        await until('the end of the stream', () => peer.ended && h.ends.length === 1);
        assert.equal(h.ends[0]!.code, 'protocol');
        assert.equal(h.channel.up, false);
      });
    }

    it('keeps what came before the bad frame in the same chunk', async () => {
      const h = harness();
      const peer = await h.connect();
      peer.stream.send(Buffer.concat([encodeFrame(data(1)), encodeFrame(data(3))]));
      await until('the end of the stream', () => peer.ended);
      assert.deepEqual(h.received, ['message 1']);
    });
  });

  describe('messages', () => {
    it('arrive in order, once, whatever the chunks, and are acknowledged together', async () => {
      const h = harness();
      const peer = await h.connect();
      const bytes = Buffer.concat(
        [data(1), data(2), { type: 'ping' } as const, data(3, 'x'.repeat(5000))].map(encodeFrame),
      );
      for (const byte of bytes.subarray(0, 100)) peer.stream.send(new Uint8Array([byte]));
      peer.stream.send(bytes.subarray(100));
      await until('acknowledgement', () => peer.of('ack').at(-1)?.sequence === 3);
      assert.deepEqual(h.received, ['message 1', 'message 2', 'x'.repeat(5000)]);
    });

    it('that come again are dropped and acknowledged again', async () => {
      const h = harness();
      const peer = await h.connect();
      peer.send(data(1), data(2));
      await until('acknowledgement', () => peer.of('ack').at(-1)?.sequence === 2);
      const before = peer.of('ack').length;
      peer.send(data(1), data(2), data(1, 'another text'));
      await until('another acknowledgement', () => peer.of('ack').length > before);
      peer.send(data(3));
      await until('the next message', () => h.received.length >= 3);
      assert.deepEqual(h.received, ['message 1', 'message 2', 'message 3']);
    });

    it('of one tick leave together', async () => {
      const h = harness();
      const { carrier, far } = await carrierPair(false);
      const writes: number[] = [];
      const send = carrier.stream.send.bind(carrier.stream);
      carrier.stream.send = (bytes) => {
        writes.push(bytes.byteLength);
        return send(bytes);
      };
      far.send(helloFrame());
      await h.channel.attach(carrier);
      await until('HELLO', () => writes.length === 1);
      for (let index = 0; index < 100; index += 1) h.channel.send(bytesOf('small'));
      await until('all of them', () => far.of('data').length === 100);
      assert.equal(writes.length, 2);
    });

    it('are copied when queued, and seen by the tap when they leave', async () => {
      const h = harness();
      const bytes = Buffer.from('before');
      h.channel.send(bytes);
      bytes.set(bytesOf('after!'));
      assert.deepEqual(h.sent, []);
      const peer = await h.connect();
      await until('the message', () => peer.of('data').length === 1);
      assert.deepEqual(texts(peer), ['1 before']);
      assert.deepEqual(h.sent, ['before']);
    });

    it('fill the outbox up to its limit, and acknowledgements make room', async () => {
      const h = harness({ limits: resolveLimits({ maxOutboxBytes: 1000 }) });
      for (let index = 0; index < 10; index += 1) h.channel.send(new Uint8Array(36));
      assert.equal(h.channel.status().queuedBytes, 1000);
      assert.throws(() => h.channel.send(new Uint8Array(0)), { name: 'NetworkError', code: 'outbox_full' });
      const peer = await h.connect();
      await until('the messages', () => peer.of('data').length === 10);
      assert.equal(h.channel.status().queuedBytes, 1000);
      peer.send({ type: 'ack', sequence: 4 });
      await until('room', () => h.channel.status().queuedBytes === 600);
      h.channel.send(new Uint8Array(36));
      await until('the next message', () => peer.of('data').at(-1)?.sequence === 11);
    });

    it('may be as large as the limit, and no larger', async () => {
      const h = harness({ limits: resolveLimits({ maxFrameBytes: 4096 }) });
      assert.throws(() => h.channel.send(new Uint8Array(4096 - 63)), { code: 'message_too_large' });
      h.channel.send(new Uint8Array(4096 - 64));
      const peer = await h.connect();
      await until('the message', () => peer.of('data').length === 1);
      assert.ok(encodeFrame(peer.of('data')[0]!).length - 4 <= 4096);
    });

    it('after stop are refused, and nothing is called back', async () => {
      const h = harness();
      const peer = await h.connect();
      await until('up', () => h.channel.up);
      h.channel.stop();
      assert.throws(() => h.channel.send(bytesOf('late')), { code: 'not_running' });
      await until('the end of the stream', () => peer.ended);
      assert.deepEqual(h.events, [`up ${peerBootHex} 1`]);
      await h.connect();
      await until('the late stream to end', () => h.ends.length === 1);
      assert.equal(h.channel.up, false);
    });
  });

  describe('a handler', () => {
    it('that throws or rejects costs its own message only', async () => {
      const received: string[] = [];
      const h = harness({
        onMessage: (bytes) => {
          const text = textOf(bytes);
          received.push(text);
          if (text === 'throw') throw new Error('thrown');
          if (text === 'reject') return Promise.reject(new Error('rejected'));
        },
      });
      const peer = await h.connect();
      peer.send(data(1, 'throw'), data(2, 'reject'), data(3, 'fine'));
      await until('the last message', () => received.length === 3);
      assert.equal(h.channel.up, true);
      const failures = h.log.filter(([event]) => event === 'handler.failed').map(([, { reason }]) => reason);
      assert.deepEqual(failures, ['thrown', 'rejected']);
    });

    it('that is slow stops the stream when the inbox is full, and nothing is lost', async () => {
      const received: string[] = [];
      const gates: (() => void)[] = [];
      const h = harness({
        limits: resolveLimits({ maxInboxBytes: 500, heartbeatMs: 10, heartbeatDeadlineMs: 50 }),
        onMessage: (bytes) => {
          received.push(textOf(bytes));
          return new Promise<void>((resolve) => gates.push(resolve));
        },
      });
      const { carrier, far } = await carrierPair(false);
      far.send(helloFrame());
      await h.channel.attach(carrier);
      for (let index = 1; index <= 30; index += 1) far.send(data(index));
      await until(
        'the pause',
        () =>
          carrier.stream.status === 'open' &&
          (carrier.stream as { readStatus?: string }).readStatus === 'paused',
      );
      // Paused for longer than the peer may be silent: that is not the peer's doing.
      const pings = far.of('ping').length;
      await until('heartbeats while paused', () => far.of('ping').length > pings + 8);
      assert.equal(h.channel.up, true);
      assert.deepEqual(received, ['message 1']);
      const heartbeat = setInterval(() => !far.ended && far.send({ type: 'ping' }), 10);
      try {
        await until('everything', () => {
          gates.shift()?.();
          return received.length === 30;
        });
      } finally {
        clearInterval(heartbeat);
      }
      assert.deepEqual(
        received,
        Array.from({ length: 30 }, (_, index) => `message ${index + 1}`),
      );
    });
  });

  describe('heartbeat', () => {
    it('is sent when nothing else is, and is no message', async () => {
      const h = harness({ limits: resolveLimits({ heartbeatMs: 5, heartbeatDeadlineMs: 60_000 }) });
      const peer = await h.connect();
      peer.send({ type: 'ping' });
      await until('pings', () => peer.of('ping').length >= 3);
      assert.deepEqual(h.received, []);
      assert.deepEqual(h.sent, []);
    });

    it('that stops ends the stream', async () => {
      const h = harness({ limits: resolveLimits({ heartbeatMs: 10, heartbeatDeadlineMs: 40 }) });
      const peer = await h.connect();
      await until('up', () => h.channel.up);
      await until('the end of the stream', () => peer.ended && !h.channel.up);
      assert.equal(lastEnd(h), 'silent');
    });
  });

  describe('after a lost stream', () => {
    it('what the peer has not received is sent again', async () => {
      const h = harness();
      const first = await h.connect();
      for (const text of ['one', 'two', 'three']) h.channel.send(bytesOf(text));
      first.send(data(1), data(2));
      await until('three messages', () => first.of('data').length === 3 && h.received.length === 2);
      first.send({ type: 'ack', sequence: 1 });
      await until('the acknowledgement', () => h.channel.status().queuedBytes === 3 + 5 + 2 * 64);
      first.stream.abort(new Error('cut'));
      await until('down', () => !h.channel.up);
      assert.equal(lastEnd(h), 'closed');
      h.channel.send(bytesOf('four'));

      const second = await h.connect({ hello: helloFrame({ peerBootId: ownBootId, received: 2 }) });
      await until('the rest', () => second.of('data').length === 2);
      assert.deepEqual(texts(second), ['3 three', '4 four']);
      assert.deepEqual(h.sent, ['one', 'two', 'three', 'three', 'four']);
      // Our HELLO tells the peer where to go on, and that we mean its present boot.
      assert.equal(second.of('hello')[0]!.received, 2);
      assert.deepEqual(Buffer.from(second.of('hello')[0]!.peerBootId), Buffer.alloc(16, 0xbb));
      second.send(data(2), data(3));
      await until('the next message', () => h.received.length === 3);
      assert.deepEqual(h.received, ['message 1', 'message 2', 'message 3']);
      assert.deepEqual(h.events, [`up ${peerBootHex} 1`, `down ${peerBootHex} 1`, `up ${peerBootHex} 1`]);
    });

    it('a HELLO that claims more than was sent ends the new stream', async () => {
      const h = harness();
      const first = await h.connect();
      await until('up', () => h.channel.up);
      first.stream.abort(new Error('cut'));
      await until('down', () => !h.channel.up);
      await h.connect({ hello: helloFrame({ peerBootId: ownBootId, received: 5 }) });
      await until('the end of the stream', () => h.ends.length === 1);
      assert.equal(h.ends[0]!.code, 'protocol');
    });

    it('a HELLO that speaks to another boot of this party acknowledges nothing', async () => {
      const h = harness();
      const first = await h.connect();
      h.channel.send(bytesOf('one'));
      await until('the message', () => first.of('data').length === 1);
      first.stream.abort(new Error('cut'));
      await until('down', () => !h.channel.up);
      const second = await h.connect({ hello: helloFrame({ peerBootId: otherBootId, received: 9 }) });
      await until('the message again', () => second.of('data').length === 1);
      assert.deepEqual(texts(second), ['1 one']);
    });
  });

  describe('a restarted peer', () => {
    it('gets nothing that was meant for its last life, and numbers begin anew', async () => {
      const h = harness();
      const first = await h.connect();
      h.channel.send(bytesOf('old'));
      first.send(data(1));
      await until('messages', () => first.of('data').length === 1 && h.received.length === 1);
      first.stream.abort(new Error('killed'));
      await until('down', () => !h.channel.up);
      h.channel.send(bytesOf('also old'));

      const second = await h.connect({ hello: helloFrame({ bootId: otherBootId, bootCounter: 2 }) });
      await until('up', () => h.channel.up);
      assert.equal(h.channel.status().queuedBytes, 0);
      h.channel.send(bytesOf('new'));
      second.send(data(1, 'from the new life'));
      await until('messages', () => second.of('data').length === 1 && h.received.length === 2);
      assert.deepEqual(texts(second), ['1 new']);
      assert.deepEqual(h.received, ['message 1', 'from the new life']);
      assert.deepEqual(h.events, [`up ${peerBootHex} 1`, `down ${peerBootHex} 1`, `up ${otherBootHex} 2`]);
    });

    it('replaces its dead stream at once, whoever dialled', async () => {
      const h = harness({ keepsOwn: true });
      const first = await h.connect({ openedHere: true });
      await until('up', () => h.channel.up);
      const second = await h.connect({
        openedHere: false,
        hello: helloFrame({ bootId: otherBootId, bootCounter: 2 }),
      });
      await until('the change', () => first.ended && h.events.length === 3);
      assert.equal(second.ended, false);
      assert.deepEqual(h.events, [`up ${peerBootHex} 1`, `down ${peerBootHex} 1`, `up ${otherBootHex} 2`]);
    });

    it('of an older start does not push out a living one', async () => {
      const h = harness();
      const first = await h.connect({ hello: helloFrame({ bootCounter: 5 }) });
      await until('up', () => h.channel.up);
      const second = await h.connect({ hello: helloFrame({ bootId: otherBootId, bootCounter: 4 }) });
      await until('the refusal', () => second.ended);
      assert.equal(h.ends[0]!.code, 'replaced');
      assert.equal(first.ended, false);
    });

    it('that turns out to run twice is refused, not silently starved', async () => {
      const h = harness();
      const first = await h.connect();
      h.channel.send(bytesOf('one'));
      await until('the message', () => first.of('data').length === 1);
      first.send({ type: 'ack', sequence: 1 });
      await until('the acknowledgement', () => h.channel.status().queuedBytes === 0);
      const second = await h.connect({ hello: helloFrame({ bootId: otherBootId, bootCounter: 1 }) });
      await until('the change', () => first.ended && h.channel.up);
      await h.connect({ hello: helloFrame({ peerBootId: ownBootId, received: 1 }) });
      await until('the refusal', () => h.ends.length === 1);
      assert.equal(h.ends[0]!.code, 'protocol');
      assert.equal(second.ended, false);
      assert.equal(h.channel.status().bootId, otherBootHex);
    });
  });

  describe('of two streams', () => {
    for (const keepsOwn of [true, false]) {
      for (const ownFirst of [true, false]) {
        const kept = keepsOwn ? 'own' : "peer's";
        it(`the ${kept} is kept when ${ownFirst ? 'own' : "peer's"} came first`, async () => {
          const h = harness({ keepsOwn });
          const first = await h.connect({ openedHere: ownFirst });
          await until('up', () => h.channel.up);
          const second = await h.connect({ openedHere: !ownFirst });
          await until('one to end', () => first.ended || second.ended);
          const [keptPeer, lostPeer] = keepsOwn === ownFirst ? [first, second] : [second, first];
          assert.equal(lostPeer.ended, true);
          assert.equal(keptPeer.ended, false);
          h.channel.send(bytesOf('still there'));
          await until('a message on the kept one', () => keptPeer.of('data').length === 1);
          // The peer never went away.
          assert.deepEqual(h.events, [`up ${peerBootHex} 1`]);
        });
      }
    }

    it('dialled by the same side the newer is kept', async () => {
      const h = harness();
      const first = await h.connect({ openedHere: true });
      await until('up', () => h.channel.up);
      h.channel.send(bytesOf('one'));
      await until('the message', () => first.of('data').length === 1);
      const second = await h.connect({ openedHere: true });
      await until('the message again', () => second.of('data').length === 1);
      assert.equal(first.ended, true);
      assert.deepEqual(h.events, [`up ${peerBootHex} 1`]);
    });

    it('one may end before the HELLO on the other: the peer does not go down meanwhile', async () => {
      const h = harness();
      const first = await h.connect({ openedHere: false });
      await until('up', () => h.channel.up);
      const second = await h.connect({ openedHere: true, hello: false });
      await until('our HELLO', () => second.of('hello').length === 1);
      await first.stream.close();
      await until('the end of the first', () => !h.channel.up);
      second.send(helloFrame());
      await until('the second', () => h.channel.up);
      assert.deepEqual(h.events, [`up ${peerBootHex} 1`]);
      const third = await h.connect({ openedHere: true, hello: false });
      await until('our HELLO', () => third.of('hello').length === 1);
      second.stream.abort(new Error('cut'));
      await until('the end of the second', () => !h.channel.up);
      assert.deepEqual(h.events, [`up ${peerBootHex} 1`]);
      third.stream.abort(new Error('cut'));
      await until('down', () => h.events.length === 2);
      assert.deepEqual(h.events, [`up ${peerBootHex} 1`, `down ${peerBootHex} 1`]);
    });

    it('frames of the one that lost count no more', async () => {
      const h = harness();
      const first = await h.connect({ openedHere: false });
      await until('up', () => h.channel.up);
      await h.connect({ openedHere: true });
      await until('the change', () => first.ended);
      if (first.stream.status === 'open') first.send(data(1, 'too late'));
      const third = await h.connect({ openedHere: true });
      third.send(data(1, 'in time'));
      await until('the message', () => h.received.length === 1);
      assert.deepEqual(h.received, ['in time']);
    });
  });
});
