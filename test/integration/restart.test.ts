// kill -9 of real processes between the steps of a request: nothing acknowledged is lost, and the request is fulfilled.
import assert from 'node:assert/strict';
import type { Hex } from '../../protocol/hex.ts';
import { LocalNetwork } from '../support/local-network.ts';

const nodes = ['node-1', 'node-2', 'node-3'];
const connectors = ['connector-1', 'connector-2', 'connector-3'];

describe('a network whose processes are killed', function () {
  this.timeout(240_000);
  let net: LocalNetwork;
  let keyId: Hex;

  before(async () => {
    net = await LocalNetwork.start();
    keyId = await net.requestKey();
    assert.equal((await net.final(keyId)).state, 'fulfilled');
  });

  after(async () => {
    await net?.stop();
  });

  const restartAll = (names: readonly string[]) => Promise.all(names.map((name) => net.restart(name)));
  const killAll = (names: readonly string[]) => Promise.all(names.map((name) => net.kill(name)));

  async function ask(text: string): Promise<Hex> {
    const id = await net.requestSignature(keyId, text);
    assert.equal((await net.view(id)).state, 'partial');
    return id;
  }

  async function isFulfilled(id: Hex): Promise<void> {
    const view = await net.final(id);
    assert.equal(view.state, 'fulfilled', JSON.stringify(view.reason));
    assert(view.votes.have >= 2);
  }

  it('the coordinator, once the request is stored', async () => {
    const id = await ask('step 2');
    await net.kill('coordinator');
    await net.restart('coordinator');
    assert.equal((await net.view(id)).state, 'partial');
    assert.equal((await net.decide(id, 'bob', 'approve')).state, 'pending');
    await isFulfilled(id);
  });

  it('the coordinator, once the approval is counted', async () => {
    const id = await ask('step 4');
    assert.equal((await net.decide(id, 'bob', 'approve')).state, 'pending');
    await net.kill('coordinator');
    await net.restart('coordinator');
    const view = await net.view(id);
    assert.equal(view.decisions.length, 1);
    await isFulfilled(id);
  });

  it('all connectors, before they see that it is pending', async () => {
    const id = await ask('step 5');
    await killAll(connectors);
    assert.equal((await net.decide(id, 'carol', 'approve')).state, 'pending');
    await restartAll(connectors);
    await isFulfilled(id);
  });

  it('a node, once it has judged the request', async () => {
    const id = await ask('step 6');
    await net.decide(id, 'bob', 'approve');
    await net.logged('node-1', 'request.authorised', id);
    await net.kill('node-1');
    await net.restart('node-1');
    await isFulfilled(id);
    await net.logged('node-1', 'result.stored', id, ({ kind }) => kind === 'signatures');
  });

  it('all nodes, once an attempt has started', async () => {
    const id = await ask('step 7');
    await net.decide(id, 'bob', 'approve');
    await Promise.race(nodes.map((name) => net.logged(name, 'session.proposed', id)));
    await killAll(nodes);
    await restartAll(nodes);
    await isFulfilled(id);
  });

  it('a node, once its result is stored', async () => {
    const id = await ask('step 8');
    await net.kill('connector-2');
    await net.decide(id, 'bob', 'approve');
    await net.logged('node-2', 'result.stored', id);
    await net.kill('node-2');
    await net.restart('node-2');
    await net.restart('connector-2');
    await isFulfilled(id);
    await net.logged('connector-2', 'result.submitted', id);
  });

  it('a connector, once it has its node’s result', async () => {
    const id = await ask('step 9');
    await net.decide(id, 'bob', 'approve');
    await net.logged('connector-3', 'result.received', id);
    await net.kill('connector-3');
    await net.restart('connector-3');
    await isFulfilled(id);
    await net.logged('connector-3', 'result.submitted', id);
  });

  it('the coordinator, once it has counted a result', async () => {
    const id = await ask('step 10');
    await net.decide(id, 'bob', 'approve');
    await net.logged('coordinator', 'request.result', id);
    await net.kill('coordinator');
    await net.restart('coordinator');
    await isFulfilled(id);
    const counted = (await net.view(id)).results.length;
    assert(counted >= 2);
  });

  it('so many nodes that t-1 are left: nothing is signed until one returns', async () => {
    await killAll(['node-2', 'node-3']);
    const id = await ask('t-1');
    assert.equal((await net.decide(id, 'bob', 'approve')).state, 'pending');
    await net.logged('node-1', 'request.authorised', id);
    await net.logged('node-1', 'session.awaits_parties', id);
    const view = await net.view(id);
    assert.equal(view.state, 'pending');
    assert.deepEqual(view.votes, { have: 0, need: 2, refused: 0 });
    await net.restart('node-3');
    await isFulfilled(id);
    await net.restart('node-2');
  });

  it('a node during key generation, once it has confirmed', async () => {
    const id = await net.requestKey('second');
    await net.logged('node-2', 'session.confirmed', id);
    await net.kill('node-2');
    await net.restart('node-2');
    await isFulfilled(id);
    for (const name of nodes) await net.logged(name, 'key.active', id);
  });

  it('below the policy no node ever hears of it', async () => {
    const id = await ask('alone');
    await net.decide(id, 'bob', 'reject');
    await net.decide(id, 'carol', 'reject').catch((error: unknown) => error);
    const view = await net.view(id);
    assert.equal(view.state, 'rejected');
    assert.equal(view.reason?.code, 'approvers');
    for (const name of nodes) {
      const about = (await net.log(name)).filter((line) => line.fields['requestId'] === id);
      assert.deepEqual(about, []);
    }
  });
});
