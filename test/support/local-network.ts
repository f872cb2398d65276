// A real network for tests: coordinator, nodes and connectors as processes of the test build, brought up as the local
// testnet brings them up; each can be killed, stopped and started again on its folder, and its log read.
import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import { openIdentity } from '../../client/identity/identity.ts';
import {
  buildDecision,
  buildKeyRequest,
  type KeyRequestOptions,
  buildSignRequest,
} from '../../client/records.ts';
import { type Client, createClient } from '../../client/rpc-client.ts';
import type { CommandContext } from '../../cli/context.ts';
import { bootstrap, newNetworkId, type NodeSettings, type TestNetwork } from '../../cli/testnet/bootstrap.ts';
import { createLayout, type Layout } from '../../cli/testnet/layout.ts';
import { readLogLine } from '../../cli/testnet/log-tail.ts';
import { cleanEnvironment, peopleContext } from '../../cli/testnet/operators.ts';
import { type DaemonSpec, Processes } from '../../cli/testnet/processes.ts';
import { nodePaths } from '../../node/config.ts';
import { callControl } from '../../node/control.ts';
import type { NodeStatus } from '../../node/main.ts';
import { type Hex, toHex } from '../../protocol/hex.ts';
import type { KeyType } from '../../protocol/keys/key-type.ts';
import type { Payload } from '../../protocol/payloads/payload.ts';
import { ed25519Signer, type Signer } from '../../protocol/records/envelope.ts';
import { openWorkspace, type Workspace } from '../../protocol/records/workspace.ts';
import { asRequest, type RequestView } from '../../protocol/rpc.ts';
import { testBuild } from './test-build.ts';
import { until } from './until.ts';

