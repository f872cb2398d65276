// Old events are forgotten, and nothing that is open with them: a reader who fell behind finds all of it in a snapshot,
// whatever happens while its pages are read.
import assert from 'node:assert/strict';
import type { Hex } from '../../protocol/hex.ts';
import { Retention } from '../../coordinator/retention.ts';
import { StoreError } from '../../coordinator/store/store.ts';
import { approve, createWorld, idOf, reject } from '../support/fixture.ts';
import { type ServiceWorld, stores, submitted, withService } from '../support/service-world.ts';
import type { WorldKey } from '../support/world-key.ts';

const keep = 20;

const tooOld = (error: unknown): boolean => error instanceof StoreError && error.code === 'cursor_too_old';

/** A request that is cancelled at once: three events. */
async function cancelled(at: ServiceWorld, key: WorldKey): Promise<void> {
  const request = await submitted(at, key);
  await at.call('action_decide', { decision: reject(at.world, idOf(request), 'alice') });
}

for (const [name, open] of Object.entries(stores)) {
  describe(`what the coordinator keeps of its streams, over the ${name} store`, () => {
    const run = (work: (at: ServiceWorld) => Promise<void>) => () =>
      withService(open, work, createWorld(), { eventsPerStream: keep });

    it(
      'is the newest events, and everything that is open',
      run(async (at) => {
        const keyringId = at.world.keyring.id;
        const workspaceId = at.world.workspace.id;
        const key = await at.key();
        const request = await submitted(at, key);
        await at.call('action_decide', { decision: approve(at.world, idOf(request), 'bob') });
        for (let index = 0; index < keep; index++) await cancelled(at, key);
        const streams = [`keyrings/${keyringId}`, `workspaces/${workspaceId}`];
        for (const stream of streams) assert.ok((await at.store.read(stream, 0, 1)).length > 0);
        await at.service.sweep();
        for (const stream of streams) {
          const last = await at.store.last(stream);
          const kept = at.store.read(stream, last - keep, 100).then((events) => events.length);
          assert.equal(await kept.catch(String), keep);
          await assert.rejects(at.store.read(stream, last - keep - 1, 1), tooOld);
        }
        const pending = await at.call('connector_pending', { keyringId }, at.connector(0));
        assert.deepEqual(
          pending.items.map(({ requestId, state }) => [requestId, state]),
          [[idOf(request), 'pending']],
        );
        const after = (stream: string, position: number) => at.store.read(stream, position, 10).catch(String);
        assert.deepEqual(await after(streams[0]!, pending.cursor), []);
        // An owner's client goes on from the list in the same way.
        const { cursor } = await at.call('sign_list', { workspaceId }, at.owner());
        assert.deepEqual(await after(streams[1]!, cursor ?? 0), []);
        await cancelled(at, key);
        assert.ok((await at.store.read(streams[1]!, cursor ?? 0, 10)).length > 0);
      }),
    );

    it(
      'lets a snapshot be paged while requests come, go and become pending: none is missed',
      run(async (at) => {
        const keyringId = at.world.keyring.id;
        const key = await at.key();
        const approved = async (request: Awaited<ReturnType<typeof submitted>>): Promise<Hex> => {
          await at.call('action_decide', { decision: approve(at.world, idOf(request), 'bob') });
          return idOf(request);
        };
        const expected = new Set<Hex>();
        for (let index = 0; index < 6; index++) expected.add(await approved(await submitted(at, key)));
        const waiting = [await submitted(at, key), await submitted(at, key), await submitted(at, key)];
        const seen = new Set<Hex>();
        let position: number | undefined;
        let after: string | undefined;
        do {
          const page = await at.call(
            'connector_pending',
            { keyringId, limit: 1, ...(after !== undefined && { after }) },
            at.connector(0),
          );
          position ??= page.cursor;
          for (const { requestId } of page.items) seen.add(requestId);
          after = page.next;
          // Ids are hashes: this one stands before or behind what was read.
          const next = waiting.pop();
          if (next !== undefined) expected.add(await approved(next));
          // Another one ends meanwhile.
          const [done] = expected;
          if (seen.size === 3 && done !== undefined) {
            await at.sign(0, key, done);
            await at.sign(1, key, done);
            expected.delete(done);
          }
        } while (after !== undefined);
        await at.service.sweep();
        for (const { event } of await at.store.read(`keyrings/${keyringId}`, position, 100)) {
          const { type, state, requestId } = event as { type: string; state?: string; requestId: Hex };
          if (type === 'request.state' && state === 'pending') seen.add(requestId);
        }
        for (const requestId of expected) assert.ok(seen.has(requestId), requestId);
      }),
    );
  });
}

describe('forgetting events', () => {
  it('is done again when it failed, and for what is appended meanwhile', async () => {
    const trimmed: string[] = [];
    let fails = true;
    const streams = ['keyrings/0x01', 'workspaces/0x02'];
    const retention = new Retention(
      {
        last: async () => {
          // More comes while it is under way.
          if (!fails && trimmed.length === 0) retention.noted(streams);
          return 30;
        },
        trim: async (stream, before) => {
          if (fails) throw new StoreError('write_failed', 'no space');
          trimmed.push(`${stream} ${before}`);
        },
      },
      10,
    );
    retention.noted(streams);
    await assert.rejects(retention.trim(), /no space/);
    fails = false;
    await retention.trim();
    assert.deepEqual(trimmed, ['keyrings/0x01 21', 'workspaces/0x02 21']);
    await retention.trim();
    assert.equal(trimmed.length, 4, 'what came meanwhile');
    await retention.trim();
    assert.equal(trimmed.length, 4, 'nothing grew');
  });
});
