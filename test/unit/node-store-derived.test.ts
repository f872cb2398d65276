// Derived keys on a node's disk: nothing secret is stored, and a child is loaded from its root's share.
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { derivedShare } from '../../node/mpc/derived-share.ts';
import { isFrost } from '../../node/mpc/frost/ciphersuite.ts';
import { loadKeyPackage } from '../../node/mpc/frost/key-package.ts';
import { sessionStore } from '../../node/sessions/storage.ts';
import { NodeStoreError } from '../../node/store/error.ts';
import { NodeStore } from '../../node/store/node-store.ts';
import { toHex } from '../../protocol/hex.ts';
import { derivedResult } from '../../protocol/keys/derivation.ts';
import { keyTypes, keyTypeSchema } from '../../protocol/keys/key-type.ts';
import type { KeyResult } from '../../protocol/records/party-result.ts';
import { createWorld, idOf, keyRequest, networkId as testNetwork, resultBy } from '../support/fixture.ts';
import { generate } from '../support/signing-attempts.ts';
import { derivedCase, epoch, keyCase, keyringId, networkId, openOptions } from './node-store.case.ts';

const fails =
  (code: NodeStoreError['code'], pattern = /./) =>
  (error: unknown) => {
    assert.ok(error instanceof NodeStoreError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, pattern);
    return true;
  };

