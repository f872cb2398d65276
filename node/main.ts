// A node: wires configuration, store, network, sessions, the connector's door and local control; owns start and stop.
import './runtime.ts';
import { randomBytes } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { serveMetrics } from '../metrics/server.ts';
import { ed25519Signer, envelopeSchema } from '../protocol/records/envelope.ts';
import { formatEpoch, timestamp } from '../protocol/records/fields.ts';
import { type Keyring, openKeyring, partyIndex } from '../protocol/records/keyring-roster.ts';
import { removeLeftovers, writeAtomically } from '../storage/atomic-file.ts';
import { BlameFolder } from './blame-folder.ts';
import { ClockWatch, judgeClocks } from './clocks.ts';
import { type NodeConfig, nodePaths } from './config.ts';
import { startControl } from './control.ts';
import { DoorHandler } from './door.ts';
import { Grants } from './grants.ts';
import { createNetwork, type Network, type NetworkOptions } from './network/network.ts';
import { callAfter } from './late-timer.ts';
import { type Clock, defaultTiming, type SessionContext } from './sessions/context.ts';
import { bootId, Sessions, type WorkspaceStatus } from './sessions/sessions.ts';
import { PairGate } from './sessions/pairs/gate.ts';
import { nodePairStore } from './sessions/pairs/storage.ts';
import { sessionStore } from './sessions/storage.ts';
import { type NodePair, nodePairs, OperatorPairs, ownPresignatures, type PresignaturePool } from './pairs.ts';
import { OperatorWorkspaces } from './operator-workspaces.ts';
import { OperatorPause, type Pause } from './pause.ts';
import { clockWarnings, measuredClocks, type NodePeer, nodePeer } from './peers.ts';
import { NodeStore } from './store/node-store.ts';
import type { PeerBoot } from './store/peer-boots.ts';
import { defaultWorkers, ThreadedWork } from './work/threads.ts';
import type { WorkStatus } from './work/work.ts';

