// The configuration examples are what the processes accept.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { parseConnectorConfig } from '../../connector/config.ts';
import { parseCoordinatorConfig } from '../../coordinator/config.ts';
import { resolveNodeConfig } from '../../node/config.ts';

const folder = fileURLToPath(new URL('../../configs/', import.meta.url));

async function example(name: string): Promise<unknown> {
  return parse(await readFile(`${folder}${name}.yaml`, 'utf8'));
}

describe('configs/', () => {
  it('coordinator.yaml', async () => {
    const config = parseCoordinatorConfig(await example('coordinator'));
    assert.deepEqual(config.create, { allowlist: [] });
    const { networkId, dir, listen } = config;
    // It says that what it shows are the defaults.
    assert.deepEqual(config, parseCoordinatorConfig({ networkId, dir, listen }));
  });

  it('node.yaml', async () => {
    const config = resolveNodeConfig({ file: await example('node'), folder });
    assert.equal(config.name, 'party-1');
  });

  it('connector.yaml', async () => {
    const config = parseConnectorConfig(await example('connector'), 'connector.yaml');
    assert.equal(config.networkId, 'my-network');
  });
});
