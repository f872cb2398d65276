// Webhooks of the coordinator on a clock that stands still: what is sent, in which order, how often, and what a receiver that
// is slow, dead or hostile can do, which is nothing to anybody else.
import assert from 'node:assert/strict';
import { verifyWebhook } from '../../client/mod.ts';
import { createCoordinatorMetrics } from '../../coordinator/metrics.ts';
import { MemoryStore } from '../../coordinator/store/memory.ts';
import { type Commit, type Store, StoreError } from '../../coordinator/store/store.ts';
import { messageOf } from '../../coordinator/webhooks/message.ts';
import { defaultSchedule, delayAfter } from '../../coordinator/webhooks/schedule.ts';
import type { Webhook } from '../../coordinator/webhooks/sender.ts';
import type { Hex } from '../../protocol/hex.ts';
import { until } from '../support/until.ts';
import { idOf, webhook, webhookStart, WebhookWorld } from '../support/webhook-world.ts';

const workspace = idOf(1);
const other = idOf(2);
const seconds = 1000;
const attemptMs = 10 * seconds;
const hour = 3600 * seconds;

/** Runs `work` on started webhooks with one workspace, and stops them. */
async function withWebhooks(
  webhooks: readonly Webhook[],
  work: (at: WebhookWorld) => Promise<void>,
  store?: Store,
): Promise<void> {
  const at = new WebhookWorld(webhooks, store);
  await at.webhooks.start();
  try {
    if (store === undefined) await at.workspace(workspace);
    await work(at);
  } finally {
    await at.webhooks.stop();
  }
}

describe('a webhook tells', () => {
  it('of requests that await approvers, become pending, and end, in order, signed', async () => {
    await withWebhooks([webhook('a')], async (at) => {
      const request = await at.state(workspace, 'partial');
      await at.state(workspace, 'pending', request);
      await at.state(workspace, 'fulfilled', request);
      const refused = await at.state(workspace, 'rejected');
      await at.receives(4);
      assert.deepEqual(
        at.received.map(({ type }) => type),
        ['action.created', 'request.pending', 'request.fulfilled', 'request.rejected'],
      );
      const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
      const messages = at.received.map(({ headers, text }) =>
        verifyWebhook({ secret, headers, body: text, now: at.clock.now }),
      );
      assert.deepEqual(messages.at(-1)?.data, {
        workspaceId: workspace,
        requestId: refused,
        kind: 'sign',
        state: 'rejected',
        reason: 'approvers',
      });
      assert.equal(new Set(messages.map(({ id }) => id)).size, 4);
      for (const { headers, url } of at.received) {
        assert.equal(headers['content-type'], 'application/json');
        assert.equal(url, webhook('a').url);
      }
      assert.deepEqual(at.outcomes, Array(4).fill('a delivered'));
    });
  });

  it('of changes of the workspace', async () => {
    await withWebhooks([webhook('a')], async (at) => {
      const changeId = idOf(8);
      const changed = async (state: string, more = {}) =>
        at.append(workspace, {
          type: 'change.state',
          changeId,
          state,
          at: '2030-01-01T00:00:00.000Z',
          ...more,
        });
      await changed('partial');
      await changed('pending');
      await changed('rejected', { reason: { code: 'superseded', detail: 'words' } });
      await changed('fulfilled');
      await at.receives(3);
      assert.deepEqual(
        at.received.map(({ type }) => type),
        ['action.created', 'change.rejected', 'change.fulfilled'],
      );
      assert.deepEqual(JSON.parse(at.received[1]!.text).data, {
        workspaceId: workspace,
        changeId,
        kind: 'change',
        state: 'rejected',
        reason: 'superseded',
      });
    });
  });

  it('nothing of what people wrote, and nothing of events that it does not know', async () => {
    await withWebhooks([webhook('a')], async (at) => {
      const request = idOf(9);
      await at.append(workspace, { type: 'request.decision', requestId: request, principal: 'bob' });
      await at.append(workspace, { type: 'workspace.changed', secret: 'x' });
      await at.append(workspace, 'text');
      await at.append(workspace, { type: 'request.state', requestId: request });
      await at.state(workspace, 'delayed');
      await at.state(workspace, 'constructor');
      await at.state(workspace, 'rejected', request);
      await at.receives(1);
      await at.reaches(7, workspace, 'a');
      assert.deepEqual(at.requests(), [request]);
      assert.doesNotMatch(at.received[0]!.text, /bob|money/);
    });
  });

  it('only of the workspaces and events that it is for', async () => {
    const some = webhook('some', { workspaces: [other], events: ['request.fulfilled'] });
    await withWebhooks([some, webhook('all')], async (at) => {
      await at.workspace(other);
      await at.state(workspace, 'fulfilled');
      await at.state(other, 'partial');
      const told = await at.state(other, 'fulfilled');
      await at.receives(3, 'all.example');
      await at.receives(1, 'some.example');
      assert.deepEqual(at.requests('some.example'), [told]);
      await at.reaches(2, other, 'some');
      assert.equal(await at.store.get(`webhook/some/${workspace}`), undefined);
    });
  });

  it('with a signature of each secret', async () => {
    const secrets = [new Uint8Array(24).fill(1), new Uint8Array(64).fill(2)];
    await withWebhooks([webhook('a', { secrets })], async (at) => {
      await at.state(workspace);
      await at.receives(1);
      const { headers, text } = at.received[0]!;
      for (const bytes of secrets) {
        const secret = `whsec_${Buffer.from(bytes).toString('base64')}`;
        assert.equal(
          verifyWebhook({ secret, headers, body: text, now: at.clock.now }).type,
          'action.created',
        );
      }
    });
  });

  it('with an id that another event never has, in whatever stream and place', () => {
    const event = (more = {}) => ({
      type: 'request.state',
      requestId: idOf(5),
      kind: 'sign',
      state: 'partial',
      at: '2030-01-01T00:00:00.000Z',
      ...more,
    });
    const id = (workspaceId: Hex, sequence: number, more = {}): string =>
      messageOf(workspaceId, { sequence, event: event(more) })!.id;
    const first = id(workspace, 1);
    assert.match(first, /^evt_[0-9a-f]{40}$/);
    assert.equal(id(workspace, 1), first);
    const others = [
      id(other, 1),
      id(workspace, 2),
      // In a store that was restored another event can have the same place.
      id(workspace, 1, { requestId: idOf(6) }),
      id(workspace, 1, { state: 'pending' }),
      id(workspace, 1, { at: '2030-01-01T00:00:00.001Z' }),
    ];
    assert.equal(new Set([first, ...others]).size, 6);
  });
});

