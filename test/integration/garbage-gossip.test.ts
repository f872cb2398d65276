// Garbage in gossip, from a party that holds its key: transmissions that are none, messages that nobody signed, that were
// signed wrongly or by an outsider, replayed, too large, of another topic, and floods of good ones.
import assert from 'node:assert/strict';
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import type { PrivateKey, Stream } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { type AttackedHost, AttackedHosts, measured } from '../support/attacked-hosts.ts';
import { AttackerHost, HostileChannel } from '../support/attacker-host.ts';
import {
  Choices,
  garbageCount,
  garbageSeed,
  lengthPrefixed,
  protobufBytes,
  varint,
} from '../support/frame-garbage.ts';
import { networkId, seedOf } from '../support/fixture.ts';
import { HostileParty } from '../support/session-garbage.ts';
import { until } from '../support/until.ts';

const gossipProtocols = ['/meshsub/1.2.0', '/meshsub/1.1.0'];
const concat = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

interface Message {
  readonly from?: Uint8Array;
  readonly data?: Uint8Array;
  readonly seqno?: Uint8Array;
  readonly topic?: string;
}

/** https://github.com/libp2p/specs/tree/master/pubsub#the-message, without signature and key. */
function unsigned({ from, data, seqno, topic }: Message): Uint8Array {
  return concat(
    ...(from ? [protobufBytes(1, from)] : []),
    ...(data ? [protobufBytes(2, data)] : []),
    ...(seqno ? [protobufBytes(3, seqno)] : []),
    ...(topic === undefined ? [] : [protobufBytes(4, text(topic))]),
  );
}

async function signed(message: Message, key: PrivateKey): Promise<Uint8Array> {
  const bytes = unsigned(message);
  const signature = await key.sign(concat(text('libp2p-pubsub:'), bytes));
  return concat(bytes, protobufBytes(5, signature));
}

/** A transmission with these messages. */
const publishing = (...messages: readonly Uint8Array[]): Uint8Array =>
  concat(...messages.map((message) => protobufBytes(2, message)));

