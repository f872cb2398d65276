// Garbage at the connector's door, from a granted connector, one whose grant is gone, and strangers: requests that are none,
// evidence with something wrong, deep and huge JSON, streams that never end, are slow, come in tiny parts, or are many.
import assert from 'node:assert/strict';
import type { Connection, Stream } from '@libp2p/interface';
import { DOOR_MAX_CONCURRENT, DOOR_MAX_MESSAGE_BYTES, DOOR_PROTOCOL } from '../../protocol/door.ts';
import { publicKeyOf } from '../../protocol/keys/ed25519.ts';
import { toHex } from '../../protocol/hex.ts';
import { type AttackedHost, AttackedHosts, measured } from '../support/attacked-hosts.ts';
import { AttackerHost, within } from '../support/attacker-host.ts';
import {
  brokenJson,
  Choices,
  garbageCount,
  garbageSeed,
  lengthPrefixed,
  otherValue,
  type Plain,
  varint,
} from '../support/frame-garbage.ts';
import { seedOf } from '../support/fixture.ts';
import { until } from '../support/until.ts';

const granted = seedOf('connector');
const credential = `ed25519:${toHex(publicKeyOf(granted))}`;

/** What a stream brings until it ends. */
async function answerOn(stream: Stream): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  try {
    for await (const part of stream) parts.push(part.subarray());
  } catch {
    // A reset ends it as well.
  }
  return new Uint8Array(Buffer.concat(parts));
}

describe("garbage at the connector's door", function () {
  this.timeout(3_600_000);
  const seed = garbageSeed();
  const failures: unknown[] = [];
  const onFailure = (reason: unknown): void => void failures.push(reason);
  const signed = new Set<string>();
  let grants: readonly string[] = [credential];
  let hosts: AttackedHosts;
  let victim: AttackedHost;
  let connector: AttackerHost;
  let connection: Connection;

  before(async () => {
    process.stdout.write(`      RANDOM_SEED=${seed}\n`);
    process.on('unhandledRejection', onFailure);
    hosts = await AttackedHosts.start({ grants: () => grants, limits: { doorDeadlineMs: 5_000 } });
    victim = hosts.honest[0]!;
    connector = await AttackerHost.start(granted);
    connection = await connector.dial(victim.network);
  });
  after(async () => {
    await connector.stop();
    await hosts.stop();
    process.off('unhandledRejection', onFailure);
    assert.deepEqual(failures, []);
  });

  async function ask(bytes: Uint8Array, from = connection): Promise<string> {
    const stream = await from.newStream(DOOR_PROTOCOL);
    const answer = answerOn(stream);
    try {
      stream.send(bytes);
      if (stream.writeStatus === 'writable') await stream.close();
    } catch {
      // The node has ended it meanwhile.
    }
    await within(answer, 'the door answers or ends the stream');
    return new TextDecoder().decode(await answer);
  }

  const request = (value: unknown): Uint8Array =>
    lengthPrefixed(new TextEncoder().encode(JSON.stringify(value)));
  const status = request({ method: 'status' });

  it('is answered with an error, or the stream is ended', async () => {
    const count = garbageCount(2_000);
    const choices = new Choices(seed);
    const open = hosts.request(false);
    await victim.sessions.submit(open.full);
    const before = await hosts.kept(victim, signed);
    const deliver = { method: 'deliver', evidence: open.full };
    const results = { method: 'results', after: 0, limit: 10, waitMs: 0 };
    const kinds: (() => Uint8Array)[] = [
      () => choices.someBytes(),
      () => lengthPrefixed(choices.someBytes()),
      () => lengthPrefixed(new Uint8Array(0)),
      () => lengthPrefixed(brokenJson(choices, deliver)),
      () => lengthPrefixed(brokenJson(choices, results)),
      () => request({ ...deliver, evidence: otherValue(choices, open.full as unknown as Plain) }),
      () => request({ ...deliver, evidence: { ...open.full, keys: [] } }),
      () => request({ ...deliver, evidence: { ...open.full, request: hosts.world.genesis } }),
      () => request({ method: 'deliver' }),
      () => request({ ...results, after: 10 ** 9 }),
      () =>
        request({
          ...results,
          [choices.pick(['after', 'limit', 'waitMs'])]: choices.pick([-1, 1.5, '1', 2 ** 60]),
        }),
      () => request({ method: choices.hex(4) }),
      () => request([deliver]),
      () => varint(DOOR_MAX_MESSAGE_BYTES + 1 + choices.below(2 ** 40)),
      () => lengthPrefixed(choices.bytes(300)).subarray(0, 100),
    ];
    const kinded = (): Uint8Array =>
      choices.below(200) === 0
        ? request({ ...deliver, evidence: { ...open.full, decisions: Array(400).fill(open.full.request) } })
        : choices.pick(kinds)();
    const answers = { errors: 0, ended: 0, other: 0 };
    let left = count;
    const one = async (): Promise<void> => {
      while (left-- > 0) {
        const answer = await ask(kinded());
        if (answer.includes('"error"')) answers.errors += 1;
        else if (answer.length < 4) answers.ended += 1;
        else answers.other += 1;
      }
    };
    const memory = await measured('door', count, async () => {
      await hosts.signingMeanwhile(signed, () => Promise.all([one(), one(), one(), one()]));
    });
    process.stdout.write(`        ${JSON.stringify(answers)}\n`);
    assert(answers.errors > 0 && answers.ended > 0);
    assert.deepEqual(await hosts.kept(victim, signed), before);
    assert(memory.grown < 64 && memory.risen < 512, JSON.stringify(memory));
    assert.match(await ask(status), /"networkId"/);
  });

  it('without end, slow, or in tiny parts has a deadline, and room for itself only', async () => {
    const streams: Stream[] = [];
    const memory = await measured('door, held', DOOR_MAX_CONCURRENT, async () => {
      for (let index = 0; index < DOOR_MAX_CONCURRENT; index++) {
        const stream = await connection.newStream(DOOR_PROTOCOL);
        streams.push(stream);
        stream.send(varint(DOOR_MAX_MESSAGE_BYTES));
      }
      await until(async () => (await ask(status)) === '\u0001\u0001', 'the door is busy', 30_000);
      await hosts.signingMeanwhile(signed, () =>
        until(
          () => {
            for (const stream of streams)
              if (stream.status === 'open' && !stream.writableNeedsDrain) stream.send(new Uint8Array(7));
            return streams.every(({ status: state }) => state !== 'open');
          },
          'the node has ended all of them',
          60_000,
        ),
      );
    });
    assert(memory.risen < 512, JSON.stringify(memory));
    await until(async () => /networkId/.test(await ask(status)), 'room again', 30_000);
  });

  it('of a connector whose grant is gone gets no further than a refusal, and a stranger not so far', async () => {
    grants = [];
    const large = lengthPrefixed(new Uint8Array(DOOR_MAX_MESSAGE_BYTES));
    for (let index = 0; index < 20; index++) {
      assert.equal(await ask(index % 2 === 0 ? large : status), '\u0001\u0002');
    }
    grants = [credential];
    const stranger = await AttackerHost.start(seedOf('stranger'));
    try {
      for (let index = 0; index < 20; index++) {
        await assert.rejects(stranger.open(victim.network, DOOR_PROTOCOL));
      }
    } finally {
      await stranger.stop();
    }
    assert((victim.counts.get('connection.refused') ?? 0) >= 20);
    signed.add(await hosts.sign());
  });
});
