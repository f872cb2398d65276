// The metrics of a node: counted from its log, its sessions and its workers as they tell, and read from what it knows of its
// peers and its work at each scrape. Nothing here can fail a session: see metrics/instruments.ts.
import { heardLog, Instruments, textOf } from '../metrics/instruments.ts';
import { addProcessMetrics } from '../metrics/process.ts';
import { judgeClocks } from './clocks.ts';
import { logCounters } from './log-metrics.ts';
import type { Network, PeerStatus } from './network/network.ts';
import { measuredClocks } from './peers.ts';
import type { SessionObserver } from './sessions/context.ts';
import type { PairState } from './sessions/pairs/gate.ts';
import type { Sessions } from './sessions/sessions.ts';
import type { TaskTimes } from './work/pool.ts';
import { type WorkClass, workClasses } from './work/queue.ts';
import type { WorkStatus } from './work/work.ts';

type Log = (event: string, fields: Record<string, unknown>) => void;

/** What is read at each scrape: from memory, at once. */
export interface NodeSources {
  readonly network: Pick<Network, 'peers'>;
  readonly sessions: Pick<Sessions, 'counts' | 'resting'>;
  readonly work: { status(): WorkStatus };
  readonly paused: () => boolean;
  readonly bundles: () => number;
  /** The state of the pair with each other party. */
  readonly pairs?: () => readonly PairState[];
  /** Keys in the store at the start. */
  readonly keys: { readonly active: number; readonly pending: number };
}

export interface NodeMetrics {
  readonly instruments: Instruments;
  /** The node's log, heard. */
  readonly log: Log;
  readonly observer: SessionObserver;
  readonly onTask: (times: TaskTimes) => void;
  /** From now on scrapes read from these. */
  read(sources: NodeSources): void;
  stop(): void;
}

/** `names`: of the parties, by credential. */
export function createNodeMetrics(log: Log, names: ReadonlyMap<string, string>): NodeMetrics {
  const instruments = new Instruments('node', (error) =>
    log('metrics.failed', { level: 'error', detail: String(error) }),
  );
  // Who is no party of the keyring has no name here: strangers come and go.
  const nameOf = (party: unknown): string => names.get(String(party)) ?? 'stranger';
  const keys = { active: 0, pending: 0 };
  const count = logCounters(instruments, nameOf, keys);
  const { judged, rejected, stepped, waited, took } = observations(instruments);
  let sources: NodeSources | undefined;
  gauges(instruments, nameOf, () => sources, keys);
  const stop = addProcessMetrics(instruments);
  return {
    instruments,
    stop,
    log: heardLog(instruments, log, (event, fields) => count.get(event)?.(fields)),
    read: (given) => {
      sources = given;
      keys.active += given.keys.active;
      keys.pending += given.keys.pending;
    },
    observer: {
      rejected: (party, code) => rejected.add({ party: nameOf(party), code }),
      judged: (source, verdict, reason) => {
        const from = source === 'connector' ? source : nameOf(source);
        judged.add({ source: from, verdict, reason: textOf(reason) });
      },
      stepped: (purpose, step, ms) => stepped.observe({ purpose, step }, ms / 1000),
    },
    onTask: ({ workClass, waitedMs, tookMs }) => {
      waited.observe({ class: workClass }, waitedMs / 1000);
      took.observe({ class: workClass }, tookMs / 1000);
    },
  };
}

function observations(instruments: Instruments) {
  return {
    rejected: instruments.counter<'party' | 'code'>({
      name: 'messages_rejected_total',
      labels: ['party', 'code'],
      meaning:
        'Messages of a party that were refused, by reason; `flooded` is admission dropping what is too much.',
      worry: 'a party has many: its software is of another version, or it is hostile. `flooded` at any time.',
    }),
    judged: instruments.counter<'source' | 'verdict' | 'reason'>({
      name: 'evidence_verdicts_total',
      labels: ['source', 'verdict', 'reason'],
      meaning:
        'Evidence that was verified here, by who brought it (a party, or `connector`), verdict and reason.',
      worry: '`refused` with `bad_evidence`: somebody forges requests, or the coordinator alters them.',
    }),
    stepped: instruments.histogram<'purpose' | 'step'>({
      name: 'round_duration_seconds',
      labels: ['purpose', 'step'],
      meaning:
        'Time of each part of an attempt: `accept`, until its START, and the rounds, each from this party sending its part.',
      worry: 'a round nears roundDeadlineMs (15 s): a slow party or network makes attempts fail.',
    }),
    waited: instruments.histogram<'class'>({
      name: 'work_wait_seconds',
      labels: ['class'],
      meaning: 'Time that a task waited for a worker thread, by class.',
      worry: '`signing` waits for more than a second: configure more `workers`, or a faster machine.',
    }),
    took: instruments.histogram<'class'>({
      name: 'work_duration_seconds',
      labels: ['class'],
      meaning: 'Time from a worker thread beginning a task to its answer, interruptions included.',
      worry: 'it rises without a change of what is signed: the machine is overloaded.',
    }),
  };
}