describe('a receiver that does not take a message', () => {
  it('gets it again, later and later, with the same id and body and a new time', async () => {
    await withWebhooks([webhook('a')], async (at) => {
      at.reply = () => 500;
      await at.state(workspace);
      for (const wait of [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]) {
        await at.waits(wait * seconds);
        at.clock.pass(wait * seconds - 1);
        at.clock.pass(1);
      }
      await at.receives(12);
      await at.waits(600 * seconds);
      assert.equal(at.received.length, 12);
      const [first, ...later] = at.received;
      for (const { headers, text, at: time } of later) {
        assert.equal(headers['webhook-id'], first!.headers['webhook-id']);
        assert.equal(text, first!.text);
        assert.equal(headers['webhook-timestamp'], String(time / 1000));
      }
      assert.equal(await at.store.get(`webhook/a/${workspace}`), undefined, 'its place is where it was');
      // Said once, without what the URL may hide.
      const [line, ...more] = at.logged.filter(({ event }) => event.startsWith('webhook.'));
      assert.deepEqual(line, {
        event: 'webhook.failing',
        fields: { level: 'warn', webhook: 'a', origin: 'https://a.example', reason: 'status 500' },
      });
      assert.deepEqual(more, []);
      at.reply = () => 204;
      at.clock.pass(600 * seconds);
      await at.reaches(1, workspace, 'a');
      await until(() => at.events().includes('webhook.recovered'), 'it says that all is well');
      assert.deepEqual(at.clock.waits, []);
    });
  });

  it('waits between half of the time and all of it, or as long as it asks for, within an hour', async () => {
    const at = (random: number, failures: number, asked = 0): number =>
      delayAfter({ ...defaultSchedule, random: () => random }, failures, asked);
    assert.deepEqual([at(0, 1), at(1, 1), at(0, 3), at(0.5, 3)], [1000, 2000, 4000, 6000]);
    assert.deepEqual([at(1, 1000), at(0, 1000)], [600_000, 300_000]);
    assert.deepEqual([at(1, 1, 1999), at(1, 1, 30_000), at(1, 1, 1e9)], [2000, 30_000, hour]);
    await withWebhooks([webhook('a')], async (world) => {
      world.reply = () => ({ status: 429, waitMs: 90_000 });
      await world.state(workspace);
      await world.waits(90_000);
    });
  });

  for (const status of [199, 300, 301, 302, 307, 308, 400, 401, 404, 429, 500, 503]) {
    it(`has not taken it with ${status}`, async () => {
      await withWebhooks([webhook('a')], async (at) => {
        at.reply = () => status;
        await at.state(workspace);
        await at.waits(2 * seconds);
        assert.deepEqual(at.outcomes, ['a refused']);
        assert.equal(await at.store.get(`webhook/a/${workspace}`), undefined);
      });
    });
  }

  for (const status of [200, 201, 202, 204, 299]) {
    it(`has taken it with ${status}`, async () => {
      await withWebhooks([webhook('a')], async (at) => {
        at.reply = () => status;
        await at.state(workspace);
        await at.reaches(1, workspace, 'a');
        assert.deepEqual(at.clock.waits, []);
      });
    });
  }

  it('because it cannot be reached gets it again; the log has a code, and no address', async () => {
    await withWebhooks([webhook('a')], async (at) => {
      const error = Object.assign(new Error('connect https://a.example/hook?token=hidden'), {
        code: 'ECONNREFUSED',
      });
      at.reply = () => error;
      await at.state(workspace);
      await at.waits(2 * seconds);
      assert.deepEqual(at.outcomes, ['a unreachable']);
      assert.equal(at.logged.at(-1)?.fields['reason'], 'ECONNREFUSED');
      assert.doesNotMatch(JSON.stringify(at.logged), /hidden/);
    });
  });

  it('in ten seconds is cut off, and gets it again', async () => {
    await withWebhooks([webhook('a')], async (at) => {
      let cut = false;
      at.reply = (_, signal) =>
        new Promise(() => signal.addEventListener('abort', () => void (cut = true), { once: true }));
      await at.state(workspace);
      await at.waits(attemptMs);
      at.clock.pass(attemptMs - 1);
      assert.equal(cut, false);
      at.clock.pass(1);
      await at.waits(2 * seconds);
      assert.equal(cut, true);
      assert.deepEqual(at.outcomes, ['a timeout']);
      assert.equal(at.logged.at(-1)?.fields['reason'], 'timeout');
    });
  });

  it('for three days is spared it, and gets the next one', async () => {
    await withWebhooks([webhook('a')], async (at) => {
      at.reply = () => 500;
      const given = await at.state(workspace);
      await at.waits(2 * seconds);
      at.clock.pass(72 * hour - 1);
      await at.receives(2);
      await at.waits(4 * seconds);
      assert.equal(await at.store.get(`webhook/a/${workspace}`), undefined, 'not given up yet');
      const next = await at.state(workspace);
      at.clock.pass(4 * seconds);
      await at.reaches(1, workspace, 'a');
      assert.deepEqual(at.outcomes, ['a refused', 'a refused', 'a refused', 'a dropped']);
      const { event, fields } = at.logged.at(-1)!;
      assert.deepEqual([event, fields['sequence'], fields['type']], ['webhook.dropped', 1, 'action.created']);
      at.reply = () => 204;
      await at.waits(8 * seconds);
      at.clock.pass(8 * seconds);
      await at.reaches(2, workspace, 'a');
      assert.deepEqual(at.requests(), [given, given, given, next]);
    });
  });

  it('gets what is older than three days at least once', async () => {
    const store = new MemoryStore();
    const request = idOf(77);
    await withWebhooks([webhook('a')], (at) => at.workspace(workspace), store);
    // Nothing is sent while the coordinator is down.
    await store.commit({
      append: [
        {
          stream: `workspaces/${workspace}`,
          event: {
            type: 'request.state',
            requestId: request,
            kind: 'key',
            state: 'fulfilled',
            at: new Date(webhookStart - 200 * hour).toISOString(),
          },
        },
      ],
    });
    await withWebhooks(
      [webhook('a')],
      async (at) => {
        await at.reaches(1, workspace, 'a');
        assert.deepEqual(at.requests(), [request]);
      },
      store,
    );
  });

  it('and answers 410 gets nothing more until the next start', async () => {
    const store = new MemoryStore();
    await withWebhooks(
      [webhook('gone'), webhook('there')],
      async (at) => {
        await at.workspace(workspace);
        at.reply = ({ url }) => (url.includes('gone') ? 410 : 204);
        await at.state(workspace);
        await until(() => at.events().includes('webhook.gone'), 'it is given up');
        await at.state(workspace);
        await at.state(other);
        await at.receives(3, 'there');
        assert.equal(at.requests('gone').length, 1);
        assert.deepEqual(at.clock.waits, []);
        assert.equal(at.logged.filter(({ event }) => event === 'webhook.gone').length, 1);
        assert.deepEqual(at.webhooks.backlog(), [
          { name: 'gone', ageMs: 0 },
          { name: 'there', ageMs: 0 },
        ]);
      },
      store,
    );
    assert.equal(await store.get(`webhook/gone/${workspace}`), undefined);
    await withWebhooks([webhook('gone')], (at) => at.reaches(2, workspace, 'gone'), store);
  });
});

