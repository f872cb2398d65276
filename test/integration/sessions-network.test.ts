// Sessions over real libp2p hosts, with a tap on everything that leaves: gossip alone can carry what it must carry, and
// nothing of the signing rounds leaves a node for a request that its evidence does not authorise.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createNetwork, type Network } from '../../node/network/network.ts';
import { type Clock, defaultTiming } from '../../node/sessions/context.ts';
import { bootId, Sessions } from '../../node/sessions/sessions.ts';
import { decodeFrame, type Frame } from '../../node/sessions/wire.ts';
import { inlineWork } from '../../node/work/inline.ts';
import type { Evidence } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import { formatEpoch } from '../../protocol/records/fields.ts';
import {
  approve,
  createWorld,
  evidence,
  hour,
  idOf,
  keyRequest,
  messagePayload,
  networkId,
  seedOf,
  signRequest,
  type World,
} from '../support/fixture.ts';
import { MemorySessionStore } from '../support/session-world.ts';
import { until } from '../support/until.ts';

const clock: Clock = {
  now: Date.now,
  after(ms, call) {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
};

interface Left {
  readonly via: 'stream' | 'gossip';
  readonly frame: Frame;
}

interface Host {
  readonly network: Network;
  readonly sessions: Sessions;
  readonly store: MemorySessionStore;
  readonly left: Left[];
}

/** One host for each party of the world; they know each other's addresses, and all are connected. */
async function startHosts(world: World, streamCopies: boolean): Promise<Host[]> {
  const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length));
  const hosts = world.parties.map((signer, index): Host => {
    const store = new MemorySessionStore();
    const left: Left[] = [];
    const link: { sessions?: Sessions } = {};
    const network = createNetwork({
      networkId,
      keyringId: world.keyring.id,
      epoch: formatEpoch(world.keyring.epoch),
      privateSeed: seedOf('world', 'party', index),
      parties: world.keyring.roster.parties.map(({ key }) => ({ key, addresses: [] })),
      listen: ['/ip4/127.0.0.1/tcp/0'],
      bootCounter: 1,
      grants: () => [],
      onMessage: async ({ from, bytes }) => link.sessions?.receive(from, bytes),
      onPeer: ({ peer, up, bootId: boot }) => link.sessions?.peer(peer, up, boot),
      onDoorRequest: async () => new Uint8Array(),
      log: () => undefined,
      tap: (_, via, __, bytes) => left.push({ via, frame: decodeFrame(bytes) }),
    });
    const sessions = new Sessions(
      {
        networkId,
        keyring: world.keyring,
        signer,
        boot: bootId(random),
        transport: {
          send: (party, bytes) => network.send(party, bytes),
          publish: (bytes) => network.publish(bytes),
          up: () => new Set(network.peers().flatMap((peer) => (peer.up ? [peer.key] : []))),
        },
        store,
        clock,
        random,
        work: inlineWork(random),
        timing: defaultTiming,
        log: () => undefined,
        streamCopies,
      },
      () => undefined,
    );
    link.sessions = sessions;
    return { network, sessions, store, left };
  });
  for (const { network } of hosts) await network.start();
  for (const { network } of hosts) {
    for (const [index, other] of hosts.entries()) {
      if (other.network !== network)
        network.setAddresses(world.parties[index]!.credential, other.network.addresses());
    }
  }
  await until(
    () => hosts.every(({ network }) => network.peers().every(({ up }) => up)),
    'all are connected',
    30_000,
  );
  return hosts;
}

async function stopHosts(hosts: readonly Host[]): Promise<void> {
  for (const { sessions } of hosts) await sessions.stop();
  for (const { network } of hosts) await network.stop();
}

async function makeKey(world: World, hosts: readonly Host[]): Promise<Evidence['keys'][number]> {
  const request = keyRequest(world, { created: Date.now(), expires: Date.now() + hour });
  const id = idOf(request);
  await Promise.all(hosts.map(({ sessions }) => sessions.submit(evidence(world, request))));
  await until(() => hosts.every(({ store }) => store.active.has(id)), 'the key is active everywhere', 30_000);
  return { request, certificate: [...(hosts[0]?.store.active.get(id)?.certificate ?? [])] };
}

function message(world: World, key: Evidence['keys'][number], text: string) {
  const keyId: Hex = idOf(key.request);
  const created = Date.now();
  return signRequest(world, [{ keyId, payload: messagePayload(text) }], { created, expires: created + hour });
}

describe('sessions over libp2p', function () {
  this.timeout(90_000);

  it('gossip alone carries PROPOSE, START and DONE when the streams do not', async () => {
    const world = createWorld();
    const hosts = await startHosts(world, false);
    try {
      const key = await makeKey(world, hosts);
      const request = message(world, key, 'by gossip');
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
    const hosts = await startHosts(world, true);
    try {
      const key = await makeKey(world, hosts);
      const refused = message(world, key, 'nobody else agreed');
      for (const { sessions } of hosts) {
        assert.equal((await sessions.submit(evidence(world, refused, { keys: [key] }))).state, 'waiting');
      }
      // Another request goes all the way meanwhile: the nodes were not merely slow.
      const agreed = message(world, key, 'bob agreed');
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
