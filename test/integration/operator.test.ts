// What an operator does to a running node, on real processes: pause and resume, and what the status says meanwhile.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cleanEnvironment } from '../../cli/testnet/operators.ts';
import type { Hex } from '../../protocol/hex.ts';
import { CliWorld, type Json } from '../support/cli-run.ts';
import { LocalNetwork } from '../support/local-network.ts';
import { until } from '../support/until.ts';

describe('the operator of a running node', function () {
  this.timeout(180_000);
  let net: LocalNetwork;
  let cli: CliWorld;
  let keyId: Hex;

  before(async () => {
    cli = await CliWorld.make();
    net = await LocalNetwork.start(3, 2);
    keyId = await net.requestKey();
    assert.equal((await net.final(keyId)).state, 'fulfilled');
  });

  after(async () => {
    await net?.stop();
    await cli?.remove();
  });

  const dirOf = (index: number): string => net.layout.parties[index]?.nodeDir ?? '';
  // The control socket stands where the node's own environment puts it.
  const environment = { ...(cleanEnvironment(process.env) as Record<string, string>), TMPDIR: tmpdir() };
  const node = async (index: number, command: string, ...more: string[]): Promise<Json> =>
    await cli.json(['node', command, '--dir', dirOf(index), ...more], { environment });
  const words = async (index: number, command: string): Promise<string> => {
    const result = await cli.run(['node', command, '--dir', dirOf(index)], { environment });
    assert.equal(result.exitCode, 0, result.stderr);
    return result.stdout;
  };

  async function approved(text: string): Promise<Hex> {
    const id = await net.requestSignature(keyId, text);
    await net.decide(id, 'bob', 'approve');
    return id;
  }

  it('pauses it: the others sign without it, over its restart too', async () => {
    const paused = await node(2, 'pause', '--reason', 'a new disk');
    assert.equal(paused.changed, true);
    assert.equal((await node(2, 'pause')).changed, false);
    assert.match(
      await words(2, 'pause'),
      /^Nothing changed: this node is paused already, since .* \(a new disk\)/,
    );
    await net.kill('node-3');
    await net.restart('node-3');
    // What the others report while it has no channel to them it would learn only once it is resumed.
    await until(
      async () => (await node(2, 'status')).peers.every((peer: Json) => peer.up),
      'its channels',
      60_000,
    );
    const status = await node(2, 'status');
    assert.equal(status.state, 'paused');
    assert.deepEqual(status.paused, { since: paused.since, reason: 'a new disk' });
    assert.match(await words(2, 'status'), /^PAUSED +since .*: a new disk/);

    const id = await approved('without the third');
    assert.equal((await net.final(id)).state, 'fulfilled');
    // It learns what the others signed, and hands it in.
    await net.logged('node-3', 'result.stored', id, ({ kind }) => kind === 'signatures');
    const log = await net.log('node-3');
    for (const { event, fields } of log) {
      assert(fields['requestId'] !== id || !['session.proposed', 'session.started'].includes(event), event);
    }
  });

  it('resumes it: what had to wait for it ends', async () => {
    await node(1, 'pause');
    const id = await approved('with too few');
    await net.logged('node-3', 'request.authorised', id);
    await until(
      async () =>
        (await node(0, 'status')).requests.some(
          (request: Json) => request.requestId === id && request.tries > 0,
        ),
      'an attempt that came to nothing',
      60_000,
    );
    assert.equal((await net.view(id)).state, 'pending');
    assert.equal((await node(1, 'resume')).changed, true);
    const view = await net.final(id);
    assert.equal(view.state, 'fulfilled');
    await node(2, 'resume');
    assert.match(await words(2, 'resume'), /^Nothing changed: this node is not paused\./);
    assert.equal((await node(2, 'status')).state, 'running');
  });

  it('says who is down and what a request waits for', async () => {
    const waitingId = await net.requestSignature(keyId, 'not approved yet');
    await net.kill('node-3');
    const peerOf = async (name: string): Promise<Json> =>
      (await node(0, 'status')).peers.find((peer: Json) => peer.name === name);
    await until(async () => (await peerOf('party-3')).up === false, 'party-3 down', 60_000);
    const [up, down] = [await peerOf('party-2'), await peerOf('party-3')];
    assert.equal(up.up, true);
    assert.equal(up.highestBoot, up.bootCounter);
    await until(async () => (await peerOf('party-2')).clock !== undefined, 'its clock', 60_000);
    for (const peer of [up, down]) assert.match(peer.since, /^\d{4}-.*Z$/);
    assert.match(await words(0, 'status'), /party-3 down since \d{4}-/);
    // With the second paused, the first is alone.
    await node(1, 'pause');
    const id = await approved('for two');
    await until(
      async () =>
        (await node(0, 'status')).requests.some(
          (request: Json) => request.requestId === id && request.lastAbort?.code === 'proposal_timeout',
        ),
      'an attempt that came to nothing',
      60_000,
    );
    assert.match(
      await words(0, 'status'),
      /last attempt ended at \d{4}-.*: proposal_timeout, it awaited party-2, party-3/,
    );
    await node(1, 'resume');
    assert.equal((await net.final(id)).state, 'fulfilled');
    await net.restart('node-3');
    await until(async () => (await peerOf('party-3')).up === true, 'party-3 up', 60_000);
    assert.equal((await peerOf('party-3')).bootCounter, down.bootCounter + 1);
    await net.decide(waitingId, 'alice', 'reject');
  });

  it('brings a connector that fell behind what the coordinator keeps back to what is open', async () => {
    const { coordinatorConfig } = net.layout;
    const config = await readFile(coordinatorConfig, 'utf8');
    await writeFile(coordinatorConfig, `${config}retention: { eventsPerStream: 50 }\n`);
    const ready = await readFile(join(net.layout.parties[0]!.connectorDir, 'ready.json'), 'utf8');
    const { pid } = JSON.parse(ready) as { pid: number };
    const { alice } = net.owners;
    const { workspaceId } = net.network;
    process.kill(pid, 'SIGSTOP');
    const { cursor: before } = await alice.client.call('sign_list', { workspaceId });
    let open: Hex;
    let done: Hex;
    try {
      // Its connection ends with the old process, and it does not notice.
      await net.kill('coordinator');
      await net.restart('coordinator');
      done = await approved('signed while one connector stands still');
      assert.equal((await net.final(done)).state, 'fulfilled');
      // Both others wait: this one stays open.
      for (const index of [1, 2]) await node(index, 'pause');
      open = await approved('open while one connector stands still');
      // Two events each, in both streams: more than are kept.
      for (let index = 0; index < 30; index++) {
        await net.decide(await net.requestSignature(keyId, `given up ${index}`), 'alice', 'reject');
      }
      const watched = async (after: number): Promise<string> => {
        const ended = AbortSignal.timeout(60_000);
        try {
          const events = alice.client.events({ kind: 'workspace', id: workspaceId }, after, {
            signal: ended,
          });
          for await (const { sequence } of events) return `event ${sequence}`;
          return 'ended';
        } catch (error) {
          return (error as { code?: string }).code ?? String(error);
        }
      };
      // All that the connector has not seen, and something that it has.
      await until(
        async () => (await watched(before ?? 0)) === 'cursor_too_old',
        'old events to be forgotten',
        30_000,
      );
      // An owner's client goes on from the list.
      const { cursor } = await alice.client.call('sign_list', { workspaceId });
      assert.equal(typeof cursor, 'number');
      const next = watched(cursor ?? 0);
      await net.decide(await net.requestSignature(keyId, 'one more'), 'alice', 'reject');
      assert.equal(await next, `event ${(cursor ?? 0) + 1}`);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await until(
      async () =>
        (await net.log('connector-1')).some(
          ({ event, fields }) => event === 'watch.ended' && fields['code'] === 'cursor_too_old',
        ),
      'the connector to be told',
      60_000,
    );
    await net.logged('connector-1', 'request.forwarded', open);
    for (const index of [1, 2]) await node(index, 'resume');
    assert.equal((await net.final(open)).state, 'fulfilled');
    await until(
      async () => (await net.view(done)).votes.have === 3,
      'its result of what was signed meanwhile',
      60_000,
    );
    // And it watches on: the next request needs no snapshot.
    const later = await approved('after all that');
    assert.equal((await net.final(later)).state, 'fulfilled');
    await net.logged('connector-1', 'request.forwarded', later);
  });
});
