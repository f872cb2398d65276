// Sessions over real libp2p hosts, with a tap on everything that leaves: gossip alone can carry what it must carry, and
// nothing of the signing rounds leaves a node for a request that its evidence does not authorise.
import assert from 'node:assert/strict';
import { approve, createWorld, evidence, hour, idOf } from '../support/fixture.ts';
import { makeKey, messageRequest, startHosts, stopHosts } from '../support/session-hosts.ts';
import { until } from '../support/until.ts';

describe('sessions over libp2p', function () {
  this.timeout(300_000);

  it('gossip alone carries PROPOSE, START and DONE when the streams do not', async () => {
    const world = createWorld();
    const hosts = await startHosts(world, { streamCopies: false });
    try {
      const key = await makeKey(world, hosts);
      const request = messageRequest(world, key, 'by gossip');
      const decisions = [approve(world, idOf(request), 'bob', { expires: Date.now() + hour })];
      const full = evidence(world, request, { keys: [key], decisions });
      await Promise.all(hosts.map(({ sessions }) => sessions.submit(full)));
      const finished = (): boolean => hosts.every(({ store }) => store.finished.has(idOf(request)));
      await until(finished, 'every party has its result', 30_000);
      const sent = hosts.flatMap(({ left }) => left);
      const gossiped = new Set(sent.filter(({ via }) => via === 'gossip').map(({ frame }) => frame.type));
      const streamed = new Set(sent.filter(({ via }) => via === 'stream').map(({ frame }) => frame.type));
      for (const type of ['propose', 'start', 'done'] as const) {
        assert(gossiped.has(type), `${type} by gossip`);
        assert(!streamed.has(type), `${type} by stream`);
      }
    } finally {
      await stopHosts(hosts);
    }
  });

  it('below the policy nothing of the signing rounds leaves any node', async () => {
    const world = createWorld();
    const hosts = await startHosts(world);
    try {
      const key = await makeKey(world, hosts);
      const refused = messageRequest(world, key, 'nobody else agreed');
      for (const { sessions } of hosts) {
        assert.equal((await sessions.submit(evidence(world, refused, { keys: [key] }))).state, 'waiting');
      }
      // Another request goes all the way meanwhile: the nodes were not merely slow.
      const agreed = messageRequest(world, key, 'bob agreed');
      const decisions = [approve(world, idOf(agreed), 'bob', { expires: Date.now() + hour })];
      const full = evidence(world, agreed, { keys: [key], decisions });
      await Promise.all(hosts.map(({ sessions }) => sessions.submit(full)));
      const finished = (): boolean => hosts.every(({ store }) => store.finished.has(idOf(agreed)));
      await until(finished, 'the agreed request is signed', 30_000);
      const about = hosts
        .flatMap(({ left }) => left)
        .filter(({ frame }) => {
          return 'requestId' in frame.content && frame.content.requestId === idOf(refused);
        });
      assert.deepEqual(about, []);
      // ACCEPT, START and ROUND name attempts: each belongs to one that was proposed, so to the agreed request or the key.
      for (const { store } of hosts) assert.equal(store.jobs.get(idOf(refused))?.state, 'stored');
    } finally {
      await stopHosts(hosts);
    }
  });
});
