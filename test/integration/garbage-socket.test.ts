// Garbage on the socket itself, before anybody is known: bytes that are no handshake, handshakes cut short, connections that
// say nothing; and after the handshake, from a party, bytes that are no multiplexed streams.
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import type { MultiaddrConnection, StreamMuxer, StreamMuxerFactory } from '@libp2p/interface';
import { type AttackedHost, AttackedHosts, measured } from '../support/attacked-hosts.ts';
import { AttackerHost, within } from '../support/attacker-host.ts';
import { Choices, garbageCount, garbageSeed, lengthPrefixed, varint } from '../support/frame-garbage.ts';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const concat = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
const header = lengthPrefixed(text('/multistream/1.0.0\n'));

/** What a stranger sends first. */
function opening(choices: Choices): Uint8Array {
  const noise = lengthPrefixed(text('/noise\n'));
  const message = choices.someBytes(300);
  const kinds: (() => Uint8Array)[] = [
    () => choices.someBytes(),
    () => text('GET / HTTP/1.1\r\nhost: node\r\n\r\n'),
    () => concat(new Uint8Array([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]), choices.bytes(500)),
    () => text('SSH-2.0-OpenSSH_9.6\r\n'),
    () => varint(2 ** 40),
    () => header.subarray(0, 1 + choices.below(header.length - 1)),
    () => concat(header, header, header),
    () => concat(header, lengthPrefixed(choices.someBytes(200))),
    () => concat(header, lengthPrefixed(text('/plaintext/2.0.0\n'))),
    () => concat(header, noise, choices.someBytes(200)),
    () => concat(header, noise, new Uint8Array([message.length >> 8, message.length & 0xff]), message),
    () => concat(header, noise, new Uint8Array([0xff, 0xff]), choices.bytes(2000)),
    () => concat(header, lengthPrefixed(text('ls\n'))),
    () => concat(...Array.from({ length: 200 }, () => lengthPrefixed(text('/none\n')))),
    () => new Uint8Array(0),
  ];
  return choices.pick(kinds)();
}

describe('garbage on the socket', function () {
  this.timeout(3_600_000);
  const seed = garbageSeed();
  const failures: unknown[] = [];
  const onFailure = (reason: unknown): void => void failures.push(reason);
  const signed = new Set<string>();
  let hosts: AttackedHosts;
  let victim: AttackedHost;

  before(async () => {
    process.stdout.write(`      RANDOM_SEED=${seed}\n`);
    process.on('unhandledRejection', onFailure);
    hosts = await AttackedHosts.start({ limits: { helloDeadlineMs: 3_000 } });
    victim = hosts.honest[0]!;
  });
  after(async () => {
    await hosts.stop();
    process.off('unhandledRejection', onFailure);
    assert.deepEqual(failures, []);
  });

  function dial(): { socket: Socket; closed: Promise<void> } {
    const port = Number(victim.network.addresses()[0]!.split('/')[4]);
    const socket = connect(port, '127.0.0.1');
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => socket.destroy());
    socket.resume();
    return { socket, closed };
  }

  it('before the handshake costs the connection', async () => {
    const count = garbageCount(2_000);
    const choices = new Choices(seed);
    const before = await hosts.kept(victim, signed);
    let left = count;
    const one = async (): Promise<void> => {
      while (left-- > 0) {
        const { socket, closed } = dial();
        const bytes = opening(choices);
        const cut = choices.below(12);
        socket.write(bytes);
        // Most close their side or go at once; some wait for the node to end it, which may take until its deadline.
        if (cut > 6) socket.end();
        else if (cut > 0) setImmediate(() => socket.destroy());
        await within(closed, 'the node ends the connection');
      }
    };
    const memory = await measured('socket', count, async () => {
      await hosts.signingMeanwhile(signed, () => Promise.all(Array.from({ length: 64 }, one)));
    });
    assert.deepEqual(await hosts.kept(victim, signed), before);
    assert(memory.grown < 64 && memory.risen < 512, JSON.stringify(memory));
    signed.add(await hosts.sign());
  });

  it('that says nothing is ended at a deadline, and honest channels outlive it', async () => {
    const idle = Array.from({ length: 300 }, dial);
    await hosts.signingMeanwhile(signed, () =>
      within(Promise.all(idle.map(({ closed }) => closed)), 'all are ended', 60_000),
    );
    assert(victim.network.peers().filter(({ up }) => up).length === 2);
  });

  it('after the handshake of a party costs that connection', async () => {
    const count = Math.max(20, Math.floor(garbageCount(0) / 100));
    const choices = new Choices(seed + 1);
    const lost: Promise<void>[] = [];
    const muxer = (): StreamMuxerFactory => ({
      protocol: '/yamux/1.0.0',
      createStreamMuxer: (connection: MultiaddrConnection): StreamMuxer => {
        lost.push(
          new Promise((resolve) => {
            connection.addEventListener('close', () => resolve(), { once: true });
            connection.addEventListener('remoteCloseWrite', () => resolve(), { once: true });
          }),
        );
        const kinds: (() => Uint8Array)[] = [
          () => choices.someBytes(),
          // A version that is none, a type that is none, a frame beyond its window, flags that contradict.
          () => concat(new Uint8Array([1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0])),
          () => concat(new Uint8Array([0, 9, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0])),
          () => concat(new Uint8Array([0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]), choices.someBytes()),
          () => concat(new Uint8Array([0, 0, 0, 0xf, 0, 0, 0, 2, 0, 0, 0, 4]), choices.bytes(4)),
          () =>
            concat(
              ...Array.from(
                { length: 500 },
                (_, id) => new Uint8Array([0, 1, 0, 1, 0, 0, id >> 8, id & 0xff, 0, 0, 0, 0]),
              ),
            ),
        ];
        setImmediate(() => {
          connection.send(choices.pick(kinds)());
        });
        const idle = { protocol: '/yamux/1.0.0', streams: [], status: 'open', abort() {}, async close() {} };
        return Object.assign(new EventTarget(), idle) as unknown as StreamMuxer;
      },
    });
    const attacker = await AttackerHost.start(hosts.hostileSeed, muxer);
    try {
      const memory = await measured('multiplexer', count, async () => {
        await hosts.signingMeanwhile(signed, async () => {
          for (let index = 0; index < count; index++) {
            await attacker.dial(victim.network).catch(() => undefined);
            await within(Promise.all(lost.splice(0)), 'the node ends the connection');
          }
        });
      });
      assert(memory.grown < 64 && memory.risen < 512, JSON.stringify(memory));
    } finally {
      await attacker.stop();
    }
    signed.add(await hosts.sign());
  });
});
