// A node's configuration: every mistake is one line that names the key, and file < environment < flags.
import assert from 'node:assert/strict';
import { ConfigError, defaultListen, nodePaths, resolveNodeConfig } from '../../node/config.ts';

const minimal = { networkId: 'local-00000000', name: 'acme' };
const resolve = (file: unknown, more: object = {}) =>
  resolveNodeConfig({ file, folder: '/srv/node', ...more });

function refuses(file: unknown, code: ConfigError['code'], path: string, words: RegExp): void {
  assert.throws(
    () => resolve(file),
    (error) => {
      assert.ok(error instanceof ConfigError, String(error));
      assert.equal(error.code, code);
      assert.equal(error.path, path);
      assert.match(error.message, words);
      assert.doesNotMatch(error.message, /\n/);
      return true;
    },
  );
}

describe("a node's configuration", () => {
  it('fills in what may be left out', () => {
    assert.deepEqual(resolve(minimal), {
      ...minimal,
      dir: '/srv/node',
      listen: [defaultListen],
      peers: {},
      presignatures: 4,
      timing: {},
      logLevel: 'info',
    });
  });

  it('takes everything it knows', () => {
    const key = `ed25519:0x${'a1'.repeat(32)}`;
    const full = {
      ...minimal,
      dir: 'data',
      listen: ['/ip4/127.0.0.1/tcp/0', '/ip6/::/tcp/4151'],
      peers: { blue: ['/dns4/blue.example/tcp/4151'], [key]: ['/ip4/10.0.0.7/tcp/4151'] },
      presignatures: 9,
      timing: { proposalDeadlineMs: 500, roundDeadlineMs: 1500.5 },
      workers: 3,
      logLevel: 'debug',
    };
    assert.deepEqual(resolve(full), { ...full, dir: '/srv/node/data' });
  });

  it('names an unknown key and the allowed ones', () => {
    refuses(
      { ...minimal, lisen: [] },
      'unknown_key',
      '',
      /unknown key "lisen"; allowed are: networkId, dir, name, listen/,
    );
    const inner = { ...minimal, timing: { roundDeadline: 5 } };
    refuses(
      inner,
      'unknown_key',
      'timing',
      /timing: unknown key "roundDeadline"; allowed are: proposalDeadlineMs/,
    );
  });

  it('names the first value that cannot be', () => {
    const wrong: [object, string, RegExp][] = [
      [{ networkId: 'X' }, 'networkId', /network id/],
      [{ name: 'No spaces' }, 'name', /name/],
      [{ listen: [] }, 'listen', /./],
      [{ listen: ['127.0.0.1:4151'] }, 'listen.0', /multiaddr/],
      [{ listen: ['/unix/tmp/x'] }, 'listen.0', /multiaddr/],
      [{ listen: ['/ip4/0.0.0.0/udp/4151'] }, 'listen.0', /TCP/],
      [{ listen: ['/ip4/0.0.0.0/tcp/70000'] }, 'listen.0', /TCP/],
      [{ peers: { blue: ['/ip4/10.0.0.7/tcp/1/ws'] } }, 'peers.blue.0', /TCP/],
      [{ peers: { 'No name': ['/ip4/10.0.0.7/tcp/1'] } }, 'peers.No name', /party name or party key/],
      [{ timing: { roundDeadlineMs: 0 } }, 'timing.roundDeadlineMs', /./],
      [{ timing: { roundDeadlineMs: '5s' } }, 'timing.roundDeadlineMs', /number/],
      [{ workers: 0 }, 'workers', />=1/],
      [{ workers: 65 }, 'workers', /<=64/],
      [{ workers: 1.5 }, 'workers', /int/],
      [{ logLevel: 'loud' }, 'logLevel', /debug/],
    ];
    for (const [change, path, words] of wrong) refuses({ ...minimal, ...change }, 'invalid', path, words);
    refuses({ name: 'acme' }, 'invalid', 'networkId', /./);
    for (const none of [null, undefined, 'text', [minimal]]) refuses(none, 'invalid', '', /keys and values/);
  });

  it('lets the environment replace the file, and flags replace both', () => {
    const file = { ...minimal, listen: ['/ip4/127.0.0.1/tcp/1'], logLevel: 'warn' };
    const environment = {
      COUNTERSIGN_NODE_LISTEN: '/ip4/127.0.0.1/tcp/2, /ip4/127.0.0.1/tcp/3',
      COUNTERSIGN_NODE_LOG_LEVEL: 'error',
      COUNTERSIGN_NODE_NETWORK_ID: '',
    };
    const fromEnvironment = resolve(file, { environment });
    assert.deepEqual(fromEnvironment.listen, ['/ip4/127.0.0.1/tcp/2', '/ip4/127.0.0.1/tcp/3']);
    assert.equal(fromEnvironment.logLevel, 'error');
    assert.equal(fromEnvironment.networkId, minimal.networkId, 'an empty variable says nothing');
    const flags = { listen: ['/ip4/127.0.0.1/tcp/4'], logLevel: undefined };
    const fromFlags = resolve(file, { environment, flags });
    assert.deepEqual(fromFlags.listen, ['/ip4/127.0.0.1/tcp/4']);
    assert.equal(fromFlags.logLevel, 'error', 'a flag that is not given says nothing');
    assert.throws(() => resolve(file, { environment: { COUNTERSIGN_NODE_LOG_LEVEL: 'loud' } }), ConfigError);
  });

  it('names the files of a folder', () => {
    assert.equal(nodePaths('/srv/node').roster, '/srv/node/roster.json');
    assert.equal(new Set(Object.values(nodePaths('/srv/node'))).size, 10);
  });
});
