// The shared parts of the metrics: instruments that never fail their users, the server, and the counts beside a store.
import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { parseConnectorConfig } from '../../connector/config.ts';
import { Outage } from '../../connector/outage.ts';
import { parseCoordinatorConfig } from '../../coordinator/config.ts';
import { RequestCensus } from '../../coordinator/request-census.ts';
import type { StoredRequest } from '../../coordinator/state/request.ts';
import { MemoryStore } from '../../coordinator/store/memory.ts';
import { Conflict, type JsonValue } from '../../coordinator/store/store.ts';
import { timedStore } from '../../coordinator/store/timed.ts';
import { heardLog, Instruments, maxLabelValues } from '../../metrics/instruments.ts';
import { parseMetricsAddress } from '../../metrics/listen.ts';
import { maxConnections, MetricsError, serveMetrics, startMetricsServer } from '../../metrics/server.ts';
import { resolveNodeConfig } from '../../node/config.ts';
import { createNodeMetrics } from '../../node/metrics.ts';
import { parseExposition, valueOf } from '../support/exposition.ts';
import { until } from '../support/until.ts';

const words = { meaning: 'What it means.', worry: 'never.' };
const quiet = (): void => undefined;

describe('instruments', () => {
  it('count, and serve what Prometheus reads', async () => {
    const instruments = new Instruments('node', quiet);
    instruments.counter<'a'>({ name: 'x_total', labels: ['a'], ...words }).add({ a: 'q"\\\n' }, 2);
    instruments.gauge({ name: 'y', ...words }, (set) => set(-1.5, {}));
    const spread = instruments.histogram<'a'>({ name: 'z_seconds', labels: ['a'], ...words }, [1, 2]);
    for (const value of [0.5, 1.5, 9, Number.NaN]) spread.observe({ a: 'b' }, value);
    let total = 5;
    instruments.total({ name: 'w_total', ...words }, () => total);
    const read = async () => parseExposition(await instruments.text());
    const families = await read();
    assert.equal(valueOf(families, 'countersign_node_x_total', { a: 'q"\\\n' }), 2);
    assert.equal(valueOf(families, 'countersign_node_y'), -1.5);
    assert.equal(valueOf(families, 'countersign_node_z_seconds_count', { a: 'b' }), 3);
    assert.equal(valueOf(families, 'countersign_node_z_seconds_bucket', { le: '2' }), 2);
    assert.equal(valueOf(families, 'countersign_node_w_total'), 5);
    total = 7;
    assert.equal(valueOf(await read(), 'countersign_node_w_total'), 7);
    assert.equal(families.get('countersign_node_y')?.help, 'What it means. Worry when never.');
  });

  it('never throw: what fails is counted, told once, and leaves no half of itself', async () => {
    const told: unknown[] = [];
    const instruments = new Instruments('connector', (error) => {
      told.push(error);
      throw new Error('and the log fails too');
    });
    const counter = instruments.counter<'a'>({ name: 'x_total', labels: ['a'], ...words });
    counter.add({ a: 'b' }, -1); // A counter does not go back.
    counter.add({ b: 'c' } as never);
    instruments.gauge<'a'>({ name: 'y', labels: ['a'], ...words }, (set) => {
      set(1, { a: 'half' });
      throw new Error('the source is gone');
    });
    instruments.total({ name: 'z_total', ...words }, () => {
      throw new Error('the source is gone');
    });
    const log = heardLog(
      instruments,
      (event) => void told.push(event),
      () => {
        throw new Error('a listener fails');
      },
    );
    assert.doesNotThrow(() => log('some.event', {}));
    const families = parseExposition(await instruments.text());
    assert.equal(families.get('countersign_connector_y')?.samples.length, 0);
    // The gauge and the total fail while the failures are read already, so at the next scrape they are all there.
    const again = parseExposition(await instruments.text());
    assert.ok((valueOf(again, 'countersign_connector_metrics_failures_total') ?? 0) >= 5);
    assert.equal(told.length, 2);
    assert.equal(told[1], 'some.event');
  });

  it('shows no number where nothing was measured, or where reading failed, also without labels', async () => {
    const instruments = new Instruments('connector', quiet);
    let read = (set: (value: number, labels: object) => void): void => void set;
    instruments.gauge({ name: 'y', ...words }, (set) => read(set));
    const shown = async () =>
      parseExposition(await instruments.text())
        .get('countersign_connector_y')
        ?.samples.map(({ value }) => value);
    assert.deepEqual(await shown(), []);
    read = (set) => set(0, {});
    assert.deepEqual(await shown(), [0]);
    read = (set) => set(Number.NaN, {});
    assert.deepEqual(await shown(), []);
    read = (set) => {
      set(1, {});
      throw new Error('the source is gone');
    };
    assert.deepEqual(await shown(), []);
  });

  it('bound their labels, whatever comes', async () => {
    const instruments = new Instruments('coordinator', quiet);
    const counter = instruments.counter<'a'>({ name: 'x_total', labels: ['a'], ...words });
    for (let index = 0; index < maxLabelValues + 50; index += 1) counter.add({ a: `value ${index}` });
    counter.add({ a: 'long'.repeat(1000) });
    counter.add({ a: 'value 7' });
    const family = parseExposition(await instruments.text()).get('countersign_coordinator_x_total');
    assert.equal(family?.samples.length, maxLabelValues + 1);
    assert.equal(family.samples.find(({ labels }) => labels['a'] === 'other')?.value, 51);
    assert.equal(family.samples.find(({ labels }) => labels['a'] === 'value 7')?.value, 2);
  });

  it('of a node give strangers no name, and stay up when its network fails', async () => {
    const metrics = createNodeMetrics(quiet, new Map([['ed25519:0xaa', 'acme']]));
    try {
      metrics.log('peer.up', { peer: 'ed25519:0xaa' });
      for (let index = 0; index < 500; index += 1) metrics.log('peer.up', { peer: `ed25519:0x${index}` });
      metrics.observer.judged('connector', 'refused', 'policy_denied');
      metrics.observer.rejected('ed25519:0xaa', 'flooded');
      metrics.onTask({ workClass: 'signing', waitedMs: 30, tookMs: 2 });
      metrics.read({
        network: {
          peers: () => {
            throw new Error('no network');
          },
        },
        sessions: { counts: () => ({ authorised: 1, waiting: 2, attempts: 3 }), resting: 4 },
        work: {
          status: () => ({
            workers: 1,
            busy: 0,
            queued: { signing: 5, evidence: 0, 'key-generation': 0, presigning: 0 },
          }),
        },
        paused: () => true,
        bundles: () => 6,
        keys: { active: 7, pending: 0 },
      });
      const families = parseExposition(await metrics.instruments.text());
      const value = (name: string, labels = {}): number | undefined =>
        valueOf(families, `countersign_node_${name}`, labels);
      assert.equal(value('peer_connections_total', { party: 'acme' }), 1);
      assert.equal(value('peer_connections_total', { party: 'stranger' }), 500);
      assert.equal(value('evidence_verdicts_total', { source: 'connector', reason: 'policy_denied' }), 1);
      assert.equal(value('messages_rejected_total', { party: 'acme', code: 'flooded' }), 1);
      assert.equal(value('work_wait_seconds_bucket', { class: 'signing', le: '0.025' }), 0);
      assert.equal(value('work_wait_seconds_bucket', { class: 'signing', le: '0.05' }), 1);
      assert.equal(value('peer_up'), undefined);
      assert.equal(value('open_requests', { state: 'waiting' }), 2);
      assert.equal(value('admission_waiting_messages'), 4);
      assert.equal(value('work_queued_tasks', { class: 'signing' }), 5);
      assert.equal(value('paused'), 1);
      assert.equal(value('blame_bundles'), 6);
      assert.equal(value('keys', { state: 'active' }), 7);
    } finally {
      metrics.stop();
    }
  });
});

