// The metrics of a connector: counted from its log and from what it asks of coordinator and node, and read from its cursors
// at each scrape. Nothing here can fail a delivery: see metrics/instruments.ts.
import { heardLog, Instruments, textOf } from '../metrics/instruments.ts';
import { addProcessMetrics } from '../metrics/process.ts';
import type { Log, OnOutcome } from './outage.ts';

/** What is read at each scrape: from memory, at once. */
export interface ConnectorSources {
  readonly coordinatorReachable: () => boolean;
  readonly nodeReachable: () => boolean;
  /** Requests on their way to the node, and the last event that was read. */
  readonly deliveries: () => { readonly open: number; readonly position: number | undefined };
  /** The last event whose request is stored by the node, as it is on disk. */
  readonly eventsCursor: () => number | undefined;
  /** The last of the node's results that the coordinator has answered, as it is on disk. */
  readonly resultsCursor: () => number | undefined;
  /** By how much the coordinator's clock is ahead, in milliseconds. */
  readonly clockAheadMs: () => number | undefined;
}

export interface ConnectorMetrics {
  readonly instruments: Instruments;
  /** The connector's log, heard. */
  readonly log: Log;
  readonly onOutcome: OnOutcome;
  /** The coordinator has accepted the watch. */
  readonly onWatching: () => void;
  /** From now on scrapes read from these. */
  read(sources: ConnectorSources): void;
  stop(): void;
}

/** `now`: milliseconds since 1970. */
export function createConnectorMetrics(log: Log, now: () => number): ConnectorMetrics {
  const instruments = new Instruments('connector', (error) =>
    log('metrics.failed', { level: 'error', detail: String(error) }),
  );
  const heard = logCounters(instruments);
  const asked = instruments.counter<'peer' | 'operation' | 'code'>({
    name: 'calls_total',
    labels: ['peer', 'operation', 'code'],
    meaning:
      'What was asked of `coordinator` and `node`, by operation, with the code of its failure, or `ok`.',
    worry: 'codes other than `ok` grow: unreachable, or a grant that ran out (`expired`, `forbidden`).',
  });
  const watches = instruments.counter({
    name: 'watches_opened_total',
    meaning:
      "Times that the coordinator accepted the watch over the keyring's events: the first, and each reconnect.",
    worry: 'it grows quickly: the connection to the coordinator breaks again and again.',
  });
  let sources: ConnectorSources | undefined;
  let beat: number | undefined;
  addGauges(
    instruments,
    () => sources,
    () => beat,
  );
  const stop = addProcessMetrics(instruments);
  return {
    instruments,
    stop,
    log: heardLog(instruments, log, (event, fields) => heard.get(event)?.(fields)),
    onOutcome: (peer, operation, code) => {
      if (operation === 'heartbeat' && code === 'ok') beat = now();
      asked.add({ peer, operation, code });
    },
    onWatching: () => watches.add({}),
    read: (given) => {
      sources = given;
    },
  };
}