describe('garbage in gossip', function () {
  this.timeout(3_600_000);
  const seed = garbageSeed();
  const failures: unknown[] = [];
  const onFailure = (reason: unknown): void => void failures.push(reason);
  const signedIds = new Set<string>();
  let hosts: AttackedHosts;
  let attacker: AttackerHost;
  let victim: AttackedHost;
  let channel: HostileChannel;
  let key: PrivateKey;
  let outsider: PrivateKey;
  let topic: string;

  before(async () => {
    process.stdout.write(`      RANDOM_SEED=${seed}\n`);
    process.on('unhandledRejection', onFailure);
    hosts = await AttackedHosts.start();
    victim = hosts.honest[0]!;
    saidBefore = handled();
    attacker = await AttackerHost.start(hosts.hostileSeed);
    channel = await HostileChannel.open(attacker, victim.network, hosts.world);
    await until(() => victim.network.peers().every(({ up }) => up), 'the channel is up');
    key = await generateKeyPairFromSeed('Ed25519', hosts.hostileSeed);
    outsider = await generateKeyPairFromSeed('Ed25519', seedOf('outsider'));
    topic = `/countersign/gossip/1/${networkId}/${hosts.world.keyring.id}`;
  });
  after(async () => {
    await attacker.stop();
    await hosts.stop();
    process.off('unhandledRejection', onFailure);
    assert.deepEqual(failures, []);
  });

  /** What the party said while it was honest. */
  let saidBefore = 0;
  const handled = (): number => (victim.handled.get(`${hosts.hostile.credential} gossip`) ?? 0) - saidBefore;

  /** A stream of gossipsub; a new one when the node has ended the last. */
  let stream: Stream | undefined;
  async function send(transmission: Uint8Array, raw = false): Promise<void> {
    if (channel.isOver) {
      channel = await HostileChannel.open(attacker, victim.network, hosts.world);
      stream = undefined;
    }
    if (stream?.status !== 'open') stream = await channel.connection.newStream(gossipProtocols);
    try {
      const current = stream;
      if (!current.send(raw ? transmission : lengthPrefixed(transmission)))
        await until(() => current.status !== 'open' || !current.writableNeedsDrain, 'room', 60_000);
    } catch {
      // The node has ended it meanwhile.
    }
  }

  let sequence = 0;
  /** Good messages sent so far: each is handled once at most. */
  let good = 0;
  const from = (of: PrivateKey): Uint8Array => peerIdFromPrivateKey(of).toMultihash().bytes;
  function message(of: PrivateKey, data: Uint8Array, changes: Partial<Message> = {}): Message {
    const seqno = new Uint8Array(8);
    new DataView(seqno.buffer).setBigUint64(0, BigInt(++sequence));
    return { from: from(of), data, seqno, topic, ...changes };
  }

  /** A good message, so that what is not delivered was refused for what it is. */
  async function reaches(): Promise<void> {
    const party = new HostileParty(new Choices(seed), hosts.world, hosts.hostile, [hosts.request(false)]);
    const frame = party.frame('want', new Uint8Array([0xa0]));
    const already = handled();
    await until(
      async () => {
        good += 1;
        await send(publishing(await signed(message(key, frame), key)));
        return handled() > already;
      },
      'a good message is delivered',
      60_000,
    );
  }

  async function garbage(choices: Choices, replayed: Uint8Array): Promise<[Uint8Array, boolean?]> {
    const data = choices.someBytes(600);
    const whole = message(key, data);
    const flip = (bytes: Uint8Array): Uint8Array => {
      const copy = new Uint8Array(bytes);
      copy[choices.below(copy.length)]! ^= 1 << choices.below(8);
      return copy;
    };
    const kinds: (() => Promise<[Uint8Array, boolean?]> | [Uint8Array, boolean?])[] = [
      () => [choices.someBytes(), true],
      () => [lengthPrefixed(choices.someBytes()), true],
      () => [choices.someBytes()],
      () => [varint(5_000_000 + choices.below(2 ** 40)), true],
      () => [publishing(unsigned(whole))],
      () => [publishing(concat(unsigned(whole), protobufBytes(5, choices.bytes(64))))],
      async () => [publishing(await signed(message(outsider, data), outsider))],
      async () => [publishing(await signed(message(key, data), outsider))],
      async () => [publishing(await signed(message(outsider, data), key))],
      async () => [publishing(flip(await signed(whole, key)).subarray(0, 40))],
      async () => [publishing(await signed({ ...whole, topic: `${topic}0` }, key))],
      async () => [publishing(await signed({ ...whole, from: from(key).subarray(1) }, key))],
      async () => [publishing(await signed({ data, topic }, key))],
      async () => [publishing(await signed({ ...whole, seqno: choices.bytes(3) }, key))],
      async () => [publishing(concat(await signed(whole, key), protobufBytes(6, choices.bytes(36))))],
      () => [publishing(replayed)],
      // Subscriptions to nonsense, and control messages about nothing.
      () => [protobufBytes(1, concat(new Uint8Array([8, 1]), protobufBytes(2, choices.someBytes(200))))],
      () => [protobufBytes(3, protobufBytes(1 + choices.below(5), choices.someBytes(200)))],
      () => [
        protobufBytes(
          3,
          protobufBytes(2, concat(...Array.from({ length: 50 }, () => protobufBytes(1, choices.bytes(20))))),
        ),
      ],
    ];
    if (choices.below(200) === 0)
      return [publishing(await signed({ ...whole, data: new Uint8Array(300 * 1024) }, key))];
    return choices.pick(kinds)();
  }

  it('is not handled, whatever it is', async () => {
    const count = garbageCount(2_000);
    const choices = new Choices(seed);
    await reaches();
    const before = await hosts.kept(victim, signedIds);
    const replayed = await signed(message(key, choices.bytes(30)), key);
    good += 1;
    await send(publishing(replayed));
    const memory = await measured('gossip', count, async () => {
      await hosts.signingMeanwhile(signedIds, async () => {
        for (let index = 0; index < count; index++) {
          const [transmission, raw] = await garbage(choices, replayed);
          await send(transmission, raw);
        }
      });
    });
    assert(handled() <= good, `${handled()} handled of ${good} that were good`);
    assert.deepEqual(await hosts.kept(victim, signedIds), before);
    assert(memory.grown < 64 && memory.risen < 512, JSON.stringify(memory));
    await reaches();
  });

  it('is counted before it is verified: of a flood most is dropped, and the node goes on', async () => {
    const count = Math.max(30_000, garbageCount(0));
    const flood = publishing(...Array.from({ length: 50 }, () => unsigned(message(key, new Uint8Array(10)))));
    const memory = await measured('gossip flood', count, async () => {
      await hosts.signingMeanwhile(signedIds, async () => {
        for (let sent = 0; sent < count; sent += 50) await send(flood);
      });
    });
    await reaches();
    assert((victim.counts.get('gossip.flooded') ?? 0) > 0, 'the flood was dropped');
    assert(memory.grown < 64 && memory.risen < 512, JSON.stringify(memory));
  });

  it('in very small parts costs the stream before it costs memory', async () => {
    const small = await channel.connection.newStream(gossipProtocols);
    small.send(varint(3_000_000));
    await until(
      () => {
        for (let index = 0; index < 500 && small.status === 'open'; index++)
          small.send(new Uint8Array([index & 0xff]));
        return small.status !== 'open';
      },
      'the stream is aborted',
      60_000,
    );
    signedIds.add(await hosts.sign());
  });
});