describe('the strict reader of the exposition format', () => {
  it('takes nothing that is not in the format', () => {
    const head = '# HELP a_b B.\n# TYPE a_b counter\n';
    parseExposition(`${head}a_b{c="d"} 1\n`);
    for (const bad of [
      `${head}a_b 1`,
      'a_b 1\n',
      '# TYPE a_b counter\na_b 1\n',
      `${head}a_c 1\n`,
      `${head}a_b x\n`,
      `${head}a_b{c=d} 1\n`,
      `${head}a_b{c="d",c="e"} 1\n`,
      `${head}a_b 1\na_b 2\n`,
      `${head}a_b -1\n`,
      `${head}${head}`,
      '# HELP h H.\n# TYPE h histogram\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n',
      '# HELP h H.\n# TYPE h histogram\nh_bucket{le="1"} 1\nh_sum 1\nh_count 1\n',
    ])
      assert.throws(() => parseExposition(bad), Error, bad);
  });
});

describe('metrics.listen', () => {
  it('is an IP address or localhost, with a port', () => {
    assert.deepEqual(parseMetricsAddress('127.0.0.1:9464'), { host: '127.0.0.1', port: 9464 });
    assert.deepEqual(parseMetricsAddress('localhost:0'), { host: '127.0.0.1', port: 0 });
    assert.deepEqual(parseMetricsAddress('[::1]:1'), { host: '::1', port: 1 });
    for (const bad of [
      '',
      ':9464',
      '9464',
      '127.0.0.1',
      '127.0.0.1:',
      '127.0.0.1:65536',
      'a.example:1',
      '::1:1',
    ])
      assert.equal(parseMetricsAddress(bad), undefined, bad);
    for (const bad of ['[127.0.0.1]:1', '[::1]', '127.0.0.1:-1', '127.0.0.1:1x', 'http://127.0.0.1:1'])
      assert.equal(parseMetricsAddress(bad), undefined, bad);
  });

  it('is off in every process, and a closed part of each configuration', () => {
    const node = { networkId: 'my-network', name: 'acme' };
    const coordinator = { networkId: 'my-network', dir: 'd', listen: { port: 0 } };
    const connector = {
      networkId: 'my-network',
      dir: 'd',
      coordinator: 'https://c.example',
      node: '/ip4/127.0.0.1/tcp/4151/p2p/12D3KooWBhMbLvQKgVBTHnkqAkBvtdMCQwzhQ3L4UpKgvTzWUJCP',
      grant: 'g',
      key: 'k',
    };
    const read = (metrics: unknown) => [
      resolveNodeConfig({ file: { ...node, ...(metrics as object) }, folder: '/' }).metrics,
      parseCoordinatorConfig({ ...coordinator, ...(metrics as object) }).metrics,
      parseConnectorConfig({ ...connector, ...(metrics as object) }, 'c').metrics,
    ];
    assert.deepEqual(read({}), [undefined, undefined, undefined]);
    const on = { listen: '127.0.0.1:9464' };
    assert.deepEqual(read({ metrics: on }), [on, on, on]);
    const wrong = /metrics(\.listen)?: .*expected an IP address or localhost, and a port/;
    const metrics = { listen: 'nowhere' };
    assert.throws(() => resolveNodeConfig({ file: { ...node, metrics }, folder: '/' }), wrong);
    assert.throws(() => parseCoordinatorConfig({ ...coordinator, metrics }), wrong);
    assert.throws(() => parseConnectorConfig({ ...connector, metrics }, 'c'), wrong);
    const more = { metrics: { ...on, path: '/' } };
    assert.throws(
      () => resolveNodeConfig({ file: { ...node, ...more }, folder: '/' }),
      /unknown key "path"; allowed are: listen/,
    );
    const from = (environment: Record<string, string>, flags = {}) =>
      resolveNodeConfig({ file: { ...node, metrics: on }, folder: '/', environment, flags }).metrics?.listen;
    assert.equal(from({ COUNTERSIGN_NODE_METRICS_LISTEN: '127.0.0.1:2' }), '127.0.0.1:2');
    assert.equal(
      from({ COUNTERSIGN_NODE_METRICS_LISTEN: '127.0.0.1:2' }, { metrics: { listen: '127.0.0.1:3' } }),
      '127.0.0.1:3',
    );
  });
});

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

