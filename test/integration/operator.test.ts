// What an operator does to a running node, on real processes: pause and resume, and what the status says meanwhile.
import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
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
});
