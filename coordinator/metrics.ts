// The metrics of a coordinator: counted from its service, its server and its store as they tell, and read from what it
// holds at each scrape. Nothing here can fail a call: see metrics/instruments.ts.
import { Instruments, longBuckets, textOf } from '../metrics/instruments.ts';
import { addProcessMetrics } from '../metrics/process.ts';
import type { RpcObserver, ServiceObserver, WebhookObserver } from './observer.ts';
import type { Presence } from './registry.ts';
import type { Counted } from './request-census.ts';
import type { RpcLoad } from './rpc/server.ts';
import type { StoredRequest } from './state/request.ts';
import type { OnWrite } from './store/timed.ts';

type Log = (event: string, fields: Record<string, unknown>) => void;

/** What is read at each scrape: from memory, at once. */
export interface CoordinatorSources {
  readonly load: () => RpcLoad;
  readonly presence: () => readonly Presence[];
  /** Every request of the store; undefined until they are all counted. */
  readonly requests: () => readonly (readonly [Counted, number])[] | undefined;
  /** Of each webhook the age of the oldest event that was not taken yet, in milliseconds. */
  readonly webhooks?: () => readonly { readonly name: string; readonly ageMs: number }[];
}

export interface CoordinatorMetrics {
  readonly instruments: Instruments;
  readonly service: ServiceObserver;
  readonly rpc: RpcObserver;
  readonly webhooks: WebhookObserver;
  readonly onWrite: OnWrite;
  /** From now on scrapes read from these. */
  read(sources: CoordinatorSources): void;
  stop(): void;
}

/** `now`: milliseconds since 1970. */
export function createCoordinatorMetrics(log: Log, now: () => number): CoordinatorMetrics {
  const instruments = new Instruments('coordinator', (error) =>
    log('metrics.failed', { level: 'error', detail: String(error) }),
  );
  const started = now();
  let sources: CoordinatorSources | undefined;
  addGauges(instruments, () => sources, now, started);
  const stop = addProcessMetrics(instruments);
  const { service, swept } = serviceCounters(instruments);
  return {
    instruments,
    stop,
    service: {
      changed: (request, before) => {
        instruments.attempt(() => service(request, before));
      },
      swept: (outcome, ms) => swept.observe({ outcome }, ms / 1000),
    },
    rpc: rpcCounters(instruments),
    onWrite: storeTimes(instruments),
    webhooks: webhookCounters(instruments),
    read: (given) => {
      sources = given;
    },
  };
}

function serviceCounters(instruments: Instruments) {
  const transitions = instruments.counter<'kind' | 'state' | 'reason'>({
    name: 'request_transitions_total',
    labels: ['kind', 'state', 'reason'],
    meaning: 'Requests that came into a state: key or sign, and the reason of a rejection.',
    worry: '`rejected` with `mpc_timeout` or `parties` grows: the parties do not sign what was approved.',
  });
  const fulfilled = instruments.histogram<'kind'>(
    {
      name: 'request_fulfilled_seconds',
      labels: ['kind'],
      meaning: 'Time from receiving a request to its fulfilment, approvals awaited meanwhile included.',
      worry: 'it rises while approvals come as before.',
    },
    longBuckets,
  );
  const results = instruments.counter<'kind'>({
    name: 'results_counted_total',
    labels: ['kind'],
    meaning: "Parties' results that were counted, by kind of request.",
    worry: 'it stands still while requests are pending.',
  });
  const conflicts = instruments.counter({
    name: 'results_conflicting_total',
    meaning: 'Results that contradict what the same party said before; the first one stands.',
    worry: 'there is any: that party, or a copy of its folder, is not to be trusted.',
  });
  const swept = instruments.histogram<'outcome'>({
    name: 'sweep_duration_seconds',
    labels: ['outcome'],
    meaning:
      'Time of each sweep, once a second: it ends requests whose time is over, and forgets old events.',
    worry: 'there are any with `failed`, or there are no more sweeps at all.',
  });
  const service = (request: StoredRequest, before: StoredRequest | undefined): void => {
    const { kind, state, reason, created, updated } = request;
    results.add({ kind }, request.results.length - (before?.results.length ?? 0));
    conflicts.add({}, request.conflicts.length - (before?.conflicts.length ?? 0));
    if (before?.state === state) return;
    transitions.add({ kind, state, reason: textOf(reason?.code) });
    if (state === 'fulfilled') fulfilled.observe({ kind }, (updated - created) / 1000);
  };
  return { service, swept };
}