export class NodeError extends Error {
  override readonly name = 'NodeError';
  readonly code: 'no_roster' | 'bad_roster' | 'not_a_party';
  constructor(code: NodeError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

export interface NodeOptions {
  readonly config: NodeConfig;
  /** 32-byte seed of the party key. */
  readonly seed: Uint8Array;
  /** Opens the sealed shares; not kept. */
  readonly passphrase: string;
  readonly log: (event: string, fields: Record<string, unknown>) => void;
  /** Of this software, as the status tells it. */
  readonly version?: string;
  /** Sees every message that leaves for other parties; for tests. */
  readonly tap?: NetworkOptions['tap'];
}

export interface NodeStatus {
  /** `paused`: by its operator; it then takes part in no attempt. */
  readonly state: 'running' | 'paused';
  readonly paused?: Pause;
  readonly name: string;
  readonly party: string;
  readonly networkId: string;
  readonly keyringId: string;
  readonly epoch: string;
  readonly threshold: number;
  readonly addresses: readonly string[];
  readonly pid: number;
  readonly version?: string;
  /** When this process started: RFC 3339, UTC. */
  readonly started: string;
  readonly boots: number;
  readonly peers: readonly NodePeer[];
  /** What is wrong with this node's clock or its peers', a line each. */
  readonly clocks: readonly string[];
  readonly connectors: readonly string[];
  readonly keys: { readonly active: number; readonly pending: number };
  /** This party's pairs with the others. */
  readonly pairs?: readonly NodePair[];
  readonly presignatures?: readonly PresignaturePool[];
  /** Proofs of other parties' faults in the folder `blame`. */
  readonly blame: number;
  /** Workspaces for which this node signs nothing: frozen here, or with a log that has forked. */
  readonly blocked: readonly WorkspaceStatus[];
  /** This folder was an old copy then: limits count as used up, each for as long as it looks back. RFC 3339, UTC. */
  readonly debitsForgotten?: string;
  readonly requests: ReturnType<Sessions['status']>;
  readonly work: WorkStatus;
}

export interface RunningNode {
  addresses(): readonly string[];
  status(): Promise<NodeStatus>;
  stop(): Promise<void>;
}

const systemClock: Clock = { now: Date.now, after: callAfter };

/** The keyring that this node's operator signed: the node knows it from this file only, never from a coordinator. */
async function readKeyring(path: string, networkId: string): Promise<Keyring> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch {
    throw new NodeError('no_roster', `${path} is missing: run \`countersign node join ROSTER.json\` first`);
  }
  try {
    return openKeyring(envelopeSchema.parse(JSON.parse(text)), networkId);
  } catch (error) {
    const { message } = error as Error;
    const remedy = 'run `countersign node join` with the roster that all parties have signed';
    throw new NodeError('bad_roster', `${path}: ${message.split('\n')[0]}: ${remedy}`);
  }
}

async function writeJson(path: string, name: string, value: unknown): Promise<void> {
  await writeAtomically(path, `${JSON.stringify(value)}\n`, { name });
}

/** Addresses to listen at: a port 0 is the port of the last start, as far as it is still free. */
async function listenAddresses(config: NodeConfig, boundFile: string): Promise<string[][]> {
  const configured = [...config.listen];
  try {
    const { ports } = JSON.parse(await readFile(boundFile, 'utf8')) as { ports: Record<string, number> };
    const reused = configured.map((address) =>
      address.endsWith('/tcp/0') && ports[address]
        ? address.replace(/\/tcp\/0$/, `/tcp/${ports[address]}`)
        : address,
    );
    return [reused, configured];
  } catch {
    return [configured];
  }
}

function boundPorts(config: NodeConfig, addresses: readonly string[]): Record<string, number> {
  const ports = config.listen.flatMap((address, index) => {
    const port = /\/tcp\/(\d+)/.exec(addresses[index] ?? '')?.[1];
    return port === undefined ? [] : [[address, Number(port)] as const];
  });
  return Object.fromEntries(ports);
}

/**
 * Starts a node. Throws NodeError, NodeStoreError, NetworkError or ControlError with one line that says what to do; what
 * was started by then is stopped again.
 */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const { config, seed, passphrase, tap } = options;
  const { networkId } = config;
  const paths = nodePaths(config.dir);
  const boundFile = join(config.dir, 'bound.json');
  const signer = ed25519Signer(seed);
  const keyring = await readKeyring(paths.roster, networkId);
  const { parties, threshold } = keyring.roster;
  const index = partyIndex(keyring.roster, signer.credential);
  if (index === 0) {
    throw new NodeError(
      'not_a_party',
      `${signer.credential} is no party of keyring ${keyring.id}: check ${paths.roster}`,
    );
  }
  const names = new Map(parties.map((party) => [party.key, party.name]));
  // Loaded only where they are wanted.
  const metrics = config.metrics && (await import('./metrics.ts')).createNodeMetrics(options.log, names);
  const log = metrics?.log ?? options.log;
  const started = timestamp(Date.now());
  const stops: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    const failures: unknown[] = [];
    // Each part is stopped whatever became of the others; the first failure is told.
    for (let next = stops.pop(); next; next = stops.pop())
      await next().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  };
  if (metrics) stops.push(async () => metrics.stop());
  try {
    const store = await NodeStore.open({ dir: config.dir, passphrase, networkId });
    stops.push(() => store.close());
    const boots = await store.nextBoot();
    if (store.restored) log('node.restored', { level: 'warn', boots });
    // Of a run that was killed: whoever waits for this file waits for this process.
    await rm(paths.ready, { force: true });
    await removeLeftovers(config.dir, [basename(boundFile), basename(paths.ready)]);
    const grants = new Grants({
      folder: paths.grants,
      networkId,
      keyringId: keyring.id,
      party: signer.credential,
      now: Date.now,
      log,
    });
    await grants.load();
    const work = await ThreadedWork.start({
      workers: config.workers ?? defaultWorkers(),
      log,
      ...(metrics && { onTask: metrics.onTask }),
    });
    stops.push(() => work.stop());
    const pairs = await PairGate.open({
      store: nodePairStore(store, keyring, signer.credential),
      clock: systemClock,
      log,
    });
    // Before the workers end: a check that is under way has its verdict first.
    stops.push(() => pairs.stop());
    const peerParties = parties.filter(({ key }) => key !== signer.credential);
    const operatorPairs = new OperatorPairs(pairs, peerParties);
    const blame = new BlameFolder({ folder: paths.blame, log });
    await blame.load();
    // Sessions need the network, and the network needs the sessions: this one is filled in when it listens.
    const link: { network?: Network } = {};
    const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length));
    const timing = {
      ...defaultTiming,
      ...(config.timing.proposalDeadlineMs && { proposalDeadline: config.timing.proposalDeadlineMs }),
      ...(config.timing.roundDeadlineMs && { roundDeadline: config.timing.roundDeadlineMs }),
    };
    const context: SessionContext = {
      networkId,
      keyring,
      signer,
      boot: bootId(random),
      transport: {
        send: (party, bytes) => link.network?.send(party, bytes),
        publish: (bytes) => {
          try {
            link.network?.publish(bytes);
          } catch (error) {
            // Gossip is best effort: everything also goes over the streams.
            log('gossip.failed', { message: (error as Error).message, bytes: bytes.length });
          }
        },
        up: () => new Set(link.network?.peers().flatMap((peer) => (peer.up ? [peer.key] : []))),
      },
      store: sessionStore(store, keyring.roster, signer.credential),
      clock: systemClock,
      random,
      work,
      timing,
      log,
      blame,
      streamCopies: true,
      pairs,
      presignatures: config.presignatures,
      ...(metrics && { observer: metrics.observer }),
    };
    const sessions: Sessions = new Sessions(context, () => door.resultStored());
    const workspaces = new OperatorWorkspaces(sessions, networkId, Date.now);
    const pause = new OperatorPause({ store, sessions, now: Date.now, log });
    const clockWatch = new ClockWatch(log, () => performance.now());
    const peersUp = (): number => context.transport.up().size;
    const door = new DoorHandler({ networkId, keyring, party: signer.credential, sessions, store, peersUp });
    const noteBoot = (peer: string, boot: PeerBoot): void => {
      store
        .rememberBoot(peer, boot)
        .catch((error: unknown) =>
          log('peer.boot.failed', { peer, message: `cannot be remembered: ${(error as Error).message}` }),
        );
    };
    const configuredAddresses = (party: {
      name: string;
      key: string;
      addresses: readonly string[];
    }): string[] => [...(config.peers[party.name] ?? config.peers[party.key] ?? party.addresses)];
    const create = (listen: string[]): Network =>
      createNetwork({
        networkId,
        keyringId: keyring.id,
        epoch: formatEpoch(keyring.epoch),
        privateSeed: seed,
        parties: parties.map((party) => ({ key: party.key, addresses: configuredAddresses(party) })),
        listen,
        bootCounter: boots,
        grants: () => grants.current(),
        onMessage: ({ from, bytes, via }) => sessions.receive(from, bytes, via),
        onPeer: ({ peer, up, bootId: boot, bootCounter }) => {
          if (up) noteBoot(peer, { counter: bootCounter, bootId: boot });
          sessions.peer(peer, up, boot);
        },
        onClock: () => clockWatch.update(measuredClocks(link.network?.peers() ?? [])),
        onDoorRequest: (_, request, signal) => door.answer(request, signal),
        log,
        ...(tap && { tap }),
      });
    const countKeys = async (): Promise<NodeStatus['keys']> => {
      const keys = await store.keys();
      const active = keys.filter((key) => key.certificate !== undefined).length;
      return { active, pending: keys.length - active };
    };
    const keys = metrics && (await countKeys());
    // Before the first peer can be heard: a node that restarts paused takes part in nothing, not even for a moment.
    await pause.open();
    // Nor without what it knows against signing.
    await sessions.open();
    const running = await listenAt(await listenAddresses(config, boundFile), create);
    link.network = running;
    metrics?.read({
      network: running,
      sessions,
      work,
      paused: () => pause.current !== undefined,
      bundles: () => blame.size,
      pairs: () => peerParties.map(({ key }) => pairs.state(key)),
      keys: keys ?? { active: 0, pending: 0 },
    });
    stops.push(() => running.stop());
    await sessions.start();
    stops.push(() => sessions.stop());
    const status = async (): Promise<NodeStatus> => {
      const paused = pause.current;
      const highestBoots = await store.highestBoots();
      const peers = running.peers();
      const nameOf = (party: string): string => names.get(party) ?? party;
      return {
        state: paused ? 'paused' : 'running',
        ...(paused && { paused }),
        name: config.name,
        party: signer.credential,
        networkId,
        keyringId: keyring.id,
        epoch: formatEpoch(keyring.epoch),
        threshold,
        addresses: running.addresses(),
        pid: process.pid,
        ...(options.version !== undefined && { version: options.version }),
        started,
        boots,
        peers: peers.map((peer) => nodePeer(peer, nameOf(peer.key), highestBoots.get(peer.key))),
        clocks: clockWarnings(judgeClocks(measuredClocks(peers)), nameOf),
        connectors: grants.current(),
        keys: await countKeys(),
        pairs: nodePairs(pairs, peerParties, sessions.pairProgress()),
        presignatures: ownPresignatures(sessions.presignatures(), signer.credential, config.presignatures),
        blame: blame.size,
        blocked: workspaces.blocked(),
        ...(sessions.debitsForgotten !== undefined && {
          debitsForgotten: timestamp(sessions.debitsForgotten),
        }),
        requests: sessions.status(),
        work: work.status(),
      };
    };
    const control = await startControl({
      dir: config.dir,
      handlers: {
        status,
        reload: async () => ({ connectors: await grants.load() }),
        pause: (params) => pause.pause(params),
        resume: () => pause.resume(),
        'pair-setup': (params) => operatorPairs.lift(params),
        'log-import': (params) => workspaces.import(params),
        'log-export': (params) => workspaces.export(params),
        'log-show': (params) => workspaces.show(params),
        freeze: (params) => workspaces.freeze(params),
        unfreeze: (params) => workspaces.unfreeze(params),
      },
      log,
    });
    stops.push(() => control.stop());
    const served =
      config.metrics &&
      metrics &&
      (await serveMetrics({ ...config.metrics, text: () => metrics.instruments.text(), log }));
    if (served) stops.push(() => served.stop());
    const addresses = running.addresses();
    await writeJson(boundFile, 'node.bound', { ports: boundPorts(config, addresses) });
    await writeJson(paths.ready, 'node.ready', {
      pid: process.pid,
      addresses,
      ...(served && { metrics: served.url }),
    });
    stops.push(() => rm(paths.ready, { force: true }));
    log('node.started', { name: config.name, party: signer.credential, keyringId: keyring.id, addresses });
    return { addresses: () => running.addresses(), status, stop };
  } catch (error) {
    await stop().catch((failure: unknown) =>
      log('node.stop.failed', { message: (failure as Error).message }),
    );
    throw error;
  }
}

/** Tries one choice of addresses after the other; the last one's failure is thrown. */
async function listenAt(
  choices: readonly string[][],
  create: (listen: string[]) => Network,
): Promise<Network> {
  for (const [index, listen] of choices.entries()) {
    const network = create(listen);
    try {
      await network.start();
      return network;
    } catch (error) {
      await network.stop().catch(() => undefined);
      if (index === choices.length - 1) throw error;
    }
  }
  throw new TypeError('no addresses to listen at');
}
