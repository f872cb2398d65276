// Garbage on the stream of a peer, from a party that holds its key: frames with something wrong, and in good frames session
// messages with something wrong, signed by the sender. The nodes live, keep nothing, and sign honest requests meanwhile.
import assert from 'node:assert/strict';
import { PEER_PROTOCOL } from '../../node/network/party-network.ts';
import { AttackedHosts, measured } from '../support/attacked-hosts.ts';
import { AttackerHost, ended, helloOf, HostileChannel, within } from '../support/attacker-host.ts';
import { Choices, garbageCount, garbageSeed } from '../support/frame-garbage.ts';
import { HostileParty } from '../support/session-garbage.ts';
import { streamGarbage } from '../support/stream-garbage.ts';
import { until } from '../support/until.ts';

const mostGrowth = 64;
const mostHeap = 512;

describe('garbage on the stream of a peer', function () {
  this.timeout(3_600_000);
  const seed = garbageSeed();
  let hosts: AttackedHosts;
  /** Each has the hostile party's key: dials of one host at a time share a connection. */
  const attackers: AttackerHost[] = [];
  const signed = new Set<string>();
  const failures: unknown[] = [];
  const onFailure = (reason: unknown): void => void failures.push(reason);

  before(async () => {
    process.stdout.write(`      RANDOM_SEED=${seed}\n`);
    process.on('unhandledRejection', onFailure);
    hosts = await AttackedHosts.start({
      limits: { helloDeadlineMs: 3_000, heartbeatMs: 1_000, heartbeatDeadlineMs: 6_000 },
    });
    for (let index = 0; index < 4; index++) attackers.push(await AttackerHost.start(hosts.hostileSeed));
  });
  after(async () => {
    for (const attacker of attackers) await attacker.stop();
    await hosts.stop();
    process.off('unhandledRejection', onFailure);
    assert.deepEqual(failures, []);
  });

  it('costs the stream, whatever it is, and nothing else', async () => {
    // A handshake each; as many as elsewhere come over streams in memory, in peer-channel-garbage.
    const count = Math.max(200, Math.floor(garbageCount(0) / 20));
    const choices = new Choices(seed);
    const [victim] = hosts.honest;
    assert(victim);
    const before = await hosts.kept(victim, signed);
    const names = new Map<string, number>();
    let left = count;
    const one = async (attacker: AttackerHost): Promise<void> => {
      while (left-- > 0) {
        const { name, parts, held, shut } = streamGarbage(choices, helloOf(hosts.world));
        const { connection, stream } = await attacker.open(victim.network, PEER_PROTOCOL);
        const end = ended(stream);
        try {
          for (const part of parts) stream.send(part);
          if (shut) await stream.close();
        } catch {
          // The node was faster.
        }
        await within(end, `${name} is ended (${held ? 'at its deadline' : 'at once'})`);
        connection.abort(new Error('next'));
        names.set(name, (names.get(name) ?? 0) + 1);
      }
    };
    const memory = await measured('peer stream', count, async () => {
      await hosts.signingMeanwhile(signed, () => Promise.all(attackers.map(one)));
    });
    assert.equal(
      [...names.values()].reduce((sum, each) => sum + each, 0),
      count,
    );
    const from = hosts.hostile.credential;
    await until(() => (victim.counts.get(`peer.stream.ended ${from}`) ?? 0) >= count, 'each is in the log');
    for (const code of ['frame', 'protocol', 'hello_refused']) {
      assert((victim.counts.get(`peer.stream.ended ${code}`) ?? 0) > 0, code);
    }
    assert.deepEqual(await hosts.kept(victim, signed), before);
    assert(memory.grown < mostGrowth && memory.risen < mostHeap, JSON.stringify(memory));
    assert(victim.network.peers().every(({ queuedBytes }) => queuedBytes < 2 ** 20));
    signed.add(await hosts.sign());
  });

  it('in its messages is refused by name, and what is signed wrongly changes nothing', async () => {
    const count = garbageCount(2_000);
    const choices = new Choices(seed + 1);
    const [victim] = hosts.honest;
    assert(victim);
    const open = hosts.request(false);
    for (const { sessions } of hosts.honest) await sessions.submit(open.full);
    const done = hosts.request(true);
    await Promise.all(hosts.honest.map(({ sessions }) => sessions.submit(done.full)));
    await until(
      async () => (await victim.store.resultOf(done.id)) !== undefined,
      'the first is done',
      60_000,
    );
    signed.add(done.id);
    const before = await hosts.kept(victim, signed);
    const party = new HostileParty(choices, hosts.world, hosts.hostile, [open, done]);
    const from = hosts.hostile.credential;
    const refused = (): number => victim.counts.get(`session.message_rejected ${from}`) ?? 0;
    const handled = (): number => victim.handled.get(`${from} stream`) ?? 0;
    const [refusedBefore, handledBefore] = [refused(), handled()];
    let malformed = 0;
    const memory = await measured('session messages', count, async () => {
      const channel = await HostileChannel.open(attackers[0]!, victim.network, hosts.world);
      await hosts.signingMeanwhile(signed, async () => {
        for (let index = 0; index < count; index++) {
          const garbage = party.next();
          if (garbage.malformed) malformed += 1;
          await channel.send(garbage.bytes);
        }
        await until(() => handled() - handledBefore >= count, 'all are handled', 600_000);
      });
      // Lines left out are told with the next one.
      await until(
        async () => {
          await channel.send(new Uint8Array([0]));
          return refused() - refusedBefore >= malformed;
        },
        () => `${refused() - refusedBefore} refused of ${malformed} malformed`,
        20_000,
      );
      channel.connection.abort(new Error('enough'));
    });
    assert.deepEqual(await hosts.kept(victim, signed), before);
    assert.equal(victim.counts.get('session.message_rejected internal'), undefined);
    assert(memory.grown < mostGrowth && memory.risen < mostHeap, JSON.stringify(memory));
    signed.add(await hosts.sign());
  });
});
