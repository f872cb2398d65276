// Derived keys among live parties: each confirms what it derives itself, no session is run, and the child signs by shares
// that are stored nowhere.
import assert from 'node:assert/strict';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import { bytesToNumberBE, bytesToNumberLE } from '@noble/curves/utils.js';
import { evaluateCommitments } from '../../node/mpc/dkg/polynomial.ts';
import { groupOf } from '../../node/mpc/group.ts';
import { keyDigest } from '../../node/sessions/purpose.ts';
import { decodeFrame, encodeFrame, type MessageType } from '../../node/sessions/wire.ts';
import { verifyKey } from '../../protocol/authorize.ts';
import { fromHex, type Hex, toHex } from '../../protocol/hex.ts';
import { derivedResult } from '../../protocol/keys/derivation.ts';
import { keyTypeSchema } from '../../protocol/keys/key-type.ts';
import { type Envelope, readContent } from '../../protocol/records/envelope.ts';
import { type KeyResult, partyResult } from '../../protocol/records/party-result.ts';
import { keyedNetwork, keyTypes, spendBy } from '../support/attack-scene.ts';
import {
  approve,
  evidence,
  hour,
  idOf,
  messagePayload,
  networkId,
  resultBy,
  signRequest,
} from '../support/fixture.ts';
import { Attacker, framesSent, KeyedNetwork, textFor } from '../support/session-attacker.ts';

const all = [0, 1, 2];
const ofAttempts: readonly MessageType[] = ['propose', 'accept', 'start', 'round'];

function resultIn(envelope: Envelope | undefined): KeyResult {
  assert(envelope, 'no result');
  const { result } = readContent(partyResult, envelope, networkId).content;
  assert(result.kind === 'key', JSON.stringify(result));
  return result;
}

const isActive = (net: KeyedNetwork, id: Hex, index: number): boolean =>
  net.node(index).store.derived.get(id)?.certificate !== undefined;

async function everywhere(net: KeyedNetwork, id: Hex): Promise<void> {
  await net.until(() => all.every((index) => isActive(net, id, index)), 120_000, 'the child');
}

