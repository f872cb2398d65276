// Start and stop of the coordinator on a real folder, and its configuration.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, parseCoordinatorConfig } from '../../coordinator/config.ts';
import { type RunningCoordinator, startCoordinator } from '../../coordinator/main.ts';
import { ListenError } from '../../coordinator/rpc/listen.ts';
import { defaultLimits } from '../../coordinator/rpc/limits.ts';
import { StoreError } from '../../coordinator/store/store.ts';

const networkId = 'local-00000001';

describe('coordinator/main', () => {
  let folder: string;
  let dir: string;
  let logged: string[];
  const running: RunningCoordinator[] = [];
  const strangers: Server[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coordinator-'));
    dir = join(folder, 'data');
    logged = [];
  });
  afterEach(async () => {
    for (const coordinator of running.splice(0)) await coordinator.stop();
    for (const server of strangers.splice(0)) await new Promise((resolve) => server.close(resolve));
    await rm(folder, { recursive: true, force: true });
  });

  async function start(
    more: { port?: number; signal?: AbortSignal; dir?: string } = {},
  ): Promise<RunningCoordinator> {
    const listen = { port: more.port ?? 0 };
    const coordinator = await startCoordinator({
      config: parseCoordinatorConfig({ networkId, dir: more.dir ?? dir, listen }),
      log: (event) => void logged.push(event),
      version: '1.2.3',
      ...(more.signal && { signal: more.signal }),
    });
    running.push(coordinator);
    return coordinator;
  }

  /** A listener of somebody else's on that port. */
  async function occupy(port: number): Promise<number> {
    const server = createServer();
    strangers.push(server);
    await new Promise<void>((resolve, reject) =>
      server.once('error', reject).listen(port, '127.0.0.1', resolve),
    );
    return (server.address() as { port: number }).port;
  }

  const ready = (): string => join(dir, 'ready.json');

  it('says that it is ready when it is, and that it is not when it stopped', async () => {
    const coordinator = await start();
    assert.deepEqual(JSON.parse(await readFile(ready(), 'utf8')), { pid: process.pid, url: coordinator.url });
    assert.equal((await fetch(`${coordinator.url}/health/ready`)).status, 200);
    const call = { method: 'POST', body: '{"jsonrpc":"2.0","id":1,"method":"network_get"}' };
    const answer = await fetch(coordinator.url, { ...call, headers: { 'content-type': 'application/json' } });
    const { result } = (await answer.json()) as { result: { networkId: string; version: string } };
    assert.deepEqual([result.networkId, result.version], [networkId, '1.2.3']);
    assert.equal((await stat(dir)).mode & 0o777, 0o700);
    await coordinator.stop();
    await coordinator.stop();
    assert.ok(!existsSync(ready()));
    assert.ok(!(await readdir(dir)).some((name) => name.endsWith('.tmp')));
    await assert.rejects(fetch(`${coordinator.url}/health/live`));
  });

  it('listens on the port of the last run, and on another when that is taken', async () => {
    const first = await start();
    const port = Number(new URL(first.url).port);
    await first.stop();
    const second = await start();
    assert.equal(second.url, first.url);
    await second.stop();
    await occupy(port);
    const third = await start();
    assert.notEqual(third.url, first.url);
    assert.equal((await fetch(`${third.url}/health/ready`)).status, 200);
  });

  it('does not mind a damaged memory of the port', async () => {
    await (await start()).stop();
    for (const text of ['', '{"host":"127.0.0.1","port":99999}', '{"host":"192.0.2.1","port":1}']) {
      await writeFile(join(dir, 'port.json'), text);
      await (await start()).stop();
    }
  });

  it('says in one line that the port is in use, and leaves nothing running', async () => {
    const port = await occupy(0);
    await assert.rejects(start({ port }), (error) => {
      assert.ok(error instanceof ListenError);
      assert.equal(error.code, 'address_in_use');
      assert.match(error.message, new RegExp(`^127\\.0\\.0\\.1:${port} is in use .*listen\\.port`));
      assert.doesNotMatch(error.message, /\n/);
      return true;
    });
    assert.ok(!existsSync(ready()));
    await start();
  });

  it('leaves no ready.json of a killed run behind when it cannot listen', async () => {
    await (await start()).stop();
    await writeFile(ready(), '{"pid":1,"url":"http://192.0.2.1:1"}');
    await assert.rejects(start({ port: await occupy(0) }), ListenError);
    assert.ok(!existsSync(ready()));
  });

  it('refuses a folder that is in use, and leaves its ready.json', async () => {
    const first = await start();
    const before = await readFile(ready(), 'utf8');
    await assert.rejects(start(), (error) => {
      return error instanceof StoreError && error.code === 'locked' && !error.message.includes('\n');
    });
    assert.equal(await readFile(ready(), 'utf8'), before);
    assert.equal((await fetch(`${first.url}/health/ready`)).status, 200);
  });

  it('replaces the ready.json of a run that was killed', async () => {
    await (await start()).stop();
    await writeFile(ready(), '{"pid":1,"url":"http://192.0.2.1:1"}');
    const { url } = await start();
    assert.deepEqual(JSON.parse(await readFile(ready(), 'utf8')), { pid: process.pid, url });
  });

  it('removes what a killed run had half written, and nothing else', async () => {
    await (await start()).stop();
    const left = ['.ready.json.0123456789abcdef.tmp', '.port.json.0123456789abcdef.tmp'];
    const kept = ['.config.yaml.0123456789abcdef.tmp', 'notes.tmp'];
    for (const file of [...left, ...kept]) await writeFile(join(dir, file), 'x');
    await start();
    const files = new Set(await readdir(dir));
    assert.deepEqual(
      [left.map((file) => files.has(file)), kept.map((file) => files.has(file))],
      [
        [false, false],
        [true, true],
      ],
    );
  });

  it('stops when its signal aborts, and does not start after', async () => {
    const controller = new AbortController();
    const coordinator = await start({ signal: controller.signal });
    controller.abort();
    await coordinator.stop();
    assert.ok(!existsSync(ready()));
    await assert.rejects(start({ signal: controller.signal }), { name: 'AbortError' });
    await start();
  });
});

