// Wires the coordinator: configuration -> store -> service -> server. What starts stops, in reverse order.
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { type MetricsServer, serveMetrics } from '../metrics/server.ts';
import { makeFolder, removeLeftovers, writeAtomically } from '../storage/atomic-file.ts';
import type { CoordinatorConfig } from './config.ts';
import type { Registry } from './registry.ts';
import { ListenError } from './rpc/listen.ts';
import { createRpcServer, type RpcServer, type RpcTiming } from './rpc/server.ts';
import type { Log } from './rpc/json-rpc.ts';
import { createCoordinatorService } from './service.ts';
import { heardStore } from './store/heard.ts';
import { LevelStore } from './store/level.ts';
import { timedStore } from './store/timed.ts';
import { RequestCensus } from './request-census.ts';

export interface StartOptions {
  readonly config: CoordinatorConfig;
  readonly log: Log;
  /** Of this software, as `network_get` tells it. */
  readonly version: string;
  /** The clock, milliseconds since 1970. */
  readonly now?: () => number;
  /** Aborting it stops the coordinator. */
  readonly signal?: AbortSignal;
  readonly timing?: Partial<RpcTiming>;
}

export interface RunningCoordinator {
  readonly url: string;
  /** Returns when all that was accepted is answered and stored; again: the same promise. */
  stop(): Promise<void>;
}

const portSchema = z.strictObject({ host: z.string(), port: z.int().min(1).max(65_535) });

/** What it writes into its folder beside the store. */
const files = { port: 'port.json', ready: 'ready.json' } as const;

async function writeJson(path: string, name: string, value: unknown): Promise<void> {
  await writeAtomically(path, `${JSON.stringify(value)}\n`, { name });
}

/** The port of the last run on this host; undefined when there is none that can be read. */
async function lastPort(path: string, host: string): Promise<number | undefined> {
  try {
    const last = portSchema.parse(JSON.parse(await readFile(path, 'utf8')));
    return last.host === host ? last.port : undefined;
  } catch {
    return undefined; // Only a preference: without it a free port is taken.
  }
}

/** Listens where the configuration says; with port 0 where the last run listened, if that is still free. */
async function listen(
  create: (port: number) => RpcServer,
  configured: CoordinatorConfig['listen'],
  portFile: string,
): Promise<{ server: RpcServer; url: string }> {
  const wanted = configured.port === 0 ? await lastPort(portFile, configured.host) : configured.port;
  for (const port of configured.port === 0 && wanted !== undefined ? [wanted, 0] : [wanted ?? 0]) {
    const server = create(port);
    try {
      const bound = await server.listen();
      await writeJson(portFile, 'coordinator.port', { host: configured.host, port: bound.port });
      return { server, url: bound.url };
    } catch (error) {
      await server.close();
      const taken = error instanceof ListenError && error.code !== 'address_unavailable';
      if (!taken || configured.port !== 0 || port === 0) throw error;
    }
  }
  throw new Error('unreachable: port 0 listens or throws');
}

/** Counts, beside everything else, what metrics need to know of the store. A failure is logged: the metrics stay away. */
function countAll(census: RequestCensus, registry: Registry, log: Log): { stop(): Promise<void> } {
  const stopped = new AbortController();
  const { signal } = stopped;
  const counting = Promise.all([census.count(signal), registry.knowKeyrings(signal)]).catch(
    (error: unknown) => {
      if (!signal.aborted) log('metrics.failed', { level: 'error', detail: (error as Error).message });
    },
  );
  return {
    stop: async () => {
      stopped.abort();
      await counting;
    },
  };
}

/**
 * Starts the coordinator on its folder, which it makes with mode 0700. `ready.json` (pid, url) stands in the folder
 * while it listens; `port.json` remembers the port. Throws StoreError (`locked`: another process has the folder),
 * ListenError, or the signal's reason; nothing is left running then.
 */
