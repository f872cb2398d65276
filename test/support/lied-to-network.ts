// A whole network in the test's own process: real coordinator, nodes and connectors on real sockets, each connector
// behind a view of the coordinator that can lie to it. Every message that leaves a node is seen by a tap, every log line
// is kept, and the journals can be read.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { type Client, createClient } from '../../client/rpc-client.ts';
import { testnetOnlyScryptCost } from '../../cli/testnet/operators.ts';
import { parseConnectorConfig } from '../../connector/config.ts';
import { type Connector, startConnector } from '../../connector/main.ts';
import { parseCoordinatorConfig } from '../../coordinator/config.ts';
import { type RunningCoordinator, startCoordinator } from '../../coordinator/main.ts';
import { nodePaths, resolveNodeConfig } from '../../node/config.ts';
import { type RunningNode, startNode } from '../../node/main.ts';
import { peerIdOfCredential } from '../../node/network/peer-identity.ts';
import { attemptIdOf } from '../../node/sessions/attempt.ts';
import { decodeFrame } from '../../node/sessions/wire.ts';
import { NodeStore } from '../../node/store/node-store.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { Policy } from '../../protocol/policy/schema.ts';
import type { Envelope, Signer } from '../../protocol/records/envelope.ts';
import type { KeyView, RequestView } from '../../protocol/rpc.ts';
import {
  approve,
  createWorld,
  grantFor,
  hour,
  idOf,
  keyRequest,
  messagePayload,
  networkId,
  seedOf,
  signerOf,
  signRequest,
  type World,
} from './fixture.ts';
import { LyingView } from './lying-coordinator.ts';
import { until } from './until.ts';

/** Alice and bob together sign, either of them makes keys; carol is an owner who approves nothing. */
export const aliceAndBob: Policy = {
  version: 1,
  rules: [
    {
      id: 'spend',
      effect: 'allow',
      when: { kind: ['solana.transaction', 'message'] },
      require: { k: 2, of: ['alice', 'bob'] },
    },
    { id: 'keys', effect: 'allow', when: { kind: ['key.request'] }, require: { k: 1, of: ['alice', 'bob'] } },
  ],
};

/** One message that left a node, by stream or gossip. */
export interface Left {
  readonly from: number;
  readonly type: string;
  /** Undefined when it names an attempt that nobody has proposed. */
  readonly requestId: string | undefined;
}

export interface Line {
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface Place {
  readonly party: Signer;
  readonly nodeDir: string;
  readonly connectorSeed: Uint8Array;
  readonly grant: Envelope;
  readonly view: LyingView;
  node: RunningNode;
  connector: Connector;
  readonly nodeLog: Line[];
  readonly connectorLog: Line[];
  /** Called for each line the connector logs. */
  onConnector: (line: Line) => void;
}

const passphrase = 'lied to';
/** Messages with which a party's part in signing leaves it. */
const shares: ReadonlySet<string> = new Set(['accept', 'start', 'round']);

const quick = {
  firstMs: 5,
  maxMs: 50,
  random: Math.random,
  sleep: async (milliseconds: number, signal: AbortSignal) => {
    await wait(Math.min(milliseconds, 200), undefined, { signal });
  },
};

export class LiedToNetwork {
  readonly world: World;
  readonly root: string;
  readonly coordinator: RunningCoordinator;
  readonly places: Place[] = [];
  readonly left: Left[] = [];
  readonly #attempts = new Map<string, string>();

  private constructor(world: World, root: string, coordinator: RunningCoordinator) {
    this.world = world;
    this.root = root;
    this.coordinator = coordinator;
  }

  static async start(world = createWorld({ signPolicy: aliceAndBob })): Promise<LiedToNetwork> {
    const root = await mkdtemp(join(tmpdir(), 'countersign-liar-'));
    const config = parseCoordinatorConfig({
      networkId,
      dir: join(root, 'coordinator'),
      listen: { host: '127.0.0.1', port: 0 },
      create: 'open',
    });
    const coordinator = await startCoordinator({ config, log: () => undefined, version: '1.2.3' });
    const network = new LiedToNetwork(world, root, coordinator);
    try {
      await network.#bootstrap();
      return network;
    } catch (error) {
      await network.stop();
      throw error;
    }
  }