describe('a dead receiver', () => {
  it('keeps nothing from others, and little is held for it', async () => {
    await withWebhooks([webhook('dead'), webhook('alive')], async (at) => {
      let open = 0;
      let most = 0;
      at.reply = ({ url }, signal) => {
        if (url.includes('alive')) return 204;
        most = Math.max(most, (open += 1));
        return new Promise((_, reject) => {
          const onAbort = (): void => {
            open -= 1;
            reject(new Error('cut'));
          };
          signal.addEventListener('abort', onAbort, { once: true });
        });
      };
      const workspaces = Array.from({ length: 20 }, (_, index) => idOf(10 + index));
      for (const each of workspaces) await at.workspace(each);
      for (const each of [...workspaces, ...workspaces]) await at.state(each);
      await at.receives(40, 'alive');
      assert.equal(at.requests('dead').length, 4);
      assert.equal(most, 4, 'connections at a time');
      // Every workspace has its turn, however many hang.
      for (let cut = 1; cut < 5; cut += 1) {
        at.clock.pass(attemptMs);
        await at.receives(4 * (cut + 1), 'dead');
      }
      assert.equal(most, 4);
      assert.equal(
        new Set(at.received.filter(({ url }) => url.includes('dead')).map((one) => one.workspaceId)).size,
        20,
      );
    });
  });

  it('is told of in the age of what waits for it', async () => {
    await withWebhooks([webhook('dead'), webhook('alive')], async (at) => {
      at.reply = ({ url }) => (url.includes('dead') ? 503 : 204);
      await at.state(workspace);
      await at.waits(2 * seconds);
      await at.receives(1, 'alive');
      at.clock.pass(seconds);
      await at.state(workspace);
      await at.reaches(2, workspace, 'alive');
      at.clock.pass(500);
      await until(() => at.webhooks.backlog()[1]?.ageMs === 0, 'nothing waits for the other one');
      assert.deepEqual(at.webhooks.backlog(), [
        { name: 'dead', ageMs: 1500 },
        { name: 'alive', ageMs: 0 },
      ]);
    });
  });

  it('in one workspace does not keep another workspace from it', async () => {
    await withWebhooks([webhook('a')], async (at) => {
      await at.workspace(other);
      at.reply = ({ workspaceId }) => (workspaceId === workspace ? 400 : 204);
      await at.state(workspace);
      await at.waits(2 * seconds);
      for (const _ of Array(3)) await at.state(other);
      await at.reaches(3, other, 'a');
      assert.equal(at.received.filter((one) => one.workspaceId === workspace).length, 1);
      assert.equal(at.events().includes('webhook.recovered'), false);
    });
  });
});

