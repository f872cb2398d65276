// Derived keys in a network of real processes: asked for, certified by all, proven by the client, and signing after every
// node was killed; for both kinds of keys that sign by FROST.
import assert from 'node:assert/strict';
import { Transaction } from '@scure/btc-signer';
import { verifyKeyView, type ProvenKey, verifySignatures } from '../../client/verify.ts';
import { fromHex, type Hex, toHex } from '../../protocol/hex.ts';
import { outputKeyOf } from '../../protocol/keys/taproot.ts';
import { taprootScript } from '../../protocol/payloads/bitcoin-transaction.ts';
import type { Payload } from '../../protocol/payloads/payload.ts';
import { verifyReceipt } from '../../protocol/receipt.ts';
import { seedOf } from '../support/fixture.ts';
import { LocalNetwork } from '../support/local-network.ts';

const nodes = ['node-1', 'node-2', 'node-3'];

describe('a network with derived keys', function () {
  this.timeout(240_000);
  let net: LocalNetwork;

  before(async () => {
    net = await LocalNetwork.start();
  });
  after(async () => {
    await net?.stop();
  });

  async function proven(keyId: Hex): Promise<ProvenKey> {
    const view = await net.owners.alice.client.call('key_get', { keyId });
    const { networkId, keyringId } = net.network;
    return verifyKeyView(view, { networkId, keyringId, workspaceId: net.workspace.id });
  }

  async function made(keyId: Hex): Promise<ProvenKey> {
    const view = await net.final(keyId);
    assert.equal(view.state, 'fulfilled', JSON.stringify(view.reason));
    return proven(keyId);
  }

  /** Has a payload signed by a key; the signature is verified under it by the client, and its receipt by anybody. */
  async function signs(key: ProvenKey, what: string | Payload): Promise<void> {
    const requestId = await net.requestSignature(key.key.id, what);
    await net.decide(requestId, 'bob', 'approve');
    const view = await net.final(requestId);
    assert.equal(view.state, 'fulfilled', JSON.stringify(view.reason));
    verifySignatures(view, [key.key], { networkId: net.network.networkId, requestId });
    const { receipt } = await net.owners.alice.client.call('receipt_get', { requestId });
    const { items } = verifyReceipt(receipt, { workspaceId: net.workspace.id });
    assert.deepEqual(items[0]?.key.origin, key.key.origin);
  }

  function spendBy(publicKey: Hex): Payload {
    const script = taprootScript(outputKeyOf(fromHex(publicKey)));
    const transaction = new Transaction();
    transaction.addInput({ txid: seedOf('coin'), index: 0, witnessUtxo: { script, amount: 9000n } });
    transaction.addOutput({ script, amount: 8000n });
    return { kind: 'bitcoin.psbt', psbt: toHex(transaction.toPSBT()), input: 0 };
  }

  it('ed25519: a child waits for a node that is away, and signs after every node was killed', async () => {
    const root = await made(await net.requestKey('root'));
    const origin = { parent: root.key.id, path: 'm/0/7' };
    await net.kill('node-3');
    const asked = await net.requestKey('child', { origin });
    for (const node of ['node-1', 'node-2']) await net.logged(node, 'session.derived', asked);
    assert.equal((await net.view(asked)).state, 'pending');
    await net.restart('node-3');
    const child = await made(asked);
    assert.deepEqual(child.key.origin, origin);
    assert.notEqual(child.key.publicKey, root.key.publicKey);
    for (const node of nodes) {
      await net.logged(node, 'key.active', asked);
      const lines = await net.log(node);
      const ofIt = lines.filter(({ fields }) => fields['requestId'] === asked).map(({ event }) => event);
      assert.ok(!ofIt.some((event) => event === 'session.proposed' || event === 'session.started'), node);
    }
    await Promise.all(nodes.map((node) => net.kill(node)));
    await Promise.all(nodes.map((node) => net.restart(node)));
    await signs(child, 'by the child');
    await signs(root, 'by the root, as before');
  });

  it('taproot_secp256k1: a child signs messages, and spends from its own address', async () => {
    const keyType = 'taproot_secp256k1';
    const root = await made(await net.requestKey('vault', { keyType }));
    const origin = { parent: root.key.id, path: 'm/1/2/3' };
    const child = await made(await net.requestKey('sub-vault', { keyType, origin }));
    await signs(child, spendBy(child.key.publicKey));
    await signs(child, 'by the child');
  });
});
