// Deadlines must end what waits, whatever the garbage collector does meanwhile. On Node 20 a signal of AbortSignal.any
// forgets a source that nothing else refers to: a timeout among its sources may then never come (nodejs/node#54614 and its
// kin). any-signal listens to each source instead.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createDoorClient } from '../../connector/door-client.ts';
import { peerIdOfCredential } from '../../node/network/peer-identity.ts';
import { idOf, seedOf, signerOf } from '../support/fixture.ts';
import { type ServiceWorld, stores, submitted, withService } from '../support/service-world.ts';
import { until } from '../support/until.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const root = fileURLToPath(new URL('../../', import.meta.url));
const sources = ['client', 'cli', 'connector', 'coordinator', 'metrics', 'node', 'protocol', 'storage'];

/** Waits for `work` while everything that can be collected is. Fails when it takes `withinMs`. */
async function collecting<Value>(work: Promise<Value>, withinMs: number): Promise<Value> {
  let over = false;
  const ended = work.finally(() => (over = true));
  const end = performance.now() + withinMs;
  while (!over) {
    assert.ok(performance.now() < end, 'its deadline never came');
    collect();
    await delay(10);
  }
  return await ended;
}

describe('deadlines', () => {
  it('end a wait for a request at the coordinator', async () => {
    await withService(stores['memory']!, async (at: ServiceWorld) => {
      const requestId = idOf(await submitted(at, await at.key()));
      const waiting = at.call('sign_wait', { requestId, timeoutMs: 200 }, at.owner());
      assert.equal((await collecting(waiting, 20_000)).state, 'partial');
    });
  });

  it('end a connector’s dial to a node that says nothing, and the next request dials again', async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => void sockets.push(socket.resume().on('error', () => undefined)));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    const peerId = peerIdOfCredential(signerOf('silent node').credential).toString();
    const nodeAddress = `/ip4/127.0.0.1/tcp/${port}/p2p/${peerId}`;
    const client = createDoorClient({ privateSeed: seedOf('connector'), nodeAddress, deadlineMs: 1500 });
    await client.start();
    try {
      for (const dials of [1, 2]) {
        // On a slow machine a request's own deadline may come before its dial got as far as a connection: then another.
        const giveUp = performance.now() + 20_000;
        do {
          assert.ok(performance.now() < giveUp, `${sockets.length} connections, expected ${dials}`);
          const asked = assert.rejects(client.request(new Uint8Array(1)), { name: 'DoorClientError' });
          await collecting(asked, 20_000);
        } while (sockets.length < dials);
        // The dial ends at its own deadline, which the request may be a moment ahead of.
        await collecting(
          until(() => sockets.every(({ destroyed }) => destroyed), 'the dial ends'),
          20_000,
        );
      }
    } finally {
      await client.stop();
      for (const socket of sockets) socket.destroy();
      silent.close();
    }
  });

  it('are never left to AbortSignal.any', () => {
    const files = sources.flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.ts'))
        .map((file) => join(folder, file)),
    );
    assert.ok(files.length > 200);
    const found = files.filter((file) => readFileSync(join(root, file), 'utf8').includes('AbortSignal.any('));
    assert.deepEqual(found, []);
  });
});