describe('what a webhook has told', () => {
  it('is told once over restarts, and nothing else is left out', async () => {
    const store = new MemoryStore();
    const told: Hex[] = [];
    const ids: string[] = [];
    let taken = 0;
    for (let run = 0; run < 6; run += 1) {
      await withWebhooks(
        [webhook('a')],
        async (at) => {
          if (run === 0) await at.workspace(workspace);
          // Every third message is taken, and the run ends at the next one that is not.
          let left = 3;
          at.reply = () => ((left -= 1) >= 0 ? 204 : 500);
          if (run < 3)
            for (const _ of Array(5)) told.push(await at.state(workspace, 'pending', idOf(50 + told.length)));
          await at.receives(Math.min(4, told.length - taken));
          await at.reaches(Math.min(told.length, taken + 3), workspace, 'a');
          const got = at.requests();
          assert.deepEqual(got, told.slice(taken, taken + got.length));
          ids.push(...at.received.map(({ headers }) => headers['webhook-id']!));
          taken = Math.min(told.length, taken + 3);
        },
        store,
      );
    }
    assert.equal(taken, told.length);
    assert.equal(new Set(ids).size, told.length, 'repeated messages have the id of the first');
    assert.ok(ids.length > told.length, 'some were repeated');
  });

  it('is told again when the place could not be written, with the same id', async () => {
    const inner = new MemoryStore();
    let broken = false;
    const store = new Proxy(inner, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (name === 'commit')
          return async (commit: Commit) => {
            if (broken && commit.what === 'webhook') throw new StoreError('write_failed', 'no disk');
            return target.commit(commit);
          };
        return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
      },
    });
    await withWebhooks(
      [webhook('a')],
      async (at) => {
        await at.workspace(workspace);
        broken = true;
        await at.state(workspace);
        await at.waits(2 * seconds);
        assert.equal(at.logged.at(-1)?.fields['reason'], 'store_write_failed');
        broken = false;
        at.clock.pass(2 * seconds);
        await at.reaches(1, workspace, 'a');
        const [one, two] = at.received.map(({ headers }) => headers['webhook-id']);
        assert.deepEqual([at.received.length, one], [2, two]);
      },
      store,
    );
  });

  it('begins with what happens from then on, and with all of workspaces that come later', async () => {
    const store = new MemoryStore();
    await withWebhooks(
      [],
      async (at) => {
        await at.workspace(workspace);
        await at.state(workspace);
      },
      store,
    );
    await withWebhooks(
      [webhook('late')],
      async (at) => {
        const first = await at.state(workspace);
        await at.workspace(other);
        const second = await at.state(other);
        await at.reaches(2, workspace, 'late');
        await at.reaches(1, other, 'late');
        assert.deepEqual(new Set(at.requests()), new Set([first, second]));
      },
      store,
    );
    // While it is not configured, its place stays.
    let missed: Hex | undefined;
    await withWebhooks(
      [],
      async (at) => {
        missed = await at.state(workspace, 'pending', idOf(90));
        assert.deepEqual(at.received, []);
      },
      store,
    );
    await withWebhooks(
      [webhook('late'), webhook('later')],
      async (at) => {
        await at.reaches(3, workspace, 'late');
        await at.reaches(3, workspace, 'later');
        assert.deepEqual(at.requests('late.example'), [missed]);
        assert.deepEqual(at.requests('later.example'), []);
      },
      store,
    );
    // Workspaces that it is given later are told of from then on.
    await withWebhooks([webhook('some', { workspaces: [other] })], async () => undefined, store);
    await withWebhooks(
      [webhook('some', { workspaces: [workspace, other] })],
      async (at) => {
        const next = await at.state(workspace, 'pending', idOf(91));
        await at.reaches(4, workspace, 'some');
        assert.deepEqual(at.requests(), [next]);
      },
      store,
    );
  });

  it('goes on after events that were forgotten, and says so', async () => {
    await withWebhooks([webhook('a')], async (at) => {
      at.reply = () => 500;
      for (const _ of Array(5)) await at.state(workspace);
      await at.waits(2 * seconds);
      await at.store.trim(`workspaces/${workspace}`, 4);
      at.reply = () => 204;
      at.clock.pass(2 * seconds);
      await at.reaches(5, workspace, 'a');
      assert.equal(at.requests().length, 3);
      const { fields } = at.logged.find(({ event }) => event === 'webhook.events_lost')!;
      assert.deepEqual([fields['had'], fields['has']], [0, 3]);
      assert.ok(at.outcomes.includes('a lost'));
    });
  });

  it('is not read for ever again when there is nothing to tell of it', async () => {
    await withWebhooks([webhook('a', { events: ['request.rejected'] })], async (at) => {
      for (const _ of Array(45)) await at.state(workspace, 'pending');
      await until(
        async () => Number((await at.store.get(`webhook/a/${workspace}`))?.value) > 20,
        'it goes on',
      );
      await at.state(workspace, 'rejected');
      await at.reaches(46, workspace, 'a');
      assert.equal(at.received.length, 1);
    });
  });

  it('is many events of one workspace, page after page, in order', async () => {
    const store = new MemoryStore();
    const requests: Hex[] = [];
    await withWebhooks(
      [webhook('a')],
      async (at) => {
        await at.workspace(workspace);
        at.reply = () => 500;
        for (let index = 0; index < 120; index += 1)
          requests.push(await at.state(workspace, 'pending', idOf(index)));
      },
      store,
    );
    await withWebhooks(
      [webhook('a')],
      async (at) => {
        await at.reaches(120, workspace, 'a');
        assert.deepEqual(at.requests(), requests);
      },
      store,
    );
  });
});