describe('sessions: derived keys', () => {
  for (const keyType of keyTypeSchema.options) {
    it(`${keyType}: every party confirms what it derives, and nobody runs anything`, async () => {
      const net = await KeyedNetwork.create(3, 2, {}, keyType);
      await net.bootAll();
      const { entry: parent } = net;
      const parentId = net.key.id;
      const id = await net.derive('m/0/7');
      const types = net.sent.map(({ bytes }) => decodeFrame(bytes).type);
      assert.deepEqual(
        types.filter((type) => ofAttempts.includes(type)),
        [],
      );
      const of = { id: parentId, result: resultIn(parent.certificate[0]) };
      const { result: expected } = derivedResult(of, 'm/0/7');
      for (const index of all) {
        const { store } = net.node(index);
        assert.deepEqual(resultIn(store.finished.get(id)), expected);
        assert(!store.pending.has(id) && !store.active.has(id), 'no share is stored');
      }
      assert.deepEqual(net.key.origin, { parent: parentId, path: 'm/0/7' });
      await net.stop();
    });

    it(`${keyType}: a loaded child is the root's share and the offset between their keys`, async () => {
      const net = await KeyedNetwork.create(3, 2, {}, keyType);
      await net.bootAll();
      const rootId = net.key.id;
      const id = await net.derive('m/1/2/3');
      const group = groupOf(keyType);
      const read = keyType === 'ed25519' ? bytesToNumberLE : bytesToNumberBE;
      for (const index of all) {
        const { store } = net.node(index);
        const loaded = await store.keyOf(id);
        const root = (await store.keyOf(rootId))!.share;
        assert(loaded?.root);
        assert.equal(loaded.root.keyId, rootId);
        assert.equal(loaded.root.offset.length, 32);
        assert.deepEqual(loaded.root.share.signingShare, root.signingShare);
        assert.deepEqual(loaded.root.publicKey, root.publicKey);
        const eps = read(loaded.root.offset);
        const sum = group.decodePoint(root.publicKey).add(group.multiplyBase(eps));
        assert.deepEqual(loaded.share.publicKey, group.encodePoint(sum));
        const points = loaded.share.commitments.map((point) => group.decodePoint(point));
        const share = group.decodeScalar(loaded.share.signingShare);
        assert(group.multiplyBase(share).equals(evaluateCommitments(group, points, index + 1)));
        assert.equal((await store.keyOf(rootId))!.root, undefined);
      }
      await net.stop();
    });
  }

  for (const keyType of keyTypes) {
    for (const path of ['m/0', 'm/0/7', 'm/2147483647/0/1/2/3/4/5/6/7/8'])
      it(`${keyType}: ${path} signs under its own public key`, async () => {
        const net = await keyedNetwork(3, 2, keyType);
        await net.bootAll();
        await net.derive(path);
        net.payloads = [textFor(keyType, 'hello')];
        if (keyType === 'taproot_secp256k1')
          net.payloads = [...net.payloads, spendBy(fromHex(net.key.publicKey)), messagePayload('again')];
        const { id, full } = net.messageLedBy(0);
        await net.submit(full, all);
        await net.signedBy(id, all);
        for (const index of all) {
          assert.deepEqual(net.node(index).blamed, []);
          assert.equal(net.node(index).store.jobs.get(id)?.evidence.keys.length, 2, 'the parent is kept');
        }
        await net.stop();
      });
  }

  it('one request is signed by a key and two of its children', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.bootAll();
    const root = net.entry;
    const rootId = net.key.id;
    const children = [net.derivedKey('m/0'), net.derivedKey('m/1')];
    for (const { full } of children) await net.submit(full, all);
    for (const { id } of children) await everywhere(net, id);
    const items = [rootId, ...children.map(({ id }) => id)].map((keyId) => ({
      keyId,
      payload: messagePayload('together'),
    }));
    const request = signRequest(net.world, items, { created: net.clock.now() });
    const id = idOf(request);
    const entries = children.map(({ id: child, request: asked }) => ({
      request: asked,
      certificate: [...net.node(0).store.derived.get(child)!.certificate!],
    }));
    // The parent once, after its children.
    const keys = [...entries, root];
    const full = evidence(net.world, request, { keys, decisions: [approve(net.world, id, 'bob')] });
    await net.submit(full, all);
    await net.until(() => all.every((index) => net.node(index).store.finished.has(id)));
    const result = net.resultAt(1, id);
    assert(result?.kind === 'signatures');
    assert.equal(new Set(result.signatures).size, 3);
    assert.equal(net.node(0).store.jobs.get(id)?.evidence.keys.length, 3, 'what proves the keys is kept');
    await net.stop();
  });

  it('a party that was away confirms when it is back, and the key is active everywhere then', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.bootAll();
    net.kill(2);
    const { id, full } = net.derivedKey();
    await net.submit(full, [0, 1]);
    await net.until(() => [0, 1].every((index) => net.node(index).store.finished.has(id)));
    await net.pass(10_000);
    assert(!isActive(net, id, 0) && !isActive(net, id, 1), 'one confirmation is missing');
    await net.boot(2);
    await net.submit(full, [2]);
    await everywhere(net, id);
    await net.stop();
  });

  it("hears of others' confirmations before the request, and is not lost", async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.bootAll();
    net.node(2).paused = true;
    net.node(2).sessions.pause();
    const { id, full } = net.derivedKey();
    await net.submit(full, all);
    await net.until(() => [0, 1].every((index) => net.node(index).store.finished.has(id)));
    await net.pass(60_000);
    assert(!net.node(2).store.finished.has(id), 'paused: it signs nothing, and refuses nothing');
    const [open] = net.node(2).sessions.status();
    assert.equal(open?.waiting.for, 'resume');
    net.node(2).sessions.resume();
    await everywhere(net, id);
    await net.stop();
  });

  it('is not confirmed once its request has ended', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.bootAll();
    for (const index of all) net.node(index).sessions.pause();
    const { id, full } = net.derivedKey();
    await net.submit(full, all);
    await net.pass(2 * hour);
    for (const index of all) net.node(index).sessions.resume();
    await net.until(() => all.every((index) => net.node(index).store.finished.has(id)));
    for (const index of all) {
      const result = net.resultAt(index, id);
      assert(result?.kind === 'refusal' && result.code === 'expired');
      assert(!net.node(index).store.derived.has(id));
    }
    await net.stop();
  });

  it('a party whose parent is pending completes it from the evidence, and confirms', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const { store } = net.node(2);
    const parentId = net.key.id;
    store.active.delete(parentId);
    store.finished.set(parentId, store.pending.get(parentId)!.confirmation);
    net.intercept = (sent) => {
      const frame = decodeFrame(sent.bytes);
      return frame.type === 'confirm' && frame.content.requestId === parentId ? undefined : sent.bytes;
    };
    await net.bootAll();
    assert(!store.active.has(parentId));
    const { id, full } = net.derivedKey();
    await net.submit(full, all);
    await everywhere(net, id);
    assert(store.active.has(parentId));
    await net.stop();
  });

  it('a party without a share of the parent waits, says so, and refuses only at the end', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const { store } = net.node(2);
    const parentId = net.key.id;
    store.active.clear();
    store.pending.clear();
    await net.bootAll();
    const { id, full } = net.derivedKey();
    await net.submit(full, all);
    await net.pass(10 * 60_000);
    assert(!store.derived.has(id) && !store.finished.has(id));
    assert.deepEqual(net.node(2).sessions.status()[0]?.waiting, { for: 'parent', keyId: parentId });
    assert(net.logged(2, 'session.awaits_parent').some(({ parent }) => parent === parentId));
    assert(!isActive(net, id, 0));
    await net.pass(hour);
    const result = net.resultAt(2, id);
    assert(result?.kind === 'refusal' && result.code === 'expired');
    await net.stop();
  });

  it('what is not as this party has its parent certified is not confirmed: unequal_parent', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const { store } = net.node(2);
    const held = store.active.get(net.key.id)!;
    // As if another certificate of the same key had been made with this party's key.
    const other = { ...resultIn(held.certificate[0]), chainCode: `0x${'11'.repeat(32)}` as Hex };
    const certificate = net.world.parties.map((party) => resultBy(net.world, party, net.key.id, other));
    store.active.set(net.key.id, { ...held, certificate });
    await net.bootAll();
    const { id, full } = net.derivedKey();
    await net.submit(full, all);
    await net.pass(60_000);
    assert(!store.derived.has(id));
    const incident = net.logged(2, 'session.incident').at(-1);
    assert.equal(incident?.['code'], 'unequal_parent');
    await net.stop();
  });

  it('is never generated: a leader that proposes to is declined', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const attacker = new Attacker(net, 2);
    for (const index of [0, 1]) await net.boot(index);
    const { id, full } = net.derivedKey();
    // Before the parties come to confirm it: they are paused, and then their stores are slow.
    net.node(0).store.beforeWrite = (name) => {
      if (name === 'putPendingDerived') throw new Error('the disk is full');
    };
    await net.submit(full, [0]);
    const digests = [keyDigest(id, 'ed25519')];
    const attempt = attacker.attempt(full, 1, { purpose: 'generate', digests });
    attacker.send(0, attempt.frame);
    await net.pass(2000);
    assert.equal(attacker.accepts(attempt.attemptId).size, 0);
    const declined = framesSent(net, net.node(0).party.credential, 'decline');
    assert.deepEqual(
      declined.map(({ frame }) => frame.content.reason),
      ['no_share'],
    );
    assert.notEqual(net.node(0).store.jobs.get(id)?.state, 'started');
    await net.stop();
  });

  it('a confirmation of another key, by a party that lies, makes nothing active', async () => {
    const net = await KeyedNetwork.create(3, 2);
    const attacker = new Attacker(net, 2);
    for (const index of [0, 1]) await net.boot(index);
    const { id, full } = net.derivedKey();
    await net.submit(full, [0, 1]);
    await net.until(() => [0, 1].every((index) => net.node(index).store.derived.has(id)));
    await net.pass(100);
    const result = resultIn(net.node(0).store.finished.get(id));
    const lie = { ...result, transcript: toHex(new Uint8Array(32)) };
    const confirm = async (said: KeyResult): Promise<void> => {
      const envelope = resultBy(net.world, attacker.signer, id, said);
      const content = { requestId: id, confirmations: [utf8ToBytes(JSON.stringify(envelope))], want: false };
      const bytes = encodeFrame('confirm', content, attacker.wire, attacker.signer);
      await net.deliver(attacker.signer.credential, 0, bytes);
    };
    await confirm(lie);
    assert.equal(net.logged(0, 'session.incident').at(-1)?.['code'], 'unequal_confirmation');
    assert(!isActive(net, id, 0));
    await confirm(result);
    assert(isActive(net, id, 0), 'what every honest party says counts');
    await net.stop();
  });

  it('evidence without the parent, or with one that its parties did not certify, is refused', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.bootAll();
    const { full } = net.derivedKey();
    const [parent] = full.keys;
    const cut = { ...parent!, certificate: parent!.certificate.slice(1) };
    for (const keys of [[], [cut], [cut, parent!]])
      await assert.rejects(net.node(0).sessions.submit({ ...full, keys }), {
        code: 'bad_evidence',
        retry: false,
      });
    assert.equal(net.node(0).store.jobs.size, 0);
    await net.derive();
    const { full: sign } = net.messageLedBy(0);
    await assert.rejects(net.node(0).sessions.submit({ ...sign, keys: [net.entry] }), {
      code: 'bad_evidence',
    });
    assert.throws(() => verifyKey(net.entry, net.world.keyring, networkId), /no certificate of parent key/);
    await net.stop();
  });

  it('a result that could not be stored is stored when it is tried again, with the one confirmation', async () => {
    const net = await KeyedNetwork.create(3, 2);
    await net.bootAll();
    const { store } = net.node(1);
    let failures = 2;
    store.beforeWrite = (name) => {
      if (name === 'finishJob' && failures-- > 0) throw new Error('the disk is full');
    };
    const { id, full } = net.derivedKey();
    await net.submit(full, all);
    await everywhere(net, id);
    await net.until(() => store.finished.has(id));
    assert.deepEqual(store.finished.get(id), store.derived.get(id)?.confirmation);
    await net.stop();
  });

  for (const point of ['putJob', 'putPendingDerived', 'finishJob', 'activateKey'])
    it(`a party killed at ${point} confirms once, and the key becomes active`, async () => {
      const net = await KeyedNetwork.create(3, 2);
      await net.bootAll();
      const { store } = net.node(1);
      const { id, full } = net.derivedKey();
      const said = new Set<string>();
      store.beforeWrite = (name) => {
        if (name !== point) return;
        net.kill(1);
        throw new Error('crashed');
      };
      for (const index of [0, 2]) await net.submit(full, [index]);
      void net
        .node(1)
        .sessions.submit(full)
        .catch(() => undefined);
      await net.until(() => !net.node(1).alive, 60_000, point);
      store.beforeWrite = () => undefined;
      net.intercept = (sent) => {
        const frame = decodeFrame(sent.bytes);
        if (frame.type === 'confirm')
          for (const bytes of frame.content.confirmations) {
            const envelope = JSON.parse(new TextDecoder().decode(bytes)) as Envelope;
            if (envelope.signatures[0]?.credential === net.node(1).party.credential) said.add(envelope.bytes);
          }
        return sent.bytes;
      };
      await net.boot(1);
      if (!store.jobs.has(id)) await net.submit(full, [1]);
      await everywhere(net, id);
      assert.equal(said.size, 1);
      assert.deepEqual([...said], [store.finished.get(id)?.bytes]);
      await net.stop();
    });
});
