// Pages, waiting and watching, and two coordinators over one store.
import assert from 'node:assert/strict';
import { actionId } from '../../protocol/rpc.ts';
import { RpcError } from '../../coordinator/rpc/error.ts';
import {
  approve,
  createWorld,
  hour,
  idOf,
  keyRequest,
  networkId,
  reject,
  start,
} from '../support/fixture.ts';
import { asked, ServiceWorld, stores, submitted, withService } from '../support/service-world.ts';

const foreign = createWorld({ name: 'foreign' });

for (const [name, open] of Object.entries(stores)) {
  const run = (work: (at: ServiceWorld) => Promise<void>) => () => withService(open, work);

  describe(`coordinator service over ${name}: lists`, () => {
    it(
      'pages through everything once, in order',
      run(async (at) => {
        const key = await at.key();
        const workspaceId = at.world.workspace.id;
        const ids: string[] = [key.id];
        for (let index = 0; index < 4; index++) {
          at.now += 1000;
          ids.push(idOf(await submitted(at, key)));
        }
        await at.call('action_decide', { decision: reject(at.world, ids[2] as `0x${string}`, 'alice') });
        const all = async <Item>(
          list: (after?: string) => Promise<{ items: Item[]; next?: string | undefined }>,
        ) => {
          const pages: Item[][] = [];
          for (let next: string | undefined, first = true; first || next !== undefined; first = false) {
            const page = await list(next);
            pages.push(page.items);
            next = page.next;
          }
          return pages;
        };
        const cursor = (after?: string) => (after === undefined ? {} : { after });
        const signing = await all((after) =>
          at.call('sign_list', { workspaceId, limit: 2, ...cursor(after) }, at.owner()),
        );
        assert.deepEqual(
          signing.map((page) => page.map((view) => view.requestId)),
          [ids.slice(0, 2), ids.slice(2, 4), ids.slice(4)],
        );
        const rejected = await all((after) =>
          at.call('sign_list', { workspaceId, limit: 2, state: 'rejected', ...cursor(after) }, at.owner()),
        );
        assert.deepEqual(
          rejected.flat().map((view) => view.requestId),
          [ids[2]],
        );
        const actions = await all((after) =>
          at.call('action_list', { workspaceId, limit: 1, ...cursor(after) }, at.owner()),
        );
        assert.deepEqual(actions.flat().map(actionId), [ids[1], ids[3], ids[4]]);
        await at.key('second');
        const keys = await all((after) =>
          at.call('key_list', { workspaceId, limit: 1, ...cursor(after) }, at.owner()),
        );
        assert.deepEqual(
          keys.flat().map((view) => view.label),
          ['treasury', 'second'],
        );
        for (const other of [foreign, createWorld({ name: 'third' })])
          await new ServiceWorld(other, at.store).register();
        const keyrings = await all((after) => at.call('keyring_list', { limit: 1, ...cursor(after) }));
        assert.equal(new Set(keyrings.flat().map((view) => view.keyringId)).size, 3);
        for (const after of ['', '%', '🙂', Buffer.from('A B').toString('base64url'), 'x'.repeat(300)]) {
          await at.refuses(
            'invalid_params',
            'sign_list',
            { workspaceId, after },
            at.owner(),
            /is not a cursor/,
          );
        }
        // No cursor reaches beyond its list.
        for (const rest of ['..', '/', 'zzz', '0/../../history']) {
          const after = Buffer.from(rest).toString('base64url');
          for (const view of (await at.call('sign_list', { workspaceId, after }, at.owner())).items) {
            assert.equal(view.workspaceId, workspaceId);
          }
        }
      }),
    );

    it(
      'lists a pending request as an action again when its approvals run out',
      run(async (at) => {
        const key = await at.key();
        const request = await submitted(at, key);
        const workspaceId = at.world.workspace.id;
        const listed = async () => (await at.call('action_list', { workspaceId }, at.owner())).items;
        const runsOut = at.now + 60_000;
        await at.call('action_decide', {
          decision: approve(at.world, idOf(request), 'bob', { expires: runsOut }),
        });
        assert.deepEqual(await listed(), []);
        at.now = runsOut;
        const [again] = await listed();
        assert.equal(again?.state, 'pending');
        assert.deepEqual(again?.missing?.[0]?.from, ['bob', 'carol']);
        await at.call('action_decide', { decision: approve(at.world, idOf(request), 'bob', { seq: 2 }) });
        assert.deepEqual(await listed(), []);
        at.now = start + hour;
        assert.deepEqual(await listed(), []);
      }),
    );
  });

  describe(`coordinator service over ${name}: a long page`, () => {
    it(
      'is made one view at a time, and others have their turn between',
      run(async (at) => {
        const key = await at.key();
        const asked = 8;
        for (let index = 1; index < asked; index++) {
          at.now += 1000;
          await submitted(at, key);
        }
        const workspaceId = at.world.workspace.id;
        let turns = 0;
        let over = false;
        const others = (): void => {
          turns++;
          if (!over) setImmediate(others);
        };
        setImmediate(others);
        const { items } = await at.call('sign_list', { workspaceId }, at.owner());
        over = true;
        assert.equal(items.length, asked);
        assert.ok(turns >= asked, `${turns} turns for ${asked} views`);
      }),
    );
  });

  describe(`coordinator service over ${name}: watching`, () => {
    it(
      'waits for a request to end, and no longer than told',
      run(async (at) => {
        const key = await at.key();
        const request = await submitted(at, key);
        const requestId = idOf(request);
        const wait = (timeoutMs: number, signal?: AbortSignal) =>
          at.call('sign_wait', { requestId, timeoutMs }, at.owner(), signal);
        assert.equal((await wait(0)).state, 'partial');
        const waiting = wait(60_000);
        const hungUp = new AbortController();
        const given = wait(60_000, hungUp.signal);
        hungUp.abort();
        assert.equal((await given).state, 'partial');
        await at.call('action_decide', { decision: approve(at.world, requestId, 'bob') });
        await at.sign(0, key, requestId);
        await at.sign(1, key, requestId);
        assert.equal((await waiting).state, 'fulfilled');
        assert.equal((await wait(60_000)).state, 'fulfilled');
      }),
    );

    it(
      'lets who waits go when it stops',
      run(async (at) => {
        const key = await at.key();
        const requestId = idOf(await submitted(at, key));
        const waiting = at.call('sign_wait', { requestId, timeoutMs: 60_000 }, at.owner());
        await at.service.stop();
        assert.equal((await waiting).state, 'partial');
      }),
    );

    it(
      'gives connectors a snapshot and the cursor from which nothing is missed',
      run(async (at) => {
        const keyringId = at.world.keyring.id;
        const empty = await at.call('connector_pending', { keyringId }, at.connector(0));
        assert.deepEqual(empty, { cursor: 0, items: [] });
        const key = await at.key();
        const requests = [await submitted(at, key), await submitted(at, key), await submitted(at, key)];
        for (const request of requests.slice(0, 2)) {
          await at.call('action_decide', { decision: approve(at.world, idOf(request), 'bob') });
        }
        const { cursor, items } = await at.call('connector_pending', { keyringId }, at.connector(0));
        assert.deepEqual(
          new Set(items.map((item) => item.requestId)),
          new Set(requests.slice(0, 2).map(idOf)),
        );
        const stream = `keyrings/${keyringId}`;
        assert.deepEqual(await at.store.read(stream, cursor, 10), []);
        await at.call('action_decide', { decision: approve(at.world, idOf(requests[2]!), 'bob') });
        const [, pending] = await at.store.read(stream, cursor, 10);
        assert.equal((pending!.event as { state?: string }).state, 'pending');
        // Named requests are given in whatever state they are; those of other keyrings are not.
        const neighbour = await new ServiceWorld(foreign, at.store).register();
        const theirs = keyRequest(foreign);
        await neighbour.call('key_request', { request: theirs });
        const last = await submitted(at, key);
        const requestIds = [idOf(last), key.id, idOf(theirs), foreign.workspace.id];
        const named = await at.call('connector_pending', { keyringId, requestIds }, at.connector(0));
        assert.deepEqual(
          named.items.map((item) => [item.requestId, item.state]),
          [
            [idOf(last), 'partial'],
            [key.id, 'fulfilled'],
          ],
        );
        at.now = start + 3 * hour;
        assert.deepEqual(
          (await at.call('connector_pending', { keyringId, requestIds: [idOf(last)] }, at.connector(0)))
            .items[0]?.state,
          'rejected',
        );
      }),
    );

    it(
      'pages through what is pending',
      run(async (at) => {
        const ids = new Set<string>();
        for (let index = 0; index < 5; index++) {
          const request = keyRequest(at.world);
          ids.add(idOf(request));
          await at.call('key_request', { request });
        }
        const keyringId = at.world.keyring.id;
        const seen: string[] = [];
        let after: string | undefined;
        do {
          const page = await at.call(
            'connector_pending',
            { keyringId, limit: 2, ...(after !== undefined && { after }) },
            at.connector(0),
          );
          seen.push(...page.items.map((item) => item.requestId));
          after = page.next;
        } while (after !== undefined);
        assert.equal(seen.length, 5);
        assert.deepEqual(new Set(seen), ids);
      }),
    );

    it(
      'tells who is present',
      run(async (at) => {
        const keyringId = at.world.keyring.id;
        at.now = start + 5000;
        await at.call('connector_heartbeat', { keyringId, nodeUp: true }, at.connector(1));
        await at.call('connector_heartbeat', { keyringId, nodeUp: false }, at.connector(2));
        const { presence } = await at.call('keyring_get', { keyringId });
        assert.deepEqual(
          presence.map(({ nodeUp, seen }) => [nodeUp, seen]),
          [
            [false, undefined],
            [true, '2030-01-01T00:00:05.000Z'],
            [false, '2030-01-01T00:00:05.000Z'],
          ],
        );
        assert.deepEqual(await at.call('network_get', {}), {
          networkId,
          time: '2030-01-01T00:00:05.000Z',
          version: '1.2.3',
        });
      }),
    );

    it(
      'says that it is unavailable when its store is, and nothing about why',
      run(async (at) => {
        await at.store.close();
        await at.refuses(
          'unavailable',
          'keyring_get',
          { keyringId: at.world.keyring.id },
          {},
          /the store did not answer/,
        );
        assert.ok(
          at.logged.some(({ event, fields }) => event === 'store.error' && fields['code'] === 'closed'),
        );
        await assert.rejects(
          at.service.mayRead({ kind: 'workspace', id: at.world.workspace.id }, at.owner()),
          RpcError,
        );
      }),
    );
  });
}

