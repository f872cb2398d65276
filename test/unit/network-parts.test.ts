// The small parts of the network: frames, outbox, inbox, redialling, addresses, identities, limits, the door's replies.
import assert from 'node:assert/strict';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import fc from 'fast-check';
import { dialAddress, listenAddress } from '../../node/network/addresses.ts';
import {
  type Frame,
  FrameDecoder,
  dataFrameOverhead,
  encodeFrame,
  frameVersion,
} from '../../node/network/frames.ts';
import { Inbox } from '../../node/network/inbox.ts';
import { defaultLimits, resolveLimits } from '../../node/network/limits.ts';
import { createNetwork } from '../../node/network/network.ts';
import { Outbox } from '../../node/network/outbox.ts';
import {
  credentialOfPeerId,
  peerIdOfCredential,
  privateKeyOfSeed,
} from '../../node/network/peer-identity.ts';
import { Redial, type RedialOptions } from '../../node/network/redial.ts';
import { decodeDoorReply, encodeDoorReply } from '../../protocol/door.ts';
import { bytesOf, helloFrame, partyOf, textOf, until } from '../support/network.ts';

describe('peer identity', () => {
  it('is the same key in both spellings', async () => {
    for (const byte of [1, 2, 3]) {
      const { seed, key, peerId } = partyOf(byte);
      const libp2pKey = await privateKeyOfSeed(seed);
      assert.equal(peerIdFromPrivateKey(libp2pKey).toString(), peerId);
      assert.equal(credentialOfPeerId(peerIdOfCredential(key)), key);
    }
  });

  it('is refused in any other spelling', () => {
    const { key } = partyOf(1);
    const digits = key.slice('ed25519:0x'.length);
    for (const bad of [
      '',
      digits,
      `0x${digits}`,
      `ed25519:${digits}`,
      `ED25519:0x${digits}`,
      `ed25519:0x${digits.toUpperCase()}`,
      `${key}0`,
      key.slice(0, -1),
      `${key}\n`,
      ` ${key}`,
      `eip712:0x${digits}`,
    ]) {
      assert.throws(() => peerIdOfCredential(bad), { name: 'NetworkError', code: 'bad_credential' }, bad);
    }
  });

  it('of another key type has no credential', async () => {
    const other = peerIdFromPrivateKey(await generateKeyPair('secp256k1'));
    assert.throws(() => credentialOfPeerId(other), { code: 'bad_credential' });
  });

  it('needs a seed of 32 bytes', async () => {
    await assert.rejects(privateKeyOfSeed(new Uint8Array(31)), { code: 'bad_option' });
  });
});