  async #bootstrap(): Promise<void> {
    const { world, root } = this;
    for (const [index, party] of world.parties.entries()) {
      const nodeDir = join(root, `node-${index}`);
      const sealing = { passphrase, networkId, testOnlyScryptCost: testnetOnlyScryptCost };
      await (await NodeStore.open({ dir: nodeDir, ...sealing })).close();
      const connectorSeed = seedOf('connector', index);
      const grant = grantFor(world, party, signerOf('connector', index), Date.now() + hour);
      const paths = nodePaths(nodeDir);
      await mkdir(paths.grants);
      await writeFile(paths.roster, JSON.stringify(world.keyring.envelope));
      await writeFile(join(paths.grants, 'connector.json'), JSON.stringify(grant));
      await writeFile(join(root, `grant-${index}.json`), JSON.stringify(grant));
      this.places.push({
        party,
        nodeDir,
        connectorSeed,
        grant,
        view: await LyingView.open(() => this.coordinator.url),
        node: undefined as unknown as RunningNode,
        connector: undefined as unknown as Connector,
        nodeLog: [],
        connectorLog: [],
        onConnector: () => undefined,
      });
    }
    await this.owner('alice').call('keyring_create', { roster: world.keyring.envelope });
    await this.owner('alice').call('workspace_create', { genesis: world.genesis });
    await this.startNodes();
    await this.startConnectors();
  }

  /** A client of one of the owners, straight to the real coordinator unless another address is given. */
  owner(name: string, url = this.coordinator.url, world = this.world): Client {
    return createClient({ url, networkId, signer: world.owners[name]! });
  }

  async startNodes(): Promise<void> {
    // The party with the lowest peer id dials at once: started last, it knows where all the others are.
    const peerId = ({ party }: Place): string => peerIdOfCredential(party.credential).toString();
    const peers: Record<string, string[]> = {};
    for (const place of this.places.toSorted((a, b) => (peerId(a) < peerId(b) ? 1 : -1))) {
      const index = this.places.indexOf(place);
      const name = `party-${index + 1}`;
      const listen = ['/ip4/127.0.0.1/tcp/0'];
      place.node = await startNode({
        config: resolveNodeConfig({ file: { networkId, name, listen, peers }, folder: place.nodeDir }),
        seed: seedOf('world', 'party', index),
        passphrase,
        log: (event, fields) => place.nodeLog.push({ event, fields }),
        tap: (_direction, _via, _to, bytes) => this.#onLeft(index, bytes),
      });
      peers[name] = [...place.node.addresses()];
    }
    await until(
      async () => {
        const statuses = await Promise.all(this.places.map(({ node }) => node.status()));
        return statuses.every((status) => status.peers.every(({ up }) => up));
      },
      'all nodes connected',
      60_000,
    );
  }

  async startConnectors(which: readonly Place[] = this.places, lookAgainMs = 600_000): Promise<void> {
    for (const place of which) {
      const index = this.places.indexOf(place);
      place.connector = await startConnector({
        config: parseConnectorConfig(
          {
            networkId,
            dir: join(this.root, `connector-${index}`),
            coordinator: place.view.url,
            node: place.node.addresses()[0],
            grant: join(this.root, `grant-${index}.json`),
            key: 'unused',
          },
          'test',
        ),
        seed: place.connectorSeed,
        backoff: quick,
        lookAgainMs,
        log: (event, fields) => {
          const line = { event, fields };
          place.connectorLog.push(line);
          place.onConnector(line);
        },
      });
    }
    await until(() => which.every(({ view }) => view.watchers > 0), 'all connectors watching', 60_000);
  }

