// The metrics of a real network: what every process serves while a key is made, a signature is made, a node and the
// coordinator are killed.
import assert from 'node:assert/strict';
import type { ProcessName } from '../../metrics/instruments.ts';
import type { Hex } from '../../protocol/hex.ts';
import { LocalNetwork } from '../support/local-network.ts';
import { definitions, rowsInDoc } from '../support/metrics-doc.ts';
import { kindOf, metricsOn, metricsUrl, scrape, untilValue } from '../support/scrape.ts';
import { documentedEvents } from '../support/logs-doc.ts';

describe('metrics of a real network', function () {
  this.timeout(240_000);
  let net: LocalNetwork;
  let keyId: Hex;

  before(async () => {
    net = await LocalNetwork.start(3, 2, { environment: metricsOn });
  });
  after(async () => {
    await net?.stop();
  });

  it('every process serves exactly the metrics that the documentation has', async () => {
    const rows = rowsInDoc();
    const urls = new Set<string>();
    for (const name of net.names) {
      const { families } = await scrape(net, name);
      const described = rows[kindOf(name)].map(
        ([metric = '', type]) => `${metric.replaceAll('`', '')} ${type}`,
      );
      assert.deepEqual(
        [...families.values()].map((family) => `${family.name} ${family.type}`).toSorted(),
        described.toSorted(),
      );
      const labels = new Map(
        definitions()[kindOf(name)].map((definition) => [definition.name, definition.labels]),
      );
      for (const family of families.values()) {
        for (const sample of family.samples) {
          const found = Object.keys(sample.labels).filter((label) => label !== 'le');
          assert.deepEqual(found.toSorted(), [...(labels.get(family.name) ?? [])].toSorted(), sample.name);
        }
      }
      urls.add(await metricsUrl(net, name));
    }
    assert.equal(urls.size, net.names.length);
  });

  it('serves nothing else there', async () => {
    for (const name of ['coordinator', 'node-1', 'connector-1']) {
      const { origin } = new URL(await metricsUrl(net, name));
      for (const path of ['/', '/health/live', '/v1/rpc'])
        assert.equal((await fetch(origin + path)).status, 404);
      assert.equal((await fetch(`${origin}/metrics`, { method: 'POST', body: '{}' })).status, 405);
    }
  });

  it('counts a key and a signature, at the coordinator, the nodes and the connectors', async () => {
    keyId = await net.requestKey();
    assert.equal((await net.final(keyId)).state, 'fulfilled');
    for (const { node } of net.layout.parties) await net.logged(node, 'key.active', keyId);
    const id = await net.requestSignature(keyId, 'pay bob');
    await net.decide(id, 'bob', 'approve');
    assert.equal((await net.final(id)).state, 'fulfilled');
    for (const { node } of net.layout.parties) await net.logged(node, 'result.stored', id);

    const coordinator = await scrape(net, 'coordinator');
    for (const kind of ['key', 'sign']) {
      const fulfilled = { kind, state: 'fulfilled', reason: 'none' };
      assert.equal(coordinator.value('requests', fulfilled), 1);
      assert.equal(coordinator.value('request_transitions_total', fulfilled), 1);
      assert.equal(coordinator.value('request_fulfilled_seconds_count', { kind }), 1);
      assert.equal(
        coordinator.value('rpc_duration_seconds_count', { method: `${kind}_request`, code: 'ok' }),
        1,
      );
      assert.ok((coordinator.value('request_fulfilled_seconds_sum', { kind }) ?? 0) > 0);
    }
    assert.equal(coordinator.value('request_transitions_total', { kind: 'sign', state: 'partial' }), 1);
    assert.equal(coordinator.value('requests', { state: 'pending' }) ?? 0, 0);
    assert.equal(coordinator.value('results_counted_total', { kind: 'key' }), 3);
    assert.ok((coordinator.value('results_counted_total', { kind: 'sign' }) ?? 0) >= 2);
    assert.equal(coordinator.value('store_write_seconds_count', { what: 'request', outcome: 'stored' }), 2);
    assert.equal(coordinator.value('store_write_seconds_count', { what: 'decision' }), 1);
    assert.ok((coordinator.value('sweep_duration_seconds_count', { outcome: 'done' }) ?? 0) > 0);
    assert.equal(coordinator.value('open_event_streams'), 3);
    assert.ok((coordinator.value('open_connections') ?? 0) >= 3);

    let [signed, learned, started] = [0, 0, 0];
    for (const { node, connector, name } of net.layout.parties) {
      const own = await scrape(net, node);
      signed += own.value('sessions_ended_total', { outcome: 'signed' }) ?? 0;
      learned += own.value('results_learned_total') ?? 0;
      started += own.value('sessions_started_total') ?? 0;
      assert.equal(own.value('sessions_ended_total', { outcome: 'confirmed', code: 'none' }), 1);
      assert.equal(own.value('keys', { state: 'active' }), 1);
      assert.equal(own.value('keys', { state: 'pending' }), 0);
      assert.equal(own.value('peer_up'), 2);
      assert.equal(own.value('peer_up', { party: name }), undefined);
      assert.ok((own.value('peer_connections_total') ?? 0) >= 2);
      for (const step of ['accept', 'round_1', 'round_2'])
        assert.ok((own.value('round_duration_seconds_count', { purpose: 'generate', step }) ?? 0) >= 1, step);
      assert.equal(own.value('attempt_duration_seconds_count', { outcome: 'confirmed' }), 1);
      assert.equal(own.value('results_stored_total', { kind: 'key' }), 1);
      assert.equal(own.value('results_stored_total', { kind: 'signatures' }), 1);
      assert.equal(own.value('request_duration_seconds_count'), 2);
      assert.ok((own.value('evidence_verdicts_total', { verdict: 'authorised' }) ?? 0) >= 2);
      assert.ok((own.value('work_wait_seconds_count', { class: 'evidence' }) ?? 0) >= 2);
      assert.ok((own.value('work_duration_seconds_sum', { class: 'key-generation' }) ?? 0) > 0);
      assert.ok((own.value('worker_threads', { state: 'ready' }) ?? 0) >= 1);
      for (const quiet of [
        'incidents_total',
        'blame_bundles_total',
        'workers_lost_total',
        'metrics_failures_total',
      ])
        assert.equal(own.value(quiet) ?? 0, 0, quiet);
      for (const none of ['paused', 'blame_bundles', 'clock_behind_seconds', 'open_requests'])
        assert.equal(own.value(none), 0, none);
      assert.ok((own.value('resident_memory_bytes') ?? 0) > 10e6);
      assert.ok((own.value('cpu_seconds_total') ?? 0) > 0);

      await untilValue(
        net,
        connector,
        'results_submitted_total',
        { outcome: 'counted' },
        (value) => value !== undefined,
      );
      const bridge = await scrape(net, connector);
      assert.ok((bridge.value('deliveries_total', { outcome: 'forwarded' }) ?? 0) >= 2);
      assert.ok(
        (bridge.value('calls_total', { peer: 'coordinator', operation: 'heartbeat', code: 'ok' }) ?? 0) >= 1,
      );
      assert.equal(bridge.value('watches_opened_total'), 1);
      assert.equal(bridge.value('coordinator_reachable'), 1);
      assert.equal(bridge.value('node_reachable'), 1);
      assert.ok(Math.abs((bridge.value('last_heartbeat_seconds') ?? 0) - Date.now() / 1000) < 60);
      assert.ok((bridge.value('cursor_position', { of: 'events' }) ?? 0) >= 1);
    }
    // Whoever has it first tells the others, who may learn it before their own session ends.
    assert.ok(signed >= 1 && started >= 3 + 2, `${signed} signed, ${started} started`);
    assert.equal(signed + learned, 3);
  });

  it('counts what is refused', async () => {
    const { alice } = net.owners;
    await assert.rejects(alice.client.call('sign_get', { requestId: `0x${'ab'.repeat(32)}` }));
    await assert.rejects(fetchRpc(net, { jsonrpc: '2.0', id: 1, method: 'no_such', params: {} }));
    assert.equal((await fetch(`${net.network.coordinator}/nowhere`)).status, 404);
    const coordinator = await scrape(net, 'coordinator');
    assert.equal(
      coordinator.value('rpc_duration_seconds_count', { method: 'sign_get', code: 'not_found' }),
      1,
    );
    assert.equal(
      coordinator.value('rpc_duration_seconds_count', { method: 'unknown', code: 'method_not_found' }),
      1,
    );
    assert.equal(coordinator.value('http_refusals_total', { code: 'not_found' }), 1);
  });

  it('shows a killed node at the others, at its connector and at the coordinator', async () => {
    const [, , third] = net.layout.parties;
    const party = third?.name ?? '';
    await net.kill('node-3');
    for (const node of ['node-1', 'node-2']) {
      await untilValue(net, node, 'peer_up', { party }, (up) => up === 0);
      const own = await scrape(net, node);
      assert.equal(own.value('peer_up'), 1);
      assert.ok((own.value('peer_losses_total', { party }) ?? 0) >= 1);
    }
    await untilValue(net, 'connector-3', 'node_reachable', {}, (reachable) => reachable === 0);
    const up = { keyring: net.network.keyringId, party };
    await untilValue(net, 'coordinator', 'party_node_up', up, (value) => value === 0);
    const coordinator = await scrape(net, 'coordinator');
    assert.equal(coordinator.value('party_node_up', { keyring: net.network.keyringId }), 2);
    // Its connector lives.
    assert.ok((coordinator.value('party_silent_seconds', up) ?? Infinity) < 60);
  });

  it('counts the store anew after the coordinator was killed, and the reconnects', async () => {
    await net.kill('coordinator');
    await untilValue(net, 'connector-1', 'coordinator_reachable', {}, (reachable) => reachable === 0);
    await net.restart('coordinator');
    await untilValue(net, 'coordinator', 'requests', { state: 'fulfilled' }, (count) => count === 2);
    const coordinator = await scrape(net, 'coordinator');
    assert.equal(coordinator.value('request_transitions_total') ?? 0, 0);
    // Known from the store: also the parties that were not heard of yet.
    assert.equal(coordinator.families.get('countersign_coordinator_party_node_up')?.samples.length, 3);
    await untilValue(net, 'connector-1', 'watches_opened_total', {}, (count) => count === 2);
    await untilValue(net, 'connector-1', 'coordinator_reachable', {}, (reachable) => reachable === 1);
  });

  it('and every line that was logged meanwhile is as docs/logs.md says', async () => {
    const documented = documentedEvents();
    const common = new Set(['level', 'time', 'pid', 'event']);
    for (const name of net.names) {
      for (const { event, fields } of await net.log(name)) {
        const row = documented.get(event);
        assert.ok(row, `${name}: ${event} is not documented`);
        for (const field of Object.keys(fields)) {
          assert.ok(row.fields.has(field) || common.has(field), `${name}: ${event} has ${field}`);
        }
        checkNames(kindOf(name), event, fields);
      }
    }
  });
});

async function fetchRpc(net: LocalNetwork, body: unknown): Promise<void> {
  const response = await fetch(`${net.network.coordinator}/v1/rpc`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const answer = (await response.json()) as { error?: { message: string } };
  if (answer.error) throw new Error(answer.error.message);
}

/** Ids and credentials stand under the names that docs/logs.md gives them. */
function checkNames(process: ProcessName, event: string, fields: Readonly<Record<string, unknown>>): void {
  const idNames =
    /^(requestId|keyId|attemptId|sessionId|resultId|setupId|decisionId|keyringId|workspaceId|bootId|id)$/;
  const partyNames = /^(peer|party|culprit|leader|connector)$/;
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value !== 'string') continue;
    if (/^(0x)?[0-9a-f]{64}$/.test(value)) assert.match(name, idNames, `${process}: ${event}`);
    if (/^ed25519:0x[0-9a-f]{64}$/.test(value)) assert.match(name, partyNames, `${process}: ${event}`);
  }
}
