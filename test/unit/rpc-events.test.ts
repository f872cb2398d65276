// The coordinator's event streams over real sockets.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import type { RpcErrorName } from '../../protocol/rpc.ts';
import {
  start,
  owner,
  connector,
  keyringId,
  workspaceId,
  unknownId,
  type Answer,
  until,
  World,
  grant,
  assertError,
  Reader,
} from '../support/rpc-world.ts';

describe('coordinator/rpc events', () => {
  let world: World;
  beforeEach(() => {
    world = new World();
  });
  afterEach(() => world.close());

  describe('event streams', () => {
    const path = `/v1/keyrings/${keyringId}/events`;
    const own = { signer: connector, grant: grant() };
    const name = `keyrings/${keyringId}`;

    it('send what is stored, then what comes, numbered', async () => {
      await world.open({}, { timing: { pollMs: 60_000 } });
      await world.append(name, 1, 2);
      const reader = new Reader(await world.stream(path, own));
      await reader.until(/id: 2\n/);
      await world.append(name, 3);
      const text = await reader.until(/id: 3\n.*\n.*\n\n/);
      assert.deepEqual(reader.ids, [1, 2, 3]);
      assert.match(text, /id: 3\nevent: request\.state\ndata: \{"type":"request\.state","number":3\}\n\n$/);
    });

    it('serve workspaces to their owners', async () => {
      await world.open();
      await world.append(`workspaces/${workspaceId}`, 1);
      const reader = new Reader(await world.stream(`/v1/workspaces/${workspaceId}/events`));
      await reader.until(/id: 1\n/);
    });

    it('resume after Last-Event-ID, or ?after=, the header first', async () => {
      await world.open();
      await world.append(name, 1, 2, 3, 4);
      const cases = [
        { path, lastEventId: '2', ids: [3, 4] },
        { path: `${path}?after=3`, ids: [4] },
        { path: `${path}?after=0`, lastEventId: '3', ids: [4] },
      ];
      for (const { path: target, ids, ...more } of cases) {
        const reader = new Reader(await world.stream(target, { ...own, ...more }));
        await reader.until(/id: 4\n/);
        assert.deepEqual(reader.ids, ids);
      }
    });

    it('send more than a page, each event once', async () => {
      await world.open();
      const numbers = Array.from({ length: 257 }, (_, index) => index + 1);
      await world.append(name, ...numbers);
      const reader = new Reader(await world.stream(path, own));
      await reader.until(/id: 257\n/);
      assert.deepEqual(reader.ids, numbers);
    });

    it('need no hints', async () => {
      await world.open(
        {},
        {
          timing: { pollMs: 10 },
          store: {
            get: (key) => world.store.get(key),
            read: (stream, after, limit) => world.store.read(stream, after, limit),
            watch: () => ({
              [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error('no hints here')) }),
            }),
          },
        },
      );
      const reader = new Reader(await world.stream(path, own));
      await world.append(name, 1);
      await reader.until(/id: 1\n/);
      assert.ok(world.logged.some(({ event }) => event === 'rpc.watch_failed'));
    });

    it('beat while nothing happens', async () => {
      await world.open({}, { timing: { heartbeatMs: 10 } });
      await new Reader(await world.stream(path, own)).until(/: beat\n\n: beat\n\n/);
    });

    it('refuse with a status whoever may not read', async () => {
      await world.open();
      const refusals: [Promise<Response>, number, RpcErrorName][] = [
        [fetch(world.url + path), 401, 'unauthenticated'],
        [world.stream(path, { ...own, at: start - 100_000 }), 401, 'unauthenticated'],
        [world.stream(path), 403, 'forbidden'],
        [world.stream(path, { signer: owner, grant: grant() }), 403, 'forbidden'],
        [world.stream(path, { ...own, grant: grant({ expires: start }) }), 403, 'expired'],
        [world.stream(`/v1/workspaces/${workspaceId}/events`, own), 403, 'forbidden'],
        [world.stream(`/v1/keyrings/${unknownId}/events`, own), 404, 'not_found'],
        [world.stream(`${path}?after=x`, own), 400, 'invalid_params'],
        [world.stream(`${path}?after=1&after=2`, own), 400, 'invalid_params'],
        [world.stream(`${path}?before=1`, own), 400, 'invalid_params'],
        [world.stream(path, { ...own, lastEventId: '-1' }), 400, 'invalid_params'],
        [world.stream(path, { ...own, lastEventId: '9999999999999999' }), 400, 'invalid_params'],
      ];
      for (const [pending, status, code] of refusals) {
        const response = await pending;
        assert.equal(response.status, status);
        assertError((await response.json()) as Answer, code);
      }
    });

    it('take a signed request once', async () => {
      await world.open();
      const nonce = randomBytes(16);
      new Reader(await world.stream(path, { ...own, nonce }));
      assert.equal((await world.stream(path, { ...own, nonce })).status, 401);
    });

    it('answer 410 when the cursor is too old, or ahead of the stream', async () => {
      await world.open();
      await world.append(name, 1, 2, 3);
      await world.store.trim(name, 3);
      for (const lastEventId of ['1', '4']) {
        const response = await world.stream(path, { ...own, lastEventId });
        assert.equal(response.status, 410);
        assertError((await response.json()) as Answer, 'cursor_too_old');
      }
      await new Reader(await world.stream(path, { ...own, lastEventId: '2' })).until(/id: 3\n/);
    });

    it('end with an error event when the rest was trimmed away', async () => {
      await world.open({}, { timing: { pollMs: 10 } });
      await world.append(name, 1);
      const reader = new Reader(await world.stream(path, own));
      await reader.until(/id: 1\n/);
      // Between two reads: the store holds back the one that would see 2 and 3.
      const read = world.store.read.bind(world.store);
      let release = (): void => undefined;
      let held = false;
      world.store.read = async (...args) => {
        held = true;
        await new Promise<void>((resolve) => (release = resolve));
        return await read(...args);
      };
      await until(() => held, 'a read that is held back');
      await world.append(name, 2, 3);
      await world.store.trim(name, 3);
      release();
      const text = await reader.end();
      assert.match(text, /event: error\ndata: \{"code":-32011,.*"cursor_too_old".*\}\n\n$/);
    });

    it('end when the reader loses the right', async () => {
      await world.open({}, { timing: { heartbeatMs: 10 } });
      const expiring = new Reader(
        await world.stream(path, { ...own, grant: grant({ expires: start + 1000 }) }),
      );
      const other = new Reader(await world.stream(path, own));
      world.now = start + 1000;
      assert.match(await expiring.end(), /event: error\ndata: .*"expired"/);
      await other.until(/beat/);
      world.service.readerMayRead = false;
      assert.match(await other.end(), /event: error\ndata: .*"forbidden"/);
    });

    it('say nothing of a fault but a reference', async () => {
      await world.open({}, { timing: { pollMs: 10 } });
      const reader = new Reader(await world.stream(path, own));
      world.store.read = async () => {
        throw new Error('swordfish');
      };
      const text = await reader.end();
      assert.match(text, /event: error\ndata: .*"internal_error"/);
      assert.doesNotMatch(text, /swordfish/);
    });

    it('are so many for each credential, and room comes back', async () => {
      await world.open({ streamsPerCredential: 1 });
      const hangUp = new AbortController();
      const first = new Reader(await world.stream(path, { ...own, signal: hangUp.signal }));
      const refused = await world.stream(path, own);
      assert.equal(refused.status, 429);
      assertError((await refused.json()) as Answer, 'rate_limited');
      assert.equal((await world.stream(`/v1/workspaces/${workspaceId}/events`)).status, 200);
      hangUp.abort();
      await assert.rejects(first.end());
      let status = 0;
      const deadline = performance.now() + 10_000;
      while (status !== 200 && performance.now() < deadline) status = (await world.stream(path, own)).status;
      assert.equal(status, 200);
    });

    it('read no further than their reader reads', async () => {
      let reads = 0;
      const filler = 'x'.repeat(10_000);
      await world.open(
        {},
        {
          store: {
            get: (key) => world.store.get(key),
            watch: (stream, options) => world.store.watch(stream, options),
            // A stream without end, a megabyte a page.
            async read(_stream, after, limit) {
              reads += 1;
              await new Promise((resolve) => setImmediate(resolve));
              return Array.from({ length: limit }, (_, index) => ({
                sequence: after + 1 + index,
                event: { type: 'x', filler },
              }));
            },
          },
        },
      );
      const { hostname, port } = new URL(world.url);
      const socket = connect(Number(port), hostname);
      socket.pause();
      const headers = Object.entries(world.headers('GET', path, '', own)).map(
        ([header, value]) => `${header}: ${value}\r\n`,
      );
      socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n${headers.join('')}\r\n`);
      // The kernel's buffers take some megabytes; then the reads stand still while other work goes on.
      const standStill = async (): Promise<number> => {
        const deadline = performance.now() + 10_000;
        for (;;) {
          const before = reads;
          for (let time = 0; time < 20; time += 1) assert.ok((await world.call('network_get')).result);
          if (reads === before) return before;
          assert.ok(reads < 200, `${reads} megabytes were read for somebody who reads nothing`);
          assert.ok(performance.now() < deadline, `never: reads that stand still, after ${reads}`);
        }
      };
      await until(() => reads > 1, 'the first pages');
      const before = await standStill();
      let received = 0;
      socket.on('data', (chunk: Buffer) => (received += chunk.length));
      socket.resume();
      await until(() => reads > before && received > before * 1_000_000, 'reads going on with the reader');
      socket.destroy();
      await standStill();
    });
  });
});
