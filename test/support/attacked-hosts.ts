// Parties of one keyring on loopback, each made of the real parts of a node but for its process: network, sessions, door and
// store. One party is missing: its key is the attacker's.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { DoorHandler } from '../../node/door.ts';
import { createNetwork, type Network } from '../../node/network/network.ts';
import type { NetworkLimits } from '../../node/network/limits.ts';
import type { AdmissionLimits } from '../../node/sessions/admission.ts';
import { type Clock, defaultTiming } from '../../node/sessions/context.ts';
import { bootId, Sessions } from '../../node/sessions/sessions.ts';
import { sessionStore } from '../../node/sessions/storage.ts';
import { NodeStore } from '../../node/store/node-store.ts';
import { inlineWork } from '../../node/work/inline.ts';
import type { Evidence } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { Signer } from '../../protocol/records/envelope.ts';
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
} from './fixture.ts';
import { until } from './until.ts';

export const systemClock: Clock = {
  now: Date.now,
  after(ms, call) {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
};

export interface AttackedHost {
  readonly party: Signer;
  readonly network: Network;
  readonly sessions: Sessions;
  readonly store: NodeStore;
  /** How often each event was logged, by event and by `event code`; what was suppressed is counted as well. */
  readonly counts: Map<string, number>;
  /** Messages handled to the end, by sender and path. */
  readonly handled: Map<string, number>;
  stop(): Promise<void>;
}

export interface HostsOptions {
  readonly limits?: Partial<NetworkLimits>;
  readonly grants?: () => readonly string[];
  readonly admission?: AdmissionLimits;
}

function count(counts: Map<string, number>, name: string, by = 1): void {
  counts.set(name, (counts.get(name) ?? 0) + by);
}

async function startHost(world: World, index: number, options: HostsOptions): Promise<AttackedHost> {
  const { keyring, parties } = world;
  const party = parties[index] as Signer;
  const dir = await mkdtemp(join(tmpdir(), 'countersign-attacked-'));
  const store = await NodeStore.open({
    dir,
    passphrase: 'for tests',
    networkId,
    testOnlyScryptCost: 2 ** 10,
  });
  const counts = new Map<string, number>();
  const handled = new Map<string, number>();
  const log = (event: string, fields: Record<string, unknown>): void => {
    const told = fields as { suppressed?: number; code?: string; peer?: string };
    const by = 1 + (told.suppressed ?? 0);
    count(counts, event, by);
    count(counts, `${event} ${told.peer ?? ''}`, by);
    if (told.code !== undefined) count(counts, `${event} ${told.code}`);
  };
  const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length));
  const link: { sessions?: Sessions; door?: DoorHandler } = {};
  const network = createNetwork({
    networkId,
    keyringId: keyring.id,
    epoch: formatEpoch(keyring.epoch),
    privateSeed: seedOf('world', 'party', index),
    parties: keyring.roster.parties.map(({ key }) => ({ key, addresses: [] })),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    bootCounter: 1,
    grants: options.grants ?? (() => []),
    onMessage: async ({ from, bytes, via }) => {
      await link.sessions?.receive(from, bytes, via);
      count(handled, `${from} ${via}`);
    },
    onPeer: ({ peer, up, bootId: boot }) => link.sessions?.peer(peer, up, boot),
    onDoorRequest: async (_, request, signal) => (link.door as DoorHandler).answer(request, signal),
    log,
    limits: { redialMinMs: 50, redialMaxMs: 1000, ...options.limits },
  });
  const sessions = new Sessions(
    {
      networkId,
      keyring,
      signer: party,
      boot: bootId(random),
      transport: {
        send: (to, bytes) => network.send(to, bytes),
        publish: (bytes) => network.publish(bytes),
        up: () => new Set(network.peers().flatMap((peer) => (peer.up ? [peer.key] : []))),
      },
      store: sessionStore(store, keyring.roster, party.credential),
      clock: systemClock,
      random,
      work: inlineWork(random),
      timing: defaultTiming,
      log,
      streamCopies: true,
      ...(options.admission && { admission: options.admission }),
    },
    () => link.door?.resultStored(),
  );
  link.sessions = sessions;
  const peersUp = (): number => network.peers().filter(({ up }) => up).length;
  link.door = new DoorHandler({ networkId, keyring, party: party.credential, sessions, store, peersUp });
  await network.start();
  const stop = async (): Promise<void> => {
    await sessions.stop();
    await network.stop();
    await store.close();
    await rm(dir, { recursive: true, force: true });
  };
  return { party, network, sessions, store, counts, handled, stop };
}

export class AttackedHosts {
  readonly world: World;
  readonly honest: readonly AttackedHost[];
  /** Whose key the attacker has. */
  readonly hostile: Signer;
  readonly hostileSeed: Uint8Array;
  readonly entry: Evidence['keys'][number];
  #texts = 0;

  private constructor(world: World, honest: readonly AttackedHost[], entry: Evidence['keys'][number]) {
    this.world = world;
    this.honest = honest;
    this.hostile = world.parties.at(-1) as Signer;
    this.hostileSeed = seedOf('world', 'party', world.parties.length - 1);
    this.entry = entry;
  }