function ask(url: string, method = 'GET', body?: string, agent: Agent | false = false): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { method, agent }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => (text += part));
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text });
      });
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

describe('the metrics server', () => {
  it('answers GET /metrics, and nothing else', async () => {
    const server = await startMetricsServer({ listen: '127.0.0.1:0', text: async () => 'a 1\n' });
    try {
      assert.match(server.url, /^http:\/\/127\.0\.0\.1:[1-9][0-9]*\/metrics$/);
      const { status, headers, body } = await ask(server.url);
      assert.deepEqual([status, body], [200, 'a 1\n']);
      assert.equal(headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
      const other = new URL(server.url);
      for (const path of ['/', '/metric', '/metrics/', '/metrics/..', '/health', '//metrics'])
        assert.equal((await ask(`${other.origin}${path}`)).status, 404, path);
      for (const method of ['POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS'])
        assert.equal(
          (await ask(server.url, method, method === 'POST' ? 'x'.repeat(1e5) : undefined)).status,
          405,
        );
      assert.equal((await ask(`${server.url}?a=b`)).status, 200);
    } finally {
      await server.stop();
    }
    await assert.rejects(ask(server.url), { code: 'ECONNREFUSED' });
  });

  it('makes one text for all who ask meanwhile, and survives one that cannot be made', async () => {
    let made = 0;
    let release: (text: string) => void = quiet;
    const server = await startMetricsServer({
      listen: '[::1]:0',
      text: () => {
        made += 1;
        return made === 1
          ? new Promise((resolve) => (release = resolve))
          : Promise.reject(new Error('secret'));
      },
    });
    try {
      const asked = [ask(server.url), ask(server.url), ask(server.url)];
      await until(() => made === 1, 'the first is being made');
      // The others have no other way to be seen than that nothing more is made for them.
      const closed = ask(server.url.replace('/metrics', '/'));
      assert.equal((await closed).status, 404);
      release('b 2\n');
      for (const { status, body } of await Promise.all(asked)) {
        // One that came late is the next scrape.
        if (status === 200) assert.equal(body, 'b 2\n');
        else assert.equal(status, 500);
      }
      const { status, body } = await ask(server.url);
      assert.equal(status, 500);
      assert.doesNotMatch(body, /secret/);
    } finally {
      await server.stop();
    }
  });

  it('takes a bounded number of connections, cuts garbage, and stops with connections open', async () => {
    const server = await startMetricsServer({ listen: '127.0.0.1:0', text: async () => 'a 1\n' });
    const port = Number(new URL(server.url).port);
    const open = Array.from({ length: maxConnections + 8 }, () => {
      const socket = connect(port, '127.0.0.1');
      const state = { socket, closed: false };
      socket.on('error', quiet).on('close', () => (state.closed = true));
      return state;
    });
    try {
      await until(() => open.filter(({ closed }) => closed).length === 8, 'eight are turned away');
      const [first, second] = open.filter(({ closed }) => !closed);
      first?.socket.write('no http at all\r\n\r\n');
      second?.socket.write(`GET /metrics HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`);
      await until(() => first?.closed === true && second?.closed === true, 'garbage is cut');
    } finally {
      await server.stop();
    }
    await until(() => open.every(({ closed }) => closed), 'all are closed');
  });

  it('answers one request of a connection at a time, and cuts who asks ahead', async () => {
    let made = 0;
    const server = await startMetricsServer({
      listen: '127.0.0.1:0',
      text: async () => {
        made += 1;
        return 'a 1\n';
      },
    });
    const port = Number(new URL(server.url).port);
    try {
      const socket = connect(port, '127.0.0.1');
      let answers = '';
      let closed = false;
      socket.on('error', quiet).on('close', () => (closed = true));
      socket.on('data', (chunk) => (answers += chunk));
      socket.write('GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n'.repeat(1000));
      await until(() => closed, 'the connection is cut');
      assert.ok(
        made <= 1 && answers.split('HTTP/1.1').length <= 2,
        `${made} texts, ${answers.length} characters`,
      );
      // One after the other is what scrapers do.
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      try {
        for (let count = 0; count < 20; count += 1)
          assert.equal((await ask(server.url, 'GET', undefined, agent)).status, 200);
      } finally {
        agent.destroy();
      }
    } finally {
      await server.stop();
    }
  });

  it('closes connections on which nothing is asked when a scraper finds no room', async () => {
    const server = await startMetricsServer({ listen: '127.0.0.1:0', text: async () => 'a 1\n' });
    const port = Number(new URL(server.url).port);
    const states = Array.from({ length: maxConnections }, () => {
      const state = { socket: connect(port, '127.0.0.1'), closed: false, answered: false };
      state.socket.on('error', quiet).on('close', () => (state.closed = true));
      state.socket.on('data', () => (state.answered = true));
      state.socket.write('GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n');
      return state;
    });
    try {
      await until(() => states.every(({ answered }) => answered), 'all have their answer');
      let status = 0;
      const scrape = (): void => void ask(server.url).then((answer) => (status = answer.status), quiet);
      await until(() => {
        if (status === 0) scrape();
        return status !== 0;
      }, 'a scraper is let in');
      assert.equal(status, 200);
      assert.ok(states.some(({ closed }) => closed));
    } finally {
      await server.stop();
    }
  });

  it('says why it cannot listen, and leaves the process without', async () => {
    const first = await startMetricsServer({ listen: '127.0.0.1:0', text: async () => '' });
    try {
      const taken = `127.0.0.1:${new URL(first.url).port}`;
      await assert.rejects(startMetricsServer({ listen: taken, text: async () => '' }), (error) => {
        assert.ok(error instanceof MetricsError && error.code === 'not_listening');
        assert.match(error.message, /EADDRINUSE.*metrics\.listen/);
        return true;
      });
      await assert.rejects(startMetricsServer({ listen: 'x', text: async () => '' }), {
        code: 'bad_address',
      });
      const lines: unknown[] = [];
      const log = (event: string, fields: Record<string, unknown>): void =>
        void lines.push([event, fields.level]);
      assert.equal(await serveMetrics({ listen: taken, text: async () => '', log }), undefined);
      assert.deepEqual(lines, [['metrics.failed', 'error']]);
    } finally {
      await first.stop();
    }
  });
});

describe('the census of requests', () => {
  const stored = (index: number, state: string): StoredRequest =>
    ({
      requestId: `0x${String(index).padStart(4, '0')}`,
      kind: 'sign',
      state,
      ...(state === 'rejected' && { reason: { code: 'cancelled', detail: '' } }),
    }) as unknown as StoredRequest;

  it('counts every request once, whatever is committed meanwhile', async () => {
    const store = new MemoryStore();
    const put = async (request: StoredRequest): Promise<void> => {
      const key = `request/${request.requestId}`;
      await store.commit({ put: [{ key, value: request as unknown as JsonValue }] });
    };
    for (let index = 0; index < 250; index += 1) await put(stored(index, 'pending'));
    let pages = 0;
    const census: RequestCensus = new RequestCensus({
      scan: async (prefix, after, limit) => {
        pages += 1;
        const change = async (index: number, state: string, before: string | undefined): Promise<void> => {
          await put(stored(index, state));
          census.changed(stored(index, state), before === undefined ? undefined : stored(index, before));
        };
        // Before the page is read, and while it is on its way: one behind, one within and one beyond the page, and new ones.
        if (pages === 2) {
          await change(10, 'fulfilled', 'pending');
          await change(150, 'rejected', 'pending');
        }
        const page = await store.scan(prefix, after, limit);
        if (pages === 2) {
          await change(11, 'fulfilled', 'pending');
          await change(160, 'fulfilled', 'pending');
          await change(240, 'fulfilled', 'pending');
        }
        if (pages === 3) await change(900, 'partial', undefined);
        return page;
      },
    });
    assert.equal(census.complete, false);
    await census.count(new AbortController().signal);
    assert.ok(census.complete && pages === 3, String(pages));
    census.changed(stored(901, 'partial'), undefined);
    census.changed(stored(901, 'rejected'), stored(901, 'partial'));
    const counts = Object.fromEntries(
      census.counts().map(([{ state, reason }, count]) => [`${state} ${reason}`.trim(), count]),
    );
    assert.deepEqual(counts, { pending: 245, fulfilled: 4, 'rejected cancelled': 2, partial: 1 });
  });

  it('ends early when it is told to', async () => {
    const store = new MemoryStore();
    const stop = new AbortController();
    stop.abort();
    const census = new RequestCensus(store);
    await census.count(stop.signal);
    assert.equal(census.complete, false);
  });
});

describe('a timed store', () => {
  it('tells what was written and how it ended, and is the store otherwise', async () => {
    const told: string[] = [];
    const store = timedStore(new MemoryStore(), (what, outcome, ms) => {
      assert.ok(ms >= 0);
      told.push(`${what} ${outcome}`);
    });
    assert.deepEqual(
      await store.commit({
        what: 'result',
        put: [{ key: 'a', value: 1 }],
        append: [{ stream: 's', event: 1 }],
      }),
      [1],
    );
    const conflict = await store.commit({ what: 'result', expect: [{ key: 'a', version: 0 }] });
    assert.ok(conflict instanceof Conflict);
    await assert.rejects(store.commit({ put: [{ key: 'NOT A KEY', value: 1 }] }), { code: 'invalid' });
    await store.trim('s', 2);
    assert.equal((await store.get('a'))?.value, 1);
    assert.equal((await store.scan('', undefined, 5)).length, 1);
    assert.equal(await store.last('s'), 1);
    assert.deepEqual(await store.read('s', 1, 5), []);
    await store.close();
    assert.deepEqual(told, ['result stored', 'result conflict', 'other failed', 'trim stored']);
  });
});

describe("a connector's view of its peers", () => {
  it('is reachable once something worked and nothing fails; every outcome is told', () => {
    const told: string[] = [];
    const node = new Outage(
      'node',
      quiet,
      (peer, operation, code) => void told.push(`${peer} ${operation} ${code}`),
    );
    assert.equal(node.reachable, false);
    node.worked('status');
    assert.equal(node.reachable, true);
    node.failed('deliver', { code: 'unreachable', detail: '' });
    node.failed('deliver', { code: 'unreachable', detail: '' });
    assert.equal(node.reachable, false);
    node.worked('deliver');
    assert.equal(node.reachable, true);
    const expected = ['status ok', 'deliver unreachable', 'deliver unreachable', 'deliver ok'];
    assert.deepEqual(
      told,
      expected.map((each) => `node ${each}`),
    );
  });
});