/** As it is installed. */
export const builtCommand = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface LogLine {
  readonly process: string;
  readonly event: string;
  /** RFC 3339. */
  readonly at: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface LocalNetworkOptions {
  /** The built command; default: that of the test build. */
  readonly entry?: string;
  /** Default: one of its own. */
  readonly networkId?: string;
  /** Of every node's configuration. */
  readonly settings?: NodeSettings;
  /** Variables of all processes while the network is brought up. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Variables of a process that is started again. */
  readonly environmentOf?: (name: string) => Readonly<Record<string, string>>;
  /** Whether a process may end by itself now. */
  readonly mayEnd?: (name: string) => boolean;
}

export interface Owner {
  readonly name: string;
  readonly signer: Signer;
  readonly client: Client;
}

export class LocalNetwork {
  readonly layout: Layout;
  readonly network: TestNetwork;
  readonly owners: Readonly<Record<'alice' | 'bob' | 'carol', Owner>>;
  /** In whose state requests are made and decided. */
  workspace: Workspace;
  /** Of operators and owners, for commands. */
  readonly people: CommandContext;
  readonly #processes: Processes;
  readonly #specs: ReadonlyMap<string, DaemonSpec>;
  readonly #losses: Error[];
  readonly #stopping: AbortController;
  readonly #options: LocalNetworkOptions;

  private constructor(
    layout: Layout,
    network: TestNetwork,
    owners: LocalNetwork['owners'],
    workspace: Workspace,
    people: CommandContext,
    processes: Processes,
    losses: Error[],
    stopping: AbortController,
    options: LocalNetworkOptions,
  ) {
    this.layout = layout;
    this.network = network;
    this.owners = owners;
    this.workspace = workspace;
    this.people = people;
    this.#processes = processes;
    this.#losses = losses;
    this.#stopping = stopping;
    this.#options = options;
    this.#specs = new Map(specsOf(layout).map((spec) => [spec.name, spec]));
  }

  static async start(parties = 3, threshold = 2, own: LocalNetworkOptions = {}): Promise<LocalNetwork> {
    if (!existsSync(builtCommand)) throw new Error('build first: npm run build');
    const { entry = (await testBuild()).command, mayEnd = () => false } = own;
    const layout = await createLayout(undefined, parties);
    const losses: Error[] = [];
    const environment = { ...cleanEnvironment(process.env), ...own.environment };
    const onLoss = (error: Error): void => {
      const [name = ''] = error.message.split(' ');
      if (!mayEnd(name)) losses.push(error);
    };
    const processes = new Processes({ environment, entry: [entry], onLoss });
    const stopping = new AbortController();
    try {
      const context = {
        environment,
        stdin: new PassThrough() as unknown as typeof process.stdin,
        stdout: { write: () => undefined },
        stderr: { write: () => undefined },
        now: Date.now,
        signal: stopping.signal,
      };
      const people = peopleContext(context, layout, stopping.signal);
      const abort = (error: unknown): void => stopping.abort(error);
      const settings = own.settings ?? {};
      const onStarted = async (): Promise<void> => undefined;
      const options = { people, layout, threshold, processes, settings, abort, onStarted };
      const network = await bootstrap(options, own.networkId ?? newNetworkId());
      const open = async (name: string): Promise<Owner> => {
        const path = join(layout.home, 'identities', `${name}.json`);
        const signer = ed25519Signer((await openIdentity(path, layout.passphrase)).seed);
        const client = createClient({ url: network.coordinator, networkId: network.networkId, signer });
        return { name, signer, client };
      };
      const owners = { alice: await open('alice'), bob: await open('bob'), carol: await open('carol') };
      const { log } = await owners.alice.client.call('workspace_get', { workspaceId: network.workspaceId });
      const workspace = openWorkspace(log, network.networkId);
      return new LocalNetwork(layout, network, owners, workspace, people, processes, losses, stopping, own);
    } catch (error) {
      await processes.stopAll();
      await rm(layout.root, { recursive: true, force: true });
      throw error;
    }
  }

  /** Pids of what runs. */
  get pids(): readonly number[] {
    return this.#processes.list().map(({ pid }) => pid);
  }

  /** kill -9. */
  async kill(name: string): Promise<void> {
    await this.#processes.kill(name);
  }

  /** Ends a process in order, as its operator does. */
  async end(name: string): Promise<void> {
    await this.#processes.kill(name, 'SIGTERM');
  }

  /** Starts a process that was killed again, on the folder it left. */
  async restart(name: string): Promise<void> {
    const spec = this.#specs.get(name);
    if (spec === undefined) throw new Error(`no process ${name}`);
    const environment = this.#options.environmentOf?.(name) ?? {};
    await this.#processes.start({ ...spec, environment }, this.#stopping.signal);
  }

  /** Every process, the coordinator first. */
  get names(): readonly string[] {
    return [...this.#specs.keys()];
  }

  runs(name: string): boolean {
    return this.#processes.list().some((daemon) => daemon.name === name);
  }

  /** Everything a process has logged, over all its runs. */
  async log(name: string): Promise<readonly LogLine[]> {
    const text = await readFile(this.layout.logOf(name), 'utf8');
    return text.split('\n').flatMap((line) => readLogLine(name, line) ?? []);
  }

  /** Waits until a process has logged such an event about a request. */
  async logged(
    name: string,
    event: string,
    requestId: Hex,
    more: (fields: LogLine['fields']) => boolean = () => true,
  ) {
    const about = (line: LogLine): boolean =>
      line.event === event &&
      (line.fields['requestId'] === requestId || line.fields['keyId'] === requestId) &&
      more(line.fields);
    await until(
      async () => (await this.log(name)).some(about),
      `${event} of ${requestId} in the log of ${name}`,
      60_000,
    );
  }

  async requestKey(
    label = 'treasury',
    wanted: KeyType | Partial<Pick<KeyRequestOptions, 'keyType' | 'origin' | 'policy'>> = {},
  ): Promise<Hex> {
    const more = typeof wanted === 'string' ? { keyType: wanted } : wanted;
    const { signer, client } = this.owners.alice;
    const { id, envelope } = buildKeyRequest(
      {
        networkId: this.network.networkId,
        workspace: this.workspace,
        keyringId: this.network.keyringId,
        keyType: 'ed25519',
        label,
        ...more,
      },
      signer,
    );
    await client.call('key_request', { request: envelope });
    return id;
  }

  async requestSignature(keyId: Hex, what: string | Payload, workspace = this.workspace): Promise<Hex> {
    const payload: Payload =
      typeof what === 'string' ? { kind: 'message', data: toHex(new TextEncoder().encode(what)) } : what;
    return this.#request(keyId, [payload], workspace);
  }

  /** One request of all payloads. */
  async requestSignatures(keyId: Hex, ...payloads: readonly Payload[]): Promise<Hex> {
    return this.#request(keyId, payloads, this.workspace);
  }

  async #request(keyId: Hex, payloads: readonly Payload[], workspace: Workspace): Promise<Hex> {
    const { signer, client } = this.owners.alice;
    const items = payloads.map((payload) => ({ keyId, payload }));
    const { id, envelope } = buildSignRequest(
      { networkId: this.network.networkId, workspace, items },
      signer,
    );
    await client.call('sign_request', { request: envelope });
    return id;
  }

  async decide(
    requestId: Hex,
    owner: keyof LocalNetwork['owners'],
    decision: 'approve' | 'reject',
  ): Promise<RequestView> {
    const { signer, client } = this.owners[owner];
    const { decisions } = await client.call('sign_get', { requestId });
    const { envelope } = buildDecision(
      {
        networkId: this.network.networkId,
        workspace: this.workspace,
        subject: requestId,
        decision,
        decisions,
      },
      signer,
    );
    return asRequest(await client.call('action_decide', { decision: envelope }));
  }

  /** Waits until a request is final, as an owner sees it. */
  async final(requestId: Hex, withinMs = 90_000, client = this.owners.alice.client): Promise<RequestView> {
    let view: RequestView | undefined;
    const isFinal = async (): Promise<boolean> => {
      view = await client.call('sign_wait', { requestId, timeoutMs: 5000 }).catch(() => undefined);
      return view?.state === 'fulfilled' || view?.state === 'rejected';
    };
    await until(isFinal, () => `${requestId} final; it is ${view?.state}`, withinMs).catch(
      async (error: Error) => {
        throw new Error(`${error.message}\n${await this.#lastOf(requestId)}`, { cause: error });
      },
    );
    return view as RequestView;
  }

  /** What each process logged last, and last about a request: for a test that fails. */
  async #lastOf(requestId: Hex): Promise<string> {
    const told = this.names.map(async (name) => {
      const lines = await this.log(name);
      const isAbout = ({ fields }: LogLine): boolean => JSON.stringify(fields).includes(requestId);
      const last = [...lines.filter(isAbout).slice(-12), ...lines.slice(-6)];
      return last.map(
        ({ at, event, fields }) => `${name} ${at} ${event} ${JSON.stringify(fields).slice(0, 300)}`,
      );
    });
    return (await Promise.all(told)).flat().join('\n');
  }

  /** What a running node says of itself, as `countersign node status` shows it. */
  async status(node: string): Promise<NodeStatus> {
    const place = this.layout.parties.find((party) => party.node === node);
    if (place === undefined) throw new Error(`no node ${node}`);
    return (await callControl(place.nodeDir, 'status')) as NodeStatus;
  }

  /** Waits until the pair setups of these nodes with each other are there; of all nodes that run when none are named. */
  async pairsReady(names: readonly string[] = this.nodes.filter((name) => this.runs(name))): Promise<void> {
    const parties = this.layout.parties.filter(({ node }) => names.includes(node)).map(({ name }) => name);
    const last = new Map<string, string>();
    const isReady = async (node: string): Promise<boolean> => {
      const { name: own, pairs = [] } = await this.status(node);
      last.set(own, pairs.map(({ name, state }) => `${name} ${state}`).join(', '));
      return pairs.every(({ name, state }) => state === 'ready' || !parties.includes(name));
    };
    await until(
      async () => (await Promise.all(names.map(isReady))).every(Boolean),
      () => `pair setups of ${[...last].map(([own, states]) => `${own}: ${states}`).join('; ')}`,
      120_000,
    );
  }

  /** Writes into a node's configuration, for its next start. */
  async configure(node: string, settings: NodeSettings): Promise<void> {
    const place = this.layout.parties.find((party) => party.node === node);
    if (place === undefined) throw new Error(`no node ${node}`);
    const path = nodePaths(place.nodeDir).config;
    const before = parse(await readFile(path, 'utf8')) as Record<string, unknown>;
    await writeFile(path, stringify({ ...before, ...settings }));
  }

  get nodes(): readonly string[] {
    return this.layout.parties.map(({ node }) => node);
  }

  async view(requestId: Hex): Promise<RequestView> {
    return this.owners.alice.client.call('sign_get', { requestId });
  }

  /** Stops everything and removes the folder. Throws when a process had ended by itself. */
  async stop(): Promise<void> {
    await this.#processes.stopAll();
    await rm(this.layout.root, { recursive: true, force: true });
    if (this.#losses[0]) throw this.#losses[0];
  }
}

function specsOf(layout: Layout): DaemonSpec[] {
  const passphrase = ['--passphrase-file', layout.passphraseFile];
  const coordinator: DaemonSpec = {
    name: 'coordinator',
    kind: 'coordinator',
    arguments: ['coordinator', 'start', '--config', layout.coordinatorConfig],
    log: layout.logOf('coordinator'),
    ready: join(layout.coordinatorDir, 'ready.json'),
  };
  const parties = layout.parties.flatMap(({ node, nodeDir, connector, connectorDir }): DaemonSpec[] => [
    {
      name: node,
      kind: 'node',
      arguments: ['node', 'start', '--dir', nodeDir, ...passphrase],
      log: layout.logOf(node),
      ready: nodePaths(nodeDir).ready,
    },
    {
      name: connector,
      kind: 'connector',
      arguments: ['connector', 'start', '--dir', connectorDir, ...passphrase],
      log: layout.logOf(connector),
      ready: join(connectorDir, 'ready.json'),
    },
  ]);
  return [coordinator, ...parties];
}