export async function startCoordinator(options: StartOptions): Promise<RunningCoordinator> {
  const { config, log, version, signal, now = Date.now } = options;
  const { networkId, dir, create, limits, timeouts } = config;
  const timing: Partial<RpcTiming> = {
    headMs: timeouts.head * 1000,
    requestMs: timeouts.request * 1000,
    idleMs: timeouts.idle * 1000,
    drainMs: timeouts.drain * 1000,
    ...options.timing,
  };
  const readyFile = join(dir, files.ready);
  const undo: (() => Promise<void>)[] = [];
  let stopped: Promise<void> | undefined;
  const unwind = async (): Promise<void> => {
    const failures: unknown[] = [];
    for (const step of undo.toReversed()) await step().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw new AggregateError(failures, 'the coordinator did not stop cleanly');
  };
  const stop = (): Promise<void> => (stopped ??= unwind());

  try {
    signal?.throwIfAborted();
    // Loaded only where they are wanted; a secret that cannot be read stops the start before anything else.
    const hooks = config.webhooks && (await import('./webhooks/webhooks.ts'));
    const receivers = await hooks?.loadWebhooks(config.webhooks ?? []);
    await makeFolder(dir);
    // Loaded only where they are wanted.
    const metrics = config.metrics && (await import('./metrics.ts')).createCoordinatorMetrics(log, now);
    if (metrics) undo.push(async () => metrics.stop());
    const opened = await LevelStore.open({ folder: join(dir, 'db') });
    undo.push(() => opened.close());
    const timed = metrics ? timedStore(opened, metrics.onWrite) : opened;
    const webhooks =
      hooks &&
      receivers &&
      new hooks.Webhooks({ webhooks: receivers, store: timed, now, log, observer: metrics?.webhooks });
    const store = webhooks ? heardStore(timed, (stream) => webhooks.heard(stream)) : timed;
    const census = new RequestCensus(store);
    // The folder is ours now: a file of a run that was killed must not be taken for this one's.
    await rm(readyFile, { force: true });
    await removeLeftovers(dir, Object.values(files));
    const service = createCoordinatorService({
      store,
      networkId,
      create,
      now,
      log,
      version,
      eventsPerStream: config.retention.eventsPerStream,
      ...(metrics && {
        observer: {
          changed: (request, before) => {
            metrics.instruments.attempt(() => census.changed(request, before));
            metrics.service.changed(request, before);
          },
          swept: (outcome, ms) => metrics.service.swept(outcome, ms),
        },
      }),
    });
    if (webhooks) {
      undo.push(() => webhooks.stop());
      // Before anybody can change anything.
      await webhooks.start();
    }
    undo.push(() => service.stop());
    service.start();
    const { server, url } = await listen(
      (port) =>
        createRpcServer({
          networkId,
          service,
          store,
          now,
          log,
          limits,
          cors: config.cors,
          timing,
          host: config.listen.host,
          port,
          ...(metrics && { observer: metrics.rpc }),
        }),
      config.listen,
      join(dir, files.port),
    );
    undo.push(() => server.close());
    let served: MetricsServer | undefined;
    if (config.metrics && metrics) {
      metrics.read({
        load: () => server.load(),
        presence: () => service.registry.presence(),
        requests: () => (census.complete ? census.counts() : undefined),
        ...(webhooks && { webhooks: () => webhooks.backlog() }),
      });
      const counting = countAll(census, service.registry, log);
      undo.push(() => counting.stop());
      served = await serveMetrics({ ...config.metrics, text: () => metrics.instruments.text(), log });
      const listening = served;
      if (listening) undo.push(() => listening.stop());
    }
    signal?.throwIfAborted();
    undo.push(() => rm(readyFile, { force: true }));
    await writeJson(readyFile, 'coordinator.ready', {
      pid: process.pid,
      url,
      ...(served && { metrics: served.url }),
    });
    log('coordinator.ready', { url, networkId });
    const onAbort = (): void => {
      stop().catch((error: unknown) => log('coordinator.stop_failed', { error: String(error) }));
    };
    undo.push(async () => signal?.removeEventListener('abort', onAbort));
    if (signal?.aborted) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
    return { url, stop };
  } catch (error) {
    await stop().catch((failure: unknown) => log('coordinator.stop_failed', { error: String(failure) }));
    throw error;
  }
}
