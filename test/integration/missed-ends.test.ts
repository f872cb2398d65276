// A party that has heard of a request while it was partial, and was down when the request ended: when it comes back it learns
// how, from what proves it. What a coordinator only claims ends nothing.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Hex } from '../../protocol/hex.ts';
import type { Policy } from '../../protocol/policy/schema.ts';
import { LocalNetwork } from '../support/local-network.ts';
import { LyingView } from '../support/lying-coordinator.ts';
import { until } from '../support/until.ts';

/** With a delay, parties are told of a request while it is partial. */
const slow: Policy = {
  version: 1,
  rules: [
    {
      id: 'slow',
      effect: 'allow',
      when: { kind: ['message'] },
      require: { k: 2, of: 'owners' },
      delay: '1s',
    },
  ],
};

describe('a request that ended while a party was down', function () {
  this.timeout(240_000);
  let net: LocalNetwork;
  let keyId: Hex;
  let view: LyingView;

  before(async () => {
    net = await LocalNetwork.start();
    keyId = await net.requestKey('slow', { policy: slow });
    assert.equal((await net.final(keyId)).state, 'fulfilled');
    view = await LyingView.open(() => net.network.coordinator);
    await net.kill('connector-3');
    const { connectorDir } = net.layout.parties[2]!;
    const file = join(connectorDir, 'config.yaml');
    const text = await readFile(file, 'utf8');
    assert.ok(text.includes(net.network.coordinator), text);
    await writeFile(file, text.replace(net.network.coordinator, view.url));
    await net.restart('connector-3');
  });

  after(async () => {
    await view?.stop();
    await net?.stop();
  });

  /** Asks for a signature, and waits until the third party holds the request open. */
  async function heardOf(text: string): Promise<Hex> {
    const id = await net.requestSignature(keyId, text);
    assert.equal((await net.view(id)).state, 'partial');
    await net.logged('connector-3', 'request.forwarded', id);
    assert.equal(await waitsFor(id), 'approvals');
    return id;
  }

  async function waitsFor(id: Hex): Promise<string | undefined> {
    const { requests } = await net.status('node-3');
    return requests.find(({ requestId }) => requestId === id)?.waiting.for;
  }

  async function goDown(): Promise<void> {
    await net.kill('connector-3');
    await net.kill('node-3');
  }

  async function comeBack(): Promise<void> {
    await net.restart('node-3');
    await net.restart('connector-3');
  }

  const hasEnded = (id: Hex): Promise<void> =>
    until(async () => (await waitsFor(id)) === undefined, `${id} has ended at node-3`, 60_000);

  it('is known as signed when the party comes back, though what the others told it was lost', async () => {
    const id = await heardOf('signed while away');
    await goDown();
    await net.decide(id, 'bob', 'approve');
    assert.equal((await net.final(id)).state, 'fulfilled');
    // What they keep for a peer in memory is gone too.
    for (const name of ['node-1', 'node-2']) await net.kill(name);
    await comeBack();
    await hasEnded(id);
    await net.logged('node-3', 'result.stored', id, ({ kind }) => kind === 'signatures');
    assert.deepEqual((await net.status('node-3')).requests, []);
    await until(async () => (await net.view(id)).votes.have === 3, 'its own result counts too', 60_000);
    for (const name of ['node-1', 'node-2']) await net.restart(name);
  });

  it('is known as signed when only the node was down, and its connector waited for it', async () => {
    const id = await heardOf('signed while the node was away');
    await net.kill('node-3');
    await net.decide(id, 'bob', 'approve');
    assert.equal((await net.final(id)).state, 'fulfilled');
    await net.restart('node-3');
    await hasEnded(id);
    await net.logged('node-3', 'result.stored', id, ({ kind }) => kind === 'signatures');
  });

  it('is known as rejected by what owners signed', async () => {
    const id = await heardOf('rejected while away');
    await goDown();
    await net.decide(id, 'alice', 'reject');
    assert.equal((await net.view(id)).state, 'rejected');
    await comeBack();
    const isRejected = async (): Promise<boolean> => {
      const { requests } = await net.status('node-3');
      return requests.some(({ requestId, detail }) => requestId === id && /cancelled by alice/.test(detail));
    };
    await until(isRejected, 'the rejection at node-3', 60_000);
  });

  it('stays open whatever a coordinator claims of its end without proof, and can be signed', async () => {
    // Results that the parties did sign, of something else.
    const { receipt } = await net.owners.alice.client.call('receipt_get', { requestId: keyId });
    const signatures = [`0x${'00'.repeat(64)}`];
    const id = await heardOf('open all the time');
    const { evidence } = await net.owners.alice.client.call('action_get', { requestId: id });
    const lies = { state: 'fulfilled' };
    view.answer = async ({ method, params }, honest) => {
      if (method === 'receipt_get') return { receipt: { ...receipt, evidence, signatures } };
      const result = await honest();
      if (method !== 'connector_pending') return result;
      const items = (result as { items: { requestId: Hex }[] }).items;
      if ((params as { requestIds?: Hex[] }).requestIds === undefined) return { ...result, items: [] };
      return { ...result, items: items.map((item) => ({ ...item, ...lies })) };
    };
    await net.kill('connector-3');
    await net.restart('connector-3');
    const isSkipped = async (): Promise<boolean> =>
      (await net.log('connector-3')).some(
        ({ event, fields }) =>
          event === 'request.skipped' && fields['requestId'] === id && fields['code'] === 'bad_receipt',
      );
    await until(
      async () => (await isSkipped()) || (await waitsFor(id)) === undefined,
      'it is judged',
      60_000,
    );
    assert.equal(await waitsFor(id), 'approvals');
    const forwarded = async (): Promise<number> =>
      (await net.log('connector-3')).filter(
        ({ event, fields }) => event === 'request.forwarded' && fields['requestId'] === id,
      ).length;
    const before = await forwarded();
    lies.state = 'rejected';
    await net.kill('connector-3');
    await net.restart('connector-3');
    await until(async () => (await forwarded()) > before, 'what it calls rejected is brought', 60_000);
    assert.equal(await waitsFor(id), 'approvals');
    view.beHonest();
    await net.kill('node-2');
    await net.decide(id, 'bob', 'approve');
    assert.equal((await net.final(id)).state, 'fulfilled', 'the third party has signed, with one other');
    await net.restart('node-2');
  });
});
