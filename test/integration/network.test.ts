// Whole networks on loopback: real libp2p hosts, real sockets, every port chosen by the system.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import { gossipsub } from '@libp2p/gossipsub';
import { identify } from '@libp2p/identify';
import type { Connection, Libp2p, PeerId, Stream } from '@libp2p/interface';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import {
  type DoorClient,
  type DoorClientError,
  type DoorClientOptions,
  createDoorClient,
} from '../../connector/door-client.ts';
import { encodeFrame } from '../../node/network/frames.ts';
import { Gossip } from '../../node/network/gossip.ts';
import { createHost } from '../../node/network/host.ts';
import { resolveLimits } from '../../node/network/limits.ts';
import { type Network, type NetworkOptions, createNetwork } from '../../node/network/network.ts';
import { privateKeyOfSeed } from '../../node/network/peer-identity.ts';
import { PEER_PROTOCOL } from '../../node/network/party-network.ts';
import { connectionEncrypter } from '../../node/network/noise.ts';
import { DOOR_MAX_MESSAGE_BYTES, DOOR_PROTOCOL } from '../../protocol/door.ts';
import {
  HandPeer,
  Relay,
  type TestParty,
  bytesOf,
  helloFrame,
  partiesByPeerId,
  partyOf,
  textOf,
  until,
} from '../support/network.ts';

const loopback = '/ip4/127.0.0.1/tcp/0';
const connector = partyOf(101);
const stranger = partyOf(102);

interface Gossiping {
  readonly gossip: Gossip;
  readonly host: Libp2p;
  readonly heard: string[];
}

interface TestNode {
  network: Network;
  party: TestParty;
  received: { from: string; text: string; via: string }[];
  events: { peer: string; up: boolean; bootId: string; bootCounter: number }[];
  log: [string, Record<string, unknown>][];
}

/** Everything started by a test, stopped after it in reverse order. */
const cleanups: (() => Promise<unknown>)[] = [];

function createNode(party: TestParty, roster: TestParty[], options: Partial<NetworkOptions> = {}): TestNode {
  const received: TestNode['received'] = [];
  const events: TestNode['events'] = [];
  const log: TestNode['log'] = [];
  const network = createNetwork({
    networkId: 'local-test',
    keyringId: '0xabc',
    epoch: '1.0',
    privateSeed: party.seed,
    parties: roster.map(({ key }) => ({ key, addresses: [] })),
    listen: [loopback],
    bootCounter: 1,
    grants: () => [],
    onMessage: ({ from, bytes, via }) => void received.push({ from, text: textOf(bytes), via }),
    onPeer: (event) => events.push(event),
    onDoorRequest: async (_connector, request) => request,
    log: (event, fields) => log.push([event, fields]),
    ...options,
    limits: { redialMinMs: 20, redialMaxMs: 200, dialBackMs: 60_000, heartbeatMs: 200, ...options.limits },
  });
  cleanups.push(() => network.stop());
  return { network, party, received, events, log };
}

/** Tells every node the addresses of all others. */
function introduce(...nodes: TestNode[]): void {
  for (const node of nodes) {
    for (const other of nodes) {
      if (other !== node) node.network.setAddresses(other.party.key, other.network.addresses());
    }
  }
}

const isUp = (node: TestNode, other: TestNode): boolean =>
  node.network.peers().some(({ key, up }) => key === other.party.key && up);

async function allUp(...nodes: TestNode[]): Promise<void> {
  await until('all channels', () =>
    nodes.every((node) => nodes.every((other) => node === other || isUp(node, other))),
  );
}

async function startNodes(count: number, options: Partial<NetworkOptions> = {}): Promise<TestNode[]> {
  const roster = partiesByPeerId(count);
  const nodes = roster.map((party) => createNode(party, roster, options));
  for (const { network } of nodes) await network.start();
  introduce(...nodes);
  await allUp(...nodes);
  return nodes;
}

/** The address to listen on again after a restart. */
const boundAddress = (node: TestNode): string => node.network.addresses()[0]!.replace(/\/p2p\/.*/, '');