describe('frames', () => {
  const bytes = fc.uint8Array({ maxLength: 300 });
  const bootId = fc.uint8Array({ minLength: 16, maxLength: 16 });
  const count = fc.maxSafeNat();
  const name = fc.string({ minLength: 1, maxLength: 40 });
  const frame: fc.Arbitrary<Frame> = fc.oneof(
    fc.record({ type: fc.constant('data' as const), sequence: count.map((n) => Math.max(1, n)), bytes }),
    fc.record({ type: fc.constant('ack' as const), sequence: count.map((n) => Math.max(1, n)) }),
    fc.record({ type: fc.constant('ping' as const) }),
    fc.record({ type: fc.constant('clock' as const), sent: count }),
    fc.record({ type: fc.constant('clock_answer' as const), sent: count, now: count }),
    fc.record({
      type: fc.constant('hello' as const),
      version: fc.constant(frameVersion),
      networkId: name,
      keyringId: name,
      epoch: name,
      bootId,
      bootCounter: count,
      peerBootId: fc.oneof(bootId, fc.constant(new Uint8Array(0))),
      received: count,
    }),
  );

  it('come out as they went in, however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 8 }),
        fc.array(fc.nat(400), { maxLength: 12 }),
        (frames, cuts) => {
          const stream = Buffer.concat(frames.map(encodeFrame));
          const decoder = new FrameDecoder(4096);
          const out: Frame[] = [];
          let at = 0;
          for (const length of [...cuts, stream.length]) {
            for (const decoded of decoder.push(stream.subarray(at, at + length))) out.push(decoded);
            at += length;
          }
          assert.equal(out.length, frames.length);
          out.forEach((decoded, index) =>
            assert.deepEqual(encodeFrame(decoded), encodeFrame(frames[index]!)),
          );
        },
      ),
      { numRuns: 200 },
    );
  });

  it('that are cut short or changed never throw anything but a typed error', () => {
    fc.assert(
      fc.property(frame, fc.nat(), fc.integer({ min: 1, max: 255 }), (original, position, change) => {
        const encoded = encodeFrame(original);
        encoded[position % encoded.length]! ^= change;
        try {
          for (const decoded of new FrameDecoder(4096).push(encoded)) assert.ok(decoded.type);
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'frame');
        }
      }),
      { numRuns: 500 },
    );
  });

  it('of data are at most so much larger than their message', () => {
    for (const length of [0, 23, 255, 65_535, 70_000]) {
      const encoded = encodeFrame({
        type: 'data',
        sequence: Number.MAX_SAFE_INTEGER,
        bytes: new Uint8Array(length),
      });
      assert.ok(encoded.length - 4 - length <= dataFrameOverhead);
    }
  });

  it('do not share memory with the chunk they came in', () => {
    const encoded = encodeFrame({ type: 'data', sequence: 1, bytes: bytesOf('text') });
    for (const chunk of [encoded, Buffer.from(encoded)]) {
      const [decoded] = [...new FrameDecoder(4096).push(chunk)];
      chunk.fill(0);
      assert.ok(decoded?.type === 'data');
      assert.equal(textOf(decoded.bytes), 'text');
      assert.equal(Object.getPrototypeOf(decoded.bytes), Uint8Array.prototype);
    }
  });

  it('with a key twice are refused', () => {
    // {"type": "ping"}, and {"type": "ping", "type": "ping"}
    const [once, twice] = [1, 2].map((count) => {
      const entries = Array.from({ length: count }, () => [
        0x64,
        ...bytesOf('type'),
        0x64,
        ...bytesOf('ping'),
      ]);
      const body = [0xa0 + count, ...entries.flat()];
      return Uint8Array.from([0, 0, 0, body.length, ...body]);
    }) as [Uint8Array, Uint8Array];
    assert.deepEqual([...new FrameDecoder(4096).push(once)], [{ type: 'ping' }]);
    assert.throws(() => [...new FrameDecoder(4096).push(twice)], { code: 'frame' });
  });

  for (const [field, value] of [
    ['bootId', new Uint8Array(15)],
    ['bootId', new Uint8Array(0)],
    ['bootId', 'text'],
    ['peerBootId', new Uint8Array(17)],
    ['networkId', ''],
    ['keyringId', 'x'.repeat(129)],
    ['epoch', 1],
    ['bootCounter', -1],
    ['received', 0.5],
    ['version', '1'],
  ] as [string, unknown][]) {
    it(`HELLO with ${field} = ${value instanceof Uint8Array ? `${value.length} bytes` : JSON.stringify(value).slice(0, 20)} is refused`, () => {
      const encoded = encodeFrame({ ...helloFrame(), [field]: value } as Frame);
      assert.throws(() => [...new FrameDecoder(4096).push(encoded)], { code: 'frame' });
    });
  }
});

