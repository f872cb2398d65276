// Hosts for tests of sessions over real libp2p in one process: one for each party, connected, with a tap on everything
// that leaves, and requests for them.
import { randomBytes } from 'node:crypto';
import { createNetwork, type Network } from '../../node/network/network.ts';
import type { NetworkLimits } from '../../node/network/limits.ts';
import { type Clock, defaultTiming } from '../../node/sessions/context.ts';
import { bootId, Sessions } from '../../node/sessions/sessions.ts';
import { decodeFrame, type Frame } from '../../node/sessions/wire.ts';
import { inlineWork } from '../../node/work/inline.ts';
import type { Work } from '../../node/work/work.ts';
import type { Evidence } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import { formatEpoch } from '../../protocol/records/fields.ts';
import {
  evidence,
  hour,
  idOf,
  keyRequest,
  messagePayload,
  networkId,
  seedOf,
  signRequest,
  type World,
} from './fixture.ts';
import { MemorySessionStore } from './session-world.ts';
import { until } from './until.ts';

const clock: Clock = {
  now: Date.now,
  after(ms, call) {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
};

export interface Left {
  readonly via: 'stream' | 'gossip';
  readonly frame: Frame;
}

export interface HostOptions {
  readonly streamCopies?: boolean;
  /** Of all hosts together; each on its own, at once, without. */
  readonly work?: Work;
  readonly limits?: Partial<NetworkLimits>;
  /** Told when a host's channel to another goes up or down. */
  readonly onPeer?: (up: boolean) => void;
}

export interface Host {
  readonly network: Network;
  readonly sessions: Sessions;
  readonly store: MemorySessionStore;
  readonly left: Left[];
}

/** One host for each party of the world; they know each other's addresses, and all are connected. */
export async function startHosts(world: World, options: HostOptions = {}): Promise<Host[]> {
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
      onMessage: async ({ from, bytes, via }) => link.sessions?.receive(from, bytes, via),
      onPeer: ({ peer, up, bootId: boot }) => {
        options.onPeer?.(up);
        link.sessions?.peer(peer, up, boot);
      },
      ...(options.limits && { limits: options.limits }),
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
        work: options.work ?? inlineWork(random),
        timing: defaultTiming,
        log: () => undefined,
        streamCopies: options.streamCopies ?? true,
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

export async function stopHosts(hosts: readonly Host[]): Promise<void> {
  for (const { sessions } of hosts) await sessions.stop();
  for (const { network } of hosts) await network.stop();
}

export async function makeKey(world: World, hosts: readonly Host[]): Promise<Evidence['keys'][number]> {
  const request = keyRequest(world, { created: Date.now(), expires: Date.now() + hour });
  const id = idOf(request);
  await Promise.all(hosts.map(({ sessions }) => sessions.submit(evidence(world, request))));
  await until(() => hosts.every(({ store }) => store.active.has(id)), 'the key is active everywhere', 30_000);
  return { request, certificate: [...(hosts[0]?.store.active.get(id)?.certificate ?? [])] };
}

/** A request to sign these texts with the key. */
export function messageRequest(world: World, key: Evidence['keys'][number], ...texts: readonly string[]) {
  const keyId: Hex = idOf(key.request);
  const created = Date.now();
  const items = texts.map((text) => ({ keyId, payload: messagePayload(text) }));
  return signRequest(world, items, { created, expires: created + hour });
}
