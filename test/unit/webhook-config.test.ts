// Which receivers a coordinator accepts in its configuration, and from which files it takes their secrets.
import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, parseCoordinatorConfig } from '../../coordinator/config.ts';
import { startCoordinator } from '../../coordinator/main.ts';
import {
  readWebhookSecrets,
  WebhookSecretError,
  type WebhookSecretErrorCode,
} from '../../coordinator/webhooks/secret-file.ts';

const networkId = 'test-network';
const least = { networkId, dir: 'data', listen: { port: 0 } };
const hook = { name: 'one', url: 'https://receiver.example/hook?token=1', secretFile: 'one.secret' };
const secretOf = (fill: number, length = 32): string =>
  `whsec_${Buffer.alloc(length, fill).toString('base64')}`;

describe('webhooks in the configuration', () => {
  const parse = (...webhooks: readonly unknown[]) => parseCoordinatorConfig({ ...least, webhooks }).webhooks;

  function refuses(
    code: ConfigError['code'],
    path: string,
    words: RegExp,
    webhooks: readonly unknown[],
  ): void {
    assert.throws(
      () => parse(...webhooks),
      (error) => {
        assert.ok(error instanceof ConfigError, String(error));
        assert.deepEqual([error.code, error.path], [code, path], error.message);
        assert.match(error.message, words);
        assert.doesNotMatch(error.message, /token|hunter2/, 'a URL may hold secrets');
        return true;
      },
    );
  }

  it('are none unless there are some, at most twenty', () => {
    assert.equal(parseCoordinatorConfig(least).webhooks, undefined);
    assert.deepEqual(parse(hook), [{ ...hook, insecureLoopbackForTests: false }]);
    const many = (count: number) =>
      Array.from({ length: count }, (_, index) => ({ ...hook, name: `hook-${index}` }));
    assert.equal(parse(...many(20))?.length, 20);
    refuses('invalid', 'webhooks', /20/, many(21));
  });

  it('are reached over https alone, but for tests on this machine', () => {
    const insecure = (url: string, insecureLoopbackForTests: unknown = true) => [
      { ...hook, url, insecureLoopbackForTests },
    ];
    for (const url of ['http://127.0.0.1:1/x', 'http://127.9.9.9/', 'http://localhost:80', 'http://[::1]:1/'])
      assert.equal(parse(...insecure(url))?.[0]?.url, url);
    const elsewhere = [
      'http://receiver.example/token',
      'http://127.0.0.1.example/token',
      'http://localhost.example/',
      'http://10.0.0.1/',
      'http://[::2]/',
      'http://0.0.0.0/',
    ];
    for (const url of elsewhere) refuses('invalid', 'webhooks.0.url', /expected https/, insecure(url));
    refuses('invalid', 'webhooks.0.url', /expected https/, insecure('http://127.0.0.1/', false));
    refuses('invalid', 'webhooks.0.url', /expected https/, insecure('ftp://127.0.0.1/'));
    refuses('invalid', 'webhooks.0.url', /expected a URL like/, [{ ...hook, url: 'token' }]);
    const named = { ...hook, url: 'https://user:hunter2@receiver.example/' };
    refuses('invalid', 'webhooks.0.url', /without user/, [named]);
    refuses('invalid', 'webhooks.0.url', /without a fragment/, [
      { ...hook, url: 'https://a.example/#token' },
    ]);
  });

  it('have names of their own, and say which workspaces and events', () => {
    refuses('invalid', 'webhooks.1.name', /one is the name of another/, [hook, hook]);
    for (const name of ['', 'One', '-a', 'a/b', 'a'.repeat(41)])
      refuses('invalid', 'webhooks.0.name', /./, [{ ...hook, name }]);
    refuses('invalid', 'webhooks.0.workspaces.0', /./, [{ ...hook, workspaces: ['0x00'] }]);
    refuses('invalid', 'webhooks.0.events.0', /action\.created/, [{ ...hook, events: ['request.state'] }]);
    refuses('unknown_key', 'webhooks.0', /"secret".*allowed are: name, url, secretFile/, [
      { ...hook, secret: 'x' },
    ]);
  });
});

describe('secrets of webhooks', () => {
  let folder: string;
  let path: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'webhook-secret-'));
    path = join(folder, 'secret');
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  async function refuses(code: WebhookSecretErrorCode, words: RegExp): Promise<void> {
    await assert.rejects(readWebhookSecrets(path), (error) => {
      assert.ok(error instanceof WebhookSecretError, String(error));
      assert.equal(error.code, code, error.message);
      assert.match(error.message, words);
      assert.ok(error.message.includes(path));
      assert.doesNotMatch(error.message, /BwcH|AQEB/, 'the secret is in no message');
      return true;
    });
  }
  const write = (text: string, mode = 0o600) => writeFile(path, text, { mode });

  it('are one or two, a line each', async () => {
    await write(`\n  ${secretOf(1)}\r\n\n${secretOf(2)}`);
    const [one, two] = await readWebhookSecrets(path);
    assert.deepEqual(
      [one, two].map((secret) => Buffer.from(secret!).toString('hex')),
      ['01'.repeat(32), '02'.repeat(32)],
    );
  });

  it('are taken from no file that others may read', async () => {
    await write(secretOf(7));
    for (const mode of [0o640, 0o604, 0o620, 0o602, 0o610]) {
      await chmod(path, mode);
      await refuses('readable_by_others', /chmod 600/);
    }
    await chmod(path, 0o400);
    assert.equal((await readWebhookSecrets(path)).length, 1);
  });

  it('are taken from no file that is missing, or none', async () => {
    await refuses('missing', /does not exist/);
    await mkdir(path);
    await refuses('unreadable', /regular file/);
  });

  it('are refused when they are malformed', async () => {
    const texts = [
      '',
      '\n \n',
      'secret',
      secretOf(7, 23),
      secretOf(7, 65),
      `${secretOf(7)}\n${secretOf(1)}\n${secretOf(7)}`,
      `${secretOf(7)}\nBwcHBwcHBwcH`,
      secretOf(7).repeat(100),
    ];
    for (const text of texts) {
      await write(text);
      await refuses('malformed', /./);
      await rm(path);
    }
  });

  it('stop the start of a coordinator before it has made anything', async () => {
    const dir = join(folder, 'data');
    const config = parseCoordinatorConfig({ ...least, dir, webhooks: [{ ...hook, secretFile: path }] });
    const started = startCoordinator({ config, log: () => undefined, version: '1.2.3' });
    await assert.rejects(started, { name: 'WebhookSecretError', code: 'missing' });
    await assert.rejects(chmod(dir, 0o700), { code: 'ENOENT' });
  });
});