describe('metrics of webhooks', () => {
  it('count attempts by outcome, and tell of the age of what waits', async () => {
    const metrics = createCoordinatorMetrics(
      () => undefined,
      () => webhookStart,
    );
    try {
      const at = new WebhookWorld([webhook('a'), webhook('b')], new MemoryStore(), {
        observer: metrics.webhooks,
      });
      metrics.read({
        load: () => ({ connections: 0, streams: 0, answering: 0, bodyBytes: 0 }),
        presence: () => [],
        requests: () => undefined,
        webhooks: () => at.webhooks.backlog(),
      });
      await at.webhooks.start();
      at.reply = ({ url }) => (url.includes('b.example') ? 503 : 204);
      await at.state(workspace);
      await at.reaches(1, workspace, 'a');
      await at.waits(2 * seconds);
      at.clock.pass(1500);
      const text = await metrics.instruments.text();
      for (const line of [
        'webhook_deliveries_total{webhook="a",outcome="delivered"} 1',
        'webhook_deliveries_total{webhook="b",outcome="refused"} 1',
        'webhook_backlog_seconds{webhook="a"} 0',
        'webhook_backlog_seconds{webhook="b"} 1.5',
      ])
        assert.ok(text.includes(`countersign_coordinator_${line}\n`), `${line}\n${text}`);
      await at.webhooks.stop();
    } finally {
      metrics.stop();
    }
  });
});

describe('stopping webhooks', () => {
  it('cuts off what is under way, and waits for no receiver', async () => {
    const at = new WebhookWorld([webhook('hangs'), webhook('fails')]);
    await at.webhooks.start();
    await at.workspace(workspace);
    let cut = false;
    at.reply = ({ url }, signal) => {
      if (url.includes('fails')) return 500;
      return new Promise(() => signal.addEventListener('abort', () => void (cut = true), { once: true }));
    };
    await at.state(workspace);
    await at.waits(2 * seconds, attemptMs);
    // The clock stands still: nothing of this waits for time.
    await at.webhooks.stop();
    assert.equal(cut, true);
    assert.deepEqual(at.clock.waits, []);
    const before = at.received.length;
    await at.state(workspace);
    at.clock.pass(hour);
    await at.webhooks.stop();
    assert.equal(at.received.length, before, 'nothing is sent afterwards');
    for (const name of ['hangs', 'fails'])
      assert.equal(await at.store.get(`webhook/${name}/${workspace}`), undefined);
  });
});