function rpcCounters(instruments: Instruments): RpcObserver {
  const calls = instruments.histogram<'method' | 'code'>({
    name: 'rpc_duration_seconds',
    labels: ['method', 'code'],
    meaning:
      'Calls by method and error code (`ok` without one), with their duration. `sign_wait` waits for as long as it was asked to.',
    worry:
      '`internal_error` or `unavailable` at any time: the log has the reference. Durations above a second.',
  });
  const refused = instruments.counter<'code'>({
    name: 'http_refusals_total',
    labels: ['code'],
    meaning:
      'HTTP requests that were refused before they were calls: rate limits, malformed bodies, event streams denied.',
    worry: '`rate_limited` grows: a caller asks too much, or the limits are too low for a proxy in front.',
  });
  const connections = instruments.counter({
    name: 'connections_refused_total',
    meaning: 'Connections closed at once because all, or those of one address, were too many.',
    worry: 'there is any: raise `limits.connections`, or find who opens them.',
  });
  return {
    called: (method, code, ms) => calls.observe({ method, code }, ms / 1000),
    refused: (code) => refused.add({ code }),
    connectionRefused: () => connections.add({}),
  };
}

function storeTimes(instruments: Instruments): OnWrite {
  const writes = instruments.histogram<'what' | 'outcome'>({
    name: 'store_write_seconds',
    labels: ['what', 'outcome'],
    meaning:
      'Durable writes of the store: commits by what they store, and `trim` of old events; `conflict` was tried again.',
    worry: '`failed` at any time: restart with a healthy disk. Above 0.1 s: the disk is too slow.',
  });
  return (what, outcome, ms) => writes.observe({ what, outcome }, ms / 1000);
}

function webhookCounters(instruments: Instruments): WebhookObserver {
  const deliveries = instruments.counter<'webhook' | 'outcome'>({
    name: 'webhook_deliveries_total',
    labels: ['webhook', 'outcome'],
    meaning:
      'Attempts to deliver to a webhook by outcome: `delivered`, `refused`, `timeout`, `unreachable`, `gone`. Beside them `dropped` (given up after three days) and `lost` (forgotten by the store before).',
    worry: '`dropped`, `lost` or `gone` at any time; the others while nothing is delivered.',
  });
  return { attempted: (webhook, outcome) => deliveries.add({ webhook, outcome }) };
}

function addGauges(
  instruments: Instruments,
  sources: () => CoordinatorSources | undefined,
  now: () => number,
  started: number,
): void {
  instruments.gauge<'kind' | 'state' | 'reason'>(
    {
      name: 'requests',
      labels: ['kind', 'state', 'reason'],
      meaning:
        'Requests in the store by kind, state and reason of rejection. Absent until all of them were counted once.',
      worry: '`pending` grows while the parties are present.',
    },
    (set) => {
      for (const [{ kind, state, reason }, count] of sources()?.requests() ?? [])
        set(count, { kind, state, reason: textOf(reason) });
    },
  );
  instruments.gauge<'keyring' | 'party'>(
    {
      name: 'party_silent_seconds',
      labels: ['keyring', 'party'],
      meaning:
        "Time since a party's connector was last heard of; since this process started, if it never was.",
      worry: 'it is above 60: the connector is down or cannot reach the coordinator.',
    },
    (set) => {
      for (const { keyringId, name, seen } of sources()?.presence() ?? [])
        set((now() - (seen ?? started)) / 1000, { keyring: keyringId, party: name });
    },
  );
  instruments.gauge<'keyring' | 'party'>(
    {
      name: 'party_node_up',
      labels: ['keyring', 'party'],
      meaning: "Whether a party's connector said, when it was last heard of, that its node answers: 1 or 0.",
      worry: 'it is 0. Fewer than the threshold of nodes up: nothing can be signed.',
    },
    (set) => {
      for (const { keyringId, name, nodeUp } of sources()?.presence() ?? [])
        set(nodeUp ? 1 : 0, { keyring: keyringId, party: name });
    },
  );
  instruments.gauge<'webhook'>(
    {
      name: 'webhook_backlog_seconds',
      labels: ['webhook'],
      meaning: 'Age of the oldest event that the receiver of a webhook has not taken yet; 0 without one.',
      worry: 'it is above 300: the receiver is down, or refuses what it gets. The log has the reason.',
    },
    (set) => {
      for (const { name, ageMs } of sources()?.webhooks?.() ?? []) set(ageMs / 1000, { webhook: name });
    },
  );
  const held = (name: string, meaning: string, worry: string, of: (load: RpcLoad) => number): void => {
    instruments.gauge({ name, meaning, worry }, (set) => {
      const load = sources()?.load();
      if (load) set(of(load), {});
    });
  };
  held(
    'open_connections',
    'Open connections, those that wait or stream included.',
    'it nears `limits.connections`.',
    ({ connections }) => connections,
  );
  held(
    'open_event_streams',
    'Open event streams; every connector holds one.',
    'it is below the number of connectors that should be there, or nears `limits.streams`.',
    ({ streams }) => streams,
  );
  held(
    'open_http_requests',
    'HTTP requests being answered, waiting calls and streams included.',
    'it grows without end.',
    ({ answering }) => answering,
  );
  held(
    'held_body_bytes',
    'Bytes of request bodies in memory.',
    'it stays near `limits.heldBytes`: calls are refused then.',
    ({ bodyBytes }) => bodyBytes,
  );
}
