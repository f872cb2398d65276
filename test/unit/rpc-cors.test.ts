// Which web pages may call a coordinator: none, unless its configuration lists their origin.
import assert from 'node:assert/strict';
import { corsSchema } from '../../coordinator/rpc/cors.ts';
import { defaultLimits } from '../../coordinator/rpc/limits.ts';
import { httpHeaders } from '../../protocol/signed-http.ts';
import { pageFetch } from '../support/page-fetch.ts';
import { owner, Reader, unknownId, workspaceId, World } from '../support/rpc-world.ts';

const app = 'https://app.example';
const other = 'https://other.example';
const corsHeaders = (response: Response): string[] =>
  [...response.headers.keys()].filter((name) => name.startsWith('access-control-'));

describe('coordinator/rpc for web pages', () => {
  let world: World;
  beforeEach(() => {
    world = new World();
  });
  afterEach(() => world.close());

  const call = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'network_get', params: {} });
  const post = (origin: string, body = call, headers: Record<string, string> = {}): Promise<Response> =>
    pageFetch(origin)(`${world.url}/v1/rpc`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json', ...headers },
    });
  const preflight = (origin: string): Promise<Response> =>
    fetch(`${world.url}/v1/rpc`, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST' },
    });

  it('answers none unless configured: not even what it would say', async () => {
    await world.open();
    await assert.rejects(post(app), TypeError);
    assert.equal(world.service.calls.length, 0);
    for (const origin of [app, 'null']) {
      const asked = await preflight(origin);
      assert.equal(asked.status, 404);
      assert.deepEqual(corsHeaders(asked), []);
      assert.equal(asked.headers.get('vary'), null);
    }
  });

  it('lets pages of listed origins call, signed too, and read why they are refused', async () => {
    await world.open({}, { cors: { origins: [app] } });
    const answer = await post(app);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('content-type'), 'application/json; charset=utf-8');
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'workspace_get', params: { workspaceId } });
    await post(app, body, world.headers('POST', '/v1/rpc', body));
    assert.deepEqual(world.service.calls.at(-1)?.caller, { credential: owner.credential });
    const refused = await post(app, '[');
    assert.equal(((await refused.json()) as { error: { code: number } }).error.code, -32700);
    const nowhere = await pageFetch(app)(`${world.url}/nowhere`);
    assert.equal(nowhere.status, 404);
  });

  it('lets them read event streams, resumed ones too', async () => {
    await world.open({}, { cors: { origins: [app] } });
    await world.append(`workspaces/${workspaceId}`, 1, 2, 3);
    const path = `/v1/workspaces/${workspaceId}/events`;
    const page = pageFetch(app);
    const headers = { ...world.headers('GET', path, ''), 'last-event-id': '1' };
    const reader = new Reader(await page(world.url + path, { headers }));
    await reader.until(/id: 3\n/);
    assert.deepEqual(reader.ids, [2, 3]);
    assert.equal(page.preflights, 1);
    await assert.rejects(pageFetch(other)(world.url + path, { headers }), TypeError);
    const unknown = `/v1/workspaces/${unknownId}/events`;
    const refused = await page(world.url + unknown, { headers: world.headers('GET', unknown, '') });
    assert.equal(refused.status, 404);
  });

  it('keeps answers from pages of other origins, and caches from mixing them up', async () => {
    await world.open({}, { cors: { origins: [app, 'http://127.0.0.1:8080'] } });
    for (const origin of [other, 'null', `${app}.evil.example`, 'http://app.example', `${app}:8443`]) {
      await assert.rejects(post(origin), TypeError);
      assert.deepEqual(corsHeaders(await preflight(origin)), []);
      assert.equal((await preflight(origin)).headers.get('vary'), 'origin');
    }
    assert.equal(world.service.calls.length, 0);
    await post('http://127.0.0.1:8080');
    assert.equal(world.service.calls.length, 1);
    const without = await fetch(`${world.url}/health/live`);
    assert.deepEqual(corsHeaders(without), []);
    assert.equal(without.headers.get('vary'), 'origin');
  });

  it('lets every page call with "*", and never with cookies', async () => {
    await world.open({}, { cors: { origins: ['*'] } });
    for (const origin of [app, other]) assert.equal((await post(origin)).status, 200);
    const asked = await preflight(app);
    assert.equal(asked.status, 204);
    assert.equal(asked.headers.get('access-control-allow-credentials'), null);
    const allowed = asked.headers.get('access-control-allow-headers')?.split(', ');
    for (const header of Object.values(httpHeaders)) assert.ok(allowed?.includes(header), header);
  });

  it('counts paths that cannot be read as requests, and lets pages read why they are refused', async () => {
    const addressRate = { requests: 2, perSeconds: 60 };
    await world.open({ ...defaultLimits, addressRate }, { cors: { origins: [app] } });
    const page = pageFetch(app);
    for (const status of [400, 400, 429]) {
      const refused = await page(`${world.url}/%zz`);
      assert.equal(refused.status, status);
      const { error } = (await refused.json()) as { error: { data: { code: string } } };
      assert.equal(error.data.code, status === 400 ? 'invalid_request' : 'rate_limited');
    }
    assert.equal((await page(`${world.url}/health/live`)).status, 429);
  });

  it('takes no origin into its configuration that no browser sends', () => {
    const taken = (origin: string): boolean => corsSchema.safeParse({ origins: [origin] }).success;
    for (const origin of [
      '*',
      app,
      `${app}:8443`,
      'http://127.0.0.1:8080',
      'http://[::1]:1',
      'https://xn--bcher-kva.example',
    ])
      assert.ok(taken(origin), origin);
    const senseless = [
      '',
      'null',
      '**',
      `${app}/`,
      `${app}:443`,
      'https://*.example',
      'https://app.*',
      'HTTPS://app.example',
    ];
    const others = [
      'https://APP.example',
      'https://a@app.example',
      `${app}?x`,
      'file://',
      'https://bücher.example',
      'app.example',
    ];
    for (const origin of [...senseless, ...others]) assert.ok(!taken(origin), origin);
  });

  it('counts preflights as requests, and tells pages when to try again', async () => {
    const addressRate = { requests: 2, perSeconds: 60 };
    await world.open({ ...defaultLimits, addressRate }, { cors: { origins: [app] } });
    assert.equal((await post(app)).status, 200);
    const asked = await preflight(app);
    assert.equal(asked.status, 429);
    const refused = await pageFetch(app)(`${world.url}/health/live`);
    assert.equal(refused.status, 429);
    assert.match(refused.headers.get('retry-after') ?? '', /^\d+$/);
  });
});