  #onLeft(from: number, bytes: Uint8Array): void {
    const frame = decodeFrame(bytes);
    if (frame.type === 'propose') {
      this.#attempts.set(attemptIdOf(frame.content, networkId), frame.content.requestId);
    }
    const content = frame.content as { requestId?: string; attemptId?: string; propose?: Uint8Array };
    const inner = content.propose === undefined ? undefined : decodeFrame(content.propose);
    const requestId =
      content.requestId ??
      (inner?.type === 'propose' ? inner.content.requestId : undefined) ??
      this.#attempts.get(content.attemptId ?? '');
    this.left.push({ from, type: frame.type, requestId });
  }

  /** Shares, or what commits to one, that left any node about a request. Those of unknown attempts always count. */
  sharesOf(requestId: Hex): readonly Left[] {
    return this.left.filter(
      (message) =>
        shares.has(message.type) && (message.requestId === requestId || message.requestId === undefined),
    );
  }

  /** Proposals of a request that left any node. */
  proposalsOf(requestId: Hex): readonly Left[] {
    return this.left.filter(({ type, requestId: about }) => type === 'propose' && about === requestId);
  }

  /** Stops nodes and connectors, reads what each journal says of each request, and returns it without starting them. */
  async journals(requestIds: readonly Hex[]): Promise<readonly (readonly (string | undefined)[])[]> {
    await this.stopDaemons();
    const read = this.places.map(async ({ nodeDir }) => {
      const store = await NodeStore.open({ dir: nodeDir, passphrase, networkId });
      try {
        return await Promise.all(requestIds.map(async (id) => (await store.job(id))?.state));
      } finally {
        await store.close();
      }
    });
    return Promise.all(read);
  }

  async stopDaemons(): Promise<void> {
    await Promise.all(this.places.map(({ connector }) => connector?.stop()));
    await Promise.all(this.places.map(({ node }) => node?.stop()));
  }

  async stop(): Promise<void> {
    await this.stopDaemons();
    await Promise.all(this.places.map(({ view }) => view.stop()));
    await this.coordinator.stop();
    await rm(this.root, { recursive: true, force: true });
  }

  /** A key made by all parties. */
  async key(label = 'treasury', world = this.world): Promise<KeyView> {
    const client = this.owner('alice', undefined, world);
    const request = keyRequest(world, { label, created: Date.now() });
    await client.call('key_request', { request });
    await this.final(idOf(request), 'fulfilled', world);
    return client.call('key_get', { keyId: idOf(request) });
  }

  /** Alice asks for the key's signature of a text. */
  asks(keyId: Hex, text: string): Envelope {
    return signRequest(this.world, [{ keyId, payload: messagePayload(text) }], { created: Date.now() });
  }

  /** An approval of an hour, from now. */
  approval(requestId: Hex, name: string, options: { seq?: number; signer?: Signer } = {}): Envelope {
    return approve(this.world, requestId, name, { expires: Date.now() + hour, ...options });
  }

  /** Hands a request with these approvals to the real coordinator. */
  async submit(request: Envelope, ...decisions: readonly Envelope[]): Promise<Hex> {
    const client = this.owner('alice');
    await client.call('sign_request', { request });
    for (const decision of decisions) await client.call('action_decide', { decision });
    return idOf(request);
  }

  /** Waits until the real coordinator says that a request ended like this. */
  async final(
    requestId: Hex,
    state: 'fulfilled' | 'rejected',
    world = this.world,
    withinMs = 120_000,
  ): Promise<RequestView> {
    const client = this.owner('alice', undefined, world);
    let view: RequestView | undefined;
    await until(
      async () => {
        view = await client.call('sign_wait', { requestId, timeoutMs: 2000 });
        return view.state === 'fulfilled' || view.state === 'rejected';
      },
      () => `${requestId} ${state}; it is ${view?.state}`,
      withinMs,
    );
    if (view?.state !== state) throw new Error(`${requestId} is ${view?.state} ${view?.reason?.detail}`);
    return view;
  }
}