describe('node store: derived keys', () => {
  let dir: string;
  let store: NodeStore;
  const open = async (network = networkId): Promise<NodeStore> => {
    store = await NodeStore.open({ ...openOptions(dir), networkId: network });
    return store;
  };
  beforeEach(async () => {
    dir = join(await mkdtemp(join(tmpdir(), 'countersign-node-')), 'data');
  });
  afterEach(async () => {
    await store.close();
    await rm(join(dir, '..'), { recursive: true, force: true });
  });

  const root = keyCase(1);
  const origin = { parent: root.pending.requestId as `0x${string}`, path: 'm/0/7' };
  const child = derivedCase(2, origin);
  const { requestId: childId } = child.pending;

  it('are pending with their one confirmation, then active, across restarts', async () => {
    await open();
    await store.putPendingShare(root.pending);
    await store.activateKey(origin.parent, root.certificate);
    await store.putPendingDerived(child.pending);
    await store.close();
    await open();
    assert.deepEqual(await store.confirmationOf(childId), child.pending.confirmation);
    assert.equal(await store.keyOf(childId), undefined);
    await store.activateKey(childId, child.certificate);
    await store.close();
    await open();
    const loaded = await store.keyOf(childId);
    assert.deepEqual(loaded?.origin, origin);
    assert.deepEqual(loaded?.certificate, child.certificate);
    assert.deepEqual(loaded?.share, (await store.keyOf(origin.parent))?.share, "the parent's share");
    const kept = (await store.keys()).map(({ keyId, origin: from }) => [keyId, from]);
    assert.deepEqual(
      new Map(kept as never),
      new Map([[childId, origin] as const, [origin.parent, undefined] as const] as never),
    );
  });

  it('give their confirmation as the result, and no other', async () => {
    await open();
    await store.putPendingShare(root.pending);
    await store.activateKey(origin.parent, root.certificate);
    await store.putPendingDerived(child.pending);
    await store.putJob(childId, {});
    await store.finishJob(childId, child.pending.confirmation);
    assert.deepEqual(await store.resultOf(childId), child.pending.confirmation);
  });

  it('are confirmed once, whatever else is asked', async () => {
    await open();
    await store.putPendingShare(root.pending);
    await store.activateKey(origin.parent, root.certificate);
    await store.putPendingDerived(child.pending);
    await assert.rejects(store.putPendingDerived(child.pending), fails('already_confirmed'));
    assert.equal((await store.keys()).length, 2);
  });

  it('come from active, generated keys of the same keyring alone', async () => {
    await open();
    await assert.rejects(
      store.putPendingDerived(child.pending),
      fails('wrong_state', /no active, generated key/),
    );
    await store.putPendingShare(root.pending);
    await assert.rejects(
      store.putPendingDerived(child.pending),
      fails('wrong_state', /no active, generated key/),
    );
    await store.activateKey(origin.parent, root.certificate);
    await store.putPendingDerived(child.pending);
    await store.activateKey(childId, child.certificate);
    const grandchild = derivedCase(3, { parent: childId as `0x${string}`, path: 'm/1' });
    await assert.rejects(
      store.putPendingDerived(grandchild.pending),
      fails('wrong_state', /no active, generated/),
    );
    assert.equal(await store.confirmationOf(grandchild.pending.requestId), undefined);
  });

  it('are what their request asks for: no share of one, no derivation of a generated key, no other path', async () => {
    await open();
    await store.putPendingShare(root.pending);
    await store.activateKey(origin.parent, root.certificate);
    const { share } = root.pending;
    await assert.rejects(
      store.putPendingShare({ ...child.pending, share }),
      fails('invalid', /asks for m\/0\/7 of key/),
    );
    const generated = keyCase(4).pending;
    await assert.rejects(
      store.putPendingDerived({ ...generated, origin }),
      fails('invalid', /asks for a generated key/),
    );
    for (const other of [
      { ...origin, path: 'm/0/8' },
      { ...origin, parent: generated.requestId as `0x${string}` },
    ])
      await assert.rejects(store.putPendingDerived({ ...child.pending, origin: other }), fails('invalid'));
    assert.equal(await store.confirmationOf(childId), undefined);
    assert.deepEqual([child.pending.keyringId, child.pending.epoch], [keyringId, epoch]);
  });

  for (const keyType of keyTypeSchema.options)
    it(`${keyType}: load from the root's share, of which nothing more is on the disk`, async () => {
      const world = createWorld();
      const { id: ring, epoch: of, roster } = world.keyring;
      const share = generate(3, 2, `stored ${keyType}`, keyType).get(1)!;
      const [party] = world.parties;
      await open(testNetwork);
      const session = sessionStore(store, roster, party!.credential);
      const asked = keyRequest(world, { keyType });
      const id = idOf(asked);
      const result: KeyResult = {
        kind: 'key',
        keyType,
        publicKey: toHex(keyTypes[keyType].publicKeyOfPoint(share.publicKey)),
        chainCode: toHex(share.chainCode),
        commitments: share.commitments.map(toHex),
        transcript: toHex(share.transcriptHash),
      };
      const common = { keyringId: ring, epoch: of };
      const all = (subject: typeof id, said: KeyResult) =>
        world.parties.map((each) => resultBy(world, each, subject, said));
      const [own] = all(id, result);
      await session.putPendingShare({
        ...common,
        requestId: id,
        share,
        confirmation: own!,
        keyRequest: asked,
      });
      await session.activateKey(id, all(id, result));
      const derive = async (path: string, change: Partial<KeyResult> = {}) => {
        const from = { parent: id, path };
        const request = keyRequest(world, { keyType, origin: from });
        const requestId = idOf(request);
        const said = { ...derivedResult({ id, result }, path).result, ...change };
        const [confirmation] = all(requestId, said);
        const pending = {
          ...common,
          requestId,
          origin: from,
          confirmation: confirmation!,
          keyRequest: request,
        };
        await session.putPendingDerived(pending);
        await session.activateKey(requestId, all(requestId, said));
        return requestId;
      };
      const derivedId = await derive('m/0/7');
      const { result: expected, offset } = derivedResult({ id, result }, 'm/0/7');
      const loaded = await session.keyOf(derivedId);
      assert.deepEqual(loaded?.share.commitments.map(toHex), expected.commitments);
      assert.deepEqual(loaded?.root?.offset, offset);
      assert.equal(loaded?.root?.keyId, id);
      assert.ok(!('chainCode' in loaded!.root!.share) && !('chainCode' in loaded!.share));
      const own32 = derivedShare(keyType, share.signingShare, offset);
      assert.deepEqual(loaded?.share.signingShare, own32);
      if (isFrost(keyType)) loadKeyPackage(loaded!.share).destroy();
      // As if the record had been exchanged: another key was confirmed than what the path gives.
      const wrong = await derive('m/0/8', derivedResult({ id, result }, 'm/0/9').result);
      await assert.rejects(session.keyOf(wrong), fails('corrupt', /is not what this party confirmed/));
      await store.close();
      for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile()) continue;
        const bytes = await readFile(join(entry.parentPath, entry.name));
        for (const secret of [own32, share.signingShare])
          for (const form of ['hex', 'base64', 'base64url', 'latin1'] as const)
            assert.ok(!bytes.toString('latin1').includes(Buffer.from(secret).toString(form)), entry.name);
      }
      await open(testNetwork);
    });
});
