// The connector: bridges one node to a coordinator. It watches, forwards and submits; it holds no share and no party key,
// and decides nothing. Started here, stopped here.
import { setMaxListeners } from 'node:events';
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { createClient } from '../client/rpc-client.ts';
import { ed25519Signer, type Envelope } from '../protocol/records/envelope.ts';
import { type MetricsServer, serveMetrics } from '../metrics/server.ts';
import { makeFolder, removeLeftovers, writeAtomically } from '../storage/atomic-file.ts';
import { type ConnectorConfig, openGrant } from './config.ts';
import { CoordinatorClock } from './clock.ts';
import { ConnectorError, storageError } from './connector-error.ts';
import { Cursor } from './cursor.ts';
import { createDoorClient } from './door-client.ts';
import { Forwarder } from './forward.ts';
import { beat } from './heartbeat.ts';
import { lockFolder } from './lock.ts';
import type { Door } from './node-door.ts';
import { type Log, Outage } from './outage.ts';
import { type Backoff, defaultBackoff } from './retry.ts';
import { submitResult, submitResults } from './submit.ts';

export interface ConnectorOptions {
  readonly config: ConnectorConfig;
  /** The connector's own ed25519 seed, 32 bytes: not the party's. */
  readonly seed: Uint8Array;
  readonly log: Log;
  /** Milliseconds since 1970; default: the machine's clock. */
  readonly now?: () => number;
  /** Default: the node's door over libp2p. */
  readonly door?: Door;
  readonly backoff?: Backoff;
  /** Milliseconds between heartbeats; default 5 s. */
  readonly heartbeatMs?: number;
  /** Milliseconds between two looks at everything that is pending; default 10 min. */
  readonly lookAgainMs?: number;
}

export interface Connector {
  /** Ends everything, gives the folder back, and returns. May be called more than once. */
  stop(): Promise<void>;
  /** Fulfilled after `stop`; rejects with a ConnectorError when the connector cannot go on, and has stopped. */
  readonly finished: Promise<void>;
}

const heartbeatMs = 5000;
const lookAgainMs = 600_000;

async function createFolder(dir: string): Promise<void> {
  try {
    await makeFolder(dir);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new ConnectorError('storage', `cannot create the folder ${dir} (${code})`, error);
  }
}

/**
 * Starts a connector. Coordinator and node may be away: it waits for both.
 *
 * @throws {ConnectorError} when grant, folder or cursors are not as they must be; RpcClientError or DoorClientError when
 * an address is malformed
 */
export async function startConnector(options: ConnectorOptions): Promise<Connector> {
  const { config, seed, now = Date.now, backoff = defaultBackoff } = options;
  const { networkId, dir } = config;
  const signer = ed25519Signer(seed);
  const grant = await openGrant(config.grant, signer.credential, networkId, now());
  const { keyringId } = grant.content;
  const client = createClient({ url: config.coordinator, networkId, signer, grant: grant.envelope, now });
  const door = options.door ?? createDoorClient({ privateSeed: seed, nodeAddress: config.node });
  await createFolder(dir);
  const unlock = await lockFolder(dir);
  const readyFile = join(dir, 'ready.json');
  // Loaded only where they are wanted.
  const metrics = config.metrics && (await import('./metrics.ts')).createConnectorMetrics(options.log, now);
  const log = metrics?.log ?? options.log;
  let served: MetricsServer | undefined;
  const stopping = new AbortController();
  const { signal } = stopping;
  // Loops, deliveries and calls each listen for the end.
  setMaxListeners(0, signal);
  let ready: Promise<void> | undefined;
  let doorStarted = false;

  async function release(): Promise<void> {
    await ready?.catch(() => undefined);
    await rm(readyFile, { force: true });
    if (doorStarted) await door.stop();
    await served?.stop();
    metrics?.stop();
    await unlock();
  }

  let events: Cursor;
  let results: Cursor;
  try {
    await rm(readyFile, { force: true }); // Of a process that was killed.
    events = await Cursor.open({ dir, of: 'events', networkId, keyringId });
    results = await Cursor.open({ dir, of: 'results', networkId, keyringId });
    await removeLeftovers(
      dir,
      [readyFile, events.path, results.path].map((path) => basename(path)),
    );
    doorStarted = true;
    await door.start();
  } catch (error) {
    await release();
    throw error;
  }

  const coordinator = new Outage('coordinator', log, metrics?.onOutcome);
  const node = new Outage('node', log, metrics?.onOutcome);
  const clock = new CoordinatorClock(log, now);
  const shared = { client, door, networkId, backoff, coordinator, node, log, signal };
  let failure: Error | undefined;
  const fail = (error: unknown): void => {
    if (signal.aborted) return;
    failure = error instanceof Error ? error : new Error(String(error));
    stopping.abort(error);
  };
  const onWatching = (): void => {
    metrics?.onWatching();
    if (ready) return;
    log('connector.watching', { keyringId, party: grant.content.party });
    const text = `${JSON.stringify({ pid: process.pid, ...(served && { metrics: served.url }) })}\n`;
    ready = writeAtomically(readyFile, text, { name: 'connector.ready' }).catch((error: unknown) => {
      throw storageError(readyFile, error);
    });
    ready.catch(fail);
  };
  const onResult = (result: Envelope): Promise<void> => submitResult(shared, result);
  const forwarder = new Forwarder({
    ...shared,
    keyringId,
    cursor: events,
    lookAgainMs: options.lookAgainMs ?? lookAgainMs,
    onWatching,
    onResult,
    onFatal: fail,
  });
  if (config.metrics && metrics) {
    metrics.read({
      coordinatorReachable: () => coordinator.reachable,
      nodeReachable: () => node.reachable,
      deliveries: () => forwarder.state,
      eventsCursor: () => events.sequence,
      resultsCursor: () => results.sequence,
      clockAheadMs: () => clock.aheadMs,
    });
    served = await serveMetrics({ ...config.metrics, text: () => metrics.instruments.text(), log });
  }
  const loops = [
    forwarder.run(),
    submitResults({ ...shared, cursor: results }),
    beat({
      ...shared,
      clock,
      grant: grant.content,
      intervalMs: options.heartbeatMs ?? heartbeatMs,
    }),
  ];
  for (const loop of loops) loop.catch(fail);

  const finished = (async () => {
    await Promise.allSettled(loops);
    await release();
    if (failure === undefined) return;
    log('connector.failed', { detail: failure.message });
    throw failure;
  })();
  finished.catch(() => undefined); // Whoever waits for it hears of it.

  return {
    finished,
    stop: async () => {
      stopping.abort(new DOMException('the connector stops', 'AbortError'));
      await finished.catch(() => undefined);
    },
  };
}