  /** Parties with a key; the last one has taken part in making it, and is gone. */
  static async start(options: HostsOptions = {}): Promise<AttackedHosts> {
    const world = createWorld({ parties: 4, threshold: 2 });
    const hosts: AttackedHost[] = [];
    for (const index of world.parties.keys()) hosts.push(await startHost(world, index, options));
    for (const { network } of hosts) {
      for (const other of hosts) {
        if (other.network !== network)
          network.setAddresses(other.party.credential, other.network.addresses());
      }
    }
    const allUp = (): boolean => hosts.every(({ network }) => network.peers().every(({ up }) => up));
    await until(allUp, 'all are connected', 60_000);
    const request = keyRequest(world, { created: Date.now(), expires: Date.now() + hour });
    await Promise.all(hosts.map(({ sessions }) => sessions.submit(evidence(world, request))));
    const keys = await Promise.all(
      hosts.map(async ({ store }) => {
        await until(async () => (await store.keyOf(idOf(request))) !== undefined, 'the key', 60_000);
        return store.keyOf(idOf(request));
      }),
    );
    const last = hosts.pop() as AttackedHost;
    // Nobody dials the attacker: it comes by itself.
    for (const { network } of hosts) network.setAddresses(last.party.credential, []);
    await last.stop();
    return new AttackedHosts(world, hosts, { request, certificate: [...(keys[0]?.certificate ?? [])] });
  }

  async stop(): Promise<void> {
    for (const host of this.honest) await host.stop();
  }

  /** A request for a message, with the approvals it needs or without. */
  request(approved: boolean): { id: Hex; full: Evidence } {
    const created = Date.now();
    const items = [{ keyId: idOf(this.entry.request), payload: messagePayload(`text ${++this.#texts}`) }];
    const request = signRequest(this.world, items, { created, expires: created + hour });
    const decisions = approved
      ? [approve(this.world, idOf(request), 'bob', { expires: created + hour })]
      : [];
    return { id: idOf(request), full: evidence(this.world, request, { keys: [this.entry], decisions }) };
  }

  /** One request, signed by the honest parties. Fails when that takes longer than `withinMs`. */
  async sign(withinMs = 60_000): Promise<Hex> {
    const { id, full } = this.request(true);
    await Promise.all(this.honest.map(({ sessions }) => sessions.submit(full)));
    await until(
      async () => (await Promise.all(this.honest.map(({ store }) => store.resultOf(id)))).every(Boolean),
      'every honest party has its result',
      withinMs,
    );
    return id;
  }

  /** Signs honest requests, at least one, one after the other, while `attack` goes on; their ids are added to `signed`. */
  async signingMeanwhile(signed: Set<string>, attack: () => Promise<unknown>): Promise<void> {
    let isOver = false;
    const honest = async (): Promise<void> => {
      do signed.add(await this.sign());
      while (!isOver);
    };
    const attacked = attack().finally(() => (isOver = true));
    const results = await Promise.allSettled([attacked, honest()]);
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  /** What a node keeps of requests and keys, without those in `except`. */
  async kept(host: AttackedHost, except: ReadonlySet<string>): Promise<unknown> {
    const { store } = host;
    return {
      open: (await store.openJobs()).filter(({ requestId }) => !except.has(requestId)),
      keys: await store.keys(),
      results: (await store.results(0, 100_000))
        .map(({ requestId }) => requestId)
        .filter((id) => !except.has(id)),
    };
  }
}

setFlagsFromString('--expose_gc');
const collect = runInNewContext('gc') as () => void;
const mebibyte = 2 ** 20;

/** Buffers outside of the heap are given back some turns after the collection that found them unused. */
async function settled(): Promise<void> {
  for (let round = 0; round < 5; round++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export interface Memory {
  /** MiB that the heap and what it refers to has grown by, after collection. */
  readonly grown: number;
  readonly risen: number;
  readonly largestResident: number;
}

/** Runs `work` and measures this process meanwhile, attacker and victims together; prints one line. */
export async function measured(name: string, inputs: number, work: () => Promise<void>): Promise<Memory> {
  const used = (): number => {
    const { heapUsed, external } = process.memoryUsage();
    return (heapUsed + external) / mebibyte;
  };
  await settled();
  const before = used();
  let largestHeap = 0;
  let largestResident = 0;
  const sample = (): void => {
    largestHeap = Math.max(largestHeap, used());
    largestResident = Math.max(largestResident, process.memoryUsage.rss() / mebibyte);
  };
  const timer = setInterval(sample, 100);
  const began = performance.now();
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  sample();
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  await settled();
  const grown = used() - before;
  const mib = (value: number): string => `${Math.round(value)} MiB`;
  process.stdout.write(
    `        ${name}: ${inputs} inputs in ${seconds} s; heap ${mib(largestHeap)} at most, ${mib(before)} before, ${mib(grown)} more afterwards; RSS ${mib(largestResident)}\n`,
  );
  return { grown, risen: largestHeap - before, largestResident };
}