describe('outbox', () => {
  const drain = (outbox: Outbox): string[] => {
    const out: string[] = [];
    for (let next = outbox.next(); next !== undefined; next = outbox.next())
      out.push(`${next.sequence}${textOf(next.bytes)}`);
    return out;
  };

  it('hands out in order, and again after a rewind what is not acknowledged', () => {
    const outbox = new Outbox(10_000);
    for (const text of ['a', 'b', 'c']) outbox.push(bytesOf(text));
    assert.deepEqual(drain(outbox), ['1a', '2b', '3c']);
    assert.deepEqual(drain(outbox), []);
    outbox.acknowledge(2);
    outbox.push(bytesOf('d'));
    assert.deepEqual(drain(outbox), ['4d']);
    outbox.rewind();
    outbox.acknowledge(1);
    assert.deepEqual(drain(outbox), ['3c', '4d']);
  });

  it('accepts an acknowledgement that arrives before its message was handed out again', () => {
    const outbox = new Outbox(10_000);
    for (const text of ['a', 'b', 'c']) outbox.push(bytesOf(text));
    drain(outbox);
    outbox.rewind();
    outbox.acknowledge(2);
    assert.deepEqual(drain(outbox), ['3c']);
    outbox.acknowledge(3);
    assert.equal(outbox.queuedBytes, 0);
  });

  it('refuses an acknowledgement of what was not sent', () => {
    const outbox = new Outbox(10_000);
    outbox.push(bytesOf('a'));
    assert.throws(() => outbox.acknowledge(1), { code: 'protocol' });
    drain(outbox);
    outbox.acknowledge(1);
    assert.throws(() => outbox.acknowledge(2), { code: 'protocol' });
  });
});

describe('inbox', () => {
  it('hands over one message at a time, in order', async () => {
    const events: string[] = [];
    const inbox = new Inbox({
      maxBytes: 1000,
      handle: async (bytes) => {
        events.push(`begin ${textOf(bytes)}`);
        await Promise.resolve();
        events.push(`end ${textOf(bytes)}`);
      },
      onError: assert.ifError,
    });
    for (const text of ['a', 'b']) inbox.push(bytesOf(text));
    await until('both', () => events.length === 4);
    assert.deepEqual(events, ['begin a', 'end a', 'begin b', 'end b']);
  });

  it('tells once when there is room again, also after it was cleared', async () => {
    let room = 0;
    const gates: (() => void)[] = [];
    const inbox = new Inbox({
      maxBytes: 200,
      handle: () => new Promise<void>((resolve) => gates.push(resolve)),
      onError: assert.ifError,
      onRoom: () => (room += 1),
    });
    for (let index = 0; index < 4; index += 1) inbox.push(new Uint8Array(0));
    assert.equal(inbox.full, true);
    gates.shift()!();
    await until('the next message', () => gates.length === 1);
    assert.equal(room, 0);
    gates.shift()!();
    await until('the next message', () => gates.length === 1);
    assert.equal(room, 0);
    gates.shift()!();
    await until('room', () => room === 1);
    for (let index = 0; index < 4; index += 1) inbox.push(new Uint8Array(0));
    assert.equal(inbox.full, true);
    inbox.clear();
    assert.equal(inbox.full, false);
    assert.equal(room, 2);
    // The handler that was running then does not count twice.
    gates.shift()?.();
    inbox.push(new Uint8Array(200));
    assert.equal(inbox.full, true);
  });
});