describe('two coordinators over one store', () => {
  it('count together what each of them was given at once', async () => {
    await withService(stores['memory']!, async (at) => {
      const twin = new ServiceWorld(at.world, at.store);
      const key = await at.key();
      for (let round = 0; round < 3; round++) {
        const request = asked(at, key);
        await Promise.all([at.call('sign_request', { request }), twin.call('sign_request', { request })]);
        const id = idOf(request);
        const decisions = ['bob', 'carol'].map((owner) => approve(at.world, id, owner));
        await Promise.all(
          [at, twin].flatMap((each) => decisions.map((decision) => each.call('action_decide', { decision }))),
        );
        await Promise.all([0, 1, 2].flatMap((index) => [at.sign(index, key, id), twin.sign(index, key, id)]));
        const view = await twin.call('sign_get', { requestId: id }, at.owner());
        assert.deepEqual(view.votes, { have: 3, need: 2, refused: 0 });
        assert.equal(view.decisions.length, 2);
        const types = (await at.events('workspaces')).filter((event) => event['requestId'] === id);
        assert.equal(types.length, 3 + 2 + 3);
      }
      assert.deepEqual(await at.events('keyrings'), await at.events('workspaces'));
      // What one of them committed the other one did not log.
      const committed = (await at.events('workspaces')).length;
      const told = [...at.logged, ...twin.logged].filter(({ event }) =>
        /^request\.(state|result|decision)$/.test(event),
      );
      assert.equal(told.length, committed);
    });
  });
});