function gauges(
  instruments: Instruments,
  nameOf: (party: unknown) => string,
  sources: () => NodeSources | undefined,
  keys: { readonly active: number; readonly pending: number },
): void {
  const peers = (): readonly PeerStatus[] => sources()?.network.peers() ?? [];
  instruments.gauge<'party'>(
    {
      name: 'peer_up',
      labels: ['party'],
      meaning: 'Whether the channel to a party is up: 1 or 0.',
      worry: 'it is 0 for minutes. Below the threshold of parties, this one included, nothing can be signed.',
    },
    (set) => {
      for (const { key, up } of peers()) set(up ? 1 : 0, { party: nameOf(key) });
    },
  );
  instruments.gauge<'party'>(
    {
      name: 'peer_queued_bytes',
      labels: ['party'],
      meaning: 'Bytes for a party that it has not acknowledged; 16 MiB is the most.',
      worry: 'it stays above 1 MiB: the party or the way to it is slow.',
    },
    (set) => {
      for (const { key, queuedBytes } of peers()) set(queuedBytes, { party: nameOf(key) });
    },
  );
  instruments.gauge<'party'>(
    {
      name: 'peer_clock_ahead_seconds',
      labels: ['party'],
      meaning: "By how much a party's clock is ahead of this node's; there is none while it is down.",
      worry: 'it is beyond 30 s, either way: one of the two clocks is wrong.',
    },
    (set) => {
      for (const { party, aheadMs } of measuredClocks(peers())) set(aheadMs / 1000, { party: nameOf(party) });
    },
  );
  instruments.gauge(
    {
      name: 'clock_behind_seconds',
      meaning: "By how much this node's clock is behind most peers' (negative: ahead); 0 within 30 s.",
      worry: "it is not 0: set this machine's clock.",
    },
    (set) => set((judgeClocks(measuredClocks(peers())).own ?? 0) / 1000, {}),
  );
  instruments.gauge(
    {
      name: 'paused',
      meaning: 'Whether the operator has paused this node: 1 or 0.',
      worry: 'it is 1 and nobody is working on the node: it signs nothing.',
    },
    (set) => set(sources()?.paused() ? 1 : 0, {}),
  );
  instruments.gauge<'state'>(
    {
      name: 'open_requests',
      labels: ['state'],
      meaning: 'Requests without a result here: `authorised`, or `waiting` for approvals.',
      worry: '`authorised` grows while parties are up; 10,000 open ones are the most.',
    },
    (set) => {
      const { authorised, waiting } = sources()?.sessions.counts() ?? { authorised: 0, waiting: 0 };
      set(authorised, { state: 'authorised' });
      set(waiting, { state: 'waiting' });
    },
  );
  instruments.gauge(
    {
      name: 'open_attempts',
      meaning: 'Attempts that this party takes part in at the moment.',
      worry: 'it stays high while no results are stored.',
    },
    (set) => set(sources()?.sessions.counts().attempts ?? 0, {}),
  );
  instruments.gauge(
    {
      name: 'admission_waiting_messages',
      meaning: "Messages that wait because their sender has used up its share of this node's time.",
      worry: 'it is above 0 for long: a party sends more than it may.',
    },
    (set) => set(sources()?.sessions.resting ?? 0, {}),
  );
  instruments.gauge<'state'>(
    {
      name: 'worker_threads',
      labels: ['state'],
      meaning: 'Worker threads that are `ready`, and how many of them are `busy`.',
      worry: 'none is ready, or all are busy all the time.',
    },
    (set) => {
      const { workers, busy } = sources()?.work.status() ?? { workers: 0, busy: 0 };
      set(workers, { state: 'ready' });
      set(busy, { state: 'busy' });
    },
  );
  instruments.gauge<'class'>(
    {
      name: 'work_queued_tasks',
      labels: ['class'],
      meaning: 'Tasks that wait for a worker thread, by class.',
      worry: '`signing` is above 0 for long.',
    },
    (set) => {
      const queued: Partial<Record<WorkClass, number>> = sources()?.work.status().queued ?? {};
      for (const workClass of workClasses) set(queued[workClass] ?? 0, { class: workClass });
    },
  );
  instruments.gauge(
    {
      name: 'blame_bundles',
      meaning: "Proofs of other parties' faults in the blame folder, those of earlier runs included.",
      worry: 'it is not 0: verify them with `countersign blame verify`, and talk to that party.',
    },
    (set) => set(sources()?.bundles() ?? 0, {}),
  );
  instruments.gauge<'state'>(
    {
      name: 'pairs',
      labels: ['state'],
      meaning:
        'Other parties by their pair with this one: its setup is `ready` or `missing`, or it is `banned`.',
      worry: 'any is `banned`: read why in `node status`. `missing` for long: the two are not connected.',
    },
    (set) => {
      const states = sources()?.pairs?.();
      if (states === undefined) return;
      for (const state of ['ready', 'missing', 'banned'] as const)
        set(states.filter((each) => each === state).length, { state });
    },
  );
  instruments.gauge<'state'>(
    {
      name: 'keys',
      labels: ['state'],
      meaning:
        "Keys that this party has a share of: `active`, or `pending` until all parties' confirmations are here.",
      worry: '`pending` is not 0 for long: a party keeps its confirmation back, or is away.',
    },
    (set) => {
      if (sources() === undefined) return;
      set(keys.active, { state: 'active' });
      set(keys.pending, { state: 'pending' });
    },
  );
}
