// What a node's metrics count from its log: each event that matters to an operator in numbers.
import { type Instruments, longBuckets, secondsOf, textOf } from '../metrics/instruments.ts';

type Counters = ReadonlyMap<string, (fields: Record<string, unknown>) => void>;

/**
 * Adds what is counted from log lines; returns by event who hears its fields. `nameOf`: a party's name; `keys` is kept up.
 */
export function logCounters(
  instruments: Instruments,
  nameOf: (party: unknown) => string,
  keys: { active: number; pending: number },
): Counters {
  const proposed = instruments.counter({
    name: 'attempts_proposed_total',
    meaning: 'Attempts that this party proposed as leader.',
    worry: 'it grows much faster than results are stored: attempts fail and are made again.',
  });
  const started = instruments.counter({
    name: 'sessions_started_total',
    meaning: 'Sessions of the threshold protocol that this party took part in.',
    worry: 'it stands still while requests are open and authorised.',
  });
  const ended = instruments.counter<'outcome' | 'code'>({
    name: 'sessions_ended_total',
    labels: ['outcome', 'code'],
    meaning:
      'Attempts that ended: `signed`, `confirmed` (a key share), or `aborted` with the abort code; `none` without one.',
    worry: '`aborted` outnumbers the others. Codes that name a culprit come with a blame bundle.',
  });
  const attempt = instruments.histogram<'outcome'>({
    name: 'attempt_duration_seconds',
    labels: ['outcome'],
    meaning:
      'Time from accepting an attempt to its output: a signature (`signed`) or a key share (`confirmed`).',
    worry: 'it doubles: look at the rounds, the work queue and the peers.',
  });
  const results = instruments.counter<'kind' | 'code'>({
    name: 'results_stored_total',
    labels: ['kind', 'code'],
    meaning: "This party's own results: `signatures`, `key`, or `refusal` with its code.",
    worry: '`refusal` grows: requests run out before they are signed, or are not authorised.',
  });
  const request = instruments.histogram<'kind'>(
    {
      name: 'request_duration_seconds',
      labels: ['kind'],
      meaning: 'Time from taking a request up to its result here, approvals awaited meanwhile included.',
      worry: 'it rises while approvals come as before.',
    },
    longBuckets,
  );
  const learned = instruments.counter({
    name: 'results_learned_total',
    meaning: 'Signatures that others made without this party, verified here.',
    worry: 'this party learns far more than it signs: the others leave it out.',
  });
  const incidents = instruments.counter<'code'>({
    name: 'incidents_total',
    labels: ['code'],
    meaning: 'Things that must not happen among honest parties and are not refused messages alone.',
    worry: 'there is any: read the log line `session.incident` and the blame folder.',
  });
  const bundles = instruments.counter<'party' | 'code'>({
    name: 'blame_bundles_total',
    labels: ['party', 'code'],
    meaning: 'Proofs of a fault that were written to the blame folder, by the accused party.',
    worry: 'there is any: a party has provably broken the protocol.',
  });
  const bans = instruments.counter<'party' | 'code'>({
    name: 'pair_bans_total',
    labels: ['party', 'code'],
    meaning: 'Bans of a pair: the code of the check that failed, `incidents`, or `restored`.',
    worry:
      'there is any but `restored`: a party has cheated, or its software is defective. See operators.md.',
  });
  const destroyed = instruments.counter<'party'>({
    name: 'pair_incidents_total',
    labels: ['party'],
    meaning:
      'Pair setups that were destroyed because the verdict of a check was lost, or the two did not fit.',
    worry: 'it grows by itself: more than 20 in 24 hours with one party are a ban.',
  });
  const ups = instruments.counter<'party'>({
    name: 'peer_connections_total',
    labels: ['party'],
    meaning: 'Times that the channel to a party came up.',
    worry: 'it grows quickly: the connection breaks again and again.',
  });
  const downs = instruments.counter<'party'>({
    name: 'peer_losses_total',
    labels: ['party'],
    meaning: 'Times that the channel to a party went down.',
    worry: 'it grows quickly: the connection breaks again and again.',
  });
  const dials = instruments.counter<'party'>({
    name: 'peer_dial_failures_total',
    labels: ['party'],
    meaning: 'Failed tries to reach a party.',
    worry: 'it grows while the party says that it runs: wrong address, or a firewall.',
  });
  const unsent = instruments.counter<'party'>({
    name: 'sends_failed_total',
    labels: ['party'],
    meaning: "Messages that did not go out because the party's outbox was full.",
    worry: 'there is any: the party takes nothing, and attempts with it fail.',
  });
  const declined = instruments.counter<'party' | 'reason'>({
    name: 'proposals_declined_total',
    labels: ['party', 'reason'],
    meaning: 'Proposals of this party that another one declined, by reason.',
    worry: '`digests` or `log_head`: that party sees another workspace or request than this one.',
  });
  const gossip = instruments.counter<'party'>({
    name: 'gossip_dropped_total',
    labels: ['party'],
    meaning: 'Gossip dropped because its sender sends too much. What is in it also goes over the channels.',
    worry: 'it grows for one party only: it floods.',
  });
  const door = instruments.counter<'reason'>({
    name: 'door_refusals_total',
    labels: ['reason'],
    meaning:
      'Requests of connectors that were not let in (`not_admitted`, `busy`) or could not be answered (`failed`).',
    worry: '`not_admitted`: a connector has no valid grant. `busy` grows: a connector asks too much.',
  });
  const refused = instruments.counter<'what'>({
    name: 'connections_refused_total',
    labels: ['what'],
    meaning:
      'Connections, streams and peers that were refused or left idle: strangers, or peers of another epoch.',
    worry: 'it grows quickly: somebody probes this node, or a party has another roster.',
  });
  const workers = instruments.counter({
    name: 'workers_lost_total',
    meaning: 'Worker threads that ended by themselves and were replaced.',
    worry: 'there is any: too little memory, or a defect to report.',
  });
  const suppressed = instruments.counter<'party'>({
    name: 'log_lines_suppressed_total',
    labels: ['party'],
    meaning: "Log lines about a party's messages that were left out because there were too many.",
    worry: 'there is any: the party floods this node.',
  });
  const left = (fields: Record<string, unknown>): void => {
    if (typeof fields.suppressed === 'number')
      suppressed.add({ party: nameOf(fields.peer) }, fields.suppressed);
  };
  const output = (outcome: 'signed' | 'confirmed') => (fields: Record<string, unknown>) => {
    ended.add({ outcome, code: 'none' });
    attempt.observe({ outcome }, secondsOf(fields.ms));
  };
  return new Map<string, (fields: Record<string, unknown>) => void>([
    ['session.proposed', () => proposed.add({})],
    ['session.started', () => started.add({})],
    ['session.signed', output('signed')],
    [
      'session.confirmed',
      (fields) => {
        output('confirmed')(fields);
        keys.pending += 1;
      },
    ],
    ['session.derived', () => void (keys.pending += 1)],
    [
      'key.active',
      () => {
        keys.pending = Math.max(0, keys.pending - 1);
        keys.active += 1;
      },
    ],
    ['session.aborted', ({ code }) => ended.add({ outcome: 'aborted', code: textOf(code) })],
    [
      'result.stored',
      ({ kind, code, ms }) => {
        results.add({ kind: textOf(kind), code: textOf(code) });
        request.observe({ kind: textOf(kind) }, secondsOf(ms));
      },
    ],
    ['session.learned', () => learned.add({})],
    ['session.incident', ({ code }) => incidents.add({ code: textOf(code) })],
    ['blame.recorded', ({ culprit, code }) => bundles.add({ party: nameOf(culprit), code: textOf(code) })],
    ['pair.banned', ({ peer, code }) => bans.add({ party: nameOf(peer), code: textOf(code) })],
    ['pair.destroyed', ({ peer }) => destroyed.add({ party: nameOf(peer) })],
    ['peer.up', ({ peer }) => ups.add({ party: nameOf(peer) })],
    ['peer.down', ({ peer }) => downs.add({ party: nameOf(peer) })],
    ['peer.dial.failed', ({ peer }) => dials.add({ party: nameOf(peer) })],
    ['session.send_failed', ({ peer }) => unsent.add({ party: nameOf(peer) })],
    ['session.declined', ({ peer, reason }) => declined.add({ party: nameOf(peer), reason: textOf(reason) })],
    ['gossip.dropped', ({ peer }) => gossip.add({ party: nameOf(peer) })],
    [
      'gossip.flooded',
      ({ peer, dropped }) => gossip.add({ party: nameOf(peer) }, typeof dropped === 'number' ? dropped : 1),
    ],
    ['door.refused', () => door.add({ reason: 'not_admitted' })],
    ['door.busy', () => door.add({ reason: 'busy' })],
    ['door.request.failed', () => door.add({ reason: 'failed' })],
    ['connection.refused', () => refused.add({ what: 'connection' })],
    ['connection.idle', () => refused.add({ what: 'idle' })],
    ['stream.refused', () => refused.add({ what: 'stream' })],
    ['peer.refused', () => refused.add({ what: 'peer' })],
    ['work.worker_lost', () => workers.add({})],
    ['session.message_rejected', left],
    ['session.reached', left],
    ['session.messages_suppressed', left],
  ]);
}