describe('redial', () => {
  const loops: Redial[] = [];
  function loop(options: Partial<RedialOptions> & Pick<RedialOptions, 'dial'>): Redial {
    const redial = new Redial({
      first: true,
      isUp: () => false,
      onFailure: () => {},
      dialBackMs: 60_000,
      minMs: 1,
      maxMs: 4,
      ...options,
    });
    loops.push(redial);
    redial.start();
    return redial;
  }
  afterEach(async () => {
    for (const redial of loops.splice(0)) await redial.stop();
  });

  it('tries again and again, with pauses up to the longest', async () => {
    let dials = 0;
    const pauses: number[] = [];
    loop({
      dial: async () => {
        dials += 1;
        throw new Error('nobody there');
      },
      onFailure: (_error, failures, retryMs) => {
        assert.equal(failures, dials);
        pauses.push(retryMs);
      },
    });
    await until('many attempts', () => dials >= 20);
    assert.ok(pauses.every((pause) => pause >= 1 && pause <= 4));
  });

  it('does not dial while up, and dials when down', async () => {
    let up = true;
    let dials = 0;
    const redial = loop({
      isUp: () => up,
      dial: async () => {
        dials += 1;
        up = true;
      },
    });
    redial.changed();
    redial.kick();
    await new Promise(setImmediate);
    assert.equal(dials, 0);
    up = false;
    redial.changed();
    await until('the dial', () => dials === 1);
  });

  it('of the higher peer id leaves it to the other, for a while', async () => {
    let dials = 0;
    const dial = async (): Promise<void> => {
      dials += 1;
      throw new Error('nobody there');
    };
    loop({ first: false, dial, dialBackMs: 60_000 });
    let meanwhile = 0;
    loop({
      dial: async () => {
        meanwhile += 1;
        throw new Error('nobody there');
      },
    });
    await until('attempts of a lower one', () => meanwhile >= 5);
    assert.equal(dials, 0);
    loop({ first: false, dial, dialBackMs: 5 });
    await until('the dial after the pause', () => dials >= 1);
  });

  it('dials at once when it is kicked', async () => {
    let dials = 0;
    const redial = loop({
      first: false,
      dial: async () => {
        dials += 1;
        throw new Error('nobody there');
      },
      minMs: 60_000,
      maxMs: 60_000,
    });
    redial.kick();
    await until('one dial', () => dials === 1);
    redial.kick();
    await until('another', () => dials === 2);
  });

  it('stops in the middle of an attempt', async () => {
    let dialling = false;
    let aborted = false;
    const redial = loop({
      dial: (signal) =>
        new Promise((_resolve, reject) => {
          dialling = true;
          signal.addEventListener('abort', () => {
            aborted = true;
            reject(new Error('aborted'));
          });
        }),
    });
    await until('the attempt', () => dialling);
    await redial.stop();
    assert.equal(aborted, true);
  });
});

describe('addresses', () => {
  const { peerId } = partyOf(1);
  const other = partyOf(2).peerId;

  it('to dial end in the peer id', () => {
    for (const text of [
      '/ip4/127.0.0.1/tcp/1',
      '/ip6/::1/tcp/1',
      '/dns/a.example/tcp/1',
      '/dns4/a.example/tcp/1',
    ]) {
      assert.equal(dialAddress(text, peerId).toString(), `${text}/p2p/${peerId}`);
      assert.equal(dialAddress(`${text}/p2p/${peerId}`, peerId).toString(), `${text}/p2p/${peerId}`);
    }
  });

  it('of anything but TCP, or of another peer, are refused', () => {
    for (const text of [
      '',
      'nonsense',
      '/ip4/127.0.0.1',
      '/ip4/127.0.0.1/udp/1',
      '/ip4/127.0.0.1/tcp/70000',
      '/unix/%2Ftmp%2Fsocket',
      '/dnsaddr/a.example',
      '/ip4/127.0.0.1/tcp/1/ws',
      `/ip4/127.0.0.1/tcp/1/p2p/${other}`,
      `/ip4/127.0.0.1/tcp/1/p2p/${other}/p2p-circuit/p2p/${peerId}`,
    ]) {
      assert.throws(() => dialAddress(text, peerId), { name: 'NetworkError', code: 'bad_address' }, text);
    }
  });

  it('to listen on name no peer', () => {
    assert.equal(listenAddress('/ip4/0.0.0.0/tcp/0'), '/ip4/0.0.0.0/tcp/0');
    assert.throws(() => listenAddress(`/ip4/127.0.0.1/tcp/0/p2p/${peerId}`), { code: 'bad_address' });
    assert.throws(() => listenAddress('/ip4/127.0.0.1/udp/0'), { code: 'bad_address' });
  });
});