describe('coordinator/config', () => {
  const least = { networkId, dir: '/data', listen: { port: 7000 } };

  it('has defaults that are safe', () => {
    assert.deepEqual(parseCoordinatorConfig(least), {
      networkId,
      dir: '/data',
      listen: { host: '127.0.0.1', port: 7000 },
      create: { allowlist: [] },
      cors: { origins: [] },
      limits: defaultLimits,
      timeouts: { head: 10, request: 30, idle: 120, drain: 30 },
      retention: { eventsPerStream: 10_000 },
    });
    assert.equal(parseCoordinatorConfig({ ...least, create: 'open' }).create, 'open');
    const origins = ['https://app.example', 'http://127.0.0.1:8080', '*'];
    assert.deepEqual(parseCoordinatorConfig({ ...least, cors: { origins } }).cors, { origins });
    assert.equal(parseCoordinatorConfig({ ...least, limits: { batchCalls: 5 } }).limits.batchCalls, 5);
  });

  it('names unknown keys and the allowed ones', () => {
    const unknown: [unknown, string, RegExp][] = [
      [
        { ...least, listn: 1 },
        '',
        /^configuration: unknown key "listn"; allowed are: networkId, dir, listen, create, cors, limits, timeouts, retention, metrics, webhooks$/,
      ],
      [
        { ...least, listen: { port: 1, hots: 'x' } },
        'listen',
        /^configuration, listen: .*"hots".*: host, port$/,
      ],
      [
        { ...least, create: { allowList: [] } },
        'create',
        /^configuration, create: .*"allowList".*: allowlist$/,
      ],
      [{ ...least, limits: { batch: 1 } }, 'limits', /"batch".*batchCalls/],
      [
        { ...least, limits: { addressRate: { requests: 1, perSeconds: 1, x: 1 } } },
        'limits.addressRate',
        /"x"; allowed are: requests, perSeconds$/,
      ],
    ];
    for (const [value, path, message] of unknown) {
      assert.throws(
        () => parseCoordinatorConfig(value),
        (error) => {
          assert.ok(error instanceof ConfigError);
          assert.deepEqual([error.code, error.path], ['unknown_key', path]);
          assert.match(error.message, message);
          return true;
        },
      );
    }
  });

  it('names what is wrong, where', () => {
    const wrong: [unknown, string][] = [
      [undefined, ''],
      ['text', ''],
      [{ ...least, networkId: 'X' }, 'networkId'],
      [{ ...least, dir: '' }, 'dir'],
      [{ ...least, listen: { port: 70_000 } }, 'listen.port'],
      [{ ...least, listen: { host: 'example.com', port: 1 } }, 'listen.host'],
      [{ ...least, create: 'everybody' }, 'create'],
      [{ ...least, create: { allowlist: ['ed25519:0x00'] } }, 'create.allowlist.0'],
      [{ ...least, cors: { origins: ['app.example'] } }, 'cors.origins.0'],
      [{ ...least, cors: { origins: ['https://app.example/'] } }, 'cors.origins.0'],
      [{ ...least, cors: { origins: ['https://APP.example:443'] } }, 'cors.origins.0'],
      [{ ...least, cors: { origins: ['null'] } }, 'cors.origins.0'],
      [{ ...least, limits: { bodyBytes: 0 } }, 'limits.bodyBytes'],
      [{ ...least, retention: { eventsPerStream: 49 } }, 'retention.eventsPerStream'],
      [{ ...least, retention: { eventsPerStream: 10_000_001 } }, 'retention.eventsPerStream'],
      [{ ...least, limits: { addressRate: { requests: 1 } } }, 'limits.addressRate.perSeconds'],
    ];
    for (const [value, path] of wrong) {
      assert.throws(
        () => parseCoordinatorConfig(value),
        (error) => {
          assert.ok(error instanceof ConfigError);
          assert.deepEqual([error.code, error.path], ['invalid', path], error.message);
          assert.doesNotMatch(error.message, /\n/);
          return true;
        },
      );
    }
  });
});
