// docs/logs.md against every place in the code that logs.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { levelOf } from '../../cli/log.ts';
import { eventSchema } from '../../protocol/rpc.ts';
import { callsIn, logCalls } from '../support/log-calls.ts';
import { type DocumentedEvent, documentedEvents } from '../support/logs-doc.ts';

/** Calls whose event is no literal: what passes on others' events, and events that are composed. */
const composed: Readonly<Record<string, readonly string[]>> = {
  // What is in the streams too.
  'coordinator/service.ts: type': eventSchema.options.map(({ shape }) => shape.type.value),
  "connector/outage.ts: `${this.#peer}.${refusals.has(code) ? 'refused' : 'unreachable'}`": [
    'coordinator.refused',
    'coordinator.unreachable',
    'node.refused',
    'node.unreachable',
  ],
  'connector/outage.ts: `${this.#peer}.reached`': ['coordinator.reached', 'node.reached'],
  // Their callers are found by name.
  'node/clocks.ts: event': [],
  'node/sessions/peer-log.ts: event': [],
  'node/network/party-network.ts: event': [],
  'metrics/instruments.ts: event': [],
};

describe('docs/logs.md', () => {
  const documented = documentedEvents();
  const { calls, indirect } = logCalls();
  const row = (event: string): DocumentedEvent => {
    const found = documented.get(event);
    assert.ok(found, `docs/logs.md has no row for ${event}`);
    return found;
  };

  it('knows every way to log: a new composed event needs an entry here', () => {
    const found = indirect.map(({ file, expression }) => `${file}: ${expression}`);
    assert.deepEqual([...new Set(found)].toSorted(), Object.keys(composed).toSorted());
  });

  it('has a row for every event in the code, with its process and level', () => {
    assert.ok(calls.length > 90, `${calls.length} calls were found`);
    for (const { event, process, level, file, line } of calls) {
      const { processes, level: told } = row(event);
      assert.ok(
        processes.includes(process) || processes[0] === 'all',
        `${file}:${line}: ${event} of ${process}`,
      );
      // A process may make its metrics' failure louder than its name.
      if (
        level !== undefined ||
        !['node.paused', 'node.resumed', 'clock.coordinator_differs'].includes(event)
      )
        assert.equal(told, level ?? (event === 'metrics.failed' ? 'error' : levelOf(event)), event);
    }
    for (const event of Object.values(composed).flat()) assert.equal(row(event).level, levelOf(event), event);
  });

  it('has no row for an event that is not in the code', () => {
    const known = new Set([...calls.map(({ event }) => event), ...Object.values(composed).flat()]);
    for (const event of documented.keys()) assert.ok(known.has(event), `nothing logs ${event}`);
  });

  it('has every field that stands in the code, and no other where all stand there', () => {
    for (const [event, { fields }] of documented) {
      const sites = calls.filter((call) => call.event === event);
      const standing = new Set(sites.flatMap((call) => call.fields).filter((field) => field !== 'level'));
      for (const field of standing) assert.ok(fields.has(field), `${event}: ${field} is not in docs/logs.md`);
      if (sites.length === 0 || sites.some(({ open }) => open)) continue;
      for (const field of fields) assert.ok(standing.has(field), `${event}: nothing logs ${field}`);
    }
  });

  it('names what every event is about with the same names', () => {
    const ids = /^(from|by|to|who|sender|target|credential|id_|request|attempt|session|sid|accused)$/;
    for (const { event, fields, file, line } of calls)
      for (const field of fields) assert.doesNotMatch(field, ids, `${file}:${line}: ${event}`);
    // Events about a session, a request or a key say which.
    for (const [event, { fields }] of documented) {
      const aboutPeer = ['session.messages_suppressed'].includes(event);
      if (/^(session|request|result|key|blame)\./.test(event) && !aboutPeer)
        assert.ok(fields.has('requestId'), event);
      if (/^(peer|gossip\.(dropped|flooded))/.test(event)) assert.ok(fields.has('peer'), event);
    }
  });

  it('is held against a scanner that sees', () => {
    const { calls: seen, indirect: others } = callsIn(
      [
        "const a = 'no call'; // log('not.this', {})",
        "log(up ? 'a.b' : 'a.c', { x: { y: 1, z }, w: `${f({ v: 1 })}, u`, ...rest });",
        "this.#options.log('d.e', { level: 'warn', t });",
        'this.#log(name, fields);',
        'Math.log(2);',
      ].join('\n'),
      'f.ts',
    );
    assert.deepEqual(
      seen.map(({ event, fields, open, level, line }) => [event, fields.join(' '), open, level, line]),
      [
        ['a.b', 'x w', true, undefined, 2],
        ['a.c', 'x w', true, undefined, 2],
        ['d.e', 'level t', false, 'warn', 3],
      ],
    );
    assert.deepEqual(others, [{ file: 'f.ts', line: 4, expression: 'name' }]);
  });

  it('describes the levels as the command has them', () => {
    const text = readFileSync(fileURLToPath(new URL('../../docs/logs.md', import.meta.url)), 'utf8');
    for (const level of ['debug', 'info', 'warn', 'error']) assert.ok(text.includes(`\`${level}\``), level);
  });
});
