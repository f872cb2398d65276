// The coordinator's JSON-RPC over real sockets: what reaches a handler, who calls, and that nothing a stranger sends
// stops the server.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { Authenticator } from '../../coordinator/rpc/authenticate.ts';
import { httpStatusOf } from '../../coordinator/rpc/error.ts';
import { defaultLimits } from '../../coordinator/rpc/limits.ts';
import { ListenError } from '../../coordinator/rpc/listen.ts';
import { nonceLifetime } from '../../coordinator/rpc/nonces.ts';
import { ed25519Signer, type Envelope } from '../../protocol/records/envelope.ts';
import { timestamp } from '../../protocol/records/fields.ts';
import { errorCodes, type RpcErrorName } from '../../protocol/rpc.ts';
import { httpHeaders } from '../../protocol/signed-http.ts';
import {
  start,
  owner,
  connector,
  party,
  keyringId,
  networkId,
  workspaceId,
  unknownId,
  type Answer,
  until,
  World,
  grant,
  assertError,
  Reader,
  raw,
} from '../support/rpc-world.ts';

describe('coordinator/rpc server', () => {
  let world: World;
  beforeEach(() => {
    world = new World();
  });
  afterEach(() => world.close());

  describe('JSON-RPC', () => {
    beforeEach(() => world.open());

    it('answers an open call on each of its paths, and gives its handler no caller', async () => {
      for (const path of ['/', '/rpc', '/v1/rpc']) {
        const response = await world.post('{"jsonrpc":"2.0","id":"a","method":"network_get"}', {}, path);
        assert.equal(response.status, 200);
        assert.match(response.headers.get('content-type') ?? '', /^application\/json\b/);
        assert.equal(response.headers.get('cache-control'), 'no-store');
        assert.deepEqual(await response.json(), {
          jsonrpc: '2.0',
          id: 'a',
          result: { method: 'network_get' },
        });
      }
      assert.deepEqual(world.service.calls[0], { method: 'network_get', params: {}, caller: {} });
    });

    it('answers batches in order, each call for itself', async () => {
      const batch = [
        { jsonrpc: '2.0', id: 1, method: 'network_get' },
        { jsonrpc: '2.0', id: 'two', method: 'nothing_such' },
        { jsonrpc: '2.0', method: 'network_get' },
        7,
        { jsonrpc: '1.0', id: 5, method: 'network_get' },
        { jsonrpc: '2.0', id: null, method: 'network_get', params: {} },
      ];
      const answers = (await (await world.post(JSON.stringify(batch))).json()) as Answer[];
      assert.deepEqual(
        answers.map(({ id, error }) => [id, error?.data.code]),
        [
          [1, undefined],
          ['two', 'method_not_found'],
          [null, 'invalid_request'],
          [5, 'invalid_request'],
          [null, undefined],
        ],
      );
      assert.equal(world.service.calls.length, 3);
    });

    it('describes itself once in a batch: the answer is large, the call is not', async () => {
      const call = { jsonrpc: '2.0', id: 1, method: 'rpc.discover' };
      const once = (await (await world.post(JSON.stringify([call]))).json()) as Answer[];
      assert.deepEqual(once[0]?.result, { method: 'rpc.discover' });
      const twice = (await (await world.post(JSON.stringify([call, call]))).json()) as Answer;
      assertError(twice, 'too_large', /rpc\.discover/);
      assert.equal(world.service.calls.length, 1);
    });

    it('runs notifications and answers them with nothing, wrong ones too', async () => {
      const one = await world.post('{"jsonrpc":"2.0","method":"network_get"}');
      assert.deepEqual([one.status, await one.text()], [204, '']);
      const many = await world.post(
        '[{"jsonrpc":"2.0","method":"network_get"},{"jsonrpc":"2.0","method":"x"}]',
      );
      assert.deepEqual([many.status, await many.text()], [204, '']);
      assert.equal(world.service.calls.length, 2);
    });

    it('names what is no JSON, no call, no method', async () => {
      const answers = {
        '': 'parse_error',
        '{': 'parse_error',
        '{"jsonrpc":"2.0",}': 'parse_error',
        '\ufeff{}': 'parse_error',
        '[]': 'invalid_request',
        null: 'invalid_request',
        '"network_get"': 'invalid_request',
        '{"jsonrpc":"2.0","id":1}': 'invalid_request',
        '{"jsonrpc":"2.0","id":{},"method":"network_get"}': 'invalid_request',
        '{"jsonrpc":"2.0","id":1.5,"method":"network_get"}': 'invalid_request',
        '{"jsonrpc":"2.0","id":1,"method":"network_get","extra":1}': 'invalid_request',
        '{"jsonrpc":"2.0","id":1,"method":"toString"}': 'method_not_found',
        '{"jsonrpc":"2.0","id":1,"method":"__proto__"}': 'method_not_found',
        '{"jsonrpc":"2.0","id":1,"method":"constructor"}': 'method_not_found',
      } as const;
      for (const [body, name] of Object.entries(answers)) {
        const response = await world.post(body);
        assert.equal(response.status, 200, body);
        assertError((await response.json()) as Answer, name);
      }
      assert.equal(world.service.calls.length, 0);
    });

    it('refuses bytes that are not UTF-8', async () => {
      const body = Buffer.from('{"jsonrpc":"2.0","id":"\xff","method":"network_get"}', 'latin1');
      const response = await fetch(world.url, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json' },
      });
      assertError((await response.json()) as Answer, 'parse_error');
    });

    it('holds parameters to the schema of the method, and names the path', async () => {
      const wrong: [unknown, RegExp][] = [
        [{}, /^params\.keyringId: /],
        [{ keyringId: '0xAB' }, /^params\.keyringId: .*0x-hex/],
        [{ keyringId, more: 1 }, /^params: .*more/],
        [JSON.parse(`{"keyringId":"${keyringId}","__proto__":{"x":1}}`), /^params: .*__proto__/],
        [[keyringId], /^params: /],
        ['text', /^params: /],
      ];
      for (const [params, detail] of wrong) {
        assertError(await world.call('keyring_get', params), 'invalid_params', detail);
      }
      const signatures = [{ credential: 'ed25519:0x00', signature: '0x' }];
      const roster = { type: 'keyring.roster', bytes: 'AAAA', signatures };
      const answer = await world.call('keyring_create', { roster });
      assertError(answer, 'invalid_params', /^params\.roster\.signatures\[0\]/);
      assert.equal(world.service.calls.length, 0);
    });

    it('cuts messages that repeat what the caller sent', async () => {
      const answer = await world.call('keyring_get', { keyringId, ['x'.repeat(100_000)]: 1 });
      assert.ok(assertError(answer, 'invalid_params').detail.length < 500);
    });

    it('passes on what handlers refuse, and of their faults nothing but a reference', async () => {
      assertError(await world.call('keyring_get', { keyringId }), 'not_found', /^no such keyring$/);
      const answer = await world.call('keyring_list');
      const { remedy } = assertError(answer, 'internal_error');
      assert.doesNotMatch(JSON.stringify(answer), /swordfish/);
      const logged = world.logged.find(({ event }) => event === 'rpc.internal_error');
      assert.match(String(logged?.fields['error']), /swordfish/);
      assert.match(remedy, new RegExp(String(logged?.fields['reference'])));
    });

    it('gives every error a number and an HTTP status', () => {
      assert.deepEqual(Object.keys(httpStatusOf).toSorted(), Object.keys(errorCodes).toSorted());
    });
  });

  describe('signed requests', () => {
    beforeEach(() => world.open());
    const params = { workspaceId };
    const notRun = (): void => assert.equal(world.service.calls.length, 0);

    it('tells the handler who signed', async () => {
      assert.deepEqual((await world.call('workspace_get', params, {})).result, { method: 'workspace_get' });
      assert.deepEqual(world.service.calls[0]?.caller, { credential: owner.credential });
    });

    it('refuses unsigned and malformed ones, and answers open calls of the same batch', async () => {
      assertError(await world.call('workspace_get', params), 'unauthenticated', /sign the request/);
      const body = JSON.stringify([
        { jsonrpc: '2.0', id: 1, method: 'network_get' },
        { jsonrpc: '2.0', id: 2, method: 'workspace_get', params },
      ]);
      const signed = world.headers('POST', '/rpc', body);
      for (const header of [httpHeaders.timestamp, httpHeaders.nonce, httpHeaders.signature]) {
        const response = await world.post(body, { ...signed, [header]: 'x' });
        const [open, closed] = (await response.json()) as [Answer, Answer];
        assert.deepEqual(open.result, { method: 'network_get' });
        assertError(closed, 'unauthenticated', /malformed/);
      }
      assert.ok((await world.post(body, world.headers('POST', '/rpc', body))).ok);
      const open = world.service.calls.filter(({ method }) => method === 'network_get');
      assert.deepEqual(
        open.map(({ caller }) => caller),
        [{}, {}, {}, {}],
        'open calls have no caller, signed or not',
      );
    });

    it('refuses a signature over another body, path, method or network', async () => {
      const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'workspace_get', params });
      for (const headers of [
        world.headers('POST', '/rpc', `${body} `),
        world.headers('POST', '/rpc?a=1', body),
        world.headers('GET', '/rpc', body),
        world.headers('POST', '/rpc', body, { networkId: 'local-00000002' }),
        { ...world.headers('POST', '/rpc', body), [httpHeaders.credential]: connector.credential },
      ]) {
        const response = await world.post(body, headers);
        assertError((await response.json()) as Answer, 'unauthenticated', /does not verify/);
      }
      notRun();
    });

    it('takes a nonce once for each credential', async () => {
      const nonce = randomBytes(16);
      assert.ok((await world.call('workspace_get', params, { nonce })).result);
      assertError(await world.call('workspace_get', params, { nonce }), 'unauthenticated', /was used before/);
      assert.ok((await world.call('workspace_get', params, { nonce, signer: connector })).result);
      world.now += nonceLifetime;
      assertError(await world.call('workspace_get', params, { nonce }), 'unauthenticated', /was used before/);
      assert.equal(world.service.calls.length, 2);
    });

    it('takes a nonce once of two requests that come together', async () => {
      const authenticator = new Authenticator({ networkId, now: () => start, limits: defaultLimits });
      const headers = world.headers('POST', '/rpc', '{}', {});
      const body = new TextEncoder().encode('{}');
      const request = { method: 'POST', path: '/rpc', body, headers, address: '127.0.0.1', calls: 1 };
      const both = await Promise.allSettled([
        authenticator.authenticate(request),
        authenticator.authenticate(request),
      ]);
      assert.deepEqual(both.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
    });

    it('states its time to whoever has a wrong clock', async () => {
      for (const at of [start - 60_001, start + 60_001]) {
        const data = assertError(
          await world.call('workspace_get', params, { at }),
          'unauthenticated',
          /more than 60 s/,
        );
        assert.equal(data.serverTime, timestamp(start));
      }
      notRun();
      for (const at of [start - 60_000, start + 60_000])
        assert.ok((await world.call('workspace_get', params, { at })).result);
    });
  });

  describe('connectors', () => {
    beforeEach(() => world.open());
    const params = { keyringId, nodeUp: true };
    const heartbeat = (envelope?: Envelope, signer = connector): Promise<Answer> =>
      world.call('connector_heartbeat', params, { signer, ...(envelope && { grant: envelope }) });
    const withGrant = {
      credential: connector.credential,
      grant: { keyringId, party: party.credential, connector: connector.credential },
    };

    it('are known by the grant of their party, each time they present it', async () => {
      const envelope = grant();
      for (let time = 0; time < 2; time += 1) assert.ok((await heartbeat(envelope)).result);
      assert.ok(
        (await world.call('workspace_get', { workspaceId }, { signer: connector, grant: envelope })).result,
      );
      assert.deepEqual(
        world.service.calls.map(({ caller }) => caller),
        [withGrant, withGrant, withGrant],
      );
    });

    it('are refused without a grant, or with one that is not theirs', async () => {
      assertError(await heartbeat(), 'unauthenticated', /grant/);
      const other = ed25519Signer(new Uint8Array(32).fill(4));
      assertError(await heartbeat(grant({ connector: other.credential })), 'forbidden', /is for connector/);
      assert.ok((await heartbeat(grant())).result, 'seen before');
      assertError(await heartbeat(grant(), other), 'forbidden', /is for connector/);
      assert.equal(world.service.calls.length, 1);
    });

    it('are refused with a grant that has ended, though it was good before', async () => {
      const envelope = grant({ expires: start + 1000 });
      assert.ok((await heartbeat(envelope)).result);
      world.now += 1000;
      assertError(await heartbeat(envelope), 'expired', /the grant ended/);
    });

    it('are refused with a grant that does not verify', async () => {
      const good = grant();
      const [signature] = good.signatures;
      const refusals: [Envelope, RpcErrorName][] = [
        [grant({}, connector), 'bad_signature'],
        [{ ...good, signatures: [] }, 'bad_signature'],
        [{ ...good, signatures: [signature!, signature!] }, 'bad_signature'],
        [{ ...good, bytes: grant({ expires: start + 7200_000 }).bytes }, 'bad_signature'],
        [{ ...good, type: 'keyring.roster' }, 'invalid_params'],
        [grant({ network: 'local-00000002' }), 'invalid_params'],
      ];
      assert.ok((await heartbeat(good)).result, 'the real one is known');
      for (const [envelope, name] of refusals) assertError(await heartbeat(envelope), name);
      const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'connector_heartbeat', params });
      const headers = {
        ...world.headers('POST', '/rpc', body, { signer: connector }),
        [httpHeaders.grant]: '!',
      };
      assertError(
        (await (await world.post(body, headers)).json()) as Answer,
        'unauthenticated',
        /not a record/,
      );
      assert.equal(world.service.calls.length, 1);
    });
  });

  describe('strangers', () => {
    it('answers garbage with 400, and lives', async () => {
      await world.open();
      for (const bytes of [randomBytes(5000), 'GET\r\n\r\n', '\0\0\0\0', 'POST /rpc HTTP/9.9\r\n\r\n']) {
        assert.match(await raw(world.url, bytes), /^HTTP\/1\.1 400 [^]*"code":-32600/);
      }
      const large = `GET / HTTP/1.1\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`;
      assert.match(await raw(world.url, large), /^HTTP\/1\.1 431 [^]*"code":-32600/);
      assert.ok((await world.call('network_get')).result);
    });

    it('cuts who does not finish a request in time', async () => {
      await world.open({}, { timing: { headMs: 1000, requestMs: 1000 } });
      const head =
        'POST /rpc HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{';
      assert.match(await raw(world.url, head), /^HTTP\/1\.1 408 /);
      assert.ok((await world.call('network_get')).result);
    });

    it('cuts who does not finish the head of a request in time', async () => {
      await world.open({}, { timing: { headMs: 50, requestMs: 60_000 } });
      assert.match(await raw(world.url, 'POST /rpc HTTP/1.1\r\nhost: x\r\n'), /^HTTP\/1\.1 408 [^]*in time/);
    });

    it('answers unknown paths and bad addresses in JSON-RPC', async () => {
      await world.open();
      for (const [path, status] of [
        ['/nothing', 404],
        ['/v1/keyrings/1/events', 400],
        ['/%', 400],
      ] as const) {
        const response = await fetch(world.url + path);
        assert.equal(response.status, status, path);
        assert.ok(((await response.json()) as Answer).error?.data.remedy);
      }
    });

    it('says what to do when the port is taken or the host is not here', async () => {
      await world.open();
      const port = Number(new URL(world.url).port);
      await assert.rejects(new World().open({}, { port }), (error) => {
        return (
          error instanceof ListenError &&
          error.code === 'address_in_use' &&
          /listen\.port/.test(error.message)
        );
      });
      await assert.rejects(new World().open({}, { host: '192.0.2.1' }), (error) => {
        return error instanceof ListenError && error.code === 'address_unavailable';
      });
    });
  });

  describe('health and the end', () => {
    it('is live, and ready while its store answers', async () => {
      await world.open({}, { timing: { healthMs: 20 } });
      assert.deepEqual(await (await fetch(`${world.url}/health/live`)).json(), { status: 'live' });
      assert.equal((await fetch(`${world.url}/health/ready`)).status, 200);
      const get = world.store.get.bind(world.store);
      world.store.get = () => new Promise(() => undefined);
      assert.equal((await fetch(`${world.url}/health/ready`)).status, 503);
      world.store.get = get;
      assert.equal((await fetch(`${world.url}/health/ready`)).status, 200);
      await world.store.close();
      assert.equal((await fetch(`${world.url}/health/ready`)).status, 503);
      assert.equal((await fetch(`${world.url}/health/live`)).status, 200);
    });

    it('ends streams and waiting calls when it closes, and leaves no connection', async () => {
      await world.open({}, { timing: { closeMs: 60_000 } });
      const stream = new Reader(
        await world.stream(`/v1/keyrings/${keyringId}/events`, { signer: connector, grant: grant() }),
      );
      await stream.until(/open/);
      const call = world.call('sign_wait', { requestId: unknownId, timeoutMs: 60_000 }, {});
      await until(() => world.service.waiting === 1, 'a waiting call');
      await world.close();
      await stream.end();
      assertError(await call, 'unavailable', /closing/);
      await assert.rejects(fetch(`${world.url}/health/live`));
    });

    it('waits only so long for who does not read or does not end', async () => {
      await world.open({}, { timing: { closeMs: 20 } });
      const { hostname, port } = new URL(world.url);
      const socket = connect(Number(port), hostname);
      socket.on('error', () => undefined);
      socket.write(
        'POST /rpc HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{',
      );
      await new Promise((resolve) => socket.once('connect', resolve));
      assert.ok((await world.call('network_get')).result);
      await world.close();
      await until(() => socket.destroyed || socket.readyState !== 'open', 'a closed socket');
      socket.destroy();
    });
  });
});
