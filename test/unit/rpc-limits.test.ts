// What the coordinator's RPC server refuses before it verifies anything.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { addressKey, Quota } from '../../coordinator/rpc/limits.ts';
import { NonceMemory, nonceLifetime } from '../../coordinator/rpc/nonces.ts';
import type { Hex } from '../../protocol/hex.ts';
import { httpHeaders } from '../../protocol/signed-http.ts';
import {
  start,
  owner,
  connector,
  workspaceId,
  unknownId,
  type Answer,
  until,
  World,
  assertError,
  raw,
} from '../support/rpc-world.ts';

describe('coordinator/rpc limits', () => {
  let world: World;
  beforeEach(() => {
    world = new World();
  });
  afterEach(() => world.close());

  describe('limits', () => {
    it('refuses a large body with 413 and answers on', async () => {
      await world.open({ bodyBytes: 2048 });
      const response = await world.post(`"${'x'.repeat(4000)}"`);
      assert.equal(response.status, 413);
      assertError((await response.json()) as Answer, 'too_large', /2048/);
      assert.ok((await world.call('network_get')).result);
    });

    it('refuses a large chunked body that does not say its length', async () => {
      await world.open({ bodyBytes: 2048 });
      const chunk = `1000\r\n${'x'.repeat(4096)}\r\n`;
      const head =
        'POST /rpc HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n';
      assert.match(await raw(world.url, head + chunk), /^HTTP\/1\.1 413 [^]*too_large/);
    });

    it('refuses large batches and deep nesting, in a string or not', async () => {
      await world.open({ batchCalls: 2 });
      const call = '{"jsonrpc":"2.0","id":1,"method":"network_get"}';
      assert.equal(((await (await world.post(`[${call},${call}]`)).json()) as Answer[]).length, 2);
      assertError(
        (await (await world.post(`[${call},${call},${call}]`)).json()) as Answer,
        'too_large',
        /limit is 2/,
      );
      for (const deep of [
        '['.repeat(17),
        `${'['.repeat(500_000)}${']'.repeat(500_000)}`,
        '{"a":'.repeat(17),
      ]) {
        assertError((await (await world.post(deep)).json()) as Answer, 'too_large', /deeper than 16/);
      }
      const brackets = JSON.stringify({ jsonrpc: '2.0', id: `\\"${'['.repeat(50)}`, method: 'network_get' });
      assert.ok(((await (await world.post(brackets)).json()) as Answer).result);
    });

    it('takes JSON alone', async () => {
      await world.open();
      for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonx']) {
        const response = await world.post('{"jsonrpc":"2.0","id":1,"method":"network_get"}', {
          'content-type': type,
        });
        assert.equal(response.status, 415);
        assertError((await response.json()) as Answer, 'invalid_request', /application\/json/);
      }
      assert.equal(world.service.calls.length, 0);
    });

    it('counts the calls of an address, those of batches too, and says when to try again', async () => {
      await world.open({ addressRate: { requests: 4, perSeconds: 3600 } });
      const call = '{"jsonrpc":"2.0","id":1,"method":"network_get"}';
      assert.equal((await world.post(`[${call},${call},${call}]`)).status, 200);
      assert.equal((await world.post(`[${call},${call}]`)).status, 429);
      const response = await world.post(call);
      assert.equal(response.status, 429);
      assert.ok(Number(response.headers.get('retry-after')) > 3000);
      const { retryAfterMs = 0 } = assertError((await response.json()) as Answer, 'rate_limited');
      assert.ok(retryAfterMs > 3_000_000 && retryAfterMs <= 3_600_000);
      assert.equal(world.service.calls.length, 3);
    });

    it('counts before it verifies, and nobody can use up the rate of another', async () => {
      await world.open({ credentialRate: { requests: 2, perSeconds: 3600 } });
      const body = JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'workspace_get',
        params: { workspaceId },
      });
      const forged = async (): Promise<Answer> => {
        const headers = world.headers('POST', '/rpc', body, { signer: connector });
        const response = await world.post(body, { ...headers, [httpHeaders.credential]: owner.credential });
        return (await response.json()) as Answer;
      };
      assertError(await forged(), 'unauthenticated', /does not verify/);
      assertError(await forged(), 'unauthenticated', /does not verify/);
      // A third one is not verified any more: it would say that it does not verify.
      assertError(await forged(), 'rate_limited', /at this address/);
      assert.ok((await world.call('workspace_get', { workspaceId }, { signer: connector })).result);
    });

    it('refuses signed requests when it can remember no more nonces', async () => {
      await world.open({ nonces: 2 });
      const nonce = randomBytes(16);
      assert.ok((await world.call('workspace_get', { workspaceId }, { nonce })).result);
      assert.ok((await world.call('workspace_get', { workspaceId }, {})).result);
      assertError(await world.call('workspace_get', { workspaceId }, {}), 'unavailable');
      assertError(
        await world.call('workspace_get', { workspaceId }, { nonce }),
        'unauthenticated',
        /used before/,
      );
      world.now += nonceLifetime + 1;
      assert.ok((await world.call('workspace_get', { workspaceId }, {})).result);
    });

    it('answers only so many requests of an address at a time', async () => {
      await world.open({ requestsPerAddress: 1 });
      const hangUp = new AbortController();
      const params = { requestId: unknownId, timeoutMs: 60_000 };
      const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'sign_wait', params });
      const waiting = fetch(`${world.url}/rpc`, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json', ...world.headers('POST', '/rpc', body) },
        signal: hangUp.signal,
      });
      const ended = assert.rejects(waiting);
      await until(() => world.service.waiting === 1, 'a waiting call');
      assert.equal((await world.post('{"jsonrpc":"2.0","id":1,"method":"network_get"}')).status, 429);
      hangUp.abort();
      await ended;
      await until(() => world.service.aborted === 1, 'the handler hears that its caller is gone');
      assert.ok((await world.call('network_get')).result);
    });

    it('closes connections above the limit of an address', async () => {
      await world.open({ connectionsPerAddress: 1 });
      const { hostname, port } = new URL(world.url);
      const first: Socket = connect(Number(port), hostname);
      await new Promise((resolve) => first.once('connect', resolve));
      assert.equal(
        await raw(world.url, 'GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'),
        '',
      );
      first.destroy();
      let answer = '';
      const deadline = performance.now() + 10_000;
      while (answer === '' && performance.now() < deadline) {
        answer = await raw(world.url, 'GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
      }
      assert.match(answer, /^HTTP\/1\.1 200/);
    });

    it('counts an IPv6 network of 64 bits as one address', () => {
      assert.equal(addressKey('::ffff:192.0.2.1'), '192.0.2.1');
      assert.equal(addressKey('192.0.2.1'), '192.0.2.1');
      assert.equal(addressKey('2001:db8::1'), addressKey('2001:db8::ffff:1'));
      assert.equal(addressKey('2001:db8:0:0:1::'), addressKey('2001:db8::2'));
      assert.notEqual(addressKey('2001:db8:0:1::1'), addressKey('2001:db8::1'));
      assert.equal(addressKey('fe80::1%eth0'), 'fe80:0:0:0::/64');
      assert.equal(addressKey('::1'), '0:0:0:0::/64');
    });

    it('gives back what a quota released, and no more', () => {
      const quota = new Quota(2, 3);
      assert.deepEqual(
        ['a', 'a', 'a', 'b', 'b'].map((key) => quota.take(key)),
        [true, true, false, true, false],
      );
      quota.release('a');
      quota.release('c');
      assert.deepEqual(
        ['b', 'b'].map((key) => quota.take(key)),
        [true, false],
      );
    });

    it('forgets nonces only when no timestamp can bring them back', () => {
      const nonces = new NonceMemory(10);
      const nonce: Hex = '0x00';
      assert.equal(nonces.remember(owner.credential, nonce, start), 'fresh');
      // A timestamp may be 60 s ahead when it comes first, and 60 s old when it comes again.
      for (const later of [1, 60_000, 120_000])
        assert.equal(nonces.remember(owner.credential, nonce, start + later), 'replayed');
      assert.equal(nonces.remember(owner.credential, nonce, start + 2 * nonceLifetime + 1), 'fresh');
    });
  });
});