describe('network options', () => {
  const [one, two, stranger] = [partyOf(1), partyOf(2), partyOf(3)];
  const base = {
    networkId: 'local-test',
    keyringId: '0xabc',
    epoch: '1.0',
    privateSeed: one.seed,
    parties: [one, two].map(({ key }) => ({ key, addresses: [] })),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    bootCounter: 1,
    grants: () => [],
    onMessage: () => {},
    onPeer: () => {},
    onDoorRequest: async () => new Uint8Array(0),
    log: () => {},
  };

  it('that can never work are refused, each by name', () => {
    const cases: [string, object, RegExp][] = [
      ['bad_option', { privateSeed: new Uint8Array(16) }, /privateSeed/],
      ['bad_option', { privateSeed: stranger.seed }, /roster does not hold/],
      ['bad_option', { parties: [...base.parties, base.parties[1]] }, /twice/],
      ['bad_option', { networkId: '' }, /networkId/],
      ['bad_option', { bootCounter: -1 }, /bootCounter/],
      ['bad_option', { limits: { maxOutboxBytes: 0 } }, /maxOutboxBytes/],
      [
        'bad_credential',
        { parties: [...base.parties, { key: 'ed25519:0x00', addresses: [] }] },
        /credential/,
      ],
      ['bad_address', { listen: ['/ip4/127.0.0.1/udp/0'] }, /udp/],
    ];
    for (const [code, changes, message] of cases) {
      assert.throws(() => createNetwork({ ...base, ...changes }), { name: 'NetworkError', code, message });
    }
  });

  it('with a bad address hint of another party are no obstacle', () => {
    const log: string[] = [];
    createNetwork({
      ...base,
      parties: [base.parties[0]!, { key: two.key, addresses: ['/unix/%2Ftmp%2Fsocket', 'nonsense'] }],
      log: (event) => log.push(event),
    });
    assert.deepEqual(log, ['peer.hint.ignored', 'peer.hint.ignored']);
  });

  it('a network that is not running takes no message', async () => {
    const network = createNetwork(base);
    assert.throws(() => network.send(two.key, new Uint8Array(1)), { code: 'not_running' });
    assert.throws(() => network.publish(new Uint8Array(1)), { code: 'not_running' });
    assert.deepEqual(network.addresses(), []);
    const [{ downSince, ...peer }, ...more] = network.peers() as [ReturnType<typeof network.peers>[number]];
    assert.deepEqual(peer, { key: two.key, up: false, queuedBytes: 0 });
    assert.equal(typeof downSince, 'number');
    assert.equal(more.length, 0);
    await network.stop();
    await assert.rejects(network.start(), { code: 'not_running' });
  });

  it('limits are positive, and agree with each other', () => {
    assert.deepEqual(resolveLimits(), defaultLimits);
    for (const value of [0, -1, 1.5, NaN, 2 ** 31]) {
      assert.throws(() => resolveLimits({ dialBackMs: value }), { code: 'bad_option' });
    }
    assert.throws(() => resolveLimits({ heartbeatMs: 10, heartbeatDeadlineMs: 19 }), { code: 'bad_option' });
    assert.throws(() => resolveLimits({ maxFrameBytes: 100 }), { code: 'bad_option' });
  });
});

describe('replies of the door', () => {
  it('come out as they went in', () => {
    for (const reply of [
      { status: 'answered', body: new Uint8Array([1, 2]) },
      { status: 'answered', body: new Uint8Array(0) },
      { status: 'busy' },
      { status: 'not_admitted' },
      { status: 'failed' },
    ] as const) {
      assert.deepEqual(decodeDoorReply(encodeDoorReply(reply)), reply);
    }
  });

  it('of any other form are refused', () => {
    for (const bytes of [[], [4], [255, 1], [1, 0]]) {
      assert.throws(() => decodeDoorReply(new Uint8Array(bytes)), {
        name: 'DoorReplyError',
        code: 'malformed',
      });
    }
  });
});