/** A libp2p host under the test's control, which speaks whatever it likes. */
async function startRawHost(
  party: TestParty,
  services: Record<string, never> | object = {},
  listen: string[] = [],
): Promise<Libp2p> {
  const host = await createLibp2p({
    privateKey: await generateKeyPairFromSeed('Ed25519', party.seed),
    addresses: { listen },
    transports: [tcp()],
    connectionEncrypters: [connectionEncrypter()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
    services: services as never,
  });
  cleanups.push(async () => host.stop());
  return host;
}

async function dialRaw(host: Libp2p, node: TestNode, protocol: string): Promise<Stream> {
  const connection = await host.dial(multiaddr(node.network.addresses()[0]!), { force: true });
  return connection.newStream(protocol);
}

/** Resolves with what arrives on a stream until it ends. */
async function drain(stream: Stream): Promise<number> {
  let bytes = 0;
  try {
    for await (const chunk of stream) bytes += chunk.byteLength;
  } catch {
    // A reset ends it as well.
  }
  return bytes;
}

async function startClient(options: DoorClientOptions): Promise<DoorClient> {
  const client = createDoorClient(options);
  cleanups.push(() => client.stop());
  await client.start();
  return client;
}

const texts = (node: TestNode, via = 'stream'): string[] =>
  node.received.filter((message) => message.via === via).map(({ text }) => text);

describe('network', function () {
  this.timeout(60_000);
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
  });

  describe('of three parties', () => {
    it('connects all of them and delivers in order, both ways, at the same time', async () => {
      const nodes = await startNodes(3);
      for (let index = 0; index < 200; index += 1) {
        for (const node of nodes) {
          for (const other of nodes) {
            if (other !== node) node.network.send(other.party.key, bytesOf(`${index}`));
          }
        }
      }
      await until('all messages', () => nodes.every((node) => node.received.length === 400));
      const expected = Array.from({ length: 200 }, (_, index) => `${index}`);
      for (const node of nodes) {
        for (const other of nodes) {
          const from = node.received
            .filter((message) => message.from === other.party.key)
            .map(({ text }) => text);
          assert.deepEqual(from, other === node ? [] : expected);
        }
      }
      // Acknowledged, so nothing is kept.
      await until('empty outboxes', () =>
        nodes.every(({ network }) => network.peers().every(({ queuedBytes }) => queuedBytes === 0)),
      );
    });

    it('delivers large messages among small ones, without mixing them up', async () => {
      const received: Uint8Array[] = [];
      const [a, b] = await startNodes(2, { onMessage: ({ bytes }) => void received.push(bytes) });
      const sent = [1, 1024 * 1024 - 64, 0, 300_000, 64 * 1024, 1024 * 1024 - 64, 17].map((size) =>
        randomBytes(size),
      );
      for (const bytes of sent) a!.network.send(b!.party.key, bytes);
      await until('all messages', () => received.length === sent.length);
      received.forEach((bytes, index) =>
        assert.ok(Buffer.from(bytes).equals(sent[index]!), `message ${index}`),
      );
      assert.throws(() => a!.network.send(b!.party.key, new Uint8Array(1024 * 1024 - 63)), {
        code: 'message_too_large',
      });
    });

    it('gives a slow reader no more than it takes, and loses nothing', async () => {
      const [low, high] = partiesByPeerId(2) as [TestParty, TestParty];
      const gates: (() => void)[] = [];
      const sizes: number[] = [];
      const sender = createNode(low, [low, high], { limits: { maxOutboxBytes: 64 << 20 } });
      const reader = createNode(high, [low, high], {
        limits: { maxInboxBytes: 256 * 1024, heartbeatMs: 50, heartbeatDeadlineMs: 1_000 },
        onMessage: ({ bytes }) => {
          sizes.push(bytes.length);
          return new Promise<void>((resolve) => gates.push(resolve));
        },
      });
      for (const { network } of [sender, reader]) await network.start();
      introduce(sender, reader);
      await allUp(sender, reader);
      for (let index = 0; index < 300; index += 1) sender.network.send(high.key, new Uint8Array(100_000));
      await until('the first message', () => sizes.length === 1);
      await until('all messages', () => {
        gates.shift()?.();
        return sizes.length === 300;
      });
      gates.shift()?.();
      assert.deepEqual(
        reader.events.map(({ up }) => up),
        [true],
      );
      await until('an empty outbox', () => sender.network.peers()[0]!.queuedBytes === 0);
    });

    it('knows nobody but the roster', async () => {
      const [a] = await startNodes(2);
      assert.throws(() => a!.network.send(stranger.key, bytesOf('x')), { code: 'unknown_party' });
      assert.throws(() => a!.network.send(a!.party.key, bytesOf('x')), {
        code: 'unknown_party',
        message: /itself/,
      });
      assert.throws(() => a!.network.setAddresses(stranger.key, []), { code: 'unknown_party' });
      assert.throws(() => a!.network.setAddresses(a!.network.peers()[0]!.key, ['nonsense']), {
        code: 'bad_address',
      });
      assert.match(
        a!.network.addresses()[0]!,
        new RegExp(`^/ip4/127.0.0.1/tcp/\\d+/p2p/${a!.party.peerId}$`),
      );
    });

    it('shows the tap every message that leaves, and nothing of its own', async () => {
      const seen: string[] = [];
      const [a, b] = await startNodes(2, {
        tap: (direction, via, to, bytes) => seen.push(`${direction} ${via} ${to ?? 'all'} ${textOf(bytes)}`),
      });
      a!.network.send(b!.party.key, bytesOf('one'));
      a!.network.publish(bytesOf('two'));
      await until('the message', () => texts(b!).length === 1);
      await until('acknowledgement', () => a!.network.peers()[0]!.queuedBytes === 0);
      assert.deepEqual(seen.toSorted(), ['out gossip all two', `out stream ${b!.party.key} one`]);
    });

    it('outlives handlers and callbacks that fail', async () => {
      const fail = (): never => {
        throw new Error('the caller is broken');
      };
      const [a, b] = await startNodes(2, {
        onPeer: fail,
        log: fail,
        tap: fail,
        grants: fail,
        onMessage: fail,
      });
      a!.network.send(b!.party.key, bytesOf('one'));
      a!.network.publish(bytesOf('two'));
      await until('acknowledgement', () => a!.network.peers()[0]!.queuedBytes === 0);
      assert.ok(isUp(a!, b!) && isUp(b!, a!));
    });
  });

  describe('connecting', () => {
    it('is begun by the lower peer id; the other dials when nothing comes', async () => {
      const [low, high] = partiesByPeerId(2) as [TestParty, TestParty];
      const a = createNode(low, [low, high]);
      const b = createNode(high, [low, high], { limits: { dialBackMs: 50 } });
      for (const { network } of [a, b]) await network.start();
      // Only the higher knows an address.
      b.network.setAddresses(low.key, []);
      b.network.setAddresses(low.key, a.network.addresses());
      await allUp(a, b);
      assert.ok(
        a.log.some(
          ([event, { reason }]) => event === 'peer.dial.failed' && /no address/.test(String(reason)),
        ),
      );
    });

    it('ends with one channel when both dial at once, again and again', async () => {
      const [low, high] = partiesByPeerId(2) as [TestParty, TestParty];
      for (let round = 0; round < 5; round += 1) {
        const [a, b] = [low, high].map((party) => createNode(party, [low, high])) as [TestNode, TestNode];
        for (const { network } of [a, b]) await network.start();
        introduce(a, b);
        await allUp(a, b);
        for (let index = 0; index < 50; index += 1) {
          a.network.send(high.key, bytesOf(`a${index}`));
          b.network.send(low.key, bytesOf(`b${index}`));
          if (index % 10 === 0) await new Promise(setImmediate);
        }
        await until('all messages', () => a.received.length >= 50 && b.received.length >= 50);
        assert.deepEqual(
          texts(a),
          Array.from({ length: 50 }, (_, index) => `b${index}`),
        );
        assert.deepEqual(
          texts(b),
          Array.from({ length: 50 }, (_, index) => `a${index}`),
        );
        await Promise.all([a.network.stop(), b.network.stop()]);
      }
    });

    it('keeps what was queued before there was ever a connection', async () => {
      const [low, high] = partiesByPeerId(2) as [TestParty, TestParty];
      const a = createNode(low, [low, high]);
      const b = createNode(high, [low, high]);
      await a.network.start();
      for (const text of ['one', 'two']) a.network.send(high.key, bytesOf(text));
      await b.network.start();
      introduce(a, b);
      await until('the messages', () => b.received.length === 2);
      assert.deepEqual(texts(b), ['one', 'two']);
    });

    it('fails with the address when the port is taken', async () => {
      const [a] = await startNodes(2);
      const [, second] = partiesByPeerId(2) as [TestParty, TestParty];
      const c = createNode(second, partiesByPeerId(2), { listen: [boundAddress(a!)] });
      await assert.rejects(c.network.start(), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'listen_failed');
        assert.ok(error.message.includes(boundAddress(a!)), error.message);
        assert.match(error.message, /EADDRINUSE/);
        assert.doesNotMatch(error.message, /\n/);
        return true;
      });
    });
  });

  describe('after a lost connection', () => {
    for (const dialler of ['lower', 'higher']) {
      it(`resends, in order and once, when the ${dialler} peer id dials`, async () => {
        const [low, high] = partiesByPeerId(2) as [TestParty, TestParty];
        const [from, to] = dialler === 'lower' ? [low, high] : [high, low];
        const a = createNode(from, [low, high], { limits: { dialBackMs: 20 } });
        const b = createNode(to, [low, high], { limits: { dialBackMs: 60_000 } });
        const relay = new Relay(() => Number(boundAddress(b).split('/').at(-1)));
        cleanups.push(() => relay.close());
        for (const { network } of [a, b]) await network.start();
        a.network.setAddresses(to.key, [await relay.listen()]);
        await allUp(a, b);
        const total = 300;
        for (let index = 0; index < total; index += 1) {
          a.network.send(to.key, bytesOf(`${index}`));
          b.network.send(from.key, bytesOf(`${index}`));
          if (index % 100 === 50) {
            await until('some messages', () => b.received.length > index / 2);
            relay.cut();
          }
        }
        await until('all messages', () => a.received.length >= total && b.received.length >= total);
        const expected = Array.from({ length: total }, (_, index) => `${index}`);
        assert.deepEqual(texts(a), expected);
        assert.deepEqual(texts(b), expected);
        assert.ok(relay.accepted > 1);
        assert.equal(new Set(b.events.map(({ bootId }) => bootId)).size, 1);
      });
    }

    it('to a restarted peer comes up with its new boot, and without the old messages', async () => {
      const [low, high] = partiesByPeerId(2) as [TestParty, TestParty];
      const a = createNode(low, [low, high]);
      const b = createNode(high, [low, high]);
      for (const { network } of [a, b]) await network.start();
      introduce(a, b);
      await allUp(a, b);
      const listen = [boundAddress(b)];
      await b.network.stop();
      await until('down', () => !isUp(a, b));
      a.network.send(high.key, bytesOf('to the dead'));

      const again = createNode(high, [low, high], { listen, bootCounter: 2 });
      await again.network.start();
      await until('up again', () => isUp(a, again));
      a.network.send(high.key, bytesOf('to the living'));
      await until('the message', () => again.received.length === 1);
      assert.deepEqual(texts(again), ['to the living']);
      assert.deepEqual(
        a.events.map(({ up, bootCounter }) => [up, bootCounter]),
        [
          [true, 1],
          [false, 1],
          [true, 2],
        ],
      );
      assert.notEqual(a.events[0]!.bootId, a.events[2]!.bootId);
      assert.equal(a.network.peers()[0]!.bootCounter, 2);
    });

    it('gossip comes back too', async () => {
      const [low, high] = partiesByPeerId(2) as [TestParty, TestParty];
      const a = createNode(low, [low, high]);
      const b = createNode(high, [low, high]);
      const relay = new Relay(() => Number(boundAddress(b).split('/').at(-1)));
      cleanups.push(() => relay.close());
      for (const { network } of [a, b]) await network.start();
      a.network.setAddresses(high.key, [await relay.listen()]);
      await allUp(a, b);
      for (let round = 0; round < 3; round += 1) {
        await until(`gossip both ways, round ${round}`, () => {
          a.network.publish(bytesOf(`a${round}`));
          b.network.publish(bytesOf(`b${round}`));
          return texts(b, 'gossip').includes(`a${round}`) && texts(a, 'gossip').includes(`b${round}`);
        });
        relay.cut();
        await until('down', () => !isUp(a, b) && !isUp(b, a));
        await allUp(a, b);
      }
    });
  });

  describe('gossip', () => {
    it('reaches every party, with its author', async () => {
      const nodes = await startNodes(3);
      await until('gossip everywhere', () => {
        for (const { network, party } of nodes) network.publish(bytesOf(`from ${party.peerId}`));
        return nodes.every((node) =>
          nodes.every(
            (other) =>
              node === other ||
              node.received.some(
                ({ from, text, via }) =>
                  via === 'gossip' && from === other.party.key && text === `from ${other.party.peerId}`,
              ),
          ),
        );
      });
      // Nobody hears himself.
      for (const { received, party } of nodes) assert.ok(received.every(({ from }) => from !== party.key));
    });

    it('to nobody is no error, and too large a message is', async () => {
      const [low, high] = partiesByPeerId(2) as [TestParty, TestParty];
      const a = createNode(low, [low, high], { limits: { maxGossipBytes: 1000 } });
      await a.network.start();
      a.network.publish(new Uint8Array(1000));
      assert.throws(() => a.network.publish(new Uint8Array(1001)), { code: 'message_too_large' });
      await new Promise(setImmediate);
      assert.ok(!a.log.some(([event]) => event === 'gossip.publish.failed'));
    });

    it('goes on after a stream that was lost as it was opened', async () => {
      const [low, high] = partiesByPeerId(2) as [TestParty, TestParty];
      const limits = resolveLimits({ heartbeatMs: 50 });
      const start = async (party: TestParty, other: TestParty): Promise<Gossiping> => {
        const heard: string[] = [];
        const isOther = (peer: PeerId): boolean => peer.toString() === other.peerId;
        const gossip = new Gossip({
          topic: 'a topic',
          partyOf: (peer) => (isOther(peer) ? other.key : undefined),
          limits,
          onMessage: (_from, bytes) => void heard.push(textOf(bytes)),
          log: () => undefined,
        });
        const host = await createHost({
          privateKey: await privateKeyOfSeed(party.seed),
          listen: [loopback],
          roleOf: (peer) => (isOther(peer) ? 'party' : undefined),
          onRefused: () => undefined,
          gossip,
          limits,
        });
        cleanups.push(async () => {
          gossip.stop();
          await host.stop();
        });
        await host.start();
        gossip.start();
        return { gossip, host, heard };
      };
      const a = await start(low, high);
      const b = await start(high, low);
      const connection = await a.host.dial(b.host.getMultiaddrs());
      await until('the connection', () => b.host.getConnections().length === 1);
      let opened = 0;
      const losing = new Proxy(connection, {
        get: (target, name) => {
          const value: unknown = Reflect.get(target, name, target);
          if (name !== 'newStream') return typeof value === 'function' ? value.bind(target) : value;
          return async (...parameters: Parameters<Connection['newStream']>): Promise<Stream> => {
            const stream = await target.newStream(...parameters);
            opened += 1;
            if (opened === 1) stream.abort(new Error('lost'));
            return stream;
          };
        },
      });
      b.gossip.connected(a.host.peerId, b.host.getConnections()[0]!);
      a.gossip.connected(b.host.peerId, losing);
      await until('gossip both ways', () => {
        a.gossip.publish(bytesOf('from a'));
        b.gossip.publish(bytesOf('from b'));
        return b.heard.includes('from a') && a.heard.includes('from b');
      });
      assert.equal(opened > 1, true, 'the first stream was not lost');
    });

    it('of another author, of another topic or too large is not handled', async () => {
      const [first, second, third] = partiesByPeerId(3) as [TestParty, TestParty, TestParty];
      const node = createNode(first, [first, second, third], { limits: { maxGossipBytes: 1000 } });
      await node.network.start();
      // A party that relays what a stranger wrote: the stranger publishes to it, and it forwards unchecked.
      const topic = '/countersign/gossip/1/local-test/0xabc';
      const service = (): unknown =>
        gossipsub({ allowPublishToZeroTopicPeers: true, fallbackToFloodsub: false, floodPublish: true });
      const services = { identify: identify(), gossip: service() };
      const hostile = await createLibp2p({
        privateKey: await generateKeyPairFromSeed('Ed25519', second.seed),
        addresses: { listen: [loopback] },
        transports: [tcp()],
        connectionEncrypters: [connectionEncrypter()],
        streamMuxers: [yamux()],
        connectionMonitor: { enabled: false },
        services: services as never,
      });
      cleanups.push(async () => hostile.stop());
      const outsider = await startRawHost(stranger, services);
      type Service = {
        subscribe(topic: string): void;
        publish(topic: string, data: Uint8Array): Promise<unknown>;
        getSubscribers(topic: string): unknown[];
      };
      const relaying = (hostile.services as unknown as { gossip: Service }).gossip;
      const writing = (outsider.services as unknown as { gossip: Service }).gossip;
      for (const gossip of [relaying, writing]) gossip.subscribe(topic);
      const connection = await hostile.dial(multiaddr(node.network.addresses()[0]!));
      const peerStream = await connection.newStream(PEER_PROTOCOL);
      const hand = new HandPeer(peerStream);
      hand.send(helloFrame());
      await outsider.dial(hostile.getMultiaddrs());
      await until('both to see each other on the topic', () => {
        return relaying.getSubscribers(topic).length === 2 && writing.getSubscribers(topic).length === 1;
      });
      await until('a good message', () => {
        void writing.publish(topic, bytesOf('from a stranger'));
        void relaying.publish(topic, new Uint8Array(1001).fill(0x78));
        void relaying.publish('/countersign/gossip/1/local-test/0xabd', bytesOf('of another keyring'));
        void relaying.publish(topic, bytesOf('good'));
        return node.received.filter(({ text }) => text === 'good').length >= 3;
      });
      assert.deepEqual(
        new Set(node.received.map(({ from, text }) => `${from} ${text}`)),
        new Set([`${second.key} good`]),
      );
    });
  });

  describe('a stranger', () => {
    it('is refused, whatever it asks for, and the others notice nothing', async () => {
      const [a, b] = await startNodes(2);
      const host = await startRawHost(stranger);
      for (const protocol of [PEER_PROTOCOL, DOOR_PROTOCOL, '/meshsub/1.2.0', '/ipfs/id/1.0.0']) {
        await assert.rejects(dialRaw(host, a!, protocol), protocol);
      }
      assert.ok(a!.log.some(([event, { peer }]) => event === 'connection.refused' && peer === stranger.key));
      a!.network.send(b!.party.key, bytesOf('fine'));
      await until('the message', () => texts(b!).includes('fine'));
      assert.deepEqual(
        a!.events.map(({ up }) => up),
        [true],
      );
    });

    it('behind the address of a peer is not taken for it', async () => {
      const [low, high] = partiesByPeerId(2) as [TestParty, TestParty];
      const a = createNode(low, [low, high]);
      const impostor = createNode(stranger, [stranger, low]);
      for (const { network } of [a, impostor]) await network.start();
      a.network.setAddresses(high.key, [boundAddress(impostor)]);
      await until('failed dials', () => a.log.filter(([event]) => event === 'peer.dial.failed').length >= 3);
      assert.deepEqual(a.events, []);
      assert.deepEqual(impostor.events, []);
    });
  });

  describe('a hostile party', () => {
    const streams: [string, (stream: Stream) => void, (log: TestNode['log']) => boolean][] = [
      [
        'sends garbage',
        (stream) => stream.send(randomBytes(2000)),
        (log) => log.some(([, { code }]) => code === 'frame'),
      ],
      [
        'announces a frame beyond the limit',
        (stream) => stream.send(Buffer.concat([encodeFrame(helloFrame()), new Uint8Array([0, 32, 0, 0])])),
        (log) => log.some(([, { code }]) => code === 'frame'),
      ],
      [
        'names another keyring',
        (stream) => stream.send(encodeFrame(helloFrame({ keyringId: '0xdef' }))),
        (log) =>
          log.some(([event, { reason }]) => event === 'peer.refused' && /keyring/.test(String(reason))),
      ],
      [
        'names another epoch',
        (stream) => stream.send(encodeFrame(helloFrame({ epoch: '2.0' }))),
        (log) => log.some(([event, { reason }]) => event === 'peer.refused' && /epoch/.test(String(reason))),
      ],
      [
        'skips messages',
        (stream) =>
          stream.send(
            Buffer.concat(
              [helloFrame(), { type: 'data', sequence: 5, bytes: bytesOf('x') } as const].map(encodeFrame),
            ),
          ),
        (log) => log.some(([, { code }]) => code === 'protocol'),
      ],
      ['says nothing', () => {}, (log) => log.some(([, { code }]) => code === 'silent')],
    ];
    for (const [what, act, logged] of streams) {
      it(`that ${what} loses its stream, and honest channels are not touched`, async () => {
        const roster = partiesByPeerId(3);
        const [first, second, third] = roster as [TestParty, TestParty, TestParty];
        // Only who says nothing is waited for: on a busy machine the others would be cut off before they have spoken.
        const limits = what === 'says nothing' ? { helloDeadlineMs: 3_000 } : {};
        const [a, b] = [first, second].map((party) => createNode(party, roster, { limits })) as [
          TestNode,
          TestNode,
        ];
        for (const { network } of [a, b]) await network.start();
        introduce(a, b);
        await allUp(a, b);
        const host = await startRawHost(third);
        const stream = await dialRaw(host, a, PEER_PROTOCOL);
        act(stream);
        await drain(stream);
        await until('the reason in the log', () => logged(a.log));
        a.network.send(second.key, bytesOf('still here'));
        await until('a message to the honest peer', () => texts(b).includes('still here'));
        assert.deepEqual(
          a.events.filter(({ peer }) => peer === second.key).map(({ up }) => up),
          [true],
        );
        assert.deepEqual(a.received, []);
      });
    }

    it('that connects and opens no stream is cut off', async () => {
      const roster = partiesByPeerId(2);
      const a = createNode(roster[0]!, roster, { limits: { helloDeadlineMs: 3_000 } });
      await a.network.start();
      const host = await startRawHost(roster[1]!);
      // On a busy machine it may be cut off before the dial returns.
      const dialled = host.dial(multiaddr(a.network.addresses()[0]!)).catch(() => undefined);
      await until('the cut', () => a.log.some(([event]) => event === 'connection.idle'));
      const connection = await dialled;
      await until('the end', () => connection?.status !== 'open');
    });

    it('has a bounded number of connections', async () => {
      const roster = partiesByPeerId(2);
      const a = createNode(roster[0]!, roster, { limits: { maxConnectionsPerKey: 3 } });
      await a.network.start();
      const host = await startRawHost(roster[1]!);
      const address = multiaddr(a.network.addresses()[0]!);
      await until('a refusal', () => {
        host.dial(address, { force: true }).catch(() => {});
        return a.log.some(
          ([event, { reason }]) => event === 'connection.refused' && /3 connections/.test(String(reason)),
        );
      });
    });
  });

  describe('a connector', () => {
    const [low, high] = partiesByPeerId(2) as [TestParty, TestParty];
    const grants = (): string[] => [connector.key];

    async function startNode(options: Partial<NetworkOptions> = {}): Promise<TestNode & { address: string }> {
      const node = createNode(low, [low, high], { grants, ...options });
      await node.network.start();
      return { ...node, address: node.network.addresses()[0]! };
    }

    it('asks and is answered, small and large, one after the other and together', async () => {
      const node = await startNode({
        onDoorRequest: async (from, request) => {
          assert.equal(from, connector.key);
          return Buffer.from(request).reverse();
        },
      });
      const client = await startClient({ privateSeed: connector.seed, nodeAddress: node.address });
      assert.equal(client.credential, connector.key);
      for (const size of [0, 1, 1000, 300_000, DOOR_MAX_MESSAGE_BYTES]) {
        const request = randomBytes(size);
        const answer = await client.request(request);
        assert.ok(Buffer.from(answer).equals(Buffer.from(request).reverse()), `${size} bytes`);
      }
      const answers = await Promise.all(
        Array.from({ length: 10 }, async (_, index) => textOf(await client.request(bytesOf(`<${index}>`)))),
      );
      assert.deepEqual(
        answers,
        Array.from({ length: 10 }, (_, index) => `>${index}<`),
      );
      await assert.rejects(client.request(new Uint8Array(DOOR_MAX_MESSAGE_BYTES + 1)), { code: 'too_large' });
    });

    it('is admitted on the door only', async () => {
      const node = await startNode();
      const host = await startRawHost(connector);
      for (const protocol of [PEER_PROTOCOL, '/meshsub/1.2.0', '/ipfs/id/1.0.0']) {
        const stream = await dialRaw(host, node, protocol);
        if (stream.status === 'open') stream.send(encodeFrame(helloFrame()));
        assert.equal(await drain(stream), 0, protocol);
      }
      assert.deepEqual(node.events, []);
      assert.deepEqual(node.received, []);
      const client = await startClient({ privateSeed: connector.seed, nodeAddress: node.address });
      assert.equal(textOf(await client.request(bytesOf('the door'))), 'the door');
    });

    it('without a grant is told what to do, and after it loses the grant as well', async () => {
      let granted: string[] = [];
      const node = await startNode({ grants: () => granted });
      const client = await startClient({ privateSeed: connector.seed, nodeAddress: node.address });
      const refusal = {
        name: 'DoorClientError',
        code: 'not_admitted',
        message: new RegExp(`run 'countersign node allow-connector ${connector.key}' on the node`),
      };
      await assert.rejects(client.request(bytesOf('x')), refusal);
      granted = [connector.key];
      assert.equal(textOf(await client.request(bytesOf('x'))), 'x');
      granted = [];
      await assert.rejects(client.request(bytesOf('x')), refusal);
      assert.ok(node.log.some(([event]) => event === 'door.refused'));
    });

    it('that is a party of the roster still needs a grant', async () => {
      const node = await startNode();
      const client = await startClient({ privateSeed: high.seed, nodeAddress: node.address });
      await assert.rejects(client.request(bytesOf('x')), { code: 'not_admitted' });
    });

    it('is told in one line that the node does not run, and reaches it as soon as it does', async () => {
      const node = await startNode();
      await node.network.stop();
      const client = await startClient({ privateSeed: connector.seed, nodeAddress: node.address });
      await assert.rejects(client.request(bytesOf('x')), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'unreachable');
        assert.ok(
          error.message.startsWith(`node unreachable at ${node.address}: is it running?`),
          error.message,
        );
        assert.doesNotMatch(error.message, /\n/);
        return true;
      });
      const listen = [node.address.replace(/\/p2p\/.*/, '')];
      await startNode({ listen });
      assert.equal(textOf(await client.request(bytesOf('x'))), 'x');
      await cleanups.splice(-1)[0]!();
      await startNode({ listen });
      assert.equal(textOf(await client.request(bytesOf('redialled'))), 'redialled');
    });

    it('does not speak to another node than the one it names', async () => {
      const node = await startNode();
      const nodeAddress = node.address.replace(low.peerId, high.peerId);
      const client = await startClient({ privateSeed: connector.seed, nodeAddress });
      await assert.rejects(client.request(bytesOf('x')), { code: 'wrong_node' });
      for (const bad of ['', 'nonsense', '/ip4/127.0.0.1/tcp/1', `/ip4/127.0.0.1/udp/1/p2p/${low.peerId}`]) {
        assert.throws(() => createDoorClient({ privateSeed: connector.seed, nodeAddress: bad }), {
          code: 'bad_address',
        });
      }
      assert.throws(() => createDoorClient({ privateSeed: new Uint8Array(3), nodeAddress }), {
        code: 'bad_key',
      });
    });

    it('gets no reason of a failure, only that there was one', async () => {
      const node = await startNode({
        onDoorRequest: async () => {
          throw new Error('inner secrets');
        },
      });
      const client = await startClient({ privateSeed: connector.seed, nodeAddress: node.address });
      await assert.rejects(client.request(bytesOf('x')), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'failed');
        assert.doesNotMatch(error.message, /inner secrets/);
        return true;
      });
      assert.ok(
        node.log.some(([event, { reason }]) => event === 'door.request.failed' && reason === 'inner secrets'),
      );
    });

    it('has a bounded number of requests at once', async () => {
      const gates: (() => void)[] = [];
      const node = await startNode({
        limits: { maxDoorRequests: 2 },
        onDoorRequest: (_from, request) => new Promise((resolve) => gates.push(() => resolve(request))),
      });
      const client = await startClient({ privateSeed: connector.seed, nodeAddress: node.address });
      const held = [client.request(bytesOf('one')), client.request(bytesOf('two'))];
      await until('both at work', () => gates.length === 2);
      await assert.rejects(client.request(bytesOf('three')), { code: 'busy' });
      for (const gate of gates.splice(0)) gate();
      assert.deepEqual((await Promise.all(held)).map(textOf), ['one', 'two']);
      const again = client.request(bytesOf('four'));
      await until('at work again', () => gates.length === 1);
      gates[0]!();
      assert.equal(textOf(await again), 'four');
    });

    it('that gives up, or takes too long, aborts the work', async () => {
      const signals: AbortSignal[] = [];
      const node = await startNode({
        // Long enough for a request to reach its handler, on a busy machine too.
        limits: { doorDeadlineMs: 4000 },
        onDoorRequest: (_from, request, signal) =>
          new Promise((resolve, reject) => {
            if (textOf(request) === 'hello') return resolve(request);
            signals.push(signal);
            signal.addEventListener('abort', () => reject(signal.reason as Error));
          }),
      });
      const client = await startClient({ privateSeed: connector.seed, nodeAddress: node.address });
      const given = new AbortController();
      const request = client.request(bytesOf('x'), { signal: given.signal });
      await until('the work', () => signals.length === 1);
      given.abort(new Error('changed my mind'));
      await assert.rejects(request, /changed my mind/);
      await until('the abort', () => signals[0]!.aborted);
      await assert.rejects(client.request(bytesOf('y')), { code: 'interrupted' });
      await until('the other abort', () => signals.length === 2 && signals[1]!.aborted);

      const hasty = await startClient({
        privateSeed: connector.seed,
        nodeAddress: node.address,
        deadlineMs: 3000,
      });
      // It is connected then, so that the time is the node's alone.
      assert.equal(textOf(await hasty.request(bytesOf('hello'))), 'hello');
      await assert.rejects(hasty.request(bytesOf('z')), { code: 'interrupted', message: /within 3000 ms/ });
    });

    for (const [what, end] of [
      ['closes the connection', (_stream, connection) => void connection.close().catch(() => undefined)],
      ['aborts the connection', (_stream, connection) => connection.abort(new Error('gone'))],
      ['resets the stream', (stream) => stream.abort(new Error('gone'))],
    ] as [string, (stream: Stream, connection: Connection) => void][]) {
      it(`learns of a node that ${what} as it was asked`, async () => {
        const node = await startRawHost(low, {}, [loopback]);
        await node.handle(DOOR_PROTOCOL, end);
        const nodeAddress = node.getMultiaddrs()[0]!.toString();
        const client = await startClient({ privateSeed: connector.seed, nodeAddress, deadlineMs: 4000 });
        for (let round = 0; round < 5; round += 1) {
          let ended: DoorClientError | undefined;
          void client.request(bytesOf('x')).catch((error: DoorClientError) => (ended = error));
          await until('the end of the request', () => ended !== undefined);
          assert.match(ended!.code, /^(interrupted|not_admitted)$/);
          // At once, not at its deadline.
          assert.doesNotMatch(ended!.message, /no answer within/);
        }
      });
    }

    it('that sends too much, or not what it announced, is cut off', async () => {
      const node = await startNode();
      const host = await startRawHost(connector);
      const endless = await dialRaw(host, node, DOOR_PROTOCOL);
      endless.send(new Uint8Array([0x81, 0x80, 0x80, 0x02]));
      assert.equal(await drain(endless), 0);
      const short = await dialRaw(host, node, DOOR_PROTOCOL);
      short.send(new Uint8Array([5, 1, 2]));
      await short.close();
      assert.equal(await drain(short), 0);
      const empty = await dialRaw(host, node, DOOR_PROTOCOL);
      await empty.close();
      assert.equal(await drain(empty), 0);
      const client = await startClient({ privateSeed: connector.seed, nodeAddress: node.address });
      assert.equal(textOf(await client.request(bytesOf('fine'))), 'fine');
    });

    it('that stops can ask no more', async () => {
      const node = await startNode();
      const client = createDoorClient({ privateSeed: connector.seed, nodeAddress: node.address });
      await assert.rejects(client.request(bytesOf('x')), { code: 'not_running' });
      await client.start();
      await client.request(bytesOf('x'));
      await client.stop();
      await assert.rejects(client.request(bytesOf('x')), { code: 'not_running' });
    });
  });

  describe('stop', () => {
    const handles = (): number =>
      process.getActiveResourcesInfo().filter((name) => /^TCP|^Timeout|^GetAddr/.test(name)).length;

    it('leaves no socket and no timer, in whatever state', async () => {
      const before = handles();
      const nodes = await startNodes(3, { grants: () => [connector.key] });
      const client = createDoorClient({
        privateSeed: connector.seed,
        nodeAddress: nodes[0]!.network.addresses()[0]!,
      });
      await client.start();
      await client.request(bytesOf('x'));
      await nodes[2]!.network.stop();
      for (let index = 0; index < 50; index += 1)
        nodes[0]!.network.send(nodes[1]!.party.key, new Uint8Array(100_000));
      await Promise.all([client.stop(), ...nodes.map(({ network }) => network.stop())]);
      const events = nodes.map((node) => node.events.length);
      await until('nothing left', () => handles() <= before);
      assert.deepEqual(
        nodes.map((node) => node.events.length),
        events,
      );
      assert.throws(() => nodes[0]!.network.send(nodes[1]!.party.key, bytesOf('x')), { code: 'not_running' });
    });

    it('can come during the start', async () => {
      const before = handles();
      const roster = partiesByPeerId(2);
      const node = createNode(roster[0]!, roster);
      const starting = assert.rejects(node.network.start(), { code: 'not_running' });
      await node.network.stop();
      await starting;
      await until('nothing left', () => handles() <= before);
    });
  });
});
