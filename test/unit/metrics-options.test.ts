// `--metrics-listen` and its variable, of the three commands that start a process.
import assert from 'node:assert/strict';
import { stringify } from 'yaml';
import { readConnectorConfig } from '../../cli/connector-folder.ts';
import { CliWorld } from '../support/cli-run.ts';

describe('--metrics-listen', () => {
  let world: CliWorld;
  const wrong = /expected an IP address or localhost, and a port/;
  const node = '/ip4/127.0.0.1/tcp/4151/p2p/12D3KooWBhMbLvQKgVBTHnkqAkBvtdMCQwzhQ3L4UpKgvTzWUJCP';
  const connector = {
    networkId: 'my-network',
    dir: '.',
    coordinator: 'https://c.example',
    node,
    grant: 'g',
    key: 'k',
    metrics: { listen: '127.0.0.1:1' },
  };

  before(async () => {
    world = await CliWorld.make();
    await world.write('connector.yaml', stringify(connector));
    const coordinator = { networkId: 'my-network', dir: 'data', listen: { port: 0 } };
    await world.write('coordinator.yaml', stringify(coordinator));
    const init = ['node', 'init', '--dir', world.path('acme'), '--name', 'acme', '--network', 'my-network'];
    assert.equal((await world.run(init)).exitCode, 0);
  });
  after(() => world.remove());

  for (const [name, start] of [
    ['coordinator', () => ['coordinator', 'start', '--config', world.path('coordinator.yaml')]],
    ['connector', () => ['connector', 'start', '--config', world.path('connector.yaml')]],
    ['node', () => ['node', 'start', '--dir', world.path('acme')]],
  ] as const) {
    it(`of a ${name} is checked, from the flag and from the environment`, async () => {
      const flag = await world.run([...start(), '--metrics-listen', 'nowhere']);
      assert.equal(flag.exitCode, 2, flag.stderr);
      assert.match(flag.error, wrong);
      const variable = `COUNTERSIGN_${name.toUpperCase()}_METRICS_LISTEN`;
      const environment = await world.run(start(), { environment: { [variable]: '127.0.0.1' } });
      assert.equal(environment.exitCode, 2, environment.stderr);
      assert.match(environment.error, wrong);
    });
  }

  it('comes before the environment, and that before the file', async () => {
    const read = async (environment: Record<string, string>, flags: { metricsListen?: string }) =>
      (await readConnectorConfig(world.path('connector.yaml'), environment, flags)).metrics?.listen;
    const environment = { COUNTERSIGN_CONNECTOR_METRICS_LISTEN: '127.0.0.1:2' };
    assert.equal(await read({}, {}), '127.0.0.1:1');
    assert.equal(await read(environment, {}), '127.0.0.1:2');
    assert.equal(await read(environment, { metricsListen: '127.0.0.1:3' }), '127.0.0.1:3');
  });
});