/** What is counted from log lines, by event. */
function logCounters(
  instruments: Instruments,
): ReadonlyMap<string, (fields: Readonly<Record<string, unknown>>) => void> {
  const deliveries = instruments.counter<'outcome' | 'code'>({
    name: 'deliveries_total',
    labels: ['outcome', 'code'],
    meaning:
      'Requests handed to the node: `forwarded` with the state it gave them, `delayed` or `skipped` with the reason.',
    worry: '`skipped` grows: the node refuses what the coordinator holds to be pending.',
  });
  const received = instruments.counter({
    name: 'results_received_total',
    meaning: "The node's results that came to be submitted, some of them again.",
    worry: 'it grows while results_submitted_total does not: the coordinator is unreachable.',
  });
  const submitted = instruments.counter<'outcome' | 'code'>({
    name: 'results_submitted_total',
    labels: ['outcome', 'code'],
    meaning:
      'Results that the coordinator answered for good: `counted`, `known` (counted before, or too late), or `skipped` with the reason.',
    worry: '`skipped` with `conflicting_result` or `bad_signature`: look at the node at once.',
  });
  const ended = instruments.counter({
    name: 'watches_ended_total',
    meaning: "Times that the watch over the keyring's events broke off.",
    worry: 'it grows quickly: the connection to the coordinator breaks again and again.',
  });
  const rewound = instruments.counter({
    name: 'coordinator_rewinds_total',
    meaning: 'Times that the coordinator had fewer events than before.',
    worry: 'there is any: it was restored from a backup, or is another one.',
  });
  return new Map<string, (fields: Readonly<Record<string, unknown>>) => void>([
    [
      'request.forwarded',
      ({ nodeState }) => deliveries.add({ outcome: 'forwarded', code: textOf(nodeState) }),
    ],
    ['request.delayed', ({ code }) => deliveries.add({ outcome: 'delayed', code: textOf(code) })],
    ['request.skipped', ({ code }) => deliveries.add({ outcome: 'skipped', code: textOf(code) })],
    ['result.received', () => received.add({})],
    [
      'result.submitted',
      ({ counted }) => submitted.add({ outcome: counted === true ? 'counted' : 'known', code: 'none' }),
    ],
    ['result.skipped', ({ code }) => submitted.add({ outcome: 'skipped', code: textOf(code) })],
    ['watch.ended', () => ended.add({})],
    ['coordinator.rewound', () => rewound.add({})],
  ]);
}

function addGauges(
  instruments: Instruments,
  sources: () => ConnectorSources | undefined,
  lastBeat: () => number | undefined,
): void {
  instruments.gauge(
    {
      name: 'coordinator_reachable',
      meaning: 'Whether the coordinator answered everything that was last asked of it: 1 or 0.',
      worry: 'it is 0 for minutes: this party sees no requests, and its results count nowhere.',
    },
    (set) => set(sources()?.coordinatorReachable() ? 1 : 0, {}),
  );
  instruments.gauge(
    {
      name: 'node_reachable',
      meaning: 'Whether the node answered everything that was last asked of it: 1 or 0.',
      worry: 'it is 0 for minutes: the node is down, or does not admit this connector.',
    },
    (set) => set(sources()?.nodeReachable() ? 1 : 0, {}),
  );
  instruments.gauge(
    {
      name: 'open_deliveries',
      meaning: 'Requests on their way to the node.',
      worry: 'it stays above 0: the node puts requests off or is away. 1,000 are the most.',
    },
    (set) => {
      const state = sources()?.deliveries();
      if (state) set(state.open, {});
    },
  );
  instruments.gauge(
    {
      name: 'cursor_lag_events',
      meaning: 'Events that were read from the coordinator and are not yet settled with the node, on disk.',
      worry: 'it grows: the node does not take requests.',
    },
    (set) => {
      const position = sources()?.deliveries().position;
      if (position !== undefined) set(Math.max(0, position - (sources()?.eventsCursor() ?? 0)), {});
    },
  );
  instruments.gauge<'of'>(
    {
      name: 'cursor_position',
      labels: ['of'],
      meaning:
        "How far this connector has come, on disk: sequence of the keyring's `events`, and of the node's `results`.",
      worry: 'it stands still while there is news.',
    },
    (set) => {
      for (const [of, sequence] of [
        ['events', sources()?.eventsCursor()],
        ['results', sources()?.resultsCursor()],
      ] as const)
        if (sequence !== undefined) set(sequence, { of });
    },
  );
  instruments.gauge(
    {
      name: 'last_heartbeat_seconds',
      meaning: 'When the coordinator last took a heartbeat, in seconds since 1970; absent before the first.',
      worry: 'it is more than a minute ago.',
    },
    (set) => {
      const at = lastBeat();
      if (at !== undefined) set(at / 1000, {});
    },
  );
  instruments.gauge(
    {
      name: 'coordinator_clock_ahead_seconds',
      meaning:
        "By how much the coordinator's clock is ahead of this machine's; absent before its first answer.",
      worry: 'it is beyond 30 s, either way: signed calls allow 60 s.',
    },
    (set) => {
      const ahead = sources()?.clockAheadMs();
      if (ahead !== undefined) set(ahead / 1000, {});
    },
  );
}
